"""Log in to the guest over the network by key or password, after its host key matched the serial console."""

import os
import re
import subprocess
from pathlib import Path
from typing import Callable, List, Set

TIMEOUT = 60.0  # seconds: an emulated machine is slow at a key exchange
OPTIONS = ("-F/dev/null", "-oConnectTimeout=30", "-oStrictHostKeyChecking=yes", "-oNumberOfPasswordPrompts=1")


class Login:
    """A user outside the guest, with a key pair. `enter` runs a command where that user is."""

    def __init__(self, enter: Callable[[List[str]], List[str]], address: str, folder: Path) -> None:
        self.enter = enter
        self.address = address
        self.folder = folder
        self._key = folder / "key"
        self._known = folder / "known_hosts"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "boot-lab", "-f", str(self._key)]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True)

    @property
    def public(self) -> str:
        """The public key, in the form for Azure."""
        return self._key.with_suffix(".pub").read_text().strip()

    def verify(self, console: str) -> List[str]:
        """Trust the host keys whose fingerprints were on the console; returns the lines of the others."""
        shown: Set[str] = set(re.findall(r"SHA256:[A-Za-z0-9+/]{43}", console))
        scan = self.enter(["ssh-keyscan", "-T", "30", "-t", "ed25519,ecdsa", self.address])
        offered = subprocess.run(scan, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
        trusted: List[str] = []
        strange: List[str] = []
        for line in offered.splitlines():
            if line.startswith("#"):
                continue
            answer = subprocess.run(
                ["ssh-keygen", "-l", "-f", "-"], input=line.encode(), stdout=subprocess.PIPE, check=True
            )
            (trusted if answer.stdout.decode().split()[1] in shown else strange).append(line)
        self._known.write_text("".join(line + "\n" for line in trusted))
        return strange if trusted else ["no host key of the console is offered"]

    def known(self) -> Set[str]:
        """The trusted host keys."""
        return set(self._known.read_text().splitlines())

    def by_key(self, user: str, command: str) -> str:
        """The output of a command in a session opened with the key. If ssh fails, its error."""
        return self._ssh(user, command, ["-i", str(self._key), "-oBatchMode=yes"])

    def by_password(self, user: str, password: str, command: str) -> str:
        """The same with a password, for which ssh runs a program."""
        ask = self.folder / "askpass"
        ask.write_text("#!/bin/sh\nprintf '%s\\n' \"$LAB_PASSWORD\"\n")
        ask.chmod(0o700)
        only = ["-oPubkeyAuthentication=no", "-oPreferredAuthentications=password,keyboard-interactive"]
        words = {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "LAB_PASSWORD": password}
        return self._ssh(user, command, only, **words)

    def _ssh(self, user: str, command: str, options: List[str], **words: str) -> str:
        known = "-oUserKnownHostsFile=%s" % self._known
        argv = ["ssh", *OPTIONS, known, *options, "%s@%s" % (user, self.address), command]
        try:
            answer = subprocess.run(
                self.enter(argv),
                env={**os.environ, **words},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "no answer within %d s" % TIMEOUT
        return answer.stdout.decode("utf-8", "replace").strip()
