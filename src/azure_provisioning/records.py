"""The records that the wings exchange: built where the bytes come in, so that no dict from outside goes further.

They are named tuples of `collections`, as in every module of a first boot: those of `typing` cost twice as much, and
loading it 12 million instructions. The types of the fields are for type checkers.
"""

import binascii
import re
from collections import namedtuple

from .errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional, Tuple


class Secret:
    """A secret text, which must appear in no log, argv, report or traceback."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> str:
        """The text, for its one use."""
        return self._text


class Instance(
    namedtuple(
        "Instance", "vm_id computer_name resource_name pool user ssh_keys password_login promises_custom_data user_data"
    )
):
    """The facts about this VM from IMDS."""

    __slots__ = ()

    vm_id: "Optional[str]"  # in lower case
    computer_name: str  # as the user typed it; empty if there is no profile
    resource_name: str  # the name of the VM in Azure: may not be valid for a host
    pool: "Optional[str]"  # "" or the kind of pre-provisioning ("Running", "Savable", ...); None: not in IMDS
    user: str
    ssh_keys: "Tuple[str, ...]"
    password_login: "Optional[bool]"  # None: not in IMDS
    promises_custom_data: bool  # the DVD should have it
    user_data: "Optional[bytes]"

    @classmethod
    def from_json(cls, document: object) -> "Instance":
        """Read the fields from the answer of `GET /metadata/instance`; raises BadReply for another document.

        Any value may be missing, or of another type than documented, and then counts as missing.
        """
        compute = section(document, "compute")
        if not compute:
            raise BadReply("error parsing IMDS metadata", problem="no compute section")
        profile = section(compute, "osProfile")
        extended = section(section(document, "extended"), "compute")
        keys = compute.get("publicKeys")
        pool = text(extended, "ppsType")
        disabled = flag(profile, "disablePasswordAuthentication")
        return cls(
            vm_id=usable_id(text(compute, "vmId")),
            computer_name=text(profile, "computerName"),
            resource_name=text(compute, "name"),
            pool={"None": "", "Unknown": None, "": None}.get(pool, pool),
            user=text(profile, "adminUsername"),
            ssh_keys=tuple(filter(None, (text(section({"": key}, ""), "keyData") for key in keys)))
            if isinstance(keys, list)
            else (),
            password_login=None if disabled is None else not disabled,
            promises_custom_data=flag(extended, "hasCustomData") is True,
            user_data=decode(text(compute, "userData")),
        )

    @property
    def has_profile(self) -> bool:
        """False for a VM that was made from a specialised disk."""
        return bool(self.computer_name or self.user)


class Profile(
    namedtuple("Profile", "names user password ssh_keys password_login custom_data promises_custom_data user_data")
):
    """The settings for this VM, from IMDS and the DVD. What is empty or None is left unchanged."""

    __slots__ = ()

    names: "Tuple[str, ...]"  # candidates, best first, unchanged
    user: str
    password: "Optional[Secret]"
    ssh_keys: "Tuple[str, ...]"
    password_login: "Optional[bool]"
    custom_data: "Optional[bytes]"
    promises_custom_data: bool
    user_data: "Optional[bytes]"


NO_PROFILE = Profile(  # for steps that need nothing from Azure
    names=(),
    user="",
    password=None,
    ssh_keys=(),
    password_login=None,
    custom_data=None,
    promises_custom_data=False,
    user_data=None,
)


class Outcome(namedtuple("Outcome", "problem")):
    """What is reported of a boot: `SUCCESS`, which is Ready, or NotReady with a problem, in words."""

    __slots__ = ()

    problem: "Optional[str]"


SUCCESS = Outcome(problem=None)


class GoalState(namedtuple("GoalState", "incarnation container_id instance_id")):
    """The WireServer's ids of this VM, which the health report quotes."""

    __slots__ = ()

    incarnation: str
    container_id: str
    instance_id: str


def usable_id(vm_id: str) -> "Optional[str]":
    """The id in lower case, if a state file can hold it."""
    fit = 0 < len(vm_id) <= 128 and all("!" <= char <= "~" for char in vm_id)
    return vm_id.lower() if fit else None


def section(value: object, key: str) -> "Dict[str, object]":
    """The object under `key` of a JSON object; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def flag(value: "Dict[str, object]", key: str) -> "Optional[bool]":
    """The boolean under `key`, which IMDS mostly writes as a string. None if there is none."""
    found = value.get(key)
    if isinstance(found, str):
        return {"true": True, "false": False}.get(found.strip().lower())
    return found if isinstance(found, bool) else None


def decode(encoded: str) -> "Optional[bytes]":
    """The bytes of a base64 text, which may have line breaks; None if it is empty or not base64."""
    joined = "".join(encoded.split())
    if len(joined) % 4 or not re.match(r"[A-Za-z0-9+/]*={0,2}\Z", joined):
        return None
    return binascii.a2b_base64(joined.encode("ascii")) or None


def text(value: "Dict[str, object]", key: str) -> str:
    """The stripped string under `key` of a JSON object; empty if there is none.

    Half of a surrogate pair, which JSON can contain but files and terminals cannot, becomes `?`.
    """
    found = value.get(key)
    return found.strip().encode("utf-8", "replace").decode("utf-8") if isinstance(found, str) else ""


class Hook(namedtuple("Hook", "python program")):
    """What a boot hook starts: an interpreter and the program, by their absolute paths in the guest."""

    __slots__ = ()

    python: str
    program: str
