"""The checks of each tree. A check raises `Wrong`. Each works on scratch copies, in a sealed chroot."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional, Set, Tuple

from tests import TOP

from .trees import KINDS, inside, tree

NAME = "azure-provisioning"
UNIT = NAME + ".service"
DUMMY = "zz-another"
KEPT = re.compile("/var/lib/azure-provisioning/boot-[0-9a-f]{16}-[0-9a-f]{4}$")  # compiled modules that a boot loads
HEADER = """#!/bin/sh
### BEGIN INIT INFO
# Provides:          %s
# Required-Start:    $remote_fs $network
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Another package's service
### END INIT INFO
exit 0
"""

Listing = Dict[str, Tuple[str, int, int, int, str]]


class Wrong(Exception):
    """The distro disagrees with us."""


class Bench:
    """One tree, the built file, and scratch copies."""

    def __init__(self, name: str, kind: str, pristine: Path, scratch: Path, program: Path) -> None:
        self.name, self.kind, self.pristine, self.program = name, kind, pristine, program
        self.init = KINDS[kind].init
        self.offline, self.chrooted = scratch / "offline", scratch / "chrooted"
        for root in (self.offline, self.chrooted):
            subprocess.run(["cp", "-a", "--reflink=auto", str(pristine), str(root)], check=True)

    def ours(self, *arguments: str) -> "Tuple[int, str, str]":
        """Run the file from outside, as an ordinary program."""
        return run([sys.executable, "-I", "-S", str(self.program)] + list(arguments))

    def install(self, *arguments: str) -> str:
        """Install into the offline copy; returns the output."""
        return must(self.ours("install", "--root", str(self.offline), *arguments))

    def in_offline(self, *argv: str) -> str:
        """Run a program of the offline copy in a chroot; returns its output."""
        return must(run(inside(self.offline, *argv)))


def run(argv: List[str]) -> "Tuple[int, str, str]":
    """(exit code, stdout, stderr) of a program without input."""
    child = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, cwd="/"
    )
    return child.returncode, child.stdout.decode("utf-8", "replace"), child.stderr.decode("utf-8", "replace")


def must(result: "Tuple[int, str, str]") -> str:
    """The output of a program that must succeed."""
    if result[0]:
        raise Wrong("exit code %d: %s" % (result[0], (result[2] or result[1]).strip()[-500:]))
    return result[1]


def check(condition: object, *facts: object) -> None:
    """Raise Wrong with the facts unless the condition holds."""
    if not condition:
        raise Wrong(" ".join(str(fact) for fact in facts))


# -- the checks, in order -------------------------------------------------------------------------------------------


def uninstalled(bench: Bench) -> None:
    """Install and uninstall from outside: bytes, modes and links of the tree are the same as before."""
    before = listing(bench.offline)
    said = bench.install()
    after = listing(bench.offline)
    check(set(said.split()) <= set(after), "says it touched what is not there:", said)
    check(changes(before, after), "nothing was changed")
    must(bench.ours("install", "--root", str(bench.offline)))
    check(listing(bench.offline) == after, "the second install changed:", changes(after, listing(bench.offline)))
    must(bench.ours("uninstall", "--root", str(bench.offline)))
    check(listing(bench.offline) == before, "left behind or changed:", changes(before, listing(bench.offline)))


def own_python(bench: Bench) -> None:
    """The tree's own Python, in a chroot, runs the file as the hooks do."""
    copy = bench.offline / "azure-provisioning"
    shutil.copy(str(bench.program), str(copy))
    try:
        status = json.loads(bench.in_offline("python3", "-I", "-S", "/azure-provisioning", "status", "--json"))
        check(status["hook"]["enabled"] is False and status["ready"] is False, status)
        told = must(run(loopback(bench.offline, "python3", "-I", "-S", "/azure-provisioning", "rehearse")))
        check("POST /machine?comp=health -> 200" in told, told)
    finally:
        copy.unlink()


