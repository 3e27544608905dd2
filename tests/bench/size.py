"""The bytes that a peer adds to the disk, with dependencies that the image would otherwise lack."""

import re
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Set


class Package(NamedTuple):
    """An installed package: KiB on disk, the names that it provides, and its dependencies with their alternatives."""

    size: int
    names: Set[str]
    needs: List[List[str]]


def installed(tree: Path) -> Dict[str, Package]:
    """The packages of a tree, by name."""
    found = {}
    for stanza in (tree / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.M))
        if fields:
            needs = [group for field in ("Depends", "Pre-Depends") for group in _alternatives(fields.get(field, ""))]
            provides = {name for group in _alternatives(fields.get("Provides", "")) for name in group}
            name = fields["Package"]
            found[name] = Package(int(fields.get("Installed-Size", 0)), provides | {name}, needs)
    return found


def closure(names: Iterable[str], packages: Dict[str, Package]) -> Set[str]:
    """These packages and their dependencies."""
    seen: Set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in packages and name not in seen:
            seen.add(name)
            for group in packages[name].needs:
                holders = [holder for holder, package in packages.items() if package.names & set(group)]
                todo += holders[:1]
    return seen


def added(names: Iterable[str], tree: Path, base: Path) -> int:
    """Bytes that these packages add to the base tree."""
    packages = installed(tree)
    extra = closure(names, packages) - set(installed(base))
    return sum(packages[name].size for name in extra) * 1024


def _alternatives(field: str) -> List[List[str]]:
    groups = [[re.split(r"[ :(]", one.strip())[0] for one in group.split("|")] for group in field.split(",")]
    return [group for group in groups if group != [""]]
