"""The shell implementation on a machine without Python: the essential steps of a first boot, done once."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import unittest
import zipfile
from typing import Dict, List

from azure_provisioning.azure.identity import DMI
from azure_provisioning.errors import GuestError
from azure_provisioning.guest.gates import find_passed_over, pass_gate
from azure_provisioning.guest.hostname import valid_name
from azure_provisioning.image.install.install import install
from azure_provisioning.image.rehearse.fake_azure import CONTAINER_ID, INSTANCE_ID, VM_ID
from azure_provisioning.init import table
from azure_provisioning.init.table import NAMES, find_hook
from azure_provisioning.story.state import swap
from tests import TOP
from tests.guests import HOOK, OTHER_VM_ID, STATE, snapshot
from tests.images import built_file
from tests.shells import (
    CLIENTS,
    INSTALLED,
    LOG,
    MACHINE,
    PROGRAM,
    READY,
    SHELLS,
    STORY,
    BootResult,
    EssentialTest,
    find,
)

S6 = "/etc/s6-rc/source/default/"

# The files by which the init systems are detected, or which contain their hooks.
FOLDERS = (
    "/etc/systemd/system",
    "/etc/init.d",
    "/etc/rc2.d",
    "/etc/rc3.d",
    "/etc/runlevels/default",
    "/etc/sv",
    "/etc/service",
    S6 + "contents.d",
    "/etc/dinit.d/boot.d",
    "/etc/finit.d/enabled",
    "/etc/finit.d/available",
    "/var/log",
)


# A comment, an empty line, or the end of a block with its redirections.
NO_STATEMENT = re.compile(r"\s*(#.*|(\}|\)|fi|done|esac|else)( [<>2].*)?)?\Z")
SEVERAL = re.compile(r";(?!;)(?! (do|then|done|fi|else|esac|\})\b)(?! \})")


class SizeTest(EssentialTest):
    def test_script_size_is_limited(self) -> None:
        """Lines with statements: without comments and ends of blocks."""
        for name, most in (("head.sh", 25), ("essential.sh", 640)):
            with open(os.path.join(TOP, "src", name), encoding="ascii") as file:
                lines = file.read().splitlines()
            counted = lines if name == "head.sh" else [line for line in lines if not NO_STATEMENT.match(line)]
            self.assertLessEqual(len(counted), most, name)
            self.assertLessEqual(max(map(len, lines)), 120, name)
            self.assertFalse([line for line in lines if re.search(r"\beval\b", line)], name)


class WithinTest(unittest.TestCase):
    """A command with a limit ends, and its watcher gets a signal before it has reset the traps of its parent."""

    def test_watcher_does_not_clean_up(self) -> None:
        """bash runs the traps there: in one of twenty commands, the folder of a boot disappeared during the boot."""
        with open(os.path.join(TOP, "src/essential.sh"), encoding="ascii") as file:
            text = file.read()
        found = re.findall(r"(?ms)^within\(\) \{.*?^\}\n|^is_first\(\)[^\n]*\n|^trap [^\n]*\n", text)
        self.assertEqual(len(found), 4, found)
        script = "work=$(mktemp -d) times=0; say() { :; }; leave_turn() { :; }\n" + "".join(found)
        script += 'while [ $times -lt 300 ] && [ -d "$work" ]; do within 5 true; times=$((times + 1)); done\n'
        script += 'echo $times "$work"; kill -TERM $$; sleep 9; :\n'
        for shell in SHELLS:
            with self.subTest(shell):
                program = find(shell)
                if program is None:
                    self.skipTest("no %s here: the file was not tried with it" % shell)
                argv = [program] + shell.split()[1:] + ["-c", script]
                done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
                times, work = done.stdout.split()
                self.assertEqual((done.returncode, times, done.stderr), (130, "300", ""))
                self.assertFalse(os.path.exists(work))


class FirstBootTest(EssentialTest):
    def test_every_shell(self) -> None:
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                self.add(files=self.hook)
                self.add(fresh=False)
                first, second = self.play()
                self.assertEqual(first.code, 0, first)
                self.check_ready(first)
                self.assertEqual(first.asked, STORY)
                self.assertEqual((self.text("/etc/hostname"), first.hostname), ("rehearsal\n", "rehearsal"))
                self.assertIn("going on without Python", first.err)
                self.assertIn("ContainerId: %s\n" % CONTAINER_ID, first.err)
                self.assertIn("InstanceId: %s\n" % INSTANCE_ID, first.err)
                self.assertIn("Azure accepted Ready", self.text(LOG) or "")
                self.assertEqual(os.stat(self.root + LOG).st_mode & 0o777, 0o600)
                self.assertEqual(os.stat(self.root + STATE).st_mode & 0o777, 0o644)
                self.assertFalse(self.system.exists(HOOK))
                self.assertEqual((second.code, second.err, second.requests), (0, "", []))

    def test_every_client(self) -> None:
        """All clients send the same: our headers, one Content-Type, no proxy."""
        self.hasten()
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
        for client in CLIENTS:
            with self.subTest(client):
                self.choose("dash", client)
                result = self.boot(faults=["report-stale"], environment=proxies)
                self.check_ready(result, incarnation=2)
                asked = ["imds 200", "goalstate 200", "health 410", "goalstate 200", "health 200"]
                self.assertEqual(result.asked, asked)
                headers: "List[Dict[str, str]]" = [request[2] for request in result.requests]
                self.assertEqual({head["Metadata"] for head in headers if "Metadata" in head}, {"true"})
                self.assertEqual(headers[-2]["x-ms-version"], "2012-11-30")
                self.assertEqual(headers[-1]["x-ms-agent-name"], "azure-provisioning")
                self.assertEqual(headers[-1]["Content-Type"], "text/xml;charset=utf-8")
                self.assertIn("http error 410", result.err)

    def test_ready_of_python_counts_in_the_shell_and_vice_versa(self) -> None:
        self.add(files={STATE: "vm_id=%s\nconfigured_at=x\nready_at=y\n" % swap(VM_ID)})
        self.add(files={STATE: "vm_id=%s\nuser=alice\nready_at=y\nerror_reason=x\n" % OTHER_VM_ID})
        same, other = self.play()
        self.assertEqual((same.code, same.requests), (0, []))
        self.check_ready(other)
        facts = self.state().facts
        self.assertEqual((facts["previous_vm_id"], facts["previous_user"]), (OTHER_VM_ID, "alice"))

    def test_interrupted_after_configured(self) -> None:
        """The name is not requested again; Python's records of its own steps stay."""
        result = self.boot(files={STATE: "vm_id=%s\nstep.hosts=ok 0.001\nconfigured_at=x\nerror_reason=y\n" % VM_ID})
        self.check_ready(result)
        self.assertEqual((result.asked, result.hostname), (STORY[1:], "image"))
        self.assertEqual(self.state().steps(), [("hosts", "ok", 0.001)])

    def test_killed_at_any_time(self) -> None:
        for after in (0.02, 0.05, 0.08, 0.11, 0.14):
            self.add(files=self.hook, kill_after=after, kill_by=signal.SIGKILL)
            self.add(fresh=False)
        result = self.play()
        for first, second in zip(result[::2], result[1::2]):
            self.assertEqual(second.code, 0, second)
            # Two reports if the boot was killed after Azure's answer but before the state was on the disk.
            self.assertIn(len(first.reports) + len(second.reports), (1, 2), (first, second))
        self.assertEqual(result[1].reports, [READY % 1])
        self.assertTrue(self.state().has("ready_at", VM_ID))

    def test_terminated(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            result = self.boot(files=self.hook, faults=["imds-portal-for-ever"], kill_after=1.5, kill_by=number)
            self.assertEqual(result.code, 130)
            self.assertRegex(result.err, r"\nazure-provisioning: interrupted; the next boot continues\n\Z")
            self.assertEqual(os.listdir(self.root + "/run"), [])
            self.assertTrue(self.system.exists(HOOK))

    def test_closed_and_full_streams(self) -> None:
        """A caller that has closed some of the streams, or whose disk is full, and a machine without /dev/null."""
        every = [" ".join(some) for n in (1, 2, 3) for some in itertools.combinations(("<&-", ">&-", "2>&-"), n)]
        for shell in SHELLS:
            self.choose(shell, *self.clients)
            for how in every if shell == self.shell else ["2>&-", every[-1], ">/dev/full 2>/dev/full"]:
                self.add("/bin/sh", "-c", "exec /bin/sh %s --without-python run %s" % (PROGRAM, how), files=self.hook)
            for result in self.play():
                self.assertEqual((result.code, result.out, result.reports), (0, "", [READY % 1]), result)
                self.assertFalse(self.system.exists(HOOK))

    def test_detached(self) -> None:
        """The caller returns at once; the rest runs in its own session. This works without setsid too."""
        gate = {"/etc/azure-provisioning/ready.d/session": "#!/bin/sh\ncut -d' ' -f6 /proc/self/stat >/var/session\n"}
        result = self.boot("/bin/sh", PROGRAM, "run", "--detach", faults=["imds-throttled"] * 2, files=gate)
        self.assertEqual((result.code, result.out, result.err), (0, "", ""))
        self.assertLess(result.seconds, 1.0)
        self.assertEqual(result.asked, ["imds 429"] * 2 + STORY)
        self.assertTrue(self.state().has("ready_at", VM_ID))
        self.assertNotEqual(int(self.text("/var/session") or ""), os.getsid(0))
        os.unlink(self.root + "/bin/setsid")
        self.place("setsid", "/bin/leave")
        slow = dict(gate, **{"/bin/setsid": '#!/bin/sh\nsleep 0.7\nexec leave "$@"\n'})
        result = self.boot("/bin/sh", PROGRAM, "run", "--detach", files=slow)
        self.assertEqual((result.code, result.asked), (0, STORY))
        self.assertGreater(result.seconds, 0.7)  # by then an init system may kill the caller's session
        os.unlink(self.root + "/bin/setsid")
        result = self.boot("/bin/sh", PROGRAM, "run", "--detach", files=gate)
        self.assertEqual((result.code, result.asked), (0, STORY))
        self.assertEqual(int(self.text("/var/session") or ""), os.getsid(0))

    def test_systemd_is_notified(self) -> None:
        """systemd-notify reports it, before the wait for Azure. No other program gets the address of the socket."""
        if find("systemd-notify") is None:
            self.skipTest("no systemd-notify here: what systemd hears of the shell was not tried")
        self.place("systemd-notify", "/bin/systemd-notify")
        listen = (
            "import os, socket, sys, threading\n"
            "manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "manager.bind(root + '/var/notify')\n"
            "def hear():\n"
            "    said = manager.recv(4096).decode()\n"
            "    for fds in manager.recvmsg(4096, socket.CMSG_SPACE(4))[1]:\n"  # it waits until they are closed
            "        os.close(int.from_bytes(fds[2][:4], sys.byteorder))\n"
            "    with open(root + '/var/said', 'w') as file:\n"
            "        file.write(said + ' after %d requests' % len(azure.requests))\n"
            "threading.Thread(target=hear, daemon=True).start()\n"
        )
        gate = {"/etc/azure-provisioning/ready.d/socket": '#!/bin/sh\n[ -z "$NOTIFY_SOCKET" ]\n'}
        result = self.boot(setup=listen, files=gate, environment={"NOTIFY_SOCKET": "/var/notify"})
        self.check_ready(result)
        self.assertEqual((self.text("/var/said") or "").split("\n")[-1], "READY=1 after 0 requests")


class OnceTest(EssentialTest):
    def test_not_on_azure(self) -> None:
        self.fill({DMI + "/chassis_asset_tag": "none\n"})
        before = snapshot(self.root + "/etc"), snapshot(self.root + "/var")
        result = self.boot(options="", fresh=False)
        os.unlink(self.root + "/etc/azure-provisioning.conf")
        self.assertEqual((result.code, result.err), (0, "azure-provisioning: not on Azure, nothing to do\n"))
        self.assertEqual((result.requests, result.hostname == "image"), ([], False))
        self.assertEqual((snapshot(self.root + "/etc"), snapshot(self.root + "/var")), before)

    def test_without_dmi(self) -> None:
        """The options or a Hyper-V bus show that it is Azure; from then on only IMDS knows which VM it is."""
        for name in os.listdir(self.root + DMI):
            os.unlink(self.root + DMI + "/" + name)
        self.add()
        self.add(options="platform = azure\n")
        no, yes = self.play()
        self.assertEqual((no.code, no.requests), (0, []))
        self.check_ready(yes)

    def test_every_boot(self) -> None:
        result = self.boot(files=self.hook, options="  every_boot=yes \n")
        self.check_ready(result)
        self.assertTrue(self.system.exists(HOOK))

    def test_leftover_hook_is_disabled(self) -> None:
        result = self.boot(files=dict(self.hook, **{STATE: "vm_id=%s\nready_at=y\n" % VM_ID}))
        self.assertEqual(
            (result.code, result.err, result.requests), (0, "azure-provisioning: the hook is off (%s)\n" % HOOK, [])
        )
        self.assertFalse(self.system.exists(HOOK))

    def test_only_recorded_links_are_removed(self) -> None:
        """No folder, no file of others, and no path that is not absolute."""
        kept = ("/usr/share/keep", "/etc/azure-provisioning/mine", "/etc/azure-provisioning.d/x")
        self.fill(dict.fromkeys(kept, ""))
        links = ("/usr/share", "usr/share/keep", "/none", "/etc/azure-provisioning.d") + kept[:2]
        result = self.boot(files={INSTALLED: "".join("link=%s\n" % link for link in links) + "folder=%s\n" % kept[0]})
        self.check_ready(result)
        self.assertNotIn("the hook is off", result.err)
        for path in kept:
            self.assertTrue(self.system.exists(path), path)

    def test_hook_is_disabled_for_each_init_system(self) -> None:
        """After Python's `install`, the shell disables the hook as Python's own `disable` would."""
        for name in NAMES:
            with self.subTest(name):
                for folder in ("etc", "var", "usr/share"):
                    subprocess.check_call(["rm", "-rf", os.path.join(self.root, folder)])
                self.fill(MACHINE)
                self.fill({"/etc/inittab": "::sysinit:/x\n", "/etc/rc.local": "#!/bin/sh\nexit 0\n"})
                self.fill({"/etc/rc.d/rc.local": "#!/bin/sh\n:\n"} if name == "slackware" else {})
                self.fill({"/etc/dinit.d/boot": "waits-for.d = boot.d\n", S6 + "type": "bundle\n"})
                for path in FOLDERS:
                    os.makedirs(self.root + path, exist_ok=True)
                os.chmod(self.root + "/etc/rc.local", 0o755)
                with open(self.program, "rb") as file:
                    install(self.system, self.console, file.read(), init_name=name)
                self.assertEqual(find_hook(self.system)[0], name)
                self.add(fresh=False)
                self.add(fresh=False)
                first, second = self.play()
                self.check_ready(first)
                self.assertIn("the hook is off", first.err)
                self.assertEqual(find_hook(self.system)[1], [])
                self.assertEqual((second.code, second.err), (0, ""))
                before = snapshot(self.root + "/etc")
                self.assertEqual(table.disable(self.system), [])
                self.assertEqual(snapshot(self.root + "/etc"), before)
                if name in ("busybox", "rc-local"):
                    text = "::sysinit:/x\n" if name == "busybox" else "#!/bin/sh\nexit 0\n"
                    self.assertEqual(self.text("/etc/inittab" if name == "busybox" else "/etc/rc.local"), text)

    def test_damaged_state_is_set_aside(self) -> None:
        result = self.boot(files={STATE: "\x00\x7fELF nonsense\n"})
        self.check_ready(result)
        self.assertTrue(self.system.exists(STATE + ".corrupt"))

    def test_state_cannot_be_saved(self) -> None:
        self.fill({"/var/lib/azure-provisioning": "a file"})
        result = self.boot(fresh=False)
        self.assertEqual((result.code, len(result.reports)), (0, 1))
        self.assertIn("warning: the state cannot be saved", result.err)

    def test_other_verbs(self) -> None:
        for argv in ([], ["status"], ["run", "now"], ["install", "--root", "/"], ["--help"], ["run --detach"]):
            self.add("/bin/sh", PROGRAM, *argv)
        for result in self.play():
            self.assertEqual((result.code, result.out, result.requests), (1, "", []))
            self.assertRegex(result.err, r"\Aazure-provisioning: only 'run [^\n]* Python >= 3.6[^\n]*\n\Z")

    def test_disk_is_waited_for(self) -> None:
        """The state is written twice, the name once: each write waits for the disk before and after the rename."""
        os.unlink(self.root + "/bin/sync")
        self.fill({"/bin/sync": "#!/bin/sh\nls -a /etc /var/lib/azure-provisioning >>/var/synced\necho >>/var/syncs\n"})
        self.check_ready(self.boot(files=self.hook))
        self.assertGreaterEqual((self.text("/var/syncs") or "").count("\n"), 7)
        self.assertIn(".hostname.azure-provisioning\n", self.text("/var/synced") or "")
        self.assertIn(".state.azure-provisioning\n", self.text("/var/synced") or "")


class NameTest(EssentialTest):
    NAMES = (
        "web-01", "WEB.example.org", "vmss_0", "a b", "-a-", "a..b", ".a", "a.", "a-.-b", "_", "$(reboot)", "`id`",
        "a;b", "caf\xe9", "\u4e2d\u6587", "a\tb", 'a"b', "a\\b", "a/b", "*", "x" * 70, ".".join(["y" * 30] * 3),
        "z" * 63 + ".b", "a--b", "a-_-b", "1", "\x1b[2Jx", "q" * 62 + "-r",
    )  # fmt: skip

    def test_names_are_the_same_as_in_python(self) -> None:
        """The name is used as the user typed it."""
        for name in self.NAMES:
            self.add(setup="azure.instance['compute']['osProfile']['computerName'] = %r" % name)
        for name, result in zip(self.NAMES, self.play()):
            expected = valid_name(name) or valid_name("rehearsal_0")
            self.assertEqual((result.code, result.hostname), (0, expected), name)

    def test_resource_name(self) -> None:
        self.add(setup="azure.instance['compute'].pop('osProfile')")
        self.add(setup="azure.instance['compute'].pop('osProfile'); azure.instance['compute']['name'] = '$(reboot)'")
        self.add(setup="azure.instance['compute'].pop('osProfile'); azure.instance['compute']['name'] = '_'")
        plain, hostile, none = self.play()
        self.assertEqual((plain.hostname, plain.asked), ("rehearsal-0", STORY))
        self.assertEqual(plain.values, ["vmId 200", "name 200"])
        self.assertEqual((hostile.hostname, none.hostname), ("reboot", "image"))
        self.assertEqual((none.code, len(none.reports)), (0, 1))

    def test_tags_are_not_the_name(self) -> None:
        """Tags come before the profile, and may look like one."""
        tags = "azure.instance['compute'] = dict([('tags', %r)], **azure.instance['compute'])"
        result = self.boot(setup=tags % 'x:"computerName":"evil","ppsType":"Savable"')
        self.assertEqual((result.code, result.hostname), (0, "rehearsal"))

    def test_specialised_disk(self) -> None:
        result = self.boot(
            setup="azure.instance['compute'].pop('osProfile')", files={STATE: "vm_id=%s\nready_at=y\n" % OTHER_VM_ID}
        )
        self.check_ready(result)
        self.assertEqual(result.hostname, "image")

    def test_pre_provisioned(self) -> None:
        result = self.boot(setup="azure.instance['extended']['compute']['ppsType'] = 'Savable'", files=self.hook)
        self.assertEqual((result.code, result.asked, result.hostname), (1, ["imds 200"], "image"))
        self.assertTrue(self.system.exists(HOOK))

    def test_hostname_option_no(self) -> None:
        result = self.boot(options="hostname = no\n")
        self.check_ready(result)
        self.assertEqual((result.hostname, self.text("/etc/hostname")), ("image", "image\n"))

    def test_hostname_link_into_a_store(self) -> None:
        self.hasten()
        os.unlink(self.root + "/etc/hostname")
        self.fill({"/run/name": "x\n", "/etc/hostname": "-> /run/name"})
        result = self.boot(options="deadline = 10\n", fresh=False)
        self.assertEqual(result.code, 1)
        self.assertIn("reason=failure to write file|", "".join(request[3] for request in result.requests))
        self.assertTrue(self.system.is_link("/etc/hostname"))

    def test_mode_is_kept_and_slackware_file_is_written(self) -> None:
        os.chmod(self.root + "/etc/hostname", 0o640)
        self.fill({"/etc/HOSTNAME": "old\n"})
        self.check_ready(self.boot())
        self.assertEqual(self.text("/etc/HOSTNAME"), "rehearsal\n")
        self.assertEqual(os.stat(self.root + "/etc/hostname").st_mode & 0o777, 0o640)


class OptionsTest(EssentialTest):
    def test_options_that_need_python_fail(self) -> None:
        self.hasten()
        wanted = ("password = yes", "password_login=yes", "custom_data = run", "user_data = keep")
        for line in wanted:
            self.add(options=line + "\n", files=self.hook)
        for line, result in zip(wanted, self.play()):
            key = line.partition("=")[0].strip()
            self.assertEqual((result.code, result.hostname, result.asked[:1]), (1, "image", ["goalstate 200"]), line)
            self.assertIn("FAILED: the options need Python (option=%s)" % key, result.err)
            self.assertIn("<State>NotReady</State>", result.reports[0])
            self.assertTrue(self.system.exists(HOOK))

    def test_other_options_do_not_fail(self) -> None:
        result = self.boot(options="account = yes\n# password = yes\nhost_keys = new\ncustom_data = no\nsudo =\n")
        self.check_ready(result)

    def test_invalid_addresses_are_ignored(self) -> None:
        """The last line with a valid address counts: no name is resolved, and no word becomes an argument."""
        self.hasten()
        result = self.boot(options="imds = -K/etc/passwd\ndeadline = 10\n")
        self.assertEqual((result.code, result.asked[:1]), (1, ["goalstate 200"]))
        self.assertIn("no answer from IMDS", result.err)

    def test_gates(self) -> None:
        self.hasten()
        gates = "/etc/azure-provisioning/ready.d/"
        text = "#!/bin/sh\necho $AZURE_VM_ID:$AZURE_HOSTNAME:$NOTIFY_SOCKET >>/var/gates\necho $0 >>/var/gates\n"
        files = {gates + name: text for name in ("20-b", "10-a", "30-c~", ".hidden")}
        self.add(files=files)
        self.add(files={gates + "15-no": "#!/bin/sh\nexit 3\n"}, options="deadline = 10\n")
        passed, failed = self.play()
        self.assertEqual(len(passed.reports), 1)
        ran = (self.text("/var/gates") or "").split()
        result = VM_ID + ":rehearsal:"
        self.assertEqual(ran[:4], [result, gates + "10-a", result, gates + "20-b"])
        self.assertEqual(failed.code, 1)
        self.assertIn("reason=ready gate failed|", failed.reports[0])
        self.assertIn("|gate=15-no|code=3<", failed.reports[0])
        self.assertFalse(self.state().has("ready_at", VM_ID))
        self.assertEqual(self.state().facts["error.code"], "3")

    def test_gates_that_cannot_be_executed(self) -> None:
        """It is skipped and reported, in the same words as in Python; by all shells."""
        folder = "/etc/azure-provisioning/ready.d/"
        self.fill({folder + "10-a": "#!/bin/sh\n", folder + "20 b": "", folder + "30-c~": "", folder + "40-d/x": ""})
        self.fill({folder + "50-e": "-> /gone", folder + "6\x1b[2J": "#!/bin/sh\n"})
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                result = self.boot()
                self.check_ready(result)
                warned = re.findall(
                    r"warning: the ready gate (.*) cannot be executed, and is passed over: chmod", result.err
                )
                self.assertEqual(warned, ["10-a", "20 b", "50-e", "6?[2J"])
                self.assertEqual(len(find_passed_over(self.system)), len(warned))

    def test_gate_name_is_escaped(self) -> None:
        """It is reported as text: it opens no element of the report, and adds no fact to the state."""
        self.hasten()
        name = "1 <State>&\nready_at=2026"
        result = self.boot(
            files={"/etc/azure-provisioning/ready.d/" + name: "#!/bin/sh\nexit 3\n"}, options="deadline = 10\n"
        )
        self.assertEqual(result.code, 1, result)
        self.assertIn("|gate=1 ?State???ready_at=2026|code=3<", result.reports[0])
        self.assertFalse(self.state().has("ready_at", VM_ID))

    def test_plain_user(self) -> None:
        """Only root may run a first boot: otherwise nothing is sent, and nothing is written."""
        if os.geteuid() != 0:
            self.skipTest("only root can become another user: the file was not tried as one")
        self.spaces = ("--mount", "--net", "--uts", "--pid", "--ipc", "--fork")
        self.fill({"/etc/passwd": MACHINE["/etc/passwd"] + "plain:x:1000:1000::/:/bin/sh\n"})
        os.chmod(self.root, 0o755)
        os.chmod(self.root + "/tmp", 0o1777)
        for shell in SHELLS:
            with self.subTest(shell):
                self.choose(shell, *self.clients)
                result = self.boot("/bin/su", "plain", "-c", "/bin/sh %s run" % PROGRAM)
                self.assertEqual((result.code, result.requests), (1, []), result)
                self.assertEqual(result.err, "azure-provisioning: only root can set this VM up\n")
                self.assertEqual(os.listdir(self.root + "/tmp"), [])

    def refuse(self, *changes: str, who: str) -> None:
        """A gate that others may change is not run, and each report says so; in all shells."""
        gate = "/etc/azure-provisioning/ready.d/10-a"
        self.fill({gate: "#!/bin/sh\ntouch /var/ran\n"})
        os.chmod(self.root + gate, 0o755)
        setup = "import os\nos.umask(0o22)\n" + "".join("os.%s\n" % change for change in changes)
        for shell in ("dash", "bash", "mksh", "yash", "busybox ash"):
            if find(shell) is None:
                continue
            self.choose(shell, *self.clients)
            result = self.boot(setup=setup, options="deadline = 10\n")
            self.assertEqual(result.code, 1, result)
            problem = "gate=10-a|problem=not run: " + who
            self.assertIn("reason=ready gate failed|", result.reports[0])
            self.assertIn("|%s<" % problem, result.reports[0])
            self.assertIn("FAILED: ready gate failed (%s)" % problem.replace("|", ", "), result.err)
            self.assertEqual(self.state().facts["error.problem"], "not run: " + who)
            self.assertFalse(self.system.exists("/var/ran"))
            with self.assertRaises(GuestError) as caught:  # as in Python
                pass_gate(self.system, gate, {})
            self.assertEqual(caught.exception.details["problem"], "not run: " + who)

    def test_gate_writable_by_others_is_not_run(self) -> None:
        gate = "/etc/azure-provisioning/ready.d/10-a"
        rows = [(0o777, "everybody"), (0o757, "everybody")]
        if os.geteuid() == 0:  # the group of a plain user has another number in the room
            rows.append((0o775, "the group %d" % os.stat(self.root).st_gid))
        for mode, who in rows:
            self.refuse("chmod(root + %r, %d)" % (gate, mode), who="%s may write to %s" % (who, gate))

    def test_gate_folder_writable_by_others_is_refused(self) -> None:
        for folder in ("/etc/azure-provisioning/ready.d", "/etc"):
            change = "chmod(root + %r, 0o1777)" % folder
            self.refuse(change, who="everybody may write to " + folder)
            os.chmod(self.root + folder, 0o755)

    def test_gate_target_writable_by_others_is_not_run(self) -> None:
        """A link behind a link, in a folder that everybody may write to."""
        gate = "/etc/azure-provisioning/ready.d/10-a"
        self.fill({"/srv/x/gate": "#!/bin/sh\ntouch /var/ran\n", "/srv/gate": "-> x/gate"})
        os.chmod(self.root + "/srv/x/gate", 0o755)
        os.chmod(self.root + "/srv/x", 0o777)
        self.refuse(
            "unlink(root + %r)" % gate, "symlink('/srv/gate', root + %r)" % gate, who="everybody may write to /srv/x"
        )

    def test_gate_of_another_owner_is_not_run(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root can give a gate away: one of a user was not tried")
        gate = "/etc/azure-provisioning/ready.d/10-a"
        self.spaces = ("--mount", "--net", "--uts", "--pid", "--ipc", "--fork")
        self.refuse("chown(root + %r, 1000, 1000)" % gate, who="the user 1000 may write to " + gate)

    def test_state_of_another_owner_is_corrected(self) -> None:
        """Each written file belongs to root with the right mode, in a folder that only root may write to."""
        if os.geteuid() != 0:
            self.skipTest("only root can give files away: a state of a user was not tried")
        self.spaces = ("--mount", "--net", "--uts", "--pid", "--ipc", "--fork")
        folder = "/var/lib/azure-provisioning"
        self.fill({STATE: "", **self.hook})
        for path in (folder, STATE):
            os.chown(self.root + path, 1000, 1000)
            os.chmod(self.root + path, 0o777)
        self.check_ready(self.boot(fresh=False))
        for path, mode in ((folder, 0o755), (STATE, 0o644)):
            found = os.stat(self.root + path)
            self.assertEqual((found.st_uid, found.st_gid, found.st_mode & 0o7777), (0, 0, mode), path)

    def test_hook_list_writable_by_others_is_not_used(self) -> None:
        """No file in a list that a user has written is removed."""
        self.fill({"/etc/x-azure-provisioning": "", INSTALLED: "link=/etc/x-azure-provisioning\n"})
        os.chmod(self.root + INSTALLED, 0o666)
        result = self.boot(fresh=False)
        self.check_ready(result)
        self.assertIn("warning: the hook stays: everybody may write to " + INSTALLED, result.err)
        self.assertTrue(self.system.exists("/etc/x-azure-provisioning"))


class SmallPythonTest(EssentialTest):
    """A Python that lacks a module that a boot needs: OpenEmbedded's python3-core has no socket."""

    # A separate library with links to the modules of this Python; its `socket` may be damaged.
    CODE = (
        "import os, runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "if not os.path.exists('/library'):\n"
        "    os.mkdir('/library')\n"
        "    for folder in [folder for folder in sys.path if os.path.isdir(folder)]:\n"
        "        for name in set(os.listdir(folder)) - set(os.listdir('/library')):\n"
        "            os.symlink(folder + '/' + name, '/library/' + name)\n"
        "sys.path[:] = ['/library']\n"
        "sys.path_importer_cache.clear()\n"
        "%s\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    NO_SOCKET = "os.path.lexists('/library/socket.py') and os.unlink('/library/socket.py')"
    places = [sys.base_prefix] if sys.base_prefix != "/usr" else []

    def furnish(self, busybox: str) -> None:
        super().furnish(busybox)
        self.python = os.path.realpath(sys.executable)
        for place in self.places:
            os.makedirs(self.root + place, exist_ok=True)
        if not os.path.exists(self.root + self.python) and not self.places:
            self.place(self.python, self.python)

    def test_shell_continues_without_python(self) -> None:
        for lack in ("sys.modules['socket'] = None", "sys.version_info = (3, 5, 9)", self.NO_SOCKET):
            self.add(self.python, "-I", "-S", "-c", self.CODE % lack, PROGRAM, "run")
            self.add(self.python, "-I", "-S", "-c", self.CODE % lack, PROGRAM, "status", "--json", fresh=False)
        hidden, hidden_verb, old, old_verb, small, verb = self.play()
        for result in (hidden, small, old):
            self.check_ready(result)
        for result in (hidden, small):
            self.assertIn("the module 'socket' is missing", result.err)
        self.assertIn("Python 3.6 or newer is needed", old.err)
        self.assertEqual((old_verb.code, old_verb.requests, old_verb.err.count("\n")), (1, [], 1))
        for result in (verb, hidden_verb):
            self.assertEqual((result.code, json.loads(result.out)["ready"]), (0, True), result)

    def test_damaged_file(self) -> None:
        """The module that asks the shell is damaged, too: neighbours in the file are often lost together."""
        for damaged in (("breakdown.py",), ("breakdown.py", "cli.py"), ("cli.py",), ("story/run.py",)):
            with self.subTest(damaged), open(built_file(), "rb") as file:
                data = bytearray(file.read())
                for entry in zipfile.ZipFile(built_file()).infolist():
                    if entry.filename in ["azure_provisioning/" + name for name in damaged]:
                        start = entry.header_offset + 30 + len(entry.filename) + 100
                        data[start : start + 10] = bytes(10)
                self.system.write("/damaged", bytes(data))
                result = self.boot(self.python, "-I", "-S", "/damaged", "run")
                if "cli.py" in damaged or "story/run.py" in damaged:
                    self.assertIn("<State>NotReady</State>", "".join(result.reports), result)
                    self.assertIn("reason=python is broken|", "".join(result.reports))
                else:  # nothing needed it
                    self.assertIn("<State>Ready</State>", "".join(result.reports), result)

    def check_broken(self, result: BootResult, problem: str) -> None:
        """Azure, the state and the console get the failure, and the next boot tries again."""
        self.assertEqual((result.code, result.out, result.hostname), (1, "", "image"), result)
        self.assertEqual(result.asked, STORY[1:])
        self.assertEqual(len(result.reports), 1)
        self.assertIn("<State>NotReady</State>", result.reports[0])
        self.assertIn("reason=python is broken|", result.reports[0])
        self.assertRegex(result.reports[0], r"\|problem=%s<" % problem)
        line = r"FAILED: python is broken \(problem=%s\)\. Repair or reinstall python3\. The next boot tries again\n\Z"
        self.assertRegex(result.err, line % problem)
        self.assertTrue(self.system.exists(HOOK))
        facts = self.state().facts
        self.assertEqual((facts["error_reason"], "ready_at" in facts), ("python is broken", False))

    def test_python_damaged_after_install(self) -> None:
        """A module that existed at install does not make a Python minimal, whatever the library contains now."""
        whole = {INSTALLED: self.hook[INSTALLED] + "lacks=nothing\n", HOOK: "a link, but for the tests\n"}
        for lack in (self.NO_SOCKET, "sys.version_info = (3, 5, 9)"):
            self.check_broken(
                self.boot(self.python, "-I", "-S", "-c", self.CODE % lack, PROGRAM, "run", files=whole),
                "modules are gone",
            )
        self.check_broken(self.boot(files=whole), "modules are gone")
        result = self.boot("/bin/sh", PROGRAM, "run", "--detach", files=whole)
        self.assertEqual((result.code, result.err, result.asked), (0, "", STORY[1:]))
        self.assertIn("NotReady", result.reports[0])
        small = dict(whole, **{INSTALLED: self.hook[INSTALLED] + "lacks=socket\n"})
        self.check_ready(
            self.boot(self.python, "-I", "-S", "-c", self.CODE % self.NO_SOCKET, PROGRAM, "run", files=small)
        )

    def test_damaged_library_is_reported(self) -> None:
        """A module exists but cannot be loaded, and nothing was recorded."""
        kinds = {
            "os.symlink('/none', '/library/socket')": "ModuleNotFoundError socket",
            "os.mkdir('/library/socket.py')": "ModuleNotFoundError socket",
            "open('/library/socket.py', 'w').write('def\\n')": "SyntaxError",
            "open('/library/socket.py', 'w').write('from os import none\\n')": "ImportError(?: os)?",
            "open('/library/socket.py', 'w').write('open(chr(47))\\n')": "IsADirectoryError Is a directory",
            "open('/library/socket.so', 'w').write('ELF')": "ImportError socket",
        }
        for lack in kinds:
            code = self.CODE % ("os.system('rm -rf /library/socket*'); " + lack)
            self.add(self.python, "-I", "-S", "-c", code, PROGRAM, "run", files=self.hook)
        for problem, result in zip(kinds.values(), self.play()):
            self.check_broken(result, problem.replace("socket", "socket(?: socket)?"))

    # Like a CPython before 3.11.3 that was built with musl.
    NO_ATTRIBUTES = "for name in dir(os): name.endswith('xattr') and delattr(os, name)"

    def test_without_extended_attributes(self) -> None:
        command = (self.python, "-I", "-S", "-c", self.CODE % self.NO_ATTRIBUTES, PROGRAM, "run")
        result = self.boot(*command, options="account = no\npassword = no\nssh_keys = no\ncustom_data = no\n")
        self.assertEqual((result.code, result.asked, result.hostname), (0, STORY, "rehearsal"), result)
        self.assertIn("ready_at", self.state().facts)

    def test_bug_is_reported_once(self) -> None:
        """For any bug of ours, at any point: one report of it, from Python or otherwise from the shell."""
        self.add(self.python, "-I", "-S", "-c", self.CODE % "os.fsync = None", PROGRAM, "run", files=self.hook)
        code = self.CODE % "import socket; socket.socket.connect = None"
        self.add(self.python, "-I", "-S", "-c", code, PROGRAM, "run", files=self.hook)
        writing, connecting = self.play()
        self.assertEqual((writing.code, writing.asked), (3, STORY[1:]), writing)
        self.assertRegex(writing.reports[0], r"reason=unhandled exception\|.*exception=TypeError")
        self.check_broken(connecting, "TypeError")

    def test_python_with_all_modules_is_used(self) -> None:
        result = self.boot(self.python, "-I", "-S", "-c", self.CODE % "0", PROGRAM, "run", options="deadline = 10\n")
        self.assertNotIn("without Python", result.err)
        self.assertIn("DVD", result.err)


class HeadTest(EssentialTest):
    """Which Python runs the file, and how it is called."""

    def call(self, shell: str, pythons: "Dict[str, str]", *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run the file with a shell that finds these programs: names to texts, or to links that begin with "-> "."""
        folder = self.root + "/pythons"
        subprocess.check_call(["rm", "-rf", folder])
        note = '#!/bin/sh\necho "${0##*/}"\nfor word; do echo "$word"; done\n'
        self.fill({"/pythons/" + name: note if text == "" else text for name, text in pythons.items()})
        for name in os.listdir(folder):
            os.chmod(os.path.join(folder, name), 0o755)
        os.symlink(os.path.realpath("/bin/readlink"), folder + "/readlink")
        return subprocess.run(
            shell.split() + [self.program, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            env={"PATH": folder},
        )

    def test_interpreter_is_chosen(self) -> None:
        cases: "List[tuple[Dict[str, str], str]]" = [
            ({"python3": "", "python3.12": ""}, "python3"),
            ({"python3.9": "", "python3.12": "", "python3.6": "", "python3.5": ""}, "python3.12"),
            ({"python3": "-> python3.5", "python3.5": "", "python3.7": ""}, "python3.7"),
            ({"python3": "-> python3.10", "python3.10": ""}, "python3"),
            ({"python3": "-> python3.5m", "python3.5m": "", "python3.8": ""}, "python3.8"),
        ]
        for shell in SHELLS:
            path = shell.split()[0]
            full = subprocess.check_output(["which", path], universal_newlines=True).strip()
            for pythons, name in cases:
                with self.subTest(shell=shell, pythons=sorted(pythons)):
                    done = self.call(shell.replace(path, full), pythons, "report", "two words", "", "*")
                    result = [name, "-I", "-S", self.program, "report", "two words", "", "*"]
                    self.assertEqual((done.returncode, done.stdout.splitlines(), done.stderr), (0, result, ""))
