"""NixOS and Guix build the system from a declaration: files that we add would be refused, or lost at the next build."""

from .unit import load

TEXTS = {"nixos": "nixos/azure-provisioning.nix", "guix": "guix/azure-provisioning.scm"}
# Where it belongs.
PLACES = {"nixos": "azure-provisioning.nix, beside configuration.nix", "guix": "the declaration of the system"}


def declaration(name: str) -> str:
    """The text to add to the declaration of the system called `name`."""
    return load(TEXTS[name]).decode("utf-8")
