"""The file names in an initramfs: cpio archives, of which later ones are usually compressed.

See the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import re
from typing import TYPE_CHECKING, Callable, Iterator, List, Optional, Type, Union

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from lzma import LZMADecompressor

    Unpacker = Union[BZ2Decompressor, LZMADecompressor]
    Spend = Callable[[int, int], None]
    Ended = Callable[[int], None]

MAGICS = (b"070701", b"070702")
HEAD = 110  # bytes of a header: the magic number, and 13 numbers of 8 hexadecimal digits
END = b"TRAILER!!!"
NAME_LIMIT = 4096
SIZE_LIMIT = 768 << 20  # bytes, unpacked
CHUNK = 1 << 18
ZEROS = re.compile(rb"\0*")
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
    """It cannot be read here; the message says why."""


class Source:
    """Bytes that arrive in pieces, are read once, and are counted."""

    def __init__(self, pieces: "Iterator[bytes]", spend: "Spend") -> None:
        self.pieces = pieces
        self.spend = spend
        self.piece = b""
        self.place = 0
        self.count = 0
        self.ended = False  # has a read gone beyond the end?

    def take(self, size: int, *, keep: bool = True) -> bytes:
        """The next bytes, fewer only at the end; without `keep` they are dropped."""
        parts = []
        while size > 0 and self._has_more():
            part = self.piece[self.place : self.place + size] if keep else b""
            step = min(size, len(self.piece) - self.place)
            self._go_on(step)
            size -= step
            parts.append(part)
        return b"".join(parts)

    def skip_zeros(self) -> None:
        """Skip to the next byte that is not 0, or to the end."""
        while self._has_more():
            found = ZEROS.match(self.piece, self.place)
            self._go_on(found.end() - self.place if found else 0)
            if self.place < len(self.piece):
                return

    def _has_more(self) -> bool:
        if self.place == len(self.piece):
            self.piece, self.place = next(self.pieces, b""), 0
            self.ended = not self.piece
            self.spend(0, len(self.piece))
        return not self.ended

    def _go_on(self, step: int) -> None:
        self.place += step
        self.count += step
        if self.count > SIZE_LIMIT:
            raise UnreadableError("it is too large")


def file_names(data: bytes, spend: "Spend") -> "Iterator[str]":
    """The paths of all its files. Calls `spend` with the number of files and bytes. Raises UnreadableError."""
    place = 0
    ends: "List[int]" = []
    while True:
        plain = Source(slices(data, place), spend)
        while True:
            plain.skip_zeros()
            if plain.ended:
                return
            if not data.startswith(MAGICS, place + plain.count):
                break
            yield from read_archive(plain)
        place += plain.count
        if ends and kind_at(data, place) is None:
            return  # the kernel stops there too
        spend(0, CHUNK)  # also for an empty archive
        yield from read_archives(Source(unpack(data, place, ends.append), spend))
        place = ends[-1]


def read_archives(source: Source) -> "Iterator[str]":
    """The names in all archives of a source. Raises UnreadableError."""
    while True:
        source.skip_zeros()
        if source.ended:
            return
        yield from read_archive(source)


def slices(data: bytes, place: int) -> "Iterator[bytes]":
    """The data from an offset on, in pieces."""
    while place < len(data):
        yield data[place : place + CHUNK]
        place += CHUNK


def read_archive(source: Source) -> "Iterator[str]":
    """The names in one archive. Raises UnreadableError."""
    while True:
        source.skip_zeros()
        head = source.take(HEAD)
        try:
            size, length = int(head[54:62], 16), int(head[94:102], 16)
        except ValueError:
            raise UnreadableError("it is damaged")
        if head[:6] not in MAGICS or not 0 < length <= NAME_LIMIT:
            raise UnreadableError("it is damaged")
        name = source.take(length + -(HEAD + length) % 4)[:length].rstrip(b"\0")
        source.take(size + -size % 4, keep=False)
        if source.ended and name != END:
            raise UnreadableError("it is damaged")
        source.spend(1, 0)
        if name == END:
            return
        yield name.decode("utf-8", "replace")


def kind_at(data: bytes, place: int) -> "Optional[str]":
    """The format of what is packed at an offset; None if it is unknown."""
    return next((name for magic, name in KINDS if data.startswith(magic, place)), None)


def unpack(data: bytes, place: int, at_end: "Ended") -> "Iterator[bytes]":
    """What is packed at an offset. After the last piece `at_end` is called with the offset behind it.

    Raises UnreadableError if Python's library cannot unpack it.
    """
    kind = kind_at(data, place)
    if kind is None:
        raise UnreadableError("its format is unknown")
    try:
        if kind == "gzip":
            return gunzip(data, place, at_end)
        if kind in ("xz", "lzma"):
            return unxz(data, place, at_end)
        if kind == "bzip2":
            return bunzip(data, place, at_end)
    except ImportError:
        pass  # a minimal Python
    raise UnreadableError("it is packed with %s, which this Python cannot read" % kind)


def gunzip(data: bytes, place: int, at_end: "Ended") -> "Iterator[bytes]":
    """Unpack gzip in limited pieces."""
    import zlib

    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def pieces() -> "Iterator[bytes]":
        end = place
        try:
            for piece in slices(data, place):
                packed = piece
                while packed and not unpacker.eof:
                    yield unpacker.decompress(packed, CHUNK)
                    packed = unpacker.unconsumed_tail
                end += len(piece)
                if unpacker.eof:
                    break
        except zlib.error:
            raise UnreadableError("it is damaged")
        if not unpacker.eof:
            raise UnreadableError("it is damaged")
        at_end(end - len(unpacker.unused_data))

    return filter(None, pieces())


def unxz(data: bytes, place: int, at_end: "Ended") -> "Iterator[bytes]":
    """Unpack xz and lzma."""
    import lzma

    return pump(lzma.LZMADecompressor(), lzma.LZMAError, data, place, at_end)


def bunzip(data: bytes, place: int, at_end: "Ended") -> "Iterator[bytes]":
    """Unpack bzip2."""
    import bz2

    return pump(bz2.BZ2Decompressor(), OSError, data, place, at_end)


def pump(
    unpacker: "Unpacker", failure: "Type[Exception]", data: bytes, place: int, at_end: "Ended"
) -> "Iterator[bytes]":
    """The output of a decompressor of lzma or bz2, in limited pieces."""

    def pieces() -> "Iterator[bytes]":
        end = place
        try:
            for packed in slices(data, place):
                yield unpacker.decompress(packed, CHUNK)
                while not (unpacker.eof or unpacker.needs_input):
                    yield unpacker.decompress(b"", CHUNK)
                end += len(packed)
                if unpacker.eof:
                    break
        except failure:
            raise UnreadableError("it is damaged")
        if not unpacker.eof:
            raise UnreadableError("it is damaged")
        at_end(end - len(unpacker.unused_data))

    return filter(None, pieces())
