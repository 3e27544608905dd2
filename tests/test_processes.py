"""Other users' processes at a first boot: whatever their names, root starts, signals and trusts none of them.

Real processes of root and of an ordinary user, with their own PID 1, files and loopback.
"""

import json
import os
import shutil
import subprocess
import sys
from typing import Any, Dict

from tests import TOP
from tests.guests import GuestTest

SPACES = ("--mount", "--net", "--uts", "--pid", "--ipc", "--fork", "--mount-proc")

# Runs as PID 1 of the namespace. Prints the result of each story as JSON.
INSIDE = r"""
import fcntl, glob, json, os, shutil, signal, socket, struct, subprocess, sys, time
top, room = sys.argv[1:]
sys.path.insert(0, top)
import tests
from azure_provisioning.guest import holders, host_keys, sshd, stale_locks
from azure_provisioning.guest.dns import find_processes
from azure_provisioning.door.system import System

here = System()
assert here.live
USER, NOTHING = 1000, subprocess.DEVNULL
found = {}

def mount(place):
    subprocess.check_call(["mount", "-t", "tmpfs", "-o", "mode=755", "none", place])

mount(room)
kept = {name: os.path.join(room, name) for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "login.defs")}
for name, place in kept.items():
    if os.path.exists("/etc/" + name):
        shutil.copy("/etc/" + name, place)
for place in ("/etc", "/run"):
    mount(place)
for name, place in kept.items():
    if os.path.exists(place):
        shutil.move(place, "/etc/" + name)
with socket.socket() as any_socket:  # loopback up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
theirs = os.path.join(room, "theirs")
os.mkdir(theirs)
os.chmod(theirs, 0o777)
os.chmod(room, 0o755)
loot = os.path.join(theirs, "loot")

def write(path, text, mode=0o755):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)

def start(argv, program=None, uid=0, **keywords):
    def become():
        os.setsid()
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    keywords = dict({"stdin": NOTHING, "stdout": NOTHING, "stderr": NOTHING}, **keywords)
    child = subprocess.Popen(argv, executable=program, preexec_fn=become, **keywords)
    time.sleep(0.3)
    assert child.poll() is None, argv
    return child

def pids(*options):
    "Those of the image's dropbear with these among their words."
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid) as file:
                words = file.read().split("\0")
            if os.readlink("/proc/%s/exe" % pid).endswith("sbin/dropbear") and set(options) <= set(words):
                found.append(int(pid))
        except OSError:
            continue
    return found

def end(*children):
    for child in children:
        child.kill()
        child.wait()
    for pid in pids():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while pids() and time.monotonic() < deadline:
        time.sleep(0.05)
    for path in glob.glob("/etc/init.d/*"):
        os.unlink(path)

def is_new(port):
    "Is the key that is served one of those on disk?"
    shutil.rmtree(room + "/.ssh", True)
    client = subprocess.Popen(["dbclient", "-y", "-p", str(port), "x@127.0.0.1", "true"], stdin=NOTHING,
                              stdout=NOTHING, stderr=subprocess.PIPE, env={"HOME": room, "PATH": os.environ["PATH"]})
    said = b"".join(client.stderr.readline() for _ in range(3)).decode()  # it would go on to ask for a password
    client.kill()
    client.wait()
    return any(line.split()[0] in said for line in host_keys.fingerprints(here)) or said

# A user's: one named dropbear, one named busybox whose word is dropbear, and a real dropbear.
evil = "#!/bin/sh\n[ \"$(id -u)\" != 0 ] || echo \"$0 $*\" >>%s\nsleep 600; :\n" % loot
write(theirs + "/evil", evil)
shutil.copy("/bin/sleep", theirs + "/named/dropbear") if os.mkdir(theirs + "/named") is None else None
write(theirs + "/words/dropbear", evil)
shutil.copy("/bin/sh", theirs + "/busybox")
subprocess.check_call(["dropbearkey", "-t", "ed25519", "-f", theirs + "/key"], stdout=NOTHING, stderr=NOTHING)
os.chown(theirs + "/key", USER, USER)
attackers = [
    start([theirs + "/evil", "600"], theirs + "/named/dropbear", USER),
    start([theirs + "/busybox", theirs + "/words/dropbear"], uid=USER),
    start(["dropbear", "-F", "-p", "127.0.0.1:2222", "-r", theirs + "/key"], uid=USER),
]
write("/etc/init.d/dropbear", "#!/bin/sh\necho script >>%s\n" % loot)
old = os.path.exists("/usr/sbin/dropbear") and host_keys.renew_dropbear(here, lambda *_: ())
time.sleep(0.3)
found["attack"] = [old, [child.poll() for child in attackers], os.path.exists(loot), here.hostname()]
end(*attackers)

# Root's own, with the init script of a distro.
SCRIPT = ("#!/bin/sh\n[ \"$1\" = restart ] && [ \"$RC_NODEPS\" = yes ] || exit 2\n"
          "kill $(cat /run/dropbear.pid) || exit\nsleep 0.3\nexec %s\n")
ROOTS = "dropbear -R -p 127.0.0.1:2200 -P /run/dropbear.pid"
for name in ("dropbear", "S50dropbear"):
    subprocess.check_call(ROOTS.split(), stdin=NOTHING, stdout=NOTHING, stderr=NOTHING)
    time.sleep(0.3)
    user = start(["dropbear", "-F", "-p", "127.0.0.1:2222", "-r", theirs + "/key"], uid=USER)
    one, other = socket.socketpair()
    held = start(["dropbear", "-i"], stdin=one, stdout=one)
    before = pids("-R")
    write("/etc/init.d/" + name, SCRIPT % ROOTS)
    said = host_keys.renew_dropbear(here, lambda *_: ())
    found[name] = [said, before != pids("-R"), len(pids("-R")), is_new(2200), user.poll(), held.poll()]
    end(user, held)

# Scripts that know only start and stop: another word is ignored, or is an error.
for name, other in (("ignores", ""), ("refuses", "*) exit 1 ;;")):
    words = "start) exec %s ;; stop) kill $(cat /run/dropbear.pid) ;;%s" % (ROOTS, other)
    write("/etc/init.d/dropbear", "#!/bin/sh\ncase $1 in %s esac\n" % words)
    subprocess.check_call(["/etc/init.d/dropbear", "start"], stdin=NOTHING, stdout=NOTHING, stderr=NOTHING)
    time.sleep(0.3)
    before = pids("-R")
    said = host_keys.renew_dropbear(here, lambda *_: ())
    found[name] = [said, before != pids("-R"), len(pids("-R")), is_new(2200)]
    end()

# Nobody is known who would bring it back; or only a script that another user could have written.
for name, mode, owner in (("other", 0o755, 0), ("dropbear", 0o777, 0), ("dropbear", 0o755, USER)):
    subprocess.check_call(ROOTS.split(), stdin=NOTHING, stdout=NOTHING, stderr=NOTHING)
    time.sleep(0.3)
    before = pids("-R")
    write("/etc/init.d/" + name, "#!/bin/sh\necho script >>%s\n" % loot, mode)
    os.chown("/etc/init.d/" + name, owner, owner)
    said = host_keys.renew_dropbear(here, lambda *_: ())
    found.setdefault("stale", []).append([said, before == pids("-R"), os.path.exists(loot)])
    end()

# A script that does not bring it back.
subprocess.check_call(ROOTS.split(), stdin=NOTHING, stdout=NOTHING, stderr=NOTHING)
time.sleep(0.3)
write("/etc/init.d/dropbear", "#!/bin/sh\nkill $(cat /run/dropbear.pid)\n")
found["gone"] = host_keys.renew_dropbear(here, lambda *_: ())
end()

# A supervisor, and beside it a user's: stand-ins that start again what has ended.
mount("/usr/local/sbin")
shutil.copy("/bin/sh", "/usr/local/sbin/runsv")
supervisors = []
for uid, options in ((0, "-R -p 127.0.0.1:2201"), (USER, "-p 127.0.0.1:2222 -r %s/key" % theirs)):
    write(theirs + "/loop%d" % uid, "while :; do /usr/sbin/dropbear -F %s; sleep 0.2; done\n" % options)
    supervisors.append(start(["runsv", theirs + "/loop%d" % uid], "/usr/local/sbin/runsv", uid))
before, user = pids("-R"), pids("-r")
said = host_keys.renew_dropbear(here, lambda *_: ())
found["supervised"] = [said, len(before), before != pids("-R"), is_new(2201), len(user), user == pids("-r")]
end(*supervisors)

# Who has the interface, and who is sshd, is not for a user to say.
shutil.copy("/bin/sleep", theirs + "/dhclient")
shutil.copy("/bin/sleep", theirs + "/sshd")
clients = [start([name, "600"], program, USER) for name, program in (
    ("/sbin/dhclient", theirs + "/dhclient"), ("udhcpc", "/bin/sleep"), ("systemd-networkd", "/bin/sleep"))]
impostor = start(["/usr/sbin/sshd", "600"], theirs + "/sshd", USER)
write("/run/sshd.pid", "%d\n" % impostor.pid)
found["names"] = [find_processes(here), sshd.reload_sshd(here), impostor.poll()]
end(impostor, *clients)

# A lock's number that is another user's by now, and a half-written file that another user has open.
write("/etc/passwd.lock", "")
write("/etc/group+", "half", 0o644)
reader = start(["tail", "-f", "/etc/group+"], uid=USER)
tool = start(["tail", "-f", "/etc/group+"])
claims = {}
for what, child in (("reader", reader), ("tool", tool)):
    claims[what] = [holders.is_gone(here, str(child.pid)), None]
os.utime("/etc/group+", (time.time() - 10,) * 2)
claims["tool"][1] = not stale_locks.is_in_use(here, "/etc/group+", os.stat("/etc/group+"))
end(tool)
claims["reader"][1] = not stale_locks.is_in_use(here, "/etc/group+", os.stat("/etc/group+"))
found["locks"] = claims
end(reader)
json.dump(found, sys.stdout)
"""


