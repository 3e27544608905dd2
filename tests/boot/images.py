"""The table of images: the tree's packages, how it is finished, and how its init system names the hook."""

from dataclasses import dataclass
from typing import Callable, Dict, List, Tuple

from .disk import Disk

COMMON = ("linux-image-cloud-amd64", "initramfs-tools", "udev", "kmod", "iproute2", "python3")
OPENSSH = ("openssh-server", "sudo")
DROPBEAR = ("dropbear-bin", "opendoas")

# The lab logs in on the serial console as root without a password. Only the lab can reach these machines.
EVERY_IMAGE = r"""
passwd -d root >/dev/null
echo image > /etc/hostname
printf '127.0.0.1\tlocalhost\n127.0.1.1\timage\n' > /etc/hosts
rm -f /etc/resolv.conf
"""

# An RSA key takes an emulated processor many seconds. The image without these lines has Debian's sshd unchanged.
ED25519 = r"""
echo 'HostKey /etc/ssh/ssh_host_ed25519_key' > /etc/ssh/sshd_config.d/host-key.conf
rm /etc/ssh/ssh_host_rsa_key* /etc/ssh/ssh_host_ecdsa_key*
"""

# A distro's initial ramdisk has hundreds of drivers, and udev to choose among them. Unpacking and probing costs an
# emulated machine more than a second of each boot, and the hardware here is known. Hyper-V's drivers, which an image
# for Azure must have, are included, but nothing loads them here.
SMALL_RAMDISK = r"""
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
cat > /etc/initramfs-tools/hooks/drivers <<'END'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_blk virtio_net vmxnet3 ext4 crc32c_generic ata_piix sr_mod
manual_add_modules hv_vmbus hv_storvsc sd_mod hv_netvsc
END
cat > /etc/initramfs-tools/scripts/init-premount/drivers <<'END'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
modprobe -a virtio_pci virtio_blk virtio_net ext4 crc32c_generic
read -r line < /proc/cmdline
case " $line " in *' dvd '*) modprobe -a ata_piix sr_mod ;; esac
case " $line " in *' second-card '*) modprobe vmxnet3 ;; esac
END
cat > /etc/initramfs-tools/scripts/init-bottom/dev <<'END'
#!/bin/sh
[ "$1" = prereqs ] || mount -o move /dev "$rootmnt/dev"
END
chmod 755 /etc/initramfs-tools/hooks/drivers /etc/initramfs-tools/scripts/*/*
rm /usr/share/initramfs-tools/hooks/udev /usr/share/initramfs-tools/scripts/*/udev
update-initramfs -u
"""

# These units have no work in such a machine, and each costs a process in an emulated boot. So do the generators, which
# run again whenever a unit is enabled or disabled. udev handles only the devices in use. The bench boots a systemd with
# all of them.
FEWER_UNITS = r"""
systemctl --quiet mask dev-hugepages.mount dev-mqueue.mount e2scrub_reap.service getty@tty1.service \
    kmod-static-nodes.service modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service \
    modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service proc-sys-fs-binfmt_misc.automount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    systemd-binfmt.service systemd-logind.service systemd-modules-load.service systemd-network-generator.service \
    systemd-random-seed.service systemd-remount-fs.service systemd-sysctl.service systemd-sysusers.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service
systemctl --quiet enable serial-getty@ttyS0.service
mkdir -p /etc/systemd/system-generators /etc/systemd/system/systemd-udev-trigger.service.d
for generator in /lib/systemd/system-generators/*; do
    ln -s /dev/null /etc/systemd/system-generators/${generator##*/}
done
cat > /etc/systemd/system/systemd-udev-trigger.service.d/used.conf <<'END'
[Service]
ExecStart=
ExecStart=udevadm trigger --action=add --subsystem-match=block --subsystem-match=net
ExecStart=udevadm trigger --action=add --subsystem-match=tty --sysname-match=ttyS0
END
"""

