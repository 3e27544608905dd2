"""Would sshd let the administrator in with one of Azure's keys? Checks each file as sshd does."""

import os
import stat
from typing import Dict, List, Optional, Sequence, Tuple

from ..door.pattern import matches
from ..door.system import System
from ..door.text import is_digits, words_in
from .accounts import Account, all_groups, find_group
from .authorized_keys import DEFAULT, key_path, keys_in, option_names
from .ssh_key import SshKey, fields_of, rsa_bits

ACL = "system.posix_acl_access"
ALGORITHMS = ("pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes")  # the second before OpenSSH 8.5
RSA = ("ssh-rsa", "rsa-sha2-256", "rsa-sha2-512")  # the algorithms with which an ssh-rsa key may sign
MISSING, ABSENT = " is missing", " does not have the key"
READ, ENTER = 4, 1


def find_refusal(
    system: System, account: Account, keys: "Sequence[SshKey]", sshd: "Dict[str, str]"
) -> "Tuple[Optional[bool], str]":
    """(does sshd accept one of `keys` for `account`, why not). Without `keys`, any key in the files counts.

    None if something else may still let them in, such as a command that prints keys or an access list. `sshd`: the
    settings that apply to `account`. Raises GuestError if a file cannot be read.
    """
    fit = [key for key in keys if not find_weakness(key, sshd)]
    if keys and not fit:
        return False, find_weakness(keys[0], sshd)
    unsure, why = sshd.get("authorizedkeyscommand", "none") not in ("none", ""), ""
    for pattern in [word for word in words_in(sshd.get("authorizedkeysfile", DEFAULT)) if word.lower() != "none"]:
        path = key_path(account, pattern)
        verdict, problem = look_into(system, account, path, fit, sshd)
        if verdict:
            revoked = find_revocation(system, fit, sshd)
            return (False, revoked) if revoked else (True, "")
        unsure = unsure or verdict is None
        why = why or problem
    return (None if unsure else False), why or "AuthorizedKeysFile none"


def find_weakness(key: SshKey, sshd: "Dict[str, str]") -> str:
    """Why sshd accepts no key of this kind and size; empty if it does."""
    accepted = next((sshd[keyword] for keyword in ALGORITHMS if keyword in sshd), "")
    if not takes(accepted, key.kind):
        return "PubkeyAcceptedAlgorithms without %s" % key.kind
    least = sshd.get("requiredrsasize", "")
    if key.kind == "ssh-rsa" and is_digits(least, 6) and rsa_bits(fields_of(key.blob)) < int(least):
        return "RequiredRSASize %s" % least
    return ""


def takes(accepted: str, kind: str) -> bool:
    """Has PubkeyAcceptedAlgorithms an algorithm for keys of this kind?"""
    if not accepted or accepted[0] in "+^":  # only a file has a difference: sshd prints the whole list
        return True
    patterns, less = accepted.lstrip("-").split(","), accepted[0] == "-"
    names = [*RSA] if kind == "ssh-rsa" else [kind]
    if less and len(names) > 1:
        names.remove(kind)  # no program of today signs with SHA-1 by default
    taken = [name for name in names if any(matches(name, pattern, sets=False) for pattern in patterns)]
    if less:  # the default without these
        return len(taken) < len(names) or any(pattern.startswith("!") for pattern in patterns)
    return bool(taken)


def look_into(
    system: System, account: Account, path: str, keys: "Sequence[SshKey]", sshd: "Dict[str, str]"
) -> "Tuple[Optional[bool], str]":
    """The same for one file of keys."""
    if not system.exists(path):
        return False, path + MISSING
    verdict, problem = is_taken(system, account, path, strict=sshd.get("strictmodes", "yes") != "no")
    if verdict is False:
        return False, problem
    present = keys_in(system.read_text(path) or "")
    found = [present[key.kind, key.blob][0] for key in keys if (key.kind, key.blob) in present]
    if not keys:
        found = [options[0] for options in present.values()]
    if "" in found:
        return verdict, problem
    if found:
        return False, "%s limits the key: %s" % (path, option_names(found[0]))
    return False, path + ABSENT


