"""XML from outside: the goal state and ovf-env.xml go through the same door."""

import pyexpat  # not `xml.parsers.expat`, which is the same and missing from Debian's python3-minimal

from ..errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional

BUFFER_SIZE = 1 << 20  # bytes of text that come in one piece


def walk(
    document: bytes,
    reason: str,
    start: "Callable[[str, Dict[str, str]], None]",
    end: "Callable[[str], None]",
    characters: "Callable[[str], None]",
    separator: "Optional[str]" = None,
) -> None:
    """Call `start`, `end` and `characters` for what is in the document; with a `separator`, names have their namespace.

    Raises BadReply, with `reason`, for what is no XML, and for a document type: none of Azure's documents has one, and
    entities could blow up.
    """

    def doctype(*_declaration: object) -> None:
        raise BadReply(reason, problem="it has a document type")

    parser = pyexpat.ParserCreate(None, separator)
    parser.buffer_text = True
    parser.buffer_size = BUFFER_SIZE
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(document, True)
    except (pyexpat.ExpatError, LookupError, ValueError) as error:  # the latter two: an encoding that nobody knows
        raise BadReply(reason, problem=str(error)) from error