NETWORKD = r"""
cat > /etc/systemd/network/50-dhcp.network <<'END'
[Match]
Name=e*
[Network]
DHCP=ipv4
END
systemctl --quiet enable systemd-networkd.service
"""

IFUPDOWN = r"""
printf 'auto lo\niface lo inet loopback\nauto eth0\niface eth0 inet dhcp\n' > /etc/network/interfaces
"""

SERIAL_GETTY = r"""
sed -i '/^[1-6]:.*getty/d' /etc/inittab
echo 'T0:23:respawn:/sbin/getty -L ttyS0 115200 vt100' >> /etc/inittab
"""

# Debian's scripts mount the file systems in memory two or three times, if fstab has options for them or a swap file is
# added. Each run calls grep and sed ten times for the memory size: nine seconds of each emulated boot. The scripts that
# check and clean stay in the order, but do nothing.
MOUNTED_ONCE = r"""
sed -i '/mount[a-z]*\.sh reload$/d' /etc/init.d/checkroot.sh
sed -i '/^\tmount_[a-z]* mount_noupdate$/d' /etc/init.d/mountall.sh
cat >> /etc/default/tmpfs <<'END'
ram_size() { echo 480000; }
swap_size() { echo 0; }
uname() { echo Linux; }
END
for script in checkfs.sh checkroot-bootclean.sh mountnfs-bootclean.sh mountnfs.sh urandom; do
    sed -i '/^### END INIT INFO/a exit 0' /etc/init.d/$script
done
"""

# Each script costs a second on an emulated processor, and these have no work in such a machine.
FEWER_SCRIPTS = (
    MOUNTED_ONCE
    + r"""
for script in bootlogs brightness hwclock.sh kmod mount-configfs mountall-bootclean.sh mountnfs-bootclean.sh \
    mountnfs.sh procps rc.local rmnologin sudo umountfs umountnfs.sh; do
    update-rc.d -f $script remove
done
"""
)

# Only dhcpcd waits for it.
NO_UDEV = r"""
update-rc.d -f udev remove
"""

# The same for Debian's OpenRC, which runs the scripts of sysv-rc, and asks each existing one for its dependencies.
FEWER_SERVICES = (
    MOUNTED_ONCE
    + r"""
for service in agetty bootlogs brightness cgroups hwclock.sh kmod mountall-bootclean.sh mount-configfs procps rc.local \
    rmnologin savecache sudo udev; do
    rc-update --all --quiet delete $service 2>/dev/null || true
    rm /etc/init.d/$service
done
for service in checkfs.sh checkroot-bootclean.sh; do
    rc-update --all --quiet delete $service 2>/dev/null || true
done
"""
)

# OpenRC as in distros made for it: an inittab that names it, and services of its own.
NATIVE_OPENRC = r"""
rm -f /etc/init.d/* /etc/rc?.d/* /etc/runlevels/*/*
cat > /etc/inittab <<'END'
id:3:initdefault:
si::sysinit:/sbin/openrc sysinit
bw::bootwait:/sbin/openrc boot
l3:3:wait:/sbin/openrc default
l0:0:wait:/sbin/openrc shutdown
h0:0:wait:/sbin/halt -d -h -n -p
T0:3:respawn:/sbin/getty -L ttyS0 115200 vt100
END
cat > /etc/init.d/localmount <<'END'
#!/sbin/openrc-run
description="Mounts what is local."
start() {
    mount -o remount,rw /
    mkdir -p /dev/pts /run/lock /run/network /run/sshd
    mount -t devpts -o gid=5,mode=620 devpts /dev/pts
}
stop() {
    sync
    mount -o remount,ro / || true
}
END
cat > /etc/init.d/hostname <<'END'
#!/sbin/openrc-run
description="Names the machine."
depend() {
    need localmount
}
start() {
    hostname -F /etc/hostname
}
END
cat > /etc/init.d/networking <<'END'
#!/sbin/openrc-run
description="Brings the interfaces up."
depend() {
    need localmount
    after hostname
    provide net
}
start() {
    ifup -a
}
END
cat > /etc/init.d/sshd <<'END'
#!/sbin/openrc-run
description="OpenSSH server"
command=/usr/sbin/sshd
pidfile=/run/sshd.pid
depend() {
    use net
}
END
chmod 755 /etc/init.d/*
rc-update --quiet add localmount boot
rc-update --quiet add hostname boot
rc-update --quiet add networking boot
rc-update --quiet add sshd default
"""

