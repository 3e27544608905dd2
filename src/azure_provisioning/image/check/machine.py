"""The architecture of an image, from its programs, which the host may not be able to run."""

from ...door.system import System
from ...errors import GuestError

# e_machine of the ELF header (elf(5)); the ones that Azure has.
KINDS = {3: "x86", 62: "x86", 183: "arm64"}
PROGRAMS = ("init", "sh", "busybox", "env", "mount", "ls", "sshd")


def machine_of(system: System) -> str:
    """`x86` (32 or 64 bits) or `arm64`; empty if none of the usual programs shows it."""
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
