"""Can the hook's Python run us? In an image its library is examined; on this machine it is run."""

import re
import struct
from io import BytesIO
from typing import Dict, Iterator, List, Optional, Set, Tuple

from ...door.system import System
from ...errors import GuestError, ProvisionError
from ...init import table
from ...init.unit import SHELL
from ..command import Command
from ..python import CLIENTS, WITHOUT, find_interpreter, is_too_old, unheard_options
from .elf import Wants, missing_libraries
from .finding import Finding, error, ok, warning
from .hook import find_command
from .subject import Image

# Every module of the standard library that a first boot loads, with the C modules that they need.
NEEDED = """
    _posixsubprocess _socket binascii collections contextlib enum errno fcntl fnmatch functools hashlib importlib
    itertools marshal math os posix pyexpat re select selectors signal socket stat struct subprocess sys threading time
    types typing zipimport
    """.split()  # noqa: SIM905
# Commands without which the shell implementation fails; it does without base64, od and mktemp.
TOOLS = """
    cat chmod chown cmp cp cut date dd grep id ln ls mkdir mv readlink rm rmdir sed sleep sort sync tail tr wc
    """.split()  # noqa: SIM905
BINARY_LIMIT = 64 << 20  # bytes of an interpreter that are searched for built-in modules
GONE = "the hook's Python is not a program of the image"
ASK = (
    "import sys\n"
    "missing = []\n"
    "for name in sys.argv[1:]:\n"
    "    try: __import__(name)\n"
    "    except ImportError: missing.append(name)\n"
    "print('%d.%d' % sys.version_info[:2], *missing)\n"
)


def check_python(image: Image) -> "Iterator[Finding]":
    """The interpreter, and every module that we need."""
    system, remedy = image.system, image.add("python")
    _, links = table.find_hook(system)
    path = find_command(system, links[0])[0] if links else ""
    try:
        path = find_interpreter(system, path or None)
    except ProvisionError as problem:
        if path and not is_too_old(system, path):
            yield error("python", "%s: %s" % (GONE, path), set_up_again(image))
        else:
            remedy = set_up_again(image) if path else remedy
            yield error("python", str(problem.reason) + (": " + path if path else ""), remedy)
        return
    if path == SHELL:
        yield from look_without(image, describe_lack(system, path), remedy)
        return
    if system.can_run:
        yield from ask(image, path, remedy)
        return
    version = find_version(system, path)
    if version is None:
        yield warning("python", "the version of %s is unknown: it cannot be determined whether it can run this" % path)
        return
    yield from look(image, path, version, remedy)


def look_without(image: Image, lack: str, remedy: Command) -> "Iterator[Finding]":
    """The shell runs the essential steps; an error if the options need more, or if it has no HTTP client."""
    unheard = unheard_options(image.options)
    if unheard:
        yield error("python", "%s, and these options need Python: %s" % (lack, " ".join(unheard)), remedy)
    else:
        yield warning("python", "%s: %s" % (lack, WITHOUT), remedy)
    if not image.system.find_program(*CLIENTS):
        yield error("python", lack + ", and no curl, wget or nc: a boot cannot ask Azure", image.add("curl"))
    tools = missing_tools(image.system)
    if tools:
        yield warning("python", "%s, and the shell implementation needs %s" % (lack, " ".join(tools)), remedy)


def missing_tools(system: System) -> "List[str]":
    """The commands that the shell implementation needs and the image lacks.

    Those in a busybox count as present without links: it may be its own shell's command, or be linked by a boot.
    """
    missing = [name for name in TOOLS if not system.find_program(name)]
    busybox = system.find_program("busybox") if missing else None
    try:
        data = (system.read(busybox, limit=BINARY_LIMIT, head=True) or b"") if busybox else b""
    except GuestError:
        return []
    return [name for name in missing if b"\0%s\0" % name.encode("ascii") not in data]


def describe_lack(system: System, path: str) -> str:
    """Why the shell runs the boot instead of `path`, in words; empty if it does not.

    A Python that lacks any module reports it before it writes anything, and hands the boot over.
    """
    if path == SHELL:
        return "there is no Python 3.6 or newer"
    missing = missing_modules(system, path)
    if not missing or has_broken(system, path):
        return ""
    return "%s lacks the modules %s" % (path, ", ".join(missing))


def has_broken(system: System, path: str) -> bool:
    """Does a module of an image's Python exist that cannot be loaded? Then a boot only reports that it is broken."""
    version = None if system.can_run else find_version(system, path)
    return version is not None and bool(tell_missing(system, path, version, modules(system, path, version))[2])


