"""The options file, `/etc/azure-provisioning.conf`: `key = value` lines. A mistake in it is never a failed boot."""

from .door.text import BLANKS, is_digits, lines_in
from .door.tree import Tree
from .errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Tuple

    from .door.system import System

PATH = "/etc/azure-provisioning.conf"


class Options:
    """The options with their defaults; seconds where a time is meant."""

    deadline = 900.0
    wireserver = ("168.63.129.16", 80)
    sets_wireserver = False  # then no lease is asked
    given: "Tuple[str, ...]" = ()  # the keys that somebody wrote down, whatever their values are
    imds = ("169.254.169.254", 80)
    platform = "auto"
    every_boot = False
    host_keys = "new"
    protocol = "auto"
    custom_data = "keep"
    user_data = "keep"
    hosts = True
    hostname = True
    entropy = True
    account = True
    password = True
    ssh_keys = True
    sudo = True
    password_login = True
    grow_root = True
    publish_name = True

    def wants(self, *keys: str) -> bool:
        """Is at least one of these options neither `no` nor off?"""
        return any(getattr(self, key) not in (False, "no") for key in keys)


def load(tree: Tree) -> "Tuple[Options, List[str]]":
    """Read the options file, and say what in it was not understood: those keys keep their defaults."""
    options, problems = Options(), []
    try:
        lines = (tree.read_text(PATH) or "").split("\n")
    except GuestError as error:
        return options, [str(error)]
    for number, line in enumerate(lines, 1):
        key, equals, value = (part.strip(BLANKS) for part in line.partition("="))
        if not line.strip(BLANKS) or key.startswith("#"):
            continue
        try:
            if not equals:
                raise ValueError("no '='")
            if key not in PARSERS:
                raise ValueError("unknown key")
            setattr(options, key, PARSERS[key](value))
            options.given += (key,)
            options.sets_wireserver = options.sets_wireserver or key == "wireserver"
        except ValueError as error:
            problems.append("%s line %d, %s: %s; the default is used" % (PATH, number, key, error))
    return options, problems


def set_option(system: "System", key: str, value: str) -> None:
    """Write `key = value` into the options file, in place of the line that sets `key` now. Raises GuestError."""
    lines = lines_in(system.read_text(PATH) or "")
    kept = [line for line in lines if line.partition("=")[0].strip(BLANKS) != key]
    system.write(PATH, "".join(line + "\n" for line in kept + ["%s = %s" % (key, value)]))


def seconds(value: str) -> float:
    """A whole number of seconds, from 10 to a day."""
    if not is_number(value, 10, 86400):
        raise ValueError("%r is no number of seconds from 10 to 86400" % value)
    return float(value)


def endpoint(value: str) -> "Tuple[str, int]":
    """An IPv4 address and perhaps a port: `10.0.0.4` or `127.0.0.1:8080`. No name: it would ask a network."""
    host, colon, port = value.partition(":")
    numbers = host.split(".")
    if len(numbers) != 4 or not all(is_number(number, 0, 255) for number in numbers):
        raise ValueError("%r is no IPv4 address" % host)
    if colon and not is_number(port, 1, 65535):
        raise ValueError("%r is no port" % port)
    return host, int(port) if colon else 80


def is_number(text: str, least: int, most: int) -> bool:
    """Is it a whole number in that range?"""
    return is_digits(text, 9) and least <= int(text) <= most


def yes_or_no(value: str) -> bool:
    """`yes` or `no`."""
    if value not in ("yes", "no"):
        raise ValueError("%r is neither yes nor no" % value)
    return value == "yes"


def one_of(*words: str) -> "Callable[[str], str]":
    """A parser for a choice of words."""

    def choose(value: str) -> str:
        if value not in words:
            raise ValueError("%r is none of: %s" % (value, ", ".join(words)))
        return value

    return choose


PARSERS: "Dict[str, Callable[[str], object]]" = {
    "deadline": seconds,
    "wireserver": endpoint,
    "imds": endpoint,
    "platform": one_of("auto", "azure"),
    "every_boot": yes_or_no,
    "host_keys": one_of("new", "keep"),
    "protocol": one_of("auto", "goalstate", "json"),
    "custom_data": one_of("no", "keep", "run"),
    "user_data": one_of("no", "keep", "run"),
    "hosts": yes_or_no,
    "hostname": yes_or_no,
    "entropy": yes_or_no,
    "account": yes_or_no,
    "password": yes_or_no,
    "ssh_keys": yes_or_no,
    "sudo": yes_or_no,
    "password_login": yes_or_no,
    "grow_root": yes_or_no,
    "publish_name": yes_or_no,
}
