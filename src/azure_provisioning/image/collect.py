"""The data for a bug report in one text: log, state, options, hook, versions and findings, but no secret.

Output of gates and customData is left out, because it may contain anything. So is the content of gates, customData and
userData.
"""

import os
import re
import stat
import sys
from typing import Iterator, List

from .. import DIGEST, __version__, config
from ..console import printable
from ..door.system import System
from ..errors import GuestError, ProvisionError
from ..guest import gates
from ..init import manifest, table
from ..init.detection import find_init
from ..story import state, status
from ..story.provision import LOG
from ..story.steps import STEPS
from .check import check

FILE_LIMIT = 512 << 10  # bytes of one file; of a longer one the end is kept
LEFT_OUT = "(what it printed is left out)"
STAMP = re.compile(r"[0-9-]{10}T[0-9:]{8}Z ")
HEAD = re.compile(r"([^\s:]+): ")
GATE_FAILED = re.compile(r"(.*ready gate failed \([^)]*\)).*")
HASH = re.compile(r"\$[0-9a-z]{1,8}\$\S+")
# The words before a colon at the start of the program's own lines, besides the names of the steps.
OWN = ("warning", "FAILED", "DVD", "ContainerId", "InstanceId", "Response", "entropy", "kvp", "publish_name")
PRINTS = ("customData", "userData")  # their output follows the name


def collect(system: System) -> List[str]:
    """The lines of the report. Raises ProvisionError if there is no Linux system in the root."""
    found = check.check(system)
    lines = ["azure-provisioning %s %s" % (__version__, DIGEST or "(a checkout)")]
    lines.append("Python %s on %s" % (sys.version.split()[0], " ".join(os.uname()[index] for index in (0, 2, 4))))
    lines += ["root: %s, init: %s" % (system.root, find_init(system) or "unknown")]
    lines += section("check", check.as_text(found, everything=True) + [check.summary(found)])
    seen = status.read_status(system)
    lines += section("status", status.as_text(seen, status.explain_unknown(system)))
    lines += section("status --json", status.as_json(seen).split("\n"))
    for path in (config.PATH, state.PATH, manifest.PATH):
        lines += section(path, list(read(system, path)))
    lines += section(gates.FOLDER, [describe(system, path) for path in listed(system, gates.FOLDER)])
    for path in hook_files(system):
        lines += section(path, [describe(system, path), *read(system, path)])
    lines += section(LOG, [clean(line, gate_names(system)) for line in read(system, LOG)])
    return [printable(HASH.sub("(a hash)", line)) for line in lines]


def section(title: str, lines: List[str]) -> List[str]:
    """A part of the report."""
    return ["", "==== %s" % title, *lines]


def read(system: System, path: str) -> Iterator[str]:
    """The lines of a file of the guest; of a long one the last. A line that says why, if it cannot be read."""
    try:
        data = system.read(path, limit=64 * FILE_LIMIT)
    except GuestError as error:
        yield "(%s)" % error
        return
    if data is None:
        yield "(there is none)"
        return
    if len(data) > FILE_LIMIT:
        yield "(the last %d bytes of %d)" % (FILE_LIMIT, len(data))
        data = data[-FILE_LIMIT:].partition(b"\n")[2]
    yield from data.decode("utf-8", "replace").rstrip("\n").split("\n")


def listed(system: System, folder: str) -> List[str]:
    """The paths of the entries of a folder; empty if it cannot be listed."""
    try:
        return ["%s/%s" % (folder, name) for name in system.list(folder)[: gates.LIMIT]]
    except GuestError:
        return []


def hook_files(system: System) -> List[str]:
    """The files of the boot hook that the init system reads, without our program."""
    name, _ = table.find_hook(system)
    try:
        return table.load(name).files(system) if name else []
    except ProvisionError:
        return []


def describe(system: System, path: str) -> str:
    """A file's mode, owner and size."""
    try:
        found = system.stat(path, follow=False)
    except GuestError as error:
        return "(%s)" % error
    if found is None:
        return "%s: (there is none)" % path
    return "%s: %s, owner %d:%d, %d bytes" % (
        path,
        stat.filemode(found.st_mode),
        found.st_uid,
        found.st_gid,
        found.st_size,
    )


def gate_names(system: System) -> List[str]:
    """The names of the existing gates."""
    return [path.rpartition("/")[2] for path in listed(system, gates.FOLDER)]


def clean(line: str, gates_there: List[str]) -> str:
    """A line of the log without the output of other programs. A line that is not known to be ours counts as theirs."""
    match = STAMP.match(line)
    stamp, text = (match.group(), line[match.end() :]) if match else ("", line)
    failed = GATE_FAILED.match(text)
    if failed:
        return stamp + failed.group(1)
    for name in [*gates_there, *PRINTS]:
        if text.startswith(name + ": "):
            return "%s%s: %s" % (stamp, name, LEFT_OUT)
    head = HEAD.match(text)
    own = {step.name for step in STEPS} | set(OWN)
    if head and head.group(1) not in own:
        return "%s%s: %s" % (stamp, head.group(1), LEFT_OUT)
    return line
