"""A sealed machine in memory: a Debian tree with an overlay, a DVD, and an Azure at Azure's own two addresses.

All of it is in namespaces of mounts, network and names that the process was started in. Nothing leads out of them.
"""

import base64
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from http.server import HTTPServer
from typing import Dict, List, NamedTuple, Optional, Tuple

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI
from azure_provisioning.azure.kvp import POOL
from azure_provisioning.door.system import System
from azure_provisioning.image.rehearse.fake_azure import VM_ID, FakeAzure, Handler, Platform
from tests.crash.tracer import Watch, arm, libc, trace
from tests.secrets import OVF, USER_DATA

ADDRESSES = ("168.63.129.16", "169.254.169.254")
PROGRAM = "/usr/local/sbin/azure-provisioning"
COMMAND = ["/usr/bin/python3", "-I", "-S", PROGRAM, "run"]
HOOK = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"
LOG = "/var/log/azure-provisioning.log"
STATE = "/var/lib/azure-provisioning/state"
USER = "azureuser"
SECONDS = 150.0  # for one boot
NEWNS, NEWUTS, NEWIPC, NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
DVD = 9  # the descriptor by which the stand-in for `mount` finds the DVD

# A kernel without UDF, and a drive with an ISO 9660 medium: not every host kernel has either.
MOUNT = """#!/bin/sh
case "$2" in
iso9660) exec /usr/bin/mount.real --no-canonicalize --bind /proc/1/fd/%d "$6" ;;
*) echo "mount: $6: unknown filesystem type '$2'." >&2; exit 32 ;;
esac
"""

Entry = Tuple[str, int, int, int, bytes]
Listing = Dict[str, Entry]


class End(NamedTuple):
    """The end of one boot: its exit code, or None if it was interrupted, and what it left outside the disk."""

    code: Optional[int]
    left: Dict[str, List[str]]


