"""The machine's ids, each in the form that whoever made it takes for "make a new one"."""

import re

from ...init import manifest
from ...init.detection import find_init
from .plan import Plan, remove

MACHINE_ID = "/etc/machine-id"
DBUS_ID = "/var/lib/dbus/machine-id"
NEW = (b"", b"uninitialized")
# Who makes them: without the files libnvme takes the firmware's id of the VM. Of iSCSI's, Fedora's service makes one
# that is missing, and the script by which Debian starts open-iscsi makes one where the file says so.
NVME_IDS = ("/etc/nvme/hostnqn", "/etc/nvme/hostid")
ISCSI_NAME = "/etc/iscsi/initiatorname.iscsi"
ISCSI_SERVICES = ("/usr/lib/systemd/system/iscsi-init.service", "/lib/systemd/system/iscsi-init.service")
ISCSI_SCRIPTS = ("/lib/open-iscsi/startup-checks.sh", "/usr/lib/open-iscsi/startup-checks.sh")
ISCSI_NEW = "GenerateName=yes\n"


def plan_machine_id(plan: Plan) -> None:
    """Make it a new machine: an empty id for systemd, none for the others, whose D-Bus refuses an empty one.

    Not `uninitialized` for systemd: that has it ask questions on the console, and enable and disable services by its
    presets (machine-id(5)); but where the image is made so, it stays. D-Bus' own copy goes before, because systemd
    would take that one (systemd-machine-id-setup(1)); a link to /etc/machine-id stays.
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
    """Make it a new machine for iSCSI and NVMe over fabrics too: a target lets in, or locks, by these names."""
    system = plan.system
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
    """Write the empty id. The file stays: on a read-only root systemd mounts one over it."""
    plan.system.write(MACHINE_ID, b"")
