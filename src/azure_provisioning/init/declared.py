"""NixOS and Guix: the system is made from a declaration. Files of ours would be refused, or gone with the next one."""

from .unit import load

TEXTS = {"nixos": "nixos/azure-provisioning.nix", "guix": "guix/azure-provisioning.scm"}
# Where a person puts it.
PLACES = {"nixos": "azure-provisioning.nix, beside configuration.nix", "guix": "the declaration of the system"}


def declaration(name: str) -> str:
    """What to add to the declaration of the system called `name`."""
    return load(TEXTS[name]).decode("utf-8")
