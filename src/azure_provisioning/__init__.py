"""Brings a Linux VM up on Azure without an agent. story/provision.py has the story of a first boot."""

__version__ = "0.1.0"
DIGEST = ""  # of the content of the built file, written by build_zipapp.py; empty in a checkout
