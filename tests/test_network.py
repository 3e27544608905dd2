"""The guest's network in a few words, and the report of a boot without an answer."""

import socket
from typing import Dict

from azure_provisioning.door.network import describe_network
from azure_provisioning.door.system import System
from tests.guests import AZURE_VM, GuestTest

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ROUTE = "%s\t%s\t%s\t0003\t0\t0\t0\t%s\t0\t0\t0\n"
DEFAULT = ROUTE % ("eth0", "00000000", "0100000A", "00000000")
SUBNET = ROUTE % ("eth0", "0000000A", "00000000", "00FFFFFF")  # 10.0.0.0/24
LOCAL = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n"
ADDRESS = "     |-- %s\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n"


class NetworkTest(GuestTest):
    def card(self, name: str, flags: str = "0x1003", carrier: str = "1\n") -> "Dict[str, str]":
        folder = "/sys/class/net/%s/" % name
        return {folder + "flags": flags + "\n", folder + "carrier": carrier}

    def described(self, files: "Dict[str, str]") -> str:
        """The description of a guest with these files."""
        self.setUp()
        self.fill({**self.card("lo", "0x9"), **files})
        return describe_network(self.system)

    def test_described_networks(self) -> None:
        eth0, trie, routes = self.card("eth0"), "/proc/net/fib_trie", "/proc/net/route"
        address = {trie: LOCAL + ADDRESS % "10.0.0.4", routes: HEAD + DEFAULT + SUBNET}
        table = [
            ({}, "no network card but lo"),
            (self.card("eth0", "0x1002", ""), "eth0 down"),
            (self.card("eth0", carrier="0\n"), "eth0 up, no carrier, no IPv4 address"),
            (eth0, "eth0 up, no IPv4 address"),
            ({**eth0, trie: LOCAL, routes: HEAD}, "eth0 up, no IPv4 address"),
            ({**eth0, **address}, "eth0 up, 10.0.0.4"),
            ({**eth0, **address, routes: HEAD + SUBNET}, "eth0 up, 10.0.0.4; no default route"),
            ({**eth0, **address, routes: HEAD}, "eth0 up; 10.0.0.4; no default route"),
            ({**eth0, **self.card("eth1"), **address}, "eth0 up, 10.0.0.4; eth1 up, no IPv4 address"),
            # The virtual function of accelerated networking also appears as eth0.
            ({**eth0, **self.card("enP1s1"), "/sys/class/net/enP1s1/master": "", **address}, "eth0 up, 10.0.0.4"),
            (
                {**eth0, trie: LOCAL + ADDRESS % "10.0.0.999", routes: "x\n\n\t\t\n" + "z\t" * 11},
                "eth0 up, no IPv4 address",
            ),
            (self.card("eth0", "0xzz"), "eth0 down"),
            (self.card("eth0", ""), "eth0 down"),
        ]
        for files, words in table:
            with self.subTest(words):
                self.assertEqual(self.described(files), words)

    def test_no_network_files(self) -> None:
        self.assertEqual(describe_network(self.system), "")
        self.assertEqual(self.described({"/proc/net/route": "x" * (2 << 20), **self.card("eth0")}), "")

    def test_this_machine(self) -> None:
        """Any network: the words agree with the kernel's own files."""
        words = describe_network(System("/"))
        self.assertRegex(words, r"^$|^no network card but lo$|^[^;,]+ (up|down)")

    def test_no_answer_from_azure(self) -> None:
        """It has the last cause and the machine's network, and is repeated when they change."""
        self.fill({**AZURE_VM, **self.card("lo", "0x9"), **self.card("eth0")})
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % nobody.getsockname()[1]
            self.options(imds=address, wireserver=address, deadline=15)
            self.assertEqual(self.boot(), 1)
        (line,) = [line for line in self.story.split("\n") if "FAILED: " in line]
        self.assertIn(
            "no answer from Azure (endpoint=%s, error=Connection refused, network=eth0 up, no IPv4" % address, line
        )
        self.assertIn("Make sure that the image has a DHCP client", line)
        self.assertEqual(self.facts()["error.network"], "eth0 up, no IPv4 address")
