"""Provisioned only once: for every init system, from `install` through the first boot to a settled boot."""

from unittest import mock

from azure_provisioning.azure.identity import DMI
from azure_provisioning.door.tree import Tree
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.init import manifest, table
from azure_provisioning.story.settled import is_settled
from tests.guests import STATE
from tests.images import IMAGES, SUPPORTED, ImageTest, listing

AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
# Verbs that need the guest's programs are left out: these images have none.
STEPS = ("hosts", "hostname", "account", "password", "ssh_keys", "sudo", "password_login", "grow_root", "entropy")


class HookTest(ImageTest):
    def guest(self, image: str, *arguments: str) -> None:
        """A VM on Azure, from an image with the file installed."""
        self.empty()
        self.image(image)
        self.azure(publish_name="no", **dict.fromkeys(STEPS, "no"))
        self.install(*arguments)
        self.do_what_is_left()
        self.fill({DMI + "/chassis_asset_tag": AZURE_TAG + "\n", DMI + "/product_uuid": VM_ID + "\n"})


class OnceTest(HookTest):
    def test_first_boot_disables_the_hook(self) -> None:
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.guest(name)
                enabled = self.hook()
                self.assertTrue(enabled[1])
                self.assertEqual(self.boot(), 0, self.story)
                self.assertIn("ready_at", self.facts())
                self.assertEqual(self.hook()[1], [])
                self.assertIn("the hook is off", self.story)
                after = listing(self.root)
                self.assertEqual(self.boot(), 0)
                self.assertEqual(listing(self.root), after)
                self.install()  # a new image is captured from this VM
                self.assertEqual(self.hook(), enabled)

    def test_every_boot_keeps_the_hook(self) -> None:
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.guest(name, "--every-boot")
                enabled = self.hook()
                for _ in range(2):
                    self.assertEqual(self.boot(), 0, self.story)
                    self.assertEqual(self.hook(), enabled)
                self.assertTrue(is_settled(Tree(self.root)))

    def test_interrupted_after_ready(self) -> None:
        """Interrupted between Ready and the end: the next boot notices that, and finishes."""
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.guest(name)
                self.fill({STATE: "vm_id=%s\nconfigured_at=x\nready_at=y\n" % VM_ID})
                self.assertFalse(is_settled(Tree(self.root)))
                self.assertEqual(self.boot(), 0, self.story)
                self.assertEqual(self.hook()[1], [])
                self.assertEqual(table.disable(self.system), [])
                self.assertIn(SUPPORTED[name], self.text("/var/lib/azure-provisioning/install") or "")

    def test_boot_loads_one_init_system(self) -> None:
        """A boot does not compile the modules of other init systems."""
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.guest(name)
                with mock.patch.object(table, "load", wraps=table.load) as load:
                    self.assertTrue(table.disable(self.system))
                load.assert_called_once_with(SUPPORTED[name])
                self.assertEqual(self.hook()[1], [])

    def test_installed_by_a_package(self) -> None:
        """No record says which init system it is."""
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.guest(name)
                self.system.unlink(manifest.PATH)
                self.assertTrue(table.disable(self.system))
                self.assertEqual(self.hook()[1], [])


class FailedBootTest(HookTest):
    speed = 500.0  # these boots only wait

    def test_failed_boot_keeps_the_hook(self) -> None:
        for name in sorted(IMAGES):
            with self.subTest(name):
                self.guest(name)
                enabled = self.hook()
                self.options(imds="127.0.0.1:9", wireserver="127.0.0.1:9", deadline=61)
                self.assertEqual(self.boot(), 1)
                self.assertEqual(self.hook(), enabled)
