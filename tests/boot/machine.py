"""One virtual machine: QEMU, its serial console with times, and its end."""

import os
import re
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Pattern, Tuple, Union

from .sealed import GUEST, MAC, Sealed

AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
# Kernel 6.12 spends 1.5 s, emulated, on tests of its own ciphers.
KERNEL_LINE = "root=/dev/vda %s console=ttyS0 net.ifnames=0 panic=-1 mitigations=off loglevel=4 8250.nr_uarts=1"
KERNEL_LINE += " cryptomgr.notests"

# Guests hang under /dev/kvm on the machines where this was written, so the processor is emulated. A plain one is the
# fastest to emulate, and rdrand spares the guest a wait for entropy. One processor each: with two machines on two
# cores, a second processor costs half as much time again. Some kernels also hung early with two.
EMULATION = ("-accel", "tcg", "-cpu", "Nehalem,+rdrand", "-smp", "1", "-m", "512")

TAP = "tap,id=%s,ifname=tap0,script=no,downscript=no"
CARD = "%s,romfile=,netdev=%s,mac=" + MAC
ONE_CARD = ("-netdev", TAP % "net0", "-device", CARD % ("virtio-net-pci", "net0"))
# As with accelerated networking: two cards with different drivers and one address, and both get every packet.
TWO_CARDS = (
    *("-netdev", TAP % "tap", "-netdev", "hubport,id=wire,hubid=0,netdev=tap"),
    *("-netdev", "hubport,id=net0,hubid=0", "-device", CARD % ("virtio-net-pci", "net0")),
    *("-netdev", "hubport,id=net1,hubid=0", "-device", CARD % ("vmxnet3", "net1")),
)

# An emulated kernel that is silent this long before it runs anything hangs. Nothing has touched the disk yet.
STUCK = 30.0

# Two machines keep two cores busy. More would slow every boot. A machine whose story waits gives up its slot.
slots = threading.Semaphore(2)

_living: Dict[int, "Machine"] = {}


class Quiet(Exception):
    """The expected text did not appear on the console."""


