"""The image that is looked at, with what several checks need to know of it."""

import re
from fnmatch import fnmatchcase
from typing import Optional

from ... import config
from ...init.detection import active_lines, find_init
from ...init.rivals import text
from ...system import System
from . import packages
from .services import find_services

PROGRAM = "azure-provisioning"


class Image:
    """An image, or the running system. Raises GuestError if the most basic files of it cannot be read."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.options, self.problems = config.load(system)
        self.init = find_init(system)
        self.services = find_services(system, self.init)  # None: nobody knows what this init system starts

    # -- questions ------------------------------------------------------------------------------------------------

    def starts(self, *patterns: str) -> "Optional[str]":
        """The first service that the boot starts and whose name matches one of the shell patterns."""
        for pattern in patterns:
            for name in sorted(self.services or ()):
                if fnmatchcase(name, pattern):
                    return name
        return None

    def text(self, path: str) -> str:
        """A file's text; empty if there is none, or it is no text file of a usual size."""
        return text(self.system, path)

    def active(self, *paths: str) -> str:
        """The lines of the files that are no comments."""
        return b"\n".join(active_lines(self.system, path) for path in paths).decode("utf-8", "replace")

    # -- remedies -------------------------------------------------------------------------------------------------

    def place(self, path: str) -> str:
        """A path of the image as one types it outside, quoted for a shell."""
        return quote(path if self.system.root == "/" else self.system.root + path)

    def inside(self, command: str) -> str:
        """A command that the image's own tools run."""
        return command if self.system.root == "/" or not command else "chroot %s %s" % (self.place(""), command)

    def ours(self, verb: str) -> str:
        """A verb of this program, for this image."""
        return "%s %s%s" % (PROGRAM, verb, "" if self.system.root == "/" else " --root " + self.place(""))

    def add(self, what: str) -> str:
        """The command that adds a package; empty where the package manager or its name for it is not known."""
        return self.inside(packages.command(self.system, what))

    def enable(self, service: str) -> str:
        """The command that has the boot start a service; empty where that is not known."""
        commands = {
            "systemd": "systemctl enable %s",
            "openrc": "rc-update add %s default",
            "runit": "ln -s /etc/sv/%s /etc/runit/runsvdir/default/",
            "dinit": "ln -s ../%s /etc/dinit.d/boot.d/",
            "slackware": "chmod +x /etc/rc.d/rc.%s",
        }
        if self.init == "sysvinit":
            tool = next((name for name in ("chkconfig", "update-rc.d") if self.system.find_program(name)), "")
            commands["sysvinit"] = {"chkconfig": "chkconfig %s on", "update-rc.d": "update-rc.d %s defaults"}.get(
                tool, ""
            )
        command = commands.get(self.init or "", "")
        return self.inside(command % service) if command else ""


def quote(word: str) -> str:
    """A word for a shell. (`shlex` is not in every small Python.)"""
    return word if re.match(r"[\w@%+=:,./-]+\Z", word, re.ASCII) else "'%s'" % word.replace("'", "'\"'\"'")