# Without insserv and its dependency files, sysv-rc orders by the link numbers alone.
WITHOUT_INSSERV = r"""
dpkg --purge --force-depends insserv >/dev/null
rm -f /etc/init.d/.depend.boot /etc/init.d/.depend.start /etc/init.d/.depend.stop /etc/insserv.conf
"""

# The layout of a Buildroot image: busybox as PID 1, and one rcS that starts every S??*, in glob order.
BUSYBOX = r"""
for name in init poweroff reboot halt; do ln -sf /bin/busybox /sbin/$name; done
cat > /etc/inittab <<'END'
::sysinit:/bin/mount -o remount,rw /
::sysinit:/bin/mkdir -p /dev/pts /run/lock
::sysinit:/bin/mount -t devpts devpts /dev/pts
::sysinit:/etc/init.d/rcS
ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100
::shutdown:/etc/init.d/rcK
::shutdown:/bin/umount -a -r
END
cat > /etc/init.d/rcS <<'END'
#!/bin/sh
for script in /etc/init.d/S??*; do
    [ -f "$script" ] || continue
    "$script" start
done
END
cat > /etc/init.d/rcK <<'END'
#!/bin/sh
for script in $(ls -r /etc/init.d/S??*); do
    [ -f "$script" ] || continue
    "$script" stop
done
END
cat > /etc/init.d/S05hostname <<'END'
#!/bin/sh
[ "$1" = start ] || exit 0
hostname -F /etc/hostname
END
cat > /etc/init.d/S40network <<'END'
#!/bin/sh
case "$1" in
start)
    modprobe -q virtio_net
    ip link set lo up
    for n in 1 2 3 4 5 6 7 8 9 10; do [ -e /sys/class/net/eth0 ] && break; sleep 0.3; done
    ip link set eth0 up
    busybox udhcpc -b -R -i eth0 -p /run/udhcpc.eth0.pid -s /etc/udhcpc/default.script
    ;;
stop) kill "$(cat /run/udhcpc.eth0.pid)" ;;
esac
END
cat > /etc/init.d/S50dropbear <<'END'
#!/bin/sh
case "$1" in
start) mkdir -p /etc/dropbear; dropbear -R -p 22 -P /run/dropbear.pid ;;
stop) kill "$(cat /run/dropbear.pid)" ;;
esac
END
chmod 755 /etc/init.d/rcS /etc/init.d/rcK /etc/init.d/S05hostname /etc/init.d/S40network /etc/init.d/S50dropbear
"""


# The same machine without a loop over scripts: one script of its own, and no place for a hook.
BUSYBOX_ALONE = (
    BUSYBOX
    + r"""
sed -i 's,/etc/init.d/rcS,/etc/rc,; /rcK/d' /etc/inittab
cat > /etc/rc <<'END'
#!/bin/sh
/etc/init.d/hostname start
/etc/init.d/network start
/etc/init.d/dropbear start
END
chmod 755 /etc/rc
cd /etc/init.d
rm rcS rcK
for script in S??*; do mv $script ${script#S??}; done
"""
)

