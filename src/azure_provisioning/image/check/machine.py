"""Which kind of machine is an image for? Told by its programs, of which the build machine may well run none."""

from ...door.system import System
from ...errors import GuestError

# e_machine of the ELF header (elf(5)); what Azure has.
KINDS = {3: "x86", 62: "x86", 183: "arm64"}
PROGRAMS = ("init", "sh", "busybox", "env", "mount", "ls", "sshd")


def machine_of(system: System) -> str:
    """`x86` (with 32 bits or 64) or `arm64`; empty if none of the usual programs tells."""
    for name in PROGRAMS:
        path = system.find_program(name)
        try:
            head = (system.read(path, 20, head=True) or b"") if path else b""
        except GuestError:
            continue
        if head[:4] == b"\x7fELF" and len(head) == 20 and head[5] in (1, 2):
            kind = KINDS.get(int.from_bytes(head[18:20], "little" if head[5] == 1 else "big"))
            if kind:
                return kind
    return ""
