"""A Debian tree that runs as a VM, and a person outside who logs in to it: real sshd, real sudo, real shadow.

The tree lies under an overlay in namespaces for mounts, processes, network and hostname, with no route out. Its process
1 is the driver below, run by the tree's own Python, so that the program finds a live machine; Azure is on loopback.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from tests.distro.trees import cache

OUTSIDE, INSIDE = "203.0.113.5", "10.0.0.4"
SECONDS = 180.0

# $0 is the tree, $1 the folder with the driver, its case and the program.
STAGE = """
mount -t tmpfs none "$1/disk" && mkdir "$1/disk/up" "$1/disk/work" "$1/disk/root" && root="$1/disk/root"
mount -t overlay none -o lowerdir="$0",upperdir="$1/disk/up",workdir="$1/disk/work" "$root" || exit
ip link set lo up && ip address add %s/32 dev lo && ip address add %s/32 dev lo || exit
mkdir "$root/stage" && cp "$1"/*.* "$root/stage" && mount -t proc none "$root/proc" || exit
mount -t tmpfs none "$root/run" && mount -t tmpfs none "$root/dev" || exit
for name in null zero random urandom tty; do touch "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C chroot "$root" python3 /stage/driver.py
""" % (OUTSIDE, INSIDE)

DRIVER = r"""
import json, os, subprocess, sys, time
sys.path.insert(0, "/stage/program.pyz")
from azure_provisioning.image.rehearse.fake_azure import VM_ID, FakeAzure

case = json.load(open("/stage/case.json"))
found = {}


def run(*argv, **more):
    child = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    return child.returncode, child.stdout.decode("utf-8", "replace").strip()


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def status():
    return json.loads(run(*PROGRAM + ["status", "--json"])[1])


PROGRAM = ["/usr/bin/python3", "-I", "-S", "/stage/program.pyz"]
write("/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n")
write("/sys/class/dmi/id/product_uuid", VM_ID + "\n")
write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 image\n")
run("ssh-keygen", "-q", "-t", case["kind"], "-b", case["bits"], "-N", "", "-f", "/stage/key")
public = open("/stage/key.pub").read().strip()
with FakeAzure() as azure:
    compute = azure.instance["compute"]
    compute["publicKeys"] = [{"keyData": public, "path": ""}] if case["key"] else []
    compute["osProfile"] = {"computerName": "rehearsal", "adminUsername": "ann"}
    compute["osProfile"]["disablePasswordAuthentication"] = str(case["login"] != "password").lower()
    options = dict({"imds": azure.endpoint, "wireserver": azure.endpoint, "deadline": "60"}, **case["options"])
    options.update(grow_root="no", publish_name="no", entropy="no")
    write("/etc/azure-provisioning.conf", "".join("%s = %s\n" % item for item in options.items()))
    if case["login"] == "password" and case["password"]:
        media = open("/stage/ovf-env.xml").read().replace("PASSWORD", case["password"])
        write("/stage/dvd/ovf-env.xml", media)
        run("mount", "-t", "tmpfs", "none", "/mnt") and run("cp", "/stage/dvd/ovf-env.xml", "/mnt")
        device = os.stat("/mnt").st_dev
        write("/sys/block/sr0/size", "700\n")
        write("/sys/block/sr0/dev", "%d:%d\n" % (os.major(device), os.minor(device)))
    found["setup"] = run("sh", "-e", "-c", case["setup"].replace("PUBLIC", public))
    compute["userData"] = case["data"]
    found["story"] = ""
    program = PROGRAM
    if case["shell"]:
        program = ["/bin/sh", PROGRAM[-1], "--without-python"]
        os.makedirs("/usr/local/bin", exist_ok=True)
        os.rename("/stage/client.busybox", "/usr/local/bin/wget")
    for words in case["runs"]:
        found["exit"], said = run(*program + words.split())
        found["story"] += said + "\n"
    found["reports"] = azure.reports
found["status"] = status()
found["text"] = run(*PROGRAM + ["status"])[1]
write("/root/.ssh/config", "")
os.makedirs("/run/sshd", exist_ok=True)
if os.path.exists("/usr/sbin/sshd"):
    start = "[ ! -f /etc/default/ssh ] || . /etc/default/ssh; exec /usr/sbin/sshd -E /stage/sshd.log $SSHD_OPTS"
    found["sshd"] = run("sh", "-c", start)
    said = ["ssh", "-F/dev/null", "-b", "203.0.113.5", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null",
            "-oNumberOfPasswordPrompts=1", "-oConnectTimeout=10", "-oLogLevel=ERROR"]
    who = ["ann@10.0.0.4", "echo I am $(id -un)"]
    for _ in range(50):
        if os.path.exists("/run/sshd.pid"):
            break
        time.sleep(0.05)
    found["by key"] = run(*said + ["-i", "/stage/key", "-oBatchMode=yes"] + who)[1]
    write("/stage/askpass", "#!/bin/sh\nprintf '%s\\n' \"$THE_WORD\"\n", 0o755)
    words = dict(os.environ, SSH_ASKPASS="/stage/askpass", SSH_ASKPASS_REQUIRE="force")
    words["THE_WORD"] = case["password"] or "x"
    found["by password"] = run(*said + ["-oPubkeyAuthentication=no"] + who, env=words)[1]
    found["log"] = open("/stage/sshd.log").read()[-3000:]
found["root"] = run("su", "-s", "/bin/sh", "-c", case["become"] + " id -u", "ann")
found["asked"] = run("sh", "-c", case["ask"])[1]
print("\n" + json.dumps(found))
"""
OVF = """<?xml version="1.0"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
<wa:ProvisioningSection><wa:Version>1.0</wa:Version><LinuxProvisioningConfigurationSet
xmlns="http://schemas.microsoft.com/windowsazure"><HostName>rehearsal</HostName><UserName>ann</UserName>
<UserPassword>PASSWORD</UserPassword><DisableSshPasswordAuthentication>false</DisableSshPasswordAuthentication>
</LinuxProvisioningConfigurationSet></wa:ProvisioningSection><wa:PlatformSettingsSection><wa:PlatformSettings/>
</wa:PlatformSettingsSection></Environment>
"""


class Case(NamedTuple):
    """An image, Azure's request, and the checks of the machine after the boot."""

    setup: str  # for the tree's shell; PUBLIC is Azure's key
    key: bool = True
    login: str = "key"  # or "password": Azure allows a password login
    password: str = "A word of 1 person"
    options: Dict[str, str] = {"host_keys": "keep"}  # new keys take seconds
    data: str = ""  # userData, in base64
    runs: Tuple[str, ...] = ("run",)
    kind: str = "ed25519"
    bits: str = "256"
    become: str = "sudo -n"
    ask: str = ""  # a command; its output is kept
    shell: bool = False  # is it the shell implementation that boots?


class Found(NamedTuple):
    """The result."""

    code: int
    story: str
    reports: List[str]
    by_key: bool  # could the person outside log in?
    by_password: bool
    root: bool
    asked: str
    login: Dict[str, str]  # the output of `status`
    text: str
    said: str  # all output, for the message of a failed test


def find_tree(*programs: str) -> "Optional[Path]":
    """A tree of real packages that has these programs, if one exists; LOGIN_TREE names another than the first."""
    if "LOGIN_TREE" in os.environ:
        return Path(os.environ["LOGIN_TREE"])
    found = sorted(cache().iterdir()) if cache().is_dir() else []
    return next((root for root in found if all((root / name).exists() for name in programs)), None)


def find_busybox() -> str:
    """This machine's, which is an HTTP client under that name."""
    path = shutil.which("busybox")
    if path is None:
        raise AssertionError("Debian's busybox-static is needed: the HTTP client of the shell implementation")
    return path


def play(tree: Path, program: str, case: Case) -> Found:
    """Boot the tree again for this case, and log in from outside."""
    with tempfile.TemporaryDirectory(prefix="azure-provisioning-lockout-") as scratch:
        place = Path(scratch)
        (place / "disk").mkdir()
        (place / "driver.py").write_text(DRIVER)
        (place / "case.json").write_text(json.dumps(case._asdict()))
        (place / "ovf-env.xml").write_text(OVF)
        (place / "program.pyz").write_bytes(Path(program).read_bytes())
        if case.shell:
            shutil.copy(find_busybox(), str(place / "client.busybox"))
        seal = ["unshare", "--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "--propagation", "private"]
        child = subprocess.run(
            seal + ["sh", "-c", STAGE, str(tree), scratch],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
    said = child.stdout.decode("utf-8", "replace")
    try:
        result = json.loads(said.rpartition("\n{")[2].join(("{", "")))
    except ValueError:
        raise AssertionError("the stage itself: %s" % said[-3000:]) from None
    if result["setup"][0]:
        raise AssertionError("the case's own setup: %s" % result["setup"][1])
    return Found(
        result["exit"],
        result["story"],
        result["reports"],
        "I am ann" in result.get("by key", ""),
        "I am ann" in result.get("by password", ""),
        result["root"][0] == 0 and result["root"][1].split("\n")[-1] == "0",  # sudo may complain about the name
        result["asked"],
        result["status"].get("login", {}),
        result["text"],
        json.dumps(result, indent=1),
    )


__all__ = ["Case", "Found", "find_tree", "play"]
