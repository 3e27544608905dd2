"""The environment of a story: the disks of an image, and a sealed Azure around one machine at a time."""

import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Dict, Iterator, List, Optional

from . import disk, trees
from .azure import Azure, Vm, ovf, requests
from .disk import Disk
from .images import Image
from .login import Login
from .machine import Machine, Quiet
from .sealed import GUEST, WIRESERVER, Sealed

PROGRAM = "/usr/local/sbin/azure-provisioning"
LOG = "/var/log/azure-provisioning.log"
STATE = "/var/lib/azure-provisioning/state"


class Wrong(Exception):
    """The verdict of a failed story: one line."""


def must(truth: object, line: str) -> None:
    """Fail the story with this line unless the first argument is true."""
    if not truth:
        raise Wrong(line)


class Disks:
    """The disks of one image, each made once in a run: plain, hooked (`install`), every-boot (`install
    --every-boot`)."""

    VARIANTS: Dict[str, Optional[List[str]]] = {"plain": None, "hooked": [], "every-boot": ["--every-boot"]}

    def __init__(self, image: Image, program: Path, folder: Path) -> None:
        self.image = image
        self.program = program
        self.folder = folder
        self._lock = threading.Lock()

    def pristine(self, variant: str) -> Path:
        """The disk of a variant, made if missing; copy it before booting."""
        made = self.folder / (variant + ".img")
        with self._lock:
            if not made.exists():
                self.folder.mkdir(parents=True, exist_ok=True)
                options = self.VARIANTS[variant]
                if options is None:
                    disk.make(trees.grown(self.image), made)
                else:
                    with self.installed(self.folder / (variant + ".tree"), options) as tree:
                        disk.make(tree, made)
        return made

    @contextmanager
    def installed(self, tree: Path, options: List[str]) -> Iterator[Path]:
        """A copy of the image's tree with the program installed. It is removed at the end."""
        subprocess.run(["cp", "-a", "--reflink=auto", str(trees.grown(self.image)), str(tree)], check=True)
        try:
            self.install(tree, options)
            yield tree
        finally:
            trees.remove(tree)

    def install(self, tree: Path, options: List[str]) -> None:
        """Run `install` on a tree, then `check`, which must predict that the disk boots to Ready."""
        command = ["python3", str(self.program), "install", "--root", str(tree), *self.image.install, *options]
        answer = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        (self.folder / "install.log").write_bytes(answer.stdout)
        must(answer.returncode == 0, "install --root: exit %d: %s" % (answer.returncode, answer.stdout.decode()[-300:]))
        self._check(tree)

    def _check(self, tree: Path) -> None:
        """`check` must predict the result of these machines: they become Ready."""
        findings = self._findings(tree)
        errors = [one["message"] for one in findings if one["level"] == "error"]
        must(not errors, "check --root: %s" % "; ".join(errors))
        self.remedies = {one["id"]: one["remedy"] or "" for one in findings if one["level"] == "warning"}

    def errors(self, tree: Path) -> Dict[str, str]:
        """The errors that `check` finds in a tree: id and message."""
        return {one["id"]: one["message"] for one in self._findings(tree) if one["level"] == "error"}

    def _findings(self, tree: Path) -> List[Dict[str, str]]:
        """The findings of `check` in a tree. Its exit code must agree."""
        command = ["python3", str(self.program), "check", "--json", "--root", str(tree)]
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        (self.folder / "check.log").write_bytes(answer.stdout)
        findings: List[Dict[str, str]] = json.loads(answer.stdout.decode())
        errors = [one for one in findings if one["level"] == "error"]
        must(answer.returncode == bool(errors), "check --root: exit %d: %s" % (answer.returncode, errors))
        return findings


