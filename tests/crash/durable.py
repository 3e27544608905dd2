"""What a power cut would lose: no file is replaced, and no boot ends, before the data is on the disk.

Checked on the system calls of a whole boot, independent of timing and of the code:
- a file is renamed into place only when that file is on the disk: an `fsync` or a `sync` follows its last change;
- a name that we change (renamed, removed, linked) is on the disk before we change another, talk to Azure, or end;
- a fact in the state ("configured_at") is written only when the disk has all that it claims, the tools' work too;
- the boot hook goes only when the disk has a state that says that Azure accepted Ready.
"""

import os
import stat
from typing import Callable, Dict, List, Optional, Set, Tuple

from azure_provisioning.door.files import is_below
from azure_provisioning.story.state import PATH as STATE
from tests.crash.room import HOOK, LOG, PROGRAM, Room
from tests.crash.tracer import SYNCING, Call, Watch

VOLATILE = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run")
FACTS = (b"prepared_at=", b"configured_at=", b"ready_at=")
AT_FDCWD = 0xFFFFFF9C
LEAST = 8  # renames in a first boot; fewer mean that the tracer misses some

# The argument with the descriptor, or with the folder's descriptor (None: the current folder), and the path's.
WRITING = {
    "write": 0, "pwrite64": 0, "writev": 0, "pwritev": 0, "pwritev2": 0, "sendfile": 0, "copy_file_range": 2,
    "ftruncate": 0, "fallocate": 0, "fchmod": 0, "fchown": 0, "fsetxattr": 0, "fremovexattr": 0,
}  # fmt: skip
ALTERING = {
    "truncate": (None, 0), "chmod": (None, 0), "chown": (None, 0), "setxattr": (None, 0), "removexattr": (None, 0),
    "fchmodat": (0, 1), "fchmodat2": (0, 1), "fchownat": (0, 1),
}  # fmt: skip
MAKING = {
    "mkdir": (None, 0), "mkdirat": (0, 1), "mknod": (None, 0), "mknodat": (0, 1), "open": (None, 0), "openat": (0, 1),
    "creat": (None, 0),
}  # fmt: skip
LINKING = {"symlink": (None, 1), "symlinkat": (1, 2), "link": (None, 1), "linkat": (2, 3)}
REMOVING = {"unlink": (None, 0), "unlinkat": (0, 1), "rmdir": (None, 0)}
RENAMING = {"rename": ((None, 0), (None, 1)), "renameat": ((0, 1), (2, 3)), "renameat2": ((0, 1), (2, 3))}
TALKING = ("connect", "sendto", "sendmsg")

Argument = Tuple[Optional[int], int]
Identity = Tuple[int, int]


class Place:
    """The meaning of a process's path: for us (`outside`) and for the guest (`path`; empty if it is not on its
    disk)."""

    def __init__(self, watch: "Durability", call: Call, argument: Argument) -> None:
        folder, number = argument
        text = call.text(number)
        link = "/proc/%d/root" % call.pid
        if not text.startswith("/"):
            descriptor = AT_FDCWD if folder is None else call.arguments[folder] & 0xFFFFFFFF
            name = "cwd" if descriptor == AT_FDCWD else "fd/%d" % descriptor
            link = "/proc/%d/%s" % (call.pid, name)
            text = read_link(link) + "/" + text
            self.outside = link + "/" + call.text(number)
        else:
            self.outside = link + text
        text = os.path.normpath(text)
        self.path = watch.on_disk(call, text)
        root = read_link("/proc/%d/root" % call.pid)
        within = text[len(root) :] if root != "/" and (text + "/").startswith(root + "/") else text
        self.whole = "/proc/%d/root%s" % (call.pid, within)  # for us, with the guest's path at its end
        self.folder = identify(os.path.dirname(self.outside), follow=True)
        self.file = identify(self.outside)

    def holds(self, test: "Callable[[int], bool]") -> bool:
        """Does a path of this kind exist?"""
        try:
            return test(os.lstat(self.outside).st_mode)
        except OSError:
            return False

    def read(self) -> bytes:
        """The content of the file."""
        with open(self.outside, "rb") as file:
            return file.read()


