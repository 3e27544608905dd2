"""Images for the tests: the files of each init system, as far as we read them, and the built file run on them."""

import os
import shutil
import stat
import subprocess
import sys
from typing import Dict, List, Optional, Sequence, Tuple

from tests.guests import GuestTest
from tests.s6_database import resolve_cdb
from tests.server import ENVIRONMENT, is_read_at_start, server
from tests.server import Result as Result

PYTHON = {"/usr/bin/python3": "-> python3.11", "/usr/bin/python3.11": "python"}

DEBIAN_RC = '#!/bin/sh\n. /lib/init/vars.sh\nstartpar -p 4 -t 20 -T 3 -M start -P N -R "$1"\n'
DEBIAN_OPENRC = "#!/bin/sh\n# rc: runs the scripts of a runlevel\nexec /sbin/openrc default\n"
DEBIAN_INITTAB = "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\nl2:2:wait:/etc/init.d/rc 2\n"
GENTOO_INITTAB = "id:3:initdefault:\nsi::sysinit:/sbin/openrc sysinit\nl3:3:wait:/sbin/openrc default\n"
ALPINE_INITTAB = "::sysinit:/sbin/openrc sysinit\n::wait:/sbin/openrc default\n"
BUILDROOT_INITTAB = "::sysinit:/bin/mount -t proc proc /proc\n::sysinit:/etc/init.d/rcS\n"
BUILDROOT_RCS = '#!/bin/sh\nfor i in /etc/init.d/S??* ;do\n  [ ! -f "$i" ] && continue\n  $i start\ndone\n'
YOCTO_RCS = "#!/bin/sh\nfor i in /etc/rcS.d/S??* /etc/rc5.d/S??*; do\n  $i start\ndone\n"
SYSVINIT = "\x7fELF INIT_VERSION=sysvinit-3.06 "
BUSYBOX = "\x7fELF BusyBox v1.36.1 (2024-06-10) multi-call binary. /etc/inittab "
SCRIPT = "#!/bin/sh\nexit 0\n"
LINK = "-> ../init.d/"

# The relevant lines in the stage or script of a distro.
VOID_STAGE2 = (
    "#!/bin/sh\nrunsvchdir default >/dev/null\n[ -x /etc/rc.local ] && /etc/rc.local\nexec runsvdir -P /run/runit\n"
)
DEBIAN_STAGE2 = (
    "#!/bin/sh\nSVDIR=/etc/service\n/lib/runit/async-timeout /lib/runit/run_sysv_scripts '/etc/rc2.d'\n"
    'exec runsvdir -P "${SVDIR}"\n'
)
FINIT_SSH = "service [2345] <net/lo/up> env:-/etc/default/ssh /usr/sbin/sshd -D $SSHD_OPTS -- OpenSSH daemon\n"
SLACKWARE_INITTAB = "id:3:initdefault:\nsi:S:sysinit:/etc/rc.d/rc.S\nrc:2345:wait:/etc/rc.d/rc.M\n"
SLACKWARE_LOCAL = (
    "#!/bin/bash\n#\n# /etc/rc.d/rc.local:  Local system initialization script.\n#\n"
    "# Put any local startup commands in here.\n"
)
ARTIX_INIT = "#!/bin/execlineb -S0\n/usr/bin/s6-linux-init -c /etc/s6/current -m 00022 -p /usr/bin -- $@\n"
ARTIX_RC = "#!/bin/sh -e\ns6-rc-init -c /etc/s6/rc/compiled /run/service\n# /etc/init.d/rc 2\n"
S6_SETTINGS = "repodir = /etc/s6/repo\nstorelist = /etc/s6/sv:/etc/s6/adminsv\nbootdb = /etc/s6/rc/compiled\n"
BUSYBOX_INITTAB = (
    "# /etc/inittab\n::sysinit:/etc/rc\n::respawn:-/bin/sh\nttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100"
)

# In the format of insserv in Debian 12.
DEPEND_START = (
    "TARGETS = killprocs networking rsyslog dbus ssh rc.local\n"
    "INTERACTIVE =\n"
    "dbus: rsyslog\n"
    "ssh: rsyslog dbus\n"
    "rc.local: networking rsyslog dbus ssh\n"
)

