"""The options of dropbear that keep the administrator out."""

from typing import Iterator, Sequence

from ...guest.dropbear_options import UNKNOWN, find_bar, find_options
from . import packet_filter
from .finding import EVERYBODY, SOME, WITH_KEYS, Finding, error, warning
from .subject import Image

ID = "sshd-config"


def find_problems(image: Image, groups: "Sequence[str]") -> "Iterator[Finding]":
    """The options of the start, for an administrator in these groups."""
    options = find_options(image.system)
    if options is None:
        yield warning(ID, UNKNOWN)
        return
    open_to, bar = find_bar(options, groups)
    if open_to is None:
        yield warning(ID, "%s: the administrator may get no shell" % bar)
    elif not open_to:
        yield error(ID, "%s: the administrator is not let in" % bar, scope=SOME if "-G" in bar else EVERYBODY)
    if "t" in options:
        yield error(ID, "dropbear -t: a key alone lets nobody in", scope=WITH_KEYS)
    elif "s" in options and image.options.password_login:
        yield warning(ID, "dropbear -s: a VM with only a password lets nobody in")
    ports = {place.rpartition(":")[2] for place in options.get("p", []) if "i" not in options}
    yield from packet_filter.find_problems(image, sorted(ports))
    if ports and "22" not in ports:
        yield warning(ID, "dropbear -p %s: Azure's usual rules let only 22 in" % min(ports))