class OtherUsersTest(GuestTest):
    found: "Dict[str, Any]" = {}
    missed = ""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.found, cls.missed = {}, ""
        lacking = [name for name in ("unshare", "dropbear", "dropbearkey", "dbclient") if not find(name)]
        if os.geteuid() != 0:
            cls.missed = "only root can have processes of two users"
        elif lacking:
            cls.missed = "no %s here" % " ".join(lacking)

    def setUp(self) -> None:
        super().setUp()
        if not self.missed and not self.found:
            done = subprocess.run(
                ["unshare", *SPACES, sys.executable, "-I", "-c", INSIDE, TOP, self.root],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                timeout=120,
            )
            if not done.stdout and "unshare" in done.stderr:
                type(self).missed = "no room of its own here: %s" % done.stderr.strip()[-200:]
            else:
                self.assertEqual(done.returncode, 0, done.stderr)
                type(self).found = json.loads(done.stdout)
        if self.missed:
            self.skipTest("%s: what other users' processes do to a boot was not tried" % self.missed)

    def test_attack(self) -> None:
        """By name, as a busybox applet, and with a user's own dropbear: none is run, signalled or reported."""
        said, codes, looted, _ = self.found["attack"]
        self.assertRegex(said, r"\A[1-3] made for dropbear\Z")
        self.assertEqual((codes, looted), ([None] * 3, False))

    def test_init_script(self) -> None:
        for name in ("dropbear", "S50dropbear"):
            said, restarted, count, new, user, held = self.found[name]
            self.assertIn("dropbear was restarted by /etc/init.d/" + name, said)
            self.assertEqual((restarted, count, new), (True, 1, True))
            self.assertEqual((user, held), (None, None), "a user's own, or one that holds a connection")

    def test_init_script_without_restart(self) -> None:
        for name in ("ignores", "refuses"):
            said, restarted, count, new = self.found[name]
            self.assertIn("dropbear was restarted by /etc/init.d/dropbear", said)
            self.assertEqual((restarted, count, new), (True, 1, True))

    def test_dropbear_without_a_supervisor_keeps_running(self) -> None:
        for said, untouched, ran in self.found["stale"]:
            self.assertIn("but the running dropbear has the old keys until it is restarted", said)
            self.assertEqual((untouched, ran), (True, False))

    def test_script_does_not_restart_dropbear(self) -> None:
        self.assertIn("but dropbear has not come back after a restart by /etc/init.d/dropbear", self.found["gone"])

    def test_supervisor(self) -> None:
        said, count, restarted, new, theirs, untouched = self.found["supervised"]
        self.assertIn("dropbear was restarted by runsv", said)
        self.assertEqual((count, restarted, new), (1, True, True))
        self.assertEqual((theirs, untouched), (1, True))

    def test_names(self) -> None:
        self.assertEqual(self.found["names"], [{}, False, None])

    def test_locks(self) -> None:
        self.assertEqual(self.found["locks"], {"reader": [True, True], "tool": [False, False]})


def find(program: str) -> bool:
    """Is this program installed?"""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None
