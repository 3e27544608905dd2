"""Other provisioning agents that may have set this machine up, and the files that they leave in an image."""

from fnmatch import fnmatchcase
from typing import List, NamedTuple, Optional, Tuple

from ...agents import (
    AFTERBURN,
    AFTERBURN_PROGRAM,
    AZURE_INIT,
    CLOUD_CONF,
    CLOUD_DISABLED,
    CLOUD_INIT,
    TINY_CLOUD,
    TINY_CONFS,
    TINY_DISABLED,
    TINY_DONE,
    WAAGENT,
    WAAGENT_CONF,
    is_enabled,
)
from ...door.files import is_below
from ...door.system import System
from ...init import table
from ...init.systems import systemd
from ..command import Command
from ..package import Package, find_package, purge
from .plan import Plan, join

STOP_SECONDS = 120.0


class Agent(NamedTuple):
    """One agent: `kept` are (folder, pattern) of its state, its configuration and its logs."""

    name: str
    services: Tuple[str, ...]
    kept: Tuple[Tuple[str, str], ...]


AGENTS = (
    Agent(
        "waagent",
        WAAGENT + ("waagent-network-setup",),
        (
            ("/var/lib", "waagent"),
            ("/etc", WAAGENT_CONF.rpartition("/")[2]),
            (systemd.OWN, "waagent-network-setup.service"),
            ("/var/log", "waagent.log*"),
            ("/var/log", "azure"),
        ),
    ),
    Agent(
        "tiny-cloud",
        TINY_CLOUD,
        (
            ("/var/lib/cloud", TINY_DONE.rpartition("/")[2]),
            ("/var/lib/cloud", "user-data"),
            ("/etc/conf.d", TINY_CONFS[0].rpartition("/")[2]),
            ("/etc", TINY_CONFS[1].rpartition("/")[2]),
            ("/var/log", "user-data.log"),
        ),
    ),
    Agent(
        "azure-init", AZURE_INIT, (("/var/lib", "azure-init"), ("/etc", "azure-init*"), ("/var/log", "azure-init.log*"))
    ),
    Agent("afterburn", (*AFTERBURN, "afterburn", "afterburn-sshkeys.target"), (("/run/metadata", "afterburn"),)),
    Agent(
        "cloud-init",
        CLOUD_INIT + ("cloud-config", "cloud-final"),
        (
            ("/var/lib", "cloud"),
            (CLOUD_CONF, "*"),
            ("/var/log", "cloud-init*.log*"),
        ),
    ),
)
# Network configuration written by cloud-init. It matches the MAC address of this VM's card.
NETWORK = (
    ("/etc/netplan", "*cloud-init*"),
    ("/etc/network/interfaces.d", "*cloud-init*"),
    ("/etc/systemd/network", "*cloud-init*"),
    ("/etc/NetworkManager/system-connections", "cloud-init*"),
)


def plan_agents(plan: Plan, *, take_out: bool) -> bool:
    """Remove the installed agents, or only list what they left. True if a package manager will be run."""
    purged = False
    others: "List[str]" = []  # files of the agents before
    for agent in AGENTS:
        kept = [path for folder, pattern in agent.kept for path in matching(plan, folder, pattern)]
        kept = [path for path in kept if path not in CLOUD_DISABLED]
        program = find_agent(plan.system, agent)
        if not (program or take_out):  # tiny-cloud's files are in cloud-init's folder
            kept = [path for path in kept if not any(is_below(other, path) for other in others)]
        others += kept
        if take_out:
            purged = take_out_agent(plan, agent, program or "", kept) or purged
        elif kept or (program and can_be_taken_out(plan, agent, program)):
            plan.notes.append(
                "%s stays, with %s: --remove-agent removes it" % (agent.name, " ".join(kept) or "nothing of its own")
            )
    for folder, pattern in NETWORK:
        for path in matching(plan, folder, pattern):
            plan.notes.append("%s is cloud-init's, and may only fit this VM's network card: it stays" % path)
    return purged


def find_agent(system: System, agent: Agent) -> "Optional[str]":
    """The path of its program, if it is installed."""
    return system.find_program(agent.name, *([AFTERBURN_PROGRAM] if agent.name == "afterburn" else []))


def can_be_taken_out(plan: Plan, agent: Agent, program: str) -> bool:
    """Is there more to remove than a program that nothing starts? --remove-agent leaves such a program in an image."""
    started = False
    with plan.looking():
        off = CLOUD_DISABLED[0] if agent.name == "cloud-init" else TINY_DISABLED if agent.name == "tiny-cloud" else ""
        started = is_enabled(plan.system, agent.services) and not (off and plan.system.exists(off))
    return started or find_package(plan.system, program) is not None


def take_out_agent(plan: Plan, agent: Agent, program: str, kept: "List[str]") -> bool:
    """Purge its package if possible, else stop it from being started. Then remove its files.

    True if there is a package.
    """
    system = plan.system
    paths = [program] + kept
    package = find_package(system, program) if program else None
    if package:
        command = Command(*package.purges[0])
        plan.add("purge the package %s (%s)" % (package.name, command), lambda: purge_all(system, package, paths))
    elif program and system.live:
        plan.add("stop %s" % agent.name, lambda: stop(system, agent.services))
    for init_system in map(table.load, table.NAMES):  # links of other init systems are useless, and may come back
        with plan.looking():
            for path in [path for service in agent.services for path in init_system.links(system, service)]:
                plan.remove(path)
    if agent.name == "cloud-init" and program and not system.exists(CLOUD_DISABLED[0]):
        plan.add("disable cloud-init by " + CLOUD_DISABLED[0], lambda: disable_cloud_init(system))
    for path in kept:
        plan.remove(path)
    return package is not None


def purge_all(system: System, package: Package, paths: "List[str]") -> None:
    """Purge the package, and record which of the paths it removed as our own changes."""
    purge(system, package)
    system.touched += [path for path in paths if system.stat(path, follow=False) is None]


def matching(plan: Plan, folder: str, pattern: str) -> "List[str]":
    """The paths of the entries of a folder whose name matches."""
    return [join(folder, name) for name, _ in plan.look(folder) if fnmatchcase(name, pattern)]


def disable_cloud_init(system: System) -> None:
    """Write the file that disables cloud-init, unless cloud-init is gone by now."""
    if system.find_program("cloud-init"):
        system.write(CLOUD_DISABLED[0], "")


def stop(system: System, services: "Tuple[str, ...]") -> None:
    """Stop the services on the running machine: a running agent would write again what is removed."""
    for service in services:
        for words in (("systemctl", "stop", service), ("rc-service", service, "stop"), ("service", service, "stop")):
            tool = system.find_program(words[0])
            if tool:
                system.run((tool,) + words[1:], STOP_SECONDS, check=False)
                break
