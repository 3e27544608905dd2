"""The other provisioners, and what they left."""

from typing import Iterator

from ...init.rivals import find_rivals
from .finding import Finding, error, ok, warning
from .subject import Image

LEFT = (
    ("waagent", ("/var/lib/waagent", "/etc/waagent.conf", "/var/log/waagent.log")),
    ("cloud-init", ("/var/lib/cloud/instance", "/var/lib/cloud/instances", "/var/lib/cloud/data")),
)


def check_agents(image: Image) -> "Iterator[Finding]":
    """Two that both set a VM up and report for it do harm; ours gives way. What one left is no more than untidy."""
    system = image.system
    rivals = find_rivals(system)
    for line in rivals:
        yield error("other-agent", line, image.ours("generalize --remove-agent"))
    for name, paths in LEFT:
        there = [path for path in paths if system.exists(path)]
        if there and not rivals:
            message = "%s is off, and left: %s" % (name, " ".join(there))
            yield warning("other-agent", message, image.ours("generalize --remove-agent"))
    if not rivals:
        yield ok("other-agent", "no other agent would set a VM up")
