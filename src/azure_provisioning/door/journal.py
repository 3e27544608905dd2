"""How to undo changes to a guest's files: an `install` that fails leaves nothing."""

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
    """How to undo each change since `begin`, oldest first. Without `begin` nothing is recorded.

    It has no reference to the guest, so that a guest that is dropped closes its root at once.
    """

    def __init__(self) -> None:
        self.undo: "Optional[List[Callable[[], None]]]" = None

    def begin(self) -> None:
        """Record the changes that follow."""
        self.undo = []

    def roll_back(self) -> None:
        """Undo the recorded changes, newest first, as far as the guest allows it."""
        changes, self.undo = self.undo or [], None
        for undo in reversed(changes):
            try:
                undo()
            except (OSError, GuestError):
                continue  # on a full or failing disk, undo the rest

    def commit(self) -> None:
        """Keep the changes."""
        self.undo = None

    def keep_file(self, files: "Files", place: Place) -> None:
        """Call before a place gets another file or link, or none."""
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
        """Call after a tool of the guest has made the file or link at `path`."""
        if self.undo is not None:
            self.undo.append(partial(self.take_away, files, path))

    def keep_no_folder(self, files: "Files", path: str) -> None:
        """Call after the folder at `path` was made."""
        if self.undo is not None:
            self.undo.append(partial(self.take_dir_away, files, path))

    def keep_rights(self, files: "Files", path: str, mode: int, owner: "Tuple[int, int]") -> None:
        """Call before the folder at `path` gets another mode or owner than these."""
        if self.undo is not None:
            self.undo.append(partial(self.give_back, files, path, mode, owner))

    def take_away(self, files: "Files", path: str) -> None:
        """Remove a file that may not exist."""
        with files.reach(path, follow=False) as place:
            place.remove()

    def take_dir_away(self, files: "Files", path: str) -> None:
        """Remove a folder if it is empty."""
        with files.reach(path, follow=False) as place:
            os.rmdir(place.name, dir_fd=place.folder)

    def put_back_link(self, files: "Files", path: str, target: str, owner: "Tuple[int, int]") -> None:
        """Restore a symlink."""
        files.link(target, path)
        if os.geteuid() == 0:
            with files.reach(path, follow=False) as place:
                os.chown(place.name, *owner, dir_fd=place.folder, follow_symlinks=False)

    def put_back(self, files: "Files", path: str, data: bytes, mode: int, owner: "Tuple[int, int]") -> None:
        """Restore a file. A symlink that replaced it goes first: a write would follow it."""
        if files.is_link(path):
            self.take_away(files, path)
        files.write(path, data, mode)
        self.give_back(files, path, mode, owner)

    def give_back(self, files: "Files", path: str, mode: int, owner: "Tuple[int, int]") -> None:
        """Restore the owner and mode of a file or folder."""
        with files.reach(path, follow=False) as place:
            descriptor = place.open(os.O_RDONLY)
            try:
                if os.geteuid() == 0:
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)
