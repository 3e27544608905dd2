"""The status of this machine or of an image: as text, and as JSON for scripts."""

import os

from .. import __version__, config
from ..agents import find_agents
from ..azure.identity import DMI, hides_id, identify
from ..door.system import System
from ..door.text import is_digits
from ..errors import GuestError, ProvisionError
from ..init import table
from . import boot, timeline
from .state import CONFIGURED, IMDS_ID, READY, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

UNKNOWN = "only root may read which VM this is"
PAUSE = 0.5  # seconds between two checks with --wait
PROCESSES_LIMIT = 100000
UNIT = b"azure-provisioning"  # ending of the program's file name

# The word at the start of a status, the exit code with --wait, and the meaning.
STATES = (
    ("ready", 0, "Azure accepted Ready from this VM"),
    ("failed", 1, "a boot failed; the next one tries again"),
    ("running", 1, "a boot is setting this VM up now"),
    ("waiting", 1, "the boot hook is on, and has not set this VM up yet"),
    ("not-azure", 2, "this machine is not on Azure: nothing is done to it"),
    ("other-agent", 2, "another provisioning agent sets this machine up, so this one does nothing"),
    ("unknown", 1, "only root can determine it; call it with sudo"),
    ("none", 2, "nothing is installed here that would set this VM up"),
)


def read_status(system: System) -> "Dict[str, object]":
    """The status; its keys and their meaning are in the manual. Raises GuestError."""
    options, _ = config.load(system)
    azure, vm_id, _ = identify(system, options.platform)
    state = known(system, vm_id)
    is_known = not is_hidden(system, vm_id, state)
    if not is_known:
        state.forget()
    mechanism, links = table.find_hook(system)
    status: "Dict[str, object]" = {
        "state": find_state(system, azure, state, enabled=bool(links)) if is_known else "unknown",
        "version": __version__,
        "azure": azure,
        "vm_id": boot.write_as_azure(system, vm_id, state) or state.vm_id,
        "hook": {"enabled": bool(links), "mechanism": mechanism, "path": links[0] if links else None},
        "configured": state.when(CONFIGURED) is not None or state.when(READY) is not None if is_known else None,
        "configured_at": state.when(CONFIGURED),
        "ready": state.when(READY) is not None if is_known else None,
        "ready_at": state.when(READY),
        "steps": [as_step(span) for span in find_spans(state)],
        "last_error": state.error(),
    }
    if state.imds_id:
        status[IMDS_ID] = state.imds_id
    if state.login():
        status["login"] = state.login()
    return status


def known(system: System, vm_id: "Optional[str]") -> State:
    """The state of this VM: empty if it belongs to another VM, from which the image was captured."""
    state = State(system)
    if vm_id and state.vm_id and not state.is_about(vm_id):
        state.forget()
    return state


def find_state(system: System, azure: "Optional[bool]", state: State, *, enabled: bool) -> str:
    """One of the words of STATES."""
    if azure is False or (azure is None and system.live):
        return "not-azure"
    if state.when(READY) is not None:
        return "ready"
    if system.live and is_running(system):
        return "running"
    if find_agents(system):
        return "other-agent"
    if state.error() is not None:
        return "failed"
    return "waiting" if enabled else "none"


def is_running(system: System) -> bool:
    """Does a process `azure-provisioning run` exist? By its command line: a lock or a file alone does not prove it."""
    for name in system.list("/proc")[:PROCESSES_LIMIT]:
        if not is_digits(name) or name == str(os.getpid()):
            continue
        try:
            words = (system.read("/proc/%s/cmdline" % name, head=True) or b"").split(b"\0")
        except GuestError:
            continue  # it has ended, or we may not read it
        ours = [number for number, word in enumerate(words[:8]) if word.endswith(UNIT)]
        if ours and b"run" in words[ours[0] + 1 :]:
            return True
    return False


def find_spans(state: State) -> "List[timeline.Span]":
    """The recorded steps, in order."""
    return [timeline.Span(name, result, seconds, *state.about_step(name)) for name, result, seconds in state.steps()]


def as_step(span: timeline.Span) -> "Dict[str, object]":
    """A step for a script: with `at` and `message` only if they are known."""
    step: "Dict[str, object]" = {"name": span.name, "result": span.result, "seconds": span.seconds}
    if span.at is not None:
        step["at"] = span.at
    if span.message:
        step["message"] = span.message
    return step


def is_hidden(system: System, vm_id: "Optional[str]", state: State) -> bool:
    """Is there a state, but only root may read whether it is this VM's, or that of the VM it was captured from?"""
    return vm_id is None and state.vm_id is not None and hides_id(system)


