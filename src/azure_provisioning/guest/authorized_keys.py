"""The keys that let the administrator in, in the file that this machine's sshd reads."""

import os
import re
import stat
from typing import Dict, List, Optional, Sequence, Set, Tuple

from ..errors import GuestError
from ..folder import ROOT, Folder, Owner, open_folder
from ..system import System
from .accounts import Account, find_account
from .ssh_key import FIELDS, SshKey, read_keys
from .sshd_config import settings

DEFAULT = ".ssh/authorized_keys"  # dropbear's too


def authorize(system: System, name: str, keys: "Sequence[str]", sshd: "Optional[Dict[str, str]]" = None) -> str:
    """Let the holders of `keys` log in as `name`; returns what was done. What is in the file already stays.

    `sshd`: its settings as they count for `name`; it is asked if they are not given.

    Raises GuestError: `no usable ssh key` if there is none among them, or why they cannot be put where sshd looks.
    """
    account = find_account(system, name)
    if account is None:
        raise GuestError("there is no such account", name=name)
    wanted: "List[SshKey]" = []
    problems: "List[str]" = []
    for text in keys:
        good, bad = read_keys(text)
        wanted += good
        problems += bad
    if not wanted:
        raise GuestError("no usable ssh key", given=len(keys), problem=(problems or ["none was given"])[0])
    path = key_file(account, settings(system, name) if sshd is None else sshd)
    added = put_keys(system, account, path, wanted)
    refused = "; refused: " + ", ".join(problems) if problems else ""
    return "%d added to %s%s" % (added, path, refused)


def key_file(account: Account, sshd: "Dict[str, str]") -> str:
    """The absolute path of the first file in which this sshd looks for the keys of `account`. Raises GuestError."""
    value = sshd.get("authorizedkeysfile", DEFAULT)
    patterns = [word for word in value.split() if word.lower() != "none"]
    if not patterns:
        raise GuestError("sshd reads no key file", authorizedkeysfile=value)
    values = {"%%": "%", "%h": account.home, "%u": account.name, "%U": str(account.uid)}
    path = re.sub("%.", lambda found: values.get(found.group(), found.group()), patterns[0])
    path = os.path.normpath(os.path.join(account.home, path))
    if not path.startswith("/") or path.startswith("//"):
        raise GuestError("sshd's key file has no usable path", authorizedkeysfile=value, path=path)
    return path


def put_keys(system: System, account: Account, path: str, keys: "List[SshKey]") -> int:
    """Add the `keys` that are not in the file yet; returns how many. Raises GuestError."""
    home = os.path.normpath(account.home)
    folder, name = os.path.split(path)
    if path.startswith(home.rstrip("/") + "/"):
        owner = Owner(account.uid, account.gid)
        with open_folder(system, home) as top:
            protect(top)
            added = put_below(top, path[len(home) :].strip("/").split("/"), owner, keys)
        system.relabel(folder, below=True)
        return added
    system.make_dirs(folder)
    with open_folder(system, folder) as place:
        added = merge(place, name, 0o644, ROOT, keys)
    system.relabel(path)
    return added


def put_below(top: Folder, parts: "List[str]", owner: Owner, keys: "List[SshKey]") -> int:
    """The same for a file in the user's home: each folder on the way is his, and nobody else may write to it."""
    if len(parts) == 1:
        return merge(top, parts[0], 0o600, owner, keys)
    with top.make(parts[0], 0o700, owner) as folder:
        folder.own(stat.S_IMODE(folder.status().st_mode) & 0o755 | 0o700, owner)
        return put_below(folder, parts[1:], owner, keys)


def protect(home: Folder) -> None:
    """Take from others the right to write to a home: sshd with StrictModes, its default, would refuse the keys."""
    found = home.status()
    if found.st_mode & 0o022:
        home.own(stat.S_IMODE(found.st_mode) & ~0o022, Owner(found.st_uid, found.st_gid))


def merge(folder: Folder, name: str, mode: int, owner: Owner, keys: "List[SshKey]") -> int:
    """Append to the file `name` the keys that it does not have; returns how many."""
    found = folder.stat(name)
    text = (folder.read(name) or b"").decode("utf-8", "surrogateescape")
    present = keys_in(text)
    new: "List[SshKey]" = []
    for key in keys:
        if (key.kind, key.blob) not in present:
            present.add((key.kind, key.blob))
            new.append(key)
    if new and text and not text.endswith("\n"):
        text += "\n"
    text += "".join(key.line() for key in new)
    if found is not None:
        mode = stat.S_IMODE(found.st_mode) & 0o755 | mode
    folder.write(name, text.encode("utf-8", "surrogateescape"), mode, owner)
    return len(new)


def keys_in(text: str) -> "Set[Tuple[str, str]]":
    """(kind, blob) of every key in an authorized_keys file, with or without options before it."""
    found: "Set[Tuple[str, str]]" = set()
    for line in text.split("\n"):
        words = line.split()
        if words and not words[0].startswith("#"):
            found.update((kind, blob) for kind, blob in zip(words, words[1:]) if kind in FIELDS)
    return found
