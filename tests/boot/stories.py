"""The stories. Each plays on one image and returns nothing; it fails by raising `Wrong` or `Quiet`.

A story checks the required events, and watches for forbidden ones: a second Ready, a request on a settled boot.
"""

import os
import re
import threading
import time
from dataclasses import replace
from typing import Callable, Dict, NamedTuple, Set, Tuple

from . import disk, intact
from .azure import Azure, Seen, Vm, vm
from .disk import Disk
from .images import Image
from .machine import Quiet
from .scene import LOG, STATE, Boot, Scene, must
from .sealed import ELSEWHERE, IMDS, MAC, WIRESERVER

BOOT = 150.0  # seconds for an emulated machine with a slow init system, beside another machine
SETTLE = 2.0  # seconds during which a machine must not do a forbidden thing

# Stories that differ only in how a hook is started and kept: one image for each way is enough.
HOOK_IMAGES = ("networkd", "sysvinit", "openrc-trixie", "busybox")

PASSWORD = "Only the DVD knows: <this> & no log"


def first(scene: Scene) -> None:
    """First boot and logins, a second boot with the id's other byte order, and the disk re-enabled for another VM."""
    born = replace(vm(1, generation=1), ssh_key=scene.login.public, password=PASSWORD)
    with scene.boot(born, media=True) as boot:
        scene.figures["ready"] = boot.ready(BOOT)
        scene.figures["login"] = boot.shell(BOOT)
        boot.out_of_the_boot()
        _named(boot, born)
        old_keys = _lets_in(boot, born)
        _once(boot)
        boot.machine.power_off()
    _done(scene, born)
    _published(scene, born)
    again = "azure-provisioning install " + " ".join(scene.image.install)
    scene.figures["second"] = _quiet(scene, vm(1, generation=2), again)
    must(scene.enabled(), "install in the running machine left no hook")
    another = replace(vm(2, generation=2), ssh_key=scene.login.public)
    with scene.boot(another) as boot:
        boot.ready(BOOT)
        boot.shell(BOOT)
        boot.out_of_the_boot()
        _named(boot, another)
        must(not old_keys & _lets_in(boot, another), "another VM has the host keys of the first")
        _once(boot)
        boot.machine.ask("sync")
    _done(scene, another)


def _lets_in(boot: Boot, machine: Vm) -> Set[str]:
    """Logs in by key, and by password if set, after the host keys appeared on the console. Returns the ways."""
    login = boot.scene.login
    must(boot.machine.sshd(BOOT) < 1e9, "no ssh server answers")
    strange = login.verify(boot.machine.console)
    must(not strange, "a host key that the console did not show: %s" % "; ".join(strange))
    said = login.by_key(machine.user, boot.scene.image.become + " id -u")
    must(said == "0", "with the key, and asked to become root: %s" % said)
    if machine.password or boot.scene.image.openssh:  # the image decides whether dropbear accepts passwords
        said = login.by_password(machine.user, machine.password or PASSWORD, "id -un")
        right = said == machine.user if machine.password else "Permission denied" in said
        must(right, "with %s password: %s" % ("its" if machine.password else "the old", said))
    return login.known()


def _quiet(scene: Scene, same: Vm, command: str) -> float:
    """A settled boot: no request at all. Runs a command at its end; returns the seconds to the login."""
    with scene.boot(same) as boot:
        login = boot.shell(BOOT)
        _named(boot, same)
        must(boot.machine.sshd(30) < 1e9, "sshd did not come up")
        boot.pause(SETTLE)
        must(not boot.azure.connections, "a boot of a VM that is Ready asked Azure: %s" % _first(boot.azure))
        boot.machine.ask(command)
        boot.machine.power_off()
    return login


def essential(scene: Scene) -> None:
    """Partial Python: named, one Ready after a power cut at the report, a login becomes root, a silent second boot."""
    same = replace(vm(15, generation=1), ssh_key=scene.login.public)
    _cut(scene, same, _reported, True, 0.0)
    _whole(scene, "after a cut at the report")
    with scene.boot(same) as boot:
        scene.figures["ready"] = _comes_up(boot, same)
        _lets_in(boot, same)
        boot.machine.power_off()
    _done(scene, same)
    scene.figures["second"] = _quiet(scene, vm(15, generation=2), "true")