IMAGES: Dict[str, Dict[str, str]] = {
    "systemd": {
        "/usr/lib/systemd/systemd": "\x7fELF",
        "/lib": "-> usr/lib",
        "/sbin": "-> usr/sbin",
        "/usr/sbin/init": "-> /lib/systemd/systemd",
        "/usr/lib/systemd/system/ssh.service": "[Service]\n",
        "/etc/systemd/system/multi-user.target.wants/ssh.service": "-> /lib/systemd/system/ssh.service",
    },
    "insserv": {
        "/sbin/init": SYSVINIT,
        "/sbin/openrc-run": "",  # installed, but not the init system
        "/usr/sbin/insserv": "\x7fELF",
        "/usr/sbin/update-rc.d": "#! /usr/bin/perl\n",
        "/etc/inittab": DEBIAN_INITTAB,
        "/etc/init.d/rc": DEBIAN_RC,
        "/etc/init.d/ssh": SCRIPT,
        "/etc/init.d/.depend.start": DEPEND_START,
        "/etc/rc0.d/K01ssh": LINK + "ssh",
        "/etc/rc2.d/S03ssh": LINK + "ssh",
        "/etc/rc3.d/S03ssh": LINK + "ssh",
        "/etc/rc4.d/S03ssh": LINK + "ssh",
        "/etc/rc5.d/S03ssh": LINK + "ssh",
    },
    "debian without insserv": {
        "/sbin/init": SYSVINIT,
        "/usr/sbin/update-rc.d": "#! /usr/bin/perl\n",
        "/etc/inittab": DEBIAN_INITTAB,
        "/etc/init.d/rc": DEBIAN_RC,
        "/etc/init.d/ssh": SCRIPT,
        "/etc/rc2.d/S01ssh": LINK + "ssh",
        "/etc/rc3.d/S01ssh": LINK + "ssh",
        "/etc/rc4.d/README": "",
        "/etc/rc5.d/README": "",
    },
    "chkconfig": {
        "/sbin/init": "\x7fELF com.ubuntu.Upstart ",  # RHEL 6
        "/sbin/chkconfig": "\x7fELF",
        "/etc/init/rc.conf": "start on runlevel [0123456]\ntask\nexec /etc/rc.d/rc $RUNLEVEL\n",
        "/etc/inittab": "id:3:initdefault:\n",
        "/etc/init.d": "-> rc.d/init.d",
        "/etc/rc.d/init.d/sshd": SCRIPT,
        "/etc/rc.d/rc": "#!/bin/bash\n",
        "/etc/rc.d/rc2.d/S55sshd": LINK + "sshd",
        "/etc/rc.d/rc3.d/S55sshd": LINK + "sshd",
        "/etc/rc.d/rc4.d/S55sshd": LINK + "sshd",
        "/etc/rc.d/rc5.d/S55sshd": LINK + "sshd",
        "/etc/rc3.d": "-> rc.d/rc3.d",
    },
    "yocto": {
        "/sbin/init": "-> /sbin/init.sysvinit",
        "/sbin/init.sysvinit": SYSVINIT,
        "/usr/sbin/update-rc.d": "#! /bin/sh\n",
        "/etc/inittab": "id:5:initdefault:\nsi::sysinit:/etc/init.d/rcS\nl5:5:wait:/etc/init.d/rc 5\n",
        "/etc/init.d/rc": '#!/bin/sh\nfor i in /etc/rc$runlevel.d/S*; do\n  startup "$i"\ndone\n',
        "/etc/init.d/sshd": SCRIPT,
        "/etc/init.d/dropbear": SCRIPT,
        "/etc/init.d/networking": SCRIPT,
        "/etc/rc2.d/S09sshd": LINK + "sshd",
        "/etc/rc3.d/S09sshd": LINK + "sshd",
        "/etc/rc4.d/S09sshd": LINK + "sshd",
        "/etc/rc5.d/S01networking": LINK + "networking",
        "/etc/rc5.d/S09sshd": LINK + "sshd",
        "/etc/rc5.d/S10dropbear": LINK + "dropbear",
    },
    "yocto busybox": {
        "/sbin/init": "-> /bin/busybox.nosuid",
        "/bin/busybox.nosuid": BUSYBOX,
        "/etc/inittab": "::sysinit:/etc/init.d/rcS\n",
        "/etc/init.d/rcS": YOCTO_RCS,
        "/etc/init.d/dropbear": SCRIPT,
        "/etc/rc5.d/S10dropbear": LINK + "dropbear",
    },
    "openrc on sysvinit": {
        "/sbin/init": SYSVINIT,
        "/sbin/openrc-run": "\x7fELF",
        "/etc/inittab": GENTOO_INITTAB,
        "/etc/runlevels/default/sshd": "-> /etc/init.d/sshd",
        "/etc/init.d/sshd": "#!/sbin/openrc-run\n",
    },
    "openrc on busybox": {
        "/sbin/init": "-> /bin/busybox",
        "/bin/busybox": BUSYBOX,
        "/sbin/openrc-run": "\x7fELF",
        "/etc/inittab": ALPINE_INITTAB,
        "/etc/runlevels/default/sshd": "-> /etc/init.d/sshd",
        "/etc/runlevels/boot/hostname": "-> /etc/init.d/hostname",
        "/etc/init.d/sshd": "#!/sbin/openrc-run\n",
    },
    "openrc of debian": {
        "/sbin": "-> usr/sbin",
        "/usr/sbin/init": SYSVINIT,
        "/usr/sbin/openrc-run": "\x7fELF",
        "/usr/sbin/insserv": "\x7fELF",
        "/usr/sbin/update-rc.d": "#! /usr/bin/perl\n",
        "/etc/inittab": DEBIAN_INITTAB,
        "/etc/init.d/rc": DEBIAN_OPENRC,
        "/etc/init.d/ssh": SCRIPT,
        "/etc/rc2.d/S03ssh": LINK + "ssh",
        "/etc/runlevels/default/ssh": "-> /etc/init.d/ssh",
    },
    "openrc-init": {
        "/sbin/init": "-> openrc-init",
        "/sbin/openrc-init": "\x7fELF",
        "/usr/bin/openrc-run": "\x7fELF",  # Artix's path
        "/etc/init.d/sshd": "#!/usr/bin/openrc-run\n",
        "/etc/runlevels/default/sshd": "-> /etc/init.d/sshd",
    },
    "buildroot": {
        "/sbin/init": "-> ../bin/busybox",
        "/bin/busybox": BUSYBOX,
        "/etc/inittab": BUILDROOT_INITTAB,
        "/etc/init.d/rcS": BUILDROOT_RCS,
        "/etc/init.d/S40network": SCRIPT,
        "/etc/init.d/S50sshd": SCRIPT,
    },
    "buildroot on sysvinit": {
        "/sbin/init": SYSVINIT,
        "/etc/inittab": "id:1:initdefault:\nsi0::sysinit:/etc/init.d/rcS\n",
        "/etc/init.d/rcS": BUILDROOT_RCS,
        "/etc/init.d/S40network": SCRIPT,
        "/etc/init.d/S50dropbear": SCRIPT,
    },
    "upstart of ubuntu": {
        "/sbin/init": "\x7fELF com.ubuntu.Upstart ",
        "/usr/sbin/update-rc.d": "#! /usr/bin/perl\n",
        "/etc/init/rc.conf": "start on runlevel [0123456]\ntask\nexec /etc/init.d/rc $RUNLEVEL\n",
        "/etc/init/rc-sysinit.conf": "start on (filesystem and static-network-up) or failsafe-boot\n",
        "/etc/init.d/rc": "#!/bin/sh\n",
        "/etc/init/ssh.conf": "start on runlevel [2345]\nexec /usr/sbin/sshd -D\n",
        "/etc/rc2.d/S20rsync": LINK + "rsync",
        "/etc/rc3.d/S20rsync": LINK + "rsync",
        "/etc/rc4.d/S20rsync": LINK + "rsync",
        "/etc/rc5.d/S20rsync": LINK + "rsync",
    },
    "runit of void": {
        "/sbin": "-> usr/bin",
        "/usr/bin/init": "-> runit-init",
        "/usr/bin/runit-init": "\x7fELF",
        "/etc/runit/2": VOID_STAGE2,
        "/etc/sv/sshd/run": "#!/bin/sh\nexec /usr/bin/sshd -D\n",
        "/etc/runit/runsvdir/default/sshd": "-> /etc/sv/sshd",
        "/etc/runit/runsvdir/single/sulogin": "-> /etc/sv/sulogin",
        "/etc/runit/runsvdir/current": "-> default",
        "/var/service": "-> /run/runit/runsvdir/current",
    },
    "runit of artix": {
        "/sbin/init": "-> runit-init",
        "/sbin/runit-init": "\x7fELF",
        "/etc/runit/2": "#!/bin/sh\nexec runsvdir -P /run/runit/service\n",
        "/etc/runit/sv/sshd/run": "#!/bin/sh\nexec sshd -D\n",
        "/etc/runit/runsvdir/default/sshd": "-> /etc/runit/sv/sshd",
        "/etc/runit/runsvdir/current": "-> default",
    },
    "runit of debian": {
        "/sbin/init": "-> /lib/runit/runit-init",
        "/lib/runit/runit-init": "\x7fELF",
        "/usr/sbin/update-rc.d": "#! /usr/bin/perl\n",
        "/etc/init.d/ssh": SCRIPT,
        "/etc/runit/2": DEBIAN_STAGE2,
        "/etc/service": "-> runit/runsvdir/current",
        "/etc/sv/default-syslog/run": "#!/bin/sh\n",
        "/etc/runit/runsvdir/default/default-syslog": "-> ../../../sv/default-syslog",
        "/etc/rc2.d/S01ssh": LINK + "ssh",
        "/etc/rc3.d/S01ssh": LINK + "ssh",
        "/etc/rc4.d/S01ssh": LINK + "ssh",
        "/etc/rc5.d/S01ssh": LINK + "ssh",
    },
    "runit of debian, native": {
        "/sbin/init": "-> /lib/runit/runit-init",
        "/lib/runit/runit-init": "\x7fELF",
        "/etc/runit/2": DEBIAN_STAGE2,
        "/etc/runit/no.emulate.sysv": "",
        "/etc/service": "-> runit/runsvdir/current",
        "/etc/sv/ssh/run": "#!/bin/sh\n",
        "/etc/runit/runsvdir/default/ssh": "-> /etc/sv/ssh",
        "/etc/rc2.d/S01ssh": LINK + "ssh",
    },
    "finit of debian": {
        "/sbin/init": "-> finit",
        "/sbin/finit": "\x7fELF /etc/finit.conf ",
        "/etc/finit.conf": "# /etc/finit.conf\n",
        "/etc/finit.d/available/sshd.conf": FINIT_SSH,
        "/etc/finit.d/sshd.conf": "-> available/sshd.conf",
    },
    "finit with enabled": {
        "/sbin/init": "\x7fELF /etc/finit.conf ",
        "/etc/finit.d/available/sshd.conf": FINIT_SSH,
        "/etc/finit.d/enabled/sshd.conf": "-> ../available/sshd.conf",
    },
    "busybox alone": {
        "/sbin/init": "-> /bin/busybox",
        "/bin/busybox": BUSYBOX,
        "/etc/inittab": BUSYBOX_INITTAB,
        "/etc/rc": "#!/bin/sh\nmount -t proc proc /proc\n",
    },
    "busybox without inittab": {
        "/sbin/init": "-> ../bin/busybox",
        "/bin/busybox": BUSYBOX,
        "/etc/init.d/rcS": "#!/bin/sh\nmount -a\n",
    },
    "sysvinit alone": {
        "/sbin/init": SYSVINIT,
        "/etc/inittab": "id:3:initdefault:\nsi::sysinit:/sbin/boot\n1:3:respawn:/sbin/agetty tty1\n",
    },
    "dinit of chimera": {
        "/usr/bin/init": '#!/bin/sh\n# not runit\nexec /usr/bin/dinit -p "$1"\n',
        "/usr/lib/dinit.d/boot": "type        = internal\ndepends-on  = system\nwaits-for.d = /etc/dinit.d/boot.d\n",
        "/usr/lib/dinit.d/system": "type = internal\ndepends-ms: local.target\nwaits-for.d: /usr/lib/dinit.d/boot.d\n",
        "/usr/lib/dinit.d/local.target": "type = internal\n",
        "/usr/lib/dinit.d/dhcpcd": "type = process\ncommand = /usr/bin/dhcpcd -B\n",
        "/usr/lib/dinit.d/sshd": "type = process\ncommand = /usr/bin/sshd -D\n",
        "/etc/dinit.d/boot.d/sshd": "-> /usr/lib/dinit.d/sshd",
    },
    "dinit of artix": {
        "/sbin/init": "-> dinit-init",
        "/sbin/dinit-init": "-> dinit",
        "/sbin/dinit": "\x7fELF",
        "/etc/dinit.d/boot": "type = internal\nwaits-for = loginready\nwaits-for.d = boot.d # enabled ones\n",
        "/etc/dinit.d/loginready": "type = internal\n",
        "/etc/dinit.d/sshd": "type = process\ncommand = /usr/bin/sshd -D\n",
        "/etc/dinit.d/dhcpcd": "type = process\ncommand = /usr/bin/dhcpcd -B\n",
        "/etc/dinit.d/boot.d/sshd": "-> ../sshd",
    },
    "s6 of artix": {
        "/sbin/init": ARTIX_INIT,
        "/etc/s6/current/scripts/rc.init": ARTIX_RC,
        "/etc/s6/sv/setup/type": "oneshot\n",
        "/etc/s6/sv/sshd-srv/type": "longrun\n",
        "/etc/s6/sv/sshd-srv/run": "#!/bin/execlineb -P\nsshd -D\n",
        "/etc/s6/sv/sshd-srv/dependencies.d/dhcpcd-srv": "",
        "/etc/s6/sv/dhcpcd-srv/type": "longrun\n",
        "/etc/s6/sv/dhcpcd-srv/run": "#!/bin/execlineb -P\ndhcpcd -B\n",
        "/etc/s6/adminsv/default/type": "bundle\n",
        "/etc/s6/adminsv/default/contents.d/sshd-srv": "",
        "/etc/s6/rc/compiled": "-> compiled-1",
        "/etc/s6/rc/compiled-1/resolve.cdb": resolve_cdb(
            ("sshd-srv", "dhcpcd-srv", "setup"), {"default": ("sshd-srv",)}
        ),
    },
    "s6 as its author has it": {
        "/sbin/init": "#!/bin/execlineb -S0\n/bin/s6-linux-init -c /etc/s6-linux-init/current\n",
        "/etc/s6-linux-init/current/scripts/rc.init": "#!/bin/sh -e\ns6-rc-init /run/service\n",
        "/etc/s6-rc/source/default/type": "bundle\n",
        "/etc/s6-rc/source/default/contents.d/ok-local": "",
        "/etc/s6-rc/source/default/contents.d/dhcpcd": "",
        "/etc/s6-rc/source/ok-local/type": "bundle\n",
        "/etc/s6-rc/source/ok-local/contents.d/sshd": "",
        "/etc/s6-rc/source/sshd/type": "longrun\n",
        "/etc/s6-rc/source/sshd/run": "#!/bin/execlineb -P\nsshd -D\n",
        "/etc/s6-rc/source/dhcpcd/type": "longrun\n",
        "/etc/s6-rc/source/dhcpcd/run": "#!/bin/execlineb -P\ndhcpcd -B\n",
        "/etc/s6-rc/compiled/current": "-> .current:1",
        "/etc/s6-rc/compiled/.current:1/resolve.cdb": resolve_cdb(
            ("sshd", "dhcpcd"), {"default": ("sshd", "dhcpcd"), "ok-local": ("sshd",)}
        ),
    },
    "s6 with its frontend": {
        "/sbin/init": ARTIX_INIT,
        "/etc/s6/current/scripts/rc.init": "#!/bin/sh -e\ns6-rc-init -c /etc/s6/rc/compiled /run/service\n",
        "/usr/bin/s6-frontend": "\x7fELF",
        "/usr/bin/s6": "-> s6-frontend",
        "/etc/s6.conf": S6_SETTINGS,
        "/etc/s6/adminsv/README": "",
        "/etc/s6/sv/setup/type": "oneshot\n",
        "/etc/s6/sv/sshd/type": "longrun\n",
        "/etc/s6/sv/sshd/run": "#!/bin/execlineb -P\nsshd -D\n",
        "/etc/s6/sv/dhcpcd/type": "longrun\n",
        "/etc/s6/sv/dhcpcd/run": "#!/bin/execlineb -P\ndhcpcd -B\n",
        "/etc/s6/repo/stores/0000": "-> /etc/s6/sv",
        "/etc/s6/repo/stores/0001": "-> /etc/s6/adminsv",
        "/etc/s6/repo/sources/current": "-> .current:1",
        "/etc/s6/repo/sources/.current:1/usable/getty": "-> ../../.atomics/getty",
        "/etc/s6/repo/sources/.current:1/active/setup": "-> ../../.atomics/setup",
        "/etc/s6/repo/sources/.current:1/active/sshd": "-> ../../.atomics/sshd",
        "/etc/s6/repo/sources/.current:1/active/dhcpcd": "-> ../../.atomics/dhcpcd",
        "/etc/s6/rc/compiled": "-> .compiled:1",
        "/etc/s6/rc/.compiled:1/resolve.cdb": resolve_cdb(
            ("sshd", "dhcpcd", "setup"), {"default": ("sshd", "dhcpcd", "setup")}
        ),
    },
    "slackware": {
        "/sbin/init": SYSVINIT,
        "/etc/slackware-version": "Slackware 15.0",
        "/etc/inittab": SLACKWARE_INITTAB,
        "/etc/rc.d/rc.sshd": "#!/bin/sh\n",
        "/etc/rc.d/rc.inet1": "#!/bin/sh\n",
        "/etc/rc.d/rc.M": "#!/bin/bash\nif [ -x /etc/rc.d/rc.local ]; then\n  /etc/rc.d/rc.local\nfi\n",
        "/etc/rc.d/rc.local": SLACKWARE_LOCAL,
        "/etc/rc.d/rc3.d/README": "",
    },
    "bsd rc": {  # CRUX
        "/sbin/init": SYSVINIT,
        "/etc/inittab": "id:2:initdefault:\nrc::sysinit:/etc/rc\n2:2:wait:/etc/rc.multi\n",
        "/etc/rc": "#!/bin/bash\n",
        "/etc/rc.multi": "#!/bin/bash\nif [ -x /etc/rc.local ]; then\n  /etc/rc.local\nfi\n",
        "/etc/rc.conf": "HOSTNAME=crux\n",
    },
}

