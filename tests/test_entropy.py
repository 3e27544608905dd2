"""The host's random bytes."""

from azure_provisioning.guest.entropy import LIMIT, TABLE, mix_entropy
from tests.guests import GuestTest


class EntropyTest(GuestTest):
    def setUp(self) -> None:
        super().setUp()
        self.fed = b""
        self.system.feed_random = self.feed  # type: ignore[method-assign]

    def feed(self, data: bytes) -> bool:
        self.fed += data
        return True

    def test_mixed(self) -> None:
        table = bytes(range(256)) * 2
        self.system.write(TABLE, table)
        self.assertEqual(mix_entropy(self.system), "512 bytes from the host")
        self.assertEqual(self.fed, table)

    def test_bounded(self) -> None:
        self.system.write(TABLE, b"x" * (LIMIT + 1))
        mix_entropy(self.system)
        self.assertEqual(len(self.fed), LIMIT)

    def test_absent_or_empty(self) -> None:
        self.assertEqual(mix_entropy(self.system), "the host provides none")
        self.system.write(TABLE, b"")
        self.assertEqual(mix_entropy(self.system), "the host provides none")

    def test_an_image_has_no_kernel(self) -> None:
        del self.system.feed_random
        self.system.write(TABLE, b"x")
        self.assertEqual(mix_entropy(self.system), "the kernel is not this guest's")
        self.assertFalse(self.system.exists("/dev/urandom"))