def cuts(scene: Scene) -> None:
    """Power cuts between the first request and the hook's removal, and right after Ready; then it completes."""
    same = vm(3, generation=1)
    all_of_them = scene.image.name in HOOK_IMAGES
    for name, reached, hold, delay in CUTS if all_of_them else CUTS[-1:]:
        _cut(scene, same, reached, hold, delay)
        _whole(scene, "after a cut at %s" % name)
    # Azure has accepted a Ready. A machine that could not record that reports again, and is cut again, later.
    _cut(scene, same, _reported, False, 0.0)
    _whole(scene, "after a cut right after Ready")
    if not _completes(scene, same, cut_after=0.1 if all_of_them else -1.0):
        _whole(scene, "after a cut 0.1 s after Ready")
        _completes(scene, same)
    _done(scene, same)
    scene.figures["leftovers"] = len(intact.leftovers(_pristine(scene), scene.disk, scene.folder / "dump"))


def _imds(seen: Seen) -> bool:
    return seen.to == "imds"


def _reported(seen: Seen) -> bool:
    return seen.method == "POST" and "comp=health" in seen.path


# Name of the point, the request that it is counted from, whether that request gets no answer, and the seconds from
# there to the cut. Later requests get no answer, so that none of these boots reaches Ready. One image for each way of
# starting a hook plays all points, and one more 0.1 s after Ready. Every image plays the last point.
CUTS: Tuple[Tuple[str, Callable[[Seen], bool], bool, float], ...] = (
    ("the first request", _imds, True, 0.0),
    ("a step after the description", _imds, False, 0.1),
    ("the report, before it was taken", _reported, True, 0.0),
)


def _completes(scene: Scene, same: Vm, cut_after: float = -1.0) -> bool:
    """Boot until the hook is gone, with at most one Ready. With `cut_after`, a Ready is interrupted: then False."""
    reported = threading.Event()

    def after(seen: Seen) -> None:
        if _reported(seen) and cut_after >= 0:
            boot.pause(cut_after)
            boot.machine.kill()
            reported.set()

    with scene.boot(same, Azure(scene.sealed, same, after=after)) as boot:
        try:
            boot.shell(BOOT)
            boot.out_of_the_boot(60)
            boot.pause(SETTLE)
            _named(boot, same)
        except (Quiet, OSError):
            if reported.wait(1):
                return False
            raise
        must(len(boot.azure.readies()) <= 1, "%d reports of Ready in one boot" % len(boot.azure.readies()))
        boot.machine.ask("sync")
    return True


def _cut(scene: Scene, same: Vm, reached: Callable[[Seen], bool], hold: bool, delay: float) -> None:
    """Boot, and cut the power at the first such request, or this many seconds after it."""
    there, gone = threading.Event(), threading.Event()

    def before(seen: Seen) -> None:
        if hold and reached(seen):
            there.set()
        if there.is_set():
            gone.wait(30)

    def after(seen: Seen) -> None:
        if reached(seen):
            there.set()

    with scene.boot(same, Azure(scene.sealed, same, before=before, after=after)) as boot:
        try:
            while not there.wait(0.2):
                must(boot.machine.on(), "the machine went off by itself")
                must(boot.machine.now() < BOOT, "the machine did not come to this point within %d s" % BOOT)
            boot.pause(delay)
            boot.machine.kill()
        finally:
            gone.set()


def down(scene: Scene) -> None:
    """Azure is missing for two minutes: one minute without an answer, then refusals. Then it answers."""
    same = vm(4, generation=2)
    with scene.boot(same, platform=False) as boot:
        scene.figures["login"] = boot.shell(BOOT)
        scene.figures["sshd"] = boot.machine.sshd(BOOT)
        with boot.machine.resting():
            _until(boot, 60)
            scene.sealed.hold(IMDS + "/32", WIRESERVER + "/32")
            _until(boot, 120)
        must(not boot.azure.connections, "the lab's own fault: Azure was reached while it was away")
        must("yes" in boot.machine.ask(scene.image.ask), "the hook is gone although nothing was reported")
        came = boot.machine.now()
        boot.azure.start()
        scene.figures["after"] = boot.ready(40) - came
        boot.out_of_the_boot()
        _named(boot, same)
        boot.pause(SETTLE)
        _once(boot)
        boot.machine.ask("sync")
    _done(scene, same)
    scene.figures["prepare"] = _prepared(scene)
    waiting = [line for line in scene.disk.text(LOG).splitlines() if "wait" in line.lower()]
    must(len(waiting) >= 2, "the log does not say every 30 s what is awaited")


