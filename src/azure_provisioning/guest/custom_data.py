"""customData and userData: data that the user passes to the VM. Stored, and run only if the options say so."""

import errno
import os
from typing import List, Tuple

from ..door.system import System
from ..door.text import lines_in
from ..door.tree import ROOT
from ..errors import GuestError, LastingError

SECONDS = 1800.0  # time limit for a program
SHOWN_LINES = 200  # of its output that go to the log
UNPACKED_LIMIT = 16 << 20  # bytes
GZIP = b"\x1f\x8b"
# The first bytes of data that is meant for another program, in lower case (cloud-init's formats), and what it is.
OTHERS = (
    (b"#cloud-config", "cloud-config, which needs cloud-init"),
    (b"#cloud-boothook", "a boothook of cloud-init"),
    (b"#include", "a list of addresses for cloud-init"),
    (b"#part-handler", "a part handler of cloud-init"),
    (b"#upstart-job", "a job of upstart"),
    (b"## template:", "a template for cloud-init"),
    (b"content-type: multipart", "a MIME archive for cloud-init"),
    (b"mime-version:", "a MIME archive for cloud-init"),
    (b"from nobody", "a MIME archive for cloud-init"),
)


def save_data(system: System, path: str, data: bytes) -> str:
    """Store the decoded `data` in the file at `path`, readable by root only. Raises GuestError."""
    system.make_dirs(path.rpartition("/")[0], owner=ROOT)
    system.write(path, data, mode=0o600, owner=ROOT)
    return "%d bytes kept in %s" % (len(data), path)


def run_data(system: System, path: str, seconds: float = SECONDS) -> Tuple[int, List[str]]:
    """Run the stored file with the interpreter of its `#!` line: (exit code, the last lines of its output).

    The interpreter is called because the file is 0600 and may be on a file system mounted noexec. Data compressed with
    gzip is unpacked, and CRLF line ends become LF, in a second file that exists while the script runs. Raises
    GuestError if it is not a script, cannot be started, or takes too long.
    """
    kept, script, words = read_script(system, path)
    if script == kept:
        code, printed = system.execute(words + [path], seconds)
        return code, lines_in(printed)[-SHOWN_LINES:]
    copy = path + ".run"
    try:
        save_data(system, copy, script)
        code, printed = system.execute(words + [copy], seconds)
    finally:
        system.unlink(copy)
    return code, lines_in(printed)[-SHOWN_LINES:]


def refuse_data(system: System, path: str) -> None:
    """Raises the GuestError with which `run_data` would end before anything runs, if that shows in the files."""
    _, _, words = read_script(system, path)
    if not (words[0].startswith("/") and system.is_program(words[0])):
        raise GuestError("command cannot be started", command=words[0], error=os.strerror(errno.ENOENT))


def read_script(system: System, path: str) -> Tuple[bytes, bytes, List[str]]:
    """(the stored data, the script in it, its interpreter). Raises GuestError if it is not a script."""
    name = path.rpartition("/")[2]
    kept = system.read(path) or b""
    script = straighten(unpack(kept, name))
    head = script.split(b"\n", 1)[0].decode("utf-8", "replace")
    words = head[2:].strip().split(None, 1) if head.startswith("#!") else []
    if not words:
        raise LastingError("%s is to be run, but does not begin with #!" % name, **describe(script))
    return kept, script, words


def unpack(data: bytes, name: str) -> bytes:
    """The data with gzip unpacked. Raises LastingError if it is damaged, or unpacks to more than 16 MiB."""
    if not data.startswith(GZIP):
        return data
    try:
        import zlib
    except ImportError as error:
        raise LastingError("%s is to be run, but cannot be unpacked" % name, problem="Python has no zlib") from error
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        unpacked = stream.decompress(data, UNPACKED_LIMIT)
    except zlib.error as error:
        raise LastingError("%s is to be run, but cannot be unpacked" % name, problem="damaged gzip") from error
    if not stream.eof:
        problem = "more than %d bytes" % UNPACKED_LIMIT if stream.unconsumed_tail else "half a gzip"
        raise LastingError("%s is to be run, but cannot be unpacked" % name, problem=problem)
    return unpacked


def straighten(script: bytes) -> bytes:
    """A script with LF line ends: with CRLF its interpreter would read the CR as part of a word."""
    return script.replace(b"\r\n", b"\n") if b"\r\n" in script and script.startswith(b"#!") else script


def describe(data: bytes) -> "dict[str, str]":
    """What data that is not a script is, if it can be recognised."""
    head = data.lstrip()[:64].lower()
    found = [what for begin, what in OTHERS if head.startswith(begin)]
    return {"it_is": found[0]} if found else {}
