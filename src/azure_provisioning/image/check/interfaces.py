"""/etc/network/interfaces. ifupdown, ifupdown-ng and busybox read the same format by rules of their own."""

import re
from typing import Dict, Iterator, List, Set, Tuple, Type

from ...door.pattern import matches
from ...door.system import System
from ...door.text import is_digits, read_bytes, words_in
from ...errors import GuestError
from ...guest.sshd_config import matching
from .subject import Image

PATH = "/etc/network/interfaces"
DEFAULTS = "/etc/default/networking"  # of Debian's script and unit
SCRIPT = "/etc/init.d/networking"
FILES_LIMIT = 200
PROGRAM_LIMIT = 4 << 20  # bytes of a program that are searched
FAMILIES = ("inet", "inet6", "ipx", "can", "link", "meta")
REPEATED = ("pre-up", "up", "down", "post-down")
DHCP = "dhcp"


class RefusedError(Exception):
    """What makes a program stop at a line."""


class Interfaces:
    """The content of the file and its includes."""

    def __init__(self) -> None:
        self.auto: "List[str]" = []  # what is brought up at boot: names of cards, or patterns
        self.hotplug: "List[str]" = []  # what is brought up when udev finds the card
        self.unseen: "List[str]" = []  # what has an `auto` that the boot does not find
        self.excluded: "List[str]" = []  # patterns of cards that are not brought up, whatever has an `auto`
        self.mapped: "List[str]" = []  # patterns of names for which a script chooses another one
        self.methods: "Dict[str, Set[str]]" = {}  # by name: what gives a card its IPv4 address
        self.parts: "Set[str]" = set()  # cards that are added to a bridge or the like
        self.refused = ""  # why the program reads nothing of it
        self.empty = True

    def add(self, name: str, method: str) -> None:
        """Add what gives a card its address."""
        self.methods.setdefault(name, set()).add(method)

    def asks(self, *names: str) -> bool:
        """Does one of these names have DHCP?"""
        return any(DHCP in self.methods.get(name, ()) for name in names)

    def with_dhcp(self) -> "List[str]":
        """The names with DHCP."""
        return [name for name, methods in self.methods.items() if DHCP in methods]

    def excludes(self, card: str) -> bool:
        """Do the settings of the service keep a card from being brought up?"""
        return any(matches(card, pattern) for pattern in self.excluded)


