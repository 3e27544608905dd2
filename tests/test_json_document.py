"""JSON, read and written without the standard library, and compared with it."""

import json
import os
import subprocess
import sys
import time
import unittest
from contextlib import suppress
from typing import List
from unittest import mock

from azure_provisioning.azure import json_document
from azure_provisioning.azure.json_document import DEPTH_LIMIT, SIZE_LIMIT, parse, quote
from azure_provisioning.image.rehearse.fake_azure import INSTANCE
from tests import TOP, fuzz

VALID = (
    "0", "-0", "1.5e+3", "-12E-2", "1e999", '""', "[]", "{}", " [ ] ", "{ }", "\t[\r\n1 , 2]", '{"a":{"b":[null]}}',
    "true", "false", "null", r'"\"\\\/\b\f\n\r\t"', r'"\u00e9\uD83D\uDE00"', r'"\ud83d"', r'"\ud83d\ud83d\ude00"',
    r'"\ude00\ud83d"', r'"\ud83dx"', r'"\ud83d\n"', '"\x7f\u2028\U0001f600"', '{"a":1,"a":2}', '{"":0}', '\ufeff[1]',
)  # fmt: skip
INVALID = (
    "", " ", "nul", "nulll", "True", "NaN", "Infinity", "-Infinity", "-", "+1", "01", "-01", ".5", "1.", "1e", "1e+",
    "0x1", "1_0", "\u0661", "[", "]", "[1", "[1,]", "[,1]", "[1 2]", "{", "}", '{"a"}', '{"a":}',
    '{"a":1,}', "{a:1}", "{1:2}",
    '{"a" 1}', '"', '"a', '"\n"', '"\t"', '"\x00"', r'"\x"', r'"\u12"', r'"\u12g4"', r'"\u+123"', r'"\ "', '"\\', "'a'",
    "[1]]", "[1] x", "{}{}", "/**/1", "\u00a01", "\ufeff\ufeff1", "\x00",
)  # fmt: skip


COMMANDS = ("__main__.py", "usage.py", "manual.py")  # no boot loads these, except the first


class ReadTest(unittest.TestCase):
    def test_same_result_as_json(self) -> None:
        for text in VALID:
            with self.subTest(text):
                expected = json.loads(text.lstrip("\ufeff"), parse_int=float)
                self.assertEqual(repr(parse(text.encode("utf-8"))), repr(expected))

    def test_refused(self) -> None:
        for text in INVALID:
            with self.subTest(text), self.assertRaises(ValueError):
                parse(text.encode("utf-8"))
        for data in (b"\xff", b'"\xed\xa0\x80"', b'"\xc0\x80"', '"a"'.encode("utf-16"), '"a"'.encode("utf-32")):
            with self.subTest(data), self.assertRaises(ValueError):
                parse(data)

    def test_fuzzers_corpus(self) -> None:
        """A few seconds of random documents. `make fuzz` compares more."""
        for number in range(2000):
            fuzz.compare_json(fuzz.make_case("imds", number)[1])

    def test_fuzzer_detects_a_difference(self) -> None:
        with mock.patch.object(json_document, "parse", lambda data: parse(data.replace(b"1", b"2"))):
            fuzz.compare_json(b"[0]")
            with self.assertRaises(fuzz.Wrong):
                fuzz.compare_json(b"[1]")

    def test_bounds(self) -> None:
        deepest = b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT
        parse(deepest)
        for data in (b"[%s]" % deepest, b'{"a":' * 200000, b"[" * SIZE_LIMIT, b" " * SIZE_LIMIT + b"1"):
            with self.subTest(data[:20]), self.assertRaises(ValueError):
                parse(data)

    def test_time(self) -> None:
        """Each document is a megabyte: a quadratic reader would need minutes."""
        half = SIZE_LIMIT // 2 - 9
        for data in (
            b'"%s"' % (rb"\n" * half), b'"%s' % (b"a" * 2 * half), b"[%s1]" % (b"1," * half), b"9" * 2 * half,
            b'"%s"' % (rb"\ud83d" * (half // 3)), b'{"a":1%s}' % (b',"a":1' * (half // 3)), b" " * 2 * half + b"1",
            b"1e" + b"9" * 2 * half, b"[%s" % (b" " * 2 * half),
        ):  # fmt: skip
            started = time.process_time()
            with suppress(ValueError):
                parse(data)
            self.assertLess(time.process_time() - started, 5, data[:20])


class QuoteTest(unittest.TestCase):
    def test_read_back(self) -> None:
        every = "".join(map(chr, range(0x300))) + "\u2028\ud83d\U0001f600\uffff"
        for text in ("", 'a"\\/\b', every, "\udc80", "\ude00\ud83d"):
            quoted = quote(text)
            self.assertEqual(json.loads(quoted), json.loads(json.dumps(text)))
            self.assertEqual(parse(quoted.encode("ascii")), text)
        self.assertEqual(quote("a b~"), '"a b~"')


class BootTest(unittest.TestCase):
    def test_library_is_not_loaded(self) -> None:
        """No module that a boot may load imports it."""
        modules: "List[str]" = []
        for folder, _, names in os.walk(os.path.join(TOP, "src/azure_provisioning")):
            inside = os.path.relpath(folder, os.path.join(TOP, "src")).replace("/", ".")
            if ".image" not in inside:
                names = [name for name in names if name not in COMMANDS]
                modules += [inside + "." + name[:-3] for name in names if name.endswith(".py")]
        self.assertIn("azure_provisioning.azure.imds", modules)
        code = "import importlib, sys; sys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]:"
        code += " importlib.import_module(name)\nsys.exit('json' in sys.modules)"
        argv = [sys.executable, "-I", "-S", "-c", code, os.path.join(TOP, "src")] + modules
        self.assertEqual(subprocess.call(argv), 0)

    def test_instance_of_imds(self) -> None:
        self.assertEqual(parse(json.dumps(INSTANCE).encode()), json.loads(json.dumps(INSTANCE)))


if __name__ == "__main__":
    unittest.main()
