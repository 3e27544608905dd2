"""`python3 -m tests.bench`: the cost of one provisioning, ours against three peers, as a table of ratios."""

import argparse
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from azure_provisioning.compiled.keep import compile_modules
from azure_provisioning.compiled.use import pack
from tests.boot import machine, needs, sealed, trees
from tests.boot.__main__ import say
from tests.boot.machine import Quiet
from tests.boot.scene import Wrong

from . import instructions
from .peers import COMMON, PEERS
from .runs import NOBODY, BenchDisks, Booted, Pass, boots, passes
from .size import added


def main() -> int:
    """0: measured; 1: something is missing, or a peer did not become Ready."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("dist/azure-provisioning"), help="the built program")
    parser.add_argument("--passes", type=int, default=5, help="paired passes of each peer (default: 5)")
    parser.add_argument("--boots", type=int, default=3, help="pairs of boots of each peer (default: 3)")
    parser.add_argument("only", nargs="?", choices=["instructions"], help="only what needs no machine, in 2 minutes")
    options = parser.parse_args()
    lacking = instructions.missing() + ([] if options.only else needs.missing())
    if not options.file.is_file():
        lacking.append("%s is not built: make, or python3 build_zipapp.py" % options.file)
    if lacking:
        print("The bench cannot run:", *lacking, sep="\n  ", file=sys.stderr)
        return 1
    os.environ["PATH"] = needs.PATH
    counted = instructions.measure(options.file.resolve())
    if options.only:
        instructions.show(counted)
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    sealed.sweep()
    failed = False
    with tempfile.TemporaryDirectory(prefix="azure-provisioning-bench-") as scratch:
        logs = Path(scratch) / "stage"
        try:
            tree, base = trees.grown(COMMON, say), trees.tree("networkd", say)
            disks = BenchDisks(COMMON, options.file.resolve(), Path(scratch) / "disks")
            measured = passes(disks, logs, options.passes, say)
            booted: Dict[str, List[Booted]] = {name: [] for name in [NOBODY, *measured]}
            for number in range(options.boots):
                for name, found in booted.items():
                    try:
                        found.append(boots(disks, logs, name))
                    except (Wrong, Quiet) as why:  # a peer that fails to boot must not discard all figures
                        say("boots %d of %-18s FAILED: %s" % (number + 1, name, why))
                        failed = True
                        continue
                    ready, second = found[-1]
                    say("boots %d of %-18s Ready %.2f s, second boot %.2f s" % (number + 1, name, ready or 0.0, second))
        finally:
            machine.sweep()
            sealed.sweep()
    size = {peer.name: added(peer.packages, tree, base) for peer in PEERS}
    built = options.file.read_bytes()
    size.update({name: len(built) + len(pack(compile_modules(built))) for name in size if name.startswith("ours")})
    size["ours, from source"] = len(built)
    show(measured, booted, size)
    instructions.show(counted)
    return 1 if failed else 0


def show(measured: Dict[str, List[Pass]], booted: Dict[str, List[Booted]], size: Dict[str, int]) -> None:
    """Print the table: ours, limited to what the origin does, and every other figure also as a multiple of that."""
    names = list(measured)
    print("\n%-46s" % "" + "".join("%22s" % name for name in names))
    for title, field in (
        ("clock, s", "wall"),
        ("CPU, s", "cpu"),
        ("CPU, whole machine, s", "machine"),
        ("peak memory of a process, MiB", "rss"),
        ("requests", "requests"),
    ):
        scale = 1024.0 if field == "rss" else 1.0
        for word, choose in (("min", min), ("median", statistics.median)):
            figures = [float(choose([getattr(one, field) for one in measured[name]])) / scale for name in names]
            _row("one pass: %s, %s" % (title, word), figures)
    ready = {name: [one.ready for one in booted[name] if one.ready is not None] for name in names}
    _row("power-on to Ready, s, min", [min(ready[name]) if ready[name] else None for name in names])
    _row("power-on to Ready, s, median", [_median(ready[name]) for name in names])
    alone = _median([one.second for one in booted[NOBODY]])
    second = [_median([one.second for one in booted[name]]) for name in names]
    _row("second boot, user space, s, median", second)
    if alone is not None:
        more = [None if figure is None else figure - alone for figure in second]
        _row("second boot: added to nobody's %.2f s" % alone, more, ratio=False)
    _row("on disk beside Python, MB", [size[name] / 1e6 for name in names])
    print("\nIn brackets: how many times the first column.")
    print("Clock and CPU are those of an emulated machine: compare, do not quote.")


def _median(figures: List[float]) -> Optional[float]:
    return statistics.median(figures) if figures else None


def _row(title: str, figures: Sequence[Optional[float]], ratio: bool = True) -> None:
    first, cells = figures[0], []
    for number, figure in enumerate(figures):
        times = " (%.1fx)" % (figure / first) if ratio and number and first and figure is not None else ""
        cells.append("-" if figure is None else "%.2f%s" % (figure, times))
    print("%-46s" % title + "".join("%22s" % cell for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
