"""The records, built from documents in which anything may be anything."""

import copy
from typing import Iterator, List, Tuple

from azure_provisioning.errors import BadReply
from azure_provisioning.image.fake_azure import INSTANCE
from azure_provisioning.records import Instance, usable_id
from tests.guests import GuestTest

WRONG: "Tuple[object, ...]" = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    "",
    " ",
    "x",
    "\0",
    "\ud800",
    [],
    ["x"],
    {},
    {"": None},
    [[[]]],
)


def places(value: object) -> "Iterator[List[str]]":
    """Every place in a JSON document of objects."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield [key]
            for place in places(below):
                yield [key] + place


def replaced(document: object, place: "List[str]", value: object) -> object:
    """The document with another value at a place."""
    changed = copy.deepcopy(document)
    here = changed
    for key in place[:-1]:
        here = here[key]  # type: ignore[index]
    here[place[-1]] = value  # type: ignore[index]
    return changed


class InstanceTest(GuestTest):
    def test_wrong_types_everywhere(self) -> None:
        tried = 0
        for place in places(INSTANCE):
            for value in WRONG:
                with self.subTest("%s = %r" % (".".join(place), value)):
                    try:
                        instance = Instance.from_json(replaced(INSTANCE, place, value))
                    except BadReply:
                        self.assertEqual(place, ["compute"])
                        continue
                    self.assertIsInstance(instance.has_profile, bool)
                    for text in instance.names + (instance.pool, instance.vm_id or ""):
                        self.assertIsInstance(text, str)
                    self.assertTrue(all(instance.names))
                tried += 1
        self.assertGreater(tried, 100)

    def test_missing_everywhere(self) -> None:
        for place in places(INSTANCE):
            document = copy.deepcopy(INSTANCE)
            here: "dict[str, object]" = document  # type: ignore[assignment]
            for key in place[:-1]:
                here = here[key]  # type: ignore[assignment]
            del here[place[-1]]
            if place == ["compute"]:
                self.assertRaises(BadReply, Instance.from_json, document)
            else:
                Instance.from_json(document)

    def test_profile(self) -> None:
        for profile, expected in (
            ({"computerName": "a"}, True),
            ({"adminUsername": "a"}, True),
            ({"computerName": "", "adminUsername": ""}, False),
            ({"computerName": None}, False),
            ({}, False),
        ):
            self.assertEqual(Instance.from_json({"compute": {"x": 1, "osProfile": profile}}).has_profile, expected)

    def test_pool(self) -> None:
        for value, pool in (("None", ""), ("Unknown", ""), ("", ""), (None, ""), ("Running", "Running"), ("X", "X")):
            document = {"compute": {"x": 1}, "extended": {"compute": {"ppsType": value}}}
            self.assertEqual(Instance.from_json(document).pool, pool)

    def test_ids(self) -> None:
        for vm_id, expected in (
            ("ABC-1", "abc-1"),
            ("", None),
            ("a b", None),
            ("a\nb", None),
            ("\xe4", None),
            ("\ud800", None),
            ("x" * 128, "x" * 128),
            ("x" * 129, None),
        ):
            self.assertEqual(usable_id(vm_id), expected)
