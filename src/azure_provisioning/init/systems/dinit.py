"""dinit: a service description, and a link where the service `boot` looks for what it waits for."""

import os

from ...door.system import System
from ...door.tree import ROOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from ...records import Hook

NAME = "azure-provisioning"
SERVICE = "/etc/dinit.d/" + NAME
FOLDERS = ("/etc/dinit.d", "/usr/local/lib/dinit.d", "/usr/lib/dinit.d", "/lib/dinit.d")  # where dinit looks
BOOT = "/etc/dinit.d/boot.d"
# What has the file systems mounted: Chimera; Artix; the services that dinit itself brings as an example. Only what
# exists may be named: a dependency that is missing would keep us from being loaded.
MOUNTED = ("local.target", "loginready", "filesystems")


def present(system: System) -> bool:
    """Is there a service of ours?"""
    return system.exists(SERVICE) or bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the service and have `boot` start it."""
    from ..unit import unit

    text = unit("dinit/" + NAME, hook)
    mounted = next((name for name in MOUNTED if has_service(system, name)), None)
    system.write(SERVICE, text + ("waits-for = %s\n" % mounted if mounted else ""), owner=ROOT)
    folders = boot_folders(system)
    for folder in folders if BOOT not in folders else [BOOT]:
        target = "../" + NAME if folder == BOOT else SERVICE
        system.link(target, "%s/%s" % (folder, NAME))


def links(system: System) -> "List[str]":
    """Our entry in any folder that `boot` waits for; only its name counts."""
    paths = ["%s/%s" % (folder, NAME) for folder in boot_folders(system)]
    return [path for path in paths if system.stat(path, follow=False) is not None]


def files(system: System) -> "List[str]":
    """Service and links."""
    return ([SERVICE] if system.exists(SERVICE) else []) + links(system)


def disable(system: System) -> "List[str]":
    """Unlink what dinit would read at the next boot."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Take service and link away."""
    for path in links(system) + ["%s/%s" % (BOOT, NAME), SERVICE]:
        system.unlink(path)


def has_service(system: System, name: str) -> bool:
    """Would dinit find a service of that name?"""
    return any(system.exists("%s/%s" % (folder, name)) for folder in FOLDERS)


def boot_folders(system: System) -> "List[str]":
    """The folders that `boot` names in `waits-for.d`; a relative one begins where its description lies."""
    for place in FOLDERS:
        text = system.read_text(place + "/boot")
        if text is not None:
            lines = [line.split("#")[0].replace(":", "=", 1).partition("=") for line in text.split("\n")]
            named = [value.strip() for key, _, value in lines if key.strip() == "waits-for.d" and value.strip()]
            return [os.path.normpath(os.path.join(place, folder)) for folder in named]
    return []