def find_revocation(system: System, keys: "Sequence[SshKey]", sshd: "Dict[str, str]") -> str:
    """Why all `keys` are revoked; empty if one is not. sshd refuses every key if it cannot read the list."""
    path = sshd.get("revokedkeys", "none")
    if path in ("none", ""):
        return ""
    text = system.read_text(path)
    if text is None:
        return "RevokedKeys %s, which is missing" % path
    listed = keys_in(text)  # a binary list (KRL) has none of these lines
    return "RevokedKeys %s" % path if keys and all((key.kind, key.blob) in listed for key in keys) else ""


# -- StrictModes, and whether the file can be read --------------------------------------------------------------------


def is_taken(system: System, account: Account, path: str, *, strict: bool) -> "Tuple[Optional[bool], str]":
    """(does sshd accept the key file at `path` for `account`, why not); None if only sshd itself could say.

    sshd reads it with the user's permissions. With StrictModes, others must not be able to write to it or to a folder
    above it, up to the home or the root (misc.c, safe_path; Debian's sshd accepts a group that has only the user).
    """
    if not system.can_run and os.geteuid() != 0:
        return True, ""  # in an image that a user unpacked, every file belongs to that user
    real, home = resolve(system, path), resolve(system, account.home)
    below = [
        step for step in steps_to(real) if step != "/" or system.can_run
    ]  # the folder where an image is mounted is not part of it
    unsure = ""
    for step in below:
        found = system.stat(step)
        if found is None:
            return False, "%s is missing" % step
        allowed = may(system, account, step, found, READ if step == real else ENTER)
        if allowed is False:
            return False, "%s may not %s %s" % (account.name, "read" if step == real else "enter", step)
        unsure = unsure or ("" if allowed else "%s has an access list" % step)
    guarded = [step for step in below if step == home or not (home + "/").startswith(step.rstrip("/") + "/")]
    if not real.startswith(home + "/"):
        guarded = below
    for step in guarded if strict else ():
        found = system.stat(step)
        problem = find_laxity(account, found) if found is not None else ""
        if problem and found is not None and not found.st_mode & stat.S_IWOTH and is_private(system, account, found):
            unsure = unsure or "StrictModes: %s %s" % (step, problem)  # Debian's sshd accepts this, others do not
        elif problem:
            return False, "StrictModes: %s %s" % (step, problem)
    return (None, unsure) if unsure else (True, "")


def resolve(system: System, path: str) -> str:
    """The path in the guest with its symlinks resolved."""
    return system.path(path)[len(system.root.rstrip("/")) :] or "/"


def steps_to(path: str) -> "List[str]":
    """The root, each folder on the way, and the path itself."""
    steps = [path]
    while steps[-1] != "/":
        steps.append(os.path.dirname(steps[-1]))
    return steps[::-1]


def may(system: System, account: Account, path: str, found: os.stat_result, right: int) -> "Optional[bool]":
    """Does the account have this permission? None if an access list may grant it."""
    if ACL in system.attributes(path):
        return None
    shift = 6 if found.st_uid == account.uid else 3 if found.st_gid in gids(system, account) else 0
    return account.uid == 0 or bool(found.st_mode >> shift & right)


def gids(system: System, account: Account) -> "List[int]":
    """The groups of the account, by number."""
    return [account.gid] + [group.gid for group in all_groups(system) if account.name in group.members]


def find_laxity(account: Account, found: os.stat_result) -> str:
    """Who besides root and the account may write here; empty if nobody may."""
    if found.st_uid not in (0, account.uid):
        return "belongs to the user %d" % found.st_uid
    if found.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    return "can be written by the group %d" % found.st_gid if found.st_mode & stat.S_IWGRP else ""


def is_private(system: System, account: Account, found: os.stat_result) -> bool:
    """Does it belong to root or the account, and to a group whose only member is the account?"""
    group = find_group(system, account.name)
    alone = group is not None and group.gid == account.gid and not set(group.members) - {account.name}
    return alone and found.st_gid == account.gid and found.st_uid in (0, account.uid)
