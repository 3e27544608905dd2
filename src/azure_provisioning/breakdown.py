"""What is left to do if this Python cannot do the work: report why, and have the shell end the boot.

This must parse on every Python since 2.7, and needs nothing of the library.
"""

import sys

from azure_provisioning import BOOT_HOOK, OLDEST

SHELL = "/bin/sh"
SMALL, BROKEN = "--without-python", "--broken-python="  # tell the shell to continue a boot, or to report its failure
FILE = getattr(__loader__, "archive", None)  # type: ignore[name-defined] # set by zipimport; None in a checkout


def refuse_version():
    # type: () -> int
    """Report that this Python is too old, and have the shell continue a boot."""
    tell(
        "Python %s or newer is needed, and %s is %s"
        % (".".join(map(str, OLDEST)), sys.executable, ".".join(map(str, sys.version_info[:3])))
    )
    return hand_over(SMALL)


def break_off(error):
    # type: (Exception) -> int
    """Report an unhandled error, and have the shell end a boot of which Azure has no report."""
    module = missing_module(error)
    if module:
        tell(
            "the module %r is missing from the standard library of %s: install the distro's full python3 package"
            % (module, sys.executable)
        )
    else:
        show_traceback()
    if not getattr(error, "reported", False):
        hand_over(SMALL if module else BROKEN + describe(error))
    return 1 if module else 3


def missing_module(error):
    # type: (Exception) -> str
    """The module that this minimal Python lacks; empty if it is one of ours, or exists but could not be loaded."""
    name = str(getattr(error, "name", None) or "") if isinstance(error, ImportError) else ""
    return name if name and name.split(".")[0] != "azure_provisioning" and not is_there(name) else ""


def is_there(name):
    # type: (str) -> bool
    """Does the library have files of this module? True if it cannot be determined."""
    import errno
    import posix  # like errno, built into every Python: `os` may be the module that cannot be loaded
    import zipimport

    if name in sys.modules:
        return sys.modules[name] is not None  # None: the import was blocked
    package, _, leaf = name.rpartition(".")
    folders = getattr(sys.modules.get(package), "__path__", None) if package else sys.path
    for folder in folders if folders is not None else [""]:
        if folder == FILE:
            continue
        try:
            if leaf in [found.split(".")[0] for found in posix.listdir(folder)]:
                return True
        except OSError as error:
            if error.errno == errno.ENOENT:
                continue
            if error.errno != errno.ENOTDIR:
                return True
            try:
                zipimport.zipimporter(folder).is_package(leaf)
            except ImportError:
                continue
            return True
    return not folders


def describe(error):
    # type: (Exception) -> str
    """An error in characters that are safe in a shell, in XML and in a log: `ModuleNotFoundError json`."""
    words = [type(error).__name__, getattr(error, "name", None), getattr(error, "strerror", None)]
    text = " ".join(str(word) for word in words if word)
    return "".join(char for char in text if char in " ._" or ("0" <= char <= "z" and char.isalnum()))[:128]


def hand_over(word):
    # type: (str) -> int
    """Have the shell end a boot as `word` says; returns 1 for any other verb, or without a shell."""
    if sys.argv[1:] in BOOT_HOOK and FILE:
        import os

        try:
            os.execv(SHELL, [SHELL, FILE, word] + sys.argv[1:])  # noqa: S606
        except OSError as error:
            tell("%s cannot be started: %s" % (SHELL, error.strerror))
    return 1


def tell(line):
    # type: (str) -> None
    """Write a line to stderr, if possible."""
    try:
        sys.stderr.write("azure-provisioning: %s\n" % line)
        sys.stderr.flush()
    except (OSError, ValueError, IOError, AttributeError):  # noqa: UP024 # IOError: a separate class in Python 2
        return


def show_traceback():
    # type: () -> None
    """Print the traceback of the current error, if stderr can be written."""
    try:
        import traceback

        traceback.print_exc()
    except (OSError, ValueError, ImportError) as error:
        tell("no traceback: %s" % error)
