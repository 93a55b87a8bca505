"""Bytes from a path or a pipe, as a stream of constant memory: gzip undone, text decoded, lines numbered.

`gzip.GzipFile` was weighed: a truncated member makes it raise before it hands out what it had decompressed, so
members are undone here with `zlib`, and the damage is reported only after the last good byte has been delivered.
"""

from __future__ import annotations

import codecs
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from exoclass.errors import InputError

Line = tuple[int, str]
"""Number of a line, counted from 1, and its text without the line end."""

MAX_LINE = 10_000_000
"""Longest line taken for real, in characters; a longer one is no bibliographic text and would fill the memory."""

HEAD_BYTES = 65_536
"""How much of the beginning is looked at to recognise format and encoding."""

_CHUNK = 65_536
_GZIP_MAGIC = b"\x1f\x8b"


class BrokenStreamError(InputError):
    """The stream ends early or is damaged; everything before the damage has been delivered.

    `exoclass.readers.read` turns it into the last `Reject` of the file, so that users never meet it.
    """

    position = "byte 0"


class ByteStream(Protocol):
    """Anything bytes can be read from; a short read does not mean that the end is reached, an empty one does."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """An opened input.

    Parameters
    ----------
    name
        As the user gave it, ``-`` for standard input.
    stream
        The content, decompressed, from its first byte.
    head
        The first `HEAD_BYTES` of the content, which `stream` delivers once more.
    """

    name: str
    stream: ByteStream
    head: bytes


@contextmanager
def open_source(path: str | Path) -> Iterator[Source]:
    """Open a file, or standard input for ``-``, and undo gzip if its first bytes say so.

    Raises
    ------
    InputError
        If there is no such file, it is a directory, or it cannot be read.
    """
    name = str(path)
    with _opened(name) as raw:
        chunks = _plain(raw, name)
        first = next(chunks, b"")
        while 0 < len(first) < len(_GZIP_MAGIC) and (more := next(chunks, b"")):
            first += more
        stream = _Replay(_gunzip(first, chunks, name) if first.startswith(_GZIP_MAGIC) else chunks)
        if not first.startswith(_GZIP_MAGIC):
            stream.put_back(first)
        head = stream.peek(HEAD_BYTES)
        if not head and stream.error is not None:
            raise InputError(stream.error.cause, stream.error.remedy)
        yield Source(name, stream, head)


def encoding_of(head: bytes) -> str:
    """Return the codec for text that begins with `head`: UTF-16 by its byte order mark or its NULs, else UTF-8.

    >>> encoding_of("TY  - JOUR".encode("utf-16-le")), encoding_of("Sjögren".encode("cp1252"))
    ('utf-16-le', 'utf-8-sig')
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:4096]
    half = len(sample) // 2
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    # English in UTF-16 has a NUL in nearly every other byte; binary files have them on both sides.
    if half >= 2 and odd > 0.6 * half and even < 0.1 * half:
        return "utf-16-le"
    if half >= 2 and even > 0.6 * half and odd < 0.1 * half:
        return "utf-16-be"
    return "utf-8-sig"


def decode(head: bytes) -> str:
    """Return the text of `head`, whose last character may be cut, by the rules of `text_chunks`."""
    return _decoder(head).decode(head)


def text_chunks(stream: ByteStream) -> Iterator[str]:
    """Decode a stream piece by piece; line ends stay as they are.

    Bytes that are not UTF-8 are read as Windows-1252, one by one, so a Latin-1 file and a file in which two
    encodings were pasted together both come out right.
    """
    decoder = None
    while chunk := stream.read(_CHUNK):
        decoder = decoder or _decoder(chunk)
        if text := decoder.decode(chunk):
            yield text
    if decoder is not None and (text := decoder.decode(b"", True)):
        yield text


