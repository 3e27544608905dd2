"""The first boot of an image without a complete Python: the shell implementation, run with this machine's tools.

It runs in namespaces of its own, in a root folder whose system folders are this machine's, read-only. The others are
those of the scratch copy, mounted noexec. Only the tools chosen here are on PATH, and a program of the image is
replaced by a stand-in of the same name: nothing of the image is executed.
"""

import os
import re
import shlex
import sys

from ...door.system import System
from ...door.text import lines_in
from ...errors import GuestError, ProvisionError
from ...guest import privilege, sshd_config
from ...guest.account import choose_shell
from ...init import manifest, table
from ...story.boot import introduce
from ..python import CLIENTS
from .scratch import Scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Tuple

    from ...console import Console

BASE = """
    base64 cat chmod chown cmp cp cut date dd grep hostname id kill ln ls mkdir mktemp mv od readlink rm rmdir sed sh
    sleep sort tail tr true wc
    """.split()  # noqa: SIM905
# The files of an image that the script reads; folders with everything in them.
FILES = (
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/login.defs",
    "/etc/shells",
    "/etc/hostname",
    "/etc/HOSTNAME",
    "/etc/slackware-version",
    "/etc/sudoers",
    "/usr/etc/sudoers",
    "/etc/nologin",
    "/etc/doas.conf",
    "/etc/default/ssh",
    "/etc/default/sshd",
    "/etc/sysconfig/sshd",
    "/etc/conf.d/sshd",
    "/etc/default/dropbear",
    "/etc/conf.d/dropbear",
    "/etc/azure-provisioning.conf",
)
FOLDERS = (
    "/etc/skel",
    "/etc/sudoers.d",
    "/etc/doas.d",
    "/etc/azure-provisioning/ready.d",
    "/var/lib/azure-provisioning",
)
SETTINGS = (
    *sshd_config.LISTS,
    "authorizedkeysfile",
    "authenticationmethods",
    "chrootdirectory",
    "forcecommand",
    "maxauthtries",
    "maxsessions",
    "maxstartups",
    "pubkeyauthentication",
    "revokedkeys",
    "strictmodes",
)
DEPTH, NUMBER = 8, 1000  # nested folders, and files in all of them
DEADLINE, SECONDS = 60, 90.0  # of the boot, and in total
BEGINNING = b"\ncase $#:$1:$2 in\n"  # the first command after the script's functions
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix", "gnu")

# $1: the root folder, $2: the copy, $3: the tools
ENTER = """
set -e
mount -t tmpfs -o mode=755 none "$1"
cd "$1"
for name in %s; do
	if [ -L "/$name" ]; then cp -P "/$name" "$name"
	elif [ -d "/$name" ]; then
		mkdir "$name"
		mount --rbind "/$name" "$name"
		mount -o remount,bind,ro "$name"
	fi
done
mkdir dev run tmp tools
for place in "$2"/*; do
	name=${place##*/}
	[ ! -e "$name" ] && [ ! -L "$name" ] || continue
	if [ -L "$place" ]; then cp -P "$place" "$name"
	elif [ -d "$place" ]; then
		mkdir "$name"
		mount --bind "$place" "$name"
		mount -o remount,bind,noexec,nosuid,nodev "$name"
	fi
done
: >dev/null
mount --bind /dev/null dev/null
mount --bind "$3" tools
mount -o remount,bind,ro tools
exec chroot . /tools/sh /tools/azure-provisioning --without-python run
""" % " ".join(SYSTEM)

# Inserted before the script's first command. Answers from the image are prepared from its files.
INSTEAD = """
option() {
	case $1 in
	imds | wireserver) echo %(endpoint)s ;;
	deadline) echo %(deadline)d ;;
	*) sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" $options 2>/dev/null | sed -n 's/[[:space:]]*$//; $p' ;;
	esac
}
choose_shell() { echo %(shell)s; }
is_shell() { case $1 in %(shells)s) ;; *) false ;; esac; }
make_host_keys() { say 'host_keys: made at the boot, not here'; }
tell_host_keys() { true; }
pass_gates() {
	for gate in "/etc/$agent/ready.d"/*[!~]; do [ ! -f "$gate" ] || say "${gate##*/}: not run"; done
}
"""


def play(system: Scratch, console: "Console", program: bytes, endpoint: str) -> int:
    """Run the boot of `system`; returns its exit code. Raises ProvisionError if this machine cannot run it."""
    here = System()
    if os.geteuid() != 0:
        raise refuse("only root, or a user with a range in /etc/subuid, can create its namespaces")
    tools = [here.find_program(name) for name in ("unshare", "mount", "chroot")]
    if None in tools or not here.is_program("/bin/sh"):
        raise refuse("unshare, mount or chroot is missing here")
    room, shelf = system.root + ".room", system.root + ".tools"
    for place in (room, shelf):
        System(os.path.dirname(place)).make_dirs("/" + os.path.basename(place))
    bring(system)
    lay_tools(system, here, System(shelf))
    System(shelf).write("/azure-provisioning", script(system, program, endpoint))
    inner = ["/bin/sh", "-c", ENTER, "sh", room, system.root, shelf]
    try:
        code, printed = here.execute(
            [str(tools[0]), "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", *inner], SECONDS
        )
    except GuestError as error:
        raise refuse(str(error)) from error
    started = False
    for line in lines_in(printed):
        words = line.partition("azure-provisioning: ")
        started = started or not words[0]
        console.say(words[2] if not words[0] and words[1] else line)
    if not started:
        raise refuse(printed.strip()[-200:] or "it ended with %d" % code)
    return code


