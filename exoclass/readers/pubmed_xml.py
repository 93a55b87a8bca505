"""PubMed XML as downloaded, fetched or cut off, of any size, in constant memory.

`pubmed_parser` was weighed: it has no branch for books or `OtherAbstract` and loses the DOI when a pii follows.
`lxml.etree.iterparse` was weighed: one ill-formed article ends it, and so does the second document of a
concatenated download. So the text is cut where an article begins, and `lxml` parses one article at a time.
"""

from __future__ import annotations

import io
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from exoclass.errors import InputError
from exoclass.readers.pubmed_article import read_article
from exoclass.readers.source import BrokenStreamError, ByteStream, text_chunks
from exoclass.records import Deletion, Record, Reject

MAX_ARTICLE = 20_000_000
"""Longest article taken for real, in characters of XML; thousands of authors with addresses make about 5 million."""

Item = Record | Reject | Deletion

_BOUNDARY = re.compile(
    r"<(?:(?P<prolog>\?xml\s|!DOCTYPE\s|Pubmed(?:Book)?ArticleSet[\s>/])"
    r"|(?P<article>Pubmed(?:Book)?Article)[\s>/]|(?P<deleted>DeleteCitation)[\s>/])"
)
_COMMENT = r"|<!--|-->|<!\[CDATA\[|\]\]>"
_CLOSED_BY = {"<!--": "-->", "<![CDATA[": "]]>"}
_BOUNDARY_OR_COMMENT = re.compile(_BOUNDARY.pattern + _COMMENT)
_END_OR_COMMENT = {name: re.compile(rf"</{name}\s*>{_COMMENT}") for name in ("PubmedArticle", "PubmedBookArticle")}
_LONGEST_BOUNDARY = 32
_SET = re.compile(r"<Pubmed(?:Book)?ArticleSet((?:\s+[\w:.-]+\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*)\s*(/?)>")
_SET_END = re.compile(r"</Pubmed(?:Book)?ArticleSet\s*>")
_BETWEEN = re.compile(
    r"[\s\0\ufeff]+|</Pubmed(?:Book)?ArticleSet\s*>|<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^\[<>]*(?:\[[^\]<]*\]\s*)?>",
    re.DOTALL,
)
_PMID = re.compile(r"<PMID\b[^<>]*>\s*(\d{1,9})\s*</PMID>")
# The DTD is never loaded; naming one lets the named entities of older exports pass without a declaration.
_DOCTYPE = '<!DOCTYPE PubmedArticleSet SYSTEM "pubmed.dtd">'


