"""The Azure of a rehearsal answers only the rehearsal. Other clients neither disturb it nor appear in it."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Optional

from azure_provisioning.image.rehearse.fake_azure import CONTAINER_ID, INSTANCE_ID
from tests.guests import BuiltTest, wait_until

REPORT = (
    "<Health><GoalStateIncarnation>1</GoalStateIncarnation><Container><ContainerId>%s</ContainerId><RoleInstanceList>"
    "<Role><InstanceId>%s</InstanceId><Health><State>Ready</State></Health></Role></RoleInstanceList></Container>"
    "</Health>forged" % (CONTAINER_ID, INSTANCE_ID)
)
REQUESTS = [
    b"GET /metadata/instance?forged=1 HTTP/1.1\r\nMetadata: true\r\n\r\n",
    b"GET /machine?comp=goalstate HTTP/1.1\r\nx-ms-version: forged\r\n\r\n",
    b"POST /machine?comp=health HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(REPORT), REPORT.encode("ascii")),
    b"POST /provisioning/health HTTP/1.1\r\nContent-Type: application/json\r\nx-ms-guest-agent-name: forged\r\n"
    b'Content-Length: 17\r\n\r\n{"state":"Ready"}',
    b"GET /forged\x1b]0;x\x07 HTTP/1.1\r\n\r\n",
    b"GET /forged\r\n",
    b"forged\r\n\r\n",
    b"GET /" + b"f" * 70000 + b" HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01forged\n",
    b"",
]


def listening(pid: int) -> "Optional[int]":
    """The TCP port on which a process listens, if any."""
    inodes = set()
    for name in os.listdir("/proc/%d/fd" % pid):
        with suppress(OSError):
            match = re.match(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, name)))
            inodes |= {match.group(1)} if match else set()
    with open("/proc/%d/net/tcp" % pid) as file:
        for words in map(str.split, file):
            if words[3] == "0A" and words[9] in inodes:
                return int(words[1].rpartition(":")[2], 16)
    return None


class OtherProcessTest(BuiltTest):
    def begin(self, *faults: str) -> "subprocess.Popen[str]":
        """A rehearsal that waits some seconds for an answer."""
        if not os.path.exists("/proc/self/net/tcp"):
            self.skipTest("no /proc: the port of a rehearsal cannot be found, and no stranger came to it")
        argv = [sys.executable, "-I", "-S", self.program, "rehearse"]
        for fault in faults:
            argv += ["--fault", fault]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)

    def port_of(self, story: "subprocess.Popen[str]") -> int:
        self.assertTrue(wait_until(lambda: listening(story.pid), 30))
        return listening(story.pid) or 0

    def ask(self, port: int, request: bytes) -> bytes:
        """The answer to another process's request."""
        with socket.create_connection(("127.0.0.1", port), 10) as stranger:
            answer = b""
            with suppress(ConnectionError):
                stranger.sendall(request)
                if not request:
                    stranger.shutdown(socket.SHUT_WR)
                while True:
                    data = stranger.recv(4096)
                    if not data:
                        break
                    answer += data
            return answer

    def test_other_processes_are_refused_and_not_shown(self) -> None:
        story = self.begin("imds-silent")
        port = self.port_of(story)
        for request in REQUESTS:
            self.assertEqual(self.ask(port, request), b"", request[:40])
        out, err = story.communicate(timeout=120)
        self.assertEqual(story.returncode, 0, err)
        self.assertNotIn("forged", out + err)
        requests = out.partition("What changed:")[0].splitlines()
        asked = [line.partition("?")[0] for line in requests if line.startswith(("GET", "POST"))]
        self.assertEqual(asked, ["GET /metadata/instance"] * 2 + ["GET /machine", "POST /machine"])

    def test_many_connections(self) -> None:
        """Many clients that reconnect again and again, or connect and send nothing, do not stop it."""
        story = self.begin("imds-silent")
        port = self.port_of(story)
        ends = time.monotonic() + 60
        silent = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(40)]

        def come() -> None:
            while story.poll() is None and time.monotonic() < ends:
                with suppress(OSError):
                    self.ask(port, REQUESTS[2])

        crowd = [threading.Thread(target=come, daemon=True) for _ in range(4)]
        for one in crowd:
            one.start()
        out, err = story.communicate(timeout=120)
        for peer in silent:
            peer.close()
        for one in crowd:
            one.join()
        self.assertEqual(story.returncode, 0, err)
        self.assertNotIn("forged", out + err)
