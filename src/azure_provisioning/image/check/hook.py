"""Is our hook in the image, and would this init system really start it at the next boot?"""

import re
from typing import Callable, Dict, Iterator, List, Optional, Set, Tuple

from ... import DIGEST
from ...door.pattern import matches
from ...door.system import System
from ...door.text import words_in
from ...errors import GuestError
from ...init import manifest, table
from ...init.detection import S6_SCRIPTS, active_lines, find_base
from ...init.systems import rc_local, runit, s6, systemd, sysvinit
from ..command import Command
from ..whole import digest_of, find_damage
from .finding import Finding, error, ok, warning
from .services import UNIT_FOLDERS, default_runlevel, is_start, startpar_targets
from .subject import Image

PRESETS = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")  # those of an earlier folder hide the same names below
SYSTEM_TARGETS = ("multi-user.target", "graphical.target", "basic.target", "sysinit.target") + tuple(
    "runlevel%d.target" % number for number in range(2, 6)
)


def check_init(image: Image) -> "Iterator[Finding]":
    """Is there an init system that we have a hook for?"""
    if image.init in table.NAMES:
        yield ok("init", "the image boots with %s" % image.init)
    elif image.init is None:
        yield error("init", "no init system was found", image.ours("install", "--init", "NAME"))
    else:
        yield error("init", "the image boots with %s, for which there is no hook" % image.init)


def check_hook(image: Image) -> "Iterator[Finding]":
    """Installed, enabled, and reached by the boot."""
    system, remedy = image.system, image.ours("install")
    name, links = table.find_hook(system)
    own = table.load(image.init).links(system) if image.init in table.NAMES else []
    if own:
        name, links = image.init, own
    if name is None:
        yield error("hook", "not installed: no boot would set a VM up", remedy)
        return
    if not links:
        down = name == "runit" and runit.entries(system)
        why = "its file `down` keeps it from being started" if down else "nothing starts it"
        yield error("hook", "the hook for %s is there, but %s" % (name, why), remedy)
        return
    # Debian's runit runs the LSB scripts too; who asked for a service directory has what /sbin/init is.
    chosen = name == "runit" and find_base(system) == "runit"
    if name != image.init and image.init in table.NAMES and not chosen:
        yield error("hook", "the hook is one for %s, and the image boots with %s" % (name, image.init), remedy)
        return
    problems = list(REACHES[name](image, links)) if name in REACHES else []
    for problem in problems:
        yield problem
    if not any(problem.level == "error" for problem in problems):
        yield ok("hook", "%s starts it: %s" % (name, links[0]))


def check_program(image: Image) -> "Iterator[Finding]":
    """Is the file there that the hook runs, and whole?"""
    name, links = table.find_hook(image.system)
    if not links:
        return  # check_hook said so
    for path in find_command(image.system, links[0])[1:]:
        try:
            data = image.system.read(path, limit=16 << 20)
        except GuestError as problem:
            yield error("program", "the file that the hook runs cannot be read: %s" % problem, image.ours("install"))
            return
        if data is None:
            yield error("program", "the file that the hook runs is missing: %s" % path, image.ours("install"))
            continue
        damage = find_damage(data)
        if damage:
            yield error("program", "%s, which the hook runs: %s" % (path, damage), image.ours("install"))
        else:
            build = "this build" if digest_of(data) == DIGEST else "build " + digest_of(data)
            other = ", and this is " + DIGEST if DIGEST not in ("", digest_of(data)) else ""
            yield ok("program", "the hook runs %s, whole and of %s%s" % (path, build, other))


def find_command(system: System, link: str) -> "Tuple[str, str]":
    """(the interpreter, the program) that the hook at `link` runs; as `install` wrote them down if it does not say."""
    text = system.read_text(link) if not system.is_dir(link) else system.read_text(link + "/run")
    words = (text or "").split()
    settings = dict(word.split("=", 1) for word in words if word.startswith(("PYTHON=/", "PROGRAM=/")))
    if len(settings) == 2:
        return settings["PYTHON"], settings["PROGRAM"]
    for index in range(len(words) - 4):  # ExecStart=PYTHON -I -S PROGRAM run
        python, program = words[index].rpartition("=")[2], words[index + 3]
        if words[index + 1 : index + 3] == ["-I", "-S"] and words[index + 4] == "run" and python.startswith("/"):
            return python, program
    known = [manifest.values(system, key) or [""] for key in ("python", "program")]
    return known[0][0], known[1][0]


# -- one function an init system: why its boot does not come to the hook -----------------------------------------------


