"""The password and the data of a VM, and all forms in which they must not appear anywhere else."""

import base64
import urllib.parse
from typing import Set

from azure_provisioning.azure.ovf import NAMESPACE

FOLDER = "/var/lib/azure-provisioning/"
PASSWORD = "Tr0ub4dor&3 <kr\u00e4he>"
CUSTOM_DATA = b"#cloud-config\nsecret: the quick brown fox + 4711/0815\n"
USER_DATA = b"user data that nobody else may read: ?=&%\n"
SECRETS = {"password": PASSWORD.encode("utf-8"), "customData": CUSTOM_DATA.strip(), "userData": USER_DATA.strip()}


OVF = """<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:ns1="%s">
<ns1:ProvisioningSection><ns1:Version>1.0</ns1:Version><ns1:LinuxProvisioningConfigurationSet>
<ns1:HostName>rehearsal</ns1:HostName><ns1:UserName>azureuser</ns1:UserName><ns1:UserPassword>%s</ns1:UserPassword>
<ns1:DisableSshPasswordAuthentication>false</ns1:DisableSshPasswordAuthentication>
<ns1:CustomData>%s</ns1:CustomData></ns1:LinuxProvisioningConfigurationSet></ns1:ProvisioningSection>
</ns0:Environment>
""" % (
    NAMESPACE,
    PASSWORD.replace("&", "&amp;").replace("<", "&lt;"),
    base64.b64encode(CUSTOM_DATA).decode("ascii"),
)


def forms(secret: bytes) -> "Set[bytes]":
    """The forms of the secret: as text, or encoded; of base64 the part that is the same at any offset."""
    text = secret.decode("utf-8")
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    found |= {urllib.parse.quote(text, safe=safe).encode() for safe in ("", "/")}
    found |= {urllib.parse.quote_plus(text).encode(), ascii(text)[1:-1].encode(), repr(secret)[2:-1].encode()}
    found |= {text.replace("&", "&amp;").replace("<", "&lt;").encode(), text.encode("utf-16-le")}
    for skipped in range(3):
        data = secret[skipped:]
        found.add(base64.b64encode(data[: len(data) // 3 * 3]))
        found.add(base64.urlsafe_b64encode(data[: len(data) // 3 * 3]))
    for line in text.split("\n"):  # a log or a report has single lines
        found.add(line.encode())
    return {form for form in found if len(form) >= 8}
