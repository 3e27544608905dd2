"""The provisioning DVD: `ovf-env.xml`, which alone has the password and the customData.

Azure attaches it at the first boot and takes it away once Ready was accepted. Nothing is opened in this process before
it is mounted, because a drive that hangs would hold whoever opens it: `mount` is held instead, and ended.
"""

import binascii
import re
from collections import namedtuple

from ..door.system import System
from ..errors import BadReply, GuestError
from ..records import Secret
from .markup import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

FILE = "ovf-env.xml"
FILE_LIMIT = 1 << 20  # bytes; customData is at most 64 KiB before base64
FOLDER = "/run/azure-provisioning"
POINT = FOLDER + "/media"
KINDS = ("udf", "iso9660")
MOUNT_SECONDS = 20.0

NAMESPACE = "http://schemas.microsoft.com/windowsazure"
REDACTED = ("*", "REDACTED")  # what WALinuxAgent and cloud-init leave in the place of a password in their copies
NOT_POOLED = ("", "None", "Unknown")

# Elements below the root, by their names in NAMESPACE (cloud-init, sources/helpers/azure.py, OvfEnvXml).
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
WANTED = (SECTION, SETTINGS, HOSTNAME, USER, PASSWORD, NO_PASSWORD_LOGIN, CUSTOM_DATA, KEY, POOLED, POOL)


class Media(namedtuple("Media", "hostname user password password_login custom_data ssh_keys pool")):
    """What the DVD says of this VM. Whatever is empty or None it does not say."""

    __slots__ = ()

    hostname: str
    user: str
    password: "Optional[Secret]"
    password_login: "Optional[bool]"
    custom_data: "Optional[bytes]"  # decoded
    ssh_keys: "Tuple[str, ...]"
    pool: str  # as in records.Instance; empty also if it does not say

    def __repr__(self) -> str:
        return "Media(hostname=%r, user=%r, ...)" % (self.hostname, self.user)


def read_media(system: System) -> "Tuple[Optional[Media], str]":
    """(what the DVD says, where that was read), or (None, why there is nothing: no drive, no medium, no udf, ...).

    Takes at most a minute for each drive that hangs. Raises BadReply if there is a DVD but it is not understood.
    """
    drives, reasons = find_drives(system), []
    for drive in drives:
        try:
            document, how = read_drive(system, drive)
        except GuestError as error:
            reasons.append("/dev/%s: %s" % (drive, error))
        else:
            return parse_ovf(document), how
    return None, "; ".join(reasons) or "no DVD drive"


def find_drives(system: System) -> "List[str]":
    """The kernel's names of the drives that may have a medium, `sr0` first."""
    names = [name for name in system.list("/sys/block") if re.match(r"sr[0-9]{1,3}\Z", name)]
    if not names and system.exists("/dev/sr0"):
        return ["sr0"]  # no sysfs
    return sorted(names, key=lambda name: int(name[2:]))


def read_drive(system: System, drive: str) -> "Tuple[bytes, str]":
    """(ovf-env.xml of the DVD in this drive, where it was read). Raises GuestError."""
    if read_line(system, "/sys/block/%s/size" % drive) == "0":
        raise GuestError("no medium")
    number = read_line(system, "/sys/block/%s/dev" % drive)
    points = [mount.point for mount in system.mounts() if mount.device == number and mount.inside == "/"]
    if points and points[-1] != POINT:  # an automounter was here
        return read_file(system, points[-1]), "/dev/%s at %s" % (drive, points[-1])
    if not points:  # else a run before this one was interrupted
        mount(system, drive)
    try:
        document = read_file(system, POINT)
    finally:
        complaint = unmount(system)
    return document, "/dev/%s%s" % (drive, complaint)


