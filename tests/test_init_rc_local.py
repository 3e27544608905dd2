"""rc.local and Slackware's rc.d: our lines in the administrator's file, reached, and removed without a trace."""

import os
import shutil
from typing import Dict

from azure_provisioning.door import marks
from azure_provisioning.errors import GuestError
from azure_provisioning.init import block
from azure_provisioning.init.table import disable
from tests.images import IMAGES, ImageTest, call, listing

LOCAL, RC_D_LOCAL = "/etc/rc.local", "/etc/rc.d/rc.local"
SCRIPT = "/etc/rc.d/rc.azure-provisioning"
SHELLS = ("sh", "dash", "bash", "ksh", "mksh", "yash", "busybox")


class BlockTest(ImageTest):
    """Lines go to the top of any file, and are removed without a trace."""

    TEXTS = (
        "",
        "\n",
        "#!/bin/sh",
        "#!/bin/sh\n",
        "#!/bin/sh -e\n\nexit 0\n",
        "#!/bin/sh\nexit 0",
        "no first line",
        "a\nb\n",
        "#!/bin/sh\r\necho\r\n",
        "\udcff\n",
        "# >>> something else >>>\n# <<< something else <<<\n",
        "one\ntwo\n\n\n",
    )

    def test_block_is_added_and_removed(self) -> None:
        for text in self.TEXTS:
            for executable in (False, True):
                with self.subTest(text=text, executable=executable):
                    self.system.write("/file", text, mode=0o640)
                    block.put_block(self.system, "/file", "ours\n", first="#!/bin/sh\n", executable=executable)
                    self.assertIn("ours\n", block.find_block(self.system, "/file") or "")
                    self.assertEqual(self.mode_at("/file"), 0o751 if executable else 0o640)
                    lines = (self.text("/file") or "").splitlines()
                    self.assertLessEqual(lines.index("ours"), 4)
                    self.assertEqual(lines[0].startswith("#!"), text.startswith("#!"))
                    block.put_block(self.system, "/file", "newer\n", executable=executable)
                    self.assertNotIn("ours", self.text("/file") or "")
                    self.assertTrue(block.take_block(self.system, "/file"))
                    self.assertEqual(self.text("/file"), text)
                    self.assertEqual(self.mode_at("/file"), 0o640)
                    self.assertFalse(block.take_block(self.system, "/file"))

    def test_missing_file_is_created(self) -> None:
        block.put_block(self.system, "/file", "ours\n", first="#!/bin/sh\n", executable=True)
        self.assertEqual(self.mode_at("/file"), 0o755)
        block.put_block(self.system, "/file", "newer\n", first="#!/bin/sh\n", executable=True)
        block.take_block(self.system, "/file")
        self.assertFalse(self.system.exists("/file"))
        block.put_block(self.system, "/file", "ours\n", first="#!/bin/sh\n")
        self.system.write("/file", (self.text("/file") or "") + "theirs\n")
        block.take_block(self.system, "/file")
        self.assertEqual(self.text("/file"), "#!/bin/sh\ntheirs\n")

    def test_changed_marks(self) -> None:
        """An incomplete block is left alone: nothing is guessed, and nothing is removed."""
        for text in (marks.BEGIN + "ours\n", "ours\n" + marks.END + "\n", "x" + marks.BEGIN + "a\n" + marks.END + "\n"):
            self.system.write("/file", text)
            self.assertIsNone(block.find_block(self.system, "/file"))
            self.assertFalse(block.take_block(self.system, "/file"))
            self.assertEqual(self.text("/file"), text)
        self.system.write("/file", marks.BEGIN + block.MODE + "rwx\n" + marks.END + "\n")
        with self.assertRaises(GuestError):
            block.take_block(self.system, "/file")

    def test_unreadable_file(self) -> None:
        os.mkfifo(self.root + "/file")
        self.assertIsNone(block.find_block(self.system, "/file"))
        with self.assertRaises(GuestError):
            block.put_block(self.system, "/file", "ours\n")


