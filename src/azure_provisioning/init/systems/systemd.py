"""systemd: one unit, enabled by a link, and a preset that keeps it so on an image whose machine-id was wiped."""

from ...door.system import System
from ...door.tree import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from ...records import Hook

NAME = "azure-provisioning.service"
UNIT = "/etc/systemd/system/" + NAME
PRESET = "/etc/systemd/system-preset/10-azure-provisioning.preset"
WANTS = "/etc/systemd/system/multi-user.target.wants/" + NAME
FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def present(system: System) -> bool:
    """Is there a unit of ours?"""
    return any(system.stat(folder + "/" + NAME, follow=False) is not None for folder in FOLDERS)


def enable(system: System, hook: "Hook") -> None:
    """Write unit and preset, and link the unit into multi-user.target. No daemon-reload: the next boot reads it."""
    from ..unit import unit

    if system.is_link(UNIT):  # masked, or an alias of some other unit
        system.unlink(UNIT)
    system.write(UNIT, unit("systemd/" + NAME, hook), mode=0o644, owner=ROOT)
    system.write(PRESET, unit("systemd/10-azure-provisioning.preset", hook), mode=0o644, owner=ROOT)
    system.link(UNIT, WANTS)


def links(system: System) -> "List[str]":
    """Our entry in any target's folder of /etc: those in /usr belong to a package and are not ours to remove."""
    if system.readlink(UNIT) == "/dev/null":
        return []
    folder = "/etc/systemd/system"
    wants = [name for name in system.list(folder) if name.endswith((".wants", ".requires"))]
    return [path for path in ("%s/%s/%s" % (folder, name, NAME) for name in wants) if system.is_link(path)]


def files(system: System) -> "List[str]":
    """Unit, preset, and the links to the unit."""
    units = [folder + "/" + NAME for folder in FOLDERS]
    return [path for path in [*units, PRESET] if system.exists(path)] + links(system)


def disable(system: System) -> "List[str]":
    """Unlink what a boot would follow."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Take unit, preset and links away."""
    for path in links(system) + [UNIT, PRESET]:
        system.unlink(path)
