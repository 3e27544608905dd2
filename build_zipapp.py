#!/usr/bin/env python3
"""Builds dist/azure-provisioning: one executable file, by a reproducible build.

The archive is not compressed, because minimal Pythons lack zlib; names are sorted and times fixed, because people
attest the file. Before the archive is a shell script: it looks for a Python, and has the shell implementation.
"""

import errno
import hashlib
import io
import os
import re
import stat
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "azure_provisioning"
SCRIPTS = ("head.sh", "essential.sh")  # of src; the latter ends with exit, so that no shell reads the archive
OMITTED = ("completion.py", "manual.py")  # of the package: only used here, for the companions of the file
MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.py\Z")
UNITS = (  # loaded by the package by name; the recipes are used on a build machine, which has the checkout
    "busybox/azure-provisioning.inittab",
    "dinit/azure-provisioning",
    "finit/azure-provisioning.conf",
    "guix/azure-provisioning.scm",
    "nixos/azure-provisioning.nix",
    "openrc/azure-provisioning",
    "rc-local/azure-provisioning",
    "runit/azure-provisioning",
    "s6/azure-provisioning.up",
    "slackware/azure-provisioning.rc.local",
    "slackware/rc.azure-provisioning",
    "systemd/10-azure-provisioning.preset",
    "systemd/azure-provisioning.service",
    "sysvinit/azure-provisioning",
)
DIGEST = b'\nDIGEST = ""'  # the line of the package that identifies a build
OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date in a zip


def main() -> int:
    """Build, and print the result. 1: the checkout is incomplete. 2: usage error."""
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    target = os.path.join(HERE, "dist", "azure-provisioning")
    try:
        data = build(HERE)
    except OSError as error:
        print("nothing was built: %s" % error, file=sys.stderr)
        return 1
    write(target, data)
    for ending, text in companions(HERE, data).items():
        write(target + ending, text.encode("ascii"), mode=0o644)
    print("%s: %d bytes" % (os.path.relpath(target), len(data)))
    return 0


def companions(top, data):
    # type: (str, bytes) -> dict[str, str]
    """The files that are released with it: {ending: text}, generated from the package."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, os.path.join(top, "src"))
    from azure_provisioning import completion, manual

    digest = "%s  azure-provisioning\n" % hashlib.sha256(data).hexdigest()  # in the format of `sha256sum -c`
    texts = {".sha256": digest, ".8": manual.man_page(), ".conf.5": manual.man_page_of_options()}
    texts.update({"." + shell: completion.completion(shell) for shell in completion.ENDINGS})
    return texts


def build(top: str) -> bytes:
    """The content of the file, built from the checkout at `top`."""
    buffer = io.BytesIO()
    for name in SCRIPTS:  # first, so that the offsets in the archive include them
        buffer.write(read(os.path.join(top, "src", name)))
    members, digest = {}, hashlib.sha256(buffer.getvalue())
    for name, path in sorted(contents(top)):
        members[name] = read(path)
        digest.update(b"%s %d\n%s" % (name.encode("ascii"), len(members[name]), members[name]))
    package = PACKAGE + "/__init__.py"
    members[package] = members[package].replace(DIGEST, DIGEST[:-1] + digest.hexdigest()[:16].encode("ascii") + b'"')
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            add(archive, name, content)
    return buffer.getvalue()


def add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file in a form that only depends on its name and content."""
    entry = zipfile.ZipInfo(name, OLDEST_DATE)
    entry.create_system = 3  # Unix, on any build machine
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, content)


def read(path: str) -> bytes:
    """The content of a regular file. Raises OSError for anything else: a link may lead out of the checkout."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open(path, "rb") as file:
        return file.read()


def contents(top):
    # type: (str) -> list[tuple[str, str]]
    """(name in the archive, path) of every module and every unit; the package's __main__ is the archive's.

    Selected by name, so that files that editors, merges and Python leave in a checkout stay out. Raises OSError.
    """

    def fail(error: OSError) -> None:
        raise error

    source = os.path.join(top, "src")
    found = []
    for here, folders, names in os.walk(os.path.join(source, PACKAGE), onerror=fail):
        folders[:] = [name for name in folders if os.path.lexists(os.path.join(here, name, "__init__.py"))]
        inside = os.path.relpath(here, source).replace(os.sep, "/")
        omitted = OMITTED if inside == PACKAGE else ()
        modules = [name for name in names if MODULE.match(name) and name not in omitted]
        found += [(inside + "/" + name, os.path.join(here, name)) for name in modules]
    main = PACKAGE + "/__main__.py"
    found = [("__main__.py" if name == main else name, path) for name, path in found]
    return found + [("units/" + name, os.path.join(top, "units", *name.split("/"))) for name in UNITS]


def write(target: str, data: bytes, mode: int = 0o755) -> None:
    """Put a file in place in one step."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    spare = target + ".new"
    with open(spare, "wb") as file:
        file.write(data)
    os.chmod(spare, mode)
    os.replace(spare, target)


if __name__ == "__main__":
    sys.exit(main())
