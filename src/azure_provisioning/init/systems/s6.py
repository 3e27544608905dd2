"""s6-rc: the description of a oneshot, and an entry that makes a boot start it.

The entry is its name in the bundle `default` (Artix's older scripts, and s6-rc's own layout), or, with the repository
of s6-rc 0.6 and s6-frontend, its place among the active services of the set `current`.

A boot reads a database that is compiled from them. We compile it if the system's own tools may run, and leave it to the
user if not. After Ready the name is removed from the bundle or the set. Until the database is compiled again, it still
starts us at each boot, for some milliseconds.
"""

from contextlib import suppress

from ...door.system import System
from ...door.text import active_lines, read_text
from ...door.tree import ROOT
from ...errors import GuestError
from ..usual import INSTALL, NAME, Obstacle, ssh_servers, unordered
from ..usual import restart_command as restart_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Iterator, List, Optional, Set, Tuple

    from ...records import Hook

SOURCES = ("/etc/s6/adminsv", "/etc/s6-rc/source")  # Artix, upstream: the folder of the bundle `default`
STORES = ("/etc/s6/sv", "/etc/s6/adminsv", "/usr/share/s6/sources", "/etc/s6/sources", "/etc/s6-rc/source")
DATABASES = ("/etc/s6-rc/compiled/current", "/etc/s6/rc/compiled", "/etc/s6-rc/compiled")
# s6-frontend's configuration, also of 0.1 and before; and its repository, if that does not name another.
SETTINGS = ("/etc/s6.conf", "/etc/s6-frontend.conf", "/etc/s6/s6.conf", "/etc/s6/s6-frontend.conf")
REPOSITORIES = ("/var/lib/s6-rc/repository", "/etc/s6/repo")
SET = "/sources/current"  # the working set in the repository: a folder for each state of a service
STARTED = ("active", "always")
# The service that mounts the file systems. Name only what exists: else the database cannot be compiled.
MOUNTED = ("setup", "mount", "localmount", "ok-local")
BUNDLE = b"default"
NUMBER = 4  # bytes of a service's number in a database
BY_HAND = "compile the database before the image is used: `s6-db-reload`, or s6-rc-compile, in a chroot of it"
SYNC, COMMIT = ("s6", "repository", "sync"), ("s6", "set", "commit")
INTO_BOOT = ("s6", "live", "install", "--init")  # if the system has not booted with it; else without --init


def present(system: System) -> bool:
    """Is there a description of ours?"""
    return any(system.is_dir(home) for home in homes(system)) or bool(links(system))


def enable(system: System, hook: "Hook") -> None:
    """Write the description, and compile the database if the system's tools may run.

    Raises GuestError if there is neither a repository nor a bundle for the entry.
    """
    from ..unit import unit

    frontend = has_frontend(system)
    source = stores(system)[-1] if frontend else bundle_source(system)
    home = "%s/%s" % (source, NAME)
    system.make_dirs(home, owner=ROOT)
    system.write(home + "/type", "oneshot\n", owner=ROOT)
    system.write(home + "/up", unit("s6/azure-provisioning.up", hook), owner=ROOT)
    mounted = next((name for name in MOUNTED if described(system, name)), None)
    if mounted:
        system.make_dirs(home + "/dependencies.d", owner=ROOT)
        system.write("%s/dependencies.d/%s" % (home, mounted), "", owner=ROOT)
    if frontend:
        for path in entries(system, NAME, ("usable", "masked")):  # left by `disable`; a sync adds it again
            system.unlink(path)
    else:
        system.write(entry(source), "", owner=ROOT)
    compile_database(system, ("s6", "set", "enable", NAME))


def links(system: System, service: str = NAME) -> "List[str]":
    """The entry in the bundle that a boot starts, or among the active services of the set."""
    if not has_frontend(system):
        paths = [entry(source, service) for source in SOURCES]
        return [path for path in paths if system.stat(path, follow=False) is not None]
    found = entries(system, service, STARTED)
    if not found and service == NAME and not entries(system, NAME, ("usable", "masked")):
        if described(system, NAME):  # neither enabled nor disabled yet: see `left_to_do`
            return ["%s%s/active/%s" % (repository(system), SET, NAME)]
    return found


def files(system: System) -> "List[str]":
    """The description, and the entry in the bundle or the set."""
    found = ["%s/%s" % (home, name) for home in homes(system) for name in ("type", "up", "dependencies.d")]
    found += [path + "/" + name for path in found for name in system.list(path) if path.endswith(".d")]
    return [path for path in found + links(system) if system.exists(path)]


def disable(system: System) -> "List[str]":
    """Remove us from the bundle or the set, but not from the database: s6-rc is using it, and holds its lock."""
    if not has_frontend(system):
        return [link for link in links(system) if system.unlink(link)]
    found = []
    for path in entries(system, NAME, STARTED):
        target = system.readlink(path)
        if system.unlink(path):
            found.append(path)
            if target:  # `s6 set disable` moves it in the same way
                system.link(target, "%s%s/usable/%s" % (repository(system), SET, NAME))
    stamp = repository(system) + SET + "/.stamp"
    if found and system.unlink(stamp):  # else a commit would not notice the change
        system.write(stamp, "", owner=ROOT)
    return found


