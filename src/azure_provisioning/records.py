"""What the wings hand one another: plain records, built where the bytes come in, without any dict from outside."""

from typing import Dict, NamedTuple, Optional, Tuple

from .errors import BadReply


class Secret:
    """A text that must not be seen: in no log, no argv, no report and no traceback."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> str:
        """The text, for the one place that it is meant for."""
        return self._text


class Instance(NamedTuple):
    """What Azure knows of this VM."""

    vm_id: Optional[str]  # as IMDS writes it, lower-case
    names: Tuple[str, ...]  # what the VM could be called, best first, as they came; the last may be unfit for a host
    has_profile: bool  # False for a VM that was made from a specialised disk
    pool: str  # "" or the kind of pre-provisioning that Azure has in mind ("Running", "Savable", ...)

    @classmethod
    def from_json(cls, document: object) -> "Instance":
        """Pick the fields from the answer of `GET /metadata/instance`; raises BadReply if it is no such answer.

        Every value may be missing or of another type than documented: it then counts as missing.
        """
        compute = section(document, "compute")
        if not compute:
            raise BadReply("error parsing IMDS metadata", problem="no compute section")
        profile = section(compute, "osProfile")
        extended = section(section(document, "extended"), "compute")
        names = (text(profile, "computerName"), text(compute, "name"))
        pool = text(extended, "ppsType")
        return cls(
            vm_id=usable_id(text(compute, "vmId")),
            names=tuple(name for name in names if name),
            has_profile=bool(text(profile, "computerName") or text(profile, "adminUsername")),
            pool="" if pool in ("None", "Unknown") else pool,
        )


class GoalState(NamedTuple):
    """What the WireServer calls this VM, to be quoted in the health report."""

    incarnation: str
    container_id: str
    instance_id: str


def usable_id(vm_id: str) -> Optional[str]:
    """The id in lower case, if it is one that a state file can hold."""
    fit = 0 < len(vm_id) <= 128 and all("!" <= char <= "~" for char in vm_id)
    return vm_id.lower() if fit else None


def section(value: object, key: str) -> "Dict[str, object]":
    """The object under `key` of a JSON object; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def text(value: "Dict[str, object]", key: str) -> str:
    """The stripped string under `key` of a JSON object; empty if there is none."""
    found = value.get(key)
    return found.strip() if isinstance(found, str) else ""


class Hook(NamedTuple):
    """What a boot hook starts: an interpreter and the program, by their absolute paths in the guest."""

    python: str
    program: str
