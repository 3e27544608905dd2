"""Disk images: made from a tree, and read after power-off without mounting them."""

import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Dict, List

SIZE = "1400M"
GRUB = Path("/usr/lib/grub/i386-pc")


def make(tree: Path, image: Path) -> None:
    """Write an ext4 image with the content of the tree."""
    image.unlink(missing_ok=True)
    lazy = "lazy_itable_init=1,lazy_journal_init=1"
    command = ["mke2fs", "-q", "-t", "ext4", "-E", lazy, "-d", str(tree), str(image), SIZE]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def make_bootable(tree: Path, image: Path, mebibytes: int) -> None:
    """Write a disk with an MBR, GRUB for a BIOS, and one ext4 partition with the tree, which has a grub.cfg."""
    image.unlink(missing_ok=True)
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    table = b"label: dos\nstart=2048, type=83, bootable\n"
    quiet = subprocess.DEVNULL
    subprocess.run(["sfdisk", "--quiet", str(image)], input=table, stdout=quiet, check=True)
    # GRUB of Debian 12 cannot read a file system with its own checksum seed.
    options = "offset=1048576,lazy_itable_init=1,lazy_journal_init=1"
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", "-O", "^metadata_csum_seed", "-E", options]
    command += ["-d", str(tree), str(image), "%dM" % (mebibytes - 1)]
    subprocess.run(command, stdin=quiet, stdout=quiet, check=True)
    early, core = image.with_suffix(".cfg"), image.with_suffix(".core")
    early.write_text("search --no-floppy --label --set=root root\nset prefix=($root)/boot/grub\n")
    modules = ["biosdisk", "part_msdos", "ext2", "search", "search_label", "configfile", "normal", "linux", "serial"]
    command = ["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", str(early), "-o", str(core), *modules]
    subprocess.run(command, stdin=quiet, check=True)
    first, rest = (GRUB / "boot.img").read_bytes()[:440], core.read_bytes()
    if len(rest) > 2047 * 512:
        raise RuntimeError("GRUB's image does not fit before the partition: %d bytes" % len(rest))
    with open(image, "r+b") as file:
        file.write(first)  # it starts the code in the next sector, which knows its own length
        file.seek(512)
        file.write(rest)
    early.unlink()
    core.unlink()


def partitioned(image: Path, mebibytes: int) -> Path:
    """Write a disk with one partition for LVM, and nothing in it."""
    with open(image, "wb") as file:
        file.truncate(mebibytes << 20)
    command = ["sfdisk", "--quiet", str(image)]
    subprocess.run(command, input=b"label: dos\nstart=2048, type=8e\n", stdout=subprocess.DEVNULL, check=True)
    return image


def fixed_vhd(image: Path, vhd: Path) -> None:
    """Write the disk in Azure's format: a fixed VHD, with a size without footer in whole MiB."""
    options = "subformat=fixed,force_size=on"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", options, str(image), str(vhd)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    size = vhd.stat().st_size
    if size % (1 << 20) != 512:
        raise RuntimeError("%s: %d bytes are not a whole number of MiB and a footer" % (vhd, size))


def copy(source: Path, target: Path) -> None:
    """A sparse copy."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(source), str(target)], check=True)


def dvd(ovf_env: str, folder: Path) -> Path:
    """The provisioning DVD, as an ISO image in this folder."""
    content = folder / "dvd"
    content.mkdir(exist_ok=True)
    (content / "ovf-env.xml").write_text(ovf_env)
    image = folder / "ovf.iso"
    command = ["genisoimage", "-quiet", "-udf", "-V", "rd_rdfe_stable", "-o", str(image), str(content)]
    subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return image


class Disk:
    """The present content of an image. After a power cut, read a `settled` copy: its journal is replayed."""

    def __init__(self, image: Path) -> None:
        self.image = image

    def settled(self, image: Path) -> "Disk":
        """A copy with the journal replayed, as the next boot sees it."""
        copy(self.image, image)
        # 0: clean, 1: the journal was replayed. A higher code is a broken file system, and a failure of the lab.
        command = ["e2fsck", "-fp", str(image)]
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if answer.returncode > 1:
            raise RuntimeError("e2fsck on %s: %s" % (image, answer.stdout.decode()))
        return Disk(image)

    def text(self, path: str) -> str:
        """The content of a file; empty if it is missing."""
        return self._debugfs("cat " + path)

    def names(self, folder: str) -> List[str]:
        """The names in a folder, without . and .. ; empty if it is missing."""
        entries = [line.split("/") for line in self._debugfs("ls -p " + folder).splitlines() if line.startswith("/")]
        return [entry[5] for entry in entries if len(entry) > 5 and entry[5] not in (".", "..") and entry[1] != "0"]

    def glob(self, pattern: str) -> List[str]:
        """The paths that match, with a wildcard allowed in any part."""
        found = [""]
        for part in pattern.strip("/").split("/"):
            if re.search(r"[*?\[]", part):
                names = [(base, name) for base in found for name in self.names(base or "/")]
                found = [base + "/" + name for base, name in names if fnmatchcase(name, part)]
            else:
                found = [base + "/" + part for base in found if part in self.names(base or "/")]
        return found

    def dump(self, folders: List[str], target: Path) -> Dict[str, Path]:
        """Copy these folders out, below `target`: {path in the guest: regular file here}."""
        shutil.rmtree(target, ignore_errors=True)
        files: Dict[str, Path] = {}
        for folder in folders:
            into = target / folder.strip("/").rpartition("/")[0]
            into.mkdir(parents=True, exist_ok=True)
            self._debugfs("rdump %s %s" % (folder, into))
        for path in target.rglob("*"):
            if path.is_file() and not path.is_symlink():
                files["/" + str(path.relative_to(target))] = path
        return files

    def change(self, *requests: str) -> None:
        """Change its content. A request that fails is skipped."""
        # After a power cut the journal must be replayed first.
        subprocess.run(["e2fsck", "-fp", str(self.image)], stdout=subprocess.DEVNULL, check=False)
        text = "".join(request + "\n" for request in requests)
        quiet = subprocess.DEVNULL
        command = ["debugfs", "-w", "-f", "-", str(self.image)]
        subprocess.run(command, input=text.encode(), stdout=quiet, stderr=quiet, check=True)

    def _debugfs(self, request: str) -> str:
        command = ["debugfs", "-R", request, str(self.image)]
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        return answer.stdout.decode("utf-8", "surrogateescape")
