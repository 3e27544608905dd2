"""Brings a Linux VM up on Azure without an agent. See story/provision.py for the story of a first boot."""

__version__ = "0.1.0"
DIGEST = ""  # of all that is in the built file, where build_zipapp.py has written it; empty in a checkout