def mount(system: System, drive: str) -> None:
    """Mount the DVD where nobody else looks. Raises GuestError with what `mount` said of each file system."""
    program = system.find_program("mount")
    if program is None:
        raise GuestError("no program to mount with")
    system.make_dirs("/run")
    system.make_dirs(POINT, mode=0o700)
    problems = {}
    for kind in KINDS:
        argv = [program, "-t", kind, "-o", "ro,nosuid,nodev,noexec", "/dev/" + drive, POINT]
        try:
            code, printed = system.execute(argv, MOUNT_SECONDS)
        except GuestError:
            system.remove_dir(POINT)
            raise
        if code == 0:
            return
        problems[kind] = printed.strip().partition("\n")[0][:200] or "exit code %d" % code
    system.remove_dir(POINT)
    raise GuestError("cannot be mounted", **problems)


def unmount(system: System) -> str:
    """Take the DVD off again, at once or when it is no longer in use; returns what is left to say."""
    program = system.find_program("umount") or "umount"
    for flags in ([], ["-l"]):
        try:
            system.run([program] + flags + [POINT], MOUNT_SECONDS)
            system.remove_dir(POINT)
        except GuestError as error:
            complaint = ", which stays mounted (%s)" % error
        else:
            return ""
    return complaint


def read_file(system: System, point: str) -> bytes:
    """The file on the DVD that is mounted at `point`. Raises GuestError."""
    names = [name for name in system.list(point) if name.lower() == FILE]
    document = system.read("%s/%s" % (point, names[0]), limit=FILE_LIMIT) if names else None
    if document is None:
        raise GuestError("no %s on it" % FILE)
    return document


def read_line(system: System, path: str) -> str:
    """The stripped text of a sysfs file; empty if there is none."""
    return (system.read(path, limit=4096) or b"").decode("ascii", "replace").strip()


def parse_ovf(document: bytes) -> Media:
    """What ovf-env.xml says; raises BadReply if it is no such document. No error text quotes what it holds."""
    found = read_elements(document)
    for section in (SECTION, SETTINGS):
        if section not in found:
            problem = "missing configuration for '%s'" % section[-1]
            raise BadReply("unexpected metadata parsing ovf-env.xml: " + problem)
    password = only(found, PASSWORD)
    no_login = parse_flag(only(found, NO_PASSWORD_LOGIN))
    pool = only(found, POOL).strip()
    if pool in NOT_POOLED:
        pool = "Running" if parse_flag(only(found, POOLED)) else ""  # as cloud-init takes it
    return Media(
        hostname=only(found, HOSTNAME).strip(),
        user=only(found, USER).strip(),
        password=Secret(password) if password and password.strip() not in REDACTED else None,
        password_login=None if no_login is None else not no_login,
        custom_data=decode(only(found, CUSTOM_DATA)),
        ssh_keys=tuple(value.strip() for value in found.get(KEY, []) if value.strip()),
        pool=pool,
    )


def read_elements(document: bytes) -> "Dict[Tuple[str, ...], List[str]]":
    """The text of each wanted element, in order. Prefixes do not matter, namespaces do.

    A document type is refused: this document has none, and entities could blow up.
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
    """The text of an element that may come once; empty if it is missing. Raises BadReply if there are more."""
    values = found.get(where, [""])
    if len(values) > 1:
        problem = "multiple configuration matches for '%s' (%d)" % (where[-1], len(values))
        raise BadReply("unexpected metadata parsing ovf-env.xml: " + problem)
    return values[0]


def parse_flag(value: str) -> "Optional[bool]":
    """An XML boolean; None for anything else."""
    return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())


def decode(encoded: str) -> "Optional[bytes]":
    """The bytes of a base64 text, which may be broken into lines; None if it is empty. Raises BadReply."""
    joined = "".join(encoded.split())
    if len(joined) % 4 or not re.match(r"[A-Za-z0-9+/]*={0,2}\Z", joined):
        raise BadReply("error parsing ovf-env.xml", problem="CustomData is no base64")
    return binascii.a2b_base64(joined.encode("ascii")) or None