class Reader:
    """Reads the file as none of the three programs does: it accepts what any of them does. For others: ifupdown2."""

    needs_program = False  # for DHCP, or does it call busybox's applet itself?

    def __init__(self, image: Image) -> None:
        self.image = image
        self.found = Interfaces()
        self.seen: "Set[str]" = set()
        self.card = ""  # of the `iface` to which the next lines belong
        script = image.active(SCRIPT)
        self.is_openrc = image.text(SCRIPT).split("\n", 1)[0].endswith("openrc-run")
        # Alpine's script, without ifquery, searches for `auto` in the file itself.
        self.without_includes = self.is_openrc and "awk" in script and not image.system.find_program("ifquery")

    def read(self) -> Interfaces:
        """Read the file."""
        try:
            self.read_file(PATH)
        except RefusedError as error:
            self.found.refused = str(error)
        if self.is_openrc:
            self.found.hotplug.clear()  # its script does not act on it, and there are no rules for udev
        else:
            self.found.excluded += excluded(self.image)
        return self.found

    def read_file(self, path: str) -> None:
        """Read a file and, at their places, those that it includes."""
        if path in self.seen:
            return
        self.seen.add(path)
        if len(self.seen) > FILES_LIMIT:
            raise GuestError("too many files", path=PATH, limit=FILES_LIMIT)
        for line in self.image.active(path).replace("\\\n", " ").split("\n"):
            words = words_in(self.without_comment(line))
            if words:
                self.found.empty = False
                self.found.parts.update(parts_in(words))
                self.take(path, words)

    def without_comment(self, line: str) -> str:
        """A line that is no comment itself, without one at its end."""
        return line

    def take(self, path: str, words: "List[str]") -> None:
        """Act on a line."""
        if words[0] in ("auto", "allow-auto"):
            self.add_auto(path, words[1:])
        elif words[0] == "allow-hotplug":
            self.found.hotplug += words[1:]
        elif words[0].startswith("source"):
            self.include(words[1:2], path.rpartition("/")[0], whole=words[0] != "source")
        elif words[0] == "iface" and len(words) > 1:
            self.card = words[1]
            for method in words[2:] if "inet6" not in words else ():
                if method not in (*FAMILIES, "manual", "inherits"):
                    self.found.add(self.card, method)
        elif words[:2] == ["use", DHCP] and self.card:
            self.found.add(self.card, DHCP)

    def add_auto(self, path: str, names: "List[str]") -> None:
        """Add names of an `auto` line in a file."""
        if self.without_includes and path != PATH:
            self.found.unseen += names
        else:
            self.found.auto += names

    def include(self, patterns: "List[str]", folder: str, *, whole: bool) -> None:
        """Read the files that match the patterns; with `whole` those are folders, of which every file is read."""
        for pattern in [one if one.startswith("/") else folder + "/" + one for one in patterns]:
            for path in matching(self.image.system, pattern + "/*" if whole else pattern):
                if not whole or self.is_read(path.rpartition("/")[2]):
                    self.read_file(path)

    def is_read(self, name: str) -> bool:
        """Is a file of such a name read, if its whole folder is?"""
        return name[0] != "."

    def entries(self, card: str) -> "Iterator[Tuple[str, str]]":
        """What brings up a card at boot, and the name by which its settings are looked up."""
        found = self.found
        for entry in ([] if found.excludes(card) else found.auto) + found.hotplug:
            name = self.name_for(entry, card)
            if name and any(matches(name, pattern) for pattern in found.mapped):
                raise GuestError("a script chooses the name of %s (mapping)" % card, path=PATH)
            if name:
                yield entry, name

    def name_for(self, entry: str, card: str) -> str:
        """The name by which the settings of a card are looked up that an entry brings up; empty for other cards."""
        return card if matches(card, entry.strip("/").partition("/")[0].partition("=")[0]) else ""


class Ifupdown(Reader):
    """Debian's ifupdown. An error in the file itself makes it refuse everything, in an include only what follows."""

    needs_program = True

    def __init__(self, image: Image) -> None:
        super().__init__(image)
        self.in_mapping = False
        self.families: "Dict[Tuple[str, str], Tuple[str, str]]" = {}  # by name, and also by family

    def read_file(self, path: str) -> None:
        """An include has no part in the `iface` of the line that includes it."""
        self.card, self.in_mapping = "", False
        try:
            super().read_file(path)
        except RefusedError:
            if path == PATH:
                raise
        self.card, self.in_mapping = "", False

    def take(self, path: str, words: "List[str]") -> None:
        """Act on a line, as read_interfaces_defn of its config.c does."""
        key, rest = words[0], words[1:]
        stays = not rest and self.card  # such a word alone is about the card of the `iface`
        if key == "mapping":
            self.card, self.in_mapping = "", True
            self.found.mapped += rest
        elif key == "source" or key.startswith("source-dir"):
            folder = path.rpartition("/")[0]
            self.include(rest[:1], folder, whole=key != "source")
            self.include(rest[1:], "", whole=key != "source")
            self.leave(leaves=True)
        elif key == "iface":
            self.card, self.in_mapping = self.take_iface(rest), False
        elif key == "auto" or (key.startswith("allow-") and key != "allow-"):
            names = [self.card] if stays else rest
            if key in ("auto", "allow-auto"):
                self.add_auto(path, names)
            elif key == "allow-hotplug":
                self.found.hotplug += names
            self.leave(leaves=not stays)
        elif key in ("no-auto-down", "no-scripts", "rename"):
            self.leave(leaves=not stays or key == "rename")
        else:
            self.take_option(key, rest)

    def leave(self, *, leaves: bool) -> None:
        """The lines that follow belong to no card."""
        if leaves:
            self.card, self.in_mapping = "", False

    def take_iface(self, words: "List[str]") -> str:
        """Act on an `iface` line; returns the name."""
        name, rest = (words[0] if words else ""), words[1:]
        family = rest.pop(0) if rest and rest[0] in FAMILIES else ""
        method = rest.pop(0) if family and rest and rest[0] != "inherits" else ""
        if rest[:1] == ["inherits"]:
            base = self.families.get((rest[1] if len(rest) > 1 else "", family))
            if base is None:
                raise RefusedError("`iface %s` inherits from what is not there" % name)
            family, method = family or base[0], method or base[1]
        if not method:
            raise RefusedError("`iface %s` lacks a family and a method, such as `inet dhcp`" % name)
        for key in ("", family):
            self.families.setdefault((name, key), (family, method))
        if family == "inet" and method != "manual":
            self.found.add(name, method)
        return name

    def take_option(self, key: str, rest: "List[str]") -> None:
        """Act on a line below an `iface` or a `mapping`."""
        if self.in_mapping and key in ("script", "map"):
            return
        if self.in_mapping or not self.card:
            raise RefusedError("`%s` is not below an `iface`" % key)
        if not rest:
            raise RefusedError("`%s` has no value" % key)

    def is_read(self, name: str) -> bool:
        """interfaces(5): only names of letters, digits, underscores and hyphens."""
        return re.match(r"[A-Za-z0-9_-]+\Z", name) is not None

    def name_for(self, entry: str, card: str) -> str:
        """With a slash it is a pattern, `/eth*` or `/eth*/1`, or about a variable of the card, as in `mac/...`."""
        variable, slash, rest = entry.partition("/")
        if not slash:
            name, _, other = entry.partition("=")
            return (other or card) if name == card else ""
        pattern, _, number = rest.partition("=")[0].partition("/")
        if variable or "(" in pattern:
            raise GuestError("it is not known which card is meant", path=PATH, word=entry)
        # In the order of the kernel; a second card appears after eth0.
        chosen = [one for one in dict.fromkeys(("lo", "eth0", card)) if matches(one, pattern)]
        place = int(number) if is_digits(number) else 0
        return (rest.partition("=")[2] or card) if card in (chosen[place - 1 : place] if place else chosen) else ""


