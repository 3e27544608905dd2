"""A sealed room in which a shell runs the file: a small tree with a busybox, and without Python.

Everything runs in separate namespaces (user, mounts, network, hostname, processes), chrooted into a scratch tree whose
options lead to an Azure on the room's own loopback.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from azure_provisioning.azure.identity import AZURE_ASSET_TAG, DMI, EFI
from azure_provisioning.image.rehearse.fake_azure import CONTAINER_ID, INSTANCE_ID, VM_ID
from azure_provisioning.story.state import State
from tests import TOP
from tests.guests import HOOK, BuiltTest, snapshot

PROGRAM = "/usr/local/sbin/azure-provisioning"
ROOM = ("--mount", "--net", "--uts", "--pid", "--ipc", "--fork")
# Accounts need more users than root: a plain user gets them from /etc/subuid.
SPACES = ROOM if os.geteuid() == 0 else ("--user", "--map-root-user", "--map-auto", *ROOM)
SHELLS = ("busybox ash", "dash", "bash", "mksh", "yash")
CLIENTS = ("busybox wget", "wget", "curl", "busybox nc", "nc.openbsd", "nc.traditional")

MACHINE = {
    DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
    DMI + "/product_uuid": VM_ID.upper() + "\n",
    EFI + "/fw_platform_size": "64\n",
    "/etc/hostname": "image\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\nadm:x:4:\nwheel:x:10:root\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\n",
}
INSTALLED = "/var/lib/azure-provisioning/install"
LOG = "/var/log/azure-provisioning.log"
READY = (
    "<Health><GoalStateIncarnation>%d</GoalStateIncarnation><Container><ContainerId>" + CONTAINER_ID + "</ContainerId>"
    "<RoleInstanceList><Role><InstanceId>" + INSTANCE_ID + "</InstanceId><Health><State>Ready</State></Health></Role>"
    "</RoleInstanceList></Container></Health>"
)
VALUES = "/metadata/instance/compute/"
STORY = ["imds 200", "goalstate 200", "health 200"]

# The test's copy of the script gets this before its first command: its seconds, and those of its clock, are shorter.
BEGINNING = "\ncase $#:$1:$2 in\n"
HASTE = """
seconds() { read -r up _ </proc/uptime && up=${up%%.*}${up#*.} && echo $((up * TIMES / 100)); }
sleep() { command sleep "$(printf %d.%03d $(($1 / TIMES)) $(($1 * 1000 / TIMES % 1000)))"; }
"""

# Runs in the room as its process 1. Each case is a boot of the tree; prints the results as JSON.
INSIDE = """
import fcntl, json, os, shutil, signal, socket, struct, subprocess, sys, time
top, root = sys.argv[1:3]
sys.path.insert(0, top)
import tests
from azure_provisioning.image.rehearse.fake_azure import FakeAzure
with socket.socket() as any_socket:  # loopback up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
for place in ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/proc", "/dev/null"] + sys.argv[3:]:
    if os.path.lexists(root + place) and not os.path.islink(root + place):
        subprocess.check_call(["mount", "--rbind", place, root + place])

def enter():
    os.chroot(root)
    os.chdir("/")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)  # a shell cannot trap what nohup, or a shell's background, ignores

found = []
for case in json.load(sys.stdin):
    if case["fresh"]:
        socket.sethostname("image")
        shutil.rmtree(root + "/var/lib/azure-provisioning", True)
        with open(root + "/etc/hostname", "w") as file:
            file.write("image\\n")
    with FakeAzure(tuple(case["faults"])) as azure:
        exec(case["setup"], {"azure": azure, "root": root})
        options = "imds = %s\\nwireserver = %s\\n" % (azure.endpoint, azure.endpoint)
        with open(root + "/etc/azure-provisioning.conf", "w") as file:
            file.write(options + case["options"])
        for path, text in case["files"].items():
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            with open(root + path, "w") as file:
                file.write(text)
            os.chmod(root + path, 0o755)
        started = time.monotonic()
        child = subprocess.Popen(case["argv"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 universal_newlines=True, env=case["environment"], preexec_fn=enter)
        if case["kill_after"]:
            time.sleep(case["kill_after"])
            child.send_signal(case["kill_by"])
        out, err = child.communicate()
        took = time.monotonic() - started
        while "--detach" in case["argv"] and time.monotonic() < started + 20 and not azure.reports:
            time.sleep(0.02)
        time.sleep(0.5 if "--detach" in case["argv"] else 0)
        asked = [(request.method, request.target, request.headers, request.body, request.status)
                 for request in azure.requests]
        found.append([child.returncode, out, err, took, asked, azure.reports, os.uname().nodename])
json.dump(found, sys.stdout)
"""


class BootResult(NamedTuple):
    """The outcome of one boot."""

    code: int
    out: str
    err: str
    seconds: float
    requests: "List[Tuple[str, str, Dict[str, str], str, int]]"
    reports: "List[str]"
    hostname: str

    @property
    def asked(self) -> "List[str]":
        """The requests to Azure, in short: `imds 200`, `goalstate 200`, `health 410`; see `values` for the rest."""
        found = []
        for _, target, _, _, status in self.requests:
            if not target.startswith(VALUES):
                kind = "imds" if target.startswith("/metadata/instance?") else target.partition("=")[2]
                found.append("%s %d" % (kind, status))
        return found

    @property
    def values(self) -> "List[str]":
        """The requested single values of the instance: `name 200`, `publicKeys/0/keyData 404`."""
        asked = [(target, status) for _, target, _, _, status in self.requests if target.startswith(VALUES)]
        return ["%s %d" % (target[len(VALUES) :].partition("?")[0], status) for target, status in asked]


class ShellTest(BuiltTest):
    """Has a tree without Python, at `self.root`, and boots it in the room."""

    shell = "dash"  # busybox's own shell uses its applets for all programs, also for programs that the tree lacks
    clients: "Sequence[str]" = ("busybox wget",)
    spaces: "Sequence[str]" = SPACES
    places: "Sequence[str]" = ()  # folders of this machine that the tree also has

    def setUp(self) -> None:
        super().setUp()
        self.cases: "List[Dict[str, object]]" = []
        busybox = find("busybox")
        if busybox is None or shutil.which("unshare") is None:
            self.skipTest("no busybox or no unshare here: what a shell makes of the file was not tried")
        self.furnish(busybox)
        self.fill(MACHINE)

    def furnish(self, busybox: str) -> None:
        """A busybox with all applets except HTTP clients; the libraries of this machine, to be mounted."""
        for folder in ("bin", "dev", "proc", "run", "tmp", "etc", "usr/local/sbin", "usr/bin"):
            os.makedirs(os.path.join(self.root, folder), exist_ok=True)
        for name in ("usr/lib", "usr/lib64", "lib", "lib64"):
            if os.path.islink("/" + name):
                os.symlink(os.readlink("/" + name), os.path.join(self.root, name))
            elif os.path.isdir("/" + name):
                os.makedirs(os.path.join(self.root, name))
        open(os.path.join(self.root, "dev/null"), "w").close()
        shutil.copy(busybox, os.path.join(self.root, "bin/busybox"))
        for applet in subprocess.check_output([busybox, "--list"], universal_newlines=True).split():
            if applet not in ("busybox", "wget", "nc", "sync"):
                os.symlink("busybox", os.path.join(self.root, "bin", applet))
        # The disks of this machine do not belong to the tree, and the wait for them could be long.
        os.symlink("true", os.path.join(self.root, "bin/sync"))
        shutil.copy(self.program, self.root + PROGRAM)
        self.choose(self.shell, *self.clients)

    def choose(self, shell: str, *clients: str) -> None:
        """Make `shell` the tree's /bin/sh, and give it these HTTP `clients`. Skips if one is not installed."""
        for word in (shell,) + clients:
            if find(word) is None:
                self.skipTest("no %s here: the file was not tried with it" % word)
        for name in ("curl", "wget", "nc"):
            if os.path.lexists(self.root + "/bin/" + name):
                os.unlink(self.root + "/bin/" + name)
        for client in clients:
            name = client.split()[-1].split(".")[0]
            self.place(client, "/bin/" + name)
        os.unlink(self.root + "/bin/sh")
        self.place(shell, "/bin/sh")

    def hasten(self, times: int = 3) -> None:
        """Speed up the clock of the script in this tree, which waits for nothing else."""
        with open(self.root + PROGRAM, "rb") as file:
            script, found, rest = file.read().partition(BEGINNING.encode("ascii"))
        self.assertTrue(found, "the script does not begin as it did")
        with open(self.root + PROGRAM, "wb") as file:
            file.write(script + HASTE.replace("TIMES", str(times)).encode("ascii") + found + rest)

    def place(self, program: str, path: str) -> None:
        """Copy a program of this machine into the tree."""
        if program.startswith("busybox "):
            os.symlink("busybox", self.root + path)
        else:
            shutil.copy(str(find(program)), self.root + path)

    def add(
        self,
        *argv: str,
        faults: "Sequence[str]" = (),
        setup: str = "",
        options: str = "",
        files: "Optional[Dict[str, str]]" = None,
        environment: "Optional[Dict[str, str]]" = None,
        kill_after: float = 0,
        kill_by: int = signal.SIGTERM,
        fresh: bool = True,
    ) -> None:
        """A boot to run: by default the file's own `run`, as a hook without Python calls it.

        `fresh`: on a machine without a state. `setup` is Python code that can use `azure` and `root`.
        """
        self.cases.append(
            {
                "argv": list(argv or ("/bin/sh", PROGRAM, "run")),
                "faults": list(faults),
                "setup": setup,
                "options": options,
                "files": files or {},
                "environment": dict({"PATH": "/bin"}, **(environment or {})),
                "kill_after": kill_after,
                "kill_by": int(kill_by),
                "fresh": fresh,
            }
        )

    def play(self) -> "List[BootResult]":
        """Run the added boots; returns their outcomes."""
        cases, self.cases = json.dumps(self.cases), []
        byte_code = os.environ.get("PYTHONPYCACHEPREFIX")  # -I hides it
        kept = ["-X", "pycache_prefix=" + byte_code] if byte_code else []
        done = subprocess.run(
            ["unshare", *self.spaces, sys.executable, "-I", *kept, "-c", INSIDE, TOP, self.root, *self.places],
            input=cases,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            timeout=300,
        )
        if not done.stdout and "unshare" in done.stderr:
            self.skipTest("no sealed room here, so the file was not run by a shell: %s" % done.stderr.strip()[-200:])
        self.assertEqual(done.returncode, 0, done.stderr)
        return [BootResult(*result) for result in json.loads(done.stdout)]

    def boot(self, *argv: str, **settings: object) -> "BootResult":  # type: ignore[override]
        """Run one boot."""
        self.add(*argv, **settings)  # type: ignore[arg-type]
        return self.play()[0]


class EssentialTest(ShellTest):
    """A machine with a boot hook, and the required result of its first boot."""

    def setUp(self) -> None:
        super().setUp()
        self.fill({"/usr/share/keep": "", "/var/log/other.log": ""})
        self.hook = {INSTALLED: "init=systemd\nlink=%s\n" % HOOK, HOOK: "a link, but for the tests\n"}

    def state(self) -> State:
        """The state, as Python reads it."""
        state = State(self.system)
        self.assertEqual(state.problem, "")
        return state

    def check_ready(self, result: BootResult, incarnation: int = 1) -> None:
        """Azure accepted one report of Ready, and only the allowed files are left."""
        self.assertEqual((result.code, result.out), (0, ""), result)
        self.assertEqual(result.reports, [READY % incarnation])
        self.assertTrue(self.state().has("ready_at", VM_ID))
        self.assertTrue(self.state().has("configured_at", VM_ID))
        self.assertNotIn("error_reason", self.state().facts)
        for line in result.err.splitlines():
            self.assertTrue(line.startswith("azure-provisioning: "), result.err)
        self.assertEqual(os.listdir(self.root + "/run") + os.listdir(self.root + "/tmp"), [])
        spare = [path for path in snapshot(self.root + "/etc") if re.search(r"/\.[^/]*azure-provisioning$", path)]
        self.assertEqual(spare, [])


def find(program: str) -> "Optional[str]":
    """The path of a program of this machine; for `busybox wget`, the busybox with that applet."""
    if not program.startswith("busybox "):
        return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    busybox = shutil.which("busybox")
    if busybox is None:
        return None
    applets = subprocess.check_output([busybox, "--list"], universal_newlines=True).split()
    return busybox if program.split()[1] in applets else None
