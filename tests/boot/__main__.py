"""`python3 -m tests.boot [IMAGE[:STORY] ...] [--story NAME ...]`: boot images through stories, print a table."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

from . import machine, needs, sealed, trees
from .images import IMAGES, Image
from .scene import Disks, Quiet, Scene, Wrong
from .stories import STORIES, Story
from .table import Played, is_held_by_others, judge, quicker, show

_started = time.monotonic()
_printing = threading.Lock()


def say(line: str) -> None:
    """A line of progress, with minutes and seconds since the start."""
    with _printing:
        print("%3d:%02d  %s" % (*divmod(int(time.monotonic() - _started), 60), line), flush=True)


def main() -> int:
    """0: every story passed; 1: one failed, or something is missing."""
    options = _options()
    if options.list:
        for image in IMAGES.values():
            print("%-15s %s, %s, %s" % (image.name, image.release, image.init, image.dhcp))
        for story in STORIES.values():
            print("%-15s %s" % (story.name, story.says()))
        return 0
    lacking = needs.missing()
    if not options.file.is_file():
        lacking.append("%s is not built: make, or python3 build_zipapp.py" % options.file)
    if lacking:
        print("The boot lab cannot run:", *lacking, sep="\n  ", file=sys.stderr)
        return 1
    os.environ["PATH"] = needs.PATH
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    sealed.sweep()
    with tempfile.TemporaryDirectory(prefix="azure-provisioning-boot-") as scratch:
        try:
            played = judge(play(options, Path(scratch)))
            for one in played:
                keep_logs(one, Path(scratch))
        finally:
            machine.sweep()
            sealed.sweep()
    for line in show(played):
        print(line)
    return 0 if played and all(one.verdict == "ok" for one in played) else 1


def play(options: argparse.Namespace, scratch: Path) -> List[Played]:
    """Make the trees, then play every requested story on every requested image."""
    wanted = _chosen(options)
    images = [image for image in IMAGES.values() if image.name in {name for name, _ in wanted}]
    pool = ThreadPoolExecutor(options.jobs)
    try:
        list(pool.map(lambda image: trees.tree(image.name, say), images))
        disks = {image.name: Disks(image, options.file.resolve(), scratch / image.name) for image in images}
        jobs = [job for job in _mixed(list(STORIES.values()), images) if (job[1].name, job[0].name) in wanted]
        played = list(pool.map(lambda job: _play_again(options.again, job[0], job[1], disks, scratch), jobs))
        _measure_again(played, disks, scratch)
        return played
    except BaseException:
        # Let the running stories fail at once: no caller waits for them.
        pool.shutdown(wait=False, cancel_futures=True)
        machine.sweep()
        raise


def _chosen(options: argparse.Namespace) -> Set[Tuple[str, str]]:
    """The requested pairs of an image and a story."""
    chosen: Set[Tuple[str, str]] = set()
    for name in options.images or IMAGES:
        image, _, story = name.partition(":")
        chosen.update((image, other) for other in ([story] if story else options.story or STORIES))
    return chosen


def _mixed(stories: List[Story], images: List[Image]) -> List[Tuple[Story, Image]]:
    """The jobs, with waiting ones between working ones, so that two machines seldom wait at the same time."""
    # Image by image: boots that are compared run at about the same time, beside the same others.
    jobs = [(story, image) for image in images for story in stories if story.is_for(image)]
    waiting = [job for job in jobs if job[0].waits]
    working = [job for job in jobs if not job[0].waits]
    places = [(number / len(half), job) for half in (waiting, working) for number, job in enumerate(half)]
    return [job for _, job in sorted(places, key=lambda place: place[0])]


def _play_again(times: int, story: Story, image: Image, disks: Dict[str, Disks], scratch: Path) -> Played:
    """Play it. If it fails, play it again, up to this many times; the table shows that."""
    played = _play(story, image, disks, scratch)
    first = played.why
    for _ in range(times):
        if played.verdict == "ok":
            break
        played = _play(story, image, disks, scratch)
    again = "passed only when it was played again; at first: " + first
    return played._replace(why=again) if first and played.verdict == "ok" else played


def _measure_again(played: List[Played], disks: Dict[str, Disks], scratch: Path) -> None:
    """Replay each late boot alone, and the boot that it is compared with.

    The quicker one counts: a real delay appears in every boot. The late boots without us come first.
    """
    for number, one in enumerate(played):
        if is_held_by_others(one, played):
            played[number] = _quickest(one, disks, scratch)
    for number, one in enumerate(judge(played)):
        if one.verdict == "ok" or played[number].verdict != "ok":
            continue
        plain = next(place for place, other in enumerate(played) if (other.image, other.story) == (one.image, "plain"))
        for place in (plain, number):
            played[place] = _quickest(played[place], disks, scratch)


def _quickest(one: Played, disks: Dict[str, Disks], scratch: Path) -> Played:
    again = _play(STORIES[one.story], one.image, disks, scratch)
    if again.verdict != "ok":
        return again
    return quicker(one, again)._replace(why="measured again, alone")


def _play(story: Story, image: Image, disks: Dict[str, Disks], scratch: Path) -> Played:
    name = "%s-%s" % (image.name, story.name)
    logs, stage = trees.cache() / "logs" / name, scratch / name
    started = time.monotonic()
    figures: Dict[str, float] = {}
    error: Optional[str] = None
    scene = Scene(disks[image.name], stage, story.variant)
    try:
        with scene:
            figures = scene.figures
            story.play(scene)
    except (Wrong, Quiet) as wrong:
        error = str(wrong)
    except Exception as fault:  # noqa: BLE001 - whatever it is, the other stories are still to be played
        error = "the lab itself: %r" % fault
        (stage / "traceback.log").write_text(traceback.format_exc())
    seconds = time.monotonic() - started
    trees.remove(logs)
    verdict = "ok" if error is None else "FAILED"
    say("%-6s %-24s %4d s  %s" % (verdict, name, seconds, error or ""))
    played = Played(image, story.name, verdict, error or "", str(logs), figures, seconds)
    keep_logs(played, scratch)
    return played


def keep_logs(played: Played, scratch: Path) -> None:
    """Move the folder of a failed story out of `scratch`. A boot that was only late fails when all are compared."""
    stage = scratch / Path(played.logs).name
    if played.verdict != "ok" and stage.is_dir():
        Path(played.logs).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(str(stage), played.logs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.boot", description=__doc__)
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE[:STORY]",
        help="only these, with all their stories or with one: " + " ".join(IMAGES),
    )
    parser.add_argument("--story", action="append", choices=list(STORIES), help="only this one; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the images and the stories")
    parser.add_argument(
        "--jobs",
        type=int,
        choices=range(1, 7),
        default=6,
        help="stories at a time (default: 6); however many, no more than two machines are busy",
    )
    parser.add_argument("--again", type=int, default=0, metavar="N", help="play a story that fails N times more")
    parser.add_argument("--file", type=Path, default=Path("dist/azure-provisioning"), help="the built program")
    options = parser.parse_args()
    places = [(image, story) for image in IMAGES.values() for story in STORIES.values() if story.is_for(image)]
    known = set(IMAGES) | {"%s:%s" % (image.name, story.name) for image, story in places}
    unknown = sorted(set(options.images) - known)
    if unknown:
        parser.error("no such image, or no such story of it: %s; see --list" % " ".join(unknown))
    return options


if __name__ == "__main__":
    sys.exit(main())