# For a root shell: wait until the program has ended. A guest without procps sees that only in /proc.
RUNS = "grep -qz '[a]zure-provisioning$' /proc/[0-9]*/cmdline 2>/dev/null"
ENDED = "i=0; while [ $i -lt 110 ] && %s; do sleep 1; i=$((i+1)); done" % RUNS


def never(scene: Scene) -> None:
    """Azure never answers: login and sshd work. After the deadline one line reports it, and the hook stays."""
    scene.put("/etc/azure-provisioning.conf", "deadline = 75\n")
    with scene.boot(vm(5), platform=False) as boot:
        scene.figures["login"] = boot.shell(BOOT)
        scene.figures["sshd"] = boot.machine.sshd(BOOT)
        must(scene.figures["sshd"] < 1e9, "sshd did not come up")
        with boot.machine.resting():
            boot.machine.ask(ENDED, 130)
        must("yes" in boot.machine.ask(scene.image.ask), "the hook is gone although nothing was reported")
        boot.machine.ask("sync")
        said = boot.machine.console.partition("login: ")[2]
        must("azure-provisioning" in said, "the console does not say that it was given up")
    must(scene.enabled(), "the hook is gone although nothing was reported")
    scene.figures["prepare"] = _prepared(scene)


def late(scene: Scene) -> None:
    """DHCP answers 45 s after power-on, and names a WireServer at another address, if its client stores that."""
    same = vm(6, generation=1)
    azure = Azure(scene.sealed, same, wireserver=ELSEWHERE if scene.image.keeps_option_245() else WIRESERVER)
    with scene.boot(same, azure, dhcp=False) as boot:
        with boot.machine.resting():
            _until(boot, 45)
            must(not azure.connections, "a request before there was a lease")
            scene.sealed.start_dhcp(azure.wireserver)
        scene.figures["ready"] = _comes_up(boot, same)
        boot.machine.ask("sync")
    _done(scene, same)


def slow(scene: Scene) -> None:
    """IMDS, goal state and report take Azure 16, 20 and 29 s: each is requested once, and the report sent once."""
    same = vm(15, generation=1)

    def before(seen: Seen) -> None:
        time.sleep(16 if _imds(seen) else 29 if _reported(seen) else 20)

    with scene.boot(same, Azure(scene.sealed, same, before=before)) as boot:
        with boot.machine.resting():
            scene.figures["ready"] = boot.ready(BOOT + 65)
        boot.shell(BOOT)
        boot.out_of_the_boot()
        _named(boot, same)
        boot.pause(SETTLE)
        _once(boot)
        asked = [str(seen) for seen in boot.azure.seen]
        must(len(asked) == 3, "what takes its time was asked for again: %s" % "; ".join(asked))
        boot.machine.ask("sync")
    must("\nvm_id_azure=%s\n" % same.vm_id in scene.disk.text(STATE), "the id is not kept as Azure writes it")
    _done(scene, same)


def elsewhere(scene: Scene) -> None:
    """Not on Azure: nothing happens. The hook stays, in case the image later boots on Azure."""
    with scene.boot(vm(7), tag=False) as boot:
        scene.figures["login"] = boot.shell(BOOT)
        scene.figures["sshd"] = boot.machine.sshd(30)
        must(boot.machine.ask("hostname") == "image", "the name was changed")
        boot.pause(SETTLE)
        must(not boot.azure.connections, "a machine that is not on Azure asked it: %s" % _first(boot.azure))
        must("yes" in boot.machine.ask(scene.image.ask), "the hook is gone")
        boot.machine.ask("sync")
    must(scene.disk.text("/etc/hostname") == "image\n", "the name on disk was changed")


def every_boot(scene: Scene) -> None:
    """An image of an image: the disk of one VM boots as another VM, without a new `install` in between."""
    for number, generation in ((8, 1), (9, 2)):
        same = vm(number, generation)
        with scene.boot(same) as boot:
            boot.ready(BOOT)
            boot.shell(BOOT)
            _named(boot, same)
            boot.pause(SETTLE)
            _once(boot)
            boot.machine.ask("sync")
        must(scene.disk.text("/etc/hostname") == same.computer + "\n", "the name on disk is not %s" % same.computer)
        must(scene.enabled(), "the hook is gone although it was installed for every boot")
    scene.figures["second"] = _quiet(scene, vm(9, 1), "sync")