def is_own_connection(address: "Tuple[str, int]") -> bool:
    """Is this the end, on loopback, of a connection of our user? The kernel lists the owner of each."""
    numbers = [int(part) for part in reversed(address[0].split("."))]
    if sys.byteorder == "big":
        numbers.reverse()
    wanted = "%02X%02X%02X%02X:%04X" % (*numbers, address[1])
    rows = [line.split() for line in lines_in(System().read_text("/proc/net/tcp") or "")]
    return any(len(row) > 7 and row[1] == wanted and row[7] == str(os.geteuid()) for row in rows)


def refuse(problem: str) -> ProvisionError:
    """The error for a rehearsal that cannot be run."""
    return ProvisionError(
        "the shell implementation, which this image would run, cannot be rehearsed here",
        advice="rehearse on another machine, or install the distro's full python3 package in the image",
        problem=problem,
    )


def bring(system: Scratch) -> None:
    """Copy everything that the script may read: it cannot access the image."""
    for name in system.list("/"):
        system.look("/" + name)
    system.make_dirs("/home")
    left = [NUMBER]
    paths = list(FILES)
    _, links = table.find_hook(system)
    paths += links + [link + "/run" for link in links] + [link + "/down" for link in links]
    paths += manifest.values(system, "link")
    for path in paths:
        bring_file(system, path)
    homes = [line.split(":")[5] for line in lines_in(system.read_text("/etc/passwd") or "") if line.count(":") == 6]
    for home in homes + ["/home/" + name for name in system.list("/home")]:
        if home.startswith("/home/"):
            bring_file(system, home + "/.ssh/authorized_keys")
    for folder in FOLDERS:
        bring_folder(system, folder, DEPTH, left)


def bring_file(system: Scratch, path: str) -> None:
    """Copy the content of a file; anything else stays as it is."""
    found = system.stat(path)
    if found is not None and not system.is_dir(path):
        try:
            system.read(path)
        except GuestError:
            return  # not a regular file, and neither is its stand-in


def bring_folder(system: Scratch, folder: str, depth: int, left: "List[int]") -> None:
    """Copy everything in a folder. Raises ProvisionError if it is too much."""
    for name in system.list(folder):
        left[0] -= 1
        if left[0] < 0 or depth == 0:
            raise refuse("too many files in %s" % folder)
        path = folder + "/" + name
        if system.is_dir(path) and not system.is_link(path):
            bring_folder(system, path, depth - 1, left)
        else:
            bring_file(system, path)


def lay_tools(system: Scratch, here: System, shelf: System) -> None:
    """A folder with this machine's tools, and with stand-ins for the image's tools that the script only looks for."""
    for name in BASE:
        path = here.find_program(name)
        if path is None:
            raise refuse("%s is missing here" % name)
        shelf.link(path, "/" + name)
    shelf.link(here.find_program("true") or "", "/sync")  # the copy need not reach this machine's disk
    theirs = [name for name in CLIENTS if system.find_program(name)]
    ours = [name for name in CLIENTS if here.find_program(name)]
    if theirs and not ours:
        raise refuse("there is no curl, wget or nc here")
    for name in [name for name in ours if name in theirs] or ours[: len(theirs)]:
        shelf.link(here.find_program(name) or "", "/" + name)
    if (privilege.find_sudo(system) or "").endswith("/sudo"):
        stand_in(shelf, "/sudo", "")
    if privilege.find_doas(system):
        stand_in(shelf, "/doas", "# %s\n" % privilege.DOAS_FOLDER if privilege.knows_folder(system) else "")
    if sshd_config.find_sshd(system):
        introduce(system)
        stand_in(shelf, "/sshd", "cat <<'.'\n%s\n.\n" % "\n".join(sshd_lines(system)))
    elif system.find_program("dropbear"):
        stand_in(shelf, "/dropbear", "")


def sshd_lines(system: Scratch) -> "Iterator[str]":
    """The settings of sshd that the script reads, as `sshd -T` prints them: each pattern on a line of its own."""
    said = sshd_config.settings(system)
    for key in SETTINGS:
        values = said[key].split() if key in sshd_config.LISTS and key in said else [said.get(key, "")]
        yield from ("%s %s" % (key, value) for value in values if value and "\n" not in value)


def stand_in(shelf: System, path: str, text: str) -> None:
    """A program that prints a text."""
    shelf.write(path, "#!/bin/sh\n" + text, mode=0o755)


def script(system: Scratch, program: bytes, endpoint: str) -> bytes:
    """The script of the file, with our tools, and with our functions in place of those that run the image's
    programs."""
    text, found, rest = program.partition(BEGINNING)
    text, count = re.subn(rb"(?m)^export PATH=\S+", b"export PATH=/tools", text)
    if not found or count != 1:
        raise refuse("this file has no shell implementation")
    shells = [line.split(":")[6] for line in lines_in(system.read_text("/etc/passwd") or "") if line.count(":") == 6]
    usable = sorted({shell for shell in shells if shell and system.is_program(shell)} | {first_shell(system)})
    instead = INSTEAD % {
        "endpoint": endpoint,
        "deadline": DEADLINE,
        "shell": shlex.quote(first_shell(system)),
        "shells": " | ".join(map(shlex.quote, usable)),
    }
    return text + instead.encode("utf-8", "surrogateescape") + found + rest


def first_shell(system: Scratch) -> str:
    """The shell that the administrator would get."""
    try:
        return choose_shell(system)
    except GuestError:
        return "/bin/sh"
