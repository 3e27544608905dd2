"""The VM that is rehearsed: the values in IMDS and on the provisioning DVD, as the user wants them."""

import base64
import json
import os
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Tuple

from ...door.system import Mount, System
from ...errors import ProvisionError
from .fake_azure import KEY, Platform

if TYPE_CHECKING:
    import argparse

FILE_LIMIT = 1 << 20  # bytes: more than Azure accepts for any of them
DATA_LIMIT = 64 << 10  # bytes of customData and of userData, before base64
USER, NAME = "azureuser", "rehearsal"
PASSWORD = "rehearsal-Password-1"  # noqa: S105 # of no machine: it is only set in a scratch copy
POINT, DRIVE, NUMBER = "/run/azure-provisioning-dvd", "sr0", "11:0"
# Data that is a program, if the options say `run`.
PROGRAMS = (("custom_data", "the program in customData"), ("user_data", "the program in userData"))

OVF = """<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:wa="http://schemas.microsoft.com/windowsazure">
  <wa:ProvisioningSection><wa:Version>1.0</wa:Version><LinuxProvisioningConfigurationSet
    xmlns="http://schemas.microsoft.com/windowsazure">
    <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
    <HostName>%(name)s</HostName><UserName>%(user)s</UserName>%(password)s
    <DisableSshPasswordAuthentication>%(no_password_login)s</DisableSshPasswordAuthentication>%(custom_data)s
  </LinuxProvisioningConfigurationSet></wa:ProvisioningSection>
  <wa:PlatformSettingsSection><wa:Version>1.0</wa:Version><PlatformSettings
    xmlns="http://schemas.microsoft.com/windowsazure"><ProvisionGuestAgent>false</ProvisionGuestAgent>
  </PlatformSettings></wa:PlatformSettingsSection>
</Environment>
"""


class Case(NamedTuple):
    """The values given to `az vm create`."""

    user: str = USER
    keys: Tuple[str, ...] = (KEY,)
    password_login: bool = False
    computer_name: str = NAME
    custom_data: Optional[bytes] = None
    user_data: Optional[bytes] = None
    dvd: Optional[bytes] = None  # ovf-env.xml; None: generated from the above if needed

    def apply(self, azure: Platform) -> None:
        """Make this Azure answer with these values."""
        compute = azure.instance["compute"]
        profile: "Dict[str, object]" = {
            "adminUsername": self.user,
            "computerName": self.computer_name,
            "disablePasswordAuthentication": "false" if self.password_login else "true",
        }
        path = "/home/%s/.ssh/authorized_keys" % self.user
        compute["osProfile"] = profile
        compute["publicKeys"] = [{"keyData": key + "\r\n", "path": path} for key in self.keys]
        compute["userData"] = base64.b64encode(self.user_data or b"").decode("ascii")
        extended = azure.instance["extended"]["compute"]
        if isinstance(extended, dict):
            extended["hasCustomData"] = self.custom_data is not None

    def document(self) -> Optional[bytes]:
        """ovf-env.xml for the DVD; None if no DVD is needed."""
        if self.dvd is not None or not (self.password_login or self.custom_data is not None):
            return self.dvd
        encoded = base64.b64encode(self.custom_data or b"").decode("ascii")
        text = OVF % {
            "name": escape(self.computer_name),
            "user": escape(self.user),
            "password": "<UserPassword>%s</UserPassword>" % PASSWORD if self.password_login else "",
            "no_password_login": "false" if self.password_login else "true",
            "custom_data": "<CustomData>%s</CustomData>" % encoded if encoded else "",
        }
        return text.encode("utf-8", "surrogateescape")


def read_case(arguments: "argparse.Namespace") -> Case:
    """The case on the command line; its files are on the host. Raises ProvisionError."""
    keys: "List[str]" = []
    for path in arguments.ssh_key:
        text = read_file(path, FILE_LIMIT).decode("utf-8", "replace")
        found = [line.strip() for line in text.split("\n")]
        keys += [line for line in found if line and not line.startswith("#")]
        if text.lstrip().startswith("-----BEGIN"):
            raise ProvisionError("%s is a private key" % path, advice="name the file that ends with .pub")
    given = Case(password_login=arguments.password_login)
    return given._replace(
        user=arguments.user or USER,
        computer_name=arguments.computer_name or NAME,
        # With a password, Azure requests no key; without either nobody could log in.
        keys=tuple(keys) if keys or arguments.password_login else given.keys,
        custom_data=read_file(arguments.custom_data, DATA_LIMIT) if arguments.custom_data else None,
        user_data=read_file(arguments.user_data, DATA_LIMIT) if arguments.user_data else None,
        dvd=read_file(arguments.dvd, FILE_LIMIT) if arguments.dvd else None,
    )


def read_file(path: str, limit: int) -> bytes:
    """A file on the host. Raises ProvisionError."""
    data = System().read(os.path.abspath(path), limit)
    if data is None:
        raise ProvisionError("there is no file %s" % path)
    return data


def insert_dvd(system: System, document: bytes) -> Mount:
    """Put the DVD into a scratch guest, as if an automounter had mounted it; returns the mount."""
    system.write("/sys/block/%s/dev" % DRIVE, NUMBER + "\n")
    system.write("/sys/block/%s/size" % DRIVE, "1\n")
    system.write(POINT + "/ovf-env.xml", document)
    return Mount("1", NUMBER, "/", POINT, "udf", "/dev/" + DRIVE, "ro")


def describe(report: str) -> "List[str]":
    """A health report for people: its state and its reason."""
    if report.startswith("{"):
        found = json.loads(report)
        details = found.get("details") or {}
        state, text = found.get("state", ""), details.get("description", "")
        return ["Health: %s" % state] + split(text)
    state, text = between(report, "State"), between(report, "Description")
    ids = [(word, between(report, word)) for word in ("GoalStateIncarnation", "ContainerId", "InstanceId")]
    return ["Health: %s" % state] + ["    %s: %s" % pair for pair in ids if pair[1]] + split(text)


def between(report: str, element: str) -> str:
    """The text of the first such element in a report of ours; empty if there is none."""
    text = report.partition("<%s>" % element)[2].partition("</%s>" % element)[0]
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        text = text.replace(entity, char)
    return text


def split(text: str) -> "List[str]":
    """The fields of a failure's description, one on each line."""
    return ["    %s" % part for part in text.split("|") if part]


def escape(text: str) -> str:
    """A text for XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