def seen(bench: Bench) -> None:
    """The distro's own tool sees us as enabled, and its check reports nothing about us."""
    bench.install()
    root = str(bench.offline)
    if bench.init == "systemd":
        for enabled in (run(["systemctl", "--root=" + root, "is-enabled", UNIT]),
                        run(inside(bench.offline, "systemctl", "is-enabled", UNIT))):  # fmt: skip
            check(enabled[:2] == (0, "enabled\n"), enabled)
        verify = ["systemd-analyze", "verify", "--man=no"]
        for argv in (verify + ["--root=" + root], inside(bench.offline, *verify)):
            code, out, err = run(argv + [UNIT, "multi-user.target"])
            # One release's tools report much about another's units, and bullseye's needs control groups.
            said = [line for line in (out + err).splitlines() if UNIT in line or "cycle" in line]
            check(not said, *said)
        # after systemctl itself disables and enables the unit, the link is the same
        links = our_links(bench.offline)
        bench.in_offline("systemctl", "disable", UNIT)
        check(not our_links(bench.offline), "systemctl does not disable us:", our_links(bench.offline))
        bench.in_offline("systemctl", "enable", UNIT)
        check(our_links(bench.offline) == links, "systemctl enables us by", our_links(bench.offline), "and not", links)
    elif bench.init == "openrc":
        shown = bench.in_offline("rc-update", "show", "default")
        check(re.search(r"^ *%s \| *default" % NAME, shown, re.M), shown)
        links = our_links(bench.offline)
        bench.in_offline("rc-update", "del", NAME, "default")
        check(not our_links(bench.offline), "rc-update does not remove us:", our_links(bench.offline))
        bench.in_offline("rc-update", "add", NAME, "default")
        check(our_links(bench.offline) == links, "rc-update adds us by", our_links(bench.offline), "and not", links)
    elif bench.kind == "insserv":
        warned = run(inside(bench.offline, "/sbin/insserv", "-n", "-v"))
        check(NAME not in "".join(line for line in warned[2].splitlines() if "warning" in line), warned[2])
        check(len(our_links(bench.offline)) == 4, our_links(bench.offline))


def ordered(bench: Bench) -> None:
    """Started by the distro's own means, with a stand-in for Python, we run once, with the right argv, before sshd."""
    root = bench.offline
    bench.install("--python", stub_python(root))
    if bench.init == "systemd":
        order = run(["systemctl", "--root=" + str(root), "cat", UNIT])[1]
        check("network-online" not in directives(order), order)
        return
    stub_services(root)
    if bench.init == "openrc":
        script = "mount -t tmpfs none /run && mkdir -p /run/openrc && touch /run/openrc/softlevel && openrc default"
        output = run(inside(root, "/bin/sh", "-c", script))
    elif bench.kind == "runit":
        output = run(inside(root, "/lib/runit/run_sysv_scripts", "/etc/rc2.d"))
    else:
        script = "RUNLEVEL=2 PREVLEVEL=N runlevel=2 previous=N /etc/init.d/rc 2"
        output = run(inside(root, "/bin/sh", "-c", script))
    started = (root / "started").read_text().splitlines() if (root / "started").exists() else []
    ours = [line for line in started if line.startswith("python ")]
    check(ours == ["python -I -S /usr/local/sbin/azure-provisioning run --detach"], started, output)
    check("ssh" in started, "ssh was not started:", started, output)
    check(started.index(ours[0]) < started.index("ssh"), "after ssh:", started)


def kept(bench: Bench) -> None:
    """Another package's service is installed and removed, presets are applied: we stay enabled, before ssh."""
    root = bench.offline
    bench.install()
    links = our_links(root)
    if bench.init == "systemd":
        (root / "etc/systemd/system/zz.service").write_text(
            "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=a.target\n"
        )
        bench.in_offline("systemctl", "enable", "zz.service")
        for preset in ("", "disable *\n"):
            (root / "etc/systemd/system-preset/90-all.preset").write_text(preset)
            bench.in_offline("systemctl", "preset-all")
            check(our_links(root) == links, "preset-all with %r leaves" % preset, our_links(root))
        must(run(["systemctl", "--root=" + str(root), "preset-all"]))
        check(our_links(root) == links, "preset-all --root leaves", our_links(root))
        return
    script = root / "etc/init.d" / DUMMY
    script.write_text(HEADER % DUMMY)
    script.chmod(0o755)
    for verb in ("defaults", "remove"):
        if verb == "remove":
            script.unlink()
        bench.in_offline("update-rc.d", DUMMY, verb)
        now = our_links(root)
        check({unnumbered(link) for link in links} <= {unnumbered(link) for link in now}, verb, "leaves", now)
        if bench.kind == "insserv":
            check_startpar(root)
        elif bench.kind in ("plain", "runit"):
            check_numbers(root)
    if bench.kind == "insserv":
        bench.in_offline("/sbin/insserv")
        check({unnumbered(link) for link in our_links(root)} == {unnumbered(link) for link in links}, our_links(root))
        check_startpar(root)


