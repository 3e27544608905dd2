"""The options file, `/etc/azure-provisioning.conf`: `key = value` lines. A mistake in it never makes a boot fail."""

from .door.text import BLANKS, is_digits, lines_in
from .door.tree import Tree
from .errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Tuple

    from .door.system import System

PATH = "/etc/azure-provisioning.conf"


class Options:
    """The options, each with its default from `TABLE`; times are in seconds."""

    deadline: float
    wireserver: "Tuple[str, int]"
    imds: "Tuple[str, int]"
    platform: str
    every_boot: bool
    host_keys: str
    protocol: str
    custom_data: str
    user_data: str
    hosts: bool
    hostname: bool
    entropy: bool
    account: bool
    login: str
    password: bool
    ssh_keys: bool
    sudo: bool
    password_login: bool
    grow_root: bool
    publish_name: bool

    def __init__(self) -> None:
        self.given: "Tuple[str, ...]" = ()  # the keys in the file, whatever their values are
        for key, default, parse, _, _ in TABLE:
            setattr(self, key, parse(default))

    @property
    def sets_wireserver(self) -> bool:
        """Do the options name the WireServer? Then leases are not read."""
        return "wireserver" in self.given

    def wants(self, *keys: str) -> bool:
        """Is at least one of these options not `no`?"""
        return any(getattr(self, key) not in (False, "no") for key in keys)


def load(tree: Tree) -> "Tuple[Options, List[str]]":
    """The options, and messages about lines that are not understood: those keys keep their defaults."""
    options, problems = Options(), []
    parsers = {row[0]: row[2] for row in TABLE}
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
            if key not in parsers:
                raise ValueError("unknown key")
            setattr(options, key, parsers[key](value))
            options.given += (key,)
        except ValueError as error:
            problems.append("%s line %d, %s: %s; the default is used" % (PATH, number, key, error))
    return options, problems


def set_option(system: "System", key: str, value: str) -> None:
    """Write `key = value` into the options file, in place of the line that sets `key`. Raises GuestError."""
    lines = lines_in(system.read_text(PATH) or "")
    kept = [line for line in lines if line.partition("=")[0].strip(BLANKS) != key]
    system.write(PATH, "".join(line + "\n" for line in kept + ["%s = %s" % (key, value)]))


def seconds(value: str) -> float:
    """A whole number of seconds, from 10 to a day."""
    if not is_number(value, 10, 86400):
        raise ValueError("%r is not a number of seconds from 10 to 86400" % value)
    return float(value)


def endpoint(value: str) -> "Tuple[str, int]":
    """An IPv4 address with an optional port: `10.0.0.4` or `127.0.0.1:8080`. No name, which would need a network."""
    host, colon, port = value.partition(":")
    numbers = host.split(".")
    if len(numbers) != 4 or not all(is_number(number, 0, 255) for number in numbers):
        raise ValueError("%r is not an IPv4 address" % host)
    if colon and not is_number(port, 1, 65535):
        raise ValueError("%r is not a port" % port)
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
    """A parser for one of several words."""

    def choose(value: str) -> str:
        if value not in words:
            raise ValueError("%r is not one of: %s" % (value, ", ".join(words)))
        return value

    return choose


# Each option: key, default as written in the file, parser, whether it needs Python (the shell implementation does not
# support it), and description. All documentation of options is generated from this table.
TABLE: "Tuple[Tuple[str, str, Callable[[str], object], bool, str], ...]" = (
    ("deadline", "900", seconds, False, "seconds until the boot gives up and reports a failure, from 10 to 86400"),
    ("wireserver", "168.63.129.16", endpoint, False, "IPv4 address of the WireServer, with an optional `:port`"),
    ("imds", "169.254.169.254", endpoint, False, "IPv4 address of IMDS, with an optional `:port`"),
    ("platform", "auto", one_of("auto", "azure"), False, "`azure`: this is Azure, whatever the firmware says"),
    ("every_boot", "no", yes_or_no, False, "`yes`: keep the boot hook after Ready was accepted"),
    ("protocol", "auto", one_of("auto", "goalstate", "json"), False, "which endpoint Ready is reported to"),
    ("host_keys", "new", one_of("new", "keep"), False, "`keep`: leave the SSH host keys of the image in place"),
    ("custom_data", "keep", one_of("no", "keep", "run"), True, "what to do with customData"),
    ("user_data", "keep", one_of("no", "keep", "run"), True, "what to do with userData"),
    ("entropy", "yes", yes_or_no, False, "`no`: add nothing to the kernel's random pool"),
    ("hosts", "yes", yes_or_no, False, "`no`: leave /etc/hosts alone"),
    ("hostname", "yes", yes_or_no, False, "`no`: keep the name of the image"),
    ("grow_root", "yes", yes_or_no, False, "`no`: do not grow the root partition and file system"),
    ("account", "yes", yes_or_no, False, "`no`: do not create the administrator's account"),
    (
        "login",
        "require",
        one_of("require", "warn"),
        False,
        "`warn`: only warn if the administrator cannot log in, and report Ready",
    ),
    ("password", "yes", yes_or_no, True, "`no`: set no password"),
    ("ssh_keys", "yes", yes_or_no, False, "`no`: install no SSH keys"),
    ("sudo", "yes", yes_or_no, False, "`no`: do not let the administrator become root"),
    ("password_login", "yes", yes_or_no, True, "`no`: leave sshd's password login as it is"),
    ("publish_name", "yes", yes_or_no, False, "`no`: do not tell the DHCP server the new name"),
)
