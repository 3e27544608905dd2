"""Another provisioner on the same machine: two that both set a VM up and report for it do harm to each other."""

from ..door.system import System
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Tuple

WAAGENT = ("waagent", "walinuxagent")
CLOUD_INIT = ("cloud-init", "cloud-init-local", "cloud-init-main", "cloud-init-network")
# Where runit, dinit, s6-rc and finit have what they start: the folder, and how a name in it ends.
OTHER_FOLDERS = {
    "/etc/runit/runsvdir/default": "",
    "/etc/dinit.d/boot.d": "",
    "/etc/s6/adminsv/default/contents.d": "",
    "/etc/finit.d": ".conf",
    "/etc/finit.d/enabled": ".conf",
}
WAAGENT_CONF = "/etc/waagent.conf"
CLOUD_DISABLED = ("/etc/cloud/cloud-init.disabled", "/run/cloud-init/disabled")


def find_rivals(system: System) -> "List[str]":
    """The other provisioners that this guest would start at a boot on Azure; each is a line that says what to do."""
    found = []
    if is_enabled(system, WAAGENT) and waagent_provisions(system):
        found.append("waagent would provision too: remove it, or set Provisioning.Agent=disabled in " + WAAGENT_CONF)
    if is_enabled(system, CLOUD_INIT) and cloud_init_provisions(system):
        found.append("cloud-init would provision too: remove it, or create " + CLOUD_DISABLED[0])
    return found


def is_enabled(system: System, services: "Tuple[str, ...]") -> bool:
    """Does any init system of this guest start one of the services at boot?"""
    folders = {"/etc/systemd/system/multi-user.target.wants": ".service"}
    for folder in ("/etc/systemd/system", "/run/systemd/generator", "/run/systemd/generator.early"):
        for name in system.list(folder):
            if name.endswith(".wants"):
                folders["%s/%s" % (folder, name)] = ".service"
    for runlevel in system.list("/etc/runlevels"):
        folders["/etc/runlevels/" + runlevel] = ""
    folders.update(OTHER_FOLDERS)
    for folder, ending in folders.items():
        if set(system.list(folder)) & {service + ending for service in services}:
            return True
    # cloud-init on systemd is wanted by its own target, which a generator adds at boot
    if "cloud-init" in services and system.exists("/lib/systemd/system-generators/cloud-init-generator"):
        return True
    for top in ("/etc", "/etc/rc.d"):
        for runlevel in "S2345":
            names = system.list("%s/rc%s.d" % (top, runlevel))
            if {name[3:] for name in names if name[:1] == "S"} & set(services):
                return True
    return False


def waagent_provisions(system: System) -> bool:
    """Is provisioning on in waagent's options? With `auto` it leaves the work to cloud-init, where there is one."""
    if not system.find_program("waagent"):
        return False
    options = read_options(system, WAAGENT_CONF)
    agent = options.get("provisioning.agent", "auto").lower()
    enabled = options.get("provisioning.enabled", "y").lower()
    return agent != "disabled" and enabled.startswith("y")


def cloud_init_provisions(system: System) -> bool:
    """Would cloud-init run, and may it take Azure for its datasource?"""
    if not system.find_program("cloud-init") or any(system.exists(path) for path in CLOUD_DISABLED):
        return False
    for name in system.list("/etc/cloud/cloud.cfg.d"):
        for line in text(system, "/etc/cloud/cloud.cfg.d/" + name).split("\n"):
            if line.startswith("datasource_list:") and "Azure" not in line:
                return False
    return True


def read_options(system: System, path: str) -> "Dict[str, str]":
    """The `Key=value` lines of a file, keys in lower case."""
    pairs = (line.split("#")[0].partition("=") for line in text(system, path).split("\n"))
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def text(system: System, path: str) -> str:
    """A file that is not ours to repair; unreadable counts as empty."""
    try:
        return system.read_text(path) or ""
    except GuestError:
        return ""
