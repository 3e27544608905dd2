"""Installs into Debian trees of four releases, compared with the distro's own tools: `python3 -m tests.distro` (root).

Not part of the suite: it needs root, mmdebstrap, a Debian mirror and minutes. It works in scratch copies only.
"""
