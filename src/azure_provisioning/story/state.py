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
VOLATILE = "/run/azure-provisioning/state"  # where the disk cannot be written
LIMIT = 64 << 10  # bytes
CONFIGURED, READY, PREPARED = "configured_at", "ready_at", "prepared_at"
IMDS_ID = "vm_id_imds"  # the fact that IMDS has another id for this VM than the firmware: which one
AZURE_ID = "vm_id_azure"  # the fact how Azure writes the id of this VM: as IMDS does
PROXY_AGENT = "proxy_agent"  # the fact that the DVD announces one
LOGIN = "login."  # how the facts of each way to log in begin
DIGITS_LIMIT = 15  # of how long a step took


class State:
    """The facts about one VM: only this class knows their keys. CONFIGURED and READY are the two truths."""

    def __init__(self, tree: Tree) -> None:
        self.facts: "Dict[str, str]" = {}
        self.problem = ""  # why the file could not be used: it is then treated as not done
        try:
            self.facts = parse(tree.read(VOLATILE, limit=LIMIT) or tree.read(PATH, limit=LIMIT) or b"")
        except (ValueError, GuestError) as error:
            self.problem = str(error)

    def is_about(self, vm_id: "Optional[str]") -> bool:
        """Do these facts belong to the VM with this id?"""
        known = self.facts.get("vm_id")
        return bool(known and vm_id) and same_vm(known or "", vm_id or "")

    def has(self, fact: str, vm_id: "Optional[str]") -> bool:
        """Is `fact` (CONFIGURED, READY, PREPARED, or `data_fact`) known of this very VM?"""
        return self.is_about(vm_id) and fact in self.facts

    def when(self, fact: str) -> "Optional[str]":
        """When `fact` became true, as it was noted; None if it is not known."""
        return self.facts.get(fact)

    def note(self, fact: str, at: str) -> None:
        """Note that `fact` is true since `at`."""
        self.facts[fact] = at

    def forget(self) -> None:
        """Know nothing, of no VM."""
        self.facts = {}

    @property
    def vm_id(self) -> "Optional[str]":
        """The VM that this is about."""
        return self.facts.get("vm_id")

    @property
    def imds_id(self) -> "Optional[str]":
        """What IMDS calls this VM, where that is another id than the firmware's."""
        return self.facts.get(IMDS_ID)

    @property
    def azure_id(self) -> "Optional[str]":
        """This VM's id as IMDS wrote it, which is how the portal has it; None if that is not known."""
        return self.facts.get(AZURE_ID)

    def note_imds_id(self, vm_id: str, differs: bool) -> None:
        """Note what IMDS calls this VM: the same as the firmware, in one of both byte orders, or something else."""
        known = IMDS_ID if differs else AZURE_ID
        for fact in (IMDS_ID, AZURE_ID):
            if fact != known or not vm_id:
                self.facts.pop(fact, None)
        if vm_id:
            self.facts[known] = vm_id  # in its place, if an earlier boot noted it

    @property
    def awaits_proxy_agent(self) -> bool:
        """Has the DVD announced a proxy agent for this VM?"""
        return PROXY_AGENT in self.facts

    def note_proxy_agent(self) -> None:
        """Note that the DVD has announced one: at a later boot it is gone."""
        self.facts[PROXY_AGENT] = "true"

    @property
    def is_of_former_vm(self) -> bool:
        """Was this disk set up as another VM before?"""
        return "previous_vm_id" in self.facts

    @property
    def former_user(self) -> str:
        """The administrator of the VM that this disk was before; empty if none is known."""
        return self.facts.get("previous_user", "")

    @property
    def user(self) -> str:
        """The administrator of this VM; empty if none is known."""
        return self.facts.get("user", "")

    def note_user(self, name: str) -> None:
        """Note who the administrator of this VM is."""
        self.facts["user"] = name

    def exit_code(self, option: str) -> "Optional[str]":
        """With what the program of `option`, such as "custom_data", ended; None if it has not."""
        return self.facts.get(option + "_exit")

    def note_exit(self, option: str, code: int) -> None:
        """Note with what the program of `option` ended: it is not run again."""
        self.facts[option + "_exit"] = str(code)

    def adopt(self, vm_id: "Optional[str]") -> None:
        """From now on this is about `vm_id`: of another VM only its id and its account are kept in mind."""
        if vm_id and not self.is_about(vm_id):
            old, self.facts = self.facts, {"vm_id": vm_id}
            for fact in ("vm_id", "user"):
                other = old.get(fact) or old.get("previous_" + fact)
                if other:
                    self.facts["previous_" + fact] = other

    def save(self, system: "System") -> None:
        """Write the facts; they are on disk when this returns. Raises GuestError.

        Where the disk takes nothing they are kept for this boot at least, in /run.
        """
        lines = ["%s=%s\n" % (key, " ".join(value.split())[:1024]) for key, value in self.facts.items()]
        try:
            write(system, PATH, "".join(lines))
        except GuestError as error:
            try:
                write(system, VOLATILE, "".join(lines))
            except GuestError:
                raise error from None
            error.advice = "it is kept in %s until the next boot" % VOLATILE
            raise
        if system.exists(VOLATILE):
            system.unlink(VOLATILE)

    def forget_ends(self, vm_id: "Optional[str]") -> None:
        """Know of the VM with this id no more than which data it was given: all is to be done again."""
        same = self.is_about(vm_id)
        self.facts = {key: value for key, value in self.facts.items() if same and key.endswith(("vm_id", "data_at"))}

    def set_aside(self, system: "System") -> None:
        """Keep the file that cannot be used as `state.corrupt`, for whoever wants to know. Raises GuestError."""
        system.write(PATH + ".corrupt", system.read(PATH, limit=LIMIT, head=True) or b"", mode=0o600, owner=ROOT)
        system.unlink(PATH)

    def note_step(self, name: str, result: str, seconds: float, at: "Optional[float]" = None, said: str = "") -> None:
        """Note how a step went ("ok", "warning", "failed"), for `status`. Written with the next fact.

        `at` is when it began, in seconds since the program did; `said` is the text of a warning.
        """
        name = "".join(char if char.isalnum() or char in "_.-" else "_" for char in name)  # a gate's may be anything
        self.facts["step." + name] = "%s %.3f" % (result, seconds)
        self.facts.pop("warning." + name, None)
        if at is not None:
            self.facts["at." + name] = "%.3f" % at
        if said:
            self.facts["warning." + name] = said

    def steps(self) -> "List[Tuple[str, str, float]]":
        """(name, result, seconds) of each step that was noted."""
        from ..door.text import is_digits  # only `status` asks

        found = []
        for key, value in self.facts.items():
            result, _, seconds = value.partition(" ")
            if key.startswith("step.") and is_digits(seconds.replace(".", "", 1), DIGITS_LIMIT):
                found.append((key[len("step.") :], result, float(seconds)))
        return found

    def about_step(self, name: str) -> "Tuple[Optional[float], str]":
        """(when a step began, in seconds since the program did, or None; the text of its warning)."""
        from ..door.text import is_digits

        at = self.facts.get("at." + name, "")
        known = is_digits(at.replace(".", "", 1), DIGITS_LIMIT)
        return float(at) if known else None, self.facts.get("warning." + name, "")

    def note_login(self, ways: "Dict[str, str]") -> None:
        """Note by which ways the administrator can log in, and what is against the others, for `status`."""
        self.facts = {key: value for key, value in self.facts.items() if not key.startswith(LOGIN)}
        self.facts.update({LOGIN + name: says for name, says in ways.items()})

    def login(self) -> "Dict[str, str]":
        """The same, as it was noted; empty if nothing was."""
        return {key[len(LOGIN) :]: value for key, value in self.facts.items() if key.startswith(LOGIN)}

    def note_error(self, error: "ProvisionError", at: str, boot_id: str) -> None:
        """Note why this boot failed, for `status`."""
        self.forget_error()
        self.facts.update({"error_reason": error.reason, "error_at": at, "error_boot": boot_id})
        self.facts.update({"error." + key: value for key, value in error.details.items()})

    def error(self) -> "Optional[Dict[str, object]]":
        """Why the last boot failed, as `status` prints it; None if it did not."""
        if "error_reason" not in self.facts:
            return None
        from ..reasons import find_remedy

        details = {key[len("error.") :]: value for key, value in self.facts.items() if key.startswith("error.")}
        reason = self.facts["error_reason"]
        remedy = find_remedy(reason, details)
        return {"reason": reason, "details": details, "remedy": remedy, "at": self.facts.get("error_at")}

    def has_failed_in(self, boot_id: str) -> bool:
        """Did the boot with this id of the kernel's end without Ready?"""
        return bool(boot_id) and self.facts.get("error_boot") == boot_id

    def forget_error(self) -> None:
        """What failed before is over."""
        self.facts = {key: value for key, value in self.facts.items() if not key.startswith(("error_", "error."))}


def write(system: "System", path: str, text: str) -> None:
    """Write a state file. Raises GuestError."""
    system.make_dirs(path.rpartition("/")[0], owner=ROOT)
    system.write(path, text, mode=0o644, owner=ROOT)


def data_fact(option: str) -> str:
    """The fact that the data of `option`, such as "custom_data", is kept for this VM."""
    return option + "_at"


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
