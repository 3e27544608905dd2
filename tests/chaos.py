"""First boots with random faults, in virtual time: `python3 -m tests.chaos [BOOTS [SEED]]`.

Each VM lives until a boot succeeds. Every boot must end in the promised state, or in a failure that is reported and
keeps the hook. When the faults are over, the VM must boot. A failing seed is printed, and can be replayed alone.
"""

import collections
import io
import os
import re
import shutil
import sys
import tempfile
import time
from typing import Counter, List

from azure_provisioning.console import Console
from azure_provisioning.door.system import System
from azure_provisioning.guest.password import verify_sha512
from azure_provisioning.guest.privilege import SUDO_RULE
from azure_provisioning.image.install.install import install
from azure_provisioning.image.rehearse.fake_azure import KEY, Platform
from azure_provisioning.image.rehearse.rehearse import FIRMWARE, IMAGE
from azure_provisioning.story.boot import begin
from azure_provisioning.story.provision import provision
from azure_provisioning.story.state import State
from tests.server import SCRATCH
from tests.simulation import HASH, PASSWORD, TOOL_FILES, Killed, Trouble, VirtualSystem

LINK = "/etc/systemd/system/multi-user.target.wants/azure-provisioning.service"
LONGEST_LIFE = 6  # boots; the faults end earlier
SPARE = re.compile(r"\.azure-provisioning$|(?<!\.pwd)\.lock$|\+$|\.candidate$|^nshadow$")
GRACE = 20.0  # virtual seconds after the deadline, for one last try


class Broken(Exception):
    """The program did not keep its promise."""


def live(root: str, seed: int, counts: "Counter[str]") -> None:
    """One VM, from its image to a successful boot. Raises Broken."""
    trouble = Trouble(seed)
    platform = Platform(trouble.faults)
    make_image(root)
    kills, printed = 0, ""
    for number in range(LONGEST_LIFE):
        accepted = len(platform.reports)
        system = VirtualSystem(root, platform, trouble, number)
        stream = io.StringIO()
        counts["boots"] += 1
        try:
            boot = begin(system, Console(stream))
            code = provision(boot) if boot else 0
        except Killed:
            kills += 1
            counts["killed"] += 1
            continue
        finally:
            system.power_off()
            printed += stream.getvalue()
        reports = platform.reports[accepted:]
        if system.now > 900 + GRACE:
            raise Broken("boot %d took %d s\n%s" % (number, system.now, stream.getvalue()))
        counts["exit %d" % code] += 1
        counts["failing tools"] += system.failures
        unheard = trouble.faults.count("report-ended")
        problem = judge_end(System(root), platform, reports, code, kills + unheard) or (
            judge_guest(System(root), printed) if code == 0 else ""
        )
        if problem:
            raise Broken("boot %d: %s\n%s" % (number, problem, stream.getvalue()))
        if code == 0 and not System(root).is_link(LINK):
            return
    raise Broken("did not come up in %d boots" % LONGEST_LIFE)


def judge_end(system: System, platform: Platform, reports: List[str], code: int, unknown: int) -> str:
    """The error at the end of a boot; empty if there is none. The result of `unknown` reports cannot be determined."""
    ready = [report for report in platform.reports if "NotReady" not in report]
    failed = [report for report in reports if "NotReady" in report]
    if len(ready) > 1 + unknown and State(system).facts.get("ready_at"):
        return "Ready was accepted %d times, with %d kills and ended connections" % (len(ready), unknown)
    if code == 0:
        if not ready:
            return "exit 0, but Azure never accepted Ready"
        if failed:
            return "exit 0, but a failure was reported"
        if system.read("/etc/hostname") != b"rehearsal\n":
            return "exit 0, but the name is %r" % system.read("/etc/hostname")
        return ""
    if not system.is_link(LINK):
        return "exit %d, but the hook is gone" % code
    return ""