# No Python, and busybox's replacements for it.
NO_PYTHON = r"""
dpkg --purge --force-depends $(dpkg-query -W -f '${Package}\n' '*python3*' | grep -v dbus) >/dev/null 2>&1
rm -rf /usr/lib/python3* /usr/local/lib/python3*
! command -v python3
for name in wget nc; do ln -sf /bin/busybox /usr/bin/$name; done
"""

# The minimum: only busybox's wget to ask Azure with, and no useradd. Debian's busybox also lacks adduser.
BARE = r"""
rm -f /usr/bin/nc /usr/sbin/useradd /usr/sbin/adduser
! command -v curl nc useradd adduser
"""

# Debian's python3-minimal: half of Python's library, which is enough for a boot.
HALF_PYTHON = r"""
dpkg --purge --force-depends python3 libpython3-stdlib python3.11 libpython3.11-stdlib >/dev/null 2>&1
python3 -c pass
! python3 -c 'import json' 2>/dev/null
"""

# runit itself ends the remaining processes. The script of sysv-rc would wait for them in vain.
RUNIT = r"""
update-rc.d -f sendsigs remove
ln -sf /etc/sv/getty-ttyS0 /etc/sv/ssh /etc/runit/runsvdir/default/
"""

FINIT = r"""
echo 'tty [12345] /dev/ttyS0 115200 vt100' > /etc/finit.d/serial.conf
# Debian's finit finds none of its plug-ins, so that the condition of its own sshd.conf is never met.
rm /etc/finit.d/sshd.conf
echo 'run [S] /bin/mkdir -p /run/sshd -- Folder of sshd' > /etc/finit.d/sshd-folder.conf
echo 'service [2345] /usr/sbin/sshd -D -- OpenSSH daemon' > /etc/finit.d/sshd.conf
"""


# Labels for every file. What is written later gets its label from `install`, and from the system that runs.
SELINUX = r"""
sed -i 's/^SELINUX=.*/SELINUX=enforcing/' /etc/selinux/config
mount -t proc proc /proc
setfiles -F -e /proc -e /sys -e /dev /etc/selinux/default/contexts/files/file_contexts / || failed=yes
umount /proc
[ -z "$failed" ]
"""

# The initial ramdisk has lvm from its package, and these lines instead of udev.
LVM = r"""
cat > /etc/initramfs-tools/scripts/local-top/volumes <<'END'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
modprobe dm_mod
lvm vgchange -a y --noudevsync
lvm vgmknodes
END
"""


@dataclass(frozen=True)
class Image:
    """One image. `enabled` lists what on its disk makes the hook run at boot. After Ready nothing does.

    `ask` is a command for a root shell in the guest. It prints `yes` while the init system would run the hook at the
    next boot.
    """

    name: str
    release: str
    init: str
    dhcp: str
    packages: Tuple[str, ...]
    setup: str
    enabled: Callable[[Disk], List[str]]
    ask: str
    login: Tuple[str, ...] = OPENSSH
    install: Tuple[str, ...] = ()  # options of `install`
    tree: str = ""  # the image whose tree it shares
    stories: Tuple[str, ...] = ()  # none: all except those for certain images
    lab: bool = True  # finished for the lab: root has no password, and the ramdisk has only the lab's drivers
    mirror: str = ""  # the source of its packages, if not this machine's
    kernel: str = ""  # words for the kernel's command line
    confined: str = ""  # a command that lists what a mandatory access control enforces

    @property
    def become(self) -> str:
        """The prefix that the administrator needs to run a command as root."""
        return "sudo -n" if "sudo" in self.login else "doas -n"

    @property
    def openssh(self) -> bool:
        """Is its SSH server OpenSSH? Otherwise it is dropbear."""
        return "openssh-server" in self.login

    def keeps_option_245(self) -> bool:
        """Does its DHCP client store the WireServer's address from DHCP in a readable file?"""
        return self.dhcp in ("networkd", "dhclient", "dhcpcd")


def links(pattern: str) -> Callable[[Disk], List[str]]:
    """A match is a link or a script that makes the hook run."""
    return lambda disk: disk.glob(pattern)