def remove(system: System) -> None:
    """Remove the entry and the description, and compile the database if the system's tools may run."""
    for path in links(system) + entries(system, NAME, STARTED + ("usable", "masked")):
        system.unlink(path)
    for home in homes(system):
        if system.is_dir(home):
            for name in system.list(home + "/dependencies.d"):
                system.unlink("%s/dependencies.d/%s" % (home, name))
            system.remove_dir(home + "/dependencies.d")
            for name in ("type", "up"):
                system.unlink("%s/%s" % (home, name))
            system.remove_dir(home)
    compile_database(system)


def left_to_do(system: System) -> "Optional[str]":
    """What to do by hand so that the next boot starts us, or no longer knows us; None if nothing."""
    found = booted(system)
    if links(system):
        if found is not None and NAME in found:
            return None
        words = [SYNC, ("s6", "set", "enable", NAME), COMMIT, INTO_BOOT]
    else:
        if found is None or NAME not in found or present(system):  # disabled, and harmless in a database
            return None
        words = [SYNC, COMMIT, INTO_BOOT]
    if not has_frontend(system):
        return BY_HAND
    command = " && ".join(" ".join(command) for command in words)
    old = next((store + "/default" for store in stores(system) if system.is_dir(store + "/default")), None)
    first = "remove %s, which older scripts left and a commit refuses; then " % old if old else ""
    return "%scompile the boot database before the image is used, in a chroot of it: `%s`" % (first, command)


def compile_database(system: System, *commands: "Tuple[str, ...]") -> None:
    """Run the distro's tools, which do not affect running services. `left_to_do` reports what they could not do.

    In a chroot a part of s6-db-reload fails, because no s6 answers.
    """
    if system.root != "/":
        return
    into_boot = INTO_BOOT[:-1] if system.live else INTO_BOOT
    todo = (SYNC, *commands, COMMIT, into_boot) if has_frontend(system) else (("s6-db-reload",),)
    if system.find_program(todo[0][0]):
        with suppress(GuestError):
            for command in todo:
                system.run(list(command), check=len(todo) > 1)


def services(system: System) -> "Dict[str, str]":
    """The services of the bundle `default` in the boot database, with dependencies. Without a database: of the
    sources."""
    compiled = booted(system)
    names = sorted(compiled if compiled is not None else listed(system))
    found: "Dict[str, str]" = {}
    todo, seen = list(names), {""}
    while todo:
        name = todo.pop(0)
        home = described(system, name) if name not in seen else None
        seen.add(name)
        if home is not None:
            parts = ("contents", "dependencies") if is_bundle(system, home) else ("dependencies",)
            for part in parts:
                todo += system.list("%s/%s.d" % (home, part))
                todo += lines_of(system, "%s/%s" % (home, part))
            program = next((path for path in (home + "/run", home + "/up") if system.exists(path)), home + "/type")
            found.setdefault(plain(name), program)
        elif compiled is not None and name in compiled:  # without a description a boot still starts it
            found.setdefault(plain(name), database(system) or "")
    return found


def plain(name: str) -> str:
    """The plain name of a service: Artix calls it `sshd-srv` if it has a logger."""
    return name[: -len("-srv")] if name.endswith("-srv") else name


def listed(system: System) -> "Set[str]":
    """The services that a boot starts, by the sources."""
    if has_frontend(system):
        folders = ["%s%s/%s" % (repository(system), SET, state) for state in STARTED]
    else:
        folders = [source + "/default/contents.d" for source in SOURCES]
    return {name for folder in folders for name in system.list(folder)}


def enable_command(system: System, service: str) -> "Tuple[str, ...]":
    """The frontend's own command, which needs a commit after it; else a name in the bundle."""
    name = next((name for name in (service, service + "-srv") if described(system, name)), None)
    if name is None:
        return ()
    if has_frontend(system):
        return ("s6", "set", "enable", name)
    source = next((source for source in SOURCES if system.is_dir(source + "/default/contents.d")), None)
    return ("touch", entry(source, name)) if source else ()


def unreached(system: System, _links: "List[str]") -> "Iterator[Obstacle]":
    """It is not in the database that a boot reads. And no file of ours can make sshd wait for it."""
    left = left_to_do(system)
    if left:
        tool = next((name for name in ("s6-db-reload", "s6") if system.find_program(name)), None)
        remedy = ("s6-db-reload",) if tool == "s6-db-reload" and not has_frontend(system) else ()
        yield Obstacle(left, remedy or (("sh", "-c", left.split("`")[1]) if has_frontend(system) else ()), sure=True)
    if not any(described(system, name) for name in [NAME]):
        yield Obstacle("there is no description behind the hook", INSTALL, sure=True)
    for server in ssh_servers(services(system)):
        yield unordered(server, "s6-rc")


