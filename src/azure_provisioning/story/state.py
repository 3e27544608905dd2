"""The facts recorded for a VM: `key=value` lines in one small file, which a boot reads in no time."""

from ..door.tree import ROOT, Tree
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

    from ..door.system import System
    from ..errors import ProvisionError

FOLDER = "/var/lib/azure-provisioning"
PATH = FOLDER + "/state"
VOLATILE = "/run/azure-provisioning/state"  # used if the disk cannot be written
LIMIT = 64 << 10  # bytes
CONFIGURED, READY, PREPARED = "configured_at", "ready_at", "prepared_at"
IMDS_ID = "vm_id_imds"  # fact: the id of this VM in IMDS, if the firmware has another
AZURE_ID = "vm_id_azure"  # fact: the id of this VM as Azure writes it, from IMDS
PROXY_AGENT = "proxy_agent"  # fact: the DVD announces a proxy agent
LOGIN = "login."  # prefix of the facts about each way to log in
DIGITS_LIMIT = 15  # of the seconds that a step took


class State:
    """The facts about one VM: only this class knows their keys. CONFIGURED and READY are the two that count."""

    def __init__(self, tree: Tree) -> None:
        self.facts: "Dict[str, str]" = {}
        self.problem = ""  # why the file could not be used: the VM then counts as not set up
        try:
            self.facts = parse(tree.read(VOLATILE, limit=LIMIT) or tree.read(PATH, limit=LIMIT) or b"")
        except (ValueError, GuestError) as error:
            self.problem = str(error)

    def is_about(self, vm_id: "Optional[str]") -> bool:
        """Are these facts about the VM with this id?"""
        known = self.facts.get("vm_id")
        return bool(known and vm_id) and same_vm(known or "", vm_id or "")

    def has(self, fact: str, vm_id: "Optional[str]") -> bool:
        """Is `fact` (CONFIGURED, READY, PREPARED, or `data_fact`) recorded for this VM?"""
        return self.is_about(vm_id) and fact in self.facts

    def when(self, fact: str) -> "Optional[str]":
        """The recorded time at which `fact` became true; None if it is not recorded."""
        return self.facts.get(fact)

    def note(self, fact: str, at: str) -> None:
        """Record that `fact` is true since `at`."""
        self.facts[fact] = at

    def forget(self) -> None:
        """Drop all facts."""
        self.facts = {}

    @property
    def vm_id(self) -> "Optional[str]":
        """The id of the VM that the facts are about."""
        return self.facts.get("vm_id")

    @property
    def imds_id(self) -> "Optional[str]":
        """The id of this VM in IMDS, if it differs from the firmware's."""
        return self.facts.get(IMDS_ID)

    @property
    def azure_id(self) -> "Optional[str]":
        """This VM's id as IMDS wrote it, which is how the portal shows it; None if unknown."""
        return self.facts.get(AZURE_ID)

    def note_imds_id(self, vm_id: str, *, differs: bool) -> None:
        """Record the VM's id in IMDS: the same as the firmware's, in either byte order, or a different one."""
        known = IMDS_ID if differs else AZURE_ID
        for fact in (IMDS_ID, AZURE_ID):
            if fact != known or not vm_id:
                self.facts.pop(fact, None)
        if vm_id:
            self.facts[known] = vm_id  # replaces the one of an earlier boot

    @property
    def awaits_proxy_agent(self) -> bool:
        """Has the DVD announced a proxy agent for this VM?"""
        return PROXY_AGENT in self.facts

    def note_proxy_agent(self) -> None:
        """Record that the DVD announced a proxy agent: at a later boot the DVD is gone."""
        self.facts[PROXY_AGENT] = "true"

    @property
    def is_of_former_vm(self) -> bool:
        """Was this disk set up as another VM before?"""
        return "previous_vm_id" in self.facts

    @property
    def former_user(self) -> str:
        """The administrator of the VM that this disk belonged to before; empty if unknown."""
        return self.facts.get("previous_user", "")

    @property
    def user(self) -> str:
        """The administrator of this VM; empty if unknown."""
        return self.facts.get("user", "")

    def note_user(self, name: str) -> None:
        """Record the administrator of this VM."""
        self.facts["user"] = name

    def exit_code(self, option: str) -> "Optional[str]":
        """The exit code of the program of `option`, such as "custom_data"; None if it has not run."""
        return self.facts.get(option + "_exit")

    def note_exit(self, option: str, code: int) -> None:
        """Record the exit code of the program of `option`: it is not run again."""
        self.facts[option + "_exit"] = str(code)

    def adopt(self, vm_id: "Optional[str]") -> None:
        """From now on the facts are about `vm_id`: of another VM only its id and its account are kept."""
        if vm_id and not self.is_about(vm_id):
            old, self.facts = self.facts, {"vm_id": vm_id}
            for fact in ("vm_id", "user"):
                other = old.get(fact) or old.get("previous_" + fact)
                if other:
                    self.facts["previous_" + fact] = other

    def save(self, system: "System") -> None:
        """Write the facts, and wait until they are on disk. Raises GuestError.

        If the disk cannot be written, they are stored in /run, for this boot at least.
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
        """Drop everything about this VM but which data it was given, so that it is set up again."""
        same = self.is_about(vm_id)
        self.facts = {key: value for key, value in self.facts.items() if same and key.endswith(("vm_id", "data_at"))}

    def set_aside(self, system: "System") -> None:
        """Save the unusable file as `state.corrupt`, for later analysis. Raises GuestError."""
        system.write(PATH + ".corrupt", system.read(PATH, limit=LIMIT, head=True) or b"", mode=0o600, owner=ROOT)
        system.unlink(PATH)

    def note_step(self, name: str, result: str, seconds: float, at: "Optional[float]" = None, said: str = "") -> None:
        """Record the result of a step ("ok", "warning", "failed"), for `status`. Written with the next fact.

        `at` is when it began, in seconds since the program started; `said` is the text of a warning.
        """
        name = "".join(char if char.isalnum() or char in "_.-" else "_" for char in name)  # a gate may have any name
        self.facts["step." + name] = "%s %.3f" % (result, seconds)
        self.facts.pop("warning." + name, None)
        if at is not None:
            self.facts["at." + name] = "%.3f" % at
        if said:
            self.facts["warning." + name] = said

    def steps(self) -> "List[Tuple[str, str, float]]":
        """(name, result, seconds) of each recorded step."""
        from ..door.text import is_digits  # only `status` needs it

        found = []
        for key, value in self.facts.items():
            result, _, seconds = value.partition(" ")
            if key.startswith("step.") and is_digits(seconds.replace(".", "", 1), DIGITS_LIMIT):
                found.append((key[len("step.") :], result, float(seconds)))
        return found

    def about_step(self, name: str) -> "Tuple[Optional[float], str]":
        """(when a step began, in seconds since the program started, or None; the text of its warning)."""
        from ..door.text import is_digits

        at = self.facts.get("at." + name, "")
        known = is_digits(at.replace(".", "", 1), DIGITS_LIMIT)
        return float(at) if known else None, self.facts.get("warning." + name, "")

    def note_login(self, ways: "Dict[str, str]") -> None:
        """Record by which ways the administrator can log in, and why not by the others, for `status`."""
        self.facts = {key: value for key, value in self.facts.items() if not key.startswith(LOGIN)}
        self.facts.update({LOGIN + name: says for name, says in ways.items()})

    def login(self) -> "Dict[str, str]":
        """The recorded ways to log in; empty if there are none."""
        return {key[len(LOGIN) :]: value for key, value in self.facts.items() if key.startswith(LOGIN)}

    def note_error(self, error: "ProvisionError", at: str, boot_id: str) -> None:
        """Record why this boot failed, for `status`."""
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
        """Did the boot with this boot id of the kernel end without Ready?"""
        return bool(boot_id) and self.facts.get("error_boot") == boot_id

    def forget_error(self) -> None:
        """Drop an earlier failure."""
        self.facts = {key: value for key, value in self.facts.items() if not key.startswith(("error_", "error."))}


def write(system: "System", path: str, text: str) -> None:
    """Write a state file. Raises GuestError."""
    system.make_dirs(path.rpartition("/")[0], owner=ROOT)
    system.write(path, text, mode=0o644, owner=ROOT)


def data_fact(option: str) -> str:
    """The fact that the data of `option`, such as "custom_data", is stored for this VM."""
    return option + "_at"


def parse(data: bytes) -> "Dict[str, str]":
    """The facts in a state file; raises ValueError if it is not valid. An empty file, left by a crash, has no facts."""
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