def failures(scene: Scene) -> None:
    """An invalid account, then a failing gate: Azure gets the reason, the hook stays. Then the gate passes."""
    with scene.boot(replace(vm(11), user="daemon")) as boot:
        said = boot.failed(BOOT)
        must("unsupported admin username" in said and "daemon" in said, "the account's failure is told as: " + said)
        _stays(boot, "would fail the same way")
    line = next(line for line in scene.disk.text("/etc/passwd").splitlines() if line.startswith("daemon:"))
    must(line.endswith("/nologin"), "the system's own account was changed: " + line)
    same = vm(12)
    scene.put(GATE, "#!/bin/sh\necho starting\necho 'the database is not there'\nexit 3\n", 0o755)
    with scene.boot(same) as boot:
        said = boot.failed(BOOT)
        must("gate=50-database|code=3" in said, "the gate's failure is told as: " + said)
        _stays(boot)
    # Its output may be a secret: it is in the log, which only root can read.
    must("the database is not there" not in said + scene.disk.text(STATE), "what a gate printed is told to others")
    must("the database is not there" in scene.disk.text(LOG), "the log does not have what the gate printed")
    scene.put(GATE, '#!/bin/sh\ntest "$AZURE_HOSTNAME" = %s\n' % same.computer, 0o755)
    with scene.boot(same) as boot:
        _comes_up(boot, same)
        boot.machine.ask("sync")
    _done(scene, same)


GATE = "/etc/azure-provisioning/ready.d/50-database"


def _stays(boot: Boot, then: str = "tries again") -> None:
    """After a failure: no Ready, one line on the console, and the next boot tries again."""
    boot.shell(BOOT)
    boot.machine.wait("azure-provisioning: FAILED: .*The next boot " + then, 30)
    must("yes" in boot.machine.ask(boot.scene.image.ask), "the hook is gone although provisioning failed")
    boot.pause(SETTLE)
    must(not boot.azure.readies(), "Ready after a failure")
    boot.machine.power_off()


def barred(scene: Scene) -> None:
    """An sshd that refuses every user: Azure gets the reason, the hook stays. Corrected, it reaches Ready."""
    same = replace(vm(0), ssh_key=scene.login.public)
    scene.put(HARD, "DenyUsers *\n")
    with scene.boot(same) as boot:
        said = boot.failed(BOOT)
        must("nobody can log in" in said and "key=DenyUsers *" in said, "told as: " + said)
        _stays(boot)
    must("login.key=no: DenyUsers *" in scene.disk.text(STATE), "the state does not say who is kept out")
    scene.disk.change("rm " + HARD)
    with scene.boot(same) as boot:
        scene.figures["ready"] = _comes_up(boot, same)
        _lets_in(boot, same)
        boot.machine.ask("sync")
    _done(scene, same)


HARD = "/etc/ssh/sshd_config.d/50-hard.conf"


def frozen(scene: Scene) -> None:
    """A read-only root file system: reported to Azure."""
    with scene.boot(vm(13), writable=False) as boot:
        said = boot.failed(BOOT)
        must("read-only" in said.lower(), "told as: " + said)
        boot.shell(BOOT)
        boot.pause(SETTLE)
        must(not boot.azure.readies(), "Ready after a failure")
    must(scene.enabled(), "the hook is gone although provisioning failed")


def bare(scene: Scene) -> None:
    """No useradd in the image: the account is still made, and can log in."""
    same = replace(vm(14), ssh_key=scene.login.public)
    scene.disk.change("rm /usr/sbin/useradd", "rm /usr/sbin/adduser")
    with scene.boot(same) as boot:
        boot.ready(BOOT)
        boot.shell(BOOT)
        must(not boot.machine.ask("command -v useradd adduser"), "the lab's own fault: there is a useradd")
        boot.out_of_the_boot()
        _lets_in(boot, same)
        _once(boot)
        boot.machine.ask("sync")
    _done(scene, same)


