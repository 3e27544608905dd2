"""Whether this is Azure, and which VM it is, from the firmware's DMI tables. Needs no network."""

from ..door.tree import Tree
from ..errors import GuestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

DMI = "/sys/class/dmi/id"
VMBUS = "/sys/bus/vmbus/devices"
EFI = "/sys/firmware/efi"  # missing on generation 1
AZURE_ASSET_TAG = "7783-7084-3265-9085-8269-3286-77"  # cloud-init, sources/azure/identity.py
FIELDS = (8, 4, 4, 4, 12)  # hexadecimal digits


def identify(tree: Tree, platform: str) -> "Tuple[Optional[bool], Optional[str], str]":
    """(on Azure? or None if unknown, the VM's id from the firmware in lower case or None, the reason).

    Without DMI, a Hyper-V bus or the option `platform = azure` makes it yes.
    """
    tag = firmware_line(tree, DMI + "/chassis_asset_tag")
    vm_id = read_vm_id(tree)
    if tag is not None:
        return tag == AZURE_ASSET_TAG, vm_id, "the chassis asset tag is %r" % tag
    if platform == "azure":
        return True, vm_id, "the option platform = azure"
    if tree.is_dir(VMBUS):
        return True, vm_id, "no readable DMI, but a Hyper-V bus"
    return None, vm_id, "no readable DMI and no Hyper-V bus"


def read_vm_id(tree: Tree) -> "Optional[str]":
    """The firmware's id of this VM, raw and in lower case; None if it is not unique to a VM, or only root may read
    it."""
    vm_id = (firmware_line(tree, DMI + "/product_uuid") or "").lower()
    fields = vm_id.split("-")
    if tuple(len(field) for field in fields) != FIELDS or set(vm_id) - set("0123456789abcdef-"):
        return None
    digits = set(vm_id) - {"-"}
    return None if digits in ({"0"}, {"f"}) else vm_id


def hides_id(tree: Tree) -> bool:
    """Is there an id that only root may read? Other users then cannot determine which VM this is."""
    try:
        tree.read(DMI + "/product_uuid", limit=4096)
    except GuestError:
        return True
    return False


def firmware_line(tree: Tree, path: str) -> "Optional[str]":
    """The stripped text of a sysfs file; None if it is missing or unreadable."""
    try:
        data = tree.read(path, limit=4096)
    except GuestError:
        return None
    return None if data is None else data.decode("ascii", "replace").strip()