def reach_systemd(image: Image, links: "List[str]") -> "Iterator[Finding]":
    """The unit is not masked, a target that the boot reaches wants it, and no preset takes the link away."""
    system, remedy = image.system, image.ours("install")
    units = [path for path in (folder + "/" + systemd.NAME for folder in UNIT_FOLDERS) if system.exists(path)]
    if not units or not system.read(units[0], 1, head=True):
        yield error("hook", "there is no unit behind %s" % links[0], remedy)
        return
    targets = [link.split("/")[-2].rpartition(".")[0] for link in links]
    default = default_target(system)
    reached = [target for target in targets if target in SYSTEM_TARGETS or target == default]
    if default in ("rescue.target", "emergency.target"):
        yield error("hook", "the image boots to %s, which starts no services" % default,
                    image.inside(Command("systemctl", "set-default", "multi-user.target")))  # fmt: skip
    elif not reached:
        yield error("hook", "only %s wants the hook, and the image boots to %s" % (targets[0], default), remedy)
    elif default not in SYSTEM_TARGETS:
        if "multi-user.target" not in unit_text(system, default):
            yield warning("hook", "the image boots to %s: nobody can tell whether that starts the hook" % default)
    verdict = find_preset(system, systemd.NAME)
    if verdict and not verdict[0]:
        first = is_first_boot(system)
        message = "%s disables the hook, and an image without a machine-id goes by that" % verdict[1]
        yield (error if first else warning)("hook", message, remedy)


def default_target(system: System) -> str:
    """The target that the boot goes to."""
    for folder in UNIT_FOLDERS:
        if system.stat(folder + "/default.target", follow=False) is not None:
            return system.chain(folder + "/default.target")[-1].rpartition("/")[2]
    return "multi-user.target"


def unit_text(system: System, name: str) -> str:
    """The text of a unit; empty if there is none."""
    return next(filter(None, (system.read_text(folder + "/" + name) for folder in UNIT_FOLDERS)), "")


def is_first_boot(system: System) -> bool:
    """Would systemd take the next boot for the first, and go by its presets? Not with an empty file: machine-id(5)."""
    text = system.read_text("/etc/machine-id")
    return text is None or text.strip() == "uninitialized"


def find_preset(system: System, unit: str) -> "Optional[Tuple[bool, str]]":
    """(enable or disable, the file that says so) for a unit, by the first line that matches; None if no line does."""
    files: "Dict[str, str]" = {}
    for top in PRESETS:
        for name in system.list(top + "/systemd/system-preset"):
            if name.endswith(".preset"):
                files.setdefault(name, "%s/systemd/system-preset/%s" % (top, name))
    for name in sorted(files):
        for line in (system.read_text(files[name]) or "").split("\n"):
            words = words_in(line)
            if len(words) > 1 and words[0] in ("enable", "disable") and matches(unit, words[1]):
                return words[0] == "enable", files[name]
    return None


def reach_sysvinit(image: Image, links: "List[str]") -> "Iterator[Finding]":
    """A link in the runlevel that the boot goes to, which something runs, and startpar knows of it."""
    system, remedy = image.system, image.ours("install")
    level = default_runlevel(system)
    here = [link for link in links if "/rc%s.d/" % level in link]
    if not here:
        yield error("hook", "the image boots to runlevel %s, in which there is no link to the hook" % level, remedy)
        return
    if not system.is_program(here[0]):
        yield error("hook", "%s leads to no program" % here[0], remedy)
    if not runs_level(system, level):
        yield error("hook", "nothing in /etc/inittab runs the scripts of runlevel %s" % level)
    targets = startpar_targets(system)
    if targets is not None and sysvinit.NAME not in targets:
        yield error("hook", "%s does not name the hook: startpar starts nothing else" % sysvinit.DEPEND, remedy)
    folder, _, name = here[0].rpartition("/")
    late = [other for other in system.list(folder) if sysvinit.is_ssh_link(other) and other < name]
    if late and targets is None:
        yield warning("hook", "%s is started before the hook, with the host keys of the image" % late[0], remedy)


def runs_level(system: System, level: str) -> bool:
    """Does something start what is linked in rcN.d?"""
    if find_base(system) == "runit":  # whose stage 2 does, or detection would have named it
        return True
    inittab = active_lines(system, "/etc/inittab").decode("utf-8", "replace")
    for fields in (line.split(":", 3) for line in inittab.split("\n")):
        if len(fields) == 4 and level in fields[1] and "rc" in re.split(r"[\s/]+", fields[3]):
            if fields[3].split()[-1] == level:
                return True
    if find_base(system) == "busybox" or not inittab:
        callers = ["/etc/init.d/rcS", "/etc/init.d/rc"] + [folder + "/rc.init" for folder in S6_SCRIPTS]
        callers += ["/etc/init/rc.conf", "/etc/init/rc-sysinit.conf"]
        text = b"\n".join(active_lines(system, path) for path in callers)
        return b"rc%s.d" % level.encode() in text or b"/rc " in text + inittab.encode() or b"rc5.d" in text
    return system.exists("/etc/init/rc.conf")