# The files that start a DHCP client in each image, if the image has none: the tests of `check` begin without a client.
DHCP: Dict[str, Dict[str, str]] = {
    "systemd": {
        "/usr/lib/systemd/system/systemd-networkd.service": "[Service]\n",
        "/usr/lib/systemd/system/multi-user.target.wants/systemd-networkd.service": "-> ../systemd-networkd.service",
    },
    "insserv": {"/etc/init.d/networking": SCRIPT, "/etc/rcS.d/S02networking": LINK + "networking"},
    "debian without insserv": {"/etc/init.d/networking": SCRIPT, "/etc/rcS.d/S01networking": LINK + "networking"},
    "chkconfig": {"/etc/rc.d/init.d/network": SCRIPT, "/etc/rc.d/rc3.d/S10network": LINK + "network"},
    "yocto busybox": {"/etc/init.d/networking": SCRIPT, "/etc/rc5.d/S01networking": LINK + "networking"},
    "openrc on sysvinit": {
        "/etc/init.d/dhcpcd": "#!/sbin/openrc-run\n",
        "/etc/runlevels/default/dhcpcd": "-> /etc/init.d/dhcpcd",
    },
    "openrc on busybox": {
        "/etc/init.d/networking": "#!/sbin/openrc-run\n",
        "/etc/runlevels/boot/networking": "-> /etc/init.d/networking",
    },
    "openrc of debian": {
        "/etc/init.d/networking": SCRIPT,
        "/etc/runlevels/sysinit/networking": "-> /etc/init.d/networking",
    },
    "openrc-init": {
        "/etc/init.d/dhcpcd": "#!/usr/bin/openrc-run\n",
        "/etc/runlevels/default/dhcpcd": "-> /etc/init.d/dhcpcd",
    },
    "upstart of ubuntu": {"/etc/init/network-interface.conf": "start on net-device-added\nexec ifup $INTERFACE\n"},
    "runit of void": {
        "/etc/sv/dhcpcd/run": "#!/bin/sh\nexec dhcpcd -B -M\n",
        "/etc/runit/runsvdir/default/dhcpcd": "-> /etc/sv/dhcpcd",
    },
    "runit of artix": {
        "/etc/runit/sv/dhcpcd/run": "#!/bin/sh\nexec dhcpcd -B -M\n",
        "/etc/runit/runsvdir/default/dhcpcd": "-> /etc/runit/sv/dhcpcd",
    },
    "runit of debian": {
        "/etc/init.d/networking": SCRIPT,
        "/etc/rcS.d/S01networking": LINK + "networking",
        "/etc/runit/1": "#!/bin/sh\n/lib/runit/run_sysv_scripts '/etc/rcS.d'\n",
    },
    "runit of debian, native": {
        "/etc/sv/dhcpcd/run": "#!/bin/sh\n",
        "/etc/runit/runsvdir/default/dhcpcd": "-> /etc/sv/dhcpcd",
    },
    "finit of debian": {"/sbin/ifup": "\x7fELF"},
    "finit with enabled": {
        "/etc/finit.d/available/dhcpcd.conf": "service [2345] /sbin/dhcpcd -B -- DHCP client\n",
        "/etc/finit.d/enabled/dhcpcd.conf": "-> ../available/dhcpcd.conf",
    },
    "dinit of chimera": {"/usr/lib/dinit.d/boot.d/dhcpcd": "-> ../dhcpcd"},
    "dinit of artix": {"/etc/dinit.d/boot.d/dhcpcd": "-> ../dhcpcd"},
}

