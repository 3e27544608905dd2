"""A first boot without Azure, without root and without a VM: the real install and the real story, in a scratch root,
against an Azure on loopback. Shows what Azure was asked, and what would have changed, as a diff."""

import difflib
import os
import shutil
import tempfile

from ..azure.identity import AZURE_ASSET_TAG, DMI
from ..boot import begin
from ..config import PATH as OPTIONS
from ..console import Console
from ..provision import provision
from ..system import System
from .fake_azure import VM_ID, FakeAzure
from .install import install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

# What a small distro with systemd looks like to us before we come.
IMAGE = {
    "/etc/hostname": "image\n",
    "/etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\timage\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\nadm:x:4:\nsudo:x:27:\n",
    "/etc/shadow": "root:*:19000:0:99999:7:::\n",
    "/etc/shells": "/bin/sh\n",
    "/usr/bin/sudo": "",
    "/etc/sudoers": "@includedir /etc/sudoers.d\n",
    "/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
    "/bin/sh": "",
    "/usr/lib/systemd/systemd": "",
    "/usr/bin/python3": "",
    DMI + "/chassis_asset_tag": AZURE_ASSET_TAG + "\n",
    DMI + "/product_uuid": VM_ID + "\n",
}
SHOWN = ("/etc", "/home", "/usr/local", "/var")
DEADLINE = 60  # seconds; a rehearsal is watched by somebody


def rehearse(program: bytes, console: Console, faults: "Tuple[str, ...]") -> "Tuple[int, List[str]]":
    """(the exit code that `run` would have had, the lines of the report). Leaves nothing behind."""
    scratch = tempfile.mkdtemp(prefix="azure-provisioning-")
    try:
        with FakeAzure(faults) as azure:
            system = System(scratch)
            for path, text in IMAGE.items():
                system.write(path, text, mode=0o755 if "/bin/" in path or "/lib/" in path else 0o644)
            system.link("/usr/lib/systemd/systemd", "/sbin/init")
            before = snapshot(system)
            options = "imds = %s\nwireserver = %s\ndeadline = %d\n" % (azure.endpoint, azure.endpoint, DEADLINE)
            system.write(OPTIONS, options)
            console.say("installing into a scratch root")
            install(system, console, program)
            console.say("the first boot of VM %s" % VM_ID)
            boot = begin(system, console)
            code = provision(boot) if boot else 0
            system.unlink(OPTIONS)
            requests = ["%s %s -> %s" % (seen.method, seen.target, seen.status or "nothing") for seen in azure.requests]
            reports = ["    " + report for report in azure.reports]
            return code, ["What Azure was asked:"] + requests + reports + ["", "What changed:"] + diff(
                before, snapshot(system)
            )
    finally:
        shutil.rmtree(scratch)


def snapshot(system: System) -> "Dict[str, List[str]]":
    """The shown part of a root: the lines of every file, and where every link leads."""
    found = {}
    for top in SHOWN:
        for folder, folders, files in os.walk(system.path(top)):
            for name in files + [name for name in folders if os.path.islink(os.path.join(folder, name))]:
                place = os.path.join(folder, name)
                path = place[len(system.root) :]
                target = system.readlink(path)
                found[path] = ["-> %s\n" % target] if target is not None else read_lines(system, path)
    return found


def read_lines(system: System, path: str) -> "List[str]":
    """The lines of a file; one that only gives the size of what is no text."""
    data = system.read(path) or b""
    if b"\0" in data:
        return ["(binary, %d bytes)\n" % len(data)]
    return data.decode("utf-8", "replace").splitlines(True)


def diff(before: "Dict[str, List[str]]", after: "Dict[str, List[str]]") -> "List[str]":
    """Both snapshots compared, in the form of `diff -u`."""
    lines: "List[str]" = []
    for path in sorted(set(before) | set(after)):
        old, new = before.get(path), after.get(path)
        if old != new:
            names = ("/dev/null" if old is None else path, "/dev/null" if new is None else path)
            lines += difflib.unified_diff(old or [], new or [], *names)
    return [line.rstrip("\n") for line in lines]
