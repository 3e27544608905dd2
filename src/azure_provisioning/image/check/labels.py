"""SELinux: do our files have labels, if a boot of the image loads a policy?"""

from typing import Iterator, List

from ...door.labels import is_enabled, read_label
from ...init import table
from ..command import Command
from .finding import Finding, ok, warning
from .hook import find_command
from .subject import Image

AUTORELABEL = "/.autorelabel"  # the next boot labels all files, then reboots
UNLABELLED = ("unlabeled_t", "file_t")  # types that a policy gives to files without a label


def check_labels(image: Image) -> "Iterator[Finding]":
    """An enforcing boot may refuse to start files without a label, or with another's."""
    system = image.system
    if not is_enabled(system):
        yield ok("selinux", "no policy is loaded")
        return
    if system.exists(AUTORELABEL):
        yield ok("selinux", "the next boot labels all files (%s)" % AUTORELABEL)
        return
    remedy = Command("printf", "").into(image.place(AUTORELABEL))
    if not has_label(image, "/etc"):
        yield warning("selinux", "the image has a policy, and its files have no labels", remedy)
        return
    lacking = [path for path in ours(image) if not has_label(image, path)]
    if lacking:
        more = ", and %d more" % (len(lacking) - 1) if lacking[1:] else ""
        yield warning("selinux", "%s has no label%s: an enforcing boot may refuse it" % (lacking[0], more), remedy)
    else:
        yield ok("selinux", "our files are labelled")


def ours(image: Image) -> "List[str]":
    """Our program, and the files and links that make the boot start it, with their targets."""
    name, links = table.find_hook(image.system)
    files = table.load(name).files(image.system) if name else []
    programs = [path for link in links for path in find_command(image.system, link)[1:] if path]
    chains = [step for path in [*programs, *files, *links] for step in image.system.chain(path)]
    return [path for path in dict.fromkeys(chains) if image.system.stat(path, follow=False) is not None]


def has_label(image: Image, path: str) -> bool:
    """Does a file or symlink have a label of its own?"""
    words = read_label(image.system, path).split(":")
    return len(words) >= 3 and words[2] not in UNLABELLED
