"""Settings bound to the network card of this VM, which would give a clone's card another name or no network."""

import re

from .plan import Plan

RULES = "/etc/udev/rules.d"  # 70-persistent-net.rules; z25_persistent-net.rules on old Debian
SCRIPTS = "/etc/sysconfig/network-scripts"
CARD = re.compile(r"(?m)^[ \t]*HWADDR[ \t]*=.*\n?")


def plan_network_cards(plan: Plan) -> None:
    """Remove udev's rules for cards, and the address of the card from the ifcfg files.

    An empty file, or a link to /dev/null, stays: it stops udev from writing such rules.
    """
    for path in plan.files(RULES, "*persistent-net.rules"):
        with plan.looking():
            if plan.system.read(path):
                plan.remove(path)
    for path in plan.files(SCRIPTS, "ifcfg-*"):
        plan.rewrite(path, lambda text: CARD.sub("", text))
