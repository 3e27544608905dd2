"""The boot lab: real distro trees, booted in QEMU in a sealed Azure of the lab's own.

`python3 -m tests.boot` runs it (root and a few Debian packages needed). Nothing of it is in the product's file.
Verdicts come from outside the guest: what the fake Azure was asked, what the serial console showed, and what is on
the disk after power-off.
"""
