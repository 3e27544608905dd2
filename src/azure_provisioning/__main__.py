"""The file's entry: refuses a Python that is too old, ends the boot of a VM that is Ready, and turns what the command
line left into an exit code.

This one module must parse on every Python since 2.7, to be able to say that it is too old.
"""

import sys

OLDEST = (3, 6)
BOOT_HOOK = (["run"], ["run", "--detach"])  # what the boot hooks say


def main():
    # type: () -> int
    """Run the command line; returns the process's exit code (see the table in README.md)."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "azure-provisioning: Python %s or newer is needed, and %s is %s\n"
            % (".".join(map(str, OLDEST)), sys.executable, ".".join(map(str, sys.version_info[:3])))
        )
        return 1
    try:
        if sys.argv[1:] in BOOT_HOOK:
            # At every boot that has a hook: not worth the 30 ms that it takes to load the rest.
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
            return 1
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


if __name__ == "__main__":
    sys.exit(main())
