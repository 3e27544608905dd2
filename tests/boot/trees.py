"""Pristine distro trees made from Debian packages, kept between runs.

`tree("openrc")` gives the unpacked root of an image. Copy it (`cp -a --reflink=auto`), never change it. It is
independent of the rest of the lab: any test that needs a real distro tree can use it (root needed).
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, List

from .images import COMMON, EVERY_IMAGE, IMAGES, SMALL_RAMDISK, Image

# No boot reads these. Without them the tree has half the size.
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


def cache() -> Path:
    """The cache folder that is kept between runs; never inside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "azure-provisioning-boot"


def key(image: Image) -> str:
    """A short hash of everything that the tree depends on, except the distro's own package versions."""
    recipe = repr((image.release, COMMON + image.login, image.packages, _finish(image), EXCLUDED)) + image.mirror
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def tree(name: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """The root of this image's tree, by the image's name in the table."""
    return grown(IMAGES[name], say)


def grown(image: Image, say: Callable[[str], None] = lambda line: None) -> Path:
    """The root of an image's tree, built if missing for this recipe. `say` is called when something is built."""
    name = image.tree or image.name
    home = cache() / "trees"
    home.mkdir(parents=True, exist_ok=True)
    root = home / (name + "-" + key(image))
    with _locked(home / (name + ".lock")):
        if not root.is_dir():
            for old in home.iterdir():
                if re.fullmatch(re.escape(name) + r"-[0-9a-f]{12}(\.unfinished)?", old.name):
                    remove(old)
            say("%s: building the tree from %s packages" % (name, image.release))
            unfinished = home / (root.name + ".unfinished")
            _build(image, unfinished, home / (name + ".log"))
            unfinished.rename(root)
    return root


def kernel(root: Path) -> List[Path]:
    """[kernel, initial ramdisk] of a tree."""
    return [sorted((root / "boot").glob("vmlinuz-*"))[-1], sorted((root / "boot").glob("initrd.img-*"))[-1]]


def _finish(image: Image) -> str:
    """Shell lines that finish a tree, in a chroot in it."""
    return EVERY_IMAGE + image.setup + SMALL_RAMDISK if image.lab else image.setup


def _build(image: Image, root: Path, log: Path) -> None:
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--include=" + ",".join(COMMON + image.login + image.packages),
    ]
    command += ["--dpkgopt=path-exclude=" + path for path in EXCLUDED]
    if image.release == "sid":
        command.append('--aptopt=Acquire::Check-Valid-Until "false"')
    command += [image.release, str(root)] + ([image.mirror] if image.mirror else [])
    with open(log, "wb") as out:
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
            finish = ["chroot", str(root), "/bin/sh", "-e", "-c", _finish(image)]
            subprocess.run(finish, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
        except (OSError, subprocess.CalledProcessError):
            remove(root)
            raise RuntimeError("%s: the tree could not be built; see %s" % (image.name, log)) from None


def remove(root: Path) -> None:
    """Remove a tree or a folder, unless something is mounted in it."""
    # A tree with mounts in it must not be walked.
    mounts = Path("/proc/mounts").read_text().splitlines()
    if root.is_dir() and not any(line.split()[1].startswith(str(root)) for line in mounts):
        shutil.rmtree(root)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for wanted in sys.argv[1:] or list(IMAGES):
        print(tree(wanted, print))