# The module of init/ for each of them.
SUPPORTED = {
    "systemd": "systemd",
    "insserv": "sysvinit",
    "debian without insserv": "sysvinit",
    "chkconfig": "sysvinit",
    "yocto": "sysvinit",
    "yocto busybox": "sysvinit",
    "openrc on sysvinit": "openrc",
    "openrc on busybox": "openrc",
    "openrc of debian": "openrc",
    "openrc-init": "openrc",
    "buildroot": "buildroot",
    "buildroot on sysvinit": "buildroot",
    "upstart of ubuntu": "sysvinit",
    "runit of void": "runit",
    "runit of artix": "runit",
    "runit of debian": "sysvinit",
    "runit of debian, native": "runit",
    "finit of debian": "finit",
    "finit with enabled": "finit",
    "busybox alone": "busybox",
    "busybox without inittab": "busybox",
    "sysvinit alone": "busybox",
    "dinit of chimera": "dinit",
    "dinit of artix": "dinit",
    "s6 of artix": "s6",
    "s6 as its author has it": "s6",
    "s6 with its frontend": "s6",
    "slackware": "slackware",
    "bsd rc": "rc-local",
}


def built_file() -> str:
    """The product, built once in this run of the suite, outside the checkout."""
    return server().path


def call(argv: Sequence[str], seconds: float = 60.0, **environment: str) -> Result:
    """Run a program without input and with almost no environment. The built file is loaded only once."""
    if list(argv[:4]) == [sys.executable, "-I", "-S", built_file()] and not any(map(is_read_at_start, environment)):
        return server().call(argv[4:], seconds, dict(ENVIRONMENT, **environment))
    return call_anew(argv, seconds, **environment)


