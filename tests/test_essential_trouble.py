"""Trouble with Azure, as the shell meets it: nothing of it is Ready, and none of it ends a boot too early."""

import re

from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.image.rehearse.faults import FAULTS
from tests.guests import HOOK
from tests.shells import LOG, STORY, EssentialTest, Told


class TroubleTest(EssentialTest):
    def play_all(self, kind: str, *left_out: str) -> Told:
        """One boot that meets every trouble of a kind that is over at once."""
        once = [name for name in sorted(FAULTS) if FAULTS[name][0] == kind and FAULTS[name][1] < 10]
        faults = [name for name in once if not name.endswith(("silent", "drips")) and name not in left_out]
        self.assertGreater(len(faults), 3)
        told = self.boot(faults=faults)
        self.assertGreater(len(told.requests), len(faults))
        return told

    def test_imds(self) -> None:
        self.hasten()
        told = self.play_all("imds", "imds-deep")
        self.check_ready(told)
        queries = [target for _, target, _, _, _ in told.requests if target.startswith("/metadata")]
        self.assertIn("api-version=2019-06-01", queries[-1])

    def test_goal_state(self) -> None:
        self.hasten()
        harmless = ["goal-state-bom", "goal-state-namespace", "goal-state-no-encoding"]
        self.check_ready(self.play_all("goalstate", *harmless))
        for fault in harmless:
            self.add(faults=[fault])
        self.assertEqual([told.asked for told in self.play()], [STORY] * 3)

    def test_report(self) -> None:
        self.hasten()
        self.check_ready(self.play_all("health"), incarnation=2)

    def test_clients_that_show_the_head(self) -> None:
        self.hasten()
        faults = ["imds-cut-off", "imds-not-http", "imds-redirect", "imds-reset", "goal-state-flood", "report-reset"]
        for client, met in (("curl", faults), ("wget", faults[:3]), ("busybox nc", faults[:2])):
            with self.subTest(client):
                self.choose(self.shell, client)
                told = self.boot(faults=met)
                self.check_ready(told)
                self.assertEqual(len(told.requests), len(met) + 3 + ("report-reset" in met))

    def test_redirect_is_not_followed(self) -> None:
        """Also not to where a good answer would be. Only busybox's wget cannot be kept from it."""
        setup = "from azure_provisioning.image.rehearse import fake_azure\n"
        setup += "place = 'http://%s/metadata/instance?redirected' % azure.endpoint\n"
        setup += "azure.troubles['imds'].append(fake_azure.status(302, Location=place))\n"
        for client in ("wget", "curl", "busybox nc"):
            with self.subTest(client):
                self.choose(self.shell, client)
                told = self.boot(setup=setup)
                self.check_ready(told)
                self.assertEqual(told.asked, ["imds 302"] + STORY)
                self.assertFalse([target for _, target, _, _, _ in told.requests if "redirected" in target])

    def test_half_an_answer_that_says_no_length(self) -> None:
        """Only its own end tells that it is whole: nc does not count."""
        self.hasten()
        cut_off = (
            "from azure_provisioning.image.rehearse.fake_azure import bytes_only\n"
            "head = b'HTTP/1.1 200 OK\\r\\n\\r\\n'\n"
            'half = b\'{"compute": {"osProfile": {"computerName": "half"}, "name": \'\n'
            "azure.troubles['imds'] = [bytes_only(head + half)]\n"
            "azure.troubles['goalstate'] = [bytes_only(head + azure.current_goal_state()[:-20])]\n"
        )
        self.choose(self.shell, "busybox nc")
        told = self.boot(setup=cut_off)
        self.check_ready(told)
        self.assertEqual(told.asked, ["imds 0", "imds 200", "goalstate 0", "goalstate 200", "health 200"])
        self.assertEqual(told.hostname, "rehearsal")

    def test_slow(self) -> None:
        """One byte a second is no answer: the whole try has 15 s."""
        told = self.boot(faults=["imds-drips"])
        self.check_ready(told)
        self.assertEqual(told.asked, ["imds 0"] + STORY)
        self.assertLess(told.seconds, 25)

    def test_deadline(self) -> None:
        told = self.boot(faults=["imds-portal-for-ever"], options="deadline = 10\n", files=self.hook)
        self.assertEqual(told.code, 1)
        self.assertLess(told.seconds, 13)
        (report,) = re.findall("<State>NotReady</State><Details>.*</Details>", "".join(r[3] for r in told.requests))
        self.assertIn("<SubStatus>ProvisioningFailed</SubStatus><Description>result=error|reason=no usable", report)
        self.assertIn("FAILED: no usable answer from IMDS", told.err)
        self.assertEqual(self.state().facts["error_reason"], "no usable answer from IMDS")
        self.assertEqual(self.state().facts["vm_id"], VM_ID)
        self.assertTrue(self.system.exists(HOOK))

    def test_report_that_is_never_accepted(self) -> None:
        self.hasten()
        told = self.boot(faults=["report-refused"], options="deadline = 10\n", files=self.hook)
        self.assertEqual((told.code, told.reports), (1, []))
        self.assertFalse(self.state().has("ready_at", VM_ID))
        self.assertIn("FAILED: http error 403", told.err)
        self.assertNotIn("NotReady", "".join(request[3] for request in told.requests))
        self.assertTrue(self.system.exists(HOOK))

    def test_ids_that_are_hostile(self) -> None:
        """They go into a document and a log: only a few characters are let through, and nothing is ever run."""
        self.hasten()
        bad = ("$(touch /tmp/x)", "`reboot`", "a;b", "a&amp;b", "'", "a/../b", "x" * 300, "a b", "\x1b[2J", "\\1", "*")
        hostile = (
            "from azure_provisioning.image.rehearse.fake_azure import INSTANCE_ID, changed\n"
            "def spoil(text):\n"
            "    return changed(lambda xml: xml.replace(INSTANCE_ID.encode(), text.encode()))\n"
            "azure.troubles['goalstate'] = [spoil(text) for text in %r]\n"
        )
        told = self.boot(setup=hostile % (bad,))
        self.check_ready(told)
        self.assertEqual(told.asked, ["imds 200"] + ["goalstate 200"] * len(bad) + STORY[1:])
        self.assertIn("unusable answer", told.err)
        for text in (told.err, self.text(LOG) or ""):
            self.assertEqual(text, "".join(char for char in text if char == "\n" or " " <= char <= "~"))

    def test_first_of_two_roles(self) -> None:
        two = "azure.goal_state = azure.goal_state.replace('</RoleInstance>', '</RoleInstance>' + %r)"
        told = self.boot(setup=two % "<RoleInstance><InstanceId>other</InstanceId></RoleInstance>")
        self.check_ready(told)
