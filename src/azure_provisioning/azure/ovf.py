"""Parses `ovf-env.xml`, the document on the provisioning DVD (cloud-init, sources/helpers/azure.py, OvfEnvXml)."""

from collections import namedtuple

from ..errors import BadReply
from ..records import Secret, decode
from .markup import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

NAMESPACE = "http://schemas.microsoft.com/windowsazure"
REDACTED = ("", "*", "REDACTED")  # what WALinuxAgent and cloud-init write instead of the password in their copies
NOT_POOLED = ("", "None", "Unknown")

# Elements below the root, by their names in NAMESPACE.
SECTION = ("ProvisioningSection",)
SETTINGS = SECTION + ("LinuxProvisioningConfigurationSet",)
HOSTNAME = SETTINGS + ("HostName",)
USER = SETTINGS + ("UserName",)
PASSWORD = SETTINGS + ("UserPassword",)
NO_PASSWORD_LOGIN = SETTINGS + ("DisableSshPasswordAuthentication",)
CUSTOM_DATA = SETTINGS + ("CustomData",)
KEY = SETTINGS + ("SSH", "PublicKeys", "PublicKey", "Value")
PLATFORM = ("PlatformSettingsSection", "PlatformSettings")
POOLED = PLATFORM + ("PreprovisionedVm",)
POOL = PLATFORM + ("PreprovisionedVMType",)
PROXY_AGENT = PLATFORM + ("ProvisionGuestProxyAgent",)
ONCE = (SECTION, SETTINGS, PLATFORM[:1], PLATFORM)  # a document with two of the same is refused
WANTED = (*ONCE, HOSTNAME, USER, PASSWORD, NO_PASSWORD_LOGIN, CUSTOM_DATA, KEY, POOLED, POOL, PROXY_AGENT)


class Media(
    namedtuple(
        "Media",
        "hostname user password password_login custom_data ssh_keys pool proxy_agent promises_custom_data problems",
    )
):
    """What the DVD says of this VM. A field is empty or None if it is missing or unreadable."""

    __slots__ = ()

    hostname: str
    user: str
    password: "Optional[Secret]"
    password_login: "Optional[bool]"
    custom_data: "Optional[bytes]"  # decoded
    ssh_keys: "Tuple[str, ...]"
    pool: str  # as in records.Instance; also empty if missing
    proxy_agent: bool  # an agent must sign the requests of this VM (Metadata Security Protocol)
    promises_custom_data: bool  # there is an element with text, which may be one of the problems
    problems: "Tuple[str, ...]"  # what could not be read; no text of the document is quoted

    def __repr__(self) -> str:
        return "Media(hostname=%r, user=%r, ...)" % (self.hostname, self.user)


def parse_ovf(document: bytes) -> Media:
    """The content of ovf-env.xml; raises BadReply if it is another document. No error quotes its text.

    A field that cannot be read is left out, and is one of the `problems`.
    """
    found = read_elements(document)
    for section in (SECTION, SETTINGS):
        if section not in found:
            problem = "missing configuration for '%s'" % section[-1]
            raise BadReply("unexpected metadata parsing ovf-env.xml: " + problem)
    for section in ONCE:
        only(found, section)
    problems: "List[str]" = []
    text = only(found, PASSWORD)
    password = Secret(text) if text.strip() not in REDACTED else None
    no_login = read_flag(found, NO_PASSWORD_LOGIN, problems)
    if password and not only(found, NO_PASSWORD_LOGIN).strip():
        no_login = False  # passwords are allowed by default, as in cloud-init and WALinuxAgent
    pool, pooled = only(found, POOL).strip(), read_flag(found, POOLED, problems)
    if pool in NOT_POOLED:
        pool = "Running" if pooled else ""  # as in cloud-init
    encoded = only(found, CUSTOM_DATA)
    custom_data = decode(encoded)
    if custom_data is None and encoded.strip():
        problems.append("CustomData is not base64")
    return Media(
        hostname=only(found, HOSTNAME).strip(),
        user=only(found, USER).strip(),
        password=password,
        password_login=None if no_login is None else not no_login,
        custom_data=custom_data,
        ssh_keys=tuple(value.strip() for value in found.get(KEY, []) if value.strip()),
        pool=pool,
        proxy_agent=read_flag(found, PROXY_AGENT, problems) is True,
        promises_custom_data=bool(encoded.strip()),
        problems=tuple(problems),
    )


def read_elements(document: bytes) -> "Dict[Tuple[str, ...], List[str]]":
    """The text of each wanted element, in order. Prefixes are ignored, namespaces are not.

    A document type is refused: this document has none, and entities can expand without limit.
    """
    found: "Dict[Tuple[str, ...], List[List[str]]]" = {}
    open_elements: "List[str]" = []

    def start(name: str, _attributes: "Dict[str, str]") -> None:
        namespace, _, local = name.rpartition(" ")
        open_elements.append(local if namespace == NAMESPACE else "")
        where = tuple(open_elements[1:8])
        if where in WANTED:
            found.setdefault(where, []).append([])

    def end(_name: str) -> None:
        open_elements.pop()

    def characters(text: str) -> None:
        where = tuple(open_elements[1:8])
        if where in WANTED:
            found[where][-1].append(text)

    walk(document, "error parsing ovf-env.xml", start, end, characters, " ")
    return {where: ["".join(parts) for parts in elements] for where, elements in found.items()}


def only(found: "Dict[Tuple[str, ...], List[str]]", where: "Tuple[str, ...]") -> str:
    """The text of an element that may occur once; empty if it is missing. Raises BadReply if there are more."""
    values = found.get(where, [""])
    if len(values) > 1:
        problem = "multiple configuration matches for '%s' (%d)" % (where[-1], len(values))
        raise BadReply("unexpected metadata parsing ovf-env.xml: " + problem)
    return values[0]


def read_flag(
    found: "Dict[Tuple[str, ...], List[str]]", where: "Tuple[str, ...]", problems: "List[str]"
) -> "Optional[bool]":
    """An XML boolean; None if it is missing, empty or invalid. An invalid one is added to the problems."""
    value = only(found, where).strip().lower()
    flag = {"true": True, "1": True, "false": False, "0": False}.get(value)
    if value and flag is None:
        problems.append("%s is neither true nor false" % where[-1])
    return flag