def not_back(bench: Bench) -> None:
    """Unlinked as by a boot, we are disabled. No later run of the tools enables us again; `install` does."""
    root = bench.offline
    bench.install()
    links = our_links(root)
    for link in links:
        (root / link.lstrip("/")).unlink()
    if bench.init == "systemd":
        check(run(["systemctl", "--root=" + str(root), "is-enabled", UNIT])[1] == "disabled\n", "still enabled")
    else:
        script = root / "etc/init.d" / DUMMY
        script.write_text(HEADER % DUMMY)
        script.chmod(0o755)
        bench.in_offline("update-rc.d", DUMMY, "defaults")
        check(not our_links(root), "the tool brought us back:", our_links(root))
    bench.install()
    check({unnumbered(link) for link in our_links(root)} == {unnumbered(link) for link in links}, our_links(root))
    if bench.kind == "insserv":
        check_startpar(root)


def same_as_tool(bench: Bench) -> None:
    """`install` inside a chroot, with the distro's tools, makes the same files and links as from outside."""
    copy = bench.chrooted / "azure-provisioning"
    shutil.copy(str(bench.program), str(copy))
    before = listing(bench.chrooted)
    said = must(run(inside(bench.chrooted, "python3", "-I", "-S", "/azure-provisioning", "install")))
    after = listing(bench.chrooted)
    new = {path for path in after if path not in before and after[path][0] != "folder"}
    check(
        NAME in said and new - renumbered(new) <= set(said.split()),
        "not said:",
        new - renumbered(new) - set(said.split()),
    )
    # The other half: from outside, in a fresh offline copy.
    shutil.rmtree(str(bench.offline))
    subprocess.run(["cp", "-a", "--reflink=auto", str(bench.pristine), str(bench.offline)], check=True)
    bench.install()
    there = {path: what for path, what in listing(bench.offline).items() if NAME in path}
    here = {path: what for path, what in after.items() if NAME in path and path != "/azure-provisioning"}
    kept = [{path for path in half if KEPT.match(path)} for half in (here, there)]
    check(len(kept[0]) == 1, "compiled by the tree's own Python:", kept[0])
    check(kept[1] in (set(), kept[0]), "compiled from outside, for no Python of the tree:", kept[1])
    for path in kept[0]:  # only a Python of the same release can make it from outside
        there.pop(path, None)
        del here[path]
    check(there == here, changes(there, here))
    if bench.kind == "insserv":
        check_startpar(bench.offline)
        check_startpar(bench.chrooted)
        mine, its = before_us(bench.offline), before_us(bench.chrooted)
        check(its <= mine, "insserv starts", its, "before us, and our own edit only", mine)
    must(run(inside(bench.chrooted, "python3", "-I", "-S", "/azure-provisioning", "uninstall")))
    left = {path for path in listing(bench.chrooted) if NAME in path} - {"/azure-provisioning"}
    check(not left, "left behind in the chroot:", left)
    if bench.kind == "insserv":
        check(NAME not in (bench.chrooted / "etc/init.d/.depend.start").read_text(), "still in .depend.start")


