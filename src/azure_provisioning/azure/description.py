"""The result of a boot in the one form that Azure's tools read: `result=error|reason=...|key=value|...`.

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
DOCUMENTATION = ("documentation_url", "https://aka.ms/linuxprovisioningerror")  # as in cloud-init


def describe_success(vm_id: "Optional[str]", now: float) -> str:
    """The report of a successful boot, for the key-value pool: Azure's health report has no field for it."""
    return join([("result", "success")] + origin(vm_id, now))


def describe_failure(error: ProvisionError, vm_id: "Optional[str]", now: float) -> str:
    """The report of `error`. What identifies the VM comes before the details, which may be long and are cut first.

    The address of the documentation is added if the whole still fits into a health report.
    """
    fields = [("result", "error"), ("reason", error.reason)] + origin(vm_id, now) + list(error.details.items())
    complete = join(fields + [DOCUMENTATION])
    return complete if len(complete) <= LIMIT else join(fields)


def origin(vm_id: "Optional[str]", now: float) -> "List[Tuple[str, str]]":
    """The fields that say which agent reports, for which VM, and when."""
    return [
        ("agent", "%s/%s" % (AGENT, __version__)),
        ("vm_id", vm_id or "unknown"),
        ("timestamp", timestamp(now)),
    ]


def join(fields: "Iterable[Tuple[str, str]]") -> str:
    """The fields on one line."""
    return "|".join(quote("%s=%s" % field) for field in fields)


def quote(field: str) -> str:
    """A field in the csv dialect of cloud-init's reports: in `'` if it has a `|`, a `'` or a line end."""
    if set(field) & set("|'\r\n"):
        return "'%s'" % field.replace("'", "''")
    return field


def timestamp(now: float) -> str:
    """Seconds since 1970 in RFC 3339, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
