"""Both endpoints for the health report, as Azure sees them."""

import json
from typing import List, Tuple

from azure_provisioning.azure.json_health import HEADERS, REQUEST, health_json, report_by_json
from azure_provisioning.azure.report import report_health
from azure_provisioning.azure.transport import Peer, exchange
from azure_provisioning.errors import ProvisionError, Unreachable
from azure_provisioning.image.rehearse.fake_azure import FakeAzure
from azure_provisioning.records import SUCCESS, Outcome
from tests.guests import FastSystem, GuestTest

READY = "<State>Ready</State>"


class HealthTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.system = FastSystem(self.root, speed=40.0)
        self.said: "List[str]" = []
        self.noticed: "List[ProvisionError]" = []

    def peers(self, *azures: FakeAzure) -> "List[Peer]":
        return [Peer("WireServer", "127.0.0.1", azure.server_address[1]) for azure in azures]

    def report(self, *peers: Peer, seconds: float = 30, outcome: Outcome = SUCCESS, protocol: str = "auto") -> float:
        """Report; returns how many seconds it took."""
        started = self.system.monotonic()
        report_health(
            self.system,
            lambda: peers,
            outcome,
            started + seconds,
            self.said.append,
            self.noticed.append,
            protocol=protocol,
        )
        return self.system.monotonic() - started

    def asked(self, azure: FakeAzure) -> "Tuple[str, ...]":
        """The endpoints that Azure saw, in order."""
        names = {
            "/machine?comp=goalstate": "goalstate",
            "/machine?comp=health": "health",
            "/provisioning/health": "json",
        }
        return tuple(names[request.target] for request in azure.requests)

    def test_wireserver_endpoint(self) -> None:
        azure = self.azure()
        self.report(*self.peers(azure))
        self.assertEqual(self.asked(azure), ("goalstate", "health"))
        self.assertIn(READY, azure.reports[0])

    def test_json_endpoint(self) -> None:
        azure = self.azure()
        reply = report_by_json(self.system, self.peers(azure)[0], SUCCESS, 15, self.said.append)
        self.assertEqual(reply.status, 201)
        self.assertEqual(json.loads(azure.reports[0]), {"state": "Ready"})
        headers = {name.lower(): value for name, value in azure.requests[0].headers.items()}
        self.assertEqual(headers["content-type"], "application/json")
        self.assertTrue(headers["x-ms-guest-agent-name"].startswith("azure-provisioning"))
        report_by_json(self.system, self.peers(azure)[0], Outcome('a "problem" \u00e9'), 15, self.said.append)
        details = {"subStatus": "ProvisioningFailed", "description": 'a "problem" \u00e9'}
        self.assertEqual(json.loads(azure.reports[1]), {"state": "NotReady", "details": details})

    def test_description_is_cut_and_decoded(self) -> None:
        found = json.loads(health_json(Outcome("\udc80" + "\u00e9" * 2000)))["details"]["description"]
        self.assertEqual(found, "?" + "\u00e9" * 511)

    def test_json_endpoint_after_a_third_of_the_time(self) -> None:
        for fault in (
            "goal-state-for-ever-404",
            "goal-state-for-ever-410",
            "goal-state-for-ever-unusable",
            "report-gone-for-ever",
        ):
            with self.subTest(fault):
                azure = self.azure(fault)
                took = self.report(*self.peers(azure))
                self.assertGreaterEqual(took, 10)
                self.assertEqual(self.asked(azure)[-1], "json")
                self.assertEqual(azure.reports, ['{"state": "Ready"}'])

    def test_both_endpoints_in_turn_at_every_peer(self) -> None:
        first = self.azure("goal-state-for-ever-404", "json-health-refused")
        second = self.azure("goal-state-for-ever-404", "json-health-refused")
        with self.assertRaises(ProvisionError):
            self.report(*self.peers(first, second), seconds=60)
        for azure in (first, second):
            late = self.asked(azure)[self.asked(azure).index("json") :]
            self.assertGreaterEqual(min(late.count("json"), late.count("goalstate")), 1)

    def test_json_is_not_yet_ready(self) -> None:
        azure = self.azure("goal-state-for-ever-404", "json-health-503")
        self.report(*self.peers(azure))
        self.assertEqual(self.asked(azure).count("json"), 3)

    def test_protocol_option(self) -> None:
        azure = self.azure()
        self.report(*self.peers(azure), protocol="json")
        self.assertEqual(self.asked(azure), ("json",))
        azure = self.azure("goal-state-for-ever-404")
        with self.assertRaises(ProvisionError):
            self.report(*self.peers(azure), protocol="goalstate", seconds=10)
        self.assertEqual(set(self.asked(azure)), {"goalstate"})

    def test_no_server(self) -> None:
        azure = self.azure()
        peer = self.peers(azure)[0]
        azure.__exit__()
        with self.assertRaises(Unreachable):
            self.report(peer, seconds=10)

    def test_dead_peer_first(self) -> None:
        dead, azure = FakeAzure(), self.azure()
        dead.server_close()
        self.report(*self.peers(dead, azure))
        self.assertEqual(len(azure.reports), 1)

    def test_goal_state_in_an_encoding_of_its_own(self) -> None:
        azure = self.azure("goal-state-no-encoding")
        self.report(*self.peers(azure))
        self.assertEqual(self.noticed[0].reason, "unusable goal state")

    def test_azure_is_strict(self) -> None:
        azure = self.azure()
        for body in (b"", b"[]", b'{"state": "Up"}', b'{"state": "NotReady"}', b'{"state": "Ready", "details": {}}'):
            self.assertEqual(exchange(self.system, self.peers(azure)[0], REQUEST, HEADERS, body).status, 400)
        self.assertEqual(azure.reports, [])