def enabled_again(bench: Bench) -> None:
    """ssh and our hook, disabled by the distro's own tool or by hand: after the remedy of `check`, the boot starts
    both."""
    root = bench.offline.parent / "again"
    ours, remove = "/azure-provisioning install", "rm -f /etc/rc[2345].d/???%s"
    mask = "ln -sf /dev/null /etc/systemd/system/%s.service"
    changes = ["systemctl disable %s", mask, "systemctl disable %s && " + mask]
    if bench.init != "systemd":
        changes = ["update-rc.d %s disable", "update-rc.d %s disable 2", "update-rc.d -f %s remove", remove]
        changes += ["rm -f /etc/rc2.d/???%s", remove + " && ln -s ../init.d/%s /etc/rc6.d/K01%s"]
    if bench.init == "openrc":
        changes = ["rc-update del %s default", "ln -sf /dev/null /etc/runlevels/default/%s"]
    for change in changes:
        if root.is_dir():
            shutil.rmtree(str(root))
        subprocess.run(["cp", "-a", "--reflink=auto", str(bench.pristine), str(root)], check=True)
        shutil.copy(str(bench.program), str(root / "azure-provisioning"))
        must(run(inside(root, "sh", "-c", "python3 -I -S " + ours)))
        for name, found_as in (("ssh", "sshd"), (NAME, "hook")):
            must(run(inside(root, "sh", "-c", change.replace("%s", name))))
            found = errors_of(bench, root, found_as)
            check(len(found) == 1 and found[0]["remedy"], change, name, "is not found:", found)
            mend(root, found[0])
            left = errors_of(bench, root, found_as)
            check(not left, change, name, "after", found[0]["remedy"], "still:", left)
            stopping = list(root.glob("etc/rc2.d/K??" + name)) if bench.init == "sysvinit" else []
            check(not stopping, change, name, "is also stopped:", stopping)
            must(run(inside(root, "sh", "-c", "python3 -I -S " + ours)))


def mend(root: Path, finding: "Dict[str, str]") -> None:
    """Execute the remedy that `check` prints. Its commands in the tree are sealed from this machine."""
    remedy, _, tool = finding["remedy"].partition("chroot %s " % root)
    must(run(inside(root, "sh", "-c", tool) if tool else ["sh", "-c", remedy]))


def findings_of(bench: Bench, root: Path) -> "List[Dict[str, str]]":
    """The findings of `check` in a tree."""
    found: "List[Dict[str, str]]" = json.loads(bench.ours("check", "--json", "--root", str(root))[1])
    return found


def errors_of(bench: Bench, root: Path, name: str = "") -> "List[Dict[str, str]]":
    """The errors with an id, or all of them."""
    findings = findings_of(bench, root)
    return [finding for finding in findings if finding["level"] == "error" and name in ("", finding["id"])]


DROP_IN = "echo '%s' >etc/ssh/sshd_config.d/50-hard.conf"
GATE = "cd etc; mkdir -p azure-provisioning/ready.d; cd azure-provisioning/ready.d; echo '#!/bin/sh' >gate; "
# The id of the error, and the shell lines that break the tree.
BREAKAGES = [
    ("program", "truncate -s 100000 usr/local/sbin/azure-provisioning"),
    ("program", "rm usr/local/sbin/azure-provisioning"),
    ("ready-gates", GATE + "chmod 777 gate"),
    ("ready-gates", GATE + "chmod 755 gate; chown 1000 gate"),
    ("account", "mv home former; ln -s /data/home home"),
    ("sshd-config", "touch etc/ssh/sshd_not_to_be_run"),
    ("sshd-config", "sed -i '/^sshd:/d' etc/passwd; touch etc/.updated"),  # for systemd-sysusers there is nothing to do
    ("sshd-config", DROP_IN % "PermitRotLogin no"),
    ("sshd-config", DROP_IN % "DenyUsers *"),
    ("sshd-config", DROP_IN % "PubkeyAuthentication no"),
    ("sshd-config", DROP_IN % "AuthenticationMethods publickey,password"),
]
# systemd removes that file in each boot.
CLOSED = [("sshd-config", "echo 'Come back tomorrow' >etc/nologin")]
OF_SYSTEMD = [
    ("sshd-config", "ln -s /dev/null etc/systemd/system/systemd-user-sessions.service"),
    ("hook", "ln -sf /dev/null etc/systemd/system/azure-provisioning.service"),
    ("hook", "ln -sf /lib/systemd/system/rescue.target etc/systemd/system/default.target"),
]
OF_INITTAB = [("hook", "sed -i 's/^id:[2-5]:/id:1:/' etc/inittab"), ("hook", "sed -i '/^l2:/d' etc/inittab")]


