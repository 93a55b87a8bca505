"""A real HTTP server on 127.0.0.1 that speaks ESearch and EFetch from records in our own words, with faults at will."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

KEY = "0123456789abcdef0123456789abcdef0123"
HEAD = '<?xml version="1.0" ?>\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD" "https://dtd.nlm.nih.gov/pubmed.dtd">\n'
_DAYS = re.compile(r'"([\d/]{10})"\[crdt\] : "([\d/]{10})"\[crdt\]')
_UIDS = re.compile(r"(\d+):(\d+)\[uid\]")
_UID = re.compile(r"(\d+)\[uid\]")
PAGE = b"<!DOCTYPE html>\n<html><body><h1>PubMed is being looked after</h1></body></html>"


def article(pmid: str, *, version: int = 1, title: str = "", abstract: str | None = None, more: str = "") -> str:
    """Return a synthetic article; an empty `abstract` leaves the element out."""
    text = f"Vesicles number {pmid} closed wounds of mice." if abstract is None else abstract
    element = f"<Abstract><AbstractText>{text}</AbstractText></Abstract>" if text else ""
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>'
        f"<ArticleTitle>{title or f'Vesicles, study {pmid}'}</ArticleTitle>{element}</Article>{more}"
        "</MedlineCitation></PubmedArticle>\n"
    )


@dataclass
class Server:
    """What the server holds, what it was asked, and what it is going to do wrong.

    Parameters
    ----------
    articles
        PMID to the XML that answers for it.
    created, modified
        PMID to the day on which it was added, and last changed.
    ceiling
        How many PMIDs a search delivers.
    faults
        One is taken from the left for each request; None is a good answer.
    rule
        Says once `faults` is empty what goes wrong with a request, from its form.
    """

    url: str
    articles: dict[str, str] = field(default_factory=dict)
    created: dict[str, date] = field(default_factory=dict)
    modified: dict[str, date] = field(default_factory=dict)
    ceiling: int = 9_999
    faults: deque[Fault | None] = field(default_factory=deque)
    rule: Callable[[dict[str, str]], Fault | None] = lambda _: None
    forms: list[dict[str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def hold(self, *pmids: int | str) -> None:
        """Have a plain article for each PMID."""
        self.articles |= {str(pmid): article(str(pmid)) for pmid in pmids}

    def add(self, pmid: int | str, day: date, xml: str = "", *, created: date | None = None) -> None:
        """Have an article that came, or was changed, on a day."""
        name = str(pmid)
        self.articles[name] = xml or article(name)
        self.created.setdefault(name, created or day)
        self.modified[name] = day

    def remove(self, pmid: int | str) -> None:
        """Have an article no longer."""
        for table in (self.articles, self.created, self.modified):
            table.pop(str(pmid), None)

    def hits(self, form: dict[str, str]) -> list[str]:
        """Return the PMIDs that a search finds, the newest first: what the query itself says is met by all."""
        found = list(self.articles)
        term = form["term"]
        if days := _DAYS.search(term):
            first, last = (date(*map(int, day.split("/"))) for day in days.groups())
            found = [pmid for pmid in found if first <= self.created[pmid] <= last]
        if form.get("datetype") == "mdat":
            first, last = (date(*map(int, form[name].split("/"))) for name in ("mindate", "maxdate"))
            found = [pmid for pmid in found if first <= self.modified[pmid] <= last]
        if span := _UIDS.search(term):
            found = [pmid for pmid in found if int(span[1]) <= int(pmid) <= int(span[2])]
        elif single := set(_UID.findall(term)):
            found = [pmid for pmid in found if pmid in single]
        return sorted(found, key=int, reverse=True)

    @property
    def asked(self) -> list[list[str]]:
        """The PMIDs of each request."""
        return [form["id"].split(",") for form in self.forms if "id" in form]


class Handler(BaseHTTPRequestHandler):
    """Answers one request, well or as the next fault says."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other
    state: Server

    def do_POST(self) -> None:
        """Answer ESearch and EFetch."""
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True))
        self.state.forms.append(form)
        self.state.heads.append(f"{self.requestline}\n{self.headers}")
        body = self.search(form) if "esearch" in self.path else self.fetch(form)
        fault = self.state.faults.popleft() if self.state.faults else self.state.rule(form)
        if fault is None:
            self.answer(200, body)
        else:
            fault(self, body)

    def search(self, form: dict[str, str]) -> bytes:
        """Return what ESearch says, cut at the ceiling with a warning as PubMed does."""
        found = self.state.hits(form)
        listed = found[: min(int(form["retmax"]), self.state.ceiling)]
        over = len(found) > self.state.ceiling
        warning = {"phrasesignored": [], "outputmessages": ["Restrictions achieved"] if over else []}
        result = {
            "count": str(len(found)),
            "retmax": str(len(listed)),
            "retstart": "0",
            "idlist": listed,
            "translationset": [],
            "querytranslation": f"all of\x07 {form['term'][:20]}",
            "warninglist": warning,
        }
        return json.dumps({"header": {"type": "esearch"}, "esearchresult": result}).replace("\\u0007", "\x07").encode()

    def fetch(self, form: dict[str, str]) -> bytes:
        """Return what EFetch says."""
        found = "".join(self.state.articles.get(pmid, "") for pmid in form["id"].split(","))
        return f"{HEAD}<PubmedArticleSet>\n{found}</PubmedArticleSet>\n".encode()

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, length: int = -1) -> None:
        """Send a whole answer; `length` claims another length than that of the body."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


Fault = Callable[[Handler, bytes], None]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Stay silent when a client has gone."""


def says(status: int, body: str | bytes = b"", headers: dict[str, str] | None = None) -> Fault:
    """Answer with this instead."""
    content = body.encode() if isinstance(body, str) else body
    return lambda handler, _: handler.answer(status, content, headers)


def error(text: str) -> str:
    """Return E-utilities' envelope for an error."""
    return f'<?xml version="1.0" encoding="UTF-8" ?>\n<eFetchResult>\n\t<ERROR>{text}</ERROR>\n</eFetchResult>\n'


def cut(handler: Handler, body: bytes) -> None:
    """Break the connection in the middle of what was announced."""
    handler.answer(200, body[: len(body) * 2 // 3], length=len(body))
    handler.close_connection = True


def cut_unseen(handler: Handler, body: bytes) -> None:
    """Send part of the XML as if it were all."""
    handler.answer(200, body[: len(body) * 2 // 3])


def drop(handler: Handler, _: bytes) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


def hang(handler: Handler, _: bytes) -> None:
    """Say nothing until the test is over."""
    handler.state.hanging.set()
    handler.state.released.wait()
    handler.close_connection = True


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server until the block ends."""

    class Own(Handler):
        pass

    http = _QuietServer(("127.0.0.1", 0), Own)
    state = Own.state = Server(f"http://127.0.0.1:{http.server_port}/entrez/eutils/")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        http.shutdown()
        http.server_close()
        thread.join()
