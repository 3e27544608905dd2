"""Who can see the password and the user's data: every program's argv and environment, every byte written.

The tracer shows each program at its start and each write before it happens, so that nothing is missed. Afterwards the
disk, the terminal and the requests to Azure are searched.
"""

import os
from typing import Dict, List, Set, Tuple

from tests.crash.room import LOG, Room
from tests.crash.tracer import Call, Watch
from tests.secrets import FOLDER, SECRETS, forms

# The permitted writers and places: the file, its temporary file, and the tool's standard input.
PLACES: "Dict[str, Tuple[str, ...]]" = {
    "password": ("pipe:",),
    "customData": (FOLDER + "customData", FOLDER + ".customData.azure-provisioning"),
    "userData": (FOLDER + "userData", FOLDER + ".userData.azure-provisioning"),
}

# An administrator's own gate that prints all secrets.
LEAKY = """#!/bin/sh
data=$(cat %scustomData)
/bin/true "$data"
LEAK="$data" /bin/true
echo "$data" >/var/tmp/copy
base64 -w 0 <%suserData
""" % (FOLDER, FOLDER)
LEAKS = ("argv of true", "environment of true", "written to /var/tmp/copy", "file /var/tmp/copy", "file " + LOG,
         "the terminal")  # fmt: skip


class Listener(Watch):
    """Records every place where a secret is seen."""

    def __init__(self) -> None:
        self.found: "Set[str]" = set()
        self.programs = 0
        self.bytes = 0
        self.forms = {name: forms(secret) for name, secret in SECRETS.items()}

    def search(self, data: bytes, where: str, path: str = "") -> None:
        for name, some in self.forms.items():
            if any(form in data for form in some) and not path.startswith(PLACES[name]):
                self.found.add("%s: %s" % (name, where))

    def on_exec(self, pid: int, argv: bytes, environment: bytes) -> None:
        self.programs += 1
        program = os.path.basename(argv.split(b"\0")[0].decode("utf-8", "replace"))
        self.search(argv, "argv of " + program)
        self.search(environment, "environment of " + program)

    def on_call(self, call: Call) -> str:
        data = call.data()
        if data:
            self.bytes += len(data)
            target = call.target()
            target = target.partition("/root/")[1] and "/" + target.partition("/root/")[2] or target
            self.search(data, "written to %s by %s" % (target, call.program), target)
        return ""


def look_for_leaks(room: Room) -> "Tuple[List[str], str]":
    """(faults, checks): one normal boot, and one with a gate that leaks."""
    listener = boot(room, "")
    problems = ["a secret is out: %s" % where for where in sorted(listener.found)]
    unseen = [leak for leak in LEAKS if not any(leak in found for found in boot(room, LEAKY).found)]
    problems += ["a leak was not seen: %s" % leak for leak in unseen]
    looked = "%d programs, %d bytes written; %d leaks of a gate were seen" % (
        listener.programs,
        listener.bytes,
        len(LEAKS) - len(unseen),
    )
    return problems, looked


def boot(room: Room, gate: str) -> Listener:
    """Boot a fresh disk, and search everything that it leaves."""
    room.begin()
    if gate:
        place = room.place("/etc/azure-provisioning/ready.d/20-leaky")
        with open(place, "w") as file:
            file.write(gate)
        os.chmod(place, 0o755)
    listener = Listener()
    end = room.boot(listener)
    if end.code != 0 or listener.programs < 10:
        listener.found.add("the boot ended with %s, after %d programs" % (end.code, listener.programs))
    for path, entry in room.changes().items():
        listener.search(entry[4] + path.encode("utf-8", "surrogateescape"), "file " + path, path)
    with open(room.story, "rb") as story:
        listener.search(story.read(), "the terminal")
    for report in room.take_reports():
        listener.search(report.encode("utf-8"), "a report")
    for request in room.requests:
        listener.search(request.encode("utf-8"), "a request")
    return listener
