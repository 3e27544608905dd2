"""The time that each step of a boot took: as lines for a terminal, and as a picture for reports about slow boots."""

import textwrap
from typing import List, NamedTuple, Optional, Sequence, Tuple

BAR_WIDTH = 24  # columns of the bar of the longest step
# Of the picture, in pixels.
WIDTH, LABELS, ROW, MARGIN = 1000, 190, 22, 20
NOTE_LIMIT = 140  # characters of a line below the title
TEXT_LIMIT = 90  # characters of a label whose text comes from elsewhere
COLOURS = {"ok": "#3b7dd8", "warning": "#d9a514", "failed": "#c8372d", "request": "#7a8793"}
STYLE = "text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#555}.over{font-size:11px;fill:#fff}"
STYLE += ".title{font-size:16px;font-weight:bold}"
NICE = (1, 2, 5)  # times a power of ten: possible seconds between two grid lines
GRID_LINES = 10  # maximum


class Span(NamedTuple):
    """One bar: a step, or a request."""

    name: str
    result: str  # "ok", "warning" or "failed"; "request" for a request
    seconds: float
    at: Optional[float] = None  # seconds since the program started; None: unknown
    message: str = ""


def total(spans: Sequence[Span]) -> float:
    """Seconds until the last of them ended."""
    return max([span.at + span.seconds for span in spans if span.at is not None], default=0.0)


def as_lines(spans: Sequence[Span]) -> List[str]:
    """One line for each step, with a bar in proportion to the longest; then the total."""
    longest = max([span.seconds for span in spans] + [0.001])
    lines = []
    for span in spans:
        bar = "#" * int(BAR_WIDTH * span.seconds / longest + 0.5)
        line = "step        %-15s %-8s %8.3f s  %s" % (span.name, span.result, span.seconds, bar)
        lines.append(line.rstrip())
        if span.message:
            lines.append("            %s" % span.message)
    if total(spans):
        lines.append("total       %-15s %-8s %8.3f s" % ("", "", total(spans)))
    return lines


def place(spans: Sequence[Span]) -> List[Span]:
    """The spans by the time they began. One with an unknown time follows the one before it."""
    placed, after = [], 0.0
    for span in spans:
        at = after if span.at is None else span.at
        placed.append(span._replace(at=at))
        after = at + span.seconds
    return sorted(placed, key=lambda span: span.at or 0.0)


def as_svg(title: str, spans: Sequence[Span], notes: Sequence[str] = ()) -> str:
    """The spans over time, one in each row, as an SVG document in ASCII; `notes` are lines below the title."""
    placed = place(spans)
    notes = [line for note in notes for line in textwrap.wrap(note, NOTE_LIMIT)]
    end = max([(span.at or 0.0) + span.seconds for span in placed] + [0.001])
    scale = (WIDTH - LABELS - 2 * MARGIN) / end
    top = MARGIN + 20 + 16 * len(notes) + 24
    bottom = top + ROW * len(placed)
    size = (WIDTH, bottom + MARGIN + 30)
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">' % (size + size),
        "<style>%s</style>" % STYLE,
        '<rect width="%d" height="%d" fill="#fff"/>' % size,
        words(MARGIN, MARGIN + 12, title, "title"),
    ]
    parts += [words(MARGIN, MARGIN + 14 + 16 * number, note, "small") for number, note in enumerate(notes, 1)]
    for at in grid(end):
        x = MARGIN + LABELS + at * scale
        parts.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>' % (x, top - 6, x, bottom))
        parts.append(words(x, top - 10, "%g s" % at, "small", anchor="middle"))
    for number, span in enumerate(placed):
        parts += draw(span, top + ROW * number, scale)
    return "\n".join([*parts, legend(bottom + MARGIN), "</svg>"]) + "\n"


def draw(span: Span, y: float, scale: float) -> List[str]:
    """The row of one span at height `y`: its name, its bar, and next to it the time that it took."""
    start, width = MARGIN + LABELS + (span.at or 0.0) * scale, max(span.seconds * scale, 1.5)
    label = "%.3f s%s" % (span.seconds, "" if span.result == "ok" else ", " + span.result)
    if span.message:
        label += ": " + span.message
    label = cut(span.message if span.result == "request" else label)
    after = start + width + 6
    fits = after + 6.5 * len(label) < WIDTH  # else before the bar, or on the bar if it is too long for that too
    beside, kind = ((after, "start") if fits else (start - 6, "end")), "small"
    if not fits and start - 6 - 6.5 * len(label) < MARGIN + LABELS:
        beside, kind = (start + width - 6, "end"), "over"
    bar = '<rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="2" fill="%s"><title>%s</title></rect>'
    said = escape("%s: %s" % (span.name, label))
    return [
        words(MARGIN, y + 15, cut(span.name, 28), "small" if span.result == "request" else ""),
        bar % (start, y + 4, width, ROW - 8, COLOURS.get(span.result, COLOURS["request"]), said),
        words(beside[0], y + 15, label, kind, anchor=beside[1]),
    ]


def legend(y: float) -> str:
    """The meaning of the colours."""
    parts, x = [], MARGIN
    for word, colour in COLOURS.items():
        parts.append('<rect x="%d" y="%d" width="12" height="12" fill="%s"/>' % (x, y, colour))
        parts.append(words(x + 17, y + 10, word, "small"))
        x += 80
    return "\n".join(parts)


def grid(end: float) -> List[float]:
    """The positions of the grid lines, in seconds."""
    unit = 0.001
    while True:
        for factor in NICE:
            if end / (unit * factor) <= GRID_LINES:
                step = unit * factor
                return [round(step * number, 3) for number in range(int(end / step) + 1)]
        unit *= 10


def words(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    """A text element."""
    pairs: "Tuple[Tuple[str, str], ...]" = (("class", kind), ("text-anchor", anchor))
    more = "".join(' %s="%s"' % pair for pair in pairs if pair[1])
    return '<text x="%.1f" y="%.1f"%s>%s</text>' % (x, y, more, escape(text))


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """A text cut to `limit` characters."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def escape(text: str) -> str:
    """A text for XML: in ASCII, without characters that are special in XML, or that XML forbids."""
    safe = []
    for char in text:
        plain = " " <= char <= "~" and char not in "<>&\"'"
        # XML allows no control characters, lone surrogates or non-characters, not even as a number.
        fit = char.isprintable() and not 0xD800 <= ord(char) <= 0xDFFF
        safe.append(char if plain else "&#%d;" % ord(char) if fit else "?")
    return "".join(safe)
