"""customData and userData: what the user gave the VM along. Kept, and run only where the options say so."""

from typing import List, Tuple

from ..door.system import System
from ..door.text import lines_in
from ..door.tree import ROOT
from ..errors import LastingError

SECONDS = 1800.0  # for a program to run
SHOWN_LINES = 200  # of its output, in the log
UNPACKED_LIMIT = 16 << 20  # bytes
GZIP = b"\x1f\x8b"
# How data begins that another program is meant to take, in lower case (cloud-init's formats), and what it is.
OTHERS = (
    (b"#cloud-config", "cloud-config, which takes cloud-init"),
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
    """Keep `data`, decoded, as the file at `path`, for root alone. Raises GuestError."""
    system.make_dirs(path.rpartition("/")[0], owner=ROOT)
    system.write(path, data, mode=0o600, owner=ROOT)
    return "%d bytes kept in %s" % (len(data), path)


def run_data(system: System, path: str, seconds: float = SECONDS) -> Tuple[int, List[str]]:
    """Run the kept file by the interpreter of its `#!` line: (exit code, the last lines that it printed).

    By its interpreter, because the file is 0600 and may lie on a file system that executes nothing. One that is packed
    by gzip is unpacked, and one with the line ends of Windows gets those of a script, in a file of its own that is
    there while it runs. Raises GuestError if it is no script, cannot be started, or takes too long.
    """
    name = path.rpartition("/")[2]
    kept = system.read(path) or b""
    script = straighten(unpack(kept, name))
    head = script.split(b"\n", 1)[0].decode("utf-8", "replace")
    words = head[2:].strip().split(None, 1) if head.startswith("#!") else []
    if not words:
        raise LastingError("%s is to be run, but does not begin with #!" % name, **describe(script))
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


def unpack(data: bytes, name: str) -> bytes:
    """The data without gzip around it. Raises LastingError if it is damaged, or unpacks to more than 16 MiB."""
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
    """A script without the line ends of Windows: its interpreter would take them for parts of its words."""
    return script.replace(b"\r\n", b"\n") if b"\r\n" in script and script.startswith(b"#!") else script


def describe(data: bytes) -> "dict[str, str]":
    """What data are that are no script, where that can be told."""
    head = data.lstrip()[:64].lower()
    found = [what for begin, what in OTHERS if head.startswith(begin)]
    return {"it_is": found[0]} if found else {}
