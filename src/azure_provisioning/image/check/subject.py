"""The image that is looked at, with what several checks need to know of it."""

from fnmatch import fnmatchcase
from typing import Callable, Dict, Optional, TypeVar, cast

from ... import config
from ...door.system import System
from ...errors import GuestError
from ...init.detection import active_lines, find_init
from ...init.rivals import text
from ..command import Command
from . import packages
from .services import find_services

PROGRAM = "azure-provisioning"
Found = TypeVar("Found")


class Image:
    """An image, or the running system. Raises GuestError if the most basic files of it cannot be read."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.options, self.problems = config.load(system)
        self.init = find_init(system)
        self._found: "Dict[object, object]" = {}

    # -- questions ------------------------------------------------------------------------------------------------

    def once(self, look: "Callable[[System], Found]") -> "Found":
        """What `look` finds out, looked for once. Raises the GuestError that it ended with, each time."""
        if look not in self._found:
            try:
                self._found[look] = look(self.system)
                self.system.spend("/", 0)  # what was found after too much work is not all that there is
            except GuestError as error:
                self._found[look] = error
        found = self._found[look]
        if isinstance(found, GuestError):
            raise found
        return cast("Found", found)

    @property
    def services(self) -> "Optional[Dict[str, str]]":
        """What the boot starts, by name; None if nobody knows what this init system starts. Raises GuestError."""
        return self.once(self._find_services)

    def _find_services(self, system: System) -> "Optional[Dict[str, str]]":
        return find_services(system, self.init)

    def starts(self, *patterns: str) -> "Optional[str]":
        """The first service that the boot starts and whose name matches one of the shell patterns."""
        services = self.services or {}
        for pattern in patterns:
            if pattern in services:
                return pattern
            found = [name for name in services if "*" in pattern and fnmatchcase(name, pattern)]
            if found:
                return min(found)
        return None

    def text(self, path: str) -> str:
        """A file's text; empty if there is none, or it is no text file of a usual size."""
        return text(self.system, path)

    def active(self, *paths: str) -> str:
        """The lines of the files that are no comments."""
        return b"\n".join(active_lines(self.system, path) for path in paths).decode("utf-8", "replace")

    # -- remedies -------------------------------------------------------------------------------------------------

    def place(self, path: str, follow: bool = True) -> str:
        """Where a path of the image is for a shell outside of it, which would follow the links of the image out of it.

        Raises GuestError.
        """
        return path if self.system.root == "/" else self.system.path(path, follow=follow)

    def inside(self, command: Command) -> Command:
        """A command that the image's own tools run."""
        return command if self.system.root == "/" else command.inside(self.system.root)

    def edit(self, path: str) -> Command:
        """A file is to be changed, in a way that only the person knows."""
        return Command("edit").on(self.place(path))

    def remove(self, path: str) -> Command:
        """A file is to go."""
        return Command("rm").on(self.place(path, follow=False))

    def allow_to_run(self, path: str) -> Command:
        """A file is to become a program."""
        return Command("chmod", "+x").on(self.place(path))

    def ours(self, *words: str) -> Command:
        """This program, for this image."""
        return Command(PROGRAM, *words, *([] if self.system.root == "/" else ["--root", self.system.root]))

    def add(self, what: str) -> Command:
        """The command that adds a package; empty where the package manager or its name for it is not known."""
        return self.inside(packages.command(self.system, what))

    def enable(self, service: str) -> Command:
        """The command that has the boot start a service; empty where that is not known."""
        init, command = self.init, Command()
        if init == "systemd":
            command = Command("systemctl", "enable").on(service)
        elif init == "openrc":
            command = Command("rc-update", "add").on(service, "default")
        elif init == "runit":
            command = Command("ln", "-s").on("/etc/sv/" + service, "/etc/runit/runsvdir/default/")
        elif init == "dinit":
            command = Command("ln", "-s").on("../" + service, "/etc/dinit.d/boot.d/")
        elif init == "slackware":
            command = Command("chmod", "+x").on("/etc/rc.d/rc." + service)
        elif init == "sysvinit" and self.system.find_program("chkconfig"):
            command = Command("chkconfig").on(service, "on")
        elif init == "sysvinit" and self.system.find_program("update-rc.d"):
            command = Command("update-rc.d").on(service, "defaults")
        return self.inside(command)
