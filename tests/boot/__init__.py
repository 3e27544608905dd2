"""The boot lab: real distro trees, booted in QEMU in the lab's own sealed Azure.

`python3 -m tests.boot` runs it. It needs root and a few Debian packages. None of it is in the built file. Verdicts come
from outside the guest: the requests to the fake Azure, the serial console, and the disk after power-off.
"""