def wait_for_end(system: System) -> None:
    """Return when Ready is accepted or this boot has failed, at the latest when a boot would have given up.

    Returns at once if no boot will report: see the states with exit code 2.
    """
    options, _ = config.load(system)
    azure, vm_id, _ = identify(system, options.platform)
    if not azure or exit_code(str(read_status(system)["state"])) == 2:
        return
    state = known(system, vm_id)
    if state.when(READY) is not None and is_hidden(system, vm_id, state):
        raise ProvisionError("it cannot be determined whether this VM is Ready", advice=UNKNOWN)
    ends = system.monotonic() + options.deadline + boot.REPORT_RESERVE
    while system.monotonic() < ends:
        state = known(system, vm_id)
        if state.when(READY) is not None or state.has_failed_in(system.boot_id()):
            return
        system.sleep(PAUSE)


def exit_code(state: str) -> int:
    """The exit code of `status --wait`."""
    return {word: code for word, code, _ in STATES}[state]


def as_json(status: "Dict[str, object]") -> str:
    """The status for a script."""
    import json  # not needed for the text, so that it works without

    return json.dumps(status, indent=2)


def as_text(status: "Dict[str, Any]", unknown: "Dict[str, str]") -> "List[str]":
    """The status as text; `unknown` has the reasons for unknown facts (see `explain_unknown`)."""
    hook, error = status["hook"], status["last_error"]
    azure = {True: "yes", False: "no", None: "unknown: " + unknown["azure"]}[status["azure"]]
    other = " (but IMDS has %s)" % status[IMDS_ID] if IMDS_ID in status else ""
    enabled = "runs at the next boot (%s: %s)" % (hook["mechanism"], hook["path"]) if hook["enabled"] else "off"
    lines = [
        "%s: %s" % (status["state"], explain_state(status)),
        "version     %s" % status["version"],
        "on Azure    %s" % azure,
        "VM          %s%s" % (status["vm_id"] or "unknown: " + unknown["vm_id"], other),
        "boot hook   %s" % enabled,
        "configured  %s" % (status["configured_at"] or ("by other means" if status["configured"] else "no")),
        "Ready       %s" % ("accepted at %s" % status["ready_at"] if status["ready"] else "not accepted yet"),
    ]
    if status["ready"] is None:
        lines[-2:] = ["configured  cannot be determined: " + UNKNOWN, "Ready       cannot be determined: " + UNKNOWN]
    lines += ["login       %-15s %s" % way for way in status.get("login", {}).items()]
    lines += timeline.as_lines(spans_of(status))
    if error is not None:
        details = ", ".join("%s=%s" % item for item in error["details"].items())
        lines.append("last error  %s: %s%s" % (error["at"], error["reason"], " (%s)" % details if details else ""))
        lines.append("what to do  %s" % error["remedy"])
    return lines


def explain_state(status: "Dict[str, Any]") -> str:
    """The meaning of the state on this machine."""
    word, error = status["state"], status["last_error"]
    if word == "failed" and error is not None:
        again = "the next boot tries again" if status["hook"]["enabled"] else "the boot hook is off"
        return "%s; %s" % (error["reason"], again)
    if word == "none" and status["hook"]["mechanism"]:
        return "the boot hook is installed, but off; `azure-provisioning install` enables it"
    return {known: says for known, _, says in STATES}[word]


def explain_unknown(system: System) -> "Dict[str, str]":
    """Why it cannot be determined whether this is Azure, and which VM it is."""
    options, _ = config.load(system)
    why, path = identify(system, options.platform)[2], DMI + "/product_uuid"
    if system.root != "/":
        return {"azure": "an image has no firmware", "vm_id": "no VM was set up from this image"}
    hidden = system.stat(path) is not None and os.geteuid() != 0
    return {"azure": why, "vm_id": "only root may read %s" % path if hidden else "the firmware has no id for it"}


def spans_of(status: "Dict[str, Any]") -> "List[timeline.Span]":
    """The steps of a status, for the timeline."""
    return [timeline.Span(**step) for step in status["steps"]]


def as_svg(status: "Dict[str, Any]") -> str:
    """The steps as an SVG picture."""
    notes = ["VM %s, azure-provisioning %s" % (status["vm_id"] or "unknown", status["version"])]
    if status["ready_at"]:
        notes.append("Ready accepted at %s" % status["ready_at"])
    if status["last_error"]:
        notes.append("failed: %s" % status["last_error"]["reason"])
    spans = spans_of(status)
    return timeline.as_svg("%s, %.1f s" % (status["state"], timeline.total(spans)), spans, notes)
