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
CLOUD_RUNTIME = "/run/cloud-init/cloud.cfg"  # ds-identify writes it in each boot, and it counts more than the others
CLOUD_SCRIPT = "/etc/init.d/cloud-init-local"
CLOUD_TARGET = "cloud-init.target"
# systemd runs the first that exists, and nothing if it is empty or a link to /dev/null: systemd.generator(7).
GENERATORS = tuple(
    top + "/systemd/system-generators/cloud-init-generator" for top in ("/etc", "/usr/local/lib", "/usr/lib", "/lib")
)
DS_IDENTIFY = ("/usr/lib/cloud-init/ds-identify", "/usr/libexec/cloud-init/ds-identify")
DS_IDENTIFY_CFG = CLOUD_CONF + "/ds-identify.cfg"
DS_MODES = ("enabled", "disabled", "search", "report")


def find_agents(system: System) -> "List[str]":
    """The other provisioning agents that this guest would start at a boot on Azure, as lines with a remedy each."""
    found = []
    if waagent_provisions(system) and is_enabled(system, WAAGENT):
        found.append("waagent would provision too: remove it, or disable its service")
    if cloud_init_provisions(system):
        off = "disable its services" if ignores_switches(system) else "create " + CLOUD_DISABLED[0]
        found.append("cloud-init would provision too: remove it, or " + off)
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


def find_early(system: System) -> "List[str]":
    """The agents that leave the VM alone, but report Ready at their start, as lines with a remedy each.

    That is what waagent does if it is told to provision nothing (WALinuxAgent, pa/provision/default.py).
    """
    if waagent_provisions(system) is False and is_enabled(system, WAAGENT):
        return ["waagent would report Ready at once, before the account exists: remove it, or disable its service"]
    return []


def waagent_provisions(system: System) -> "Optional[bool]":
    """Does waagent's option enable provisioning, by itself or after cloud-init? None if it is not installed.

    Provisioning.Enabled is not read by versions since 2019.
    """
    if not system.find_program("waagent"):
        return None
    agent = read_options(system, WAAGENT_CONF).get("provisioning.agent", "auto").strip('" ')
    return agent in ("auto", "waagent", "cloud-init")


def cloud_init_provisions(system: System) -> bool:
    """Would cloud-init run, and may it use Azure as its datasource, with any command line that the kernel may get?"""
    if not system.find_program("cloud-init") or not is_enabled(system, CLOUD_INIT):
        return False
    if system.live:
        lines = [read_text(system, "/proc/cmdline")]
    else:
        from .guest.boot_loader import kernel_lines

        lines = kernel_lines(system) or [""]
    return any(cloud_init_acts(system, re.findall(r"[^\s\"']+", line)) for line in lines)


def cloud_init_acts(system: System, words: "List[str]") -> bool:
    """The same for the words of one command line."""
    from .init.detection import find_init

    by_systemd = find_init(system) in ("systemd", "nixos")
    off = CLOUD_OFF in words or any(system.exists(path) for path in CLOUD_DISABLED)
    if off and not ignores_switches(system):
        return False
    generates = by_systemd and not is_generator_masked(system)
    if by_systemd and not generates and not is_target_wanted(system):
        return False
    if (generates and system.find_program(*DS_IDENTIFY)) or is_enabled(system, ("cloud-init-ds-identify",)):
        mode, source = ask_ds_identify(system, words)
        if mode == "disabled" and by_systemd:
            return False
        if mode == "search" and source:
            return source == "azure"
    sources = datasources(system)
    return not sources or "azure" in sources


def ignores_switches(system: System) -> bool:
    """Is it started by a script that asks neither the command line nor for the file? Debian's for sysvinit is one."""
    from .init.detection import find_init

    return find_init(system) == "sysvinit" and "disabled" not in read_text(system, CLOUD_SCRIPT)


def is_generator_masked(system: System) -> bool:
    """Does systemd not run the generator that starts cloud-init's target?"""
    path = next((path for path in GENERATORS if system.stat(path, follow=False)), "")
    if not path or system.readlink(path) == "/dev/null":  # which a mounted image may lack
        return bool(path)
    found = system.stat(path)
    return found is not None and found.st_size == 0


def is_target_wanted(system: System) -> bool:
    """Does a boot reach cloud-init's services without the generator?"""
    from .init import table

    started = table.find_services(system) or {}
    paths = [started[name] for name in CLOUD_INIT if name in started]
    return CLOUD_TARGET in started or any("/%s.wants/" % CLOUD_TARGET not in path for path in paths)


def ask_ds_identify(system: System, words: "List[str]") -> "Tuple[str, str]":
    """(its mode, the datasource that it is to take; empty if it searches), as cloud-init's ds-identify reads them."""
    lines = [line.split("#")[0].partition(":") for line in read_text(system, DS_IDENTIFY_CFG).split("\n")]
    values = {key.strip(): value.strip().strip("\"'") for key, _, value in lines}
    for key, _, value in (word.partition("=") for word in words):
        name = {"ci.ds": "datasource", "ci.datasource": "datasource", "ci.di.policy": "policy"}.get(key)
        if name:
            values[name] = value.partition(";")[0]
    modes = [word for word in values.get("policy", "").split(",") if word in DS_MODES]
    return modes[-1] if modes else "search", values.get("datasource", "").lower()


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

    A later file overrides an earlier one: cloud.cfg, then the files of cloud.cfg.d by name, then what this boot found.
    """
    names = [name for name in system.list(CLOUD_CONF + "/cloud.cfg.d") if name.endswith(".cfg")]
    found = None
    paths = [CLOUD_CONF + "/cloud.cfg"] + [CLOUD_CONF + "/cloud.cfg.d/" + name for name in names]
    for path in paths + ([CLOUD_RUNTIME] if system.live else []):
        listed = yaml_list(read_text(system, path), "datasource_list")
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
