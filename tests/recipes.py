"""Real images by the recipes of `units/recipes`: `python3 -m tests.recipes [mkosi docker]`. It needs root, Debian
packages, and the network for them. Tests that need less are in test_recipes.py.

The Dockerfile is executed without a container tool: mmdebstrap makes its base, and each RUN runs in a chroot.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict

import build_zipapp

from . import TOP

RECIPES = Path(TOP) / "units" / "recipes"
MKOSI = "[Distribution]\nDistribution=debian\nRelease=bookworm\n[Output]\nFormat=directory\nOutput=image\n"
PACKAGES = ("python3", "systemd-sysv", "openssh-server")
NEEDED = {"mkosi": ("mkosi", "debootstrap", "systemd-nspawn"), "docker": ("mmdebstrap", "unshare")}


def main() -> int:
    """Exit code 0 if every requested image was built and would boot."""
    wanted = sys.argv[1:] or list(BUILDS)
    if set(wanted) - set(BUILDS):
        print("there are: %s" % " ".join(BUILDS))
        return 2
    missing = [tool for name in wanted for tool in NEEDED[name] if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        print("real images need root%s" % "".join(", " + tool for tool in missing))
        return 1
    failed = [name for name in wanted if not make(name)]
    print("%d passed, %d failed" % (len(wanted) - len(failed), len(failed)))
    return 1 if failed else 0


def make(name: str) -> bool:
    """Build one image in its own folder, and check it; True if it passes."""
    with tempfile.TemporaryDirectory(prefix="azure-provisioning-recipe-") as scratch:
        folder = Path(scratch)
        program = folder / "azure-provisioning"
        build_zipapp.write(str(program), build_zipapp.build(TOP))
        try:
            root = BUILDS[name](folder)
            problem = look(program, root)
        except subprocess.CalledProcessError as error:
            problem = "%s: exit code %d" % (" ".join(map(str, error.cmd)), error.returncode)
        if problem and (folder / "log").exists():
            print((folder / "log").read_text(errors="replace")[-4000:])
        print("%s: %s" % (name, problem or "ok"), flush=True)
        return not problem


def run(folder: Path, *argv: str) -> None:
    """Run a command in the folder; its output goes to the log there. Raises CalledProcessError."""
    with open(folder / "log", "ab") as log:
        subprocess.run(argv, cwd=str(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True)


def by_mkosi(folder: Path) -> Path:
    """mkosi itself, with our script beside its configuration."""
    shutil.copy(str(RECIPES / "mkosi" / "mkosi.finalize"), str(folder))
    version = int((re.findall(r"\d+", subprocess.check_output(["mkosi", "--version"]).decode()) or ["0"])[0])
    head = "[Packages]\n" if version < 15 else "[Content]\n"
    text = MKOSI + head + "Packages=" + ",".join(PACKAGES) + "\n"
    (folder / ("mkosi.default" if version < 15 else "mkosi.conf")).write_text(text)
    # A machine without systemd has no bus on which nspawn could request a scope.
    options = ["--nspawn-keep-unit"] if version < 15 and not os.path.exists("/run/systemd/system") else []
    run(folder, "mkosi", *options, "--force", "build")
    return folder / "image"


def by_docker(folder: Path) -> Path:
    """The instructions of the Dockerfile, without its second stage, which only copies."""
    root = folder / "root"
    text = re.sub(r"(?m)^#.*\n", "", (RECIPES / "docker" / "Dockerfile").read_text()).replace("\\\n", "")
    for line in text.partition("\nFROM scratch")[0].splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            release = re.match(r"debian:(\w+) AS root$", rest)
            assert release, rest
            run(folder, "mmdebstrap", "--variant=minbase", release.group(1), str(root))
            shutil.copy("/etc/resolv.conf", str(root / "etc"))  # as the container tools do
        elif word == "COPY":
            source, target = rest.split()
            shutil.copy(str(folder / source), str(root) + target)
        elif word == "RUN":
            enter = 'mount -t proc proc "$0/proc"; exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin '
            enter += 'DEBIAN_FRONTEND=noninteractive chroot "$0" /bin/sh -c "$1"'
            seal = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--propagation", "private"]
            run(folder, *seal, "sh", "-c", enter, str(root), rest)
    return root


def look(program: Path, root: Path) -> str:
    """Why a VM from this image would not boot; empty if it would."""
    argv = [sys.executable, "-I", "-S", str(program)]
    found = json.loads(subprocess.check_output(argv + ["status", "--json", "--root", str(root)]).decode())
    if not found["hook"]["enabled"]:
        return "nothing would start it: %r" % found["hook"]
    if (root / "tmp" / "azure-provisioning").exists():
        return "the file that was copied in is still there"
    done = subprocess.run(argv + ["rehearse", "--root", str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if b"azureuser:x:" not in done.stdout or b"Azure accepted Ready" not in done.stderr:  # the verdict is about VMs
        return done.stderr.decode("utf-8", "replace")
    return ""


BUILDS: Dict[str, Callable[[Path], Path]] = {"mkosi": by_mkosi, "docker": by_docker}


if __name__ == "__main__":
    sys.exit(main())
