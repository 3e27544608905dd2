"""What the command line may say."""

import argparse

from . import __version__
from .init.table import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

PROGRAM = "azure-provisioning"
ROOT_HELP = "work on the image that is mounted at DIR; nothing in it is executed"


def parse(argv: "List[str]") -> argparse.Namespace:
    """The arguments; `verb` says which function takes them. Exits with 2 for what makes no sense."""
    return parser().parse_args(argv)


class Whole(argparse.ArgumentParser):
    """A parser that takes no abbreviated option: a later option could give it another meaning."""

    def __init__(self, **settings: "Any") -> None:
        super().__init__(allow_abbrev=False, **settings)


def parser() -> argparse.ArgumentParser:
    """One sub-command a verb."""
    top = Whole(prog=PROGRAM, description="Brings a Linux VM up on Azure without an agent.")
    top.add_argument("--version", action="version", version="%s %s" % (PROGRAM, __version__))
    verbs = top.add_subparsers(dest="verb", metavar="VERB", parser_class=Whole)
    verbs.required = True  # 3.6: no keyword for it

    run = verbs.add_parser("run", help="what the boot hook calls: set this VM up, report Ready, leave the boot")
    run.add_argument("--detach", action="store_true", help="return after the local part; a child waits for Azure")
    run.add_argument("--force", action="store_true", help="although not on Azure, although already done")

    install = verbs.add_parser("install", help="copy this file into an image and have its next boot run it")
    install.add_argument("--root", metavar="DIR", default="/", help=ROOT_HELP)
    install.add_argument("--prefix", default="/usr/local", help="the file goes to PREFIX/sbin (default: %(default)s)")
    install.add_argument("--init", metavar="NAME", choices=NAMES, help="one of: %s" % " ".join(NAMES))
    install.add_argument("--every-boot", action="store_true", help="keep the hook: images of this VM work at once")
    install.add_argument("--python", metavar="PATH", help="the interpreter's path inside DIR")

    uninstall = verbs.add_parser("uninstall", help="take out what install put in; options and log stay")
    uninstall.add_argument("--root", metavar="DIR", default="/", help=ROOT_HELP)

    status = verbs.add_parser("status", help="what is known of this machine")
    status.add_argument("--root", metavar="DIR", default="/", help=ROOT_HELP)
    status.add_argument("--json", action="store_true", help="for scripts")
    status.add_argument("--wait", action="store_true", help="until Azure accepted Ready, or this boot failed")

    report = verbs.add_parser("report", help="only the report, if you set the machine up by other means")
    outcomes = report.add_subparsers(dest="outcome", metavar="OUTCOME")
    outcomes.required = True
    outcomes.add_parser("ready", help="this VM is ready; remembered")
    failure = outcomes.add_parser("failure", help="provisioning failed")
    failure.add_argument("--reason", metavar="TEXT", required=True, help="what the portal shows")

    rehearse = verbs.add_parser("rehearse", help="a first boot in a scratch root, with an Azure inside this command")
    rehearse.add_argument(
        "--fault", metavar="NAME", action="append", default=[], help="trouble; `list` prints the names"
    )
    return top