class Room:
    """The machine, in a scratch folder; one disk at a time."""

    def __init__(self, scratch: str, tree: str, program: str) -> None:
        interfaces = [name for _, name in socket.if_nameindex()]
        if interfaces != ["lo"]:
            raise SystemExit("this is not a network of our own: %s" % " ".join(interfaces))
        for address in ADDRESSES:
            must("ip", "address", "add", address + "/32", "dev", "lo")
        must("ip", "link", "set", "lo", "up")
        must("mount", "-t", "tmpfs", "none", scratch)
        self.scratch, self.tree = scratch, tree
        self.root, self.dvd = os.path.join(scratch, "root"), os.path.join(scratch, "dvd")
        self.story = os.path.join(scratch, "story")  # the output of the boots
        self.boots = 0
        self.requests: List[str] = []  # the requests to Azure since its reports were last taken
        for name in ("root", "dvd", "image"):
            os.mkdir(os.path.join(scratch, name))
        self.fill_dvd()
        self.fill_image(program)
        self.azure = start_azure()

    def fill_dvd(self) -> None:
        """The DVD."""
        must("mount", "-t", "tmpfs", "none", self.dvd)
        with open(os.path.join(self.dvd, "ovf-env.xml"), "w", encoding="utf-8") as file:
            file.write(OVF)

    def fill_image(self, program: str) -> None:
        """The tree with an installation, made by `install`, on hardware like Azure's."""
        image = os.path.join(self.scratch, "image")
        self.mount(self.tree, image)
        guest = System(self.root)
        device = os.stat(self.dvd).st_dev
        files = {
            "/etc/hostname": "image\n",
            "/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\timage\n",
            "/etc/skel/.profile": "# of the skeleton\n",
            "/etc/azure-provisioning/ready.d/10-look": "#!/bin/sh\necho looked\n",
            DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
            DMI + "/product_uuid": VM_ID + "\n",
            "/sys/block/sr0/size": "700\n",
            "/sys/block/sr0/dev": "%d:%d\n" % (os.major(device), os.minor(device)),
            "/sys/firmware/acpi/tables/OEM0": "random bytes of the host",
            POOL: "",
        }
        for path, text in files.items():
            guest.write(path, text, mode=0o755 if "ready.d" in path else 0o644)
        os.rename(self.place("/usr/bin/mount"), self.place("/usr/bin/mount.real"))
        guest.write("/usr/bin/mount", MOUNT % DVD, mode=0o755)
        os.makedirs(self.place("/etc/ssh/sshd_config.d"), exist_ok=True)
        must(sys.executable, "-I", program, "install", "--root", self.root)
        del guest  # it holds the root open
        must("umount", self.root)

    def place(self, path: str) -> str:
        """The path on the host of a path in the guest."""
        return self.root + path

    def mount(self, lower: str, upper: str) -> None:
        """Put `upper` over `lower` at the root."""
        work = upper + ".work"
        os.makedirs(work, exist_ok=True)
        must(
            "mount", "-t", "overlay", "-o", "lowerdir=%s,upperdir=%s,workdir=%s" % (lower, upper, work), "o", self.root
        )

    def begin(self) -> None:
        """A fresh disk in place of the last, and an Azure without requests."""
        if os.path.ismount(self.root):
            self.finish()
        upper = os.path.join(self.scratch, "upper")
        os.makedirs(upper)
        self.mount("%s:%s" % (os.path.join(self.scratch, "image"), self.tree), upper)
        self.take_reports()
        open(self.story, "w").close()
        self.boots = 0

    def finish(self) -> None:
        """Drop the disk."""
        must("umount", self.root)
        for name in ("upper", "upper.work"):
            shutil.rmtree(os.path.join(self.scratch, name))

    def take_reports(self) -> List[str]:
        """The reports that Azure has accepted since the last call."""
        self.azure.sendall(b"?\n")
        with self.azure.makefile("rb") as answers:
            reports, self.requests = json.loads(answers.readline().decode("ascii"))
        return [str(report) for report in reports]

    def boot(self, watch: Watch) -> End:
        """One boot of this disk, as far as it concerns the program."""
        self.boots += 1
        end = os.path.join(self.scratch, "end")
        if os.path.exists(end):
            os.unlink(end)
        code = trace(lambda: start(self, end), watch, SECONDS)
        if not os.path.exists(end):
            return End(None, {})
        with open(end, encoding="utf-8") as file:
            return End(code, json.load(file))

    def is_hooked(self) -> bool:
        """Would the next boot start us?"""
        return os.path.islink(self.place(HOOK))

    def changes(self) -> Listing:
        """Every path that differs from the image. A missing one has the kind "gone"."""
        upper, found = os.path.join(self.scratch, "upper"), {}
        for folder, folders, files in os.walk(upper):
            for name in folders + files:
                path = os.path.join(folder, name)[len(upper) :]
                here = look(self.place(path))
                if here != look(os.path.join(self.scratch, "image") + path, self.tree + path):
                    found[path] = here
        return found


def look(*places: str) -> Entry:
    """Kind, mode, owner, group, and the content with its extended attributes, of the first existing path."""
    for place in places:
        try:
            what = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        kind, content = "other", b""
        if stat.S_ISCHR(what.st_mode) and what.st_rdev == 0:
            break  # an overlay's mark for a removed file
        if stat.S_ISLNK(what.st_mode):
            kind, content = "link", os.fsencode(os.readlink(place))
        elif stat.S_ISDIR(what.st_mode):
            kind = "folder"
        elif stat.S_ISREG(what.st_mode):
            with open(place, "rb") as file:
                kind, content = "file", file.read()
        names = [name for name in os.listxattr(place, follow_symlinks=False) if not name.startswith("trusted.overlay")]
        content += b"".join(
            b"\0%s\0%s" % (os.fsencode(name), os.getxattr(place, name, follow_symlinks=False)) for name in names
        )
        return kind, stat.S_IMODE(what.st_mode), what.st_uid, what.st_gid, content
    return "gone", 0, 0, 0, b""


