"""The list of mutations is valid: each can be made, and names existing tests. `make mutate` tries them."""

import shutil
import tempfile
import unittest

from tests import mutate
from tests.mutate import MUTATIONS, Copies, Mutation


class MutateTest(unittest.TestCase):
    def test_every_mutation_applies(self) -> None:
        self.assertEqual(mutate.unlikely(), [])

    def test_names_are_unique(self) -> None:
        self.assertEqual(len({one.name for one in MUTATIONS}), len(MUTATIONS))

    def test_outcomes_of_mutations(self) -> None:
        """One that is detected, one that survives, one that cannot be made, and one that any test would detect."""
        folder = tempfile.mkdtemp(prefix="azure-provisioning-test-")
        self.addCleanup(shutil.rmtree, folder)
        copies, swap = Copies(folder), "return one == other or swap(one) == other"
        tests = {
            "return one == other": ("passed", "noticed by state.SameVmTest"),
            "return bool(one == other or swap(one) == other)": ("failed", "SURVIVES state.SameVmTest"),
            "return (": ("failed", "it makes no Python"),
        }
        for new, (end, why) in tests.items():
            found = copies.try_one(Mutation("x", "story/state.py", swap, new, "state.SameVmTest"))
            self.assertEqual((found[0], found[1][: len(why)]), (end, why))
        found = copies.try_one(Mutation("x", "story/state.py", "what nobody wrote", "", "state.SameVmTest"))
        self.assertEqual(found, ("failed", "its old text is there 0 times"))
