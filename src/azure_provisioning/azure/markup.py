"""XML from outside: the one parser for goal state and ovf-env.xml."""

import pyexpat  # not `xml.parsers.expat`: that is the same, and Debian's python3-minimal lacks it

from ..errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Optional

BUFFER_SIZE = 1 << 20  # bytes of text that come in one call


def walk(
    document: bytes,
    reason: str,
    start: "Callable[[str, Dict[str, str]], None]",
    end: "Callable[[str], None]",
    characters: "Callable[[str], None]",
    separator: "Optional[str]" = None,
) -> None:
    """Call `start`, `end` and `characters` for the document's parts; with a `separator`, names have their namespace.

    Raises BadReply with `reason` if it is not XML, and for a document type: none of Azure's documents has one, and
    entities can expand without limit.
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
        parser.Parse(document, True)  # noqa: FBT003 # expat knows no keywords
    except (pyexpat.ExpatError, LookupError, ValueError) as error:  # the latter two: an unknown encoding
        raise BadReply(reason, problem=str(error)) from error
