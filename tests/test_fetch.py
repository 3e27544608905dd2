"""When the DVD is read, and when the boot waits for it."""

from typing import Any, Dict, List, Tuple

from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.story.boot import Boot
from azure_provisioning.story.fetch import fetch
from tests.guests import AZURE_VM, OTHER_VM_ID, STATE, FastSystem, GuestTest
from tests.simulation import OVF

MOUNTS = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n33 20 11:0 / /media/cd ro - udf /dev/sr0 ro\n"
DVD = {"/proc/self/mountinfo": MOUNTS, "/media/cd/ovf-env.xml": OVF}  # used if the kernel reports a drive
OPTIONS = ("account", "password", "ssh_keys", "password_login", "custom_data")  # the options that need the DVD


class Machine(FastSystem):
    """A scratch root that counts as the running machine. Its DVD appears when the boot waits for it."""

    live = True
    waited = 0.0  # seconds
    comes = False

    def sleep(self, seconds: float) -> None:
        self.waited += seconds
        if self.comes:
            self.write("/sys/block/sr0/dev", "11:0\n")
        super().sleep(seconds)


class DvdTest(GuestTest):
    def wait(
        self, comes: bool, promised: "Tuple[bool, bool]", user: bool = True, former: bool = False, **options: object
    ) -> "Tuple[float, bool]":
        """(seconds waited, whether the DVD was read) if a password login and customData are promised, or not.

        `user`: does IMDS name a user? `former`: did the disk belong to another VM?
        """
        self.setUp()
        self.fill(AZURE_VM)
        self.fill(DVD)
        azure = self.azure(**options)
        locked = "false" if promised[0] else "true"
        profile = {"computerName": "a", "adminUsername": "ann", "disablePasswordAuthentication": locked}
        azure.instance["compute"]["osProfile"] = profile if user else {}
        azure.instance["extended"]["compute"] = {"ppsType": "None", "hasCustomData": promised[1]}
        machine = Machine(self.root, self.speed)
        machine.comes = comes
        if former:
            self.fill({STATE: "vm_id=%s\nprevious_vm_id=%s\n" % (VM_ID, OTHER_VM_ID)})
        _, dvd = fetch(Boot(machine, self.console))
        return machine.waited, dvd is not None

    def test_dvd_appears(self) -> None:
        self.assertEqual(self.wait(True, (True, True)), (2.0, True))
        self.assertEqual(self.wait(True, (False, True)), (2.0, True))
        self.assertEqual(self.wait(True, (True, False)), (2.0, True))

    def test_instance_without_user(self) -> None:
        """IMDS may have keys without a user for them: only the DVD names the user."""
        self.assertEqual(self.wait(True, (False, False), user=False), (2.0, True))
        self.assertEqual(self.wait(True, (False, False), user=False, account="no"), (0.0, False))
        self.assertEqual(self.wait(True, (False, False), user=False, former=True), (0.0, False))  # a specialised disk

    def test_dvd_never_appears(self) -> None:
        waited, read = self.wait(False, (False, True))
        self.assertFalse(read)
        self.assertTrue(20 <= waited <= 60, waited)
        self.assertIn("no DVD in 60 s, and the password or the customData is on it", self.story)

    def test_no_wait_if_nothing_is_on_the_dvd(self) -> None:
        cases: "List[Tuple[Tuple[bool, bool], Dict[str, Any]]]" = [
            ((False, False), {}),
            ((True, True), {"password": "no", "custom_data": "no"}),
            ((False, True), {"custom_data": "no"}),
            ((True, False), {"password": "no"}),
        ]
        for promised, options in cases:
            with self.subTest(promised=promised, options=options):
                self.assertEqual(self.wait(True, promised, **options), (0.0, False))
                self.assertIn("no provisioning DVD (no DVD drive); using IMDS only", self.story)

    def test_dvd_is_not_read_if_unused(self) -> None:
        """In that case it is not read, unless IMDS leaves a value open. This stand-in records whether it was read."""
        pooled = "<wa:PlatformSettingsSection><wa:PlatformSettings><wa:PreprovisionedVm>true</wa:PreprovisionedVm>"
        pooled += "</wa:PlatformSettings></wa:PlatformSettingsSection></Environment>"
        nothing: "Dict[str, object]" = dict.fromkeys(OPTIONS, "no")
        cases: "List[Tuple[Dict[str, object], Tuple[str, ...], bool]]" = [
            (nothing, (), False),
            *((dict(nothing, **{key: "keep" if key == "custom_data" else "yes"}), (), True) for key in OPTIONS),
            (nothing, ("compute", "osProfile", "computerName"), True),
            (nothing, ("extended", "compute", "ppsType"), True),
            (nothing, ("compute",), True),  # no answer at all
        ]
        for options, lacking, read in cases:
            with self.subTest(options=options, lacking=lacking):
                self.setUp()
                self.fill(AZURE_VM)
                azure = self.azure(deadline=15, **options)
                section: "Any" = azure.instance
                for name in lacking[:-1]:
                    section = section[name]
                if lacking:
                    del section[lacking[-1]]
                self.fill({**DVD, "/media/cd/ovf-env.xml": OVF.replace("</Environment>", pooled)})
                self.fill({"/sys/block/sr0/dev": "11:0\n"})
                self.assertEqual(self.boot(), 1 if read else 0, self.story)
                self.assertEqual("DVD: read from /dev/sr0" in self.story, read, self.story)
                self.assertEqual("this VM is pre-provisioned (Running)" in self.story, read, self.story)
