"""The records, built from documents in which any value may be invalid."""

import copy
import unittest
from typing import Dict, Iterator, List, Tuple

from azure_provisioning.errors import BadReply
from azure_provisioning.image.rehearse.fake_azure import INSTANCE
from azure_provisioning.records import Instance, Secret, usable_id
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
    """Every path in a JSON document of objects."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield [key]
            for place in places(below):
                yield [key] + place


def replaced(document: object, place: "List[str]", value: object) -> object:
    """The document with another value at a path."""
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
                    texts = (instance.computer_name, instance.resource_name, instance.user, instance.pool or "")
                    for text in texts + instance.ssh_keys + (instance.vm_id or "",):
                        self.assertIsInstance(text, str)
                    self.assertIn(instance.password_login, (None, True, False))
                    self.assertIsInstance(instance.user_data or b"", bytes)
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

    def test_keys_of_any_kind(self) -> None:
        for keys, expected in (
            ([{"keyData": "ssh-rsa A\r\n", "path": "/x"}, {"keyData": "ssh-rsa B"}], ("ssh-rsa A", "ssh-rsa B")),
            ([], ()),
            (None, ()),
            ("ssh-rsa A", ()),
            ({"keyData": "ssh-rsa A"}, ()),
        ):
            self.assertEqual(Instance.from_json({"compute": {"x": 1, "publicKeys": keys}}).ssh_keys, expected)
        odd = [None, 1, "x", [], {}, {"keyData": 1}, {"keyData": "k"}, [{"keyData": "x"}]]
        found = Instance.from_json({"compute": {"publicKeys": odd}}).ssh_keys
        self.assertEqual([key for key in found if key], ["k"])

    def test_password_login(self) -> None:
        for value, expected in (
            ("true", False),
            ("false", True),
            ("True", False),
            (" FALSE ", True),
            (True, False),
            (False, True),
            ("", None),
            ("no", None),
            (None, None),
            (0, None),
            ([], None),
        ):
            profile: "Dict[str, object]" = {"disablePasswordAuthentication": value}
            self.assertIs(Instance.from_json({"compute": {"osProfile": profile}}).password_login, expected, value)

    def test_user_data(self) -> None:
        for value, expected in (
            ("aGVsbG8=", b"hello"),
            ("aGVs\r\n bG8=\n", b"hello"),
            ("AP8=", b"\0\xff"),
            ("", None),
            ("a", None),
            ("\xe4", None),
            ("\ud800", None),
            (17, None),
        ):
            self.assertEqual(Instance.from_json({"compute": {"userData": value, "x": 1}}).user_data, expected, value)

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
        for value, pool in (
            ("None", ""),
            ("Unknown", None),
            ("", None),
            (None, None),
            ("Running", "Running"),
            ("X", "X"),
        ):
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


class SecretTest(unittest.TestCase):
    def test_secret_is_not_shown(self) -> None:
        secret = Secret("hidden")
        self.assertNotIn("hidden", "%s %r %s %s" % (secret, secret, [secret], "{}".format(secret)))
        self.assertEqual(secret.reveal(), "hidden")