def reach_openrc(image: Image, links: "List[str]") -> "Iterator[Finding]":
    """A link to a script in a runlevel that something goes to."""
    system, remedy = image.system, image.ours("install")
    good = [link for link in links if system.is_program(link)]
    if not good:
        yield error("hook", "%s leads to no program: OpenRC takes no other" % links[0], remedy)
        return
    runner = (system.read_text(good[0]) or "").split("\n", 1)[0][2:].split(" ")[0]
    if not system.is_program(runner):
        yield error("hook", "%s is for %s, which is missing" % (good[0], runner), remedy)
    levels = [link.split("/")[-2] for link in good]
    called = called_runlevels(system)
    if called is not None and not set(levels) & called:
        yield error("hook", "no boot goes to the runlevel %s, where the hook is" % levels[0], remedy)


def called_runlevels(system: System) -> "Optional[Set[str]]":
    """The runlevels that inittab and the scripts of PID 1 go to; None if openrc-init does it itself."""
    if find_base(system) == "openrc":
        return None
    callers = ["/etc/inittab", "/etc/init.d/rc", "/etc/init.d/rcS", "/etc/runit/1", "/etc/runit/2"]
    callers += [folder + "/rc.init" for folder in S6_SCRIPTS]
    text = b"\n".join(active_lines(system, path) for path in callers).decode("utf-8", "replace")
    if re.search(r"openrc\s+[\"']?\$", text):
        return None  # whatever it is told
    return set(re.findall(r"openrc\s+([a-z][\w-]*)", text))


def reach_buildroot(image: Image, links: "List[str]") -> "Iterator[Finding]":
    """rcS can be run, inittab runs it, and the link leads to a program."""
    system = image.system
    if not any(system.is_program(link) for link in links):
        yield error("hook", "%s leads to no program" % links[0], image.ours("install"))
    if not system.is_program("/etc/init.d/rcS"):
        yield error("hook", "/etc/init.d/rcS is no program", image.allow_to_run("/etc/init.d/rcS"))
    inittab = active_lines(system, "/etc/inittab")
    if system.exists("/etc/inittab") and b"rcS" not in inittab:  # busybox has it by default
        yield error("hook", "nothing in /etc/inittab runs /etc/init.d/rcS")
    servers = [name for name in system.list("/etc/init.d") if is_start(name) and name[3:] in sysvinit.SSH_SERVERS]
    if servers and servers[0] < links[0].rpartition("/")[2]:
        message = "%s is started before the hook, with the host keys of the image" % servers[0]
        yield warning("hook", message, image.ours("install"))


def reach_runit(image: Image, links: "List[str]") -> "Iterator[Finding]":
    """The service is in the set that boots, and its `run` can be run."""
    folder = runit.set_of_boot(image.system)
    here = [link for link in links if link.rpartition("/")[0] == folder]
    if not here:
        yield error("hook", "%s is not in the set of services that boots" % links[0], image.ours("install"))
    elif not image.system.is_program(here[0] + "/run"):
        yield error("hook", "%s/run is no program" % here[0], image.ours("install"))


def reach_s6(image: Image, _links: "List[str]") -> "Iterator[Finding]":
    """The hook is in the database that a boot reads."""
    left = s6.left_to_do(image.system)
    if left:
        tool = image.system.find_program("s6-db-reload")
        yield error("hook", left, image.inside(Command("s6-db-reload") if tool else Command()))


def reach_file(image: Image, links: "List[str]") -> "Iterator[Finding]":
    """What the link leads to is there."""
    if not any(image.system.exists(link) for link in links):
        yield error("hook", "%s leads nowhere" % links[0], image.ours("install"))


def reach_rc_local(image: Image, links: "List[str]") -> "Iterator[Finding]":
    """Something runs it."""
    if not rc_local.called(image.system):
        yield warning("hook", "nobody can tell whether anything runs %s" % links[0])


REACHES: "Dict[str, Callable[[Image, List[str]], Iterator[Finding]]]" = {
    "systemd": reach_systemd,
    "sysvinit": reach_sysvinit,
    "openrc": reach_openrc,
    "buildroot": reach_buildroot,
    "runit": reach_runit,
    "s6": reach_s6,
    "dinit": reach_file,
    "finit": reach_file,
    "rc-local": reach_rc_local,
}
