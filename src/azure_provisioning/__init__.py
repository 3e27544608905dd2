"""Brings a Linux VM up on Azure without an agent. story/provision.py has the story of a first boot.

This must parse on every Python since 2.7, like `__main__`, which loads it.
"""

__version__ = "0.1.0"
OLDEST = (3, 6)  # Python
BOOT_HOOK = (["run"], ["run", "--detach"])  # the command lines of the boot hooks in units/; essential.sh has them too
DIGEST = ""  # of the content of the built file, written by build_zipapp.py; empty in a checkout