# -- paths -----------------------------------------------------------------------------------------------------------


def has_frontend(system: System) -> bool:
    """Are services enabled by sets of a repository? Artix leaves a bundle of its older scripts behind."""
    signs = list(SETTINGS) + [path + "/sources" for path in REPOSITORIES]
    return bool(system.find_program("s6-frontend", "s6")) or any(system.exists(path) for path in signs)


def setting(system: System, key: str) -> str:
    """A setting of s6-frontend; empty for the default."""
    for path in SETTINGS:
        for line in lines_of(system, path):
            name, equals, value = line.partition("=")
            if equals and name.strip() == key:
                return value.strip().strip('"')
    return ""


def stores(system: System) -> "List[str]":
    """The folders of descriptions; the last is the administrator's."""
    named = [path for path in setting(system, "storelist").split(":") if path.startswith("/")]
    linked = repository(system) + "/stores"
    named = named or [system.readlink(linked + "/" + name) or "" for name in system.list(linked)]
    known = [path for path in STORES if system.is_dir(path)]
    return [path.rstrip("/") for path in named if path.startswith("/")] or known or [SOURCES[0]]


def repository(system: System) -> str:
    """The folder of the repository of s6-rc 0.6."""
    named = setting(system, "repodir")
    return named or next((path for path in REPOSITORIES if system.is_dir(path)), REPOSITORIES[0])


def entries(system: System, service: str, states: "Tuple[str, ...]") -> "List[str]":
    """A service's paths in the working set of the repository, in these states."""
    paths = ["%s%s/%s/%s" % (repository(system), SET, state, service) for state in states]
    return [path for path in paths if system.stat(path, follow=False) is not None]


def entry(source: str, service: str = NAME) -> str:
    """The path of a name in the bundle of a source folder."""
    return "%s/default/contents.d/%s" % (source, service)


def bundle_source(system: System) -> str:
    """The source folder with a bundle that accepts new names. Raises GuestError.

    An older bundle is a file of lines, which is ignored if there is a folder.
    """
    source = next((source for source in SOURCES if system.exists(source + "/default/type")), None)
    has_folder = source is not None and system.is_dir(source + "/default/contents.d")
    if source is None or (system.exists(source + "/default/contents") and not has_folder):
        raise GuestError("no bundle `default` with a folder contents.d was found", looked_in=" ".join(SOURCES))
    return source


def homes(system: System) -> "List[str]":
    """The folders where our description can be."""
    return ["%s/%s" % (source, NAME) for source in dict.fromkeys(list(SOURCES) + stores(system)[-1:])]


def described(system: System, name: str) -> "Optional[str]":
    """The folder of the description of that name."""
    folders = ["%s/%s" % (source, name) for source in dict.fromkeys(list(STORES) + stores(system))]
    return next((folder for folder in folders if system.is_dir(folder)), None)


def is_bundle(system: System, home: str) -> bool:
    """Does the name stand for several services?"""
    return lines_of(system, home + "/type")[:1] == ["bundle"]


def lines_of(system: System, path: str) -> "List[str]":
    """The lines of a file that are neither empty nor comments."""
    lines = [line.strip() for line in read_text(system, path).split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


# -- the database -----------------------------------------------------------------------------------------------------


def booted(system: System) -> "Optional[Set[str]]":
    """The names in the bundle `default` of the boot database; None if there is no undamaged database.

    In resolve.cdb a name has the numbers, four bytes each, of its services: s6-rc-compile has resolved nested bundles
    (its src/s6-rc/s6-rc-compile.c, write_resolve).
    """
    from ..cdb import records

    path = database(system)
    try:
        found = records(system.read(path) or b"") if path else None
    except GuestError:
        return None
    if found is None:
        return None
    started = numbers(found.get(BUNDLE, b""))
    names = {name: numbers(value) for name, value in found.items() if name != BUNDLE}
    return {name.decode("utf-8", "replace") for name, parts in names.items() if parts and parts <= started}


def database(system: System) -> "Optional[str]":
    """The path of the file of names in the boot database; None if there is none."""
    paths = (path + "/resolve.cdb" for path in databases(system))
    return next((path for path in paths if system.exists(path)), None)


def numbers(value: bytes) -> "Set[bytes]":
    """The numbers of a name's services."""
    return {value[place : place + NUMBER] for place in range(0, len(value), NUMBER)}


def databases(system: System) -> "List[str]":
    """Possible paths of the boot database: from the scripts of PID 1, the frontend's configuration, and defaults."""
    import re

    from ..detection import S6_SCRIPTS

    named = []
    for folder in S6_SCRIPTS:
        named += re.findall(rb"s6-rc-init\b[^\n;&|]*?\s-c\s*(/[^\s;&|]+)", active_lines(system, folder + "/rc.init"))
    paths = [path.decode("utf-8", "surrogateescape") for path in named] + [setting(system, "bootdb")]
    return [path for path in dict.fromkeys(paths + list(DATABASES)) if path]
