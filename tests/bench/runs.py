"""The measurements: passes in one running machine, and boots of a disk with one peer enabled."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

from tests.boot import disk, trees
from tests.boot.azure import vm
from tests.boot.scene import Boot, Disks, Scene, Wrong

from .peers import COMMON, PEERS, Peer, furnish

NOBODY = "nobody"
FAR = 400.0  # an emulated machine under the slowest peer
BEGUN = "Starting"  # waagent's NotReady with this description means that it has begun


class Pass(NamedTuple):
    """One provisioning pass: seconds by the clock, seconds of CPU, peak KiB of one process, requests to Azure.

    `machine`: seconds of CPU, including the rest of the machine meanwhile.
    """

    wall: float
    cpu: float
    machine: float
    rss: int
    requests: int


class Booted(NamedTuple):
    """Two boots: seconds from power-on to Ready, and seconds of user space in the second boot."""

    ready: Optional[float]
    second: float


class BenchDisks(Disks):
    """The common image with one peer enabled, or none."""

    VARIANTS = {NOBODY: None, **{peer.name: None for peer in PEERS}}

    def pristine(self, variant: str) -> Path:
        """The disk with this peer enabled; or with all installed and none enabled."""
        made = self.folder / (variant + ".img")
        if not made.exists():
            tree = self.folder / (variant + ".tree")
            self.folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "--reflink=auto", str(trees.grown(COMMON)), str(tree)], check=True)
            furnish(tree, self.program)
            if variant.startswith("ours") or variant == NOBODY:
                self.install(tree, [])
            shell = {peer.name: peer.enable for peer in PEERS}.get(variant, "systemctl disable azure-provisioning")
            subprocess.run(["chroot", str(tree), "/bin/sh", "-e", "-c", shell or "true"], check=True)
            disk.make(tree, made)
            shutil.rmtree(tree)
        return made


def passes(disks: Disks, logs: Path, rounds: int, say: Callable[[str], None]) -> Dict[str, List[Pass]]:
    """Every peer's pass, in turns, so that a disturbance affects all of them alike."""
    found: Dict[str, List[Pass]] = {peer.name: [] for peer in PEERS}
    machine = vm(1, generation=2)
    with Scene(disks, logs, NOBODY) as scene, scene.boot(machine, media=True) as boot:
        boot.shell(FAR)
        for number in range(rounds):
            for peer in PEERS:
                one = _pass(boot, peer)
                found[peer.name].append(one)
                say(
                    "pass %d of %-18s %6.2f s, %6.2f s CPU, %6.2f s of the machine, %d KiB, %d requests"
                    % (number + 1, peer.name, *one)
                )
    return found


def _pass(boot: Boot, peer: Peer) -> Pass:
    boot.machine.ask(peer.reset, FAR)
    before = len(boot.azure.seen)
    ready = len(boot.azure.readies())
    words = ["--until " + peer.until] if peer.until else []
    words += ["'%s'" % command.replace("'", "'\\''") for command in peer.commands]
    text = boot.machine.ask("python3 /usr/local/sbin/bench-meter.py " + " ".join(words), FAR)
    match = re.search(r"METER (\S+) (\S+) (\S+) (\d+)", text)
    if match is None or len(boot.azure.readies()) == ready:
        raise Wrong("%s: a pass without Ready: %s" % (peer.name, text + boot.machine.ask("tail -5 /run/bench.log")))
    seen = len(boot.azure.seen) - before
    return Pass(float(match.group(1)), float(match.group(2)), float(match.group(3)), int(match.group(4)), seen)


def boots(disks: Disks, logs: Path, variant: str) -> Booted:
    """A first boot and a second boot of a disk with this peer, or none, enabled."""
    machine = vm(2, generation=2)
    ready = None
    with Scene(disks, logs, variant) as scene:
        with scene.boot(machine, media=True) as boot:
            if variant != NOBODY:
                ready = boot.accepted(FAR, harmless=BEGUN)
            boot.shell(FAR)
            _started(boot)
            boot.machine.power_off()
        with scene.boot(machine, media=True) as boot:
            boot.shell(FAR)
            second = _started(boot)
    return Booted(ready, second)


def _started(boot: Boot) -> float:
    """The start time of user space in seconds, by systemd; waits until everything has started."""
    boot.machine.ask("systemctl is-system-running --wait", FAR)
    text = boot.machine.ask("systemd-analyze time", FAR)
    match = re.search(r"\+ (?:(\d+)min )?([\d.]+)(m?)s \(userspace\)", text)
    if match is None:
        raise Wrong("systemd-analyze says: " + text)
    return int(match.group(1) or 0) * 60 + float(match.group(2)) / (1000 if match.group(3) else 1)
