"""Option 245, from lease files that DHCP clients write, and from impossible ones."""

import calendar
import os
import random
import time
from typing import List, Optional, Tuple, Union

from azure_provisioning.azure.endpoint import SOURCES, find_endpoint, from_dhclient, has_expired, to_address
from tests.guests import GuestTest

DHCLIENT = """lease {
  interface "eth0";
  fixed-address 10.0.0.4;
  option subnet-mask 255.255.255.0;
  option dhcp-server-identifier 168.63.129.16;
  option unknown-245 %s;
  option domain-name "a;b } \\" internal.cloudapp.net";
  renew 4 2159/10/20 08:09:10;
  expire %s;
}
"""
NETWORKD = "# This is private data. Do not parse.\nADDRESS=10.0.0.4\nOPTION_245=%s\n"
WICKED = "<lease><options><unknown-245><code>245</code><data>%s</data></unknown-245></options></lease>"
DEBIAN = "/var/lib/dhcp/dhclient.eth0.leases"
DHCPCD = "/var/lib/dhcpcd/eth0.lease"


def packet(options: bytes) -> bytes:
    """A BOOTP reply as dhcpcd stores it."""
    return b"\x02\x01\x06\x00" + bytes(232) + b"\x63\x82\x53\x63" + options


class EndpointTest(GuestTest):
    def find(self, path: str, data: "Union[str, bytes]") -> "Optional[str]":
        """The result if only this lease file exists."""
        self.system.write(path, data)
        found = find_endpoint(self.system)
        self.system.unlink(path)
        return found

    def test_every_client(self) -> None:
        good = packet(b"\x00\x00\x35\x01\x05\x00\xf5\x04\xa8\x3f\x81\x10\xff")
        cases: "List[Tuple[str, Union[str, bytes]]]" = [
            (DEBIAN, DHCLIENT % ("a8:3f:81:10", "never")),
            ("/var/lib/dhclient/dhclient-eth0.lease", DHCLIENT % ("a8:3f:81:10", "5 2199/01/01 00:00:00")),
            ("/var/lib/NetworkManager/dhclient-abc-eth0.lease", DHCLIENT % ('"\\250?\\201\\020"', "never")),
            ("/run/systemd/netif/leases/2", NETWORKD % "a83f8110"),
            (DHCPCD, good),
            ("/var/db/dhcpcd/eth0-home.lease", good),
            ("/var/lib/wicked/lease-eth0-dhcp-ipv4.xml", WICKED % "a8:3f:81:10"),
        ]
        for path, data in cases:
            with self.subTest(path):
                self.assertEqual(self.find(path, data), "168.63.129.16")

    def test_dhclient(self) -> None:
        cases = [
            (DHCLIENT % ("4:3:2:1", "never"), "4.3.2.1"),
            (DHCLIENT % ('"bL6 "', "never"), "98.76.54.32"),
            (DHCLIENT % ('"d;Hl"', "never"), "100.59.72.108"),
            (DHCLIENT % ('"d}Hl"', "never"), "100.125.72.108"),
            (DHCLIENT % ('"dH:l"', "never"), "100.72.58.108"),
            (DHCLIENT % ('"dH\\"l"', "never"), "100.72.34.108"),
            (DHCLIENT % ('"d\\\\Hl"', "never"), "100.92.72.108"),
            (DHCLIENT.replace("\n", "\r\n") % ("a8:3f:81:10", "never"), "168.63.129.16"),
            (DHCLIENT % ("a8:3f:81:10", "5 2001/01/01 00:00:00"), None),
            (DHCLIENT % ("a8:3f:81:10", "epoch 1000000000; # Sun Sep 9"), None),
            (DHCLIENT % ("a8:3f:81:10", "epoch 9999999999; # far off"), "168.63.129.16"),
            (DHCLIENT % ("a8:3f:81:10", "5 no/such day"), "168.63.129.16"),
            (DHCLIENT % ("a:0:0:1", "never") + DHCLIENT % ("a:0:0:2", "never"), "10.0.0.2"),
            (DHCLIENT % ("a:0:0:1", "never") + DHCLIENT % ("a:0:0:2", "5 2001/01/01 00:00:00"), "10.0.0.1"),
            (DHCLIENT % ("a8:3f:81", "never"), None),
            (DHCLIENT % ("a8:3f:81:10:0", "never"), None),
            (DHCLIENT % ("168.63.129.16", "never"), None),
            (DHCLIENT % ("zz:3f:81:10", "never"), None),
            (DHCLIENT % ("", "never"), None),
            (DHCLIENT % ('"a', "never"), None),
        ]
        for data, address in cases:
            with self.subTest(data):
                self.assertEqual(self.find(DEBIAN, data), address)

    def test_dhcpcd(self) -> None:
        azure = b"\xf5\x04\x0a\x3e\x90\x8c"
        cases = [
            (packet(azure + b"\xff"), "10.62.144.140"),
            (packet(azure), "10.62.144.140"),
            (packet(b"\xff" + azure), None),
            (packet(b"\x0c\x06" + azure + b"\xff"), None),  # inside a host name
            (packet(b"\xf5\x05\x0a\x3e\x90\x8c\x00\xff"), None),
            (packet(b"\xf5\x04\x0a\x3e"), None),
            (packet(b"\xf5"), None),
            (packet(b"\x0c\xff"), None),
            (packet(azure).replace(b"\x63\x82", b"\x63\x83"), None),
            (b"", None),
        ]
        for data, address in cases:
            with self.subTest(data):
                self.assertEqual(self.find(DHCPCD, data), address)

    def test_networkd_and_wicked(self) -> None:
        for value in ("a83f811", "a83f81100", "168.63.129.16", "", "g83f8110"):
            self.assertIsNone(self.find("/run/systemd/netif/leases/2", NETWORKD % value))
        for value in ("a8:3f:81", "a8:3f:81:10:", "::::::::", "168.63.129.16"):
            self.assertIsNone(self.find("/var/lib/wicked/lease-eth0-dhcp-ipv4.xml", WICKED % value))

    def test_only_host_addresses(self) -> None:
        for value in (b"\x00\x01\x02\x03", b"\x7f\x00\x00\x01", b"\xe0\x00\x00\x01", b"\xff" * 4, b"", None):
            self.assertIsNone(to_address(value))

    def test_newest_file_wins(self) -> None:
        self.system.write(DEBIAN, DHCLIENT % ("a:0:0:1", "never"))
        self.system.write("/run/systemd/netif/leases/2", NETWORKD % "0a000002")
        self.system.write("/run/systemd/netif/leases/3", "ADDRESS=10.0.1.4\n")
        for path, age in ((DEBIAN, 300), ("/run/systemd/netif/leases/2", 200), ("/run/systemd/netif/leases/3", 100)):
            os.utime(self.system.path(path), (time.time() - age,) * 2)
        self.assertEqual(find_endpoint(self.system), "10.0.0.2")
        os.utime(self.system.path(DEBIAN))
        self.assertEqual(find_endpoint(self.system), "10.0.0.1")

    def test_unreadable_lease_files(self) -> None:
        self.assertIsNone(find_endpoint(self.system))
        self.system.write("/var/lib/dhcp", "a file and no folder")
        self.system.link("/var/lib/dhcpcd", "/var/lib/dhcpcd")
        self.system.make_dirs("/run/systemd/netif/leases/2")
        self.system.link("/nowhere", "/run/systemd/netif/leases/3")
        self.system.write("/var/lib/dhclient/dhclient-eth0.lease", b"x" * (300 << 10))
        os.mkfifo(self.system.path("/var/lib/dhclient/dhclient-eth1.lease"))
        self.assertIsNone(find_endpoint(self.system))

    def test_damaged_leases_are_ignored_in_time(self) -> None:
        seeds = [DHCLIENT % ('"d\\"Hl"', "5 2159/01/01 00:00:00"), NETWORKD % "a83f8110", WICKED % "a8:3f:81:10"]
        bodies = [text.encode("latin-1") for text in seeds] + [packet(b"\xf5\x04\xa8\x3f\x81\x10\xff")]
        chance = random.Random(245)
        for body in bodies:
            for _ in range(150):
                data = bytearray(body)
                for _ in range(chance.randrange(1, 8)):
                    at = chance.randrange(len(data))
                    data[at : at + chance.randrange(3)] = bytes([chance.randrange(256)] * chance.randrange(3))
                for source in SOURCES:
                    to_address(source.read(bytes(data), 1e9))
        started = time.monotonic()
        for unit in (
            b'"\\',
            b"{",
            b"expire epoch 1e999;}",
            b"\\",
            b"<unknown-245>",
            b"<unknown-245>" + b" " * 99,
            b"\x01",
        ):
            for source in SOURCES:
                source.read(unit * ((256 << 10) // len(unit)), 1e9)
        self.assertLess(time.monotonic() - started, 20)

    def test_expiry_is_exact_to_the_second(self) -> None:
        moment = calendar.timegm((2026, 9, 28, 7, 8, 9))
        for statement in "expire 1 2026/09/28 07:08:09", "expire epoch %d" % moment:
            found = [has_expired(statement.split(), moment + seconds) for seconds in (-1, 0, 1)]
            self.assertEqual(found, [False, False, True], statement)

    def test_escapes(self) -> None:
        self.assertEqual(from_dhclient('"\\8\\777\\a\\0"'), b"8\xffa\x00")