# Ways to break the image: the check that must report an error, and the shell lines to run in the tree's root.
BROKEN: Dict[str, Tuple[str, str]] = {
    "no hook": ("hook", "rm etc/systemd/system/multi-user.target.wants/azure-provisioning.service"),
    "no program": ("program", "rm usr/local/sbin/azure-provisioning"),
    "half a program": ("program", "truncate -s 300000 usr/local/sbin/azure-provisioning"),
    "no Python": ("python", "rm usr/bin/python3*"),
    "a gate that anybody may write": (
        "ready-gates",
        "mkdir -p etc/azure-provisioning/ready.d; cd etc/azure-provisioning/ready.d; echo '#!/bin/sh' >gate;"
        "chmod 777 gate",
    ),
    "another agent": (
        "other-agent",
        "echo '#!/bin/sh' >usr/sbin/waagent; chmod 755 usr/sbin/waagent; cd etc/systemd/system;"
        "printf '[Service]\\nExecStart=/usr/sbin/waagent\\n' >walinuxagent.service;"
        "ln -s ../walinuxagent.service multi-user.target.wants/walinuxagent.service",
    ),
    "nobody asks for an address": ("dhcp", "rm etc/systemd/network/*.network"),
    "no accounts": ("account", "rm etc/passwd"),
    "no SSH server": ("sshd", "rm usr/sbin/sshd"),
    "sshd is off": ("sshd", "rm etc/systemd/system/multi-user.target.wants/ssh.service"),
    "nobody is let in": ("sshd-config", "echo 'DenyUsers *' >etc/ssh/sshd_config.d/50-hard.conf"),
    "closed to all": ("sshd-config", "ln -s /dev/null etc/systemd/system/systemd-user-sessions.service"),
}
PATIENCE = 30.0  # seconds after the login prompt; an intact machine of this image is Ready long before


def broken(scene: Scene) -> None:
    """Images broken in twelve ways: `check` reports an error for each, and no VM of them accepts its administrator."""
    born = replace(vm(10), ssh_key=scene.login.public)
    with scene.disks.installed(scene.folder / "sound.tree", []) as sound:
        for name, (finding, how) in BROKEN.items():
            errors = scene.make_broken(sound, how)
            must(finding in errors, "%s: check has no error of %s, but %s" % (name, finding, errors or "none"))
            with scene.boot(born) as boot:
                boot.machine.login(BOOT)
                with boot.machine.resting():
                    boot.pause(PATIENCE)
                if boot.azure.readies() and boot.machine.sshd(5) < 1e9:
                    boot.scene.login.verify(boot.machine.console)
                    said = boot.scene.login.by_key(born.user, "id -un")
                    must(said != born.user, "%s: check says: %s; the VM lets its user in" % (name, errors[finding]))


def second_card(scene: Scene) -> None:
    """A second card with the address of the first: Ready and a login. It is set up only if `check` warned of that, and
    not after the remedy."""
    same = replace(vm(6), ssh_key=scene.login.public)
    warned = ACCELERATED in scene.disks.remedies
    with scene.boot(same, second_card=True) as boot:
        scene.figures["ready"] = _comes_up(boot, same)
        _lets_in(boot, same)
        _is_set_up(boot, warned)
        boot.machine.power_off()
    _done(scene, same)
    _published(scene, same)
    if scene.image.name not in CURED:
        return
    path, line = CURED[scene.image.name]
    remedy = scene.disks.remedies.get(ACCELERATED, "there is no warning")
    must(path in remedy, "the remedy does not change %s: %s" % (path, remedy))
    scene.put(path, scene.disk.text(path) + line)
    with scene.boot(same, second_card=True) as boot:
        boot.shell(BOOT)
        must(boot.machine.sshd(BOOT) < 1e9, "sshd did not come up")
        _is_set_up(boot, False)


def _is_set_up(boot: Boot, expected: bool) -> None:
    """Does the second card get an address of its own, or not?"""
    must(boot.machine.ask("cat /sys/class/net/eth1/address") == MAC, "the lab's own fault: there is no second card")
    end = boot.machine.now() + (30 if expected else SETTLE)
    while "10.77.0." not in boot.machine.ask("ip -o -4 address show dev eth1") and boot.machine.now() < end:
        boot.pause(0.5)
    got = boot.machine.ask("ip -o -4 address show dev eth1")
    must(bool(got) == expected, "check warns: %s; the second card has: %s" % (expected, got or "no address"))


