"""Ready gates: the user's own programs, which must all succeed before Ready is reported."""

from typing import Dict, List

from ..errors import GuestError
from ..system import System, last_line

FOLDER = "/etc/azure-provisioning/ready.d"
SECONDS = 300.0  # for each


def find_gates(system: System) -> List[str]:
    """The paths of the gates, in the order in which they run: that of their names."""
    names = [name for name in system.list(FOLDER) if not name.startswith(".") and not name.endswith("~")]
    return [path for path in (FOLDER + "/" + name for name in names) if system.is_program(path)]


def pass_gate(system: System, path: str, environment: Dict[str, str]) -> str:
    """Run one gate, which learns of the VM by `environment`; returns the last line that it printed.

    Raises GuestError if it fails or takes longer than 300 s. A gate of an image is not run.
    """
    name = path.rpartition("/")[2]
    if system.root != "/":
        return "not run, nothing in an image is executed"
    try:
        code, printed = system.execute([path], SECONDS, environment=environment)
    except GuestError as error:
        raise GuestError("ready gate failed", gate=name, error=error.reason) from error
    if code != 0:
        raise GuestError("ready gate failed", gate=name, code=code, output=last_line(printed))
    return last_line(printed) or "passed"