def inittab_lines(disk: Disk) -> List[str]:
    """The lines for us in busybox's or System V's inittab."""
    return [line for line in disk.text("/etc/inittab").splitlines() if "azure-provisioning" in line]


def runit_service(disk: Disk) -> List[str]:
    """Our service directory, unless it has a file `down`."""
    down = disk.glob("/etc/sv/azure-provisioning/down")
    return [] if down else disk.glob("/etc/runit/runsvdir/default/azure-provisioning")


SYSTEMD_ENABLED = links("/etc/systemd/system/*.wants/azure-provisioning.service")
SYSTEMD_ASK = "systemctl is-enabled azure-provisioning.service | grep -qx enabled && echo yes"
RC_ENABLED = links("/etc/rc[2345S].d/S??azure-provisioning")
RC_ASK = "ls /etc/rc2.d | grep -q '^S..azure-provisioning$' && echo yes"
OPENRC_ENABLED = links("/etc/runlevels/*/azure-provisioning")
OPENRC_ASK = "rc-update show | grep -q azure-provisioning && echo yes"
BUSYBOX_ENABLED = links("/etc/init.d/S??azure-provisioning")
BUSYBOX_ASK = "ls /etc/init.d | grep -q '^S..azure-provisioning$' && echo yes"
RUNIT_ASK = (
    "test -L /etc/runit/runsvdir/default/azure-provisioning && ! test -e /etc/sv/azure-provisioning/down && echo yes"
)
FINIT_ENABLED = links("/etc/finit.d/azure-provisioning.conf")
FINIT_ASK = "test -L /etc/finit.d/azure-provisioning.conf && echo yes"
INITTAB_ASK = "grep -q '^::once:.*azure-provisioning' /etc/inittab && echo yes"

SYSTEMD = ("systemd-sysv", "dbus")

