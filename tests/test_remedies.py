"""Every remedy of `check`, for images with hostile names that would do harm in a shell."""

import json
import os
import shutil
from typing import Dict, List, Sequence, Set, Tuple

from azure_provisioning.door.system import System
from azure_provisioning.image.check import check, packages
from azure_provisioning.image.check.passwords import SHOWN
from azure_provisioning.image.command import Command
from tests.images import IMAGES
from tests.sound import GOOD, GRUB, INITRAMFS, MODULES, CheckTest
from tests.test_command import NAMES, ShellTest, raw, shells

HOSTILE = "it's; touch PWNED;$(touch PWNED) \x1b[0m\n-x"  # the mount point of the image
FILE_NAMES = [name for name in NAMES if name and "/" not in name and not name.startswith("~")]
KERNELS = [name for name in FILE_NAMES if not name.startswith("-")]
ACCOUNTS = [name for name in NAMES if name and "\n" not in name and "\r" not in name and ":" not in name]
ACCOUNTS = [name for name in ACCOUNTS if not set(name) & {"\x85", "\u2028"} and name.strip()]
STAND_INS = ("chroot", "rm", "vi", "chmod", "sed", "grep", "mkdir", "azure-provisioning")
WANTS = "/etc/systemd/system/multi-user.target.wants/"
HASH = "$6$salt$" + "x" * 86