ACCELERATED = "accelerated-networking"
# What the remedies write, for these two cards instead of Azure's. NetworkManager's is a rule for devices on Azure's own
# bus, which no emulator has.
CURED: Dict[str, Tuple[str, str]] = {
    "networkd": ("/etc/systemd/network/50-dhcp.network.d/azure.conf", "[Match]\nDriver=virtio_net\n"),
    "sysvinit-plain": ("/etc/dhcpcd.conf", "denyinterfaces eth1\n"),
}


def confined(scene: Scene) -> None:
    """AppArmor or SELinux enforces: everything is done, the name is in the lease, and no program of ours was denied."""
    born = replace(vm(8, generation=1), ssh_key=scene.login.public, password=PASSWORD)
    with scene.boot(born, media=True) as boot:
        scene.figures["ready"] = _comes_up(boot, born)
        enforced = boot.machine.ask(scene.image.confined).splitlines()
        must(len(enforced) == 1 and "enforc" in enforced[0].lower(), "enforced is: %s" % enforced)
        _lets_in(boot, born)
        # Our own dhclient is told to run `true` instead of its script, which is as good as not being allowed to.
        denied = boot.machine.ask("dmesg | grep -i denied | grep -E 'comm=\"(%s)\"' | grep -v /usr/bin/true" % OURS)
        must(not denied, "denied: %s" % denied)
        boot.machine.power_off()
    _done(scene, born)
    _published(scene, born)
    scene.figures["second"] = _quiet(scene, replace(born, generation=2), "true")


# The programs that a first boot starts, as the kernel names them.
OURS = "python3|azure-provision|useradd|ssh-keygen|dhclient|networkctl|mount|sudo|visudo|sshd"


def volume(scene: Scene) -> None:
    """Root on LVM, and a disk larger than the image: partition, volume and file system grow, once; a login."""
    scene.second_disk = disk.partitioned(scene.folder / "volume.img", SMALL)
    with scene.boot(vm(7), tag=False) as boot:
        boot.shell(BOOT)
        said = boot.machine.ask(MOVE, 400)
        must(said.endswith("moved"), "the lab's own fault: the root was not moved to LVM: " + said[-300:])
        boot.machine.power_off()
    os.truncate(scene.second_disk, LARGE << 20)
    scene.words = "root=/dev/mapper/system-root"
    born = replace(vm(1, generation=1), ssh_key=scene.login.public)
    with scene.boot(born) as boot:
        scene.figures["ready"] = _comes_up(boot, born)
        _lets_in(boot, born)
        grown = _size(boot)
        log = boot.machine.ask("grep -e grow_root -e ' grew ' " + LOG)
        must(grown > LARGE * 0.9, "the root file system has %d MiB of a disk of %d MiB: %s" % (grown, LARGE, log))
        boot.machine.power_off()
    scene.figures["second"] = _quiet(scene, vm(1, generation=2), "true")


# For a root shell: copy the running system to a logical volume, which fills the second disk.
MOVE = (
    "pvcreate -q /dev/vdb1 && vgcreate -q system /dev/vdb1 && lvcreate -q -n root -l 100%FREE system &&"
    " mkfs.ext4 -q /dev/system/root && mkdir -p /mnt && mount /dev/system/root /mnt && cp -ax /. /mnt && umount /mnt &&"
    " vgchange -q -an && echo moved"
)
SMALL, LARGE = 1500, 2200  # MiB


def _size(boot: Boot) -> int:
    """MiB of the root file system."""
    return int(boot.machine.ask("df -m --output=size / | tail -n 1"))


def plain(scene: Scene) -> None:
    """The same image without us, for comparison."""
    with scene.boot(vm(10), platform=False) as boot:
        scene.figures["login"] = boot.shell(BOOT)
        scene.figures["sshd"] = boot.machine.sshd(BOOT)


class Story(NamedTuple):
    """A story: its name, its function, and the disk that it starts from."""

    name: str
    play: Callable[[Scene], None]
    variant: str
    waits: bool = False  # the machine is idle most of its time
    images: Tuple[str, ...] = ()  # none: all of them

    def is_for(self, image: Image) -> bool:
        """Is it played on this image?"""
        return self.name in image.stories if image.stories else not self.images or image.name in self.images

    def says(self) -> str:
        """Its description in one line."""
        return (self.play.__doc__ or "").strip()