def lack_of_hook(system: System) -> str:
    """The same for the existing hook, or that of a future `install`. Raises ProvisionError if no interpreter is
    found."""
    _, links = table.find_hook(system)
    path = find_command(system, links[0])[0] if links else ""
    try:
        found = find_interpreter(system, path or None)
    except ProvisionError as problem:
        if not path:
            raise
        reason = problem.reason if is_too_old(system, path) else GONE
        raise ProvisionError(reason, advice="`install` again chooses another interpreter", path=path) from problem
    return describe_lack(system, found)


def who_runs(image: Image) -> "Optional[str]":
    """What sets up a VM of this image: "" for Python, " in the shell" without a complete one; None if nothing does."""
    try:
        return " in the shell" if image.once(lack_of_hook) else ""
    except ProvisionError:
        return None


def lack_of_all(image: Image) -> "Tuple[str, Command]":
    """(why nothing sets up a VM of this image, the remedy), if `who_runs` is None."""
    _, links = table.find_hook(image.system)
    if links and find_command(image.system, links[0])[0]:
        return "the hook's Python cannot run", set_up_again(image)
    return "the image has neither a Python 3.6 or newer nor a shell", image.add("python")


def set_up_again(image: Image) -> Command:
    """`install`, if it would find an interpreter that can run the boot; else the command that adds a Python."""
    try:
        path = find_interpreter(image.system, None)
    except ProvisionError:
        return image.add("python")
    if path == SHELL and (unheard_options(image.options) or not image.system.find_program(*CLIENTS)):
        return image.add("python")
    return image.ours("install")


def missing_modules(system: System, path: str) -> "Optional[List[str]]":
    """The modules of a boot that the Python at `path` lacks; None if that cannot be determined."""
    if system.can_run:
        try:
            return ask_python(system, path)[1]
        except GuestError:
            return None
    version = find_version(system, path)
    found = modules(system, path, version) if version else set()
    if version is None or not found:
        return None
    missing, unknown, _ = tell_missing(system, path, version, found)
    return missing or (None if unknown else [])


def ask_python(system: System, path: str) -> "Tuple[str, List[str]]":
    """(the version of the Python at `path`, the modules it lacks), from running it. Raises GuestError."""
    words = system.ask([path, "-I", "-S", "-c", ASK] + list(NEEDED)).split()
    if not words:
        raise GuestError("not a Python: it printed nothing", command=path)
    return words[0], words[1:]


def tell_missing(
    system: System, path: str, version: str, found: "Set[str]"
) -> "Tuple[List[str], List[str], Dict[str, List[str]]]":
    """(missing modules, modules that may be built in, the missing libraries of those that cannot be loaded), if its own
    library has the modules `found`."""
    broken = broken_modules(system, path, version)
    missing = [name for name in NEEDED if name not in found and name not in ALWAYS]
    built_in = find_built_in(system, path, version) if missing else set()
    if built_in is not None:
        return [name for name in NEEDED if name in broken or (name in missing and name not in built_in)], [], broken
    unknown = [name for name in missing if may_be_built_in(name)]
    return [name for name in NEEDED if name in broken or (name in missing and name not in unknown)], unknown, broken


def broken_modules(system: System, path: str, version: str) -> "Dict[str, List[str]]":
    """The C modules that exist and cannot be loaded, each with the shared libraries that it lacks."""
    found: "Dict[str, List[str]]" = {}
    known: "Dict[str, Wants]" = {}
    for folder in (folder + "/lib-dynload" for folder in library_folders(system, path, version)):
        for name in system.list(folder):
            for module in set(module_names(name)) & set(NEEDED):
                lacking = missing_libraries(system, folder + "/" + name, known) if name.endswith(".so") else []
                if lacking:
                    found[module] = lacking
    return found


def ask(image: Image, path: str, remedy: Command) -> "Iterator[Finding]":
    """Findings from running the interpreter."""
    try:
        version, missing = ask_python(image.system, path)
    except GuestError as problem:
        yield error("python", "%s does not run: %s" % (path, problem), remedy)
        return
    yield from judge(image, path, version, missing, remedy)


def look(image: Image, path: str, version: str, remedy: Command) -> "Iterator[Finding]":
    """Findings from its files."""
    system = image.system
    found = modules(system, path, version)
    if not found:
        yield error("python", "the library of %s is missing: there is no lib/python%s" % (path, version), remedy)
        return
    lacking = missing_libraries(system, path)
    if lacking:
        yield error("python", "%s cannot be loaded without %s" % (path, " ".join(lacking)), remedy)
        return
    missing, unknown, broken = tell_missing(system, path, version, found)
    if unknown:
        yield warning(
            "python", "it cannot be determined whether these are built into %s: %s" % (path, " ".join(unknown))
        )
    names = ["%s (without %s)" % (name, " ".join(broken[name])) if name in broken else name for name in missing]
    yield from judge(image, path, version, missing, remedy, " ".join(names))


