"""How a boot failed, in the one form that Azure's tools read: `result=error|reason=...|key=value|...`.

The portal shows it in "OS Provisioning failed ...: result=error|reason=..." (cloud-init, sources/azure/errors.py).
"""

import time

from .. import __version__
from ..errors import ProvisionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

AGENT = "azure-provisioning"


def describe_failure(error: ProvisionError, vm_id: "Optional[str]", now: float) -> str:
    """The report of `error`; what tells VMs apart comes before details, which may be long and are cut first."""
    fields = [
        ("result", "error"),
        ("reason", error.reason),
        ("agent", "%s/%s" % (AGENT, __version__)),
        ("vm_id", vm_id or "unknown"),
        ("timestamp", timestamp(now)),
    ]
    return "|".join(quote("%s=%s" % field) for field in fields + list(error.details.items()))


def quote(field: str) -> str:
    """A field as the csv dialect of cloud-init's reports has it: `'` around one that holds `|`, `'` or a line end."""
    if set(field) & set("|'\r\n"):
        return "'%s'" % field.replace("'", "''")
    return field


def timestamp(now: float) -> str:
    """Seconds since 1970 in RFC 3339, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
