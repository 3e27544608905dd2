"""Does what a boot sets up last as long as the state that records it?

Some read-only images have an overlay on a tmpfs over some folders (Yocto's overlayfs-etc, systemd.volatile=).
"""

from .state import FOLDER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

VOUCHED = ("/etc", "/home")  # the account with its rights, and its keys


def find_mismatch(kind_of: "Callable[[str], str]") -> str:
    """What a reboot loses while it keeps the rest, in words; empty if everything lasts, or it is unknown.

    `kind_of(path)` is the kind of file system at the path if it is lost at reboot ("tmpfs"), else empty.
    """
    own = kind_of(FOLDER)
    for path in VOUCHED:
        kind = kind_of(path)
        if kind and own and path == VOUCHED[0]:
            return "%s and %s are on a %s, which is lost at reboot: every boot sets this VM up again" % (
                path,
                FOLDER,
                kind,
            )
        if kind:
            return (
                "%s is on a %s, which is lost at reboot: after that nobody can log in, although Ready was accepted"
                % (path, kind)
            )
    if own:
        return "%s is on a %s, which is lost at reboot, although what is set up stays" % (FOLDER, own)
    return ""
