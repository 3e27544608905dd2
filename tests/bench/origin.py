"""The origin's method, as its document describes it: report Ready, then name the machine, then disable the unit.

This file is the first of the three commands. It is copied into the guest unchanged.
"""

import http.client
import sys
from xml.etree import ElementTree

connection = http.client.HTTPConnection("168.63.129.16")
connection.request("GET", "/machine?comp=goalstate", headers={"x-ms-version": "2012-11-30"})
answer = connection.getresponse()
if answer.status != 200:
    print("Unable to connect with wireserver")
    sys.exit(1)
state = ElementTree.fromstring(answer.read().decode("utf-8"))

health = ElementTree.Element("Health")
ElementTree.SubElement(health, "GoalStateIncarnation").text = state.findtext("Incarnation")
container = ElementTree.SubElement(health, "Container")
ElementTree.SubElement(container, "ContainerId").text = state.findtext("Container/ContainerId")
role = ElementTree.SubElement(ElementTree.SubElement(container, "RoleInstanceList"), "Role")
identifier = state.findtext("Container/RoleInstanceList/RoleInstance/InstanceId")
ElementTree.SubElement(role, "InstanceId").text = identifier
ElementTree.SubElement(ElementTree.SubElement(role, "Health"), "State").text = "Ready"

headers = {"x-ms-version": "2012-11-30", "Content-Type": "text/xml;charset=utf-8"}
headers["x-ms-agent-name"] = "custom-provisioning"
body = ElementTree.tostring(health, encoding="unicode", method="xml")
connection.request("POST", "/machine?comp=health", headers=headers, body=body)
answer = connection.getresponse()
print("Response: %d %s" % (answer.status, answer.reason))
connection.close()