def mended(bench: Bench) -> None:
    """Each breakage is an error of `check`, which is gone after its printed remedy has run."""
    root = bench.offline.parent / "mended"
    subprocess.run(["cp", "-a", "--reflink=auto", str(bench.pristine), str(root)], check=True)
    must(run(["python3", "-I", "-S", str(bench.program), "install", "--root", str(root)]))
    before = errors_of(bench, root)  # such a tree has no DHCP client
    own = {"systemd": OF_SYSTEMD, "insserv": OF_INITTAB, "plain": OF_INITTAB, "openrc": OF_INITTAB}
    for name, how in BREAKAGES + own.get(bench.kind, []) + (CLOSED if bench.kind != "systemd" else []):
        subprocess.run(["sh", "-e", "-c", how], cwd=str(root), check=True)
        found = [error for error in errors_of(bench, root) if error not in before]
        check(name in [error["id"] for error in found], how, "is not found, but", found)
        for error in found:
            if error is found[0] or error in errors_of(bench, root):  # one remedy may have corrected both
                check(error["remedy"], how, "has no remedy:", error)
                mend(root, error)
        check(errors_of(bench, root) == before, how, "is left after", found, errors_of(bench, root))


ACCOUNT_FILES = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
OLD_ID = "0123456789abcdef0123456789abcdef"


def generalized(bench: Bench) -> None:
    """From outside, and by the distro's own userdel in a chroot: the same accounts, valid by the distro's own check.
    The hook is enabled again. The distro makes a new machine id, where systemd or D-Bus does."""
    roots = (bench.offline, bench.chrooted)
    for root in roots:
        shutil.copy(str(bench.program), str(root / "azure-provisioning"))
        must(run(inside(root, "python3", "-I", "-S", "/azure-provisioning", "install")))
        must(run(inside(root, "useradd", "-m", "-G", "staff", "ann")))
        (root / "etc/machine-id").write_text(OLD_ID + "\n")
        (root / "var/log/wtmp").write_bytes(b"x" * 384)
        for link in our_links(root):
            (root / link.lstrip("/")).unlink()
    must(bench.ours("generalize", "--yes", "--user", "ann", "--root", str(bench.offline)))
    must(
        run(
            inside(bench.chrooted, "python3", "-I", "-S", "/azure-provisioning", "generalize", "--yes", "--user", "ann")
        )
    )
    for name in ACCOUNT_FILES:
        texts = [(root / "etc" / name).read_text() for root in roots]
        check(texts[0] == texts[1] and "ann" not in texts[0], "/etc/" + name, "by userdel and by us:", *texts)
    for root in roots:
        check(our_links(root), "the hook is not enabled")
        check(not (root / "home/ann").exists() and not (root / "var/log/wtmp").stat().st_size, "not clean")
        bad = [line for line in "".join(run(inside(root, "pwck", "-r"))[1:]).splitlines() if "ann" in line]
        check(not bad and run(inside(root, "grpck", "-r"))[0] == 0, "not whole:", *bad)
        check_machine_id(root, "systemd" if bench.init == "systemd" else "dbus")
    check_agent(bench.offline, bench.chrooted, bench)


def check_machine_id(root: Path, maker: str) -> None:
    """It is in the form that its program treats as missing, and the program makes another."""
    path = root / "etc/machine-id"
    check((path.read_text() == "") if maker == "systemd" else not path.exists(), "not the form that it takes:", maker)
    argv = ["systemd-machine-id-setup"] if maker == "systemd" else ["dbus-uuidgen", "--ensure=" + "/etc/machine-id"]
    if run(inside(root, "sh", "-c", "command -v " + argv[0]))[0] == 0:
        must(run(inside(root, *argv)))
        made = path.read_text().strip()
        check(len(made) == 32 and made != OLD_ID, "the new id is", made)


