"""netplan's files: the YAML that is read, and the definitions in it."""

import unittest

from azure_provisioning.image.check.netplan import Unclear, merge, parse


class YamlTest(unittest.TestCase):
    def test_read(self) -> None:
        for text, value in (
            ("", None),
            ("---\n# nothing\n", None),
            ("a:\n  b: 1 # x\n  'c d':\n  e: \"#\"\n", {"a": {"b": "1", "c d": None, "e": "#"}}),
            ("a:\n- x\n- 'y z'\n- k: v\n  l: w\n-\n  m: n\nb: ~\n", {"a": ["x", "y z", None, None], "b": None}),
            ("a: {b: [1, 2], 'c': {d: e*},}\n", {"a": {"b": ["1", "2"], "c": {"d": "e*"}}}),
            ("a: [1,\n 2]\nb: 00:0d:3a\n", {"a": ["1", "2"], "b": "00:0d:3a"}),
            ("{a: {b: http://x, c}}\n", {"a": {"b": "http://x", "c": None}}),
            ("a: en[ps]*\r\nb: x#y\r\n", {"a": "en[ps]*", "b": "x#y"}),
        ):
            self.assertEqual(parse(text), value, text)

    def test_unclear(self) -> None:
        """Other forms, and mistakes."""
        for text in (
            "a: &x\n  b: c\n",
            "a: *x\n",
            "a: |\n  b\n",
            "a: !!str b\n",
            "a: b\n  c\n",
            "a: b: c\n",
            "a:\n    b: c\n  d: e\n",
            "a:\n\tb: c\n",
            "a: {b: c\n",
            "a: b}}\n[",
            "a: [b] c\n",
            "a: 'b\n",
            "a: 1\n---\nb: 2\n",
            "word\n",
            "a: " + "{a: " * 50 + "}" * 50,
            "".join(" " * depth + "a:\n" for depth in range(50)),
            "a: " + "x" * 5000,
            "a:\n" * 50000,
        ):
            with self.assertRaises(Unclear, msg=text):
                parse(text)

    def test_merge(self) -> None:
        old = {"a": {"b": "1", "c": ["2"]}, "d": "3"}
        self.assertEqual(
            merge(old, {"a": {"c": ["4"], "e": "5"}}), {"a": {"b": "1", "c": ["2", "4"], "e": "5"}, "d": "3"}
        )
        self.assertEqual(merge(old, {"a": None, "d": {}}), {"a": None, "d": {}})
