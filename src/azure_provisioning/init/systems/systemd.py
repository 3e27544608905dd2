"""systemd: one unit, enabled by a link, and a preset that keeps it enabled if the machine-id is removed."""

import re

from ...door.system import System
from ...door.text import read_text, words_in
from ...door.tree import ROOT
from ...errors import GuestError
from ..usual import INSTALL, SSH_SERVERS, Obstacle, in_turn, ssh_servers, unordered
from ..usual import left_to_do as left_to_do
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Sequence, Tuple

    from ...records import Hook

NAME = "azure-provisioning.service"
OWN = "/etc/systemd/system"  # the administrator's units, not those of packages
UNIT = OWN + "/" + NAME
PRESET = "/etc/systemd/system-preset/10-azure-provisioning.preset"
WANTS = OWN + "/multi-user.target.wants/" + NAME
FOLDERS = (  # a unit in an earlier folder hides one of the same name: systemd.unit(5)
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
KINDS = (".service", ".socket", ".target", ".timer", ".path", ".mount", ".slice", ".device", ".swap", ".scope")
PRESETS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")  # a file in an earlier folder hides the same name
NOT_STARTED = ("rescue", "emergency", "shutdown", "reboot", "poweroff", "halt", "kexec", "initrd", "sleep", "suspend")
SYSTEM_TARGETS = ("multi-user.target", "graphical.target", "basic.target", "sysinit.target") + tuple(
    "runlevel%d.target" % number for number in range(2, 6)
)
SETTING = re.compile(r"([A-Za-z]+)[ \t]*=[ \t]*(.*)\Z")
YES = ("yes", "true", "on", "1")
AZURE = (*YES, "y", "t", "vm", "microsoft")  # what ConditionVirtualization= may name there: systemd.unit(5)
GRAPHICAL = ("graphical.target", "runlevel5.target")  # is above multi-user.target
ALIASES = 8  # how many links from one unit name to another are followed


def present(system: System) -> bool:
    """Is there a unit of ours?"""
    folders = [folder for folder in FOLDERS if not folder.startswith("/run/")]
    return any(system.stat(folder + "/" + NAME, follow=False) is not None for folder in folders)


def enable(system: System, hook: "Hook") -> None:
    """Write unit and preset, and link the unit into multi-user.target. No daemon-reload: the next boot reads it."""
    from ..unit import unit

    if system.is_link(UNIT):  # masked, or an alias of another unit
        system.unlink(UNIT)
    system.write(UNIT, unit("systemd/" + NAME, hook), mode=0o644, owner=ROOT)
    system.write(PRESET, unit("systemd/10-azure-provisioning.preset", hook), mode=0o644, owner=ROOT)
    system.link(UNIT, WANTS)


def links(system: System, service: str = NAME) -> "List[str]":
    """The links in any target's folder in /etc: those in /usr belong to a package."""
    found = all_links(system, service)
    return [] if service == NAME and find_mask(system) else [path for path in found if not is_mask(system, path)]


def all_links(system: System, service: str, folders: "Sequence[str]" = (OWN,)) -> "List[str]":
    """The same, with those that are masked, in all of these folders."""
    found = [(folder, name) for folder in folders for name in system.list(folder)]
    paths = ["%s/%s/%s" % (*one, unit_name(service)) for one in found if one[1].endswith((".wants", ".requires"))]
    return [path for path in paths if system.is_link(path)]


def find_mask(system: System) -> "Optional[str]":
    """What masks the hook, in words: its unit, or every link to it, is a link to /dev/null or an empty file."""
    paths = [path for path in (folder + "/" + NAME for folder in FOLDERS) if system.stat(path, follow=False)]
    for path in paths[:1]:  # it hides those in later folders
        if is_mask(system, path):
            return "%s is a link to /dev/null" % path
        found = system.stat(path)
        if found is not None and found.st_size == 0:
            return "%s is empty" % path
    links = all_links(system, NAME)
    return "%s is a link to /dev/null" % links[0] if links and all(is_mask(system, path) for path in links) else None


def masks_generator(system: System) -> bool:
    """Does a link to /dev/null keep systemd from starting logins on the kernel's consoles? See systemd.generator(7)."""
    folders = ("/etc/systemd", "/usr/local/lib/systemd")
    return any(is_mask(system, "%s/system-generators/systemd-getty-generator" % folder) for folder in folders)


def is_mask(system: System, path: str) -> bool:
    """Is it a link to /dev/null? A mounted image may lack that device."""
    return system.readlink(path) == "/dev/null"


def files(system: System) -> "List[str]":
    """Unit, preset, and the links to the unit."""
    units = [folder + "/" + NAME for folder in FOLDERS]
    return [path for path in [*units, PRESET] if system.exists(path)] + links(system)


def disable(system: System) -> "List[str]":
    """Remove the links that a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Remove unit, preset and links."""
    for path in all_links(system, NAME) + [UNIT, PRESET]:
        system.unlink(path)


def services(system: System, default: str = "") -> "Dict[str, str]":
    """The units wanted by any target that a boot to `default`, or else to the target of the image, can reach, unless
    masked or missing; `.service` is left out.

    A generator also starts System V scripts without a unit of their name.
    """
    from . import sysvinit

    found: "Dict[str, str]" = {}
    default = default or default_target(system)
    for folder in FOLDERS:
        for wants in system.list(folder):
            target, _, ending = wants.rpartition(".")
            if ending not in ("wants", "requires") or target.split(".")[0] in NOT_STARTED or is_above(target, default):
                continue
            if has_unit(system, target) and not find_unit(system, target):
                continue  # it is masked, and so is what only it would start
            for name in system.list("%s/%s" % (folder, wants)):
                if find_unit(system, name) and not is_mask(system, "%s/%s/%s" % (folder, wants, name)):
                    plain = name[: -len(".service")] if name.endswith(".service") else name
                    found.setdefault(plain, "%s/%s/%s" % (folder, wants, name))
    for folder in sysvinit.runlevel_folders(system):
        for path in sysvinit.start_links(system, folder):
            name = sysvinit.plain_name(path)
            if not any(has_unit(system, name + ending) for ending in (".service", ".sh.service")):
                found.setdefault(name, path)
    return found


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """`systemctl enable`; if it is masked, `unmask` first, which an enabled unit needs alone."""
    name = unit_name(service)
    if find_unit(system, name):
        return ("systemctl", "enable", service)
    if system.stat("%s/%s" % (OWN, name), follow=False) is None:  # systemctl unmasks only those
        return ()
    if not all(is_mask(system, path) for path in all_links(system, service, FOLDERS)):
        return ("systemctl", "unmask", service)
    return in_turn("systemctl unmask " + service, "systemctl enable " + service)


def unit_name(service: str) -> str:
    """The name of the unit; `.service` may be left out."""
    return service if service.endswith(KINDS) else service + ".service"


def has_unit(system: System, name: str) -> bool:
    """Is there a unit file of this name, even a masked one?"""
    return any(system.stat("%s/%s" % (folder, name), follow=False) is not None for folder in FOLDERS)


def find_unit(system: System, name: str, aliases: int = ALIASES) -> "Optional[str]":
    """The path of the unit in effect, also `x@.service` for `x@y.service`; None if it is missing or masked (also by an
    empty file). A link to another unit counts as that unit, which may be masked itself."""
    head, at, tail = name.partition("@")
    names = [name] + ([head + "@." + tail.rpartition(".")[2]] if at else [])
    for wanted in names:
        for folder in FOLDERS:
            path = "%s/%s" % (folder, wanted)
            if system.stat(path, follow=False) is not None:
                other = (system.readlink(path) or "").rpartition("/")[2]
                if other != wanted and other.endswith(KINDS) and aliases and has_unit(system, other):
                    return find_unit(system, other, aliases - 1)
                try:
                    return path if system.read(path, 1, head=True) else None
                except GuestError:  # a link to /dev/null
                    return None
    return None


# -- does a boot reach it? -------------------------------------------------------------------------------------------


def unreached(system: System, links: "List[str]") -> "Iterator[Obstacle]":
    """The unit is masked or missing, no target of the boot wants it, or a preset removes the link."""
    if not find_unit(system, NAME):
        yield Obstacle("there is no unit behind %s" % links[0], INSTALL, sure=True)
        return
    targets = [link.split("/")[-2].rpartition(".")[0] for link in links]
    default = default_target(system)
    if default in ("rescue.target", "emergency.target"):
        message = "the image boots to %s, which starts no services" % default
        yield Obstacle(message, ("systemctl", "set-default", "multi-user.target"), sure=True)
    elif not any(target in SYSTEM_TARGETS or target == default for target in targets if not is_above(target, default)):
        message = "only %s wants the hook, and the image boots to %s" % (targets[0], default)
        yield Obstacle(message, INSTALL, sure=True)
    elif default not in SYSTEM_TARGETS:
        if "multi-user.target" not in unit_text(system, default):
            message = "the image boots to %s: it cannot be determined whether that starts the hook" % default
            yield Obstacle(message, (), sure=False)
    verdict = find_preset(system, NAME)
    if verdict and not verdict[0]:
        # Most builds only enable units then, others are built with first-boot-full-preset, such as Azure Linux's.
        message = "%s disables the hook, and without a machine-id some builds of systemd apply that" % verdict[1]
        yield Obstacle(message, INSTALL, sure=False)
    yield from unheld(system)


def unheld(system: System) -> "Iterator[Obstacle]":
    """The SSH servers that the unit does not hold back: it is of an older install, or there is one for each connection.

    The names of those nobody knows before; but they may come after a unit that we do hold back, such as Fedora's.
    """
    held = setting_words(system, NAME, "Before")
    started = services(system)
    for server in ssh_servers(started):
        if server + ".service" not in held:
            yield unordered(server, "systemd", INSTALL)
    for server in SSH_SERVERS:
        if server + ".socket" in started and accepts(system, server + ".socket"):
            template = server + "@.service"
            if not set(setting_words(system, template, "After")) & set(held):
                yield unordered(template, "systemd")


def accepts(system: System, socket: str) -> bool:
    """Does a socket start a service for each connection, from a template? See systemd.socket(5)."""
    words = setting_words(system, socket, "Accept")
    return bool(words) and words[-1].lower() in YES


def setting_words(system: System, unit: str, key: str) -> "List[str]":
    """The words of a setting of a unit."""
    return [word for name, value in unit_settings(system, unit) if name == key for word in value.split()]


def default_target(system: System) -> str:
    """The target of the boot."""
    for folder in FOLDERS:
        if system.stat(folder + "/default.target", follow=False) is not None:
            return system.chain(folder + "/default.target")[-1].rpartition("/")[2]
    return "multi-user.target"


def is_above(target: str, default: str) -> bool:
    """Is it a target that a boot to multi-user.target does not reach?"""
    return target in GRAPHICAL and default in SYSTEM_TARGETS and default not in GRAPHICAL


def unit_text(system: System, name: str) -> str:
    """The text of a unit; empty if there is none."""
    return next(filter(None, (system.read_text(folder + "/" + name) for folder in FOLDERS)), "")


def unit_settings(system: System, name: str) -> "List[Tuple[str, str]]":
    """(keyword, value) of the lines of a unit and its drop-ins, in the order in which they count: systemd.unit(5)."""
    path = find_unit(system, name)
    if path is None:
        return []
    names = {name, path.rpartition("/")[2], (system.readlink(path) or path).rpartition("/")[2]}
    drop_ins: "Dict[str, str]" = {}
    for folder in ["%s/%s.d" % (folder, each) for folder in FOLDERS for each in sorted(names)]:
        for found in system.list(folder):
            if found.endswith(".conf"):
                drop_ins.setdefault(found, "%s/%s" % (folder, found))
    pairs = []
    for part in [path] + [drop_ins[found] for found in sorted(drop_ins)]:
        for line in re.sub(r"\\\n", " ", read_text(system, part)).split("\n"):
            match = SETTING.match(line.strip())
            if match:
                pairs.append((match.group(1), match.group(2)))
    return pairs


def never_starts(system: System, name: str) -> bool:
    """Does a condition certainly keep a unit from being started on Azure? See systemd.unit(5)."""
    regular: "List[Optional[bool]]" = []
    triggering: "List[Optional[bool]]" = []  # one of them must be met
    try:
        settings = unit_settings(system, name)
    except GuestError:
        return False
    for key, value in settings:
        if key.startswith("Condition") and value:
            (triggering if value.startswith("|") else regular).append(is_met(system, key, value.lstrip("| \t")))
        elif key.startswith("Condition"):  # it resets all
            regular, triggering = [], []
    return False in regular or (bool(triggering) and set(triggering) == {False})


def is_met(system: System, key: str, value: str) -> "Optional[bool]":
    """Is a condition met on Azure? None if that is unknown: a boot may make or remove a file in /etc."""
    negated, word = value.startswith("!"), value.lstrip("! \t")
    if key == "ConditionVirtualization" and "%" not in word:
        return (word.lower() in AZURE) != negated
    if key == "ConditionPathExists" and "%" not in word and word.startswith(("/etc/", "/usr/")):
        there = system.exists(word)
        return there != negated if there != negated or word.startswith("/usr/") else None
    return None


def is_first_boot(system: System) -> bool:
    """Would systemd treat the next boot as the first, and apply presets? Not with an empty file: machine-id(5)."""
    text = system.read_text("/etc/machine-id")
    return text is None or text.strip() == "uninitialized"


def find_preset(system: System, unit: str) -> "Optional[Tuple[bool, str]]":
    """(enable or disable, the file that says so) for a unit, from the first matching line; None if there is none."""
    from ...door.pattern import matches

    files: "Dict[str, str]" = {}
    for top in PRESETS:
        for name in system.list(top + "/systemd/system-preset"):
            if name.endswith(".preset"):
                files.setdefault(name, "%s/systemd/system-preset/%s" % (top, name))
    for name in sorted(files):
        for line in (system.read_text(files[name]) or "").split("\n"):
            words = words_in(line)
            if len(words) > 1 and words[0] in ("enable", "disable") and matches(unit, words[1]):
                return words[0] == "enable", files[name]
    return None