# What causes findings in an image that lacks nothing: (files, removed paths).
CHANGES: "Sequence[Tuple[Dict[str, str], Sequence[str]]]" = (
    ({}, ["/usr/sbin/sshd"]),
    ({}, [WANTS + "ssh.service"]),
    ({}, ["/usr/lib/systemd/systemd-networkd"]),
    ({}, ["/usr/bin/sudo", "/usr/sbin/sfdisk", "/usr/bin/python3.11"]),
    ({}, ["/usr/sbin/resize2fs", WANTS + "azure-provisioning.service"]),
    ({}, ["/usr/bin/ssh-keygen"]),
    ({"/etc/hostname": "-> /nix/store/x-hostname"}, []),
    ({"/etc/nologin": ""}, []),
    ({"/etc/ssh/sshd_config": "PubkeyAuthentication no\nAllowUsers $(touch PWNED)\nPort 23\n"}, []),
    ({"/etc/azure-provisioning.conf": "x;touch PWNED = yes\ndeadline = 3000\n"}, []),
    ({"/etc/azure-provisioning.conf": "host_keys = keep\n"}, []),
    ({"/etc/fstab": "/dev/vda1;touch${IFS}PWNED / ext4 ro 0 1\n/dev/sda2 none swap sw\n/dev/sda3 /home ext4\n"}, []),
    ({"/etc/default/rcS": "ROOTFS_READ_ONLY=yes\nUTC=no\n", "/etc/overlayroot.conf": "overlayroot=tmpfs\n"}, []),
    ({"/usr/lib/systemd/system/default.target": "-> rescue.target"}, []),
    ({"/etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet"\n', "/usr/sbin/update-grub": "",
      "/boot/grub/grub.cfg": GRUB.replace("console=ttyS0", "")}, ()),
    ({"/etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet"\n', "/usr/sbin/grub-mkconfig": ""}, ["/boot/grub/grub.cfg"]),
    ({"/etc/update-extlinux.conf": 'default_kernel_opts="quiet"\n'}, ["/boot/grub/grub.cfg"]),
    ({"/usr/sbin/update-initramfs": "", "/etc/initramfs-tools/modules": ""}, [INITRAMFS]),
    ({"/usr/sbin/dracut": "", "/etc/dracut.conf.d/x.conf": ""}, [INITRAMFS]),
    ({"/usr/sbin/mkinitcpio": "", "/etc/mkinitcpio.conf.d/x.conf": ""}, [INITRAMFS]),
    ({"/usr/sbin/mkinitfs": "", "/etc/mkinitfs/features.d/x": ""}, [INITRAMFS]),
    ({"/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=x\n", "/etc/selinux/x/contexts/x": ""}, []),
    ({"/etc/systemd/network/50-dhcp.network": "[Match]\nName=e*\n[Network]\nDHCP=yes\n",
      "/etc/systemd/network/50-dhcp.network.d/x.conf": ""}, ()),
    ({"/usr/sbin/waagent": "", "/usr/lib/systemd/system/waagent.service": "[Service]\n",
      WANTS + "waagent.service": "-> /x"}, []),
    ({"/var/lib/azure-provisioning/state": "vm_id=x\nready_at=y\n"}, ["/usr/lib/systemd/systemd"]),
    ({"/etc/machine-id": "0123456789abcdef0123456789abcdef\n", "/root/.bash_history": "x\n"}, []),
)  # fmt: skip


class RemedyTest(CheckTest, ShellTest):
    def setUp(self) -> None:
        CheckTest.setUp(self)
        ShellTest.setUp(self)
        self.stand_in(*STAND_INS)
        self.root = self.folder + "/" + HOSTILE
        shutil.copytree(self.template, self.root, symlinks=True)
        self.system = type(self.system)(self.root)
        self.seen: "Set[Tuple[str, str]]" = set()

    def begin(self) -> None:
        """The original image."""
        shutil.rmtree(self.root)
        shutil.copytree(self.template, self.root, symlinks=True)

    def remedies(self) -> "List[Tuple[str, str]]":
        """(id, remedy) of all findings, for scripts."""
        findings = check.check(System(self.root))
        for finding in findings:
            self.assertIsInstance(finding.remedy, Command, finding)
        found = [(each["id"], each["remedy"]) for each in json.loads(check.as_json(findings)) if each["remedy"]]
        for _, remedy in found:
            self.assertRegex(remedy, r"\A[ -~]+\Z")
        shown = [line.strip()[2:] for line in check.as_text(findings) if line.startswith(" " * 9 + "> ")]
        self.assertEqual(sorted(shown), sorted(remedy for _, remedy in found))  # the text lists errors first
        return found

    def copied(self, found: "List[Tuple[str, str]]") -> "List[List[bytes]]":
        """Each shell runs the remedies in the same way, with only our stand-ins, one at a time."""
        answers = []
        for shell in shells():
            answers.append(sorted(self.run_in(shell, "\n".join(remedy for _, remedy in found))))
            self.assertEqual(answers[-1], answers[0], shell)
        root = raw(self.root)[0]
        for words in answers[0]:
            self.assertIn(words[0].decode("ascii"), STAND_INS)
            for word in words[1:]:
                if b"it's" in word:  # the root and each path in it are one word
                    self.assertTrue(word == root or word.startswith(root + b"/"), words)
        self.seen |= {(name, remedy.split(" ")[0]) for name, remedy in found}
        return answers[0]

    def test_all(self) -> None:
        for files, gone in CHANGES:
            with self.subTest(files=files, gone=gone):
                self.begin()
                self.gone(*gone)
                self.fill(files)
                found = self.remedies()
                self.assertTrue(found)
                self.copied(found)
        for tool, _ in packages.MANAGERS:
            self.begin()
            self.gone("/usr/bin/apt-get", "/usr/bin/sudo", "/usr/sbin/sshd", "/usr/lib/systemd/systemd-networkd")
            self.fill({"/usr/bin/" + tool: ""})
            self.copied(self.remedies())
        for name in sorted(IMAGES):
            self.empty()
            self.image(name)
            self.fill({"/etc/init.d/agetty": "#!/sbin/openrc-run\n", "/etc/machine-id": "x" * 32, "/usr/sbin/sshd": ""})
            self.copied(self.remedies())
        self.empty()
        self.fill({"/etc/hostname": "x\n", "/usr/bin/env": ""})  # no init system
        self.copied(self.remedies())
        ids = {name for name, _ in self.seen}
        without = {
            "program",
            "dvd",
            "account",
            "kernel",
            "network-pinned",
            "authorized-keys",
            "passwords",
            "ready-gates",
        }
        without |= {"random-seed", "leases"}
        self.assertGreaterEqual(ids | without, {name for name, _ in check.CHECKS})

    def test_accounts(self) -> None:
        """Also their homes. A finding names only some of them."""
        for first in range(0, len(ACCOUNTS), SHOWN - 1):
            self.start()
            self.try_accounts(ACCOUNTS[first : first + SHOWN - 1])

    def try_accounts(self, accounts: "Sequence[str]") -> None:
        lines = ["%s:x:%d:1000::/home/%s:/bin/sh" % (name, 1000 + at, name) for at, name in enumerate(accounts)]
        shadow = ["%s:%s:19000:0:99999:7:::" % (name, HASH) for name in accounts]
        self.system.write("/etc/passwd", "\n".join([GOOD["/etc/passwd"].split("\n")[0], *lines, ""]))
        self.system.write("/etc/shadow", "\n".join(["root:*:19000:0:99999:7:::", *shadow, ""]))
        for name in accounts:
            place = os.path.join(self.root, "home", name, ".ssh")
            os.makedirs(place, exist_ok=True)
            with open(place + "/authorized_keys", "w") as file:
                file.write("ssh-rsa x\n")
        found = [each for each in self.remedies() if each[0] in ("passwords", "authorized-keys")]
        answers = self.copied(found)
        locked = [words[len(raw("chroot", self.root)) :] for words in answers if words[0] == b"chroot"]
        meant = [raw("passwd", "-l", *(["--"] if name.startswith("-") else []), name) for name in accounts]
        self.assertEqual(locked, sorted(meant))
        removed = {words[1] for words in answers if words[0] == b"rm"}
        keys = {os.path.normpath("%s/home/%s/.ssh/authorized_keys" % (self.root, name)) for name in accounts}
        self.assertEqual(removed, set(raw(*keys)))

    def test_account_without_a_password(self) -> None:
        for name in ACCOUNTS[::3]:
            self.system.write("/etc/shadow", "%s::19000:0:99999:7:::\n" % name)
            self.system.write("/etc/passwd", "%s:x:1000:1000::/:/bin/sh\n" % name)
            found = [each for each in self.remedies() if each[0] == "passwords"]
            (words,) = self.copied(found)
            self.assertEqual((words[:2], words[-1:]), (raw("chroot", self.root), raw(name)))

    def test_account_name_with_a_nul(self) -> None:
        self.fill({"/etc/passwd": "a\0b:x:1000:1000::/:/bin/sh\n", "/etc/shadow": "a\0b::19000:0:99999:7:::\n"})
        self.assertNotIn("passwords", [name for name, _ in self.remedies()])

    def test_kernels(self) -> None:
        for version in KERNELS[1::3]:
            self.begin()
            shutil.move(self.root + MODULES, os.path.join(self.root, "usr/lib/modules", version))
            os.rename(self.root + "/boot/vmlinuz-6.1.0-2", "%s/boot/vmlinuz-%s" % (self.root, version))
            os.unlink(self.root + INITRAMFS)
            with open("%s/boot/initrd.img-%s" % (self.root, version), "w") as file:
                file.write("no archive")
            self.fill({"/usr/bin/lsinitramfs": ""})
            with self.subTest(version):
                found = [each for each in self.remedies() if each[0] == "initramfs"]
                words = self.copied(found)
                image = "/boot/initrd.img-" + version
                self.assertEqual(
                    words, [raw("chroot", self.root, "lsinitramfs", image), raw("grep", "-E", "hv.storvsc|sd.mod")]
                )

    def test_files(self) -> None:
        """modprobe.d, the network's files, and the ready gates."""
        meant = {}
        for name in FILE_NAMES:
            for form, text, id_, argv in (
                ("/etc/modprobe.d/%s.conf", "blacklist hv_netvsc\n", "kernel", ["sed"]),
                (
                    "/etc/netplan/%s.yaml",
                    "network: {ethernets: {x: {match: {macaddress: 00}}}}\n",
                    "network-pinned",
                    ["rm"],
                ),
                ("/etc/systemd/network/%s.link", "[Match]\nMACAddress=00\n", "network-pinned", ["rm"]),
                ("/etc/NetworkManager/system-connections/%s", "[ethernet]\nmac-address=00\n", "network-pinned", ["rm"]),
                ("/etc/azure-provisioning/ready.d/%s", "", "ready-gates", ["chmod", "+x"]),
            ):
                path = self.root + form % name
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w") as file:
                    file.write(text)
                meant[path] = (id_, [*argv, path])
        found = [each for each in self.remedies() if each[0] in ("kernel", "network-pinned", "ready-gates")]
        answers = self.copied(found)
        for id_, argv in meant.values():
            if id_ != "kernel":
                self.assertIn(raw(*argv), answers)
        self.assertLessEqual(
            {tuple(words) for words in answers if words[0] != b"sed"},
            {tuple(raw(*argv)) for _, argv in meant.values()},
        )
        edited = [words[-1] for words in answers if words[0] == b"sed"]
        self.assertEqual(sorted(edited), sorted(raw(*(path for path in meant if "/modprobe.d/" in path))))

    def test_paths_stay_inside_the_image(self) -> None:
        """A shell outside would follow a link in the image to a file of the host."""
        outside = self.folder + "/outside"
        os.mkdir(outside)
        os.makedirs(self.root + outside)
        self.fill({"/etc/modprobe.d": "-> " + outside, "/etc/ssh/sshd_config": "-> " + outside + "/sshd_config"})
        for root in ("", self.root):
            with open(root + outside + "/bad.conf", "w") as file:
                file.write("blacklist hv_netvsc\n")
            with open(root + outside + "/sshd_config", "w") as file:
                file.write("PubkeyAuthentication no\n")
        self.fill({"/etc/default/grub": "-> " + outside + "/grub", "/usr/sbin/update-grub": ""})
        with open(self.root + outside + "/grub", "w") as file:
            file.write("GRUB_CMDLINE_LINUX=\n")
        os.unlink(self.root + "/boot/grub/grub.cfg")
        answers = self.copied(self.remedies())
        self.assertIn(raw(self.root + outside + "/bad.conf"), [words[-1:] for words in answers if words[0] == b"sed"])
        self.assertIn(raw("sed", "-i", "1s/^/#/", self.root + outside + "/sshd_config"), answers)
        self.assertEqual(sorted(os.listdir(outside)), ["bad.conf", "sshd_config"])
        with open(self.root + outside + "/grub") as file:
            self.assertIn("console=ttyS0", file.read())
