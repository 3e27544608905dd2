"""The keys with which the administrator logs in, in the file that the guest's sshd reads."""

import os
import re
import stat
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..door.folder import ROOT, Folder, Owner, open_folder
from ..door.system import System
from ..door.text import words_in
from ..errors import GuestError, LastingError
from .accounts import Account, find_account
from .ssh_key import FIELDS, SshKey, read_keys
from .sshd_config import settings

DEFAULT = ".ssh/authorized_keys"  # dropbear's too
KEY = re.compile(r"[ \t]*([^ \t]+)[ \t]+([^ \t\r]+)")
QUOTED = r"""\\"|"(?:\\"|[^"])*"?"""  # a quote after a backslash does not count
LIMITED = re.compile(r"[ \t]*((?:%s|[^ \t])*)(.*)" % QUOTED)  # up to a blank outside quotes
OPTION = re.compile(r"(?:%s|[^,])+" % QUOTED)
DEPTH_LIMIT = 32  # nested folders above the file


class Merge(NamedTuple):
    """The result of adding keys to a file."""

    added: int
    first: List[str]  # descriptions of those put before a line that limits the same key with options


def authorize(
    system: System,
    name: str,
    keys: "Sequence[str]",
    sshd: "Optional[Dict[str, str]]" = None,
    warn: "Optional[Callable[[str], None]]" = None,
) -> str:
    """Let the holders of `keys` log in as `name`; returns what was done. What is in the file already stays.

    `sshd`: the settings that apply to `name`; by default sshd is asked. If a line limits one of the `keys` with
    options, a line without options is put before it, because sshd uses the first; `warn` is called with a message.

    Raises GuestError: `no usable ssh key` if none of them is usable, or the reason why the file cannot be changed.
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
        raise LastingError("no usable ssh key", given=len(keys), problem=(problems or ["none was given"])[0])
    path = key_file(account, settings(system, name) if sshd is None else sshd)
    added, first = put_keys(system, account, path, wanted)
    if warn:
        for key in first:
            warn("a line of %s has the %s: Azure's line without options now comes first" % (path, key))
    refused = "; refused: " + ", ".join(problems) if problems else ""
    return "%d added to %s%s" % (added, path, refused)


def key_file(account: Account, sshd: "Dict[str, str]") -> str:
    """The absolute path of the first file in which this sshd looks for the keys of `account`. Raises GuestError."""
    value = sshd.get("authorizedkeysfile", DEFAULT)
    patterns = [word for word in words_in(value) if word.lower() != "none"]
    if not patterns:
        raise GuestError("sshd reads no key file", authorizedkeysfile=value)
    return key_path(account, patterns[0])


def key_path(account: Account, pattern: str) -> str:
    """The absolute path that one word of AuthorizedKeysFile stands for. Raises GuestError."""
    values = {"%%": "%", "%h": account.home, "%u": account.name, "%U": str(account.uid)}
    path = re.sub("%.", lambda found: values.get(found.group(), found.group()), pattern)
    path = os.path.normpath(os.path.join(account.home, path))
    if not path.startswith("/") or path.startswith("//") or path.count("/") > DEPTH_LIMIT:
        raise GuestError("sshd's key file has no usable path", authorizedkeysfile=pattern, path=path)
    return path


def put_keys(system: System, account: Account, path: str, keys: "List[SshKey]") -> "Merge":
    """Add the `keys` that are not in the file yet. Raises GuestError."""
    home = os.path.normpath(account.home)
    folder, name = os.path.split(path)
    if path.startswith(home.rstrip("/") + "/"):
        owner = Owner(account.uid, account.gid)
        with open_folder(system, home) as top:
            protect(top)
            merged = put_below(top, path[len(home) :].strip("/").split("/"), owner, keys)
        system.relabel(folder, below=True)
        return merged
    system.make_dirs(folder)
    with open_folder(system, folder) as place:
        merged = merge(place, name, 0o644, ROOT, keys)
    system.relabel(path)
    return merged


def put_below(top: Folder, parts: "List[str]", owner: Owner, keys: "List[SshKey]") -> "Merge":
    """The same for a file in the user's home: the user owns each folder on the way and alone may write to it."""
    if len(parts) == 1:
        return merge(top, parts[0], 0o600, owner, keys)
    with top.make(parts[0], 0o700, owner) as folder:
        folder.own(stat.S_IMODE(folder.status().st_mode) & 0o755 | 0o700, owner)
        return put_below(folder, parts[1:], owner, keys)


def protect(home: Folder) -> None:
    """Remove the write permission of others from a home: with StrictModes, the default, sshd would refuse the keys."""
    found = home.status()
    if found.st_mode & 0o022:
        home.own(stat.S_IMODE(found.st_mode) & ~0o022, Owner(found.st_uid, found.st_gid))


def merge(folder: Folder, name: str, mode: int, owner: Owner, keys: "List[SshKey]") -> "Merge":
    """Add to the file `name` the keys that it lacks, or whose first line has options.

    sshd uses the first line that has a key: a key with such a line goes to the top of the file, others to the end.
    """
    found = folder.stat(name)
    text = (folder.read(name) or b"").decode("utf-8", "surrogateescape")
    present = keys_in(text)
    top: "List[SshKey]" = []
    end: "List[SshKey]" = []
    for key in keys:
        options = present.setdefault((key.kind, key.blob), [])
        if not options:
            end.append(key)
        elif options[0]:
            top.append(key)
        if not options or options[0]:
            options.insert(0, "")
    described = ["%s key with the options %s" % (key.kind, option_names(present[key.kind, key.blob][1])) for key in top]
    if end and text and not text.endswith("\n"):
        text += "\n"
    text = "".join(key.line() for key in top) + text + "".join(key.line() for key in end)
    if found is not None:
        mode = stat.S_IMODE(found.st_mode) & 0o755 | mode
    folder.write(name, text.encode("utf-8", "surrogateescape"), mode, owner)
    return Merge(len(top) + len(end), described)


# -- the lines of the file, as sshd(8) and dropbear read them ----------------------------------------------------------


def keys_in(text: str) -> "Dict[Tuple[str, str], List[str]]":
    """The options of each line of an authorized_keys file by (kind, blob) of its key, in the order of the file.

    A line without options has "". The rest of a line after the key is a comment, whatever it contains.
    """
    found: "Dict[Tuple[str, str], List[str]]" = {}
    for line in text.split("\n"):
        options, key = "", KEY.match(line)
        if key is None or key.group(1) not in FIELDS:
            parts = LIMITED.match(line)
            options, key = (parts.group(1), KEY.match(parts.group(2))) if parts else ("", None)
        if key is None or options.startswith("#") or "cert-authority" in names_of(options):
            continue  # the key of a certificate authority is not itself a login key
        found.setdefault((key.group(1), key.group(2)), []).append(options)
    return found


def names_of(options: str) -> "List[str]":
    """The names of the options before a key, without their values: a command may hold secrets."""
    return [word.partition("=")[0].lower() for word in OPTION.findall(options)]


def option_names(options: str) -> str:
    """The same as text for a message."""
    return ascii(", ".join(names_of(options))[:80])[1:-1]
