"""What a daemon that is not root may read: the modes of files and of the folders on the way to them."""

import os
from typing import List, NamedTuple, Optional

from ...door.system import System
from ...guest.accounts import find_account
from ...init.systems import systemd

ENTER, LIST, READ = 1, 5, 4  # bits of a mode


class DaemonUser(NamedTuple):
    """The user of a daemon; None for what its account says if the image has none, or if it is root."""

    uid: "Optional[int]"
    gid: "Optional[int]"
    is_root: bool

    def barriers(self, system: System, path: str) -> "List[str]":
        """A file and the folders on the way to it, as far as their modes keep the daemon from reading the file.

        The image root itself does not count: it is where the image is mounted.
        """
        folder = os.path.dirname(path)
        needs = [(path, READ), (folder, LIST)]
        while os.path.dirname(folder) != "/":
            folder = os.path.dirname(folder)
            needs.append((folder, ENTER))
        return [] if self.is_root else [place for place, bits in needs if not self.may(system, place, bits)]

    def may(self, system: System, path: str, bits: int) -> bool:
        """Do the owner and the mode allow this? What is not there forbids nothing."""
        found = system.stat(path)
        if found is None:
            return True
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return (found.st_mode >> shift) & bits == bits


def user_of(system: System, service: str, usual: str) -> DaemonUser:
    """The user of a service: of its unit, or `usual`, to which a daemon without such a line changes itself."""
    name = ([value for key, value in systemd.unit_settings(system, service) if key == "User" and value] or [usual])[-1]
    account = find_account(system, name)
    uid, gid = (account.uid, account.gid) if account else (None, None)
    return DaemonUser(uid, gid, is_root=name in ("root", "0"))
