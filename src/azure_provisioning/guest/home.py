"""A user's home: created from the skeleton, whole or not at all. Files in an existing home are never changed."""

import os
import stat
from typing import List, Optional

from ..door.folder import Folder, Owner, open_folder
from ..door.system import System
from ..errors import GuestError
from .accounts import Account, all_accounts, login_setting

SKELETONS = ("/etc/skel", "/usr/etc/skel")
SKELETON_LIMIT = 1000  # files and folders
SKELETON_FILE_LIMIT = 16 << 20  # bytes
SKELETON_DEPTH = 32  # nested folders
DEFAULT_MODE = 0o700


def ensure_home(system: System, account: Account, *, new: bool = False) -> str:
    """Create the home of `account` if it is missing, or empty and root's; returns what was done, empty for nothing.

    A home that a deleted account left is given to this account, and one of root's to a `new` account, which could not
    write there otherwise. Raises GuestError, also if the home belongs to another account.
    """
    parent, name = os.path.split(os.path.normpath(account.home))
    if not parent.startswith("/") or not name:
        raise GuestError("not a usable home folder", user=account.name, path=account.home)
    system.make_dirs(parent)
    owner = Owner(account.uid, account.gid)
    with open_folder(system, parent) as folder:
        found = folder.stat(name)
        if found is not None and stat.S_ISLNK(found.st_mode) and system.is_dir(account.home):
            return ""  # kept elsewhere; whether the link can be trusted is checked before something is written
        if found is None:
            make_home(system, folder, name, owner)
            return "home made"
        with folder.enter(name) as home:
            if found.st_uid == 0 and not home.list():
                make_home(system, folder, name, owner)
                return "home made"
            if found.st_uid == 0 and account.uid and new:
                home.own(stat.S_IMODE(found.st_mode) & ~0o022 | 0o700, owner)
                return "home taken over from root"
            if found.st_uid in (0, account.uid, os.geteuid()):
                return ""
            if found.st_uid in [other.uid for other in all_accounts(system)]:
                raise GuestError("the home folder is another account's", path=account.home, uid=found.st_uid)
            home.own(stat.S_IMODE(found.st_mode) & ~0o022, owner)
            return "home taken over from uid %d" % found.st_uid


def make_home(system: System, parent: Folder, name: str, owner: Owner) -> None:
    """Fill a temporary folder from the skeleton, then rename it. A killed run leaves at most the temporary folder."""
    spare = ".%s.azure-provisioning" % name
    parent.remove(spare)
    skeleton = next((path for path in SKELETONS if system.is_dir(path)), None)
    with parent.make(spare, 0o700, Owner(0, 0)) as home:
        if skeleton:
            copy_skeleton(system, skeleton, home, owner, [SKELETON_LIMIT])
        home.own(home_mode(system), owner)
    parent.rename(spare, name)
    system.relabel(parent.path.rstrip("/") + "/" + name, below=True)


def copy_skeleton(
    system: System, source: str, target: Folder, owner: Owner, left: "List[int]", depth: int = SKELETON_DEPTH
) -> None:
    """Copy the folder `source` into `target`: at most `left[0]` entries, no devices or pipes. Raises GuestError."""
    for name in system.list(source):
        left[0] -= 1
        if left[0] < 0 or depth < 0:
            raise GuestError("the skeleton is too large", path=source, limit=SKELETON_LIMIT)
        path = source + "/" + name
        found = system.stat(path, follow=False)
        if found is None:
            continue
        mode = stat.S_IMODE(found.st_mode) & 0o755
        if stat.S_ISLNK(found.st_mode):
            target.link(name, system.readlink(path) or "", owner)
        elif stat.S_ISDIR(found.st_mode):
            with target.make(name, mode, owner) as below:
                copy_skeleton(system, path, below, owner, left, depth - 1)
        elif stat.S_ISREG(found.st_mode):
            target.write(name, system.read(path, limit=SKELETON_FILE_LIMIT) or b"", mode, owner)


def home_mode(system: System) -> int:
    """The mode that login.defs sets for a new home, but never writable by others: sshd would refuse the keys in it."""
    wanted, umask = octal(login_setting(system, "HOME_MODE")), octal(login_setting(system, "UMASK"))
    if wanted is None:
        wanted = DEFAULT_MODE if umask is None else 0o777 & ~umask
    return 0o700 | (wanted & 0o755)


def octal(text: str) -> "Optional[int]":
    """A mode as login.defs writes it; None if it is not valid."""
    return int(text, 8) if 0 < len(text) <= 5 and all(char in "01234567" for char in text) else None
