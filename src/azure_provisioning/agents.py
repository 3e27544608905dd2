"""Other provisioning agents on the machine: two agents that both set up and report a VM interfere with each other."""

import re

from .door.system import System
from .door.text import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

WAAGENT = ("waagent", "walinuxagent")
CLOUD_INIT = ("cloud-init", "cloud-init-local", "cloud-init-main", "cloud-init-network")
# Alpine's, one service for each phase. When one of these files says so, or it has run, it does nothing
# (sbin/tiny-cloud).
TINY_CLOUD = (
    "tiny-cloud",
    "tiny-cloud-early",
    "tiny-cloud-boot",
    "tiny-cloud-net",
    "tiny-cloud-main",
    "tiny-cloud-final",
)
TINY_CONFS = ("/etc/conf.d/tiny-cloud", "/etc/tiny-cloud.conf")  # older releases have the first; the last counts
TINY_DISABLED = "/etc/tiny-cloud.disabled"
TINY_DONE = "/var/lib/cloud/.bootstrap-complete"
AZURE_INIT = ("azure-init",)
AFTERBURN = ("afterburn-checkin",)  # it reports Ready
AFTERBURN_PROGRAM = "/usr/libexec/afterburn"
PLATFORM = re.compile(
    r"(?:ignition\.platform\.id|(?:coreos|flatcar)\.oem\.id)=azure\Z"
)  # the condition in afterburn's unit
WAAGENT_CONF = "/etc/waagent.conf"
CLOUD_CONF = "/etc/cloud"
CLOUD_DISABLED = ("/etc/cloud/cloud-init.disabled", "/run/cloud-init/disabled")
CLOUD_OFF = "cloud-init=disabled"  # on the kernel's command line


def find_agents(system: System) -> "List[str]":
    """The other provisioning agents that this guest would start at a boot on Azure, as lines with a remedy each."""
    found = []
    if waagent_provisions(system) and is_enabled(system, WAAGENT):
        found.append("waagent would provision too: remove it, or set Provisioning.Agent=disabled in " + WAAGENT_CONF)
    if cloud_init_provisions(system) and is_enabled(system, CLOUD_INIT):
        found.append("cloud-init would provision too: remove it, or create " + CLOUD_DISABLED[0])
    if tiny_cloud_provisions(system) and is_enabled(system, TINY_CLOUD):
        found.append("tiny-cloud would provision too: remove it, or create " + TINY_DISABLED)
    if system.find_program("azure-init") and is_enabled(system, AZURE_INIT):
        found.append("azure-init would provision too: remove it, or disable its service")
    if afterburn_reports(system) and is_enabled(system, AFTERBURN):
        found.append("afterburn would provision too: remove it, or disable " + AFTERBURN[0])
    return found


def is_enabled(system: System, services: "Tuple[str, ...]") -> bool:
    """Does a boot of this guest start one of the services?"""
    from .init import table  # most guests have none of the programs, and do not load this

    return bool(set(table.find_services(system) or ()) & set(services))


def waagent_provisions(system: System) -> bool:
    """Do waagent's options enable provisioning? With `auto` it leaves that to cloud-init, if it is installed."""
    if not system.find_program("waagent"):
        return False
    options = read_options(system, WAAGENT_CONF)
    agent = options.get("provisioning.agent", "auto").lower()
    enabled = options.get("provisioning.enabled", "y").lower()
    return agent != "disabled" and enabled.startswith("y")


def cloud_init_provisions(system: System) -> bool:
    """Would cloud-init run, and may it use Azure as its datasource?"""
    if not system.find_program("cloud-init") or any(system.exists(path) for path in CLOUD_DISABLED):
        return False
    if system.live and CLOUD_OFF in read_text(system, "/proc/cmdline").split():
        return False
    sources = datasources(system)
    return not sources or "azure" in sources


def tiny_cloud_provisions(system: System) -> bool:
    """Would tiny-cloud use Azure's metadata, by its option or by itself, and has it not run before?"""
    if not system.find_program("tiny-cloud") or system.exists(TINY_DISABLED) or system.exists(TINY_DONE):
        return False
    clouds = [read_options(system, path).get("cloud") for path in TINY_CONFS]
    given = [cloud.strip("\"'").lower() for cloud in clouds if cloud is not None]
    return bool(given) and given[-1] in ("azure", "auto")


def afterburn_reports(system: System) -> bool:
    """Would afterburn report? That depends on the kernel's command line, which for an image is unknown."""
    if not system.find_program("afterburn", AFTERBURN_PROGRAM):
        return False
    return not system.live or any(map(PLATFORM.match, read_text(system, "/proc/cmdline").split()))


def datasources(system: System) -> "Optional[List[str]]":
    """The datasources that cloud-init may use, in lower case; None if it may use any.

    A later file overrides an earlier one: cloud.cfg, then the files of cloud.cfg.d by name.
    """
    names = [name for name in system.list(CLOUD_CONF + "/cloud.cfg.d") if name.endswith(".cfg")]
    found = None
    for path in ["/cloud.cfg"] + ["/cloud.cfg.d/" + name for name in names]:
        listed = yaml_list(read_text(system, CLOUD_CONF + path), "datasource_list")
        found = found if listed is None else listed
    return None if found is None else [name.lower() for name in found]


def yaml_list(document: str, key: str) -> "Optional[List[str]]":
    """The words of a list at the top of a YAML document: `[a, 'b']`, also over several lines, or a `- a` on each line.

    None if the document has no such key. The standard library has no YAML parser; this one handles what people write
    there.
    """
    found = None
    lines = [re.sub(r"(^|\s)#.*", "", line).rstrip() for line in document.split("\n")]
    for number, line in enumerate(lines):
        match = re.match(r"[\"']?%s[\"']?\s*:(.*)" % re.escape(key), line)
        if match:
            value, rest = match.group(1).strip(), [line for line in lines[number + 1 :] if line.strip()]
            while rest and (not value or value[0] == "[") and "]" not in value and rest[0][0] in " \t-[]":
                if rest[0].lstrip().startswith("- ") and value[:1] != "[":
                    break
                value += " " + rest.pop(0).strip()
                value = value.strip()
            found = value.strip("[] ").split("]")[0].split(",") if value else []
            while not value and rest and re.match(r"\s*-\s", rest[0]):
                found.append(rest.pop(0).strip()[1:])
    return None if found is None else [word for word in (each.strip(" \t\"'") for each in found) if word]


def read_options(system: System, path: str) -> "Dict[str, str]":
    """The `Key=value` lines of a file, keys in lower case."""
    pairs = (line.split("#")[0].partition("=") for line in read_text(system, path).split("\n"))
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}