_TABLE = (
    Image(
        "networkd",
        "bookworm",
        "systemd",
        "networkd",
        SYSTEMD,
        ED25519 + NETWORKD + FEWER_UNITS,
        SYSTEMD_ENABLED,
        SYSTEMD_ASK,
    ),
    Image(
        "nm",
        "bookworm",
        "systemd",
        "NetworkManager",
        (*SYSTEMD, "network-manager"),
        ED25519 + FEWER_UNITS,
        SYSTEMD_ENABLED,
        SYSTEMD_ASK,
    ),
    Image(
        "sysvinit",
        "bookworm",
        "sysvinit+insserv",
        "dhclient",
        ("sysvinit-core", "insserv", "ifupdown", "isc-dhcp-client"),
        ED25519 + IFUPDOWN + SERIAL_GETTY + FEWER_SCRIPTS + NO_UDEV,
        RC_ENABLED,
        RC_ASK,
    ),
    Image(
        "sysvinit-plain",
        "bookworm",
        "sysvinit",
        "dhcpcd",
        ("sysvinit-core", "dhcpcd"),
        ED25519 + SERIAL_GETTY + FEWER_SCRIPTS + WITHOUT_INSSERV,
        RC_ENABLED,
        RC_ASK,
    ),
    Image(
        "openrc",
        "bookworm",
        "openrc",
        "udhcpc",
        ("sysvinit-core", "openrc", "ifupdown", "udhcpc"),
        ED25519 + IFUPDOWN + SERIAL_GETTY + FEWER_SERVICES,
        OPENRC_ENABLED,
        OPENRC_ASK,
    ),
    Image(
        "openrc-trixie",
        "trixie",
        "openrc",
        "udhcpc",
        ("sysvinit-core", "openrc", "ifupdown", "udhcpc"),
        ED25519 + IFUPDOWN + NATIVE_OPENRC,
        OPENRC_ENABLED,
        OPENRC_ASK,
    ),
    Image(
        "busybox",
        "bookworm",
        "busybox rcS",
        "udhcpc",
        ("busybox-static", "udhcpc"),
        BUSYBOX,
        BUSYBOX_ENABLED,
        BUSYBOX_ASK,
        DROPBEAR,
    ),
    Image(
        "busybox-alone",
        "bookworm",
        "busybox init",
        "udhcpc",
        ("busybox-static", "udhcpc"),
        BUSYBOX_ALONE,
        inittab_lines,
        INITTAB_ASK,
        DROPBEAR,
        stories=("first",),
    ),
    Image(
        "no-python",
        "bookworm",
        "busybox rcS",
        "udhcpc",
        ("busybox-static", "udhcpc"),
        BUSYBOX + NO_PYTHON,
        BUSYBOX_ENABLED,
        BUSYBOX_ASK,
        DROPBEAR,
        stories=("essential",),
    ),
    Image(
        "bare",
        "bookworm",
        "busybox rcS",
        "udhcpc",
        ("busybox-static", "udhcpc"),
        BUSYBOX + NO_PYTHON + BARE,
        BUSYBOX_ENABLED,
        BUSYBOX_ASK,
        DROPBEAR,
        stories=("essential",),
    ),
    Image(
        "half-python",
        "bookworm",
        "systemd",
        "networkd",
        (*SYSTEMD, "wget"),
        ED25519 + NETWORKD + FEWER_UNITS + HALF_PYTHON,
        SYSTEMD_ENABLED,
        SYSTEMD_ASK,
        stories=("essential",),
    ),
    Image(
        "runit",
        "bookworm",
        "runit + LSB",
        "dhclient",
        ("runit-init", "ifupdown", "isc-dhcp-client"),
        ED25519 + IFUPDOWN + FEWER_SCRIPTS + NO_UDEV + RUNIT,
        RC_ENABLED,
        RC_ASK,
        stories=("first",),
    ),
    Image(
        "runit-native",
        "bookworm",
        "runit",
        "dhclient",
        ("runit-init", "ifupdown", "isc-dhcp-client"),
        ED25519 + IFUPDOWN + FEWER_SCRIPTS + NO_UDEV + RUNIT,
        runit_service,
        RUNIT_ASK,
        install=("--init", "runit"),
        tree="runit",
        stories=("first",),
    ),
    Image(
        "finit",
        "bookworm",
        "finit",
        "dhclient",
        ("finit-sysv", "ifupdown", "isc-dhcp-client"),
        IFUPDOWN + FINIT,
        FINIT_ENABLED,
        FINIT_ASK,
        stories=("first",),
    ),
    Image(
        "apparmor",
        "bookworm",
        "systemd",
        "dhclient",
        (*SYSTEMD, "ifupdown", "isc-dhcp-client", "apparmor"),
        ED25519 + IFUPDOWN + FEWER_UNITS,
        SYSTEMD_ENABLED,
        SYSTEMD_ASK,
        stories=("confined",),
        confined="for one in /proc/[0-9]*; do grep -qx dhclient $one/comm && cat $one/attr/current; done",
    ),
    Image(
        "selinux",
        "bookworm",
        "systemd",
        "networkd",
        (*SYSTEMD, "selinux-policy-default", "policycoreutils"),
        ED25519 + NETWORKD + FEWER_UNITS + SELINUX,
        SYSTEMD_ENABLED,
        SYSTEMD_ASK,
        stories=("confined",),
        kernel="security=selinux enforcing=1",
        confined="getenforce",
    ),
    Image(
        "lvm",
        "bookworm",
        "systemd",
        "networkd",
        (*SYSTEMD, "lvm2", "fdisk"),
        ED25519 + NETWORKD + FEWER_UNITS + LVM,
        SYSTEMD_ENABLED,
        SYSTEMD_ASK,
        stories=("volume",),
    ),
)

IMAGES: Dict[str, Image] = {image.name: image for image in _TABLE}
