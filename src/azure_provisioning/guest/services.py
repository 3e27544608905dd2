"""Restarts a running service through whatever started it: the init system's own tool, or a supervisor.

We never start it ourselves: only the process knows its arguments and environment.
"""

import re
from typing import Callable, Optional, Sequence

from ..door.rights import way
from ..door.system import System
from ..errors import GuestError
from .processes import Process, find_process, hang_up, is_roots_own, processes

SYSTEMD = "/run/systemd/system"
UNIT = re.compile(r"(?m)^(?:0:|\d+:name=systemd):/(?:[\w.-]+\.slice/)*([\w@:.\\-]+\.service)$")  # in /proc/PID/cgroup
SUPERVISORS = ("runsv", "s6-supervise", "supervise-daemon")  # they start again what ends
SCRIPTS = ("/etc/init.d/%s", "/etc/rc.d/rc.%s")
RESTART_SECONDS = 60.0
END_SECONDS = 5.0  # for a server that was asked to end
WITHOUT_WAITING = {"RC_NODEPS": "yes"}  # dropbear and sshd depend on us, so OpenRC would wait for us


def restart(system: System, process: Process, ask_init: "Callable[[System, str], Sequence[str]]") -> str:
    """Restart it; returns what was asked to, empty if that is not known and nothing was done. Raises GuestError.

    `ask_init`: the command by which the running init system restarts a service; empty if it has none.
    """
    if system.is_dir(SYSTEMD):
        unit = UNIT.search(system.read_text("/proc/%d/cgroup" % process.pid) or "")
        if unit is None:
            return ""
        system.run(["systemctl", "--no-block", "try-restart", unit.group(1)], RESTART_SECONDS)  # it may come after us
        return "systemd"
    supervisor = find_supervisor(system, process)
    if supervisor:
        return supervisor if hang_up(system, process) else ""
    words = ask_init(system, process.name)
    if words:
        system.run(words, RESTART_SECONDS)
        return words[0]
    script = find_script(system, process.name)
    if script is None:
        return ""
    call(system, script, "restart")
    if has_ended(system, process):
        return script
    # A script may know only start and stop, and ignore any other word.
    code = call(system, script, "stop")
    if not has_ended(system, process):
        raise GuestError("command failed", command=script, code=code)
    call(system, script, "start")
    return script


def call(system: System, script: str, word: str) -> int:
    """The exit code of an init script with one of its words."""
    return system.execute([script, word], RESTART_SECONDS, environment=WITHOUT_WAITING)[0]


def has_ended(system: System, process: Process) -> bool:
    """Does the process end within END_SECONDS?"""
    return system.becomes(lambda: find_process(system, process.pid, process.name) != process, END_SECONDS)


def find_supervisor(system: System, process: Process) -> str:
    """The supervisor that starts it again when it ends; empty if there is none."""
    for other in processes(system, *SUPERVISORS):
        if other.pid == process.parent:
            return other.name
    respawned = r"(?m)^[^#:\n]*:[^:\n]*:respawn:[^\n]*\b%s\b" % re.escape(process.name)
    if process.parent == 1 and re.search(respawned, system.read_text("/etc/inittab") or ""):
        return "init"
    return ""


def find_script(system: System, name: str) -> "Optional[str]":
    """The init script of this name (`S50dropbear` in Buildroot), if only root can write it."""
    folder = "/etc/init.d"
    numbered = [
        folder + "/" + found for found in system.list(folder) if re.match(r"S\d\d%s\Z" % re.escape(name), found)
    ]
    for path in [pattern % name for pattern in SCRIPTS] + numbered:
        if system.is_program(path) and all(is_roots_own(system, step) for step, _ in way(system, path)):
            return path
    return None
