"""A user has suspended root's programs while they hold the locks of the accounts: real programs, in a sealed room.

`python3 -m tests.test_holders NAME` runs inside: with its own /etc, /var, /run and /home.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import List

from azure_provisioning.door.system import System
from azure_provisioning.door.tree import SEARCH
from azure_provisioning.guest.account import ensure_account
from azure_provisioning.guest.accounts import LOCK, find_account, locked
from azure_provisioning.guest.holders import is_stopped, wake, wake_holders
from azure_provisioning.guest.stale_locks import clear_leftovers
from tests import TOP
from tests.guests import wait_until
from tests.test_account import IMAGE, NAME
from tests.tools import ToolTest

SEAL = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private"]
KEPT = ("ld.so.cache", "login.defs", "pam.d", "alternatives", "nsswitch.conf", "security", "localtime")
HOLDER = """
import fcntl, os, signal, sys
lock = open("/etc/.pwd.lock", "wb")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
for _ in range(int(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def make_room() -> None:
    """The /etc of the image in the account tests, without anything writable of this machine."""
    kept = "/run/kept"
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    os.mkdir(kept)
    for name in KEPT:
        if os.path.isdir("/etc/" + name):
            shutil.copytree("/etc/" + name, kept + "/" + name, symlinks=True)
        elif os.path.exists("/etc/" + name):
            shutil.copy("/etc/" + name, kept)
    for folder in ("/etc", "/var", "/home"):
        subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
    for name in os.listdir(kept):
        shutil.move(kept + "/" + name, "/etc/" + name)
    system = System("/")
    for path, text in IMAGE.items():
        if path.startswith("/etc/") and not text.startswith("-> "):
            system.write(path, text)


def find_python() -> str:
    """A Python that root owns, in one of the usual folders."""
    places = [os.path.realpath(folder + "/python3") for folder in SEARCH]
    return next((place for place in places if os.path.dirname(place) in SEARCH and os.path.exists(place)), "")


def vipw() -> None:
    """A tool of the shadow suite: it holds .pwd.lock and passwd.lock while its editor is open."""
    with open("/run/editor", "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nuntil [ -e /run/go ]; do sleep 0.05; done\n")
    os.chmod("/run/editor", 0o755)
    tool = subprocess.Popen(["/usr/sbin/vipw"], env={"EDITOR": "/run/editor", "PATH": "/usr/bin:/bin"})
    assert wait_until(lambda: os.path.exists("/etc/passwd.lock")), "vipw took no lock"
    os.kill(tool.pid, signal.SIGSTOP)
    with open("/run/go", "w", encoding="ascii"):
        pass
    system = System("/")
    assert wait_until(lambda: is_stopped(system, str(tool.pid)))
    started = time.monotonic()
    ensure_account(system, NAME)
    print("made after %.1f s" % (time.monotonic() - started))
    assert tool.wait(10) == 0, tool.returncode
    assert find_account(system, NAME), "no account"
    assert not os.path.exists("/etc/passwd.lock")


def record() -> None:
    """Only the record lock; its program is stopped five times."""
    holder = subprocess.Popen([find_python(), "-I", "-S", "-c", HOLDER, "5"], stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    system = System("/")
    assert wait_until(lambda: is_stopped(system, str(holder.pid)))
    with locked(system):
        assert holder.wait(1) == 0, "it was not left to end by itself"
    holder.stdout.close()


def draft() -> None:
    """A busybox that is stopped while it writes the new file: no other busybox could start."""
    code = 'import os, signal; file = open("/etc/passwd+", "w"); print("open", flush=True)\n'
    code += 'os.kill(os.getpid(), signal.SIGSTOP); file.write("x"); file.close(); os.unlink("/etc/passwd+")'
    writer = subprocess.Popen([find_python(), "-I", "-S", "-c", code], stdout=subprocess.PIPE)
    assert writer.stdout and writer.stdout.readline() == b"open\n"
    system = System("/")
    assert wait_until(lambda: is_stopped(system, str(writer.pid)))
    clear_leftovers(system)
    assert writer.wait(1) == 0, writer.returncode
    writer.stdout.close()


def strangers() -> None:
    """Programs that are not root's, are not stopped, or hold another file are not touched."""
    shutil.copy(find_python(), "/run/python3")
    stranger = subprocess.Popen(["/run/python3", "-I", "-S", "-c", HOLDER, "1"], stdout=subprocess.PIPE)
    assert stranger.stdout and stranger.stdout.readline() == b"held\n"
    system = System("/")
    assert wait_until(lambda: is_stopped(system, str(stranger.pid)))
    assert not wake_holders(system, LOCK)
    assert is_stopped(system, str(stranger.pid))
    stranger.kill()
    stranger.wait()
    stranger.stdout.close()
    other = subprocess.Popen(["/bin/sleep", "60"])
    assert not wake(system, str(other.pid)), "it runs"
    os.kill(other.pid, signal.SIGSTOP)
    assert wait_until(lambda: is_stopped(system, str(other.pid)))
    assert not wake_holders(system, LOCK), "it holds nothing"
    assert wake(system, str(other.pid))
    assert wait_until(lambda: not is_stopped(system, str(other.pid)))
    other.kill()
    other.wait()


INSIDE = {"vipw": vipw, "record": record, "draft": draft, "strangers": strangers}


class HolderTest(ToolTest):
    def inside(self, name: str, *needed: str) -> None:
        """Run one of the functions above in a room of its own."""
        missing = [program for program in needed if not os.path.exists(program)]
        if os.geteuid() != 0:
            self.skipTest("only root can wake a program of root's: that a stopped holder goes on was not tried")
        if shutil.which("unshare") is None or missing or not find_python():
            self.skipTest("no unshare, %s or Python of root's here: a stopped holder was not tried" % " ".join(missing))
        argv: "List[str]" = SEAL + [sys.executable, "-m", "tests.test_holders", name]
        done = subprocess.run(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100)
        said = done.stdout.decode("utf-8", "replace")
        if "unshare failed" in said or "unshare: " in said:
            self.skipTest("no namespaces (%s): a stopped holder was not tried" % said.strip())
        self.assertEqual(done.returncode, 0, said)

    def test_vipw(self) -> None:
        self.inside("vipw", "/usr/sbin/vipw")

    def test_record(self) -> None:
        self.inside("record")

    def test_draft(self) -> None:
        self.inside("draft")

    def test_processes_of_others_are_ignored(self) -> None:
        self.inside("strangers")

    def test_untrusted_proc_files(self) -> None:
        """No file that a user can write is trusted, and a process that ends meanwhile is no problem."""
        self.fill({"/usr/bin/passwd": "x", "/home/ann/passwd": "x", "/proc/locks": "", "/etc/.pwd.lock": ""})
        roots = os.geteuid() == 0
        line = "1: POSIX  ADVISORY  WRITE 77 00:2e:5 0 EOF\n"
        for exe, state, locks, woken in (
            ("/usr/bin/passwd", "T (stopped)", line, roots),
            ("/usr/bin/passwd", "S (sleeping)", line, False),
            ("/usr/bin/passwd", "t (tracing stop)", line, False),
            ("/home/ann/passwd", "T (stopped)", line, False),
            ("/usr/bin/passwd (deleted)", "T (stopped)", line, False),
            ("/usr/bin/passwd", "T (stopped)", line.replace("POSIX", "FLOCK"), False),
            ("/usr/bin/passwd", "T (stopped)", line.replace("1: ", "1: -> "), False),
            ("/usr/bin/passwd", "T (stopped)", line.replace("77", "78"), False),
        ):
            with self.subTest(exe=exe, state=state, locks=locks):
                status = "Name:\tx\nState:\t%s\nUid:\t1000\t0\t0\t0\n" % state
                self.fill({"/proc/locks": locks, "/proc/77/status": status, "/proc/77/fd/3": "-> /etc/.pwd.lock"})
                self.fill({"/proc/77/exe": "-> " + exe})
                self.assertEqual(wake_holders(self.system, LOCK), woken)


if __name__ == "__main__":
    make_room()
    INSIDE[sys.argv[1]]()