class Busybox(Ifupdown):
    """busybox's ifup, whose file has no patterns. Any error makes it refuse everything, as it dies."""

    needs_program = False

    def __init__(self, image: Image) -> None:
        super().__init__(image)
        self.options: "Set[str]" = set()

    def read_file(self, path: str) -> None:
        """An include has no part in the `iface` of the line that includes it, which goes on after it."""
        if path in self.seen:
            raise RefusedError("%s is included twice" % path)  # for ever, if it is by itself
        before = self.card, self.in_mapping, self.options
        self.card, self.in_mapping = "", False
        Reader.read_file(self, path)
        self.card, self.in_mapping, self.options = before

    def take(self, path: str, words: "List[str]") -> None:
        """Act on a line, as read_interfaces of its ifupdown.c does."""
        key, rest = words[0], words[1:]
        if key == "mapping":
            self.card, self.in_mapping = "", True
            self.found.mapped += rest
        elif key == "source" or key.startswith("source-dir"):
            self.take_source(rest[0] if rest else "", whole=key != "source")
        elif key == "iface":
            self.options = set()
            self.card, self.in_mapping = self.take_iface(rest), False
        elif key == "auto":
            for name in rest:
                if name in self.found.auto + self.found.unseen:
                    raise RefusedError("`auto %s` is there twice" % name)
                self.add_auto(path, [name])
            self.leave(leaves=True)
        else:
            self.take_option(key, rest)
            key = {"post-up": "up", "pre-down": "down"}.get(key, key)
            if not self.in_mapping and key in self.options:
                raise RefusedError("`%s` is there twice for %s" % (key, self.card))
            self.options.update({key}.difference(REPEATED))

    def take_iface(self, words: "List[str]") -> str:
        """Exactly a name, a family and a method."""
        if len(words) != 3 or words[1] not in FAMILIES:
            raise RefusedError("`iface %s` is not of the form `iface NAME inet METHOD`" % " ".join(words))
        return super().take_iface(words)

    def take_source(self, word: str, *, whole: bool) -> None:
        """The word is the name of a file or a folder, which must be there."""
        path, system = word if word.startswith("/") else "/" + word, self.image.system
        if not (system.is_dir(path) if whole else system.exists(path)):
            raise RefusedError("%s, which it includes, is not there: it is a name, not a pattern" % path)
        for one in matching(system, path + "/*") if whole else [path]:
            self.read_file(one)

    def name_for(self, entry: str, card: str) -> str:
        """A name is only a name."""
        name, _, other = entry.partition("=")
        return (other or card) if name == card else ""


