"""The story of a first boot, told by what Azure was asked and what is on the disk."""

from azure_provisioning.boot import begin
from azure_provisioning.provision import provision
from tests.guests import AZURE_VM, GuestTest, asked


class StoryTest(GuestTest):
    def boot(self) -> int:
        """One boot of the guest: the exit code that `run` would have."""
        boot = begin(self.system, self.console)
        return provision(boot) if boot else 0

    def test_first_boot(self) -> None:
        self.fill(AZURE_VM)
        azure = self.azure()
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(asked(azure), ("imds 200", "goalstate 200", "health 200"))
        self.assertEqual(self.text("/etc/hostname"), "rehearsal\n")
        self.assertEqual(self.text("/etc/hosts"), "127.0.0.1\tlocalhost\n127.0.1.1\trehearsal\n")

    def test_second_boot_asks_nothing(self) -> None:
        self.fill(AZURE_VM)
        azure = self.azure()
        self.assertEqual(self.boot(), 0, self.story)
        del azure.requests[:]
        self.assertEqual(self.boot(), 0, self.story)
        self.assertEqual(asked(azure), ())