def call_anew(argv: Sequence[str], seconds: float = 60.0, **environment: str) -> Result:
    """The same in a new process, for any program."""
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(ENVIRONMENT, **environment),
        cwd="/",
    )
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    return Result(child.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def cli(*arguments: str) -> Result:
    """Run the built file with these arguments."""
    return call([sys.executable, "-I", "-S", built_file(), *arguments])


def open_and_read(path: str) -> str:
    """The text of a file of this machine."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def listing(root: str) -> "Dict[str, Tuple[str, int, bytes]]":
    """Everything below a root: path to (kind, mode, content or target)."""
    found: Dict[str, Tuple[str, int, bytes]] = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            place = os.path.join(folder, name)
            what = os.lstat(place)
            kind, content = "other", b""
            if stat.S_ISLNK(what.st_mode):
                kind, content = "link", os.readlink(place).encode("utf-8", "surrogateescape")
            elif stat.S_ISDIR(what.st_mode):
                kind = "folder"
            elif stat.S_ISREG(what.st_mode):
                with open(place, "rb") as file:
                    kind, content = "file", file.read()
            found[place[len(root) :]] = (kind, stat.S_IMODE(what.st_mode), content)
    return found


def is_executable(path: str) -> bool:
    """Is this a program or a script in the images above?"""
    return "bin/" in path or "/init.d/" in path or "/rc.d/rc." in path or path.endswith("/run")


class ImageTest(GuestTest):
    """Has an image in its scratch root, and runs the built file on it."""

    maxDiff: Optional[int] = None

    def fill(self, files: "Dict[str, str]") -> None:
        """As in every test, but without waiting for the disk: images have many files."""
        for path, text in files.items():
            place = self.system.path(path, follow=not text.startswith("-> "))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            if text.startswith("-> "):
                if os.path.lexists(place):
                    os.unlink(place)
                os.symlink(text[3:], place)
            else:
                if os.path.isfile(place) and not os.access(place, os.W_OK):  # only root opens it as it is
                    os.unlink(place)
                with open(place, "w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(text)
                os.chmod(place, 0o755 if is_executable(path) else 0o644)

    def image(self, name: str, python: bool = True) -> None:
        """Fill the root with the image called `name`."""
        self.fill(PYTHON if python else {"/usr/bin/env": ""})
        self.fill(IMAGES[name])

    def do_what_is_left(self) -> None:
        """The step of a user after `install` if s6-frontend enables services."""
        current = "/etc/s6/repo/sources/current"
        if self.system.exists(current):
            self.fill({current + "/active/azure-provisioning": "-> ../../.atomics/azure-provisioning"})

    def empty(self) -> None:
        """Remove everything in the root."""
        shutil.rmtree(self.root)
        os.mkdir(self.root)
        self.open_root()

    def install(self, *arguments: str) -> Result:
        """Install into the root; the command must succeed."""
        result = self.refused_or_not("install", *arguments)
        self.assertEqual(result.code, 0, result.err)
        return result

    def uninstall(self) -> Result:
        """Uninstall from the root; the command must succeed."""
        result = self.refused_or_not("uninstall")
        self.assertEqual(result.code, 0, result.err)
        return result

    def refused(self, *arguments: str, code: int = 1) -> str:
        """The one line of a command that the root refuses, with this exit code and without a change."""
        before = listing(self.root)
        result = self.refused_or_not(*arguments)
        self.assertEqual(result.code, code, result)
        self.assertEqual(result.out, "")
        self.assertRegex(result.err, r"\Aazure-provisioning: [^\n]+\n\Z")
        self.assertEqual(listing(self.root), before)
        return result.err

    def refused_or_not(self, verb: str, *arguments: str) -> Result:
        result = cli(verb, "--root", self.root, *arguments)
        self.assertNotIn("Traceback", result.err)
        return result

    def bytes_at(self, path: str) -> "Optional[bytes]":
        """The content of a file in the root, without a limit."""
        return self.system.read(path, limit=1 << 24)

    def make_program(self, path: str) -> None:
        """Make the file at a path in the root executable."""
        os.chmod(self.system.path(path), 0o755)

    def mode_at(self, path: str) -> int:
        """The mode of a file in the root."""
        found = self.system.stat(path)
        assert found is not None, path
        return stat.S_IMODE(found.st_mode)

    def hook(self) -> "Tuple[Optional[str], List[str]]":
        """(mechanism, links) as in `status`."""
        from azure_provisioning.init.table import find_hook

        return find_hook(self.system)
