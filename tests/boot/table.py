"""The table at the end."""

from typing import Dict, List, NamedTuple, Sequence

from .images import Image


class Played(NamedTuple):
    """One story on one image: its verdict, its error, the folder of its logs, and its figures in seconds."""

    image: Image
    story: str
    verdict: str
    why: str
    logs: str
    figures: Dict[str, float]
    seconds: float


LEGEND = (
    "Seconds. Ready: from power-on. 2nd: from power-on to the login of a second boot, which asked Azure nothing.",
    "after: from Azure's coming up after two minutes to Ready. prepare: the part that holds the boot.",
    "delay: how much later login and sshd come than without us, in a machine that is not on Azure and with Azure away.",
)
ROW = "%-15s %-16s %-15s %6s %6s %6s %8s  %-12s %-12s  %s"

# The normal difference between two boots of one emulated machine, beside another: a share of the boot, and seconds.
SHARE, SECONDS = 0.3, 4.0
FIRST, AWAY = ("first", "essential"), ("down", "never")


def show(played: List[Played]) -> List[str]:
    """The lines of the table, one for each image, then the failures with their logs."""
    head = ("image", "init", "DHCP client", "Ready", "2nd", "after", "prepare", "no Azure", "Azure away", "verdict")
    lines = ["", "%85s" % "delay of login, sshd", ROW % head]
    for image in dict.fromkeys(one.image for one in played):
        ours = {one.story: one for one in played if one.image == image}
        passed = sum(one.verdict == "ok" for one in ours.values())
        verdict = "ok" if passed == len(ours) else "FAILED"
        cells = (
            image.name,
            image.init,
            image.dhcp,
            _figure(ours, FIRST, "ready"),
            _figure(ours, FIRST, "second"),
            _figure(ours, ("down",), "after"),
            _figure(ours, ("down",), "prepare"),
            _delays(ours, ("elsewhere",)),
            _delays(ours, AWAY),
            "%s (%d of %d stories)" % (verdict, passed, len(ours)),
        )
        lines.append(ROW % cells)
    lines += ["", *LEGEND, ""]
    lines += ["%s on %s %s" % (one.story, one.image.name, one.why) for one in played if one.verdict == "ok" and one.why]
    failed = [one for one in played if one.verdict != "ok"]
    for one in failed:
        lines.append("FAILED %s on %s: %s\n       logs: %s" % (one.story, one.image.name, one.why, one.logs))
    return lines + ["%d passed, %d failed" % (len(played) - len(failed), len(failed))]


def judge(played: List[Played]) -> List[Played]:
    """The same, with FAILED if the boot was delayed by more than its local part takes."""
    plain = {one.image: one.figures for one in played if one.story == "plain"}
    return [_judged(one, plain.get(one.image, {})) if one.verdict == "ok" else one for one in played]


def _judged(one: Played, plain: Dict[str, float]) -> Played:
    if one.story not in ("elsewhere", *AWAY):
        return one
    for name in ("login", "sshd"):
        if name in plain and name in one.figures:
            allowed = plain[name] * (1 + SHARE) + SECONDS + one.figures.get("prepare", 0.0)
            if one.figures[name] > allowed:
                why = "%s came after %.1f s; without us after %.1f" % (name, one.figures[name], plain[name])
                return one._replace(verdict="FAILED", why=why)
    return one


def quicker(one: Played, other: Played) -> Played:
    """The one of two plays of a story that came to its login first. Its figures belong together."""
    return min(one, other, key=lambda played: played.figures["login"])


def is_held_by_others(one: Played, played: List[Played]) -> bool:
    """Was the image without us so late that other machines must have delayed it? That would hide our own delay."""
    ours = {other.story: other for other in played if other.image == one.image and other.verdict == "ok"}
    logins = _found(ours, ("elsewhere", *AWAY), "login")
    return (
        one.story == "plain" and one.verdict == "ok" and bool(logins) and one.figures["login"] > min(logins) + SECONDS
    )


def _found(ours: Dict[str, Played], stories: Sequence[str], name: str) -> List[float]:
    return [ours[story].figures[name] for story in stories if story in ours and name in ours[story].figures]


def _figure(ours: Dict[str, Played], stories: Sequence[str], name: str) -> str:
    found = _found(ours, stories, name)
    return "%.1f" % found[0] if found else "-"


def _delays(ours: Dict[str, Played], stories: Sequence[str]) -> str:
    """How much later login and sshd came in these stories than without us: the minimum."""
    if "plain" not in ours:
        return "-"
    shown = []
    for name in ("login", "sshd"):
        without = ours["plain"].figures.get(name)
        with_us = _found(ours, stories, name)
        shown.append("%+.1f" % (min(with_us) - without) if without is not None and with_us else "-")
    return ", ".join(shown)