def must(*argv: str) -> None:
    """Run a program of this machine, which must succeed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit("%s failed: %s" % (argv[0], done.stdout.decode("utf-8", "replace")))


# -- inside the guest: run in forks of the harness ------------------------------------------------------------------


def start(room: Room, end: str) -> int:
    """Fork process 1 of a new machine, and wait for it."""
    unshare(NEWPID)
    first = os.fork()
    if first == 0:
        code = 98
        try:
            code = first_process(room, end)
        finally:
            os._exit(code)
    _, status = os.waitpid(first, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def first_process(room: Room, end: str) -> int:
    """The work that an init does for us: the mounts, the name, the program."""
    unshare(NEWNS | NEWUTS | NEWIPC)
    os.dup2(os.open(room.dvd, os.O_RDONLY), DVD, inheritable=False)
    for name in ("run", "dev"):
        must("mount", "-t", "tmpfs", "none", room.place("/" + name))
    must("mount", "-t", "proc", "proc", room.place("/proc"))
    for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
        os.mknod(room.place("/dev/" + name), 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        os.chmod(room.place("/dev/" + name), 0o666)
    with open(room.place("/etc/hostname")) as file:
        socket.sethostname(file.read().strip())
    with open(room.place("/proc/sys/kernel/ns_last_pid"), "w") as last:
        last.write("%d" % (1000 * room.boots))  # no pid occurs in two boots, so that a stale lock is seen as stale
    story = os.open(room.story, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    result = os.open(end + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    folder = os.open(os.path.dirname(end), os.O_RDONLY | os.O_CLOEXEC)
    os.chroot(room.root)
    os.chdir("/")
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.umask(0o022)
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(story, 1)
            os.dup2(story, 2)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            arm()
            os.execve(COMMAND[0], COMMAND, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        finally:
            os._exit(97)
    status = 0
    pid = -1
    while pid != child:
        pid, status = os.wait()
    with open("/proc/self/mountinfo") as mounts:
        points = sorted(line.split()[4] for line in mounts)
    run = sorted(os.path.join(top, name) for top, folders, files in os.walk("/run") for name in folders + files)
    left = {"hostname": [os.uname().nodename], "mounts": points, "run": run}
    os.write(result, json.dumps(left).encode("ascii"))
    name = os.path.basename(end)
    os.rename(name + ".new", name, src_dir_fd=folder, dst_dir_fd=folder)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def unshare(flags: int) -> None:
    """New namespaces for this process, or for its children."""
    if libc.unshare(ctypes.c_int(flags)) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


# -- the Azure ------------------------------------------------------------------------------------------------------


class RoomAzure(FakeAzure):
    """The Azure of the rehearsal, at Azure's addresses."""

    def __init__(self) -> None:
        Platform.__init__(self)
        HTTPServer.__init__(self, ("0.0.0.0", 80), Handler)
        compute, extended = self.instance["compute"], self.instance["extended"]["compute"]
        compute["userData"] = base64.b64encode(USER_DATA).decode("ascii")
        profile = compute["osProfile"]
        assert isinstance(profile, dict) and isinstance(extended, dict)
        profile["disablePasswordAuthentication"] = "false"
        extended["hasCustomData"] = True


def start_azure() -> socket.socket:
    """It runs in its own process, because forks beside its threads would be unsafe. It is queried through a socket."""
    ours, its = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        try:
            serve_azure(its)
        finally:
            os._exit(0)
    its.close()
    return ours


def serve_azure(asker: socket.socket) -> None:
    """Until the connection ends. The answer to each line is everything received and accepted since the last."""
    with RoomAzure() as azure, asker.makefile("rb") as questions:
        for _ in questions:
            requests = ["%s %s\n%s" % (seen.target, seen.headers, seen.body) for seen in azure.requests]
            answer = json.dumps([azure.reports, requests])
            azure.requests[:], azure.reports[:] = [], []
            asker.sendall(answer.encode("ascii") + b"\n")


def without_times(path: str, entry: Entry) -> Entry:
    """The entry without values that differ between any two boots: times, salts, keys and the log."""
    kind, mode, owner, group, content = entry
    if path == LOG:
        content = b""
    elif path == STATE:
        content = re.sub(rb"(?m)^(\w+_at)=.*$", rb"\1=then", content)
        content = re.sub(rb"(?m)^(step|at|warning)\..*\n", b"", content)  # the timeline of the last boot
    elif path == POOL:
        content = re.sub(rb"timestamp=[^|\"\0]*", b"timestamp=then", content)
    elif path == "/etc/shadow":
        content = re.sub(rb"(?m)^(%s:)\$[^:]*:\d+:" % USER.encode("ascii"), rb"\1$hash:today:", content)
    elif re.match(r"/etc/ssh/ssh_host_\w+_key", path):
        content = b"a key"
    return kind, mode, owner, group, content
