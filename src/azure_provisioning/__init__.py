"""Brings a Linux VM up on Azure without an agent. See provision.py for the story of a first boot."""

__version__ = "0.1.0"
DIGEST = ""  # of all that is in the built file, where build_zipapp.py has written it; empty in a checkout


def compiled(digest: str, magic: bytes) -> str:
    """Where `install` puts what the file with this digest has for a boot, compiled by a Python with this magic number.

    Only root can write there, and another file or Python looks elsewhere.
    """
    return "/var/lib/azure-provisioning/boot-%s-%s.zip" % (digest, magic[:2].hex())