class IfupdownNg(Reader):
    """ifupdown-ng. It refuses next to nothing: it ignores what it does not understand."""

    needs_program = True

    def without_comment(self, line: str) -> str:
        """Anything after a hash is a comment."""
        return line.partition("#")[0]

    def take(self, path: str, words: "List[str]") -> None:
        """Act on a line, as lif_interface_file_parse of its interface-file.c does."""
        key, rest = words[0], words[1:]
        if key == "auto":
            self.card = rest[0] if rest else self.card
            self.add_auto(path, rest[:1])  # and no other name
        elif key == "source":
            self.include(rest[:1], "", whole=False)
        elif key == "source-directory":
            self.include(rest[:1], "", whole=True)
        elif key in ("iface", "interface", "template", "defaults"):
            self.take_iface(key, rest)
        elif key == "inherit" and rest and self.card:
            self.inherit(rest[0])
        elif key == "use" and rest[:1] == [DHCP] and self.card:
            self.found.add(self.card, DHCP)
        elif key == "address" and self.card:
            self.found.add(self.card, "static")

    def take_iface(self, key: str, rest: "List[str]") -> None:
        """The family and the method are hints."""
        if key == "defaults":
            self.card = key
        elif rest:
            self.card = rest.pop(0)
        if DHCP in rest:
            self.found.add(self.card, DHCP)
        if "inherits" in rest[:-1]:
            self.inherit(rest[rest.index("inherits") + 1])
        if key in ("iface", "interface") and "no-defaults" not in rest:
            self.inherit("defaults")

    def inherit(self, base: str) -> None:
        """The card has what another has until now."""
        for method in self.found.methods.get(base, set()).copy():
            self.found.add(self.card, method)

    def name_for(self, entry: str, card: str) -> str:
        """A name is only a name."""
        return card if entry == card else ""


def read_interfaces(image: Image) -> Reader:
    """Read the file as the image's ifup does."""
    reader = image.once(find_reader)(image)
    reader.read()
    return reader


def find_reader(system: System) -> "Type[Reader]":
    """The rules of the image's ifup. Its links tell them, or the words in the program."""
    ifup = system.find_program("ifup")
    if ifup is None:
        return Reader
    links = system.chain(ifup)
    names = [path.rpartition("/")[2] for path in links[1:]]
    program = read_bytes(system, ifup, PROGRAM_LIMIT)
    if any(name.startswith("busybox") for name in names) or b"BusyBox v" in program:
        return Busybox
    if "ifupdown" in names or b"ifupdown-ng" in program:
        return IfupdownNg
    if program.startswith(b"#!") or any("ifupdown2" in path for path in links):
        return Reader
    return Ifupdown if not program.startswith(b"\x7fELF") or b"interfaces file" in program else Reader


def parts_in(words: "List[str]") -> "List[str]":
    """The cards that a line makes a part of another one."""
    option = words[0].replace("_", "-")
    if option in ("bridge-ports", "bond-slaves", "slaves"):
        return ["eth0"] if {"all", "regex"} & set(words) else words[1:]
    script = option in REPEATED and (" addif " in " ".join(words) or "master" in words)
    return [word.rstrip(";") for word in words[1:]] if script else []


def excluded(image: Image) -> "List[str]":
    """The patterns of the cards that Debian's script and unit leave alone."""
    values = dict(re.findall(r"(?m)^[ \t]*(\w+_INTERFACES)=[\"']?([^\"'\n]*)", image.active(DEFAULTS)))
    nothing = values.get("CONFIGURE_INTERFACES", "").strip() == "no"
    return ["*"] if nothing else values.get("EXCLUDE_INTERFACES", "").split()
