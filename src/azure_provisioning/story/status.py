"""What is known of this machine, or of an image: for people, and as JSON for their scripts."""

import json

from .. import __version__, config
from ..azure.identity import hides_id, identify
from ..door.system import System
from ..errors import ProvisionError
from ..init import table
from . import boot
from .state import CONFIGURED, IMDS_ID, READY, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

BAR_WIDTH = 24  # columns of the longest step in the timeline
UNKNOWN = "only root may read which VM this is"
PAUSE = 0.5  # seconds between two looks, with --wait


def read_status(system: System) -> "Dict[str, object]":
    """The status; its keys and their meaning are in the README. Raises GuestError."""
    options, _ = config.load(system)
    azure, vm_id, _ = identify(system, options.platform)
    state = known(system, vm_id)
    is_known = not is_hidden(system, vm_id, state)
    if not is_known:
        state.forget()
    mechanism, links = table.find_hook(system)
    status: "Dict[str, object]" = {
        "version": __version__,
        "azure": azure,
        "vm_id": boot.write_as_azure(system, vm_id, state) or state.vm_id,
        "hook": {"enabled": bool(links), "mechanism": mechanism, "path": links[0] if links else None},
        "configured": state.when(CONFIGURED) is not None or state.when(READY) is not None if is_known else None,
        "configured_at": state.when(CONFIGURED),
        "ready": state.when(READY) is not None if is_known else None,
        "ready_at": state.when(READY),
        "steps": [dict(zip(("name", "result", "seconds"), step)) for step in state.steps()],
        "last_error": state.error(),
    }
    if state.imds_id:
        status[IMDS_ID] = state.imds_id
    if state.login():
        status["login"] = state.login()
    return status


def known(system: System, vm_id: "Optional[str]") -> State:
    """What is known of this very VM: nothing if the state is another's, from which the image was captured."""
    state = State(system)
    if vm_id and state.vm_id and not state.is_about(vm_id):
        state.forget()
    return state


def is_hidden(system: System, vm_id: "Optional[str]", state: State) -> bool:
    """Is there a state, and nobody but root may read whether it is this VM's, or that of one it was captured from?"""
    return vm_id is None and state.vm_id is not None and hides_id(system)


def wait_for_end(system: System) -> None:
    """Return when Ready is accepted or this boot has failed, at the latest when a boot would have given up."""
    options, _ = config.load(system)
    azure, vm_id, _ = identify(system, options.platform)
    if not azure:
        return  # nobody will report from here
    state = known(system, vm_id)
    if state.when(READY) is not None and is_hidden(system, vm_id, state):
        raise ProvisionError("whether this VM is Ready cannot be known", advice=UNKNOWN)
    ends = system.monotonic() + options.deadline + boot.REPORT_RESERVE
    while system.monotonic() < ends:
        state = known(system, vm_id)
        if state.when(READY) is not None or state.has_failed_in(system.boot_id()):
            return
        system.sleep(PAUSE)


def as_json(status: "Dict[str, object]") -> str:
    """The status for a script."""
    return json.dumps(status, indent=2)


def as_text(status: "Dict[str, Any]") -> "List[str]":
    """The status for a person."""
    hook, error = status["hook"], status["last_error"]
    azure = {True: "yes", False: "no", None: "unknown"}[status["azure"]]
    other = " (but IMDS has %s)" % status[IMDS_ID] if IMDS_ID in status else ""
    enabled = "runs at the next boot (%s: %s)" % (hook["mechanism"], hook["path"]) if hook["enabled"] else "off"
    lines = [
        "version     %s" % status["version"],
        "on Azure    %s" % azure,
        "VM          %s%s" % (status["vm_id"] or "unknown", other),
        "boot hook   %s" % enabled,
        "configured  %s" % (status["configured_at"] or ("by other means" if status["configured"] else "no")),
        "Ready       %s" % ("accepted at %s" % status["ready_at"] if status["ready"] else "not accepted yet"),
    ]
    if status["ready"] is None:
        lines[-2:] = ["configured  cannot be known: " + UNKNOWN, "Ready       cannot be known: " + UNKNOWN]
    lines += ["login       %-15s %s" % way for way in status.get("login", {}).items()]
    lines += timeline(status["steps"])
    if error is not None:
        details = ", ".join("%s=%s" % item for item in error["details"].items())
        lines.append("last error  %s: %s%s" % (error["at"], error["reason"], " (%s)" % details if details else ""))
        lines.append("what to do  %s" % error["remedy"])
    return lines


def timeline(steps: "List[Dict[str, Any]]") -> "List[str]":
    """One line a step, with a bar as long as it took in proportion to the longest."""
    longest = max([step["seconds"] for step in steps] + [0.001])
    lines = []
    for step in steps:
        bar = "#" * int(BAR_WIDTH * step["seconds"] / longest + 0.5)
        line = "step        %-15s %-8s %8.3f s  %s" % (step["name"], step["result"], step["seconds"], bar)
        lines.append(line.rstrip())
    return lines
