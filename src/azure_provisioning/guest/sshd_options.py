"""The options that this machine's boot starts sshd with: what is asked of sshd is then what will run.

Of a process that runs its arguments say nothing for sure: they are whatever was written there.
"""

from ..door.system import System

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional, Sequence

SERVERS = ("sshd", "sshd.pam", "sshd.krb5")  # the last two are Alpine's openssh-server-pam and openssh-server-krb5
SERVICES = ("ssh", "sshd", "ssh.socket", "sshd.socket", "openssh", "openssh-server")
WITH_VALUE = "CEbcfghkopu"  # getopt's, in sshd.c
UNKNOWN = "it cannot be determined with which options sshd is started"


def find_options(system: System) -> "Optional[List[str]]":
    """`-f` with the configuration and `-o` with each setting that is not in it; None if they cannot be determined.

    Raises GuestError if what starts sshd cannot be read.
    """
    words = [] if system.ask_arguments is None else system.ask_arguments(system, SERVICES, SERVERS)
    return None if words is None else choose(words)


def choose(words: "Sequence[str]") -> "Optional[List[str]]":
    """What counts for `sshd -T` among an sshd's words; None for a configuration that depends on where it is started."""
    found: "List[str]" = []
    left = iter(words)
    for word in left:
        if word in ("-", "--") or not word.startswith("-"):
            break  # as getopt has it
        place = next((place for place, letter in enumerate(word) if place and letter in WITH_VALUE), 0)
        if not place:
            continue
        value = word[place + 1 :] or next(left, "")
        if word[place] == "f":
            if not value.startswith("/"):
                return None
            found = ["-f", value, *without_config(found)]
        elif word[place] in "oh":
            found += ["-o", value if word[place] == "o" else "HostKey=" + value]
    return found


def without_config(options: "List[str]") -> "List[str]":
    """The settings alone: of two configurations the last counts."""
    return options[2:] if options[:1] == ["-f"] else options


def find_settings(system: System) -> "List[str]":
    """The settings among the options, as lines of a configuration that come before it. Raises GuestError."""
    return without_config(find_options(system) or [])[1::2]
