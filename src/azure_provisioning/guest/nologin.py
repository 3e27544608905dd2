"""The files that let only root in, and what removes them in a boot: nologin(5), pam_nologin(8).

systemd makes one in /run when it begins to boot (tmpfiles.d/systemd-nologin.conf), and systemd-user-sessions.service
removes both when users may log in.
"""

from ..door.system import System
from .services import SYSTEMD

LASTING, PASSING = "/etc/nologin", "/run/nologin"
INITS = ("/sbin/init", "/init")
OPENER = "systemd-user-sessions.service"
UNITS = ("/etc/systemd/system", SYSTEMD, "/usr/lib/systemd/system", "/lib/systemd/system")
MASK = "/dev/null"
MAKERS = ("/usr/lib/tmpfiles.d/systemd-nologin.conf", "/lib/tmpfiles.d/systemd-nologin.conf")


def stays_closed(system: System) -> bool:
    """Is there an /etc/nologin that no boot removes? A symlink leads to a file that a boot removes."""
    if not system.exists(LASTING) or system.is_link(LASTING):
        return False
    if not has_opener(system):
        return True
    return system.is_dir(SYSTEMD) and not system.exists(PASSING)  # it was made after users were let in


def is_never_opened(system: System) -> bool:
    """Does the file that systemd makes stay, because nothing removes it?"""
    made = system.exists(PASSING) if system.is_dir(SYSTEMD) else any(map(system.exists, MAKERS))
    return made and boots_systemd(system) and not has_opener(system)


def has_opener(system: System) -> bool:
    """Does systemd boot, and has it the unit that removes the files, not masked?"""
    paths = (folder + "/" + OPENER for folder in UNITS)
    unit = next((path for path in paths if system.stat(path, follow=False)), MASK)
    return boots_systemd(system) and system.chain(unit)[-1] != MASK


def boots_systemd(system: System) -> bool:
    """Is systemd the init of this machine or image?"""
    return system.is_dir(SYSTEMD) or any(system.chain(path)[-1].endswith("/systemd") for path in INITS)
