"""The marks around our lines in a file of the guest, by which the lines are found and removed."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

BEGIN = "# >>> azure-provisioning >>>\n"
END = "# <<< azure-provisioning <<<"


def split(text: str) -> "Optional[Tuple[str, str, str]]":
    """(the text before our block, its lines, the text after its end mark); None if there is no block."""
    before, begin, rest = text.partition(BEGIN)
    lines, end, after = rest.partition(END)
    return (before, lines, after) if begin and end and before[-1:] in ("", "\n") and after[:1] in ("", "\n") else None