def check_agent(offline: Path, chrooted: Path, bench: Bench) -> None:
    """A package called waagent: disabled from outside, and purged inside by the distro's own tools."""
    for root in (offline, chrooted):
        package = root / "tmp/waagent"
        for name, text in AGENT.items():
            path = package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        must(run(inside(root, "dpkg-deb", "--build", "/tmp/waagent", "/tmp/waagent.deb")))
        must(run(inside(root, "dpkg", "-i", "/tmp/waagent.deb")))
        (root / "var/lib/waagent").mkdir()
        if bench.init == "systemd":
            must(run(inside(root, "systemctl", "enable", "waagent")))
        else:
            must(run(inside(root, "update-rc.d", "waagent", "defaults")))
    words = ("generalize", "--yes", "--remove-agent")
    must(bench.ours(*words, "--root", str(offline)))
    must(run(inside(chrooted, "python3", "-I", "-S", "/azure-provisioning", *words)))
    check((offline / "usr/sbin/waagent").exists(), "from outside the package was touched")
    check(run(inside(chrooted, "dpkg", "-L", "waagent"))[0] != 0, "the package is still there")
    for root in (offline, chrooted):
        started = [str(path) for shape in STARTED for path in root.glob(shape) if os.path.lexists(str(path))]
        check(not started, "still started by", *started)
        check(not (root / "etc/waagent.conf").exists() and not (root / "var/lib/waagent").exists(), "still there")


AGENT = {
    "DEBIAN/control": "Package: waagent\nVersion: 1\nArchitecture: all\n"
    "Maintainer: x <x@example.org>\nDescription: x\n",
    "DEBIAN/conffiles": "/etc/waagent.conf\n",
    "usr/sbin/waagent": "#!/bin/sh\n",
    "etc/waagent.conf": "Provisioning.Enabled=y\n",
    "etc/init.d/waagent": HEADER % "waagent",
    "lib/systemd/system/waagent.service": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
}
STARTED = ("etc/rc?.d/S??waagent", "etc/runlevels/*/waagent", "etc/systemd/system/*.wants/waagent.service")


def verdict(bench: Bench) -> None:
    """These trees lack the hook and a DHCP client, then the client alone. Inside the chroot, where `check` asks the
    Python itself, it finds the same as from outside."""
    check(faults(bench) == {"hook", "dhcp"}, "before install:", faults(bench))
    bench.install()
    check(faults(bench) == {"dhcp"}, "after install:", faults(bench))
    outside = findings_of(bench, bench.offline)
    shutil.copy(str(bench.program), str(bench.offline / "azure-provisioning"))
    _, printed, _ = run(inside(bench.offline, "python3", "-I", "-S", "/azure-provisioning", "check", "--json"))
    (bench.offline / "azure-provisioning").unlink()
    here = [(finding["id"], finding["level"]) for finding in json.loads(printed)]
    there = [(finding["id"], finding["level"]) for finding in outside]
    check(here == there, "outside:", sorted(set(there) - set(here)), "inside:", sorted(set(here) - set(there)))
    must(bench.ours("uninstall", "--root", str(bench.offline)))