def judge(
    image: Image, path: str, version: str, missing: "List[str]", remedy: Command, names: str = ""
) -> "Iterator[Finding]":
    """Are all modules there? If not, the shell continues; but not if a module exists that cannot be loaded.

    `names`: the missing modules for people.
    """
    lack = "%s (%s) lacks: %s" % (path, version, names or " ".join(missing))
    if names and names != " ".join(missing):
        yield error("python", lack, remedy)
    elif missing:
        yield from look_without(image, lack, remedy)
    else:
        yield ok("python", "%s is Python %s and has all modules" % (path, version))


# Every Python has these in its core (Modules/Setup.bootstrap; marshal in Modules/config.c.in).
ALWAYS = ("errno", "itertools", "marshal", "posix", "sys", "time")


def may_be_built_in(name: str) -> bool:
    """Is this a C module?"""
    return name in ("_posixsubprocess", "_socket", "binascii", "fcntl", "math", "pyexpat", "select") or name in ALWAYS


def find_version(system: System, path: str) -> "Optional[str]":
    """`3.11`, from a name in the chain of symlinks, or from the only library that is installed."""
    for step in reversed(system.chain(path)):
        match = re.search(r"python(3)\.(\d+)m?$", step)
        if match:
            return "%s.%s" % match.groups()
    prefix = prefix_of(system, path)
    names = [name for lib in ("lib", "lib64") for name in system.list("%s/%s" % (prefix, lib))]
    versions = {name[len("python") :] for name in names if re.match(r"python3\.\d+$", name)}
    return versions.pop() if len(versions) == 1 else None


def prefix_of(system: System, path: str) -> str:
    """`/usr` for a path that leads to `/usr/bin/python3.11`."""
    folder = system.chain(path)[-1].rpartition("/")[0]
    prefix = folder.rpartition("/")[0]
    return "/usr" if prefix in ("", "/usr") or folder.endswith("/libexec") else prefix


def modules(system: System, path: str, version: str) -> "Set[str]":
    """The modules in the interpreter's library: files, folders, lib-dynload, and the zip."""
    found = set()
    for folder in library_folders(system, path, version):
        for name in system.list(folder):
            found.update(module_names(name))
            if system.is_dir(folder + "/" + name) and {"__init__.py", "__init__.pyc"} & set(
                system.list(folder + "/" + name)
            ):
                found.add(name)
        for name in system.list(folder + "/lib-dynload"):
            found.update(module_names(name))
        found |= in_zip(system, "%s/python%s.zip" % (folder.rpartition("/")[0], version.replace(".", "")))
    return found


def library_folders(system: System, path: str, version: str) -> "List[str]":
    """The possible folders of the interpreter's library."""
    return ["%s/%s/python%s" % (prefix_of(system, path), lib, version) for lib in ("lib", "lib64")]


def module_names(name: str) -> "List[str]":
    """The module of a file: `x.py`, `x.pyc`, `x.so`, `x.cpython-311-x86_64-linux-gnu.so`; empty for another file."""
    match = re.match(r"(\w+)(?:\.pyc?|(?:\.[\w-]+)?\.so)$", name)
    return [match.group(1)] if match else []


def in_zip(system: System, path: str) -> "Set[str]":
    """The modules in the library's zip, if it is valid."""
    try:
        from zipfile import BadZipFile, ZipFile
    except ImportError:  # we run on a minimal Python; the image's is then unlikely to have its library in a zip
        return set()
    try:
        data = system.read(path, limit=BINARY_LIMIT) or b""
        system.spend(path, data.count(b"PK\1\2"))  # members, each of which costs ZipFile some microseconds
        names = ZipFile(BytesIO(data)).namelist()
    except (GuestError, BadZipFile, ValueError, NotImplementedError, OverflowError, OSError, struct.error):
        return set()  # zipfile raises many kinds of errors for an invalid file
    found = set()
    for name in names:
        head, _, tail = name.partition("/")
        if tail in ("__init__.py", "__init__.pyc"):
            found.add(head)
        elif not tail:
            found.update(module_names(head))
    return found


def find_built_in(system: System, path: str, version: str) -> "Optional[Set[str]]":
    """The C modules that are part of the interpreter or its shared library, found by their init functions.

    None if there are no such names: then it cannot be determined.
    """
    prefix = prefix_of(system, path)
    places = [path]
    for lib in ("lib", "lib64"):
        folders = ["%s/%s" % (prefix, lib)]
        folders += [folder + "/" + name for folder in folders for name in system.list(folder) if name.endswith("-gnu")]
        for folder in folders:
            places += [folder + "/" + name for name in system.list(folder) if name.startswith("libpython" + version)]
    found: "Set[str]" = set()
    for place in places:
        try:
            data = system.read(place, limit=BINARY_LIMIT, head=True) or b""
        except GuestError:
            continue
        found.update(name.decode("ascii") for name in re.findall(rb"PyInit_(\w{1,64})\0", data))
    return found or None
