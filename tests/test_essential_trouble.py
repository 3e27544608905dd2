"""Faults of Azure, in the shell implementation: none leads to Ready, and none ends a boot too early."""

import os
import re
from typing import List

from azure_provisioning.azure.identity import DMI, EFI
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.image.rehearse.faults import FAULTS
from tests.guests import HOOK
from tests.shells import LOG, STORY, VALUES, BootResult, EssentialTest


class TroubleTest(EssentialTest):
    def play_all(self, kind: str, *left_out: str) -> BootResult:
        """One boot with every fault of a kind that passes at once."""
        once = [name for name in sorted(FAULTS) if FAULTS[name][0] == kind and FAULTS[name][1] < 10]
        slow = ("silent", "drips", "slow", "late", "ended", "slow-start", "open-refusal")
        faults = [name for name in once if not name.endswith(slow) and name not in left_out]
        self.assertGreater(len(faults), 3)
        result = self.boot(faults=faults)
        self.assertGreater(len(result.requests), len(faults))
        return result

    def test_imds(self) -> None:
        self.hasten()
        result = self.play_all("imds", "imds-deep")
        self.check_ready(result)
        self.assertGreater(len(self.versions(result)), 5)

    def test_goal_state(self) -> None:
        self.hasten()
        harmless = ["goal-state-bom", "goal-state-namespace", "goal-state-no-encoding"]
        self.check_ready(self.play_all("goalstate", *harmless))
        for fault in harmless:
            self.add(faults=[fault])
        self.assertEqual([result.asked for result in self.play()], [STORY] * 3)

    def test_report(self) -> None:
        self.hasten()
        self.check_ready(self.play_all("health"), incarnation=2)

    def test_clients_with_headers(self) -> None:
        self.hasten()
        faults = ["imds-cut-off", "imds-not-http", "imds-redirect", "imds-reset", "goal-state-flood", "report-reset"]
        for client, met in (("curl", faults), ("wget", faults[:3]), ("busybox nc", faults[:2])):
            with self.subTest(client):
                self.choose(self.shell, client)
                result = self.boot(faults=met)
                self.check_ready(result)
                self.assertEqual(len(result.asked), len(met) + 3 + ("report-reset" in met))

    def test_redirect_is_not_followed(self) -> None:
        """Not even to a good answer. Only busybox's wget has no option against it."""
        setup = "from azure_provisioning.image.rehearse import faults\n"
        setup += "place = 'http://%s/metadata/instance?redirected' % azure.endpoint\n"
        setup += "azure.troubles['imds'].append(faults.status(302, Location=place))\n"
        for client in ("wget", "curl", "busybox nc"):
            with self.subTest(client):
                self.choose(self.shell, client)
                result = self.boot(setup=setup)
                self.check_ready(result)
                self.assertEqual(result.asked, ["imds 302"] + STORY)
                self.assertFalse([target for _, target, _, _, _ in result.requests if "redirected" in target])

    def test_partial_value(self) -> None:
        """Half a name or key is not taken, also by nc, which does not compare the length."""
        self.hasten()
        cut_off = (
            "from azure_provisioning.image.rehearse.faults import bytes_only, no_trouble\n"
            "half = bytes_only(b'HTTP/1.0 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nazureu')\n"
            "azure.troubles['imds'] = [no_trouble] * 3 + [half]\n"
        )
        for client in ("busybox nc", "busybox wget", "wget", "curl"):
            with self.subTest(client):
                self.choose(self.shell, client)
                result = self.boot(setup=cut_off)
                self.check_ready(result)
                self.assertRegex(result.err, "waiting for IMDS: (half an|no) answer from IMDS")
                self.assertEqual(self.state().facts["user"], "azureuser")

    def test_partial_answer_without_a_length(self) -> None:
        """Only the end of the connection shows that an answer is complete: nc does not count."""
        self.hasten()
        cut_off = (
            "from azure_provisioning.image.rehearse.faults import bytes_only\n"
            "head = b'HTTP/1.1 200 OK\\r\\n\\r\\n'\n"
            'half = b\'{"compute": {"osProfile": {"computerName": "half"}, "name": \'\n'
            "azure.troubles['imds'] = [bytes_only(head + half)]\n"
            "azure.troubles['goalstate'] = [bytes_only(head + azure.current_goal_state()[:-20])]\n"
        )
        self.choose(self.shell, "busybox nc")
        result = self.boot(setup=cut_off)
        self.check_ready(result)
        self.assertEqual(result.asked, ["imds 0", "imds 200", "goalstate 0", "goalstate 200", "health 200"])
        self.assertEqual(result.hostname, "rehearsal")

    def versions(self, result: BootResult) -> "List[str]":
        """The requested versions of IMDS's API; with a `+` for `extended=true`.

        The single values are requested with the version that answered.
        """
        found = []
        for _, target, _, _, _ in result.requests:
            asked = re.findall(r"api-version=([0-9-]+)(&extended=true)?(&format=text)?", target)
            found += ["%s%s" % (version, "+" if extended else "") for version, extended, value in asked if not value]
        values = {target.partition("?")[2] for _, target, _, _, _ in result.requests if target.startswith(VALUES)}
        self.assertEqual(values, {"api-version=%s&format=text" % found[-1].rstrip("+")})
        return found

    def test_slow(self) -> None:
        """The boot waits half a minute for an answer and a minute for a report; a dripping answer does not count."""
        self.hasten(10)
        for faults in (["imds-slow", "goal-state-slow", "report-slow"], ["report-late"], ["imds-drips"]):
            self.add(faults=faults, setup="azure.speed = 10.0\n")  # as fast as the clock of the tree
        patient, late, dripped = self.play()
        for result in (patient, late):
            self.check_ready(result)
            self.assertEqual(result.asked, STORY)
        self.check_ready(dripped)
        self.assertEqual(dripped.asked, ["imds 0"] + STORY)
        self.assertTrue(35 / 10 - 1 < dripped.seconds < 35 / 10 + 8, dripped.seconds)

    def test_slow_beyond_the_deadline(self) -> None:
        """The rest of the deadline limits each try."""
        self.hasten(6)
        result = self.boot(
            faults=["imds-silent"], options="deadline = 60\n", files=self.hook, setup="azure.speed = 6.0\n"
        )
        self.assertLess(result.seconds, 60 / 6 + 4)

    def test_older_clouds(self) -> None:
        """The version that the 400 names, if the client shows its body; otherwise one version after another."""
        self.hasten()
        one_by_one = ["2021-08-01+", "2021-05-01+", "2019-06-01"]
        body = '{"error": "x", "newest-versions": ["2020-09-01", "2020-10-01"]}'
        named = (
            "from azure_provisioning.image.rehearse.faults import ends_at\n"
            "refuse = lambda handler: bool(handler.send(400, %r)) or True\n"
            "azure.troubles['imds'] = [ends_at('2020-10-01', refuse)] * 9\n" % body.encode("ascii")
        )
        for client in ("curl", "wget", "busybox nc", "busybox wget"):
            with self.subTest(client):
                self.choose(self.shell, client)
                for fault in ("imds-stack-hub", "imds-2019", "imds-half-refusal"):
                    self.add(faults=[fault])
                self.add(setup=named)
                hub, old, half, result = self.play()
                for each in (hub, old, half, result):
                    self.check_ready(each)
                self.assertEqual(self.versions(hub), one_by_one[:2])
                self.assertEqual((self.versions(old), self.versions(half)), (one_by_one, one_by_one))
                shown = ["2021-08-01+", "2020-10-01"]
                self.assertEqual(self.versions(result), one_by_one if client == "busybox wget" else shown)

    def test_id_of_generation_1(self) -> None:
        """The state has the firmware's id; Azure and gates get the id that Azure knows."""
        swapped = "527c2691-029f-fe4c-b1f4-a4da7ebac2cf"
        gate = {"/etc/azure-provisioning/ready.d/10-x": "#!/bin/sh\necho $AZURE_VM_ID >/var/seen\n"}
        self.fill({DMI + "/product_uuid": swapped.upper() + "\n"})
        self.system.unlink(EFI + "/fw_platform_size")
        os.rmdir(self.root + EFI)
        self.check_ready(self.boot(files=gate))
        self.assertEqual(self.text("/var/seen"), VM_ID + "\n")
        facts = self.state().facts
        self.assertEqual((facts["vm_id"], facts["vm_id_azure"]), (swapped, VM_ID))
        result = self.boot(faults=["imds-forbidden"], options="deadline = 10\n")
        (report,) = re.findall("<Description>.*</Description>", "".join(request[3] for request in result.requests))
        self.assertIn("|vm_id=%s|" % VM_ID, report)
        self.assertIn("put the proxy agent (GuestProxyAgent) into the image. The next boot tries again", result.err)

    def test_deadline(self) -> None:
        result = self.boot(faults=["imds-portal-for-ever"], options="deadline = 10\n", files=self.hook)
        self.assertEqual(result.code, 1)
        self.assertLess(result.seconds, 13)
        (report,) = re.findall("<State>NotReady</State><Details>.*</Details>", "".join(r[3] for r in result.requests))
        self.assertIn("<SubStatus>ProvisioningFailed</SubStatus><Description>result=error|reason=no usable", report)
        self.assertIn("FAILED: no usable answer from IMDS", result.err)
        self.assertEqual(self.state().facts["error_reason"], "no usable answer from IMDS")
        self.assertEqual(self.state().facts["vm_id"], VM_ID)
        self.assertTrue(self.system.exists(HOOK))

    def test_report_is_never_accepted(self) -> None:
        self.hasten()
        result = self.boot(faults=["report-refused"], options="deadline = 10\n", files=self.hook)
        self.assertEqual((result.code, result.reports), (1, []))
        self.assertFalse(self.state().has("ready_at", VM_ID))
        self.assertIn("FAILED: http error 403", result.err)
        self.assertNotIn("NotReady", "".join(request[3] for request in result.requests))
        self.assertTrue(self.system.exists(HOOK))

    def test_hostile_ids(self) -> None:
        """They become part of a document and a log: only a few characters are allowed, and nothing is executed."""
        self.hasten()
        bad = ("$(touch /tmp/x)", "`reboot`", "a;b", "a&amp;b", "'", "a/../b", "x" * 300, "a b", "\x1b[2J", "\\1", "*")
        hostile = (
            "from azure_provisioning.image.rehearse.fake_azure import INSTANCE_ID\n"
            "from azure_provisioning.image.rehearse.faults import changed\n"
            "def spoil(text):\n"
            "    return changed(lambda xml: xml.replace(INSTANCE_ID.encode(), text.encode()))\n"
            "azure.troubles['goalstate'] = [spoil(text) for text in %r]\n"
        )
        result = self.boot(setup=hostile % (bad,))
        self.check_ready(result)
        self.assertEqual(result.asked, ["imds 200"] + ["goalstate 200"] * len(bad) + STORY[1:])
        self.assertIn("unusable answer", result.err)
        for text in (result.err, self.text(LOG) or ""):
            self.assertEqual(text, "".join(char for char in text if char == "\n" or " " <= char <= "~"))

    def test_first_of_two_role_instances(self) -> None:
        two = "azure.goal_state = azure.goal_state.replace('</RoleInstance>', '</RoleInstance>' + %r)"
        result = self.boot(setup=two % "<RoleInstance><InstanceId>other</InstanceId></RoleInstance>")
        self.check_ready(result)