def logins(bench: Bench) -> None:
    """Every login of tests/test_lockout.py, which `make test-shell` plays on bookworm: sshd, PAM and sudo differ."""
    release = bench.name.partition("-")[0]
    if bench.kind != "systemd" or release not in ("trixie", "sid"):  # bullseye's sshd lacks options that are played
        return
    root = tree(release, bench.kind, ("openssh-client",))
    child = subprocess.run(
        [sys.executable, "-m", "tests", "tests.test_lockout"],
        cwd=TOP,
        env=dict(os.environ, LOGIN_TREE=str(root)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )
    failed = re.findall("(?m)^FAILED: .*", child.stdout)
    end = child.stdout.split("\n")[-2:]
    check(child.returncode == 0 and ", 0 failed, 0 skipped" in end[0], *failed, *end)


def faults(bench: Bench) -> Set[str]:
    """The ids of the errors that `check` finds from outside. The exit code shows that there are some."""
    code, printed, _ = bench.ours("check", "--json", "--root", str(bench.offline))
    found = {finding["id"] for finding in json.loads(printed) if finding["level"] == "error"}
    check(code == (1 if found else 0), "exit code", code, "with", found)
    return found


def remedied(bench: Bench) -> None:
    """The initramfs of a real kernel, without the drivers of Azure's disk and then missing. The printed remedy of
    `check` runs with the distro's own tool in a chroot, and the finding is gone."""
    if bench.kind != "systemd":
        return  # the tools are the same for all init systems
    root = bench.offline.parent / "with-kernel"
    release = bench.name.partition("-")[0]
    for maker, make in MAKERS.items():
        packages = ("linux-image-cloud-amd64", maker)
        subprocess.run(["cp", "-a", "--reflink=auto", str(tree(release, bench.kind, packages)), str(root)], check=True)
        (version,) = os.listdir(str(root / "lib/modules"))
        must(run(inside(root, "sh", "-e", "-c", make.replace("VERSION", version))))
        for message in ("hv_storvsc and sd_mod: ", "there is no initramfs"):
            found = initramfs_findings(bench, root)
            check(len(found) == 1 and message in found[0]["message"], maker, "initramfs:", found)
            ours, tool = found[0]["remedy"].split(" && chroot %s " % root)
            must(run(["sh", "-c", ours]))
            must(run(inside(root, *tool.split())))
            left = initramfs_findings(bench, root)
            check([one["level"] for one in left] == ["ok"], maker, "after the remedy:", left)
            (root / "boot" / ("initrd.img-" + version)).unlink()
        shutil.rmtree(str(root))


# By its package: shell lines that make an initramfs without Hyper-V's drivers.
MAKERS = {
    "initramfs-tools": """
cd /etc/initramfs-tools
: > modules
sed -i '/^MODULES=/d; /^COMPRESS=/d' initramfs.conf
printf 'MODULES=list\\nCOMPRESS=gzip\\n' >> initramfs.conf
update-initramfs -c -k VERSION
""",
    "dracut": """
dracut --force --no-hostonly --gzip --omit-drivers 'hv_vmbus hv_storvsc sd_mod hv_netvsc hyperv_keyboard hid_hyperv' \
    /boot/initrd.img-VERSION VERSION
""",
}


def initramfs_findings(bench: Bench, root: Path) -> "List[Dict[str, str]]":
    """The findings of `check` about it."""
    return [finding for finding in findings_of(bench, root) if finding["id"] == "initramfs"]


CHECKS: Dict[str, Callable[[Bench], None]] = {
    "undo": uninstalled,
    "verdict": verdict,
    "python": own_python,
    "seen": seen,
    "kept": kept,
    "not back": not_back,
    "chroot": same_as_tool,
    "general": generalized,
    "remedied": remedied,
    "again": enabled_again,
    "mended": mended,
    "logins": logins,
    "order": ordered,  # last: it replaces every service with a stand-in
}


# -- reading a tree -------------------------------------------------------------------------------------------------


def listing(root: Path) -> Listing:
    """Every path: kind, mode, owner, group, and a hash of the content or the target."""
    found: Listing = {}
    for folder, folders, files in os.walk(str(root)):
        for name in folders + files:
            place = os.path.join(folder, name)
            what = os.lstat(place)
            kind, content = "other", ""
            if stat.S_ISLNK(what.st_mode):
                kind, content = "link", os.readlink(place)
            elif stat.S_ISDIR(what.st_mode):
                kind = "folder"
            elif stat.S_ISREG(what.st_mode):
                with open(place, "rb") as file:
                    kind, content = "file", hashlib.sha256(file.read()).hexdigest()
            found[place[len(str(root)) :]] = (kind, stat.S_IMODE(what.st_mode), what.st_uid, what.st_gid, content)
    return found


def changes(one: Listing, other: Listing) -> List[str]:
    """The paths in which two listings differ."""
    return sorted(path for path in set(one) | set(other) if one.get(path) != other.get(path))


def our_links(root: Path) -> List[str]:
    """Every path by which a boot could start us."""
    folders = [
        folder
        for shape in ("etc/rc?.d", "etc/runlevels/*", "etc/systemd/system/*.wants")
        for folder in root.glob(shape)
    ]
    paths = [folder / name for folder in folders for name in os.listdir(str(folder))]  # glob omits dangling links
    ours = [path for path in paths if re.match(r"(S\d\d)?%s(\.service)?$" % NAME, path.name)]
    return sorted("/" + str(path.relative_to(root)) for path in ours)


def unnumbered(link: str) -> str:
    """The link without its number, which insserv may change at any time."""
    return re.sub(r"/[SK]\d\d", "/", link)


def renumbered(paths: Set[str]) -> Set[str]:
    """Links of other services that insserv renumbered."""
    return {path for path in paths if re.search(r"/rc.\.d/[SK]\d\d(?!%s$)" % NAME, path)}


def depends(root: Path) -> Dict[str, List[str]]:
    """startpar's file as insserv or we wrote it."""
    lines = (root / "etc/init.d/.depend.start").read_text().splitlines()
    return {
        key.strip(): words.split()
        for key, _, words in (re.sub("[:=]", "\0", line, count=1).partition("\0") for line in lines)
    }


def check_startpar(root: Path) -> None:
    """We are a target, ssh waits for us, and there is no loop."""
    rules = depends(root)
    check(rules["TARGETS"].count(NAME) == 1, "not a target of startpar:", rules)
    check(NAME in rules.get("ssh", []), "ssh does not wait for us:", rules)
    for name in rules:
        check(name not in closure(rules, name), name, "waits for itself:", rules)
    for name, words in rules.items():
        if name not in ("TARGETS", "INTERACTIVE"):
            check({name} | set(words) <= set(rules["TARGETS"]), "what is no target:", name, words, rules)


def closure(rules: Dict[str, List[str]], name: str, found: Optional[Set[str]] = None) -> Set[str]:
    """All services that must start before `name`."""
    found = set() if found is None else found
    for word in rules.get(name, []):
        if word not in found:
            found.add(word)
            closure(rules, word, found)
    return found


def before_us(root: Path) -> Set[str]:
    """The services that startpar starts before us."""
    return closure(depends(root), NAME)


def check_numbers(root: Path) -> None:
    """In the order of names, as a plain rc reads them, our link is before ssh's."""
    for runlevel in "2345":
        names = sorted(path.name for path in root.glob("etc/rc%s.d/S*" % runlevel))
        ours = [index for index, name in enumerate(names) if name[3:] == NAME]
        ssh = [index for index, name in enumerate(names) if name[3:] == "ssh"]
        check(len(ours) == 1 and len(ssh) == 1 and ours < ssh, "runlevel", runlevel, names)


def directives(unit: str) -> str:
    """A unit without its comments."""
    return "\n".join(line for line in unit.splitlines() if not line.startswith("#"))


def stub_python(root: Path) -> str:
    """An interpreter that only records how it was called."""
    path = root / "opt/python3"
    path.write_text('#!/bin/sh\necho "python $*" >>/started\n')
    path.chmod(0o755)
    return "/opt/python3"


def stub_services(root: Path) -> None:
    """Replaces every LSB script except ours: its header, and a record of its start."""
    for path in (root / "etc/init.d").iterdir():
        text = path.read_text(errors="replace") if path.is_file() else ""
        if path.name in (NAME, "rc", "rcS", "README") or path.name.startswith(".") or "openrc-run" in text[:80]:
            continue
        header = [line for line in text.splitlines() if line.startswith("#")]
        path.write_text(
            "\n".join(["#!/bin/sh"] + header[1:] + ['[ "$1" != start ] || echo %s >>/started' % path.name, ""])
        )


def loopback(root: Path, *argv: str) -> List[str]:
    """Like `inside`, with a loopback interface: `rehearse` connects to itself."""
    sealed = inside(root, *argv)
    script = sealed.index("-c") + 1
    sealed[script] = "ip link set lo up; " + sealed[script]
    return sealed
