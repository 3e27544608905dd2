"""NetworkManager.conf(5) and profiles: does NetworkManager manage a card, and with which profiles?"""

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from ...door.pattern import matches
from ...door.text import is_digits
from ...guest.sshd_config import matching
from .finding import Doubt
from .ifcfg import assigned
from .networkd import Card, read_settings
from .subject import Image

FOLDERS = ("/etc", "/run", "/usr/lib")  # a file of conf.d in an earlier one hides the same name in later ones
IFCFG = "/etc/sysconfig/network-scripts/ifcfg-"
PLUGINS = ("/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
IFCFG_PLUGIN = "libnm-settings-plugin-ifcfg-rh.so"
PARTS = ("master", "slave-type", "controller", "port-type")  # of another card, which has the address
IFCFG_PARTS = ("MASTER", "BRIDGE", "TEAM_MASTER", "OVS_BRIDGE")
PART = "makes it a part of another card"
NO = ("false", "no", "off", "0")
YES = ("true", "yes", "on", "1")
PRIVATE = 0o077  # keyfiles that others may read or write are ignored: nm-settings-keyfile(5)


class Settings(NamedTuple):
    """The configuration, from all files."""

    values: "Dict[Tuple[str, str], str]"  # by section and key
    devices: "List[Dict[str, str]]"  # the sections [device*], the most important first

    def lists(self, section: str, key: str, card: Card) -> bool:
        """Is a card in the list of devices with this key?"""
        return is_listed(self.values.get((section, key), ""), card)


class Profile(NamedTuple):
    """A connection profile."""

    path: str
    certain: bool  # that it is for the card
    refusal: str  # why it does not use DHCP at boot; empty if it does


# -- the configuration -------------------------------------------------------------------------------------------------


def read(image: Image) -> Settings:
    """The configuration."""
    values: "Dict[Tuple[str, str], str]" = {}
    devices: "List[Dict[str, str]]" = []
    for path in files(image):
        settings = read_settings(image.text(path))
        if any(section == ".config" and key == "enable" and value in NO for section, key, value in settings):
            continue
        sections: "Dict[str, Dict[str, str]]" = {}
        for section, key, value in settings:
            name = (section, key[:-1])
            if section.startswith("device"):
                sections.setdefault(section, {})[key] = value
            elif key.endswith(("+", "-")):
                words = words_of(values.get(name, ""))
                image.system.spend(path, len(words))
                gone = set(words_of(value)) if key.endswith("-") else set()
                added = words_of(value) if key.endswith("+") else []
                values[name] = ",".join([word for word in words if word not in gone] + added)
            else:
                values[(section, key)] = value
        last = sections.pop("device", {})
        devices = [*sections.values(), last, *devices]
    return Settings(values, devices)


def files(image: Image) -> "List[str]":
    """Its configuration files, in the order in which they are read: later ones override."""
    found: "Dict[str, str]" = {}
    for folder in FOLDERS:
        for name in image.system.list(folder + "/NetworkManager/conf.d"):
            if name.endswith(".conf"):
                found.setdefault(name, folder)
    parts = [["%s/NetworkManager/conf.d/%s" % (found[name], name) for name in sorted(found) if found[name] == folder]
             for folder in reversed(FOLDERS)]  # fmt: skip
    return parts[0] + parts[1] + ["/etc/NetworkManager/NetworkManager.conf"] + parts[2]


def words_of(value: str) -> "List[str]":
    """The items of a list."""
    return [word.strip() for word in re.split("[,;]", value) if word.strip()]


def is_listed(value: str, card: Card) -> bool:
    """Does a device list match a card? `except:` excludes, and a list with nothing else matches all other cards."""
    excluded, wanted = [], []
    for word in words_of(value):
        if word.lower().startswith("except:"):
            excluded.append(is_device(word[len("except:") :], card, plain=False))
        else:
            wanted.append(is_device(word, card, plain=True))
    return not any(excluded) and (any(wanted) or (bool(excluded) and not wanted))


def is_device(word: str, card: Card, *, plain: bool) -> bool:
    """Does one item of a device list match a card? Only with `plain` may it be the card's name alone."""
    kind, _, value = word.rpartition(":")
    kind = kind.lower()
    if kind == "driver":
        return value.partition("/")[0] in card.drivers
    if kind == "type":
        return value == "ethernet"
    if kind == "interface-name":
        return value[1:] == card.name if value.startswith("=") else matches(card.name, value.lstrip("~"), sets=False)
    return word == "*" or (plain and word == card.name)


def unmanaged(image: Image, card: Card) -> str:
    """Why it does not manage a card; empty if it does. What udev's rules say is not examined."""
    settings = read(image)
    if settings.lists("keyfile", "unmanaged-devices", card):
        return "unmanaged-devices excludes %s" % card.name
    for device in settings.devices:
        if not is_listed(device.get("match-device", "*"), card):
            continue
        if device.get("managed", "").lower() in NO:
            return "a section [device] with managed=%s excludes %s" % (device["managed"], card.name)
        if device.get("managed") or device.get("stop-match", "").lower() in YES:
            break
    if "ifupdown" in words_of(settings.values.get(("main", "plugins"), "")):
        if settings.values.get(("ifupdown", "managed"), "").lower() not in YES and is_in_interfaces(image, card):
            return "it leaves %s to /etc/network/interfaces ([ifupdown] managed)" % card.name
    return ""


def is_in_interfaces(image: Image, card: Card) -> bool:
    """Does /etc/network/interfaces, or a file that it may include, have a block for a card?"""
    text = image.text("/etc/network/interfaces")
    if re.search(r"(?m)^[ \t]*source", text):
        text += "".join("\n" + image.text(path) for path in matching(image.system, "/etc/network/interfaces.d/*"))
    return bool(re.search(r"(?m)^[ \t]*(?:iface|mapping)[ \t]+%s(?:\s|$)" % re.escape(card.name), text))


# -- the profiles ------------------------------------------------------------------------------------------------------


def profiles(image: Image, card: Card) -> "List[Profile]":
    """The profiles that may be for a card."""
    found = [of_keyfile(path, image.text(path), card) for path in keyfiles(image)]
    read_too = reads_ifcfg(image)
    if read_too is not False:
        others = [of_ifcfg(path, image.text(path), card) for path in matching(image.system, IFCFG + "e*")]
        found += [one._replace(certain=one.certain and read_too is True) for one in others if one]
    return [profile for profile in found if profile]


def reads_ifcfg(image: Image) -> "Optional[bool]":
    """Does it read ifcfg files, which takes a plugin? None if it cannot be determined."""
    chosen = read(image).values.get(("main", "plugins"))
    if chosen is not None and "ifcfg-rh" not in words_of(chosen):
        return False
    known = None
    for folder in [top + "/NetworkManager" for top in PLUGINS]:
        versions = ["%s/%s" % (folder, name) for name in image.system.list(folder) if is_digits(name[:1])]
        if any(image.system.exists("%s/%s" % (place, IFCFG_PLUGIN)) for place in (folder, *versions)):
            return True
        known = False if versions else known
    return known


def keyfiles(image: Image) -> "List[str]":
    """The paths of the keyfiles; outside /etc they need their ending."""
    names = {"/etc": "*"}
    places = ["%s/NetworkManager/system-connections/%s" % (top, names.get(top, "*.nmconnection")) for top in FOLDERS]
    return [path for place in places for path in matching(image.system, place) if not path.endswith("~")]


def is_ignored(image: Image, profile: Profile) -> bool:
    """Is it a keyfile that others than root may read or write?"""
    status = image.system.stat(profile.path)
    return not profile.path.startswith(IFCFG) and status is not None and bool(status.st_mode & PRIVATE)


def of_keyfile(path: str, text: str, card: Card) -> "Optional[Profile]":
    """A keyfile, if it may be for a card."""
    values = {(section, key): value for section, key, value in read_settings(text)}
    if values.get(("connection", "type"), "ethernet") not in ("ethernet", "802-3-ethernet"):
        return None
    if values.get(("ethernet", "mac-address")) or values.get(("802-3-ethernet", "mac-address")):
        return None
    if values.get(("connection", "interface-name"), card.name) != card.name:
        return None
    if not matched(values.get(("match", "interface-name"), ""), (card.name,)):
        return None
    if not matched(values.get(("match", "driver"), ""), card.drivers):
        return None
    certain = not any(values.get(("match", key)) for key in ("path", "kernel-command-line"))
    refusal = ""
    if values.get(("connection", "autoconnect"), "").lower() in NO:
        refusal = "is not activated at boot"
    elif values.get(("connection", "permissions"), "").strip(";"):
        refusal = "is only active while a user is logged in (permissions)"
    elif any(values.get(("connection", key)) for key in PARTS):
        refusal = Doubt(PART)
    elif values.get(("ipv4", "method"), "auto") != "auto":
        refusal = "does not ask by DHCP"
    elif all(values.get(("ipv4", key), "").lower() in YES for key in ("never-default", "ignore-auto-routes")):
        refusal = Doubt("takes no route from DHCP (never-default, ignore-auto-routes)")
    return Profile(path, certain, refusal)


def matched(value: str, names: "Tuple[str, ...]") -> bool:
    """Does a list of [match] match one of the names? All items with `&` or `!` must, and one of the others."""
    optional = []
    for word in words_of(value):
        pattern = word.lstrip("|&")
        inverted = pattern.startswith("!")
        hit = inverted != any(matches(name, pattern[inverted:]) for name in names)
        if word.startswith("&") or (inverted and not word.startswith("|")):
            if not hit:
                return False
        else:
            optional.append(hit)
    return any(optional) or not optional


def of_ifcfg(path: str, text: str, card: Card) -> "Optional[Profile]":
    """An ifcfg file, if it is for a card."""
    if assigned(text, "TYPE").lower() not in ("", "ethernet") or assigned(text, "HWADDR"):
        return None
    if assigned(text, "DEVICE") not in ("", card.name):
        return None
    refusal = ""
    if assigned(text, "NM_CONTROLLED").lower() in NO:
        return Profile(path, certain=False, refusal="is not for NetworkManager")  # if it reads such files at all
    if assigned(text, "ONBOOT").lower() in NO:
        refusal = "is not activated at boot"
    elif any(assigned(text, key) for key in IFCFG_PARTS):
        refusal = Doubt(PART)
    elif assigned(text, "BOOTPROTO").lower() not in ("", "dhcp", "dhcp4", "bootp"):
        refusal = "does not ask by DHCP"
    return Profile(path, certain=True, refusal=refusal)
