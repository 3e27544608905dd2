"""The machine's id, in the form that the init system takes for "make a new one"."""

from ...init import manifest
from ...init.detection import find_init
from .plan import Plan, remove

MACHINE_ID = "/etc/machine-id"
DBUS_ID = "/var/lib/dbus/machine-id"
NEW = (b"", b"uninitialized")


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


def is_systemd(plan: Plan) -> bool:
    """Does systemd start this guest?"""
    recorded = manifest.values(plan.system, "init")
    return (recorded[0] if recorded else find_init(plan.system)) in ("systemd", "nixos")


def forget(plan: Plan) -> None:
    """Write the empty id. The file stays: on a read-only root systemd mounts one over it."""
    plan.system.write(MACHINE_ID, b"")
