"""busybox's udhcpc only asks: a script, whose path is in the program, gives the card its address."""

import re

from ...door.text import read_bytes
from ...guest.sshd_config import matching
from . import interfaces
from .azure_card import INTERFACE
from .client_calls import script_of
from .subject import Image

LIMIT = 4 << 20  # bytes of the program that are searched
APPLET = b"udhcpc"
DEFAULT = re.compile(rb"/[\w./-]{1,100}/default\.script")
CHOSEN = re.compile(r"(?m)(?:^|\s)(?:-s|--script|script|udhcpc_opts)\b")  # another script, or perhaps


def lacks_script(image: Image, service: str) -> str:
    """Why a lease would configure nothing: there is no such script, and the service names no other."""
    system = image.system
    program = system.find_program("udhcpc", "busybox")
    paths = sorted({path.decode() for path in DEFAULT.findall(read_bytes(system, program, LIMIT) if program else b"")})
    if not paths or any(system.is_program(path) for path in paths):
        return ""
    files = [interfaces.PATH, *matching(system, interfaces.PATH + ".d/*")]
    if any(CHOSEN.search(text) for text in (script_of(image, service), *map(image.text, files))):
        return ""
    return "udhcpc finds no program %s, which would give %s its address" % (paths[0], INTERFACE)
