"""Azure's network card, as the image's clients see it."""

from . import networkd

INTERFACE = "eth0"  # hv_netvsc has no slot or path from which udev could make another name
CARD = networkd.Card(INTERFACE, (networkd.NETVSC,))
