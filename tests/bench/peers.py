"""The peers: how each is set up in the common image, and the commands of one pass."""

import shutil
from pathlib import Path
from typing import NamedTuple, Tuple

from tests.boot.images import NETWORKD, SYSTEMD, SYSTEMD_ASK, SYSTEMD_ENABLED, Image

# Every peer is in the image, and none is enabled: a variant enables one of them. waagent yields to an enabled
# cloud-init. Its "fast track", a request to another port, is off: that is for extensions. waagent keeps root's
# password, which the bench logs in with.
CLOUD_INIT_UNITS = "cloud-init-local.service cloud-init.service cloud-config.service cloud-final.service"
NOBODY = (
    """
mkdir -p /etc/cloud/cloud.cfg.d
echo 'datasource_list: [ Azure ]' > /etc/cloud/cloud.cfg.d/95-azure-only.cfg
touch /etc/cloud/cloud-init.disabled
systemctl --quiet disable walinuxagent.service %s
sed -i -e 's/^Provisioning.Agent=.*/Provisioning.Agent=waagent/' \\
    -e 's/^ResourceDisk.Format=.*/ResourceDisk.Format=n/' \\
    -e 's/^AutoUpdate.Enabled=.*/AutoUpdate.Enabled=n/' \\
    -e 's/^Provisioning.DeleteRootPassword=.*/Provisioning.DeleteRootPassword=n/' /etc/waagent.conf
echo 'Debug.EnableFastTrack=n' >> /etc/waagent.conf
"""
    % CLOUD_INIT_UNITS
)

COMMON = Image(
    "bench",
    "bookworm",
    "systemd",
    "networkd",
    (*SYSTEMD, "curl", "cloud-init", "isc-dhcp-client", "waagent"),
    NETWORKD + NOBODY,
    SYSTEMD_ENABLED,
    SYSTEMD_ASK,
)

ORIGIN_UNIT = """[Unit]
Description=Azure Provisioning
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /usr/local/origin.py
ExecStart=/bin/bash -c "hostnamectl set-hostname $(curl \\
    -H 'metadata: true' \\
    'http://169.254.169.254/metadata/instance/compute/name?api-version=2019-06-01&format=text')"
ExecStart=/usr/bin/systemctl disable origin.service

[Install]
WantedBy=multi-user.target
"""

NAME_URL = "http://169.254.169.254/metadata/instance/compute/name?api-version=2019-06-01&format=text"


class Peer(NamedTuple):
    """`enable`: shell lines in a chroot on the image. `reset`: in the guest, before a pass. `commands`: the pass.

    `until`: the file that shows that a daemon's pass has ended. `packages`: what it adds besides Python.
    """

    name: str
    enable: str
    reset: str
    commands: Tuple[str, ...]
    until: str
    packages: Tuple[str, ...]


UNNAMED = "echo image > /etc/hostname; hostname image; userdel -rf azureuser; "

# Its unit in Debian starts only on Hyper-V, and an emulated machine is not Hyper-V.
HYPERV = """
mkdir -p /etc/systemd/system/walinuxagent.service.d
printf '[Unit]\\nConditionVirtualization=\\n' > /etc/systemd/system/walinuxagent.service.d/emulated.conf
"""

PROGRAM = "/usr/local/sbin/azure-provisioning"
BUILT = "/usr/local/lib/azure-provisioning"  # the built file, in the image
OURS = UNNAMED + "rm -rf /etc/azure-provisioning.conf /var/lib/azure-provisioning; python3 %s install" % BUILT
RUN = ("/usr/bin/python3 -I -S %s run" % PROGRAM,)

# The origin makes no account and no host keys, which are most of the cost of our pass. For a fair comparison, the first
# variant, the base of all multiples, does only what the origin does.
LEAST = "printf '%s\\n' 'host_keys = keep' " + "".join(
    "'%s = no' " % key
    for key in (
        *("entropy", "hosts", "grow_root", "account", "password", "ssh_keys", "sudo", "password_login"),
        *("custom_data", "user_data", "publish_name"),
    )
)
LEAST += "> /etc/azure-provisioning.conf"
SOURCE = LEAST + "; rm /var/lib/azure-provisioning/boot-*"

PEERS = (
    Peer("ours, name only", LEAST, OURS + "; " + LEAST, RUN, "", ()),
    Peer(
        "ours, from source", SOURCE, OURS + "; " + SOURCE, RUN, "", ()
    ),  # as when install and the boots use different Pythons
    Peer("ours", "", OURS, RUN, "", ()),
    Peer(
        "origin",
        "systemctl --quiet enable origin.service",
        UNNAMED + "systemctl -q enable origin.service",
        (
            "/usr/bin/python3 /usr/local/origin.py",
            "/bin/bash -c \"hostnamectl set-hostname $(curl -s -H 'metadata: true' '%s')\"" % NAME_URL,
            "/usr/bin/systemctl disable origin.service",
        ),
        "",
        ("curl",),
    ),
    Peer(
        "cloud-init",
        "rm /etc/cloud/cloud-init.disabled; systemctl --quiet enable " + CLOUD_INIT_UNITS,
        UNNAMED + "cloud-init clean --logs",
        (
            "/usr/bin/cloud-init init --local",
            "/usr/bin/cloud-init init",
            "/usr/bin/cloud-init modules --mode=config",
            "/usr/bin/cloud-init modules --mode=final",
        ),
        "",
        ("cloud-init", "isc-dhcp-client"),
    ),
    Peer(
        "waagent",
        HYPERV + "systemctl --quiet enable walinuxagent.service",
        UNNAMED + "umount -q /mnt/cdrom/secure; find /var/lib/waagent -mindepth 1 -delete",
        ("/usr/bin/python3 -u /usr/sbin/waagent -daemon",),
        "/var/lib/waagent/provisioned",
        ("waagent",),
    ),
)


def furnish(tree: Path, program: Path) -> None:
    """Put the needs of the passes into a copy of the common tree: the meter, the origin's script and unit, and us."""
    here = Path(__file__).parent
    for name, target in (("meter.py", "usr/local/sbin/bench-meter.py"), ("origin.py", "usr/local/origin.py")):
        (tree / target).write_bytes((here / name).read_bytes())
    (tree / "etc/systemd/system/origin.service").write_text(ORIGIN_UNIT)
    shutil.copy(program, tree / BUILT.strip("/"))