# Debian's ifup has udhcpc give up after 9 s: a late answer finds no client.
PATIENT_IMAGES = ("networkd", "nm", "sysvinit", "sysvinit-plain", "busybox")

_ALL = (
    Story("cuts", cuts, "hooked"),
    Story("first", first, "hooked"),
    Story("every-boot", every_boot, "every-boot", images=HOOK_IMAGES),
    Story("elsewhere", elsewhere, "hooked"),
    Story("plain", plain, "plain"),
    Story("failures", failures, "hooked", images=("networkd", "busybox")),
    Story("barred", barred, "hooked", images=("networkd",)),
    Story("broken", broken, "plain", waits=True, images=("networkd",)),
    Story("frozen", frozen, "hooked", images=("networkd",)),
    Story("bare", bare, "hooked", images=("sysvinit-plain",)),
    Story("second-card", second_card, "hooked", images=("networkd", "nm", "sysvinit", "sysvinit-plain")),
    Story("confined", confined, "hooked", images=("apparmor", "selinux")),
    Story("volume", volume, "hooked", images=("lvm",)),
    Story("essential", essential, "hooked", images=("no-python", "bare", "half-python")),
    Story("down", down, "hooked", waits=True),
    Story("never", never, "hooked", waits=True, images=HOOK_IMAGES),
    Story("slow", slow, "hooked", waits=True, images=("networkd",)),
    Story("late", late, "hooked", waits=True, images=PATIENT_IMAGES),
)
STORIES: Dict[str, Story] = {story.name: story for story in _ALL}


def _comes_up(boot: Boot, machine: Vm) -> float:
    """Boots to Ready once, with its name and the hook disabled: seconds from power-on to Ready. Leaves a root shell
    open."""
    ready = boot.ready(BOOT)
    boot.shell(BOOT)
    boot.out_of_the_boot()
    _named(boot, machine)
    boot.pause(SETTLE)
    _once(boot)
    return ready


def _named(boot: Boot, machine: Vm) -> None:
    name = boot.machine.ask("hostname")
    must(name == machine.computer, "the running system is called %s, not %s" % (name, machine.computer))


def _once(boot: Boot) -> None:
    readies = boot.azure.readies()
    must(len(readies) == 1, "%d reports of Ready in one boot" % len(readies))
    later = [seen for seen in boot.azure.seen if seen.at > readies[0].at]
    must(not later, "a request after Ready: %s" % "; ".join(map(str, later)))


def _done(scene: Scene, machine: Vm) -> None:
    """The state of the disk after a VM is Ready and its hook has disabled itself."""
    must(scene.disk.text("/etc/hostname") == machine.computer + "\n", "the name on disk is not %s" % machine.computer)
    must(not scene.enabled(), "still enabled on disk: %s" % ", ".join(scene.enabled()))
    _whole(scene, "at the end")


def _published(scene: Scene, machine: Vm) -> None:
    """A DHCP request carried the name; or the log says that this client sends none, like dhcpcd in Debian, or that
    SELinux's policy kept networkd from it."""
    silent = "did not request a lease with the new name" if scene.image.kernel else "sends no host name"
    known = scene.sealed.was_given(machine.computer) or silent in scene.disk.text(LOG)
    must(known, "no DHCP request carried the new name, and the log does not say so")


def _prepared(scene: Scene) -> float:
    """Seconds that the local part took. Only this part may delay the boot."""
    steps = re.findall(r"(?m)^step\.(?:entropy|host_keys)=\S+ ([\d.]+)$", scene.disk.text(STATE))
    must(steps, "the state does not tell how long the local part took")
    return sum(map(float, steps))


def _whole(scene: Scene, when: str) -> None:
    settled = scene.disk.settled(scene.folder / "settled.img")
    broken = intact.broken(settled, scene.folder / "dump", scene.disks.program.read_bytes())
    must(not broken, when + ": " + "; ".join(broken))


def _pristine(scene: Scene) -> Disk:
    return Disk(scene.disks.pristine(scene.variant))


def _until(boot: Boot, moment: float) -> None:
    while boot.machine.now() < moment:
        must(boot.machine.on(), "the machine went off by itself")
        boot.pause(0.2)


def _first(azure: Azure) -> str:
    return str(next(iter(azure.seen + azure.connections), "nothing"))


__all__ = ["STORIES", "Quiet", "Story"]
