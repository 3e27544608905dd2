"""The built file, loaded once and forked for each command line: a test may run it a hundred times.

The Python that runs the tests loads its modules from the zip with `-I -S`, and runs its `__main__.py` anew each time.
The byte code that `install` compiles for boots depends on the file alone: it is compiled once.
"""

import array
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from typing import Dict, List, NamedTuple, Optional, Sequence

import build_zipapp
from tests import TOP

Result = NamedTuple("Result", [("code", int), ("out", str), ("err", str)])

# In memory if possible: a guest fsyncs every write, which would take minutes on a busy disk.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None

# Loads nothing before the first request, and ends when its stdin does. A command line is one message, with the
# descriptors for its stdout and stderr; the answers are its process id and its exit code.
SERVER = """
import array, contextlib, functools, gc, importlib, json, os, pkgutil, select, signal, socket, sys, zipimport

file = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=int(sys.argv[2]))
select.select([listener, sys.stdin], [], [])
sys.path.insert(0, file)
loader = zipimport.zipimporter(file)
code = loader.get_code("__main__")
import azure_provisioning
for module in pkgutil.walk_packages(azure_provisioning.__path__, "azure_provisioning."):
    importlib.import_module(module.name)
from azure_provisioning.compiled import keep
keep.compile_modules = functools.lru_cache(maxsize=None)(keep.compile_modules)
with open(file, "rb") as opened:
    keep.compile_modules(opened.read())
gc.collect()
getattr(gc, "freeze", int)()

def serve():
    asked = {}  # by process id
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    while True:
        ready = select.select([listener, sys.stdin, ended], [], [])[0]
        if sys.stdin in ready:
            os._exit(0)
        if ended in ready:
            ended.recv(4096)
            while asked:
                child, status = os.waitpid(-1, os.WNOHANG)
                if not child:
                    break
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                with contextlib.suppress(OSError), asked.pop(child) as connection:
                    connection.send(b"%d" % code)
        if listener in ready:
            connection = listener.accept()[0]
            child = os.fork()
            if not child:
                break
            asked[child] = connection
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_SPACE(8))
    connection.send(b"%d" % os.getpid())
    for open_one in [listener, ended, wake, connection] + list(asked.values()):
        open_one.close()
    umask, environment, arguments = json.loads(message.decode("ascii"))
    outputs = array.array("i", ancillary[0][2])
    for number, descriptor in enumerate([os.open("/dev/null", os.O_RDONLY)] + list(outputs)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = [file] + arguments

serve()
try:
    exec(code, {"__name__": "__main__", "__loader__": loader})
except SystemExit as end:
    if not isinstance(end.code, int):
        raise
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code)  # to clear the memory up would copy all of it
"""


class Server:
    """The built file at `path`, and a process that has loaded it. Both end with the process that made them."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="azure-provisioning-built-", dir=SCRATCH)
        self.path = os.path.join(self.folder, "azure-provisioning")
        self.process: "Optional[subprocess.Popen[bytes]]" = None
        self.owner = os.getpid()
        atexit.register(self.stop)
        build_zipapp.write(self.path, build_zipapp.build(TOP))

    def start(self) -> None:
        """Start the process; calls before it is ready wait."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(self.folder + "/socket")
            listener.listen(128)
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", SERVER, self.path, str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env=ENVIRONMENT,
                cwd="/",
            )

    def call(self, arguments: Sequence[str], seconds: float, environment: "Dict[str, str]") -> Result:
        """Run one command line. Raises subprocess.TimeoutExpired."""
        if self.process is None:
            self.start()
        umask = os.umask(0)
        os.umask(umask)
        message = json.dumps([umask, environment, list(arguments)]).encode("ascii")
        with tempfile.TemporaryFile(dir=SCRATCH) as out, tempfile.TemporaryFile(dir=SCRATCH) as err:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.connect(self.folder + "/socket")
                descriptors = array.array("i", [out.fileno(), err.fileno()])
                connection.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
                child = int(connection.recv(64))
                connection.settimeout(seconds)
                try:
                    code = int(connection.recv(64))
                except socket.timeout:
                    os.kill(child, signal.SIGKILL)
                    raise subprocess.TimeoutExpired([self.path, *arguments], seconds) from None
            return Result(code, *(text_of(file.fileno()) for file in (out, err)))

    def stop(self) -> None:
        """Accept no more command lines. Has no effect in a fork of the process that made it."""
        if os.getpid() == self.owner:
            if self.process is not None and self.process.stdin is not None:
                self.process.stdin.close()
                self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)


ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
_servers: "List[Server]" = []


def is_read_at_start(variable: str) -> bool:
    """Does an interpreter read this environment variable before it runs any code?"""
    return variable.startswith(("LC_", "LANG", "PYTHON"))


def server() -> Server:
    """The server of this run of the suite."""
    if not _servers:
        _servers.append(Server())
    return _servers[0]


def text_of(descriptor: int) -> str:
    """The content of a file that is still open."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read().decode("utf-8", "replace")
