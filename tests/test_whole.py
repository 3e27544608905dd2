"""A damaged file installs nothing, and a damaged installation is detected, even with one wrong byte."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from typing import Dict, List, Tuple

from azure_provisioning.image import whole
from tests.images import ImageTest, built_file, cli, listing
from tests.sound import CheckTest

ROUNDS = 400  # bytes that are damaged, of each part of the file
RUNS = 24  # bytes of the file itself that are damaged, in each part
PROGRAM = "/usr/local/sbin/azure-provisioning"


def built() -> bytes:
    with open(built_file(), "rb") as file:
        return file.read()


def parts(program: bytes) -> "Dict[str, Tuple[int, int]]":
    """The begin and end of each part of the file."""
    with zipfile.ZipFile(built_file()) as archive:
        entries = archive.infolist()
        start = archive.start_dir
    ours = {entry.filename: entry.header_offset for entry in entries}
    ends = sorted([*ours.values(), start])

    def part(name: str) -> "Tuple[int, int]":
        begin = ours["azure_provisioning/" + name]
        return begin, ends[ends.index(begin) + 1]

    return {
        "script": (0, ends[0]),
        "members": (ends[0], start),
        "whole": part("image/whole.py"),
        "install": part("image/install/install.py"),
        "package": part("__init__.py"),
        "directory": (start, len(program) - whole.END.size),
        "end": (len(program) - whole.END.size, len(program)),
    }


def damaged(program: bytes, place: int, dice: random.Random) -> bytes:
    """With another byte at an offset."""
    data = bytearray(program)
    data[place] ^= dice.randrange(1, 256)
    return bytes(data)


class DamageTest(unittest.TestCase):
    def setUp(self) -> None:
        self.program = built()
        self.dice = random.Random(6)

    def test_undamaged_file(self) -> None:
        self.assertEqual(whole.find_damage(self.program), "")
        head, members = whole.take_apart(self.program)
        with zipfile.ZipFile(built_file()) as archive:  # as another program reads it
            self.assertEqual([(name.decode("ascii"), content) for name, content in members],
                             [(name, archive.read(name)) for name in archive.namelist()])  # fmt: skip
        self.assertTrue(head.endswith(b"\nexit 0\n"))
        self.assertRegex(whole.digest_of(self.program), r"\A[0-9a-f]{16}\Z")

    def test_any_changed_byte_is_detected(self) -> None:
        for name, (begin, end) in parts(self.program).items():
            places = range(begin, end) if end - begin <= ROUNDS else self.dice.sample(range(begin, end), ROUNDS)
            for place in places:
                data = damaged(self.program, place, self.dice)
                self.assertNotEqual(whole.find_damage(data), "", (name, place, data[place]))

    def test_cut_off_or_longer(self) -> None:
        for length in [0, 1, 21, 22, 23, *self.dice.sample(range(len(self.program)), 100), len(self.program) - 1]:
            self.assertNotEqual(whole.find_damage(self.program[:length]), "", length)
        for data in (self.program + b"\n", b"\n" + self.program, self.program + self.program):
            self.assertNotEqual(whole.find_damage(data), "")

    def test_content_of_another_build(self) -> None:
        """A valid archive with content that does not match the digest; also with a member more or less."""
        head, members = whole.take_apart(self.program)
        for changed in (
            (head + b"#\n", members),
            (head, [(name, content + b"\n") for name, content in members]),
            (head, members[:-1]),
            (head, [*members, (b"units/x", b"")]),
            (head, [(name, whole.DIGEST.sub(b"", content)) for name, content in members]),
        ):
            self.assertNotEqual(whole.find_damage(whole.put_together(*changed)), "")

    def test_overlapping_members(self) -> None:
        """An archive whose 65 000 members all overlap in the same megabytes."""
        body = b"x" * (8 << 20)
        entry = whole.ENTRY.pack(b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, len(body), len(body), 1, 0, 0, 0, 0, 0, 0)
        directory = (entry + b"a") * 65000
        end = whole.END.pack(b"PK\5\6", 0, 0, 65000, 65000, len(directory), len(body), 0)
        self.assertNotEqual(whole.find_damage(body + directory + end), "")


class InstallTest(ImageTest):
    """The behaviour of the damaged file itself. If Python cannot load it, there is only a traceback."""

    def setUp(self) -> None:
        super().setUp()
        self.image("systemd")
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = self.folder + "/azure-provisioning"

    def run_damaged(self, data: bytes, *before: str) -> "subprocess.CompletedProcess[str]":
        with open(self.file, "wb") as file:
            file.write(data)
        os.chmod(self.file, 0o755)
        return subprocess.run(
            [*before, self.file, "install", "--root", self.root],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
            timeout=120,
        )

    def test_damaged_file_writes_nothing(self) -> None:
        program, dice = built(), random.Random(7)
        before, refused = listing(self.root), 0
        for name, (begin, end) in parts(program).items():
            for _ in range(RUNS if name in ("members", "whole", "install") else RUNS // 6):
                place = dice.randrange(begin, end)
                data = damaged(program, place, dice)
                done = self.run_damaged(data, sys.executable, "-I", "-S")
                self.assertNotEqual(done.returncode, 0, (name, place, data[place]))
                self.assertEqual(listing(self.root), before, (name, place, data[place]))
                refused += "nothing was done with this file: it is damaged" in done.stderr
        self.assertGreater(refused, 20)

    def test_changed_word_is_detected(self) -> None:
        """Damage that Python does not notice: in the text of a message, a comment, the script that it skips."""
        program = built()
        before = listing(self.root)
        for old, new in (
            (b"Installs the program and its boot hook", b"Installs the program and its bOot hook"),
            (b"# azure-provisioning: a zip", b"# azure-provisioning; a zip"),
            (b"Installed for %s in %s", b"Installed for %s im %s"),
            (b"ExecStart=", b"ExecStarT="),
        ):
            self.assertGreaterEqual(program.count(old), 1, old)
            done = self.run_damaged(program.replace(old, new, 1), sys.executable, "-I", "-S")
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertRegex(done.stderr, r"\Aazure-provisioning: nothing was done with this file: [^\n]*\n\Z")
            self.assertEqual(listing(self.root), before)

    def test_damaged_file_run_by_the_shell(self) -> None:
        program, dice = built(), random.Random(8)
        before = listing(self.root)
        begin, end = parts(program)["members"]
        for _ in range(4):
            done = self.run_damaged(damaged(program, dice.randrange(begin, end), dice), "/bin/sh")
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(listing(self.root), before)

    def test_damaged_file_does_not_rehearse(self) -> None:
        data = built().replace(b"Installs the program and its", b"Installs the program amd its", 1)
        with open(self.file, "wb") as file:
            file.write(data)
        argv = [sys.executable, "-I", "-S", self.file, "rehearse", "--root", self.root]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("nothing was done with this file", done.stderr)


class InstalledTest(CheckTest):
    def test_check(self) -> None:
        self.good("program", "the hook runs %s, undamaged and of build [0-9a-f]{16}$" % PROGRAM)
        done = cli("check", "--all", "--root", self.root)  # run by the built file, which knows its own build
        self.assertIn("the hook runs %s, undamaged and of" % PROGRAM, done.out)
        self.assertRegex(" ".join(done.out.split()), "undamaged and of this build ")

    def test_check_finds_damage(self) -> None:
        program, dice = built(), random.Random(9)
        for begin, end in parts(program).values():
            self.system.write(PROGRAM, damaged(program, dice.randrange(begin, end), dice))
            (found,) = self.findings("program")
            self.assertEqual((found.level, "it is damaged" in found.message), ("error", True), found)
            self.assertIn("install", found.remedy)

    def test_check_reports_another_build(self) -> None:
        head, members = whole.take_apart(built())
        members = [(name, content + b"\n" * (name == b"__main__.py")) for name, content in members]
        digest = whole.compute_digest(head, members).encode("ascii")
        members = [(name, whole.DIGEST.sub(rb"\g<1>" + digest + b'"', content)) for name, content in members]
        other = whole.put_together(head, members)
        self.assertEqual(whole.find_damage(other), "")
        self.system.write(PROGRAM, other)
        out = " ".join(cli("check", "--all", "--root", self.root).out.split())
        mine = whole.digest_of(built())
        self.assertIn("undamaged and of build %s, and this is %s" % (digest.decode("ascii"), mine), out)

    def test_generalize_does_not_enable_a_damaged_file(self) -> None:
        self.gone("/etc/systemd/system/multi-user.target.wants/azure-provisioning.service")
        program = built()
        data = program.replace(b"Installs the program and its", b"Installs the program amd its", 1)
        self.system.write(PROGRAM, data)
        done = cli("generalize", "--yes", "--root", self.root)
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err, "could not enable the boot hook[^\n]*damaged")
        self.assertEqual(self.hook()[1], [])
        self.system.write(PROGRAM, program)
        done = cli("generalize", "--yes", "--root", self.root)
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(len(self.hook()[1]), 1)


class PartsTest(unittest.TestCase):
    def test_parts_are_located(self) -> None:
        program = built()
        found: "List[int]" = [begin for begin, _ in parts(program).values()]
        self.assertEqual(program[found[1] : found[1] + 4], b"PK\3\4")
        self.assertEqual(program[parts(program)["directory"][0] :][:4], b"PK\1\2")
        self.assertEqual(program[-whole.END.size :][:4], b"PK\5\6")
