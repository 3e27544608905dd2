"""The guest's network in a few words for people: `eth0 up, no IPv4 address`. Read from files of the kernel."""

from ..errors import GuestError
from .tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Tuple

CARDS = "/sys/class/net"
SHOWN = 4  # network cards, and addresses of one
UP = 1  # IFF_UP of netdevice(7)


def describe_network(tree: Tree) -> str:
    """The network cards with their IPv4 addresses, and whether there is a default route; "" if unknown."""
    try:
        if not tree.is_dir(CARDS):
            return ""
        names = [name for name in tree.list(CARDS) if name != "lo" and not tree.exists("%s/%s/master" % (CARDS, name))]
        networks, has_default = read_routes(read_lines(tree, "/proc/net/route"))
        addresses = read_addresses(read_lines(tree, "/proc/net/fib_trie"))
        cards, rest = [], list(addresses)
        for name in sorted(names)[:SHOWN]:
            own = [each for each in addresses for card, net, mask in networks if card == name and each & mask == net]
            rest = [each for each in rest if each not in own]
            cards.append((describe_card(tree, name), list(dict.fromkeys(own))))
    except GuestError:
        return ""
    if not cards:
        return "no network card but lo"
    none = "" if rest else ", no IPv4 address"  # an address outside these networks may belong to any card
    words = []
    for card, own in cards:
        words.append(", ".join([card, *map(dotted, own[:SHOWN])]) + ("" if own or card.endswith("down") else none))
    words += [dotted(each) for each in rest[:SHOWN]]
    return "; ".join(words + ["no default route"] * (bool(addresses) and not has_default))


def describe_card(tree: Tree, name: str) -> str:
    """One network card: whether it is up, and has a carrier."""
    flags = read_lines(tree, "%s/%s/flags" % (CARDS, name))[0][2:]
    if not flags or set(flags) - set("0123456789abcdef") or not int(flags[-8:], 16) & UP:
        return name + " down"
    return name + (" up, no carrier" if read_lines(tree, "%s/%s/carrier" % (CARDS, name)) == ["0"] else " up")


def read_routes(lines: "List[str]") -> "Tuple[List[Tuple[str, int, int]], bool]":
    """((card, network, mask) of each network of a card, is there a default route?) from /proc/net/route."""
    networks, has_default = [], False
    for words in (line.split() for line in lines[1:]):
        if len(words) < 8 or any(len(words[at]) != 8 for at in (1, 2, 7)):
            continue
        try:
            net, gateway, mask = (int.from_bytes(bytes.fromhex(words[at]), "little") for at in (1, 2, 7))
        except ValueError:
            continue
        if mask == 0:
            has_default = True
        elif gateway == 0:
            networks.append((words[0], net, mask))
    return networks, has_default


def read_addresses(lines: "List[str]") -> "List[int]":
    """The IPv4 addresses of this machine from /proc/net/fib_trie: each is followed by `/32 host LOCAL`."""
    found, last = [], ""
    for line in lines:
        words = line.split()
        if words[:1] == ["|--"] and len(words) == 2:
            last = words[1]
        elif words == ["/32", "host", "LOCAL"] and last and not last.startswith("127."):
            parts = last.split(".")
            if len(parts) == 4 and all(part in NUMBERS for part in parts):
                found.append(int.from_bytes(bytes(int(part) for part in parts), "big"))
    return sorted(set(found))


NUMBERS = frozenset(map(str, range(256)))


def dotted(address: int) -> str:
    """An address in dotted notation."""
    return ".".join(str(byte) for byte in address.to_bytes(4, "big"))


def read_lines(tree: Tree, path: str) -> "List[str]":
    """The lines of a file of the kernel; [""] if it is missing. Raises GuestError."""
    return (tree.read(path, limit=1 << 20) or b"").decode("ascii", "replace").strip().split("\n")
