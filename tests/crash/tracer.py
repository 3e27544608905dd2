"""A program and all its children, held before each system call that changes something: ptrace and seccomp by ctypes.

x86-64 only: the system call numbers are of that architecture.
"""

import ctypes
import os
import signal
import struct
import time
from contextlib import suppress
from typing import Callable, Dict, List, NamedTuple, Set, Tuple

MACHINE = "x86_64"
AUDIT_ARCH = 0xC000003E

CHANGING = {
    1: "write", 18: "pwrite64", 20: "writev", 40: "sendfile", 42: "connect", 44: "sendto", 46: "sendmsg", 62: "kill",
    74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir", 85: "creat",
    86: "link", 87: "unlink", 88: "symlink", 90: "chmod", 91: "fchmod", 92: "chown", 93: "fchown", 94: "lchown",
    132: "utime", 133: "mknod", 165: "mount", 166: "umount2", 170: "sethostname", 188: "setxattr", 189: "lsetxattr",
    190: "fsetxattr", 197: "removexattr", 198: "lremovexattr", 199: "fremovexattr", 235: "utimes", 258: "mkdirat",
    259: "mknodat", 260: "fchownat", 261: "futimesat", 263: "unlinkat", 264: "renameat", 265: "linkat",
    266: "symlinkat", 268: "fchmodat", 280: "utimensat", 285: "fallocate", 296: "pwritev", 316: "renameat2",
    326: "copy_file_range", 328: "pwritev2", 437: "openat2", 452: "fchmodat2",
}  # fmt: skip
OPENING = {2: ("open", 1), 257: ("openat", 2)}  # and the argument with the flags
OPENED_TO_CHANGE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
SYNCING = {162: "sync", 306: "syncfs"}  # for all disks of this machine, not only the guest's: seen, but never executed
NAMES = {**CHANGING, **SYNCING, **{number: name for number, (name, _) in OPENING.items()}}

# linux/ptrace.h, linux/seccomp.h, linux/filter.h
TRACEME, POKEUSER, CONT, SETOPTIONS, GETEVENTMSG, GET_SYSCALL_INFO = 0, 6, 7, 0x4200, 0x4201, 0x420E
RESULT, NUMBER = 8 * 10, 8 * 15  # offsets of rax and orig_rax for POKEUSER
EVENT_FORKS, EVENT_EXEC, EVENT_SECCOMP = (1, 2, 3), 4, 7
OPTIONS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << EVENT_EXEC | 1 << EVENT_SECCOMP | 1 << 20  # the last one is EXITKILL
INFO = struct.Struct("=B3xIQQQ6QI4x")
SET_PDEATHSIG, SET_SECCOMP, SET_NO_NEW_PRIVS, FILTER = 1, 22, 38, 2
ALLOW, TRACE = 0x7FFF0000, 0x7FF00000
LOAD, EQUAL, ANY_OF, RETURN = 0x20, 0x15, 0x45, 0x06
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Call(NamedTuple):
    """One system call, before it is made."""

    pid: int
    program: str
    name: str
    arguments: Tuple[int, ...]

    def memory(self, address: int, size: int) -> bytes:
        """The caller's memory at an address; empty if there is none."""
        try:
            with open("/proc/%d/mem" % self.pid, "rb", buffering=0) as memory:
                memory.seek(address)
                return memory.read(size)
        except (OSError, OverflowError, ValueError):
            return b""

    def data(self) -> bytes:
        """The bytes that the call would write or send."""
        if self.name in ("write", "pwrite64", "sendto"):
            return self.memory(self.arguments[1], self.arguments[2])
        if self.name in ("writev", "pwritev", "pwritev2"):
            vector, count = self.arguments[1], self.arguments[2]
        elif self.name == "sendmsg":
            message = self.memory(self.arguments[1], 32)
            vector, count = struct.unpack("=16xQQ", message) if len(message) == 32 else (0, 0)
        else:
            return b""
        pairs = struct.iter_unpack("=QQ", self.memory(vector, 16 * min(count, 1024)))
        return b"".join(self.memory(address, size) for address, size in pairs)

    def text(self, number: int) -> str:
        """The path that an argument points to, as the caller wrote it."""
        return os.fsdecode(self.memory(self.arguments[number], 4096).partition(b"\0")[0])

    def target(self) -> str:
        """The target of a write."""
        try:
            return os.readlink("/proc/%d/fd/%d" % (self.pid, self.arguments[0]))
        except OSError:
            return "?"


class Watch:
    """The action at each stop. Every method may be overridden."""

    def on_exec(self, pid: int, argv: bytes, environment: bytes) -> None:
        """A program begins."""

    def on_call(self, call: Call) -> str:
        """A call is about to change something: "" continues, "alone" kills its process, "cut" kills the whole guest."""
        return ""


