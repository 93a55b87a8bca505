"""HTML that cannot be injected into: whatever is not markup already is escaped where it is put in."""

from __future__ import annotations

import html
import re

VOID = frozenset({"meta", "br", "hr"})

# Control characters and lone halves of surrogate pairs have no place in HTML, not even escaped.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class Html(str):
    """Text that is markup already; only `element`, `join` and a stylesheet of our own make it."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Return text as HTML; characters that HTML forbids become a replacement mark.

    >>> escape('<script> & "co"')
    '&lt;script&gt; &amp; &quot;co&quot;'
    """
    return text if isinstance(text, Html) else Html(html.escape(_FORBIDDEN.sub("\ufffd", text)))


def join(*parts: str) -> Html:
    """Return parts one after the other, each escaped unless it is markup."""
    return Html("".join(escape(part) for part in parts))


def element(name: str, /, *children: str, **attributes: str | float | None) -> Html:
    """Return an element; children and attributes are escaped.

    Parameters
    ----------
    attributes
        ``cls`` is written as "class" and "_" as "-"; numbers are rounded to two places; None is left out.

    Examples
    --------
    >>> element("p", "1 < 2", element("b", "so"), cls="note", aria_label='"', width=2.0, id=None)
    '<p class="note" aria-label="&quot;" width="2">1 &lt; 2<b>so</b></p>'
    """
    written = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in VOID else f"{join(*children)}</{name}>"
    return Html(f"<{name}{written}>{end}")


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return escape(value)
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
