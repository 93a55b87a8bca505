"""Content that is recognised but not read, each with what to export instead."""

from __future__ import annotations

import re

from exoclass.errors import UnknownFormatError

_RIS = "Export the records as RIS, CSV or PubMed (.nbib) instead."
_UNPACK = "Unpack it and name the files in it."

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "a PDF", "Export the record itself, for example from PubMed: Save, Format: PubMed."),
    (b"\xd0\xcf\x11\xe0", "an old Word or Excel file", "Save the sheet as CSV (UTF-8) and read that."),
    (b"SQLite format 3\0", "an SQLite database", "Export the library as RIS from the program that made it."),
    (b"{\\rtf", "an RTF document", _RIS),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"7z\xbc\xaf", "a 7-Zip archive", _UNPACK),
    (b"BZh", "a bzip2 file", "Undo it and pipe it in: bzcat FILE | exoclass predict -"),
    (b"\xfd7zXZ", "an xz file", "Undo it and pipe it in: xzcat FILE | exoclass predict -"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "Undo it and pipe it in: zstdcat FILE | exoclass predict -"),
    (b"\x1f\x8b", "gzip within gzip", "Undo one layer: gunzip FILE"),
    (b"PAR1", "a Parquet table", "Save it as CSV or JSON Lines."),
    (b"\x89PNG", "a picture", _RIS),
    (b"\xff\xd8\xff", "a picture", _RIS),
)

_ROOTS: dict[str, tuple[str, str]] = {
    "xml": ("EndNote XML", "In EndNote choose File > Export with the output style RefMan (RIS) Export."),
    "records": ("EndNote XML", "In EndNote choose File > Export with the output style RefMan (RIS) Export."),
    "article": ("a full text in JATS or PMC XML", "Fetch the record from PubMed instead: Save, Format: PubMed."),
    "pmc-articleset": ("PMC full texts", "Fetch the records from PubMed instead: efetch -db pubmed -format xml"),
    "esearchresult": ("a list of PubMed hits without their abstracts", "Pipe it on: … | efetch -format medline"),
    "esummaryresult": ("PubMed summaries, which have no abstracts", "Fetch the records: efetch -format medline"),
    "efetchresult": ("an error message of PubMed", "Read it, and fetch the records again."),
    "error": ("an error message of PubMed", "Read it, and fetch the records again."),
    "rss": ("an RSS feed", "Save the search from the PubMed page instead: Save, Format: PubMed."),
    "feed": ("an Atom feed", "Save the search from the PubMed page instead: Save, Format: PubMed."),
    "modscollection": ("MODS XML", _RIS),
    "mods": ("MODS XML", _RIS),
}

_LINES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"\A(?:FN (?:Clarivate|Thomson|ISI)|VR 1\.0|PT [JBSP]$)", re.MULTILINE),
     "Web of Science plain text", "In Web of Science choose Export > RIS, or Tab delimited file."),
    (re.compile(r"^@(?:comment|preamble|string|[a-z]+\s*\{\s*[^\s,{}]*\s*,)", re.IGNORECASE | re.MULTILINE),
     "BibTeX", "Export as RIS: every reference manager that writes BibTeX writes RIS too."),
    (re.compile(r"\A%[0A-Z@] \S", re.MULTILINE), "EndNote's tagged format (refer)", "Export as RIS instead."),
    (re.compile(r"\A<\d+>$\s*(?:Unique Identifier|Accession Number|Title|Database)", re.MULTILINE),
     "an Ovid citation list", "In Ovid choose Export > RIS."),
    (re.compile(r"\A1[.:] .{5,400}?\b(?:19|20)\d\d\b.*^(?:PMID|DOI): ?\d", re.MULTILINE | re.DOTALL),
     "PubMed's 'Abstract (text)' or 'Summary (text)'", "Save the same search with Format: PubMed (.nbib)."),
    (re.compile(r"\A\[\s*[\[{\]]"), "one JSON array", "Write one object a line: jq -c '.[]' FILE"),
    (re.compile(r"\A\{\s*(?:\n|\Z)"), "JSON over several lines", "Write one object a line: jq -c . FILE"),
)  # fmt: skip


def refuse_binary(head: bytes, file: str) -> None:
    """Raise if `head` begins a file that is no text.

    Raises
    ------
    UnknownFormatError
        Naming what the file looks like, and what to do about it.
    """
    for magic, kind, remedy in _MAGIC:
        if head.startswith(magic):
            raise _refusal(file, kind, remedy)
    if head.startswith(b"PK\x03\x04"):
        if b"xl/" in head:
            raise _refusal(file, "an Excel workbook", "Save the sheet as CSV (UTF-8) and read that.")
        if b"word/" in head:
            raise _refusal(file, "a Word document", _RIS)
        raise _refusal(file, "a ZIP archive", _UNPACK)


def refuse_root(name: str, file: str) -> None:
    """Raise if an XML document with this root element is known to be something else than PubMed records."""
    kind, remedy = _ROOTS.get(name.casefold(), (f"XML of another kind (<{name[:40]}>)", _RIS))
    raise _refusal(file, kind, remedy)


def refuse_text(text: str, file: str) -> None:
    """Raise if `text`, without leading blank lines, begins a text format that is known but not read."""
    for pattern, kind, remedy in _LINES:
        if pattern.search(text):
            raise _refusal(file, kind, remedy)


def _refusal(file: str, kind: str, remedy: str) -> UnknownFormatError:
    return UnknownFormatError(f"{file} looks like {kind}, which exoclass does not read", remedy)
