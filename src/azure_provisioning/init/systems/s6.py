"""s6-rc: the definition of a oneshot, and its name in the bundle `default`. Artix, and s6-rc as its author lays it out.

A boot reads neither: it reads a database that s6-rc-compile makes of them. Here that is done where the system's own
tools may run, and is left to the person where they may not. After Ready the name leaves the bundle; a database from
before goes on starting us, for some milliseconds at each boot, until it is compiled anew.
"""

from contextlib import suppress

from ...door.system import System
from ...door.tree import ROOT
from ...errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

    from ...records import Hook

NAME = "azure-provisioning"
SOURCES = ("/etc/s6/adminsv", "/etc/s6-rc/source")  # Artix, upstream: where the bundle `default` is
ALL_SOURCES = ("/etc/s6/sv",) + SOURCES
DATABASES = ("/etc/s6/rc/compiled", "/etc/s6-rc/compiled")
# What has the file systems mounted. Only what exists may be named: else no database is made at all.
MOUNTED = ("setup", "mount", "localmount", "ok-local")
BY_HAND = "compile the database before the image is used: `s6-db-reload`, or s6-rc-compile, in a chroot of it"


def present(system: System) -> bool:
    """Is there a definition of ours?"""
    return any(system.is_dir(home) for home in homes()) or bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the definition, add it to the bundle, and have the database compiled if the system's tool may run.

    Raises GuestError if there is no bundle to add it to.
    """
    from ..unit import unit

    source = next((source for source in SOURCES if system.exists(source + "/default/type")), None)
    if source is None or (system.exists(source + "/default/contents") and not has_contents(system, source)):
        raise GuestError("no bundle `default` with a folder contents.d was found", looked_in=" ".join(SOURCES))
    home = "%s/%s" % (source, NAME)
    system.make_dirs(home, owner=ROOT)
    system.write(home + "/type", "oneshot\n", owner=ROOT)
    system.write(home + "/up", unit("s6/azure-provisioning.up", hook), owner=ROOT)
    mounted = next((name for name in MOUNTED if has_service(system, name)), None)
    if mounted:
        system.make_dirs(home + "/dependencies.d", owner=ROOT)
        system.write("%s/dependencies.d/%s" % (home, mounted), "", owner=ROOT)
    system.write(entry(source), "", owner=ROOT)
    compile_database(system)


def links(system: System) -> "List[str]":
    """Our entry in the bundle that a boot brings up."""
    return [entry(source) for source in SOURCES if system.stat(entry(source), follow=False) is not None]


def files(system: System) -> "List[str]":
    """The definition, and the entry in the bundle."""
    found = ["%s/%s" % (home, name) for home in homes() for name in ("type", "up", "dependencies.d")]
    found += [path + "/" + name for path in found for name in system.list(path) if path.endswith(".d")]
    return [path for path in found if system.exists(path)] + links(system)


def disable(system: System) -> "List[str]":
    """Take us out of the bundle. Not out of the database: s6-rc is at work on it, and holds its lock."""
    return [link for link in links(system) if system.unlink(link)]


def remove(system: System) -> None:
    """Take the entry and the definition away, and out of the database if the system's tool may run."""
    for link in links(system):
        system.unlink(link)
    for home in homes():
        if system.is_dir(home):
            for name in system.list(home + "/dependencies.d"):
                system.unlink("%s/dependencies.d/%s" % (home, name))
            system.remove_dir(home + "/dependencies.d")
            for name in ("type", "up"):
                system.unlink("%s/%s" % (home, name))
            system.remove_dir(home)
    compile_database(system)


def left_to_do(system: System) -> "Optional[str]":
    """What a person has to do so that the next boot starts us; None if nothing."""
    compiled = any(NAME.encode() in (system.read(path + "/resolve.cdb") or b"") for path in DATABASES)
    return None if compiled else BY_HAND


def compile_database(system: System) -> None:
    """Run the distro's tool, which does nothing to services that run. In a chroot the half of it that asks s6 fails."""
    tool = system.find_program("s6-db-reload") if system.root == "/" else None
    if tool:
        with suppress(GuestError):  # looked at afterwards, by `left_to_do`
            system.run([tool], check=False)


def entry(source: str) -> str:
    """Our name in the bundle of a source folder."""
    return "%s/default/contents.d/%s" % (source, NAME)


def homes() -> "List[str]":
    """Where a definition of ours can be."""
    return ["%s/%s" % (source, NAME) for source in SOURCES]


def has_contents(system: System, source: str) -> bool:
    """Is the bundle a folder of names? An older form is a file of lines, and is not looked at beside the folder."""
    return system.is_dir(source + "/default/contents.d")


def has_service(system: System, name: str) -> bool:
    """Is there a definition of that name?"""
    return any(system.is_dir("%s/%s" % (source, name)) for source in ALL_SOURCES)
