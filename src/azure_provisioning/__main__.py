"""The file's entry point: refuses a Python that is too old, handles settled boots, and turns the result of the command
line into an exit code. If this Python cannot run a boot, the shell that the file begins with continues it.

This module and the package's must parse on every Python since 2.7, so that it can report that Python is too old.
"""

import sys
from zipimport import zipimporter

from azure_provisioning import BOOT_HOOK, OLDEST

SHELL = "/bin/sh"
SMALL, BROKEN = "--without-python", "--broken-python="  # tell the shell to continue a boot, or to report its failure


def main():
    # type: () -> int
    """Run the command line; returns the process's exit code (see the table in README.md)."""
    if sys.version_info < OLDEST:
        tell(
            "Python %s or newer is needed, and %s is %s"
            % (".".join(map(str, OLDEST)), sys.executable, ".".join(map(str, sys.version_info[:3])))
        )
        return hand_over(SMALL)
    try:
        return start()
    except KeyboardInterrupt:  # while modules are being loaded; cli.py handles later ones
        return 130
    except SystemExit as ending:  # argparse
        return int(ending.code or 0)
    except Exception as error:  # noqa: BLE001 # one of the two broad handlers; the other reports to Azure
        return break_off(error)


def start():
    # type: () -> int
    """Handle a settled boot, or run any other command line."""
    if None in (sys.stdin, sys.stdout, sys.stderr):
        open_closed()
    sys.path_hooks = [OnceCompiled if hook is zipimporter else hook for hook in sys.path_hooks]
    if sys.argv[1:] in BOOT_HOOK:
        from azure_provisioning.compiled import use as compiled

        compiled.use(own_path() or "")
        # Every boot that has a hook comes here, so the rest is not loaded yet.
        from azure_provisioning.door import tree
        from azure_provisioning.story import settled

        if settled.is_settled(tree.Tree()):
            settled.release_boot()
            return 0
    from azure_provisioning import cli

    return cli.main(sys.argv[1:])


class OnceCompiled(zipimporter):
    """Imports modules of this file. Python's own importer compiles each of them twice."""

    def get_filename(self, name):
        # type: (str) -> str
        """The path of a module. The original compiles the module to answer this, before it is loaded."""
        if self.archive != own_path():
            return zipimporter.get_filename(self, name)
        ending = "/__init__.py" if self.is_package(name) else ".py"
        return "%s/%s%s%s" % (self.archive, self.prefix, name.rpartition(".")[2], ending)


def open_closed():
    # type: () -> None
    """Open the descriptors 0 to 2 that the caller has closed, so that no file gets their numbers.

    Each becomes the read end of a pipe: reading finds nothing, and writing fails. This needs no /dev/null.
    """
    import os

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            reader, writer = os.pipe()
            os.close(writer)
            if reader != number:
                os.dup2(reader, number)
                os.close(reader)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", errors="backslashreplace"))


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
        if folder == own_path():
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
    if sys.argv[1:] in BOOT_HOOK and own_path():
        import os

        try:
            os.execv(SHELL, [SHELL, own_path() or "", word] + sys.argv[1:])  # noqa: S606
        except OSError as error:
            tell("%s cannot be started: %s" % (SHELL, error.strerror))
    return 1


def own_path():
    # type: () -> str | None
    """The path of the running file; None in a checkout."""
    return getattr(__loader__, "archive", None)  # type: ignore[name-defined] # set by zipimport


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


def leave(code):
    # type: (int) -> None
    """End with this code, or with 1 if stdout could not be written: Python itself would end with 120 and a
    traceback."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            import os

            if stream is sys.stdout and code == 0 and not isinstance(error, BrokenPipeError):  # the reader has ended
                tell("stdout cannot be written (error=%s)" % getattr(error, "strerror", error))
                code = 1
            os._exit(code)  # a normal exit would try to write the buffer again, and fail again
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
