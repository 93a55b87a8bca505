"""Formats are recognised by content; what is near to one of them is refused with a remedy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exoclass.errors import ExoclassError, InputError, UnknownFormatError
from exoclass.readers.sniff import Format, sniff

XML = '<?xml version="1.0"?>\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD" "https://x/y.dtd">\n<!-- c -->\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (XML + "<PubmedArticleSet>", Format.PUBMED_XML),
        ("\n\n<PubmedArticle><MedlineCitation>", Format.PUBMED_XML),
        ("<PubmedBookArticleSet>", Format.PUBMED_XML),
        ("PMID- 90000001\nOWN - NLM\nTI  - Vesicles\n", Format.MEDLINE),
        ("1.\n\nPMID- 90000001\nTI  - Vesicles\n", Format.MEDLINE),
        ("\n\nOWN - NLM\nTI  - Vesicles\nAB  - Text\n", Format.MEDLINE),
        ("TY  - JOUR\nTI  - Vesicles\nER  - \n", Format.RIS),
        ("TY - JOUR\nTI - Vesicles\nER -\n", Format.RIS),
        ("1. \n\nTY  - JOUR\nPMID- 1\n", Format.RIS),
        ("TI  - the head was cut off\nAB  - Text\nER  - \n", Format.RIS),
        ("Title,Abstract,DOI\nVesicles,Text,10.5555/1\n", Format.CSV),
        ("PT\tAU\tTI\tAB\tPY\nJ\tA\tVesicles\tText\t2020\n", Format.CSV),
        ("title;abstract\nVesicles;Text\n", Format.CSV),
        ("a,b,c\n1,2,3\n4,5,6\n", Format.CSV),
        ("title\nVesicles in wounds\n", Format.CSV),
        ('{"title": "Vesicles"}\n{"title": "More"}\n', Format.JSONL),
        ('oops\n{"title": "Vesicles"}\n{"title": "More"}\n', Format.JSONL),
        ("<!DOCTYPE html>\n<html><head>", Format.PAGE),
        ('<?xml version="1.0"?><!DOCTYPE html PUBLIC "a" "b"><html xmlns="x">', Format.PAGE),
        ("Skip to main page content\nVesicles\n", Format.PAGE),
        ("Vesicles heal\nAffiliations\nAbstract\nThey do.\n", Format.PAGE),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_content_tells_the_format(text: str, expected: Format, encoding: str) -> None:
    for variant in (text, text.replace("\n", "\r\n"), text.replace("\n", "\r")):
        assert sniff(variant.encode(encoding)) is expected


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        (b"PK\x03\x04\x14\0\x06\0" + b"\0" * 30 + b"xl/workbook.xml", "an Excel workbook"),
        (b"PK\x03\x04\x14\0\x06\0" + b"\0" * 30 + b"word/document.xml", "a Word document"),
        (b"PK\x03\x04\x14\0\x06\0records.ris", "a ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Word or Excel file"),
        (b"SQLite format 3\0\x10\0", "an SQLite database"),
        (b"\x1f\x8b\x08\0", "gzip within gzip"),
        (b"{\\rtf1\\ansi", "an RTF document"),
        (b"FN Clarivate Analytics Web of Science\nVR 1.0\nPT J\n", "Web of Science plain text"),
        (b"@article{muster2020,\n  title = {Vesicles}\n}", "BibTeX"),
        (b"%0 Journal Article\n%T Vesicles\n", "EndNote's tagged format"),
        (b"<?xml version='1.0'?><xml><records><record>", "EndNote XML"),
        (b"<?xml version='1.0'?><pmc-articleset><article><body>", "PMC full texts"),
        (b"<article dtd-version='1.3'><front><article-meta>", "a full text in JATS"),
        (b"<eSearchResult><Count>1</Count>", "a list of PubMed hits"),
        (b"<ERROR>API rate limit exceeded</ERROR>", "an error message of PubMed"),
        (b"<rss version='2.0'>", "an RSS feed"),
        (b"<beans/>", "XML of another kind (<beans>)"),
        (b"<1>\nUnique Identifier\n  90000001\n", "an Ovid citation list"),
        (b"1. J Made Up. 2020;1:1. doi: 10.5555/1.\n\nVesicles.\n\nPMID: 90000001\n", "'Abstract (text)'"),
        (b"[{\"title\": \"Vesicles\"}]", "one JSON array"),
        (b"{\n  \"title\": \"Vesicles\"\n}", "JSON over several lines"),
        (b"\x00\x01\x02\x03" * 20, "binary data"),
        (b"\0" * 50, "empty"),
        (b"\x1c\nno table", "none of the formats"),
        (b"Dear colleague,\nplease find no records here.\n", "none of the formats"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named_with_a_remedy(head: bytes, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        sniff(head, "thing.ris")
    assert "thing.ris" in caught.value.cause
    assert kind in caught.value.cause
    assert caught.value.remedy
    assert isinstance(caught.value, UnknownFormatError) or kind == "empty"


@pytest.mark.parametrize("head", [b"", b" \n\n", b"\xef\xbb\xbf", b"\xff\xfe", "\ufeff\n".encode("utf-16-le")])
def test_nothing_is_called_empty(head: bytes) -> None:
    with pytest.raises(InputError, match=r"^nothing\.txt is empty"):
        sniff(head, "nothing.txt")


@given(st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode("utf-8", "replace")))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_a_format_or_a_typed_error(head: bytes) -> None:
    try:
        assert sniff(head) in Format
    except ExoclassError as error:
        assert str(error)
