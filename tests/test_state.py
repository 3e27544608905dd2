"""The state file: which content is trusted, and how an unusable file is handled."""

import os

from azure_provisioning.errors import ProvisionError
from azure_provisioning.image.rehearse.fake_azure import VM_ID
from azure_provisioning.story.state import State, same_vm
from tests.guests import OTHER_VM_ID, STATE, GuestTest

SWAPPED = "527c2691-029f-fe4c-b1f4-a4da7ebac2cf"


class StateTest(GuestTest):
    def written(self, content: bytes) -> State:
        """The result of reading a state file with this content."""
        self.system.write(STATE, content)
        return State(self.system)

    def test_round_trip(self) -> None:
        state = State(self.system)
        self.assertEqual((state.facts, state.problem), ({}, ""))
        state.adopt(VM_ID)
        state.facts["configured_at"] = "2026-01-01T00:00:00Z"
        state.note_step("hostname", "ok", 0.0123)
        state.note_error(ProvisionError("a reason", path="/x=y", text=" two\nlines\t\x85"), "then", "boot")
        state.save(self.system)
        self.assertEqual(
            self.text(STATE),
            "vm_id=%s\nconfigured_at=2026-01-01T00:00:00Z\nstep.hostname=ok 0.012\nerror_reason=a reason\n"
            "error_at=then\nerror_boot=boot\nerror.path=/x=y\nerror.text=two lines\n" % VM_ID,
        )
        again = State(self.system)
        self.assertEqual(again.facts, dict(state.facts, **{"error.text": "two lines"}))
        self.assertEqual(again.steps(), [("hostname", "ok", 0.012)])
        self.assertEqual(os.stat(self.root + STATE).st_mode & 0o7777, 0o644)
        self.assertEqual(os.stat(os.path.dirname(self.root + STATE)).st_mode & 0o7777, 0o755)

    def test_step_of_any_name(self) -> None:
        """A gate may have any name: the state stays valid."""
        state = State(self.system)
        state.adopt(VM_ID)
        for name in ("gate-10 my check", "gate-a=b", "gate-\udcff\n", "gate-x.sh"):
            state.note_step(name, "warning", 0.5, 1.25, "a\nb")
        state.save(self.system)
        again = State(self.system)
        self.assertEqual(again.problem, "")
        names = ["gate-10_my_check", "gate-a_b", "gate-__", "gate-x.sh"]
        self.assertEqual(again.steps(), [(name, "warning", 0.5) for name in names])
        self.assertEqual([again.about_step(name) for name in names], [(1.25, "a b")] * 4)
        state.note_step("gate-a=b", "ok", 0.5)
        self.assertEqual(state.about_step("gate-a_b"), (1.25, ""))

    def test_long_values_are_cut(self) -> None:
        state = State(self.system)
        state.adopt(VM_ID)
        for number in range(40):
            state.facts["error.%d" % number] = "x" * 100000
        state.save(self.system)
        self.assertEqual(State(self.system).problem, "")

    def test_valid_facts_are_accepted(self) -> None:
        for content, key, value in (
            (b"", "vm_id", None),
            (b"vm_id=a\n", "vm_id", "a"),
            (b"vm_id=a", "vm_id", "a"),
            (b"vm_id=a\r\nready_at=b\r\n", "ready_at", "b"),
            (b"vm_id=a\nready_at=b=c\n", "ready_at", "b=c"),
            (b"vm_id=a\nfrom_the_future=1\nready_at=b\n", "ready_at", "b"),
            (b"vm_id=a\nready_at=\n", "ready_at", ""),
            (b"vm_id=a\nvm_id=b\n", "vm_id", "b"),
            (b"vm_id=a\nerror.text=m\xc3\xbcller\n", "error.text", "m\xfcller"),
            (b"error_reason=no answer from Azure\n", "error_reason", "no answer from Azure"),
        ):
            with self.subTest(content):
                state = self.written(content)
                self.assertEqual((state.problem, state.facts.get(key)), ("", value))

    def test_invalid_facts_are_refused(self) -> None:
        for content in (
            b"\n",
            b"\0",
            b"\0" * 4096,
            b"vm_id=a\n\0\0\0\0",
            b"vm_id=a\nready_at",
            b"vm_id",
            b"=\n",
            b"=x\n",
            b"vm id=a\n",
            b"ready_at=now\n",
            b"configured_at=now\nready_at=now\n",
            b"vm_id=\xff\n",
            b"\xef\xbb\xbfvm_id=a\n",
            "vm_id=a\n".encode("utf-16"),
            b"{}",
            b"<html>",
            b"# vm_id=a\n",
            os.urandom(64).replace(b"=", b"") + b"\xff",
            b"vm_id=a\n" * 100000,
        ):
            with self.subTest(content[:40]):
                state = self.written(content)
                self.assertNotEqual(state.problem, "")
                self.assertEqual(state.facts, {})
                self.assertFalse(state.has("ready_at", "a"))

    def test_set_aside(self) -> None:
        state = self.written(b"nonsense\n")
        state.set_aside(self.system)
        self.assertEqual(self.text(STATE + ".corrupt"), "nonsense\n")
        self.assertIsNone(self.text(STATE))
        self.assertEqual(os.stat(self.root + STATE + ".corrupt").st_mode & 0o7777, 0o600)
        self.written(b"other nonsense\n").set_aside(self.system)
        self.assertEqual(self.text(STATE + ".corrupt"), "other nonsense\n")

    def test_invalid_steps_are_ignored(self) -> None:
        values = ["ok", "ok x", "", "ok 1.2.3", "ok .", "ok \xb2", "ok -1", "ok 2"]
        lines = ["step.%s=%s\n" % pair for pair in zip("abcdefgh", values)]
        state = self.written(("vm_id=a\n" + "".join(lines)).encode("utf-8"))
        self.assertEqual(state.steps(), [("h", "ok", 2.0)])

    def test_facts_belong_to_one_vm(self) -> None:
        state = self.written(("vm_id=%s\nready_at=x\n" % VM_ID).encode("ascii"))
        for vm_id, known in (
            (VM_ID, True),
            (VM_ID.upper(), True),
            (SWAPPED, True),
            (SWAPPED.upper(), True),
            (OTHER_VM_ID, False),
            (VM_ID[:-1], False),
            ("", False),
            (None, False),
        ):
            self.assertEqual(state.has("ready_at", vm_id), known, vm_id)
            self.assertFalse(state.has("configured_at", vm_id), vm_id)

    def test_adopt(self) -> None:
        state = self.written(("vm_id=%s\nready_at=x\nstep.a=ok 1\n" % VM_ID).encode("ascii"))
        state.adopt(SWAPPED)
        self.assertEqual(state.facts["ready_at"], "x")
        state.adopt(None)
        self.assertEqual(state.facts["ready_at"], "x")
        state.adopt(OTHER_VM_ID)
        self.assertEqual(state.facts, {"vm_id": OTHER_VM_ID, "previous_vm_id": VM_ID})

    def test_newer_error_replaces_the_older(self) -> None:
        state = State(self.system)
        state.note_error(ProvisionError("one", a="1"), "then", "boot")
        state.note_error(ProvisionError("two", b="2"), "now", "boot")
        self.assertEqual(state.facts, {"error_reason": "two", "error_at": "now", "error_boot": "boot", "error.b": "2"})
        state.forget_error()
        self.assertEqual(state.facts, {})


class SameVmTest(GuestTest):
    def test_same(self) -> None:
        first = "00112233-4455-6677-8899-aabbccddeeff"
        for second, same in (
            (first, True),
            ("33221100-5544-7766-8899-aabbccddeeff", True),
            ("33221100-5544-7766-8899-AABBCCDDEEFF", True),
            ("33221100-4455-6677-8899-aabbccddeeff", False),
            ("33221100-5544-7766-9988-aabbccddeeff", False),
            ("00112233-4455-6677-8899-aabbccddeefe", False),
            ("", False),
            ("00112233", False),
        ):
            self.assertEqual(same_vm(first, second), same, second)
            self.assertEqual(same_vm(second, first), same, second)
