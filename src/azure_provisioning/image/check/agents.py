"""Other provisioning agents, and what they left."""

from typing import Iterator

from ...agents import find_agents, find_early
from ..generalize.agent import plan_agents
from ..generalize.plan import Plan
from .finding import Finding, error, ok, warning
from .subject import Image


def check_agents(image: Image) -> "Iterator[Finding]":
    """Two agents that both set up a VM interfere; ours gives way. Leftovers are only untidy."""
    remedy = image.ours("generalize", "--remove-agent")
    agents, early = find_agents(image.system), find_early(image.system)
    for line in agents:
        yield error("other-agent", line, remedy)
    for line in early:
        yield warning("other-agent", line, remedy)
    if agents or early:
        return
    plan = Plan(image.system)
    plan_agents(plan, take_out=False)
    for note in plan.notes:
        yield warning("other-agent", note, remedy)
    yield ok("other-agent", "no other agent would set a VM up")
