"""How to take back what was changed of a guest's files: an `install` that fails leaves nothing."""

import os
import stat
from functools import partial

from ..errors import GuestError
from .tree import FILE_LIMIT, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Tuple

    from .files import Files


class Journal:
    """Of the changes since `begin`, how to undo each, oldest first. Without `begin` nothing is kept.

    It holds no guest between them: one that is dropped closes its root at once.
    """

    def __init__(self) -> None:
        self.undo: "Optional[List[Callable[[], None]]]" = None

    def begin(self) -> None:
        """Keep what follows."""
        self.undo = []

    def roll_back(self) -> None:
        """Take back what was kept, newest first, as far as the guest lets us."""
        changes, self.undo = self.undo or [], None
        for undo in reversed(changes):
            try:
                undo()
            except (OSError, GuestError):
                continue  # a full or failing disk: what can be taken back, is

    def commit(self) -> None:
        """What was changed stays."""
        self.undo = None

    def keep_file(self, files: "Files", place: Place) -> None:
        """Before a place gets another file or link, or none."""
        if self.undo is None:
            return
        path = place.path
        old = files.stat(path, follow=False)
        if old is None:
            self.undo.append(partial(self.take_away, files, path))
        elif stat.S_ISLNK(old.st_mode):
            target, keeper = files.readlink(path) or "", (old.st_uid, old.st_gid)
            self.undo.append(lambda: self.put_back_link(files, path, target, keeper))
        elif stat.S_ISREG(old.st_mode):
            data, mode = files.read(path, limit=16 * FILE_LIMIT, follow=False) or b"", stat.S_IMODE(old.st_mode)
            keeper = (old.st_uid, old.st_gid)
            self.undo.append(lambda: self.put_back(files, path, data, mode, keeper))

    def keep_absence(self, files: "Files", path: str) -> None:
        """After a tool of the guest has made the file or link at `path`."""
        if self.undo is not None:
            self.undo.append(partial(self.take_away, files, path))

    def keep_no_folder(self, files: "Files", path: str) -> None:
        """After the folder at `path` was made."""
        if self.undo is not None:
            self.undo.append(partial(self.take_dir_away, files, path))

    def keep_rights(self, files: "Files", path: str, mode: int, owner: "Tuple[int, int]") -> None:
        """Before the folder at `path` gets another mode or owner than these."""
        if self.undo is not None:
            self.undo.append(partial(self.give_back, files, path, mode, owner))

    def take_away(self, files: "Files", path: str) -> None:
        """Remove a file that may not exist."""
        with files.reach(path, follow=False) as place:
            place.remove()

    def take_dir_away(self, files: "Files", path: str) -> None:
        """Remove a folder, if nothing is in it by now."""
        with files.reach(path, follow=False) as place:
            os.rmdir(place.name, dir_fd=place.folder)

    def put_back_link(self, files: "Files", path: str, target: str, owner: "Tuple[int, int]") -> None:
        """Bring a symlink back, as it was."""
        files.link(target, path)
        if os.geteuid() == 0:
            with files.reach(path, follow=False) as place:
                os.chown(place.name, *owner, dir_fd=place.folder, follow_symlinks=False)

    def put_back(self, files: "Files", path: str, data: bytes, mode: int, owner: "Tuple[int, int]") -> None:
        """Bring a file back, also where a link has taken its place: a write would go through that."""
        if files.is_link(path):
            self.take_away(files, path)
        files.write(path, data, mode)
        self.give_back(files, path, mode, owner)

    def give_back(self, files: "Files", path: str, mode: int, owner: "Tuple[int, int]") -> None:
        """Let a file or folder have the owner and the mode that it had."""
        with files.reach(path, follow=False) as place:
            descriptor = place.open(os.O_RDONLY)
            try:
                if os.geteuid() == 0:
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)
