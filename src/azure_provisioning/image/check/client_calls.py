"""DHCP clients that scripts and other descriptions of services call, and for which card."""

import re
from fnmatch import fnmatchcase
from typing import Iterator, List, NamedTuple, Optional, Tuple

from ...door.text import words_in
from ...init import table
from ...init.systems import systemd
from .azure_card import INTERFACE
from .ifcfg import assigned
from .subject import Image

EXECUTED = ("ExecStart", "ExecStartPre", "ExecStartPost")
# A client by name or path: not eth0.dhclient, dhclient.conf or /run/dhclient.
CALLED = re.compile(r"(?:.*[^\w./$}-])?(?:[\w./${}-]*(?:bin|init\.d|\$\{?\w+\}?)/)?(udhcpc|dhcpcd|dhclient)\Z")
# The patterns of `case`, which may be names of clients. (The limits keep the search from taking long.)
PATTERNS = re.compile(
    r"(?m)(?:^|;;|\bin\b)[ \t]{0,64}[^\s()|;&]{1,64}(?:[ \t]{0,8}\|[ \t]{0,8}[^\s()|;&]{1,64}){0,16}[ \t]{0,8}\)"
)
ENDS = re.compile(r"[;&|()`\n]|(?<!\$)\{")  # of a command in a script
# What stands before a client that is only named: tests, messages, commands about files, processes and services.
NAMING = re.compile(
    r"\[\[?|test|echo|printf|log\w*|v?e(?:info|begin|end|warn|error)|killall5?|p?kill|killproc|checkproc|pidof\w*|pgrep"
    r"|status\w*|which|type|rm|grep|sv|s6-sv\w+"
)
DEPENDENCIES = ("need", "use", "want", "after", "before", "provide", "keyword")  # of OpenRC's depend()
# The options with which a client ends another, or only prints.
IDLE = {
    "dhclient": ("-r", "-x", "--version", "--help"),
    "dhcpcd": ("-k", "-x", "-U", "-T", "-P", "-V", "--release", "--exit", "--dumplease", "--test", "--version"),
    "udhcpc": ("--help", "--version"),
}
NOT_STARTING = ("stop", "status", "zap", "condrestart", "try-restart")  # of /etc/init.d/dhcpcd
LONGEST = 256  # characters of a word that may be a client
CARD = re.compile(r"(?:-i|--interface=)?((?:eth|usb|wlan|wwan)[0-9]+|(?:en|wl|ww)[opsxP]\w+)")


class Call(NamedTuple):
    """A call of a client, with the card of its own if that is not Azure's."""

    client: str
    other: str


def find_script(image: Image, clients: "List[str]", left_out: "Tuple[str, ...]") -> "Optional[str]":
    """The first service whose own script calls one of the clients for Azure's card, whatever the settings are."""
    for name in sorted(image.services or {}):
        if not any(fnmatchcase(name, pattern) for pattern in left_out):
            if any(call.client in clients and not call.other for call in calls(image, name)):
                return name
    return None


def only_for(image: Image, service: str, client: str) -> str:
    """The card for which a service calls a client, if all calls are for others than Azure's; else empty."""
    others = [call.other for call in calls(image, service) if call.client == client]
    path = (image.services or {}).get(service, "")
    if path.endswith("/run"):  # Void's scripts take options from there
        others.append(other_card(assigned(image.text(path[: -len("run")] + "conf"), "OPTS").split()))
        others = [other for other in others if other][:1]
    return others[0] if others and all(others) else ""


def calls(image: Image, service: str) -> "Iterator[Call]":
    """The calls in what the boot runs for a service."""
    script = script_of(image, service).replace("\\\n", " ")
    for part in ENDS.split(PATTERNS.sub("\n", script)):
        words = [re.sub("[\"']", "", word) for word in words_in(part)]
        found = find_call(words, assigned(script, "command_args").split())
        if found:
            yield found


def script_of(image: Image, service: str) -> str:
    """The commands that the boot runs for a service; empty if it is not known how they are written."""
    path = (image.services or {}).get(service, "")
    if path.rpartition("/")[0].endswith((".wants", ".requires")):
        settings = systemd.unit_settings(image.system, systemd.unit_name(service))
        instance = service.partition("@")[2]
        return "\n".join(re.sub("%[iI]", lambda _: instance, value) for key, value in settings if key in EXECUTED)
    # Of a description that is no script only the command counts.
    form = getattr(table.load(image.init), "COMMAND", None) if image.init in table.NAMES else None
    if form:
        return "\n".join(command.partition(" -- ")[0] for command in form.findall(image.active(path)))
    is_script = path.endswith(("/run", "/up")) or "/rc.d/" in path or "/init.d/" in image.system.chain(path)[-1]
    return image.active(path) if is_script else ""


def find_call(words: "List[str]", arguments: "List[str]") -> "Optional[Call]":
    """The call in the words of a simple command; `arguments` are those of OpenRC's `command=`."""
    for place, word in enumerate(words):
        match = CALLED.match(word[:LONGEST])
        if not match:
            if NAMING.fullmatch(word.rpartition("/")[2]) or words[place : place + 2] == ["command", "-v"]:
                return None
            continue
        client, rest = match.group(1), words[place + 1 :]
        if words[0] in DEPENDENCIES or set(rest[:1]) & set(NOT_STARTING) or is_ended(words, place):
            return None
        rest += arguments if word.startswith("command=") else []
        return None if set(rest) & set(IDLE[client]) else Call(client, other_card(rest))
    return None


def is_ended(words: "List[str]", place: int) -> bool:
    """Does start-stop-daemon end the program at a place?"""
    own = words[: words.index("--")] if "--" in words else words
    return any(word.endswith("start-stop-daemon") for word in words[:place]) and any(
        word == "--stop" or re.match(r"-[A-JL-Za-z]*K", word) for word in own
    )


def other_card(words: "List[str]") -> str:
    """The card that options name, if it is not Azure's; empty also if a variable may name that."""
    names = [match.group(1) for match in map(CARD.fullmatch, words) if match]
    if INTERFACE in names or any(word.startswith("$") for word in words):
        return ""
    return names[0] if names else ""
