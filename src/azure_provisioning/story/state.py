"""What is known to be done, per VM: `key=value` lines in one small file, so that reading it costs a boot nothing."""

from ..door.tree import ROOT, Tree
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

    from ..door.system import System
    from ..errors import ProvisionError

FOLDER = "/var/lib/azure-provisioning"
PATH = FOLDER + "/state"
LIMIT = 64 << 10  # bytes
IMDS_ID = "vm_id_imds"  # the fact that IMDS has another id for this VM than the firmware: which one
DIGITS_LIMIT = 15  # of how long a step took


class State:
    """The facts about one VM. `configured_at` and `ready_at` are the two truths; neither is written too early."""

    def __init__(self, tree: Tree) -> None:
        self.facts: "Dict[str, str]" = {}
        self.problem = ""  # why the file could not be used: it is then treated as not done
        try:
            self.facts = parse(tree.read(PATH, limit=LIMIT) or b"")
        except (ValueError, GuestError) as error:
            self.problem = str(error)

    def is_about(self, vm_id: "Optional[str]") -> bool:
        """Do these facts belong to the VM with this id?"""
        known = self.facts.get("vm_id")
        return bool(known and vm_id) and same_vm(known or "", vm_id or "")

    def has(self, fact: str, vm_id: "Optional[str]") -> bool:
        """Is `fact` ("configured_at", "ready_at") known of this very VM?"""
        return self.is_about(vm_id) and fact in self.facts

    def adopt(self, vm_id: "Optional[str]") -> None:
        """From now on this is about `vm_id`: of another VM only its id and its account are kept in mind."""
        if vm_id and not self.is_about(vm_id):
            old, self.facts = self.facts, {"vm_id": vm_id}
            for fact in ("vm_id", "user"):
                other = old.get(fact) or old.get("previous_" + fact)
                if other:
                    self.facts["previous_" + fact] = other

    def save(self, system: "System") -> None:
        """Write the facts; they are on disk when this returns. Raises GuestError."""
        lines = ["%s=%s\n" % (key, " ".join(value.split())[:1024]) for key, value in self.facts.items()]
        system.make_dirs(FOLDER, owner=ROOT)
        system.write(PATH, "".join(lines), mode=0o644, owner=ROOT)

    def set_aside(self, system: "System") -> None:
        """Keep the file that cannot be used as `state.corrupt`, for whoever wants to know. Raises GuestError."""
        system.write(PATH + ".corrupt", system.read(PATH, limit=LIMIT, head=True) or b"", mode=0o600, owner=ROOT)
        system.unlink(PATH)

    def note_step(self, name: str, result: str, seconds: float) -> None:
        """Note how a step went ("ok", "warning", "failed"), for `status`. Written with the next fact."""
        self.facts["step." + name] = "%s %.3f" % (result, seconds)

    def steps(self) -> "List[Tuple[str, str, float]]":
        """(name, result, seconds) of each step that was noted."""
        from ..door.text import is_digits  # only `status` asks

        found = []
        for key, value in self.facts.items():
            result, _, seconds = value.partition(" ")
            if key.startswith("step.") and is_digits(seconds.replace(".", "", 1), DIGITS_LIMIT):
                found.append((key[len("step.") :], result, float(seconds)))
        return found

    def note_error(self, error: "ProvisionError", at: str, boot_id: str) -> None:
        """Note why this boot failed, for `status`."""
        self.forget_error()
        self.facts.update({"error_reason": error.reason, "error_at": at, "error_boot": boot_id})
        self.facts.update({"error." + key: value for key, value in error.details.items()})

    def forget_error(self) -> None:
        """What failed before is over."""
        self.facts = {key: value for key, value in self.facts.items() if not key.startswith(("error_", "error."))}


def parse(data: bytes) -> "Dict[str, str]":
    """The facts in a state file; raises ValueError if it is none. An empty file, left by a crash, holds no fact."""
    facts = {}
    lines = data.decode("utf-8").split("\n")
    for number, line in enumerate(lines if lines[-1] else lines[:-1], 1):
        key, equals, value = line.partition("=")
        if not equals or not key.replace("_", "").replace(".", "").replace("-", "").isalnum():
            raise ValueError("line %d" % number)
        facts[key] = value.rstrip("\r")
    if facts and "vm_id" not in facts and "error_reason" not in facts:
        raise ValueError("no vm_id")
    return facts


def same_vm(one: str, other: str) -> bool:
    """Do two ids name the same VM? Generation 1 firmware swaps the bytes of the first three fields, and old kernels
    print upper case (cloud-init, DataSourceAzure.py)."""
    one, other = one.lower(), other.lower()
    return one == other or swap(one) == other


def swap(vm_id: str) -> str:
    """The id in the other byte order: `33221100-5544-7766-...` for `00112233-4455-6677-...`."""
    fields = vm_id.split("-")
    for index in range(min(3, len(fields))):
        field = fields[index]
        fields[index] = "".join(field[place : place + 2] for place in range(len(field) - 2, -1, -2))
    return "-".join(fields)
