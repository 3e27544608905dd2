"""The image that is checked, with facts that several checks need."""

from fnmatch import fnmatchcase
from typing import Callable, Dict, Iterable, Optional, Tuple, TypeVar, cast

from ... import config
from ...door.system import System
from ...door.text import active_lines, read_text
from ...errors import GuestError
from ...init import table
from ...init.detection import find_init
from ...story.boot import introduce
from ..command import PROGRAM, Command, own
from . import command_line, packages

Found = TypeVar("Found")


class Image:
    """An image, or the running system. Raises GuestError if its most basic files cannot be read."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.options, self.problems = config.load(system)
        self.init = find_init(system)
        introduce(system)
        self._found: "Dict[object, object]" = {}

    # -- questions ------------------------------------------------------------------------------------------------

    def once(self, look: "Callable[[System], Found]") -> "Found":
        """The result of `look`, which is called only once. Raises the GuestError that it ended with, each time."""
        if look not in self._found:
            try:
                self._found[look] = look(self.system)
                self.system.spend("/", 0)  # after too much work the result is incomplete
            except GuestError as error:
                self._found[look] = error
        found = self._found[look]
        if isinstance(found, GuestError):
            raise found
        return cast("Found", found)

    @property
    def services(self) -> "Optional[Dict[str, str]]":
        """The services that the boot starts, by name; None if this init system keeps no list. Raises GuestError."""
        return self.once(self._find_services)

    def _find_services(self, system: System) -> "Optional[Dict[str, str]]":
        if self.init == "systemd":
            return command_line.services(system)
        return table.load(self.init).services(system) if self.init in table.NAMES else None

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
        """A file's text; empty if it is missing or not a regular file. Raises GuestError."""
        return read_text(self.system, path)

    def active(self, *paths: str) -> str:
        """The lines of the files without comments."""
        return b"\n".join(active_lines(self.system, path) for path in paths).decode("utf-8", "replace")

    # -- remedies -------------------------------------------------------------------------------------------------

    def place(self, path: str, *, follow: bool = True) -> str:
        """The path on the host of a path in the image, for a shell, which would follow the image's symlinks out of it.

        Raises GuestError.
        """
        return path if self.system.root == "/" else self.system.path(path, follow=follow)

    def inside(self, command: Command) -> Command:
        """A command that runs inside the image."""
        return command if self.system.root == "/" else command.inside(self.system.root)

    def edit(self, path: str) -> Command:
        """Open a file in which something has to be changed by hand."""
        return Command("vi").on(self.place(path))

    def edit_lines(self, path: str, numbers: "Iterable[int]", script: str) -> Command:
        """Apply a script of sed to some lines of a file."""
        return Command("sed", "-i", ";".join("%d%s" % (number, script) for number in numbers)).on(self.place(path))

    def remove(self, path: str) -> Command:
        """Remove a file."""
        return Command("rm").on(self.place(path, follow=False))

    def put(self, path: str, printed: Command) -> Command:
        """Write what a command prints to a file, in a folder that may be missing."""
        folder = Command("mkdir", "-p").on(self.place(path.rpartition("/")[0]))
        return folder.then(printed.into(self.place(path)))

    def put_for_all(self, path: str, printed: Command) -> Command:
        """The same, for a file that a daemon without root reads: with a umask of 077 it would be root's alone."""
        places = [self.place(place) for place in (path.rpartition("/")[0], path)]
        return self.put(path, printed).then(Command("chmod", "a+rX").on(*places))

    def append(self, path: str, printed: Command) -> Command:
        """Append what a command prints to a file. A last line without its end would swallow the first of these."""
        place, text = self.place(path), self.text(path)
        added = printed.onto(place)
        return added if text.endswith("\n") or not text else Command("echo").onto(place).then(added)

    def allow_to_run(self, path: str) -> Command:
        """Make a file executable."""
        return Command("chmod", "+x").on(self.place(path))

    def ours(self, *words: str) -> Command:
        """This program, for this image."""
        return own(*words, *([] if self.system.root == "/" else ["--root", self.system.root]))

    def add(self, what: str) -> Command:
        """The command that adds a package; empty if the package manager or the package's name is unknown."""
        return self.inside(packages.command(self.system, what))

    def enable(self, *services: str) -> Command:
        """The command that makes the boot start the first of the services that exists; empty if it is unknown."""
        init = table.load(self.init) if self.init in table.NAMES else None
        commands = (init.enable_command(self.system, service) for service in services) if init else iter(())
        return self.mend(next(filter(None, commands), ()))

    def mend(self, words: "Tuple[str, ...]") -> Command:
        """The remedy of an `Obstacle`, for this image."""
        if words[:1] == (PROGRAM,):
            return self.ours(*words[1:])
        if words[:2] == ("chmod", "+x"):
            return self.allow_to_run(words[2])
        if words[:2] == ("sed", "-i"):
            return Command(*words[:-1]).on(self.place(words[-1]))
        return self.inside(Command(*words))