class RcLocalTest(ImageTest):
    def test_created_where_it_is_called(self) -> None:
        self.image("bsd rc")
        before = listing(self.root)
        self.install()
        self.assertEqual(self.hook(), ("rc-local", [LOCAL]))
        self.assertTrue(self.system.is_program(LOCAL))
        self.assertTrue((self.text(LOCAL) or "").startswith("#!/bin/sh\n"))
        self.assertEqual(disable(self.system), [LOCAL])
        self.assertFalse(self.system.exists(LOCAL))
        self.install()
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_callers(self) -> None:
        """Scripts that would run rc.local if it existed. A comment runs nothing."""
        for caller, text, path in (
            ("/etc/runit/2", "[ -x /etc/rc.local ] && /etc/rc.local\n", LOCAL),
            ("/etc/init.d/rc.local", "if [ -x /etc/rc.local ]; then\n", LOCAL),
            ("/lib/systemd/system/rc-local.service", "[Unit]\nConditionFileIsExecutable=/etc/rc.local\n", LOCAL),
            ("/etc/rc.d/rc.M", ". /etc/rc.d/rc.local\n", RC_D_LOCAL),
            ("/etc/rc", "# /etc/rc.local\n", None),
            ("/etc/rc", "/etc/rc.local.d/x\n/opt/rc.local\n", None),
        ):
            with self.subTest(caller=caller, text=text):
                self.empty()
                self.image("systemd")
                self.fill({caller: text})
                if path is None:
                    self.assertIn("no rc.local is run here", self.refused("install", "--init", "rc-local"))
                else:
                    self.install("--init", "rc-local")
                    self.assertEqual(self.hook()[1], [path])

    def test_other_commands_still_run(self) -> None:
        """In every installed shell our lines run first, whatever the others do, even if ours fail under `-e`."""
        for name in SHELLS:
            shell = shutil.which(name)
            if shell is None:
                continue
            argv = [shell] + ["sh"] * (name == "busybox")
            for their, printed in (("echo theirs\nexit 0\n", "theirs\n"), ("exit 3\n", ""), ("echo a; exit", "a\n")):
                for code in (0, 1):
                    with self.subTest(shell=name, their=their, code=code):
                        self.empty()
                        self.image("bsd rc")
                        self.fill({LOCAL: "#!/bin/sh -e\n" + their})
                        self.make_program(LOCAL)
                        self.fill(
                            {"/python3": '#!/bin/sh\necho "$*:$(umask)" >"%s"/note\nexit %d\n' % (self.root, code)}
                        )
                        self.make_program("/python3")
                        self.install("--python", "/python3")
                        text = (self.text(LOCAL) or "").replace("/python3", self.root + "/python3")
                        self.fill({"/run-it": text})
                        result = call(argv + ["-e", self.root + "/run-it"])
                        self.assertEqual((result.code, result.out), (3 if "3" in their else 0, printed), result)
                        expected = "-I -S /usr/local/sbin/azure-provisioning run --detach:0022\n"
                        self.assertEqual((self.text("/note") or "").replace(":022\n", ":0022\n"), expected)

    def test_switched_off(self) -> None:
        """A file that is not executable but has commands: enabling ours would start them. With only comments it is
        enabled."""
        self.image("bsd rc")
        self.fill({LOCAL: "#!/bin/sh\n# mine\nreboot\n"})
        self.assertIn("not executable", self.refused("install"))
        self.fill({LOCAL: "#!/bin/sh\n# nothing yet\n\nexit 0\n"})
        before = listing(self.root)
        self.install()
        self.assertEqual(self.mode_at(LOCAL), 0o755)
        self.install()
        disable(self.system)
        self.assertEqual(listing(self.root)[LOCAL], before[LOCAL])
        self.install()
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_no_shell_script(self) -> None:
        for first in ("#!/usr/bin/perl", "#!/usr/bin/env python3", "#!", "#!/usr/bin/fish"):
            self.image("bsd rc")
            self.fill({LOCAL: first + "\n"})
            self.make_program(LOCAL)
            self.assertIn("not a shell script", self.refused("install"))
        for first in ("#!/bin/bash -e", "#! /bin/sh", "#!/usr/bin/env bash", "#!/bin/busybox sh", "echo no first line"):
            self.fill({LOCAL: first + "\n"})
            self.make_program(LOCAL)
            self.install()
            self.uninstall()
            self.assertEqual(self.text(LOCAL), first + "\n")

    def test_one_file_with_two_names(self) -> None:
        """Red Hat: /etc/rc.local is a link to the other one."""
        self.image("systemd")
        self.fill({RC_D_LOCAL: "#!/bin/bash\n", LOCAL: "-> rc.d/rc.local"})
        self.make_program(RC_D_LOCAL)
        before = listing(self.root)
        self.install("--init", "rc-local")
        self.assertEqual(self.hook(), ("rc-local", [RC_D_LOCAL]))
        self.assertTrue(self.system.is_link(LOCAL))
        self.uninstall()
        self.assertEqual(listing(self.root), before)
        self.system.unlink(LOCAL)
        os.rename(self.root + RC_D_LOCAL, self.root + "/etc/rc.other")
        self.fill({LOCAL: "-> rc.other"})
        self.install("--init", "rc-local")
        self.assertEqual(self.hook(), ("rc-local", [LOCAL]))

    def test_block_without_its_program(self) -> None:
        """A block in a file that is not executable starts nothing."""
        self.image("bsd rc")
        self.install()
        os.chmod(self.system.path(LOCAL), 0o644)
        self.assertEqual(self.hook(), ("rc-local", []))


