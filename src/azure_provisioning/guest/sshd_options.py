"""The options that this machine's boot starts sshd with: what is asked of sshd is then what will run.

What an sshd that runs says of itself is no more than a hint: it may have been started by hand.
"""

from ..door.system import System
from .processes import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Sequence, Tuple

SERVERS = ("sshd", "sshd.pam", "sshd.krb5")  # the last two are Alpine's openssh-server-pam and openssh-server-krb5
SERVICES = ("ssh", "sshd", "ssh.socket", "sshd.socket", "openssh", "openssh-server")
WITH_VALUE = "CEbcfghkopu"  # getopt's, in sshd.c
LISTENER = " [listener]"  # in the title of the one that waits for connections, since OpenSSH 8.2
UNKNOWN = "it cannot be determined with which options sshd is started"


def find_options(system: System) -> "Optional[List[str]]":
    """`-f` with the configuration and `-o` with each setting that is not in it; None if they cannot be determined.

    Raises GuestError if what starts sshd cannot be read.
    """
    words = [] if system.ask_arguments is None else system.ask_arguments(system, SERVICES, SERVERS)
    return None if words is None else choose(words)


def are_known(system: System) -> bool:
    """Are the options those that count? Not where an sshd that runs has some, and no boot is known to give it any.

    Raises GuestError.
    """
    options = find_options(system)
    if options is None or options:
        return options is not None
    found = [listener(process.argv) for process in processes(system, *SERVERS)] if system.live else []
    return all(choose(words) == [] for words in found)


def listener(argv: "Sequence[str]") -> "List[str]":
    """The words that an sshd was started with; none if it is there for one connection."""
    title = argv[0] if argv else ""
    if title.startswith("sshd: "):
        return title[: title.index(LISTENER)].split()[2:] if LISTENER in title else []
    return list(argv[1:])


def choose(words: "Sequence[str]") -> "Optional[List[str]]":
    """What counts for `sshd -T` among an sshd's words; None for a configuration that depends on where it is started."""
    found: "List[str]" = []
    for letter, value in with_values(words):
        if letter == "f":
            if not value.startswith("/"):
                return None
            found = ["-f", value, *without_config(found)]
        elif letter in "oh":
            found += ["-o", value if letter == "o" else "HostKey=" + value]
    return found


def with_values(words: "Sequence[str]") -> "Iterator[Tuple[str, str]]":
    """(letter, value) of the options that have one, as getopt has it."""
    left = iter(words)
    for word in left:
        if word in ("-", "--") or not word.startswith("-"):
            break
        place = next((place for place, letter in enumerate(word) if place and letter in WITH_VALUE), 0)
        if place:
            yield word[place], word[place + 1 :] or next(left, "")


def find_ports(system: System) -> "List[str]":
    """The ports that the start names: with any, sshd ignores those of its configuration. Raises GuestError."""
    words = [] if system.ask_arguments is None else system.ask_arguments(system, SERVICES, SERVERS)
    return [value for letter, value in with_values(words or []) if letter == "p"]


def without_config(options: "List[str]") -> "List[str]":
    """The settings alone: of two configurations the last counts."""
    return options[2:] if options[:1] == ["-f"] else options


def find_settings(system: System) -> "List[str]":
    """The settings among the options, as lines of a configuration that come before it. Raises GuestError."""
    return without_config(find_options(system) or [])[1::2]
