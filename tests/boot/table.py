"""The table at the end."""

from typing import Dict, List, NamedTuple

from .images import Image


class Played(NamedTuple):
    """One story on one image: its verdict, why it failed, where its logs are, and its figures in seconds."""

    image: Image
    story: str
    verdict: str
    why: str
    logs: str
    figures: Dict[str, float]
    seconds: float


LEGEND = (
    "Seconds. Ready: from power-on. 2nd: from power-on to the login of a second boot, which asked Azure nothing.",
    "after: from Azure's coming up after two minutes to Ready.",
    "delay: with Azure away, against the same image without us.",
)


def show(played: List[Played]) -> List[str]:
    """The lines of the table, one an image, then the failures with their logs."""
    lines = [
        "",
        "%-15s %-16s %-15s %7s %7s %7s  %-24s %s"
        % ("image", "init", "DHCP client", "Ready", "2nd", "after", "delay: login, sshd", "verdict"),
    ]
    for image in dict.fromkeys(one.image for one in played):
        ours = {one.story: one for one in played if one.image == image}
        passed = sum(one.verdict == "ok" for one in ours.values())
        verdict = "ok" if passed == len(ours) else "FAILED"
        lines.append(
            "%-15s %-16s %-15s %7s %7s %7s  %-24s %s"
            % (
                image.name,
                image.init,
                image.dhcp,
                _figure(ours, "first", "ready"),
                _figure(ours, "first", "second"),
                _figure(ours, "down", "after"),
                _delays(ours),
                "%s (%d of %d stories)" % (verdict, passed, len(ours)),
            )
        )
    lines += ["", *LEGEND, ""]
    failed = [one for one in played if one.verdict != "ok"]
    for one in failed:
        lines.append("FAILED %s on %s: %s\n       logs: %s" % (one.story, one.image.name, one.why, one.logs))
    return lines + ["%d passed, %d failed" % (len(played) - len(failed), len(failed))]


def _figure(ours: Dict[str, Played], story: str, name: str) -> str:
    value = ours[story].figures.get(name) if story in ours else None
    return "-" if value is None else "%.1f" % value


def _delays(ours: Dict[str, Played]) -> str:
    """How much later login and sshd came in the stories in which Azure is away than without us: the least of them."""
    if "plain" not in ours:
        return "-"
    shown = []
    for name in ("login", "sshd"):
        without = ours["plain"].figures.get(name)
        away = [ours[story].figures for story in ("down", "never") if story in ours]
        with_us = [figures[name] for figures in away if name in figures]
        shown.append("%+.1f" % (min(with_us) - without) if without is not None and with_us else "-")
    return ", ".join(shown)