class SlackwareTest(ImageTest):
    def called(self) -> str:
        """The commands of rc.local, with the image's /etc in place of this machine's."""
        self.fill({"/python3": '#!/bin/sh\necho "$*" >>"%s/note"\n' % self.root, "/note": ""})
        self.make_program("/python3")
        script = (self.text(SCRIPT) or "").replace("/usr/bin/python3", self.root + "/python3")
        mode = self.mode_at(SCRIPT) if self.system.exists(SCRIPT) else 0o644
        self.system.write("/script", script, mode=mode)
        self.fill({"/local": (self.text(RC_D_LOCAL) or "").replace(SCRIPT, self.root + "/script")})
        result = call(["bash", "-e", self.root + "/local"])
        self.assertEqual(result.code, 0, result)
        return self.text("/note") or ""

    def test_files(self) -> None:
        self.image("slackware")
        before = listing(self.root)
        self.install()
        etc = {path for path in listing(self.root) if path not in before and path.startswith("/etc/")}
        self.assertEqual(etc, {SCRIPT})
        self.assertEqual(self.mode_at(SCRIPT), 0o755)
        self.assertNotRegex((self.text(RC_D_LOCAL) or "").split("# <<<")[0], r"\bexit\b")  # it may be sourced
        self.assertEqual(self.called(), "-I -S /usr/local/sbin/azure-provisioning run --detach\n")

    def test_disable(self) -> None:
        """As Slackware does it: the script is no longer executable, so it is skipped. rc.local does not change."""
        self.image("slackware")
        self.install()
        local = self.text(RC_D_LOCAL)
        self.assertEqual(self.hook(), ("slackware", [SCRIPT]))
        self.assertEqual(disable(self.system), [SCRIPT])
        self.assertEqual(self.hook(), ("slackware", []))
        self.assertEqual(self.mode_at(SCRIPT), 0o644)
        self.assertEqual(self.text(RC_D_LOCAL), local)
        self.assertEqual(self.called(), "")
        os.chmod(self.system.path(SCRIPT), 0o755)  # by a person
        self.assertEqual(self.hook(), ("slackware", [SCRIPT]))

    def test_rc_m_without_a_call(self) -> None:
        self.image("slackware")
        self.install()
        os.chmod(self.system.path(RC_D_LOCAL), 0o644)
        self.assertEqual(self.hook(), ("slackware", []))
        self.fill({RC_D_LOCAL: IMAGES["slackware"][RC_D_LOCAL]})
        self.assertEqual(self.hook(), ("slackware", []))

    def test_no_rc_local(self) -> None:
        self.image("slackware")
        self.system.unlink(RC_D_LOCAL)
        before = listing(self.root)
        self.install()
        self.assertEqual(self.hook(), ("slackware", [SCRIPT]))
        self.uninstall()
        self.assertEqual(listing(self.root), before)

    def test_slackware_and_rc_local_replace_each_other(self) -> None:
        """Both are in the same file. One replaces the other."""
        self.image("slackware")
        before = listing(self.root)
        names: "Dict[str, str]" = {"slackware": SCRIPT, "rc-local": RC_D_LOCAL}
        for name in ("slackware", "rc-local", "slackware"):
            self.install("--init", name)
            self.assertEqual(self.hook(), (name, [names[name]]))
        self.uninstall()
        self.assertEqual(listing(self.root), before)