def trace(start: "Callable[[], int]", watch: Watch, seconds: float) -> int:
    """Run `start` in a child, which must fork the guest's first process and wait for it; returns its exit code.

    Programs of the guest are seen after `arm`. Raises TimeoutError after all of them have been killed.
    """
    top = os.fork()
    if top == 0:
        code = 99
        try:
            die_with_parent()  # first: a stopped child without a tracer would stay forever
            ptrace(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            code = start()
        finally:
            os._exit(code)
    os.waitpid(top, WALL)
    ptrace(SETOPTIONS, top, 0, OPTIONS)
    ptrace(CONT, top)
    return Tracer(top, watch, seconds).follow()


class Tracer:
    """The stops of one guest."""

    def __init__(self, top: int, watch: Watch, seconds: float) -> None:
        self.top, self.watch = top, watch
        self.alive: Set[int] = set()  # all but the top process
        self.ends = time.monotonic() + seconds
        self.programs: Dict[int, str] = {}

    def follow(self) -> int:
        """Until the top process has ended."""
        signal.signal(signal.SIGALRM, self.on_alarm)
        signal.setitimer(signal.ITIMER_REAL, max(0.1, self.ends - time.monotonic()), 1.0)
        late = False
        try:
            while True:
                try:
                    pid, status = os.waitpid(-1, WALL)
                except TimeoutError:
                    late = True
                    self.cut()
                    continue
                if os.WIFSTOPPED(status):
                    self.on_stop(pid, os.WSTOPSIG(status), status >> 16)
                    continue
                self.alive.discard(pid)
                if pid == self.top:
                    if late:
                        raise TimeoutError("the guest took too long")
                    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    @staticmethod
    def on_alarm(*_: object) -> None:
        raise TimeoutError

    def cut(self) -> None:
        """Kill the guest: all its processes at once, before any of them continues."""
        for pid in self.alive or {self.top}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def on_stop(self, pid: int, number: int, event: int) -> None:
        deliver = 0
        if event == EVENT_SECCOMP:
            self.on_seccomp(pid)
        elif event == EVENT_EXEC:
            argv, environment = read(pid, "cmdline"), read(pid, "environ")
            self.programs[pid] = os.path.basename(argv.split(b"\0")[0].decode("utf-8", "replace"))
            self.watch.on_exec(pid, argv, environment)
        elif event in EVENT_FORKS:
            message = ctypes.c_ulong()
            ptrace(GETEVENTMSG, pid, 0, ctypes.addressof(message))
            self.alive.add(int(message.value))
            self.programs.setdefault(int(message.value), self.programs.get(pid, ""))
        elif number != signal.SIGSTOP:  # every new process begins with this signal, and nothing else here stops
            deliver = number
        ptrace(CONT, pid, 0, deliver, gone=True)

    def on_seccomp(self, pid: int) -> None:
        info = ctypes.create_string_buffer(INFO.size)
        if ptrace(GET_SYSCALL_INFO, pid, INFO.size, ctypes.addressof(info), gone=True) <= 0:
            return
        fields = INFO.unpack(info.raw)
        call = Call(pid, self.programs.get(pid, ""), NAMES.get(fields[4], "?"), fields[5:11])
        if call.name in SYNCING.values():  # without a number the call is not made, and returns the value set here
            ptrace(POKEUSER, pid, NUMBER, -1, gone=True)
            ptrace(POKEUSER, pid, RESULT, 0, gone=True)
        verdict = self.watch.on_call(call)
        if verdict == "cut":
            self.cut()
        elif verdict == "alone":
            os.kill(pid, signal.SIGKILL)


def ptrace(request: int, pid: int, address: int = 0, data: int = 0, gone: bool = False) -> int:
    """The system call. With `gone`, an error is ignored if the process has been killed meanwhile."""
    result = int(libc.ptrace(request, pid, address, data))
    if result < 0 and not gone:
        raise OSError(ctypes.get_errno(), "ptrace")
    return result


def read(pid: int, name: str) -> bytes:
    """A file of /proc about a process."""
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()
    except OSError:
        return b""


def die_with_parent() -> None:
    """This process ends when its parent does."""
    libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def arm() -> None:
    """From now on this process and all its children stop at the calls that change something."""
    program = rules()
    code = b"".join(struct.pack("=HBBI", *rule) for rule in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("=H6xQ", len(program), ctypes.addressof(buffer))
    pointer = ctypes.create_string_buffer(header, len(header))
    if os.geteuid() != 0:  # otherwise only root may
        libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(pointer), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def rules() -> "List[Tuple[int, int, int, int]]":
    """The filter: (code, how far to jump if true, if false, value)."""
    found = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, AUDIT_ARCH), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, 0)]
    for number in sorted({**CHANGING, **SYNCING}):
        found += [(EQUAL, 0, 1, number), (RETURN, 0, 0, TRACE)]
    for number, (_, place) in OPENING.items():
        found += [(EQUAL, 0, 4, number), (LOAD, 0, 0, 16 + 8 * place), (ANY_OF, 0, 1, OPENED_TO_CHANGE)]
        found += [(RETURN, 0, 0, TRACE), (RETURN, 0, 0, ALLOW)]
    return found + [(RETURN, 0, 0, ALLOW)]