def text_lines(source: Source) -> Iterator[Line]:
    """Yield the lines of a source, ended by LF, CRLF or CR, in constant memory.

    Raises
    ------
    InputError
        If a line is longer than `MAX_LINE`.
    BrokenStreamError
        After the last whole line before the damage.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    number, rest = 1, ""
    try:
        for chunk in text_chunks(source.stream):
            first, *others = newlines.decode(chunk).split("\n")
            rest += first
            for following in others:
                yield number, rest
                number, rest = number + 1, following
            if len(rest) > MAX_LINE:
                cause = f"{source.name}: line {number} is longer than {MAX_LINE:,} characters"
                raise InputError(cause, "An export has far shorter lines: check that this is the right file.")
    except BrokenStreamError as error:
        error.position = f"line {number}"
        raise
    rest += newlines.decode("", final=True).rstrip("\n")
    if rest:
        yield number, rest


class _Replay:
    """A stream over chunks, whose beginning can be looked at without being used up."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self.error: BrokenStreamError | None = None

    def put_back(self, data: bytes) -> None:
        self._buffer = data + self._buffer

    def peek(self, size: int) -> bytes:
        parts = [self._buffer]
        wanted = size - len(self._buffer)
        try:
            while wanted > 0 and (chunk := next(self._chunks, b"")):
                parts.append(chunk)
                wanted -= len(chunk)
        except BrokenStreamError as error:
            # It is raised by `read` once what precedes it has been delivered.
            self.error = error
        self._buffer = b"".join(parts)
        return self._buffer[:size]

    def read(self, size: int = -1, /) -> bytes:
        if not self._buffer:
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            self._buffer = next(self._chunks, b"")
        end = len(self._buffer) if size < 0 else size
        data, self._buffer = self._buffer[:end], self._buffer[end:]
        return data


@contextmanager
def _opened(name: str) -> Iterator[ByteStream]:
    if name == "-":
        yield sys.stdin.buffer
        return
    path = Path(name)
    try:
        if path.is_dir():
            raise InputError(f"{name} is a directory", f"Name the files in it, for example {path / '*'}")
        raw = path.open("rb")
    except FileNotFoundError:
        raise InputError(f"{name}: no such file", "Check the spelling and the folder.") from None
    except PermissionError:
        raise InputError(f"{name}: not allowed to read it", f"Make it readable: chmod u+r {name}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name!r} cannot be opened: {reason}", "Check the name of the file.") from None
    with raw:
        yield raw


def _plain(raw: ByteStream, name: str) -> Iterator[bytes]:
    try:
        while chunk := raw.read(_CHUNK):
            yield chunk
    except OSError as error:
        reason = error.strerror or str(error)
        raise BrokenStreamError(f"{name} cannot be read on: {reason}", "Copy the file anew.") from None


def _gunzip(first: bytes, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Undo gzip, also of members put one after the other; damage is raised after all that precedes it."""
    decoder, begun = zlib.decompressobj(wbits=31), False
    for chunk in _chain(first, chunks):
        data = chunk
        while data:
            if not begun:
                data = data.lstrip(b"\0")  # tapes and some tools pad members with zeros
                if not data:
                    break
            begun = True
            saved = decoder.copy()
            try:
                text = decoder.decompress(data, _CHUNK)
            except zlib.error:
                yield from _up_to_damage(saved, data)
                raise _broken(name, "its gzip data are damaged from here on") from None
            if text:
                yield text
            if decoder.eof:
                data, decoder, begun = decoder.unused_data, zlib.decompressobj(wbits=31), False
            else:
                data = decoder.unconsumed_tail
    if begun:
        if text := decoder.flush():
            yield text
        raise _broken(name, "the gzip file ends early here")


def _chain(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _up_to_damage(decoder: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Feed byte by byte, because zlib keeps back what it made in the call that fails."""
    try:
        for value in data:
            if text := decoder.decompress(bytes((value,))):
                yield text
    except zlib.error:
        return


def _broken(name: str, reason: str) -> BrokenStreamError:
    return BrokenStreamError(f"{name}: {reason}; what follows is lost", "Download or copy the file anew.")


def _decoder(head: bytes) -> codecs.IncrementalDecoder:
    encoding = encoding_of(head)
    errors = "replace" if encoding.startswith("utf-16") else _AS_CP1252
    return codecs.getincrementaldecoder(encoding)(errors)


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    # Five bytes have no meaning in Windows-1252; as Latin-1 they are control characters, which `clean` removes.
    text = "".join(byte.decode("cp1252", "ignore") or byte.decode("latin-1") for byte in (bytes((n,)) for n in wrong))
    return text, error.end


_AS_CP1252 = "exoclass-cp1252"
codecs.register_error(_AS_CP1252, _as_cp1252)