def judge_guest(system: System, story: str) -> str:
    """The error of the machine after a successful boot; empty if there is none. A gap with a warning is accepted."""
    for path, count in (("/etc/passwd", 7), ("/etc/shadow", 9), ("/etc/group", 4), ("/etc/gshadow", 4)):
        rows = [line.split(":") for line in (system.read_text(path) or "").splitlines()]
        ours = [row for row in rows if row[0] == "azureuser"]
        if len(ours) != 1 or len(ours[0]) != count or any(rows.count(row) > 1 for row in rows):
            return "%s has %s" % (path, ours)
        if rows[0][0] != "root":
            return "%s has lost root" % path
        if path == "/etc/shadow" and not is_password(ours[0][1]) and "using IMDS only" not in story:
            return "the password field is %s" % ours[0][1]
        if path == "/etc/group" and [row[3] for row in rows if row[0] == "sudo"] != ["azureuser"]:
            return "not in the group sudo, or twice"
    for path in ("/etc/subuid", "/etc/subgid"):
        if system.read(path) != b"azureuser:100000:65536\n":
            return "%s is %r" % (path, system.read(path))
    if system.read("/home/azureuser/.ssh/authorized_keys") != KEY.encode("ascii") + b"\n":
        return "the keys are %r" % system.read("/home/azureuser/.ssh/authorized_keys")
    if system.read(SUDO_RULE) != b"azureuser ALL=(ALL) NOPASSWD:ALL\n" and "warning: sudo: " not in story:
        return "the sudo rule is %r" % system.read(SUDO_RULE)
    hosts = (system.read_text("/etc/hosts") or "").splitlines()
    if hosts.count("127.0.0.1\tlocalhost") != 1 or (
        hosts.count("127.0.1.1\trehearsal") != 1 and "warning: hosts: " not in story
    ):
        return "the hosts are %s" % hosts
    left = [name for _, folders, files in os.walk(system.root) for name in folders + files if SPARE.search(name)]
    return "left behind: %s" % " ".join(left) if left else ""


def is_password(field: str) -> bool:
    """Is this the hash that the tool, or our code, makes from the DVD's password?"""
    return field == HASH + PASSWORD[::-1].encode("utf-8").hex() or verify_sha512(PASSWORD.encode("utf-8"), field)


def make_image(root: str) -> None:
    """An image with our installation, and with tools that a seed can break."""
    system = System(root)
    files = {**IMAGE, **FIRMWARE, **dict.fromkeys(TOOL_FILES, "")}
    files.update({"/etc/gshadow": "root:*::\nsudo:*::\n", "/etc/subuid": "", "/etc/subgid": "", "/dev/sr0": ""})
    for path, text in files.items():
        system.write(path, text, mode=0o755 if "bin/" in path or "/lib/" in path else 0o644)
    system.link("/usr/lib/systemd/systemd", "/sbin/init")
    install(system, Console(io.StringIO()), b"#!/bin/sh\n")


def run(boots: int, first_seed: int) -> int:
    """Boot at least this many times; prints the figures and returns the exit code."""
    started = time.monotonic()
    counts: Counter[str] = collections.Counter()
    seed = first_seed
    scratch = tempfile.mkdtemp(prefix="azure-provisioning-chaos-", dir=SCRATCH)
    try:
        while counts["boots"] < boots:
            root = os.path.join(scratch, "root")
            os.mkdir(root)
            try:
                live(root, seed, counts)
            except Broken as broken:
                print("seed %d: %s" % (seed, broken))
                counts["broken"] += 1
            shutil.rmtree(root)
            counts["VMs"] += 1
            seed += 1
    finally:
        shutil.rmtree(scratch)
    print("%.0f s: %s" % (time.monotonic() - started, ", ".join("%s %d" % item for item in sorted(counts.items()))))
    print("%d passed, %d failed" % (counts["VMs"] - counts["broken"], counts["broken"]))
    return 1 if counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(run(int((sys.argv[1:2] or ["10000"])[0]), int((sys.argv[2:3] or ["1"])[0])))
