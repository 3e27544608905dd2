"""The marks around lines of ours in a file that is the guest's, so that they can be found and taken out again."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

BEGIN = "# >>> azure-provisioning >>>\n"
END = "# <<< azure-provisioning <<<"


def split(text: str) -> "Optional[Tuple[str, str, str]]":
    """(what is before our block, its lines, what follows its end mark); None if there is none."""
    before, begin, rest = text.partition(BEGIN)
    lines, end, after = rest.partition(END)
    return (before, lines, after) if begin and end and before[-1:] in ("", "\n") and after[:1] in ("", "\n") else None
