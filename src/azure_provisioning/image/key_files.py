"""The files in which this image's SSH server looks for the keys of accounts, and what else becomes such a file."""

from contextlib import suppress

from ..door.system import System
from ..door.text import read_bytes, words_in
from ..errors import GuestError
from ..guest.accounts import Account, all_accounts
from ..guest.authorized_keys import DEFAULT, key_path
from ..guest.home import SKELETONS
from ..guest.sshd_config import matching, walk_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Sequence

KEYWORD = "authorizedkeysfile"
DEFAULTS = (DEFAULT, DEFAULT + "2")  # sshd's; dropbear has only the first
SPECIAL = ("%h", "%U", "*", "?", "[", "\\")
HEAD = 4096  # bytes of a file, enough to see that it is not empty


def find_patterns(system: System) -> "List[str]":
    """The words of AuthorizedKeysFile, those of Match blocks too. Raises GuestError if the configuration is damaged."""
    found = [(words_in(value), general) for key, value, general in walk_all(system) if key == KEYWORD]
    usual = next((words for words, general in found if general), list(DEFAULTS))  # the first one counts
    others = [word for words, general in found if not general for word in words]
    own = [DEFAULT] if system.find_program("dropbear") else []
    return [word for word in dict.fromkeys([*usual, *others, *own]) if word.lower() != "none"]


def key_files(account: Account, patterns: "Sequence[str]") -> "List[str]":
    """The paths for one account."""
    paths = []
    for pattern in patterns:
        if "%u" in pattern and "/" in account.name:
            continue  # it would lead elsewhere
        with suppress(GuestError):  # relative to a home that is no path
            paths.append(key_path(account, pattern))
    return paths


def find_ownerless(system: System, patterns: "Sequence[str]") -> "List[str]":
    """The files with keys for names that no account has: the next account of that name gets them."""
    named = [word for word in patterns if word[0] == "/" and "%u" in word and not any(mark in word for mark in SPECIAL)]
    paths = [path for word in named for path in matching(system, word.replace("%u", "*").replace("%%", "%"))]
    known = {path for account in all_accounts(system) for path in key_files(account, named)} if paths else set()
    return [path for path in paths if path not in known and has_keys(system, path)]


def find_copied(system: System, patterns: "Sequence[str]") -> "List[str]":
    """The files with keys in the skeleton, which every new home is a copy of."""
    top = next((path for path in SKELETONS if system.is_dir(path)), "")
    anybody = Account("%u", "", 0, 0, "", top, "")
    paths = key_files(anybody, patterns) if top else []
    return [path for path in paths if path.startswith(top + "/") and has_keys(system, path)]


def has_keys(system: System, path: str) -> bool:
    """Is it a file that is not empty?"""
    return bool(read_bytes(system, path, HEAD).strip())
