"""Pristine Debian trees, one for each release and init system, kept between runs and never changed: copy them."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

RELEASES = ("bullseye", "bookworm", "trixie", "sid")
COMMON = ("python3", "openssh-server", "ifupdown")
# By default mmdebstrap adds the security archive. It lists packages of a release without support that are gone.
SOURCES = {"bullseye": ("deb http://deb.debian.org/debian bullseye main",)}
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

# sysv-rc depends on insserv, but a tree without startpar's files boots by the numbers of its links.
WITHOUT_INSSERV = """
dpkg --purge --force-depends insserv
rm -f /etc/init.d/.depend.boot /etc/init.d/.depend.start /etc/init.d/.depend.stop /etc/insserv.conf
"""


# If ssh is a runit service, its script is skipped. Here it must be one of the scripts.
SSH_BY_ITS_SCRIPT = "rm -rf /etc/sv/ssh"


class Kind(NamedTuple):
    """How a tree is made, and what `install` should find in it."""

    init: str
    packages: Tuple[str, ...]
    setup: str


KINDS: Dict[str, Kind] = {
    "systemd": Kind("systemd", ("systemd-sysv", "sudo"), ""),
    "insserv": Kind("sysvinit", ("sysvinit-core", "sysv-rc"), ""),
    "plain": Kind("sysvinit", ("sysvinit-core", "sysv-rc"), WITHOUT_INSSERV),
    "openrc": Kind("openrc", ("sysvinit-core", "openrc"), ""),
    "runit": Kind("sysvinit", ("runit-init",), SSH_BY_ITS_SCRIPT),
}


def cache() -> Path:
    """The cache folder that is kept between runs; never inside the checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "azure-provisioning-boot" / "distro"


def tree(release: str, kind: str, extra: Tuple[str, ...] = ()) -> Path:
    """The root of a tree, with `extra` packages, built now if this recipe has none yet."""
    made = KINDS[kind]._replace(packages=KINDS[kind].packages + extra)
    recipe = repr((release, COMMON, made, EXCLUDED))
    name = "%s-%s-%s" % (release, kind, hashlib.sha256(recipe.encode()).hexdigest()[:12])
    root = cache() / name
    if not root.is_dir():
        cache().mkdir(parents=True, exist_ok=True)
        log = cache() / ("%s-%s.log" % (release, kind))
        print("making the tree %s, a minute (%s)" % (name, log), flush=True)
        unfinished = cache() / (name + ".unfinished")
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        with open(log, "wb") as out:
            for argv in recipe_commands(release, made, unfinished):
                subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
        unfinished.rename(root)
    return root


def recipe_commands(release: str, kind: Kind, root: Path) -> List[List[str]]:
    """The commands that make a tree at `root`."""
    make = ["mmdebstrap", "--mode=root", "--variant=minbase", "--include=" + ",".join(COMMON + kind.packages)]
    make += ["--dpkgopt=path-exclude=" + path for path in EXCLUDED]
    if release == "sid":
        make.append('--aptopt=Acquire::Check-Valid-Until "false"')
    commands = [make + [release, str(root), *SOURCES.get(release, ())]]
    if kind.setup:
        commands.append(inside(root, "/bin/sh", "-e", "-c", kind.setup))
    return commands


def inside(root: Path, *argv: str) -> List[str]:
    """A command that runs `argv` in a chroot, sealed from this machine's network, names, processes and mounts.

    PID 1 of the namespace is the shell, outside the chroot: the program in it is not on a running system, as in a
    `chroot` that a person types.
    """
    seal = ["unshare", "--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "--propagation", "private"]
    script = (
        'mount -t proc proc "$0/proc"; env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot "$0" "$@"; exit $?'
    )
    return seal + ["sh", "-c", script, str(root)] + list(argv)
