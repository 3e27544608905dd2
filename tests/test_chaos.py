"""A short round of `make chaos`."""

import contextlib
import io
import unittest

from tests import chaos


class ChaosTest(unittest.TestCase):
    def test_first_boots_with_random_trouble(self) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = chaos.run(boots=150, first_seed=1)
        self.assertEqual(code, 0, printed.getvalue())
        self.assertRegex(printed.getvalue(), r"killed [1-9]")
