"""The file's entry point: refuses a Python that is too old, handles settled boots, and turns the result of the command
line into an exit code. If this Python cannot run a boot, the shell that the file begins with continues it (see
breakdown.py).

Each boot compiles this module twice, so it is short. It must parse on every Python since 2.7, like the package's and
breakdown.py, so that it can report that Python is too old.
"""

import sys
from zipimport import zipimporter

from azure_provisioning import BOOT_HOOK, OLDEST

FILE = getattr(__loader__, "archive", None)  # type: ignore[name-defined] # set by zipimport; None in a checkout


def main():
    # type: () -> int
    """Run the command line; returns the process's exit code (see the table in README.md)."""
    if sys.version_info < OLDEST:
        from azure_provisioning import breakdown

        return breakdown.refuse_version()
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

        compiled.use(FILE or "")
        # Every boot that has a hook comes here, so the rest is not loaded yet.
        from azure_provisioning.door import tree
        from azure_provisioning.story import settled

        if settled.is_settled(tree.Tree()):
            settled.release_boot()
            return 0
    from azure_provisioning import cli

    return cli.main(sys.argv[1:])


def break_off(error):
    # type: (Exception) -> int
    """Report an unhandled error; the shell is asked even if this file is damaged just there."""
    try:
        from azure_provisioning import breakdown

        return breakdown.break_off(error)
    except (ImportError, SyntaxError, ValueError, NameError, AttributeError, TypeError, OSError):
        if sys.argv[1:] in BOOT_HOOK and FILE and not getattr(error, "reported", False):
            import os

            os.execv("/bin/sh", ["/bin/sh", FILE, "--broken-python=" + type(error).__name__] + sys.argv[1:])  # noqa: S606
        raise


class OnceCompiled(zipimporter):
    """Imports modules of this file. Python's own importer compiles each of them twice."""

    def get_filename(self, name):
        # type: (str) -> str
        """The path of a module. The original compiles the module to answer this, before it is loaded."""
        if self.archive != FILE:
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
                from azure_provisioning import breakdown

                breakdown.tell("stdout cannot be written (error=%s)" % getattr(error, "strerror", error))
                code = 1
            os._exit(code)  # a normal exit would try to write the buffer again, and fail again
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
