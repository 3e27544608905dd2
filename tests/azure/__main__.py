"""`python3 -m tests.azure GROUP`: tests our file on VMs in Azure itself, in a group that it creates and removes."""

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List

from .cloud import Az, Failed, Group, end_on_signals, is_name
from .trial import Trial, Tried

NAMES = ("debian", "devuan")
ROW = "%-8s %-9s %6s  %s"
_started = time.monotonic()


def main() -> int:
    """0: everything passed. 1: something failed or is missing; the group is removed in any case. 2: usage error."""
    options = _options()
    end_on_signals()
    wanted = [name for name in NAMES if name in (options.image or NAMES)]
    tried: List[Tried] = []
    if "devuan" in wanted and "devuan" not in options.vhds and not options.devuan:
        wanted.remove("devuan")
        tried.append(Tried("devuan", "image", "skipped", "name a mirror of Devuan with --devuan URL", 0.0))
    lacking = _missing([name for name in wanted if name not in options.vhds], options.file)
    if lacking:
        print("VMs in Azure cannot be tried:", *lacking, sep="\n  ", file=sys.stderr)
        return 1
    options.logs.mkdir(parents=True, exist_ok=True)
    for old in options.logs.glob("*.log"):
        old.unlink()
    try:
        with tempfile.TemporaryDirectory(prefix="azure-provisioning-azure-") as scratch:
            _try(options, wanted, Path(scratch), tried)
    finally:
        print("\n".join(show(tried) + ["logs: %s" % options.logs]), flush=True)
    return 0 if all(one.verdict != "FAILED" for one in tried) else 1


def _try(options: argparse.Namespace, wanted: List[str], scratch: Path, tried: List[Tried]) -> None:
    """Make the images, then a group, and test them in it. The group is gone when this returns or raises."""
    az = Az(options.logs / "az.log")
    group = Group(az, options.group, options.location)
    try:
        az.ask("account", "show")  # is az logged in? Asked before making an image, which takes minutes
        vhds: Dict[str, Path] = dict(options.vhds)
        for name in wanted:
            if name not in vhds:
                from . import vhd  # needs what the boot lab needs

                vhds[name] = vhd.make(name, options.file.resolve(), options.devuan, scratch, say)
        try:
            with group:
                trial = Trial(group, options.size, scratch, options.logs, options.pause, say, tried)
                for name in wanted:
                    trial.play(name, vhds[name])
                say("the group %s is removed" % group.name)
        finally:
            group.remove()  # also if a signal came just before the removal began
    except Failed as failure:
        tried.append(Tried("", "group", "FAILED", str(failure), 0.0))


def show(tried: List[Tried]) -> List[str]:
    """The table, and the count."""
    lines = ["", ROW % ("image", "what", "s", "verdict")]
    for one in tried:
        verdict = one.verdict + (": " + one.why if one.why else "")
        lines.append(ROW % (one.image, one.what, "%d" % one.seconds, verdict))
    counts = [sum(one.verdict == verdict for one in tried) for verdict in ("ok", "FAILED", "skipped")]
    return lines + ["%d passed, %d failed, %d skipped" % (counts[0], counts[1], counts[2])]


def say(line: str) -> None:
    """A line of progress, with minutes and seconds since the start."""
    print("%3d:%02d  %s" % (*divmod(int(time.monotonic() - _started), 60), line), flush=True)


def _missing(built: List[str], program: Path) -> List[str]:
    """What is missing, one on each line, with a remedy."""
    lines = []
    if shutil.which("az") is None:
        lines.append("the command `az` is missing: install the Azure CLI, then: az login")
    if shutil.which("ssh-keyscan") is None:
        lines.append("the command `ssh-keyscan` is missing: apt-get install openssh-client")
    if built:
        from . import vhd  # needs what the boot lab needs

        lines += vhd.missing()
        if not program.is_file():
            lines.append("%s is not built: make build" % program)
    return lines


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.azure", description=__doc__)
    parser.add_argument("group", metavar="GROUP", help="a name for the group, which must not exist")
    parser.add_argument("--image", action="append", choices=NAMES, help="only this one; may be repeated")
    parser.add_argument("--location", default="westeurope", help="where the VMs are made (default: westeurope)")
    parser.add_argument("--size", default="Standard_B1s", help="the size of the VMs, which must take generation 1")
    parser.add_argument("--devuan", default="", metavar="URL", help="a mirror of Devuan; without one it is left out")
    parser.add_argument("--vhd", action="append", default=[], metavar="IMAGE=FILE", help="a VHD that is there already")
    parser.add_argument("--file", type=Path, default=Path("dist/azure-provisioning"), help="the built program")
    parser.add_argument("--pause", type=float, default=10.0, help="seconds between two looks at a boot log")
    parser.add_argument("--logs", type=Path, help="where the logs are kept (default: in the cache of this user)")
    options = parser.parse_args()
    if options.logs is None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        options.logs = Path(base) / "azure-provisioning-boot" / "azure"
    if not is_name(options.group):
        parser.error("%r is no name for a group: 3 to 40 letters, digits and -" % options.group)
    if not is_name(options.location, "[a-z0-9]{2,40}") or not is_name(options.size, "[A-Za-z0-9_]{2,40}"):
        parser.error("--location and --size are words of letters and digits")
    if options.devuan and not re.fullmatch(r"https?://[A-Za-z0-9.:/_-]+", options.devuan):
        parser.error("--devuan takes a URL")
    options.vhds = {}
    for word in options.vhd:
        name, _, file = word.partition("=")
        if name not in NAMES or not Path(file).is_file():
            parser.error("--vhd takes IMAGE=FILE: %s" % word)
        options.vhds[name] = Path(file).resolve()
    return options


if __name__ == "__main__":
    sys.exit(main())
