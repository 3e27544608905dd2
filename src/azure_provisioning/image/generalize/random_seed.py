"""Random seeds stored for the next boot, which would be the same in every clone.

systemd's are from its BUILDING_IMAGES document.
"""

from .plan import Plan

SEEDS = (
    ("/var/lib/systemd", ("random-seed", "credential.secret")),
    ("/var/lib", ("random-seed",)),  # Void, Buildroot, chkconfig distros
    ("/var/lib/misc", ("random-seed",)),  # OpenRC and others
    ("/var/lib/urandom", ("random-seed",)),  # Debian's initscripts
    ("/var/lib/seedrng", ("seed.*",)),  # OpenRC from 0.45 on, busybox
    ("/var/db/runit", ("random-seed",)),
    ("/etc", ("random-seed", "random.seed")),  # Slackware, older Buildroot
    ("/boot/loader", ("random-seed",)),  # systemd-boot
    ("/boot/efi/loader", ("random-seed",)),
    ("/efi/loader", ("random-seed",)),
)


# The services that write them at a regular shutdown, unless they are stopped before.
SERVICES = ("systemd-random-seed", "seedrng", "urandom", "random")


def plan_random_seeds(plan: Plan) -> None:
    """Remove the stored seeds."""
    for folder, names in SEEDS:
        for path in plan.files(folder, *names):
            plan.remove(path)
