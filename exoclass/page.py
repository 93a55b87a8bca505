"""An HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

from importlib.resources import files

from exoclass.markup import Html, element

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser refuses scripts and requests, whatever is inside


def page(title: str, body: Html, *styles: Html) -> str:
    """Return a whole page: the common style first, then `styles`; the same content gives the same bytes."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("meta", name="generator", content="exoclass"),
        element("title", title),
        element("style", stylesheet("exoclass", "page.css"), *styles),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def stylesheet(package: str, name: str) -> Html:
    """Return a stylesheet that lies in a package of ours."""
    return Html(files(package).joinpath(name).read_text(encoding="utf-8"))
