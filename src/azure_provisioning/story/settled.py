"""Is there nothing left to do for this VM? Boots after Ready was accepted run only this."""

import os

from ..azure.identity import read_vm_id
from ..door.tree import Tree
from ..errors import GuestError
from ..init import manifest
from .state import State


def is_settled(tree: Tree) -> bool:
    """True if Azure has accepted Ready from this VM, and no boot hook is left that should be gone.

    Sends no request, writes nothing, and loads as little as possible. In doubt: False.
    """
    try:
        if not State(tree).has("ready_at", read_vm_id(tree)):
            return False
        if any(tree.stat(link, follow=False) is not None for link in manifest.values(tree, "link")):
            from .. import config

            return config.load(tree)[0].every_boot
    except GuestError:
        return False
    return True


def release_boot() -> None:
    """Let a systemd that waits for us continue. If that fails, it is only a warning: the VM works."""
    if "NOTIFY_SOCKET" in os.environ:
        from ..init import notify

        try:
            notify.release_boot()
        except GuestError as error:
            from ..console import Console

            Console().warn(str(error))
