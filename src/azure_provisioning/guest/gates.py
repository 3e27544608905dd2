"""Ready gates: the user's own programs, which must all succeed before Ready is reported."""

from ..door.programs import last_line
from ..door.rights import Danger, find_dangers
from ..door.system import System
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional

FOLDER = "/etc/azure-provisioning/ready.d"
SECONDS = 300.0  # for each
LIMIT = 1000


def find_gates(system: System) -> "List[str]":
    """The paths of the gates, sorted by name, which is the order in which they run. Raises GuestError."""
    names = [name for name in system.list(FOLDER) if not name.startswith(".") and not name.endswith("~")]
    if len(names) > LIMIT:
        raise GuestError("too many ready gates", path=FOLDER, limit=LIMIT)
    return [path for path in (FOLDER + "/" + name for name in names) if system.is_program(path)]


def find_passed_over(system: System) -> "List[str]":
    """The names of files in the folder that are not executable, and so are not gates. Raises GuestError."""
    names = [name for name in system.list(FOLDER) if not name.startswith(".") and not name.endswith("~")]
    return [
        name
        for name in names[:LIMIT]
        if not system.is_dir(FOLDER + "/" + name) and not system.is_program(FOLDER + "/" + name)
    ]


def find_danger(system: System, path: str) -> "Optional[Danger]":
    """Why root does not run a gate: somebody else could have written it. None if only root can.

    A parent folder that a group may write to is accepted, because older Debian's /usr/local is one. The folder of the
    gates itself must not be one.
    """
    own = system.path(FOLDER)
    for danger in find_dangers(system, path):
        if not danger.slight or system.path(danger.path) == own:
            return danger
    return None


def pass_gate(system: System, path: str, environment: "Dict[str, str]") -> str:
    """Run one gate with the facts about the VM in `environment`; returns the last line of its output.

    Raises GuestError if it fails, takes longer than 300 s, or can be changed by others than root. A gate is a condition
    for Ready, so one that cannot be run has failed. With --root, gates are not run.
    """
    name = path.rpartition("/")[2]
    danger = find_danger(system, path)
    if danger:
        raise GuestError("ready gate failed", gate=name, problem="not run: " + danger.words)
    if system.root != "/":
        return "not run, nothing in an image is executed"
    try:
        code, printed = system.execute([path], SECONDS, environment=environment)
    except GuestError as error:
        raise GuestError("ready gate failed", gate=name, error=error.reason) from error
    if code != 0:
        raise GuestError("ready gate failed", advice=last_line(printed), gate=name, code=code)
    return last_line(printed) or "passed"
