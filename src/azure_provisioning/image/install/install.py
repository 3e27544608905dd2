"""Installs the program and its boot hook into a guest, whole or not at all, and removes them."""

import os
import stat
from functools import partial

from ... import config
from ...agents import find_agents, find_early
from ...console import Console
from ...door.labels import describe_missing
from ...door.system import System
from ...door.tree import ROOT
from ...errors import GuestError, ProvisionError
from ...init import declared, detection, manifest, table
from ...init.unit import DEFAULT, SHELL
from ...records import Hook
from ...story import state
from ...story.lasting import find_mismatch
from ..check.disk import kind_of
from ..check.interpreter import describe_lack, missing_modules
from ..check.subject import Image
from ..python import CLIENTS, WITHOUT, find_interpreter, is_python, unheard_options
from ..root import check_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

NAME = "azure-provisioning"


def install(
    system: System,
    console: Console,
    program: bytes,
    *,
    prefix: str = "/usr/local",
    init_name: "Optional[str]" = None,
    every_boot: bool = False,
    python: "Optional[str]" = None,
) -> str:
    """Copy the `program` to PREFIX/sbin and have the next boot run it; returns the name of the init system.

    `system.touched` then lists what was changed. Raises ProvisionError, and then nothing is changed.
    """
    check_root(system)
    name, init_system = table.choose(system, init_name)
    hook = Hook(find_interpreter(system, python), os.path.normpath(prefix).rstrip("/") + "/sbin/" + NAME)
    lack = describe_lack(system, hook.python)
    unheard = unheard_options(config.load(system)[0]) if lack else []
    if unheard:
        raise ProvisionError(
            "%s, and the options need Python" % lack,
            advice="install the distro's full python3 package there, or take them out of " + config.PATH,
            options=" ".join(unheard),
        )
    if lack and python is None and not system.find_program(*CLIENTS):
        raise ProvisionError(
            "%s, and no curl, wget or nc: a boot could not ask Azure" % lack,
            advice="install the distro's python3 package there, or one of the three",
        )
    complete = False
    system.begin()
    try:
        if every_boot:
            config.set_option(system, "every_boot", "yes")
        write(system, name, init_system, hook, program)
        complete = True
    finally:
        if complete:
            system.commit()
        else:
            system.roll_back()
    booted = boots_with_another(system, name)
    if booted:
        console.warn("the image boots with %s, which is not known to start a hook for %s" % (booted, name))
    if python and not is_python(system, python):
        console.warn("%s does not look like a Python: no boot would set up a VM with another program" % python)
    if lack:
        console.warn("%s: %s" % (lack, WITHOUT))
    for line in find_agents(system) + find_early(system):
        console.warn(line)
    forgotten = find_mismatch(system.volatile if system.root == "/" else partial(kind_of, Image(system)))
    for line in filter(None, (describe_missing(system, system.labels), forgotten)):
        console.warn(line)
    return name


def write(system: System, name: str, init_system: "table.InitSystem", hook: Hook, program: bytes) -> None:
    """Replace older copies of the program and its hook, and record what enables it. Raises GuestError."""
    system.make_dirs(state.FOLDER, owner=ROOT)
    system.write(hook.program, program, mode=0o755, owner=ROOT)
    take_back(system)
    for older in programs_of(system):
        if older != hook.program:
            system.unlink(older)
    for other in table.NAMES:
        if other != name and table.load(other).present(system):
            table.load(other).remove(system)
    init_system.enable(system, hook)
    links = init_system.links(system)
    if not links:
        raise GuestError("the hook was written, but nothing would start it", init=name)
    folders = manifest.values(system, "folder")
    folders += [folder for folder in system.made if folder not in folders]
    facts = [("init", name), ("python", hook.python), ("program", hook.program)]
    facts += [("lacks", words) for words in known_lack(system, hook.python)]
    facts += [("link", link) for link in links] + [("folder", folder) for folder in folders]
    manifest.write(system, facts)


def boots_with_another(system: System, name: str) -> "Optional[str]":
    """The guest's own init system, if it is known to differ from the one that was chosen."""
    found = detection.find_init(system)
    if found in (None, name) or name == "rc-local":  # rc-local is only installed if something calls it
        return None
    return None if name == "runit" and detection.find_base(system) == "runit" else found  # Debian's runs scripts too


def known_lack(system: System, python: str) -> "List[str]":
    """The modules of a boot that the hook's Python lacks, in words; empty if that cannot be determined.

    If a Python that lacked nothing fails at a boot, it is broken. The shell then does not continue the boot.
    """
    missing = ["python"] if python == SHELL else missing_modules(system, python)
    return [] if missing is None else [" ".join(missing) or "nothing"]


def declaration(system: System, init_name: "Optional[str]") -> "Optional[str]":
    """The text to add to the declaration from which this system is built; None if it accepts our files.

    Raises ProvisionError.
    """
    check_root(system)
    found = init_name or detection.find_init(system)
    return declared.declaration(found) if found in declared.TEXTS else None


def programs_of(system: System) -> "List[str]":
    """The programs in the record of `install`, only with the name that it uses: an image could record any file."""
    return [path for path in manifest.values(system, "program") if path.endswith("/sbin/" + NAME)]


def take_back(system: System) -> None:
    """Make root the owner of what earlier boots left in our folder, without rights for others. Raises GuestError."""
    for name in system.list(state.FOLDER):
        path = state.FOLDER + "/" + name
        found = system.stat(path, follow=False)
        if found is not None and stat.S_ISREG(found.st_mode) and not name.startswith("boot-"):
            is_for_all = path in (state.PATH, manifest.PATH)
            system.write(path, system.read(path) or b"", mode=0o644 if is_for_all else 0o600, owner=ROOT)


def uninstall(system: System) -> "List[str]":
    """Remove what `install` added, and the state; options, log and ready.d stay. Returns what is left to do by hand.

    Raises ProvisionError.
    """
    check_root(system)
    programs = programs_of(system) or [DEFAULT.program]
    folders = manifest.values(system, "folder")
    for module in map(table.load, table.NAMES):
        if module.present(system) or module.links(system):
            module.remove(system)
    for path in (state.FOLDER + "/" + name for name in system.list(state.FOLDER)):
        if not system.is_dir(path):  # folders in there are not ours
            system.unlink(path)
    for path in programs:
        system.unlink(path)
    for folder in reversed(folders or [state.FOLDER]):
        system.remove_dir(folder)
    return table.left_to_do(system)
