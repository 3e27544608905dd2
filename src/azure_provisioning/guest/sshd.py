"""Whether sshd takes passwords: one drop-in file that goes before all others, and stays only if it takes effect."""

from ..door.system import System
from ..door.text import is_digits
from ..door.tree import ROOT
from ..errors import GuestError
from .processes import find_process, hang_up
from .sshd_config import NO_KEYS, SERVERS, ask_sshd, find_config, find_sshd, includes, settings

DROP_IN = "/etc/ssh/sshd_config.d/00-azure-provisioning.conf"  # the first value that sshd meets is the one that counts
PID_FILES = ("/run/sshd.pid", "/var/run/sshd.pid")
TEXTS = {
    True: "PasswordAuthentication yes\n",
    # With PAM the second asks for the password too. This is the name that old and new versions know.
    False: "PasswordAuthentication no\nChallengeResponseAuthentication no\n",
}


def set_password_login(system: System, allowed: bool) -> str:
    """Let sshd take passwords, or not; returns what was done. Only call it with False when a key is in its place.

    Raises GuestError where sshd reads no drop-ins and does otherwise by itself, or where the file would not take.
    """
    if find_config(system) is None:
        return "no OpenSSH server is configured here"
    word = "yes" if allowed else "no"
    if not includes(system, DROP_IN):
        if settings(system).get("passwordauthentication", "yes") == word:
            return "password login: %s, as the image has it" % word
        raise GuestError("password login cannot be set", wanted=word, problem="sshd_config includes no sshd_config.d")
    system.write(DROP_IN, TEXTS[allowed], mode=0o644, owner=ROOT)
    problem = check(system, word) and check(system, word)  # a tool may have died of what passes
    if problem:
        system.unlink(DROP_IN)
        raise GuestError("password login cannot be set", wanted=word, problem=problem)
    return "password login: %s%s" % (word, ", sshd reads its files again" if reload_sshd(system) else "")


def check(system: System, word: str) -> str:
    """Why sshd would not go by the drop-in; empty if it does."""
    if system.can_run and find_sshd(system):
        try:
            ask_sshd(system, ["-t"])
        except GuestError as error:
            problem = error.details.get("output") or str(error)
            if NO_KEYS not in problem:  # where sshd's own start makes the keys, they are not there yet
                return problem
    found = settings(system).get("passwordauthentication", "yes")
    return "" if found == word else "another file says %s before" % found


def reload_sshd(system: System) -> bool:
    """Have the sshd that runs, if one does, read its files again; connections stay."""
    for path in PID_FILES:
        pid = (system.read_text(path) or "").strip()
        sshd = find_process(system, int(pid), *SERVERS) if is_digits(pid, 9) else None
        if sshd is not None:
            return hang_up(system, sshd)
    return False