class Machine:
    """A VM from power-on to power-off. Times are seconds since power-on. Holds one of the slots while it runs."""

    def __init__(
        self,
        sealed: Sealed,
        boot: List[Path],
        disk: Path,
        log: Path,
        uuid: str,
        azure: bool = True,
        dvd: Optional[Path] = None,
        writable: bool = True,
        second_card: bool = False,
        words: str = "",
        second_disk: Optional[Path] = None,
    ) -> None:
        self.sealed = sealed
        self.console = ""
        self._changed = threading.Condition()
        self._log = log
        argv = [
            "nice",
            "qemu-system-x86_64",
            *EMULATION,
            "-display",
            "none",
            "-nodefaults",
            "-no-reboot",
            "-serial",
            "stdio",
            "-kernel",
            str(boot[0]),
            "-initrd",
            str(boot[1]),
            "-append",
            KERNEL_LINE % ("rw" if writable else "ro")
            + (" dvd" if dvd else "")
            + (" second-card" if second_card else "")
            + " "
            + words,
            "-drive",
            # Data that the guest flushed is in this machine's kernel, which outlives a killed QEMU.
            "file=%s,if=virtio,format=raw,cache=unsafe" % disk,
            *(TWO_CARDS if second_card else ONE_CARD),
            "-smbios",
            "type=1,manufacturer=Microsoft Corporation,product=Virtual Machine,uuid=" + uuid,
        ]
        if azure:
            argv += ["-smbios", "type=3,asset=" + AZURE_TAG]
        if second_disk is not None:
            argv += ["-drive", "file=%s,if=virtio,format=raw,cache=unsafe" % second_disk]
        if dvd is not None:
            argv += ["-drive", "file=%s,media=cdrom,readonly=on" % dvd]
        for _ in range(3):
            self._power_on(argv)
            if self._kernel_runs():
                break
            self.kill()

    def _power_on(self, argv: List[str]) -> None:
        slots.acquire()
        try:
            self.started = time.monotonic()
            self._process = subprocess.Popen(
                self.sealed.command(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except BaseException:
            slots.release()
            raise
        self.console = ""
        _living[self._process.pid] = self
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _kernel_runs(self) -> bool:
        """Wait until the kernel runs its first program; False if it was silent for too long before, or panicked."""
        silent = time.monotonic()
        with self._changed:
            while "Loading, please wait" not in self.console and self.on():
                size = len(self.console)
                self._changed.wait(1.0)
                if len(self.console) > size:
                    silent = time.monotonic()
                if time.monotonic() - silent > STUCK:
                    return False
            return "Loading, please wait" in self.console

    def now(self) -> float:
        """Seconds since power-on."""
        return time.monotonic() - self.started

    def on(self) -> bool:
        """Is it running?"""
        return self._process.poll() is None

    def wait(self, pattern: Union[str, Pattern[str]], seconds: float, start: int = 0) -> Tuple[float, "re.Match[str]"]:
        """Wait for a pattern on the console, at or after this offset: (the time, the match)."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                match = re.compile(pattern).search(self.console, start)
                if match:
                    return self.now(), match
                left = end - time.monotonic()
                if left <= 0 or not self.on():
                    why = "" if self.on() else ": the machine went off"
                    raise Quiet("%r did not come on the console%s" % (pattern, why))
                self._changed.wait(min(left, 1.0))

    def login(self, seconds: float) -> float:
        """The time of the login prompt, or of "press Enter", which is then answered."""
        came, said = self.wait(r"login: |press Enter", seconds)
        if said.group() == "press Enter":
            self.type("\n")
            self.wait(r"login: ", seconds)
        return came

    @contextmanager
    def resting(self) -> Iterator[None]:
        """While the guest only waits, another machine may start."""
        slots.release()
        try:
            yield
        finally:
            slots.acquire()

    def enter(self, seconds: float = 60) -> None:
        """Log in as root on the console; call it when the login prompt has appeared."""
        start = len(self.console)
        self.type("root\n")
        self.wait(r"[#$] ", seconds, start)

    def ask(self, command: str, seconds: float = 60) -> str:
        """The output of a command in the root shell on the console."""
        start = len(self.console)
        # The shell echoes its input: the marks are spelt so that the echo does not match the answer.
        self.type("echo '<''<'; %s; echo '>''>'\n" % command)
        _, match = self.wait(r"(?s)<<\r?\n(.*?)>>", seconds, start)
        return match.group(1).replace("\r", "").strip()

    def type(self, text: str) -> None:
        """Type on the console."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def sshd(self, seconds: float) -> float:
        """The time of sshd's greeting; infinity if it does not come in time. Checks four times a second."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.on():
            if self.sealed.banner(22, 5).startswith(b"SSH-"):
                return self.now()
            time.sleep(0.25)
        return float("inf")

    def power_off(self, seconds: float = 90) -> None:
        """Ask the guest to power off (a root shell must be on the console), and wait until it does."""
        self.type("poweroff\n")
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Quiet("the guest did not power off") from None
        self._ended()

    def kill(self) -> None:
        """Cut the power."""
        self._process.kill()
        self._process.wait()
        self._ended()

    def _ended(self) -> None:
        if _living.pop(self._process.pid, None) is not None:
            self._reader.join(5)
            with open(self._log, "a") as log:
                ended = (self.now(), self._process.returncode)
                log.write("\n%7.2f  -- QEMU ended: %d (-9: the power was cut)\n" % ended)
            slots.release()

    def _read(self) -> None:
        assert self._process.stdout is not None
        line_start = True
        with open(self._log, "ab", buffering=0) as log:
            while True:
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    break
                text = data.decode("utf-8", "replace")
                stamped = ""
                for piece in text.splitlines(keepends=True):
                    stamped += ("%7.2f  " % self.now() if line_start else "") + piece
                    line_start = piece.endswith("\n")
                log.write(stamped.encode("utf-8", "replace"))
                with self._changed:
                    self.console += text
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


def sweep() -> None:
    """Cut the power of every machine that still runs."""
    for machine in list(_living.values()):
        machine.kill()


__all__ = ["GUEST", "Machine", "Quiet", "slots", "sweep"]