def read_pubmed_xml(stream: ByteStream, file: str) -> Iterator[Item]:
    """Read articles, book articles and withdrawn PMIDs from PubMed XML.

    An article that is not well-formed is rejected, and reading goes on with the next one. No entity is ever expanded
    and nothing is fetched.

    Parameters
    ----------
    stream
        UTF-8, UTF-16 or Latin-1 bytes. Several documents may follow each other.
    file
        Name to use in sources and rejects.

    Raises
    ------
    InputError
        If the document declares entities, which PubMed never does.
    BrokenStreamError
        After everything that could be read, if the stream is damaged.
    """
    cutter, reader = _Cutter(), _PieceReader(file)
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    try:
        for chunk in text_chunks(stream):
            for piece in cutter.feed(newlines.decode(chunk)):
                yield from reader.read(piece)
    except BrokenStreamError as error:
        error.position = f"line {cutter.line}"
        for piece in cutter.finish("broken"):
            yield from reader.read(piece)
        raise
    for piece in cutter.finish("last"):
        yield from reader.read(piece)
    yield from reader.finish(cutter.line)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of XML from one boundary to the next, or to where the input ends or breaks."""

    line: int
    text: str
    state: Literal["whole", "too long", "last", "broken"] = "whole"


class _Comments:
    """Follows comments and CDATA sections, in which tags are no tags."""

    def __init__(self) -> None:
        self._awaited = ""

    def hide(self, token: str) -> bool:
        """Take note of the next token, and tell whether it is no tag: within a comment, or a bracket of one."""
        if self._awaited:
            if token == self._awaited:
                self._awaited = ""
            return True
        self._awaited = _CLOSED_BY.get(token, "")
        return token in _CLOSED_BY or token in _CLOSED_BY.values()


class _Cutter:
    """Cuts text before each boundary that is in no comment; `line` is where the piece begins that is not complete."""

    def __init__(self) -> None:
        self.line = 1
        self._buffer = ""
        self._searched = 0
        self._comments = _Comments()
        self._skipping = False

    def feed(self, text: str) -> Iterator[_Piece]:
        self._buffer += text
        begin = searched = 0
        for match in _BOUNDARY_OR_COMMENT.finditer(self._buffer, self._searched):
            at, searched = match.start(), match.end()
            if not self._comments.hide(match.group()) and at > begin:
                if not self._skipping:
                    yield _Piece(self.line, self._buffer[begin:at])
                self.line += self._buffer.count("\n", begin, at)
                begin, self._skipping = at, False
        # A token may be cut by the end of the text, so its end is searched once more, without what was found.
        self._searched = max(searched, self._searched, len(self._buffer) - _LONGEST_BOUNDARY)
        self._forget(begin)
        if len(self._buffer) > MAX_ARTICLE:
            if not self._skipping:
                yield _Piece(self.line, self._buffer[:200], "too long")
            self._skipping, self._comments = True, _Comments()
            kept = len(self._buffer) - _LONGEST_BOUNDARY
            self.line += self._buffer.count("\n", 0, kept)
            self._forget(kept)

    def finish(self, state: Literal["last", "broken"]) -> Iterator[_Piece]:
        if self._buffer and not self._skipping:
            yield _Piece(self.line, self._buffer, state)
            self.line += self._buffer.count("\n")
        self._buffer = ""

    def _forget(self, length: int) -> None:
        self._buffer = self._buffer[length:]
        self._searched = max(0, self._searched - length)


class _PieceReader:
    """Turns pieces into items, and knows whether the set of articles was closed."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._root = "<PubmedArticleSet>"
        self._in_set = False
        self._parser = etree.XMLParser(
            encoding="utf-8", resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_pis=True
        )

    def read(self, piece: _Piece) -> Iterator[Item]:
        match = _BOUNDARY.match(piece.text)
        if piece.state == "too long":
            reason = f"longer than the {MAX_ARTICLE:,} characters that an article can have"
            yield self._reject(piece, reason)
            return
        if match and match["article"]:
            after = yield from self._article(piece, match["article"])
        elif match and match["deleted"]:
            after = yield from self._deletions(piece)
        else:
            after = self._prolog(piece)
        if _SET_END.search(after):
            self._in_set = False
        if junk := _junk(after):
            yield Reject(self._file, f"line {piece.line}", "text that belongs to no record", _excerpt(junk))

    def finish(self, line: int) -> Iterator[Reject]:
        if self._in_set:
            reason = "the file ends before its set of articles does: what followed is missing"
            yield Reject(self._file, f"line {line}", reason)

    def _article(self, piece: _Piece, name: str) -> Generator[Item, None, str]:
        """Yield the article, and return the text after it."""
        # The last end tag, so that text after the article is told from its content.
        comments, stop = _Comments(), 0
        for match in _END_OR_COMMENT[name].finditer(piece.text):
            stop = stop if comments.hide(match.group()) else match.end()
        if not stop:
            yield from self._cut_off(piece, "the article")
            return ""
        document = f"{_DOCTYPE}{self._root}{piece.text[:stop]}</PubmedArticleSet>"
        try:
            root = etree.fromstring(document.encode("utf-8", "replace"), self._parser)
        except etree.XMLSyntaxError as error:
            line = piece.line + max(0, (error.lineno or 1) - 1)
            # The message ends with a position in the piece; what counts is the one in the file.
            yield self._reject(piece, f"not well-formed XML at line {line}: {(error.msg or '').partition(', line')[0]}")
        else:
            yield from (read_article(article, self._file, piece.line) for article in root.iterchildren(name))
        return piece.text[stop:]

    def _deletions(self, piece: _Piece) -> Generator[Item, None, str]:
        end = piece.text.find("</DeleteCitation")
        for match in _PMID.finditer(piece.text):
            line = piece.line + piece.text.count("\n", 0, match.start())
            yield Deletion(match[1], f"{self._file}:{line}")
        if end < 0 and not piece.text.startswith("<DeleteCitation/"):
            yield from self._cut_off(piece, "the list of withdrawn PMIDs")
            return ""
        return piece.text[piece.text.find(">", max(end, 0)) + 1 :]

    def _prolog(self, piece: _Piece) -> str:
        if "<!ENTITY" in piece.text:
            cause = f"{self._file}: line {piece.line}: the XML declares entities, as PubMed never does"
            raise InputError(cause, "It may be an attack: download the file from PubMed again.")
        if match := _SET.search(piece.text):
            # Its attributes may declare the prefix of MathML, which each article then needs.
            self._root, self._in_set = f"<PubmedArticleSet{match[1]}>", not match[2]
        return _SET.sub("", piece.text)

    def _cut_off(self, piece: _Piece, what: str) -> Iterator[Reject]:
        self._in_set = self._in_set and piece.state == "whole"
        if piece.state == "last":
            yield self._reject(piece, f"the file ends within {what} that begins here")
        elif piece.state == "whole":
            yield self._reject(piece, f"{what} that begins here has no end")
        # A broken stream is reported by who catches its error, once for all that is lost.

    def _reject(self, piece: _Piece, reason: str) -> Reject:
        match = _PMID.search(piece.text)
        excerpt = f"PMID {match[1]}" if match else _excerpt(piece.text)
        return Reject(self._file, f"line {piece.line}", reason, excerpt)


def _junk(text: str) -> str:
    """Return the text between records from where it is more than comments, declarations and the end of the set."""
    at = 0
    while match := _BETWEEN.match(text, at):
        at = match.end()
    return text[at:]


def _excerpt(text: str) -> str:
    return " ".join(text[:200].split())[:80]
