"""Password logins of sshd: a few lines before all others, kept only if they take effect."""

from ..door.marks import BEGIN
from ..door.system import System
from ..door.text import is_digits
from ..door.tree import ROOT
from ..errors import GuestError
from .block import begin_with
from .processes import find_process, hang_up
from .services import SYSTEMD
from .sshd_config import (
    NO_KEYS,
    QUESTIONS,
    ask_sshd,
    find_config,
    find_sshd,
    first_of,
    includes,
    settings,
    walk,
    walk_all,
)
from .sshd_options import SERVERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Sequence

DROP_IN = "/etc/ssh/sshd_config.d/00-azure-provisioning.conf"  # sshd uses the first value that it reads
PID_FILES = ("/run/sshd.pid", "/var/run/sshd.pid")
SOCKETS = ("ssh.socket", "sshd.socket")
MATCHED = "a Match block says otherwise"
PASSWORDS = ("passwordauthentication",)
ON = "PasswordAuthentication yes\n"
# Each with the method that it ends. With PAM the second asks for the password too. It has the keyword that both old and
# new versions accept.
OFF = (
    ("password", "PasswordAuthentication no\n"),
    ("keyboard-interactive", "ChallengeResponseAuthentication no\n"),
)


def set_password_login(system: System, *, allowed: bool, name: str = "") -> str:
    """Allow or refuse password logins; returns what was done. Call it with False only if a key can log in.

    The lines go into a file of their own if sshd includes its folder. If that takes no effect, they go to the top of
    sshd's configuration, before every other value and every Match block. What counts is how sshd then treats `name`.

    Raises GuestError if neither takes effect; both files are then restored. Also raises it if a Match block overrides
    the lines for `name`; they then stay, because they apply to everybody else.
    """
    main = find_config(system)
    if main is None:
        return "no OpenSSH server is configured here"
    word, lines = "yes" if allowed else "no", ON if allowed else choose_lines(system)
    left = "password login: left to the image's AuthenticationMethods"
    if not lines:
        return left
    keys = PASSWORDS if lines.startswith("Password") else QUESTIONS
    done = "password login: %s" % word if keys == PASSWORDS else left
    reads_folder = includes(system, DROP_IN)
    if not reads_folder and not find_problem(system, word, name, keys):
        return done + ", already set in the image" if keys == PASSWORDS else done
    problem = "sshd_config includes no sshd_config.d"
    if reads_folder and BEGIN not in (system.read_text(main) or ""):
        system.write(DROP_IN, lines, mode=0o644, owner=ROOT)
        problem = settle(system, word, name, keys)
        if problem not in ("", MATCHED):
            system.unlink(DROP_IN)
    if problem not in ("", MATCHED):
        before = system.read_text(main) or ""
        system.write(main, begin_with(before, lines))
        problem = settle(system, word, name, keys)
        if problem not in ("", MATCHED):
            system.write(main, before)
            raise GuestError("password login cannot be set", wanted=word, problem=problem)
    reread = ", sshd reads its files again" if reload_sshd(system) else ""
    if problem:
        raise GuestError("password login cannot be set", wanted=word, problem=problem, name=name)
    return done + reread


def choose_lines(system: System) -> str:
    """The lines that end password logins, except those for a method that AuthenticationMethods requires.

    sshd refuses a user for whom no list of methods is left, such as an administrator with a second factor.
    """
    values = [value.split() for key, value, _ in walk_all(system) if key == "authenticationmethods"]

    def is_needed(method: str) -> bool:
        return any(all(method in methods_of(listed) for listed in lists) for lists in values if lists)

    return "".join(line for method, line in OFF if not is_needed(method))


def methods_of(listed: str) -> "list[str]":
    """The methods of one list of AuthenticationMethods, without the device that `keyboard-interactive:pam` names."""
    return [method.partition(":")[0] for method in listed.lower().split(",")]


def settle(system: System, word: str, name: str, keys: "Sequence[str]") -> str:
    """Why sshd does not apply what was written; empty if it does."""
    # A tool may have been killed the first time.
    return check(system, word, name, keys) and check(system, word, name, keys)


def check(system: System, word: str, name: str, keys: "Sequence[str]") -> str:
    """The same with a single check."""
    if system.can_run and find_sshd(system):
        try:
            ask_sshd(system, ["-t"])
        except GuestError as error:
            problem = error.details.get("output") or str(error)
            if NO_KEYS not in problem:  # if sshd's own start makes the keys, they do not exist yet
                return problem
    problem = find_problem(system, word, name, keys)
    general = value_of(first_of(walk(system)), keys) if problem and name else ""
    return MATCHED if general == word else problem


def find_problem(system: System, word: str, name: str, keys: "Sequence[str]") -> str:
    """Why `word` is not the value that sshd uses for `name`; empty if it is. `keys`: the names of one setting."""
    found = value_of(settings(system, name), keys)
    if found == word:
        return ""
    stated = any(key in keys and value.lower() == found for key, value, _ in walk_all(system))
    return "another line sets %s first" % found if stated else "sshd uses %s, although no line sets it" % found


def value_of(found: "Dict[str, str]", keys: "Sequence[str]") -> str:
    """The value of the first of these keywords; `yes`, as without any, if there is none."""
    return next((value.lower() for key, value in found.items() if key in keys), "yes")


def reload_sshd(system: System) -> bool:
    """Have a running sshd read its files again; connections stay."""
    for path in PID_FILES:
        pid = (system.read_text(path) or "").strip()
        sshd = find_process(system, int(pid), *SERVERS) if is_digits(pid, 9) else None
        if sshd is not None:
            return not has_socket(system) and hang_up(system, sshd)
    return False


def has_socket(system: System) -> bool:
    """Does systemd listen for sshd? SIGHUP would end an sshd that systemd started: it cannot bind the address again.

    The next connection reads the files anyway.
    """
    if not system.is_dir(SYSTEMD):
        return False
    try:
        return any(system.run(["systemctl", "-q", "is-active", socket], check=False) == 0 for socket in SOCKETS)
    except GuestError:
        return True  # it cannot be determined, and the signal might end sshd
