"""The file's entry: refuses a Python that is too old, ends the boot of a VM that is Ready, and turns what the command
line left into an exit code. A boot that this Python cannot run goes on in the shell that the file begins with.

This one module must parse on every Python since 2.7, to be able to say that it is too old.
"""

import sys

OLDEST = (3, 6)
BOOT_HOOK = (["run"], ["run", "--detach"])  # what the boot hooks say
SHELL = "/bin/sh"


def main():
    # type: () -> int
    """Run the command line; returns the process's exit code (see the table in README.md)."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "azure-provisioning: Python %s or newer is needed, and %s is %s\n"
            % (".".join(map(str, OLDEST)), sys.executable, ".".join(map(str, sys.version_info[:3])))
        )
        return go_on_without_python()
    try:
        if sys.argv[1:] in BOOT_HOOK:
            from azure_provisioning import compiled

            compiled.use(getattr(__loader__, "archive", ""))  # type: ignore[name-defined] # set by zipimport
            # At every boot that has a hook: not worth the time that it takes to load the rest.
            from azure_provisioning import settled, tree

            if settled.is_settled(tree.Tree()):
                settled.release_boot()
                return 0
        from azure_provisioning import cli

        return cli.main(sys.argv[1:])
    except Exception as error:  # noqa: BLE001 # one of the two broad handlers; the other reports to Azure
        module = getattr(error, "name", None) if isinstance(error, ImportError) else None
        if module and module.split(".")[0] != "azure_provisioning":
            tell_missing(module)
            return go_on_without_python()
        import traceback

        traceback.print_exc()
        return 3


def tell_missing(module):
    # type: (str) -> None
    """Say which module of the standard library this Python lacks; at a boot the serial console shows it too."""
    from azure_provisioning.console import Console

    console = Console()
    console.serial = sys.argv[1:2] == ["run"]
    console.announce(
        "the module %r is missing from the standard library of %s: install the distro's full python3 package"
        % (module, sys.executable)
    )


def go_on_without_python():
    # type: () -> int
    """Have a shell do the essential of a boot that this Python has not begun; returns 1 for anything else."""
    begun = "azure_provisioning.provision" in sys.modules  # it could be loaded, with all that every boot needs
    archive = getattr(__loader__, "archive", None)  # type: ignore[name-defined] # set by zipimport
    if sys.argv[1:] in BOOT_HOOK and archive and not begun:
        import os

        sys.stderr.flush()
        os.execv(SHELL, [SHELL, archive, "--without-python"] + sys.argv[1:])  # noqa: S606
    return 1


if __name__ == "__main__":
    sys.exit(main())
