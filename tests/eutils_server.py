"""A real HTTP server on 127.0.0.1 that speaks EFetch from records in our own words, with faults at will."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

KEY = "0123456789abcdef0123456789abcdef0123"
HEAD = '<?xml version="1.0" ?>\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD" "https://dtd.nlm.nih.gov/pubmed.dtd">\n'
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
    faults
        One is taken from the left for each request; None is a good answer.
    """

    url: str
    articles: dict[str, str] = field(default_factory=dict)
    faults: deque[Fault | None] = field(default_factory=deque)
    forms: list[dict[str, str]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def hold(self, *pmids: int | str) -> None:
        """Have a plain article for each PMID."""
        self.articles |= {str(pmid): article(str(pmid)) for pmid in pmids}

    @property
    def asked(self) -> list[list[str]]:
        """The PMIDs of each request."""
        return [form["id"].split(",") for form in self.forms]


class Handler(BaseHTTPRequestHandler):
    """Answers one request, well or as the next fault says."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: two would wait for each other
    state: Server

    def do_POST(self) -> None:
        """Answer EFetch."""
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True))
        self.state.forms.append(form)
        self.state.heads.append(f"{self.requestline}\n{self.headers}")
        found = "".join(self.state.articles.get(pmid, "") for pmid in form["id"].split(","))
        body = f"{HEAD}<PubmedArticleSet>\n{found}</PubmedArticleSet>\n".encode()
        fault = self.state.faults.popleft() if self.state.faults else None
        if fault is None:
            self.answer(200, body)
        else:
            fault(self, body)

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
