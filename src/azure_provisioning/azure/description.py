"""How a boot went, in the one form that Azure's tools read: `result=error|reason=...|key=value|...`.

The portal shows it in "OS Provisioning failed ...: result=error|reason=..." (cloud-init, sources/azure/errors.py).
"""

import time

from .. import __version__
from ..errors import ProvisionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, List, Optional, Tuple

AGENT = "azure-provisioning"
LIMIT = 512  # characters of a health report's description
DOCUMENTATION = ("documentation_url", "https://aka.ms/linuxprovisioningerror")  # as cloud-init has it


def describe_success(vm_id: "Optional[str]", now: float) -> str:
    """The report of a boot that went well; Azure's health report has no place for it, the key-value pool has."""
    return join([("result", "success")] + origin(vm_id, now))


def describe_failure(error: ProvisionError, vm_id: "Optional[str]", now: float) -> str:
    """The report of `error`; what tells VMs apart comes before details, which may be long and are cut first.

    Where to read on is added if the whole still fits into a health report.
    """
    fields = [("result", "error"), ("reason", error.reason)] + origin(vm_id, now) + list(error.details.items())
    complete = join(fields + [DOCUMENTATION])
    return complete if len(complete) <= LIMIT else join(fields)


def origin(vm_id: "Optional[str]", now: float) -> "List[Tuple[str, str]]":
    """Who reports, for which VM, and when."""
    return [
        ("agent", "%s/%s" % (AGENT, __version__)),
        ("vm_id", vm_id or "unknown"),
        ("timestamp", timestamp(now)),
    ]


def join(fields: "Iterable[Tuple[str, str]]") -> str:
    """The fields as one line."""
    return "|".join(quote("%s=%s" % field) for field in fields)


def quote(field: str) -> str:
    """A field as the csv dialect of cloud-init's reports has it: `'` around one that holds `|`, `'` or a line end."""
    if set(field) & set("|'\r\n"):
        return "'%s'" % field.replace("'", "''")
    return field


def timestamp(now: float) -> str:
    """Seconds since 1970 in RFC 3339, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
