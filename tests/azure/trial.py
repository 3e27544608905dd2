"""The tests of one image: VMs with a key, with a password, and of a captured VM. Each is checked from outside."""

import json
import re
import secrets
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Set

from ..boot.login import Login
from .cloud import Failed, Group, field

USER = "azureuser"
PROGRAM = "/usr/local/sbin/azure-provisioning"
CONTAINER = "images"
TRIES = 30  # tries to read a boot log, which arrives some minutes late
ACCEPTED = "Azure accepted Ready after"


class Tried(NamedTuple):
    """One row of the table."""

    image: str
    what: str
    verdict: str
    why: str
    seconds: float


class Trial:
    """The VMs of one image, one after another."""

    def __init__(
        self,
        group: Group,
        size: str,
        scratch: Path,
        logs: Path,
        pause: float,
        say: Callable[[str], None],
        tried: List[Tried],
    ) -> None:
        self.group = group
        self.size = size
        self.scratch = scratch  # contains keys and passwords, and is removed at the end
        self.logs = logs
        self.pause = pause
        self.say = say
        self.tried = tried  # the rows, so that the caller can show them after an interrupt
        self.account = ""
        self.sessions: Dict[str, Callable[[str], str]] = {}  # from a VM's name to the call that runs commands in it

    def play(self, name: str, vhd: Path) -> None:
        """All tests of one image. A failure is a row, and the tests that depend on it are skipped."""
        image = self.note(name, "image", lambda: self.upload(name, vhd))
        if image is None:
            return
        captured = None
        known: Set[str] = set()
        if self.note(name, "key", lambda: self.start("%s-key" % name, image, known)) is not None:
            captured = self.note(name, "capture", lambda: self.capture("%s-key" % name))
        self.note(name, "password", lambda: self.start("%s-password" % name, image, known, password=True))
        if captured is not None:
            self.note(name, "captured", lambda: self.start("%s-captured" % name, captured, known))

    def note(self, image: str, what: str, act: Callable[[], str]) -> Optional[str]:
        """Run it, and add a row; None if it failed."""
        started = time.monotonic()
        self.say("%s: %s" % (image, what))
        answer, verdict, why = None, "ok", ""
        try:
            answer = act()
        except Failed as failure:
            verdict, why = "FAILED", str(failure)
        self.tried.append(Tried(image, what, verdict, why, time.monotonic() - started))
        return answer

    def upload(self, name: str, vhd: Path) -> str:
        """The id of an image made from a VHD, which is uploaded as a page blob."""
        if not self.account:
            account = "azprov" + secrets.token_hex(8)  # such names are global
            words = [
                "--name",
                account,
                "--location",
                self.group.location,
                "--sku",
                "Standard_LRS",
                "--kind",
                "StorageV2",
            ]
            words += ["--min-tls-version", "TLS1_2", "--allow-blob-public-access", "false"]
            self.group.ask("storage", "account", "create", *words)
            # With `--auth-mode key` and no key, az fetches the key itself, so no argument contains it.
            words = ["--name", CONTAINER, "--account-name", account, "--auth-mode", "key"]
            self.group.az.ask("storage", "container", "create", *words)
            self.account = account
        blob = name + ".vhd"
        words = ["--account-name", self.account, "--container-name", CONTAINER, "--name", blob]
        words += ["--file", str(vhd), "--type", "page", "--auth-mode", "key", "--no-progress"]
        self.group.az.ask("storage", "blob", "upload", *words)
        words = ["--account-name", self.account, "--container-name", CONTAINER, "--name", blob, "--auth-mode", "key"]
        url = self.group.az.ask("storage", "blob", "url", *words)
        if not isinstance(url, str) or not url.startswith("https://"):
            raise Failed("az storage blob url: no address in the answer")
        words = ["--name", name, "--location", self.group.location, "--os-type", "Linux", "--hyper-v-generation", "V1"]
        return field(self.group.ask("image", "create", *words, "--source", url), "id")

    def start(self, name: str, image: str, known: Set[str], password: bool = False) -> str:
        """Make a VM, log in, and check what Azure reports about it; returns its address."""
        folder = self.scratch / name
        folder.mkdir()
        words = ["--name", name, "--image", image, "--location", self.group.location, "--size", self.size]
        words += ["--admin-username", USER, "--enable-agent", "false", "--boot-diagnostics-storage", self.account]
        login = Login(lambda argv: argv, "", folder)
        secret = ""
        if password:
            # az reads an argument from a file if it begins with @. Any user can read a secret in an argument.
            secret = "Aa1-" + secrets.token_hex(16)
            kept = folder / "password"
            kept.touch(0o600)
            kept.write_text(secret)
            words += ["--authentication-type", "password", "--admin-password", "@%s" % kept]
        else:
            words += ["--authentication-type", "ssh", "--ssh-key-values", str(folder / "key.pub")]
        try:
            made = self.group.ask("vm", "create", *words)
        except Failed:
            self.look_at_log(name, 1)  # for the person who reads the logs
            raise
        login.address = field(made, "publicIpAddress")
        if not re.fullmatch(r"[0-9.]{7,15}", login.address):
            raise Failed("%r is no address" % login.address)
        self.look_at_state(name)
        log = self.look_at_log(name, TRIES)
        if ACCEPTED not in log:
            raise Failed("the boot log does not say that Azure accepted Ready; see %s" % self.boot_log(name))
        try:
            strange = login.verify(log)
        except subprocess.CalledProcessError:
            raise Failed("sshd does not answer at %s" % login.address)
        if strange:
            raise Failed("a host key is not one that the boot log shows: %s" % strange[0])
        keys = {line.split()[2] for line in login.known()}  # a line: address, type, key
        if keys & known:
            raise Failed("a host key is that of another VM")
        known |= keys
        enter = partial(login.by_password, USER, secret) if password else partial(login.by_key, USER)
        self.sessions[name] = enter
        said = enter("id -un; hostname; sudo -n id -u").split()
        if said != [USER, name, "0"]:
            raise Failed("logged in, but `id`, `hostname` and `sudo` said %.200r" % " ".join(said))
        try:
            status = json.loads(enter(PROGRAM + " status --json"))
            done = status["ready"] is True and status["hook"]["enabled"] is False
        except (ValueError, KeyError, TypeError):
            done = False
        if not done:
            raise Failed("`status` does not say that the VM is ready and the hook disabled")
        return login.address

    def look_at_state(self, name: str) -> None:
        """The state in the portal. Raises Failed unless Azure shows the VM as provisioned."""
        view = self.group.ask("vm", "get-instance-view", "--name", name)
        try:
            assert isinstance(view, dict)
            codes = {status["code"] for status in view["instanceView"]["statuses"]}
        except (AssertionError, KeyError, TypeError):
            raise Failed("az vm get-instance-view: no statuses in the answer")
        if not {"ProvisioningState/succeeded", "PowerState/running"} <= codes:
            raise Failed("the portal shows %s" % ", ".join(sorted(codes)))

    def look_at_log(self, name: str, tries: int) -> str:
        """The serial console, from boot diagnostics. Waits until it shows the end of the boot. Empty if there is
        none."""
        log = ""
        for number in range(tries):
            if number:
                time.sleep(self.pause)
            try:
                log = self.group.text("vm", "boot-diagnostics", "get-boot-log", "--name", name)
            except Failed:
                continue  # Azure has none in the first minute
            if log.startswith('"'):
                log = str(json.loads(log))  # some releases of az print it as JSON
            self.boot_log(name).write_text(log, encoding="utf-8", errors="backslashreplace")
            if ACCEPTED in log or "FAILED:" in log:
                break
        return log

    def boot_log(self, name: str) -> Path:
        """The address of a VM's serial console log."""
        return self.logs / (name + ".log")

    def capture(self, name: str) -> str:
        """Make an image of a VM that has run; returns its id."""
        said = self.sessions[name](
            "sudo -n %s generalize --user %s --yes >/dev/null && echo generalized" % (PROGRAM, USER)
        )
        if "generalized" not in said.split():
            raise Failed("generalize: %.200r" % said)
        self.group.ask("vm", "deallocate", "--name", name)
        self.group.ask("vm", "generalize", "--name", name)
        words = ["--name", name + "-captured", "--location", self.group.location, "--source", name]
        return field(self.group.ask("image", "create", *words, "--hyper-v-generation", "V1"), "id")