class Durability(Watch):
    """Tracks the changes that may not be on the disk yet, and the actions taken despite that.

    `inside` turns a path of this machine into a guest's path, or "" if it is not the guest's. `ours` names the programs
    that are checked at each call. Work of others is checked when the state claims it.
    """

    def __init__(
        self,
        inside: "Callable[[str], str]" = str,
        ours: "Callable[[str], bool]" = lambda program: program.startswith("python"),
        hooks: "Tuple[str, ...]" = (HOOK,),
        begins: str = "",
    ) -> None:
        self.inside, self.ours, self.hooks = inside, ours, hooks
        self.begins = begins  # counting starts at a program with this among its arguments
        self.files: "Dict[Identity, str]" = {}  # changed, but not synced
        self.names: "Dict[Identity, Set[str]]" = {}  # the same for folders: names added or removed in them
        self.made: "Set[str]" = set()  # new files, not synced
        self.pending: "Dict[Identity, str]" = {}  # names that must be synced before we continue
        self.faults: "List[str]" = []
        self.renamed: "List[str]" = []
        self.hooks_gone: "List[str]" = []

    def on_disk(self, call: Call, path: str) -> str:
        """The guest's name of a path as /proc shows it; empty if it is not on its disk."""
        root = read_link("/proc/%d/root" % call.pid)
        if root != "/" and (path + "/").startswith(root + "/"):
            path = path[len(root) :] or "/"
        path = self.inside(path)
        return "" if not path.startswith("/") or path == LOG or is_below(path, *VOLATILE) else path

    def on_exec(self, pid: int, argv: bytes, environment: bytes) -> None:
        if self.begins and self.begins.encode("ascii") in argv.split(b"\0"):
            Durability.__init__(self, self.inside, self.ours, self.hooks)

    def on_call(self, call: Call) -> str:
        if call.name in SYNCING.values():
            self.files.clear()
            self.names.clear()
            self.made.clear()
            self.pending.clear()
        elif call.name in ("fsync", "fdatasync"):
            self.on_fsync(call)
        elif call.name in WRITING:
            self.change(call, call.arguments[WRITING[call.name]])
        elif call.name in ALTERING:
            self.alter(Place(self, call, ALTERING[call.name]))
        elif call.name in MAKING:
            self.make(call, Place(self, call, MAKING[call.name]))
        elif call.name in LINKING:
            self.rename_or_remove(call, Place(self, call, LINKING[call.name]))
        elif call.name in REMOVING:
            self.remove(call, Place(self, call, REMOVING[call.name]))
        elif call.name in RENAMING:
            old, new = RENAMING[call.name]
            self.rename(call, Place(self, call, old), Place(self, call, new))
        elif call.name in TALKING and self.ours(call.program):
            self.go_on("%s to another" % call.name)
        return ""

    # -- the account --------------------------------------------------------------------------------------------------

    def on_fsync(self, call: Call) -> None:
        link = "/proc/%d/fd/%d" % (call.pid, call.arguments[0])
        found = identify(link, follow=True)
        if found is not None:
            self.files.pop(found, None)
            self.names.pop(found, None)
            self.pending.pop(found, None)
            self.made.discard(self.on_disk(call, read_link(link)))

    def change(self, call: Call, descriptor: int) -> None:
        link = "/proc/%d/fd/%d" % (call.pid, descriptor)
        path, found = self.on_disk(call, read_link(link)), identify(link, follow=True)
        if path and found is not None and not stat.S_ISCHR(os.stat(link).st_mode):
            self.files[found] = path

    def alter(self, place: Place) -> None:
        if place.path and place.file is not None:
            self.files[place.file] = place.path
            self.judge_hook(place)

    def make(self, call: Call, place: Place) -> None:
        flags = call.arguments[{"open": 1, "openat": 2}[call.name]] if call.name in ("open", "openat") else os.O_CREAT
        if not place.path or place.folder is None:
            return
        if place.file is not None:
            if flags & os.O_TRUNC:
                self.files[place.file] = place.path
        elif flags & os.O_CREAT:
            self.names.setdefault(place.folder, set()).add(place.path)
            if "dir" not in call.name:
                self.made.add(place.path)

    def forget(self, place: Place) -> None:
        """The file loses this name. If it is the last name, the file's data no longer counts."""
        self.made.discard(place.path)
        if place.file is not None and os.lstat(place.outside).st_nlink == 1:
            self.files.pop(place.file, None)

    # -- the rules ----------------------------------------------------------------------------------------------------

    def rename_or_remove(self, call: Call, place: Place) -> None:
        """A name in a folder has changed."""
        if place.path and place.folder is not None:
            if self.ours(call.program) and not is_spare(place.path):
                self.go_on("%s %s" % (call.name, place.path))
                self.pending[place.folder] = place.path
            self.names.setdefault(place.folder, set()).add(place.path)

    def remove(self, call: Call, place: Place) -> None:
        if place.file is None:
            return
        self.forget(place)
        self.judge_hook(place)
        if call.name != "rmdir":
            self.rename_or_remove(call, place)

    def rename(self, call: Call, old: Place, new: Place) -> None:
        if old.file is None or not new.path:
            return
        if self.ours(call.program) and old.holds(stat.S_ISREG):
            self.renamed.append(new.path)
            if old.file in self.files or old.path in self.made:
                self.faults.append("%s took its place before the disk had it" % new.path)
        if new.path == STATE:
            self.judge_state(old, new)
        if new.file is not None:
            self.forget(new)
        self.made.discard(old.path)
        if old.file in self.files:
            self.files[old.file] = new.path
        self.names.get(old.folder or (0, 0), set()).discard(old.path)
        self.rename_or_remove(call, new)
        self.judge_hook(new)

    def judge_state(self, spare: Place, state: Place) -> None:
        """A new fact in it claims that everything before it is done."""
        known = b"" if state.file is None else state.read()
        if any(fact in spare.read() and fact not in known for fact in FACTS):
            late = set(self.files.values()) - {spare.path}
            for names in self.names.values():
                late |= names - {spare.path}
            self.faults += ["the state speaks of %s, which the disk may not have" % path for path in sorted(late)]

    def judge_hook(self, hook: Place) -> None:
        """If it is gone or changed, no later boot reports Ready."""
        if hook.path not in self.hooks:
            return
        self.hooks_gone.append(hook.path)
        root = hook.whole[: -len(hook.path)] if hook.whole.endswith(hook.path) else ""
        try:
            with open(root + STATE, "rb") as file:
                found, content = identify(root + STATE), file.read()
        except OSError:
            found, content = None, b""
        folder = identify(os.path.dirname(root + STATE), follow=True)
        if not root or b"ready_at=" not in content or found in self.files or folder in self.pending:
            self.faults.append("%s went before the disk knew of Ready" % hook.path)

    def go_on(self, to_what: str) -> None:
        """The program does something else: everything before must be durable."""
        for path in self.pending.values():
            self.faults.append("the disk may not have the name %s before: %s" % (path, to_what))
        self.pending.clear()

    def end(self) -> "List[str]":
        """The boot is over: all faults."""
        self.go_on("the end")
        return self.faults


def look_for_losses(room: Room) -> "Tuple[List[str], str]":
    """(faults, checks) of one boot of a fresh disk."""
    room.begin()
    watch = Durability(begins=PROGRAM)
    end = room.boot(watch)
    problems = watch.end()
    if end.code != 0 or len(watch.renamed) < LEAST or watch.hooks_gone != [HOOK]:
        problems.append("the boot ended with %s after %d renames" % (end.code, len(watch.renamed)))
    return problems, "%d files were renamed into place, and the boot hook removed" % len(watch.renamed)


def is_spare(path: str) -> bool:
    """Is it a temporary file that never gets a name of its own?"""
    return os.path.basename(path).startswith(".") and path.endswith(".azure-provisioning")


def identify(place: str, follow: bool = False) -> "Optional[Identity]":
    """The identity of the file, whatever its name; None if there is none."""
    try:
        found = os.stat(place) if follow else os.lstat(place)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_link(link: str) -> str:
    """The text of a symlink of /proc; empty if it is gone."""
    try:
        return os.readlink(link)
    except OSError:
        return ""
