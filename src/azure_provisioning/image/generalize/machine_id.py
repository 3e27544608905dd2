"""The machine's ids, each in the form for which its program makes a new one."""

import re

from ...init import manifest
from ...init.detection import find_init
from .plan import Plan, remove

MACHINE_ID = "/etc/machine-id"
DBUS_ID = "/var/lib/dbus/machine-id"
NEW = (b"", b"uninitialized")
# Without its files, libnvme uses the firmware's id of the VM. iSCSI's name: Fedora's service makes a missing one, and
# the script that starts Debian's open-iscsi makes one if the file says so.
NVME_IDS = ("/etc/nvme/hostnqn", "/etc/nvme/hostid")
ISCSI_NAME = "/etc/iscsi/initiatorname.iscsi"
ISCSI_SERVICES = ("/usr/lib/systemd/system/iscsi-init.service", "/lib/systemd/system/iscsi-init.service")
ISCSI_SCRIPTS = ("/lib/open-iscsi/startup-checks.sh", "/usr/lib/open-iscsi/startup-checks.sh")
HOST_ID = "/etc/hostid"  # gethostid(3); ZFS imports a pool only if it was this id's
ISCSI_NEW = "GenerateName=yes\n"


def plan_machine_id(plan: Plan) -> None:
    """Remove the machine id: an empty file for systemd, no file for others, whose D-Bus refuses an empty one.

    Not `uninitialized` for systemd, which would then ask questions on the console, and apply its presets to services
    (machine-id(5)); but an image that has it keeps it. D-Bus' own copy is removed first, because systemd would use it
    (systemd-machine-id-setup(1)); a link to /etc/machine-id stays.
    """
    system = plan.system
    with plan.looking():
        if not system.is_link(DBUS_ID):
            plan.remove(DBUS_ID)
    with plan.looking():
        by_systemd = is_systemd(plan)
        known = system.read(MACHINE_ID)
        if known is None:
            return
        if by_systemd and known.strip() not in NEW and plan.is_own(MACHINE_ID):
            plan.add("empty " + MACHINE_ID, lambda: forget(plan))
        elif not by_systemd and not system.is_link(MACHINE_ID) and plan.is_own(MACHINE_ID):
            plan.add("remove " + MACHINE_ID, lambda: remove(system, MACHINE_ID))


def plan_storage_ids(plan: Plan) -> None:
    """Remove the ids for iSCSI and NVMe over fabrics: a target admits or locks by these names."""
    system = plan.system
    with plan.looking():
        if system.exists(HOST_ID):
            plan.notes.append("%s stays, because ZFS may need it: every VM has this id" % HOST_ID)
    for path in NVME_IDS:
        plan.remove(path)
    with plan.looking():
        text = system.read_text(ISCSI_NAME)
        if text is None or not re.search(r"(?m)^[ \t]*InitiatorName[ \t]*=", text):
            return
        if any(system.exists(path) for path in ISCSI_SCRIPTS):
            plan.rewrite(ISCSI_NAME, lambda _: ISCSI_NEW)
        elif any(system.exists(path) for path in ISCSI_SERVICES):
            plan.remove(ISCSI_NAME)
        else:
            plan.notes.append("%s stays: each VM needs a name of its own, as iscsi-iname makes it" % ISCSI_NAME)


def is_systemd(plan: Plan) -> bool:
    """Does systemd start this guest?"""
    recorded = manifest.values(plan.system, "init")
    return (recorded[0] if recorded else find_init(plan.system)) in ("systemd", "nixos")


def forget(plan: Plan) -> None:
    """Write an empty id. The file stays: with a read-only root systemd mounts one over it."""
    plan.system.write(MACHINE_ID, b"")
