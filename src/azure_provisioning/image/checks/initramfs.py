"""What is in an initramfs: the names in its cpio archives, of which the later ones are mostly compressed.

See the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import re
from typing import TYPE_CHECKING, Iterator, Set, Type, Union

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from lzma import LZMADecompressor

    Unpacker = Union[BZ2Decompressor, LZMADecompressor]

MAGICS = (b"070701", b"070702")
HEAD = 110  # bytes of a header: the magic, and 13 numbers of 8 hexadecimal digits
END = "TRAILER!!!"
NAME_LIMIT = 4096
SIZE_LIMIT = 1 << 30  # bytes, unpacked
FILES_LIMIT = 200000
PADDING_LIMIT = 1 << 20  # bytes of zeros between two archives
CHUNK = 1 << 18
KINDS = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "lzma"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x89LZO", "lzo"),
)


class UnreadableError(Exception):
    """It cannot be read here; says why."""


class Source:
    """Bytes that come in pieces, read once, and counted."""

    def __init__(self, pieces: "Iterator[bytes]") -> None:
        self.pieces = pieces
        self.piece = b""
        self.place = 0
        self.count = 0
        self.ended = False  # were more bytes asked for than there are?

    def take(self, size: int, keep: bool = True) -> bytes:
        """The next bytes, fewer only at the end; with `keep` off they are thrown away."""
        parts = []
        while size > 0:
            if self.place == len(self.piece):
                self.piece, self.place = next(self.pieces, b""), 0
                if not self.piece:
                    self.ended = True
                    break
            part = self.piece[self.place : self.place + size]
            self.place += len(part)
            self.count += len(part)
            size -= len(part)
            if keep:
                parts.append(part)
            if self.count > SIZE_LIMIT:
                raise UnreadableError("it is too large")
        return b"".join(parts)


def file_names(data: bytes) -> "Set[str]":
    """The paths of all files in it. Raises UnreadableError."""
    found: "Set[str]" = set()
    place = 0
    while place < len(data):
        if data[place : place + 1] == b"\0":
            place = end_of_padding(data, place)
        elif data[place : place + 6] in MAGICS:
            source = Source(slices(data, place))
            found.update(read_archive(source))
            place += source.count
        else:
            source = Source(unpack(data, place))
            while True:
                before = source.count
                found.update(read_archive(source))
                if source.count == before or source.ended:
                    return found
    return found


def end_of_padding(data: bytes, place: int) -> int:
    """Behind the zeros between two archives."""
    padding = re.compile(rb"\0+").match(data, place)
    return padding.end() if padding else place


def slices(data: bytes, place: int) -> "Iterator[bytes]":
    """The data from a place on, in pieces."""
    while place < len(data):
        yield data[place : place + CHUNK]
        place += CHUNK


def read_archive(source: Source) -> "Iterator[str]":
    """The names in one archive; none at the end of the source. Raises UnreadableError."""
    within, files = False, 0
    while True:
        head = source.take(6)
        begun = source.count
        while head[:1] == b"\0" and source.count - begun < PADDING_LIMIT:
            head = head.lstrip(b"\0")
            head += source.take(6 - len(head))
        if not head and not within:
            return
        within = True
        head += source.take(HEAD - len(head))
        try:
            size, length = int(head[54:62], 16), int(head[94:102], 16)
        except ValueError:
            raise UnreadableError("it is damaged")
        if head[:6] not in MAGICS or not 0 < length <= NAME_LIMIT:
            raise UnreadableError("it is damaged")
        name = source.take(length + -(HEAD + length) % 4)[:length].rstrip(b"\0").decode("utf-8", "replace")
        source.take(size + -size % 4, keep=False)
        if source.ended and name != END:
            raise UnreadableError("it is damaged")
        if name == END:
            return
        yield name
        files += 1
        if files > FILES_LIMIT:
            raise UnreadableError("it is too large")


def unpack(data: bytes, place: int) -> "Iterator[bytes]":
    """The data from a place on, unpacked. Raises UnreadableError for what Python's library cannot unpack."""
    kind = next((name for magic, name in KINDS if data.startswith(magic, place)), None)
    if kind is None:
        raise UnreadableError("it is of no known kind")
    try:
        if kind == "gzip":
            return gunzip(data, place)
        if kind in ("xz", "lzma"):
            return unxz(data, place)
        if kind == "bzip2":
            return bunzip(data, place)
    except ImportError:
        pass  # a small Python
    raise UnreadableError("it is packed with %s, which this Python cannot read" % kind)


def gunzip(data: bytes, place: int) -> "Iterator[bytes]":
    """Unpack gzip, never more than a piece at once."""
    import zlib

    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def pieces() -> "Iterator[bytes]":
        try:
            for piece in slices(data, place):
                packed = piece
                while packed and not unpacker.eof:
                    yield unpacker.decompress(packed, CHUNK)
                    packed = unpacker.unconsumed_tail
        except zlib.error:
            raise UnreadableError("it is damaged")
        if not unpacker.eof:
            raise UnreadableError("it is damaged")

    return filter(None, pieces())


def unxz(data: bytes, place: int) -> "Iterator[bytes]":
    """Unpack xz and lzma."""
    import lzma

    return pump(lzma.LZMADecompressor(), lzma.LZMAError, data, place)


def bunzip(data: bytes, place: int) -> "Iterator[bytes]":
    """Unpack bzip2."""
    import bz2

    return pump(bz2.BZ2Decompressor(), OSError, data, place)


def pump(unpacker: "Unpacker", failure: "Type[Exception]", data: bytes, place: int) -> "Iterator[bytes]":
    """What a decompressor of lzma or bz2 makes of the data, never more than a piece at once."""

    def pieces() -> "Iterator[bytes]":
        try:
            for packed in slices(data, place):
                if not unpacker.eof:
                    yield unpacker.decompress(packed, CHUNK)
                while not (unpacker.eof or unpacker.needs_input):
                    yield unpacker.decompress(b"", CHUNK)
        except failure:
            raise UnreadableError("it is damaged")
        if not unpacker.eof:
            raise UnreadableError("it is damaged")

    return filter(None, pieces())