class Scene:
    """The environment of one story: a disk, a sealed network, and the logs of all its boots. A context manager."""

    def __init__(self, disks: Disks, folder: Path, variant: str) -> None:
        self.image = disks.image
        self.disks = disks
        self.folder = folder
        self.variant = variant
        self.figures: Dict[str, float] = {}
        self.disk = Disk(folder / "disk.img")
        self.sealed = Sealed(folder / "dhcp.log")
        self.words = disks.image.kernel  # for the kernel's command line
        self.second_disk: Optional[Path] = None
        self._boots = 0

    def __enter__(self) -> "Scene":
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        disk.copy(self.disks.pristine(self.variant), self.disk.image)
        self.sealed.__enter__()
        self.login = Login(self.sealed.command, GUEST, self.folder)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.sealed.__exit__()
        if kind is not None and self.disk.image.exists():
            for path in (LOG, STATE, "/etc/hostname"):
                kept = self.folder / path.rpartition("/")[2]
                kept.write_text(self.disk.text(path), errors="surrogateescape")
        for image in self.folder.glob("*.img"):
            image.unlink()

    @contextmanager
    def boot(
        self,
        vm: Vm,
        azure: Optional[Azure] = None,
        dhcp: bool = True,
        platform: bool = True,
        tag: bool = True,
        media: bool = False,
        writable: bool = True,
        second_card: bool = False,
    ) -> Iterator["Boot"]:
        """Power a VM on. `dhcp` and `platform`: they answer from the start; otherwise the story starts them.

        `tag`: the firmware says that this is Azure. `media`: with the provisioning DVD. `writable`: the root is.
        `second_card`: with a second card that has the address of the first.
        """
        self._boots += 1
        cloud = azure or Azure(self.sealed, vm)
        if dhcp:
            self.sealed.start_dhcp(cloud.wireserver)
        if platform:
            cloud.start()
        iso = disk.dvd(ovf(vm), self.folder) if media else None
        log = self.folder / ("console-%d.log" % self._boots)
        kernel = trees.kernel(trees.grown(self.image))
        machine = Machine(
            self.sealed,
            kernel,
            self.disk.image,
            log,
            vm.uuid(),
            tag,
            iso,
            writable,
            second_card,
            self.words,
            self.second_disk,
        )
        try:
            yield Boot(self, machine, cloud)
        finally:
            machine.kill()
            cloud.stop()
            self.sealed.stop_dhcp()
            lines = requests(cloud, machine.started) + ["connections: %d" % len(cloud.connections)]
            (self.folder / ("requests-%d.log" % self._boots)).write_text("\n".join(lines) + "\n")

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file onto the disk, and the folders above it, while no machine runs on it."""
        source = self.folder / "put"
        source.write_text(text)
        source.chmod(mode)
        above = ["mkdir %s" % folder for folder in reversed(PurePosixPath(path).parents)]
        self.disk.change("rm " + path, *above[1:], "write %s %s" % (source, path))

    def make_broken(self, sound: Path, how: str) -> Dict[str, str]:
        """Make the disk of a copied tree that shell lines have broken, so that `check` reports an error."""
        tree = self.folder / "broken.tree"
        try:
            subprocess.run(["cp", "-a", "--reflink=auto", str(sound), str(tree)], check=True)
            subprocess.run(["sh", "-e", "-c", how], cwd=str(tree), check=True)
            disk.make(tree, self.disk.image)
            return self.disks.errors(tree)
        finally:
            trees.remove(tree)

    def enabled(self) -> List[str]:
        """The files on the disk that make the hook run at boot."""
        return self.image.enabled(self.disk)


class Boot:
    """A running machine, and the Azure around it."""

    def __init__(self, scene: Scene, machine: Machine, azure: Azure) -> None:
        self.scene = scene
        self.machine = machine
        self.azure = azure

    def ready(self, seconds: float) -> float:
        """Wait for an accepted Ready, and for the console line that reports it: seconds from power-on to Ready."""
        came = self.accepted(seconds)
        # A starting getty, and a login, empty the line's buffers: read the messages before any login.
        self.machine.wait("Azure accepted Ready after", 30)
        return came

    def accepted(self, seconds: float, harmless: str = "") -> float:
        """Wait for an accepted Ready from any agent: seconds since power-on. Its ids must be right.

        `harmless`: the description of a NotReady that is no failure, if that agent sends one.
        """
        end = self.machine.now() + seconds
        while not self.azure.readies():
            failures = [failure for failure in self.azure.failures() if failure != harmless or not harmless]
            must(not failures, "reported NotReady: %s" % "; ".join(failures))
            must(self.machine.on(), "the machine went off by itself before Ready")
            must(self.machine.now() < end, "no Ready within %d s" % seconds)
            self.pause(0.1)
        must(not self.azure.wrong_ids(), "; ".join(self.azure.wrong_ids()))
        return self.azure.readies()[0].at - self.machine.started

    def failed(self, seconds: float) -> str:
        """Wait for a report that provisioning failed: its description. The ids must be right, and Ready must not
        come."""
        end = self.machine.now() + seconds
        while not self.azure.failures():
            must(not self.azure.readies(), "reported Ready, which it is not")
            must(self.machine.on(), "the machine went off by itself before its report")
            must(self.machine.now() < end, "no report within %d s" % seconds)
            self.pause(0.1)
        must(not self.azure.wrong_ids(), "; ".join(self.azure.wrong_ids()))
        return self.azure.failures()[0]

    def shell(self, seconds: float) -> float:
        """Wait for the console login and log in: seconds from power-on to the prompt."""
        came = self.machine.login(seconds)
        self.machine.enter()
        return came

    def out_of_the_boot(self, seconds: float = 20) -> None:
        """Wait until the init system itself reports that it will not run the hook again."""
        end = self.machine.now() + seconds
        while "yes" in self.machine.ask(self.scene.image.ask):
            must(self.machine.now() < end, "the init system would run the hook again")
            self.pause(0.5)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        threading.Event().wait(seconds)


__all__ = ["LOG", "PROGRAM", "Quiet", "STATE", "WIRESERVER", "Boot", "Disks", "Scene", "Wrong", "must"]
