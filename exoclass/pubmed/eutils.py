"""NCBI's E-utilities over HTTP: settings, rate limit, repetition, and what counts as failed.

`urllib.request` was weighed: it keeps no connection open, and a cut answer surfaces as half a dozen unrelated
exceptions. `httpx` has had no release since 2024; `httpx2` is the fork that Pydantic keeps up and that huggingface_hub
installs anyway. A library for retries was weighed too, but each repetition has to pass the limiter, which then has all
that is needed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx2

from exoclass.errors import BrokenAnswerError, PubMedError, UsageError
from exoclass.readers.normalise import excerpt

LONGEST_WAIT = 300.0
"""Seconds; a server that asks for a longer wait ends the run, which can be resumed, instead of holding it up."""

_ERROR = re.compile(rb"<ERROR>(.*?)(?:</ERROR>|\Z)", re.DOTALL | re.IGNORECASE)
_PAGE = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!doctype html|<html)", re.IGNORECASE)
_BAD_KEY = re.compile(r"api[ _-]?key[^<>]{0,20}(?:invalid|unknown)|(?:invalid|unknown)[^<>]{0,20}api[ _-]?key", re.I)


@dataclass(frozen=True, slots=True)
class EutilsSettings:
    """How to talk to the E-utilities.

    Parameters
    ----------
    base_url
        Of PubMed itself, or of a mirror.
    tool, email
        Sent with each request, as NCBI asks for.
    api_key
        Of an NCBI account; allows 10 requests a second instead of 3. It is in no message and no `repr`.
    timeout
        Seconds without any progress after which a connection is given up.
    retries
        How often a failed request is repeated.
    backoff
        Seconds before the first repetition; each further one waits twice as long.
    """

    base_url: str = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils/"
    tool: str = "exoclass"
    email: str = ""
    api_key: str = field(default="", repr=False)
    timeout: float = 60.0
    retries: int = 5
    backoff: float = 1.0

    @property
    def rate(self) -> float:
        """Requests per second that NCBI allows (NBK25497)."""
        return 10.0 if self.api_key else 3.0


class Limiter:
    """Spaces requests evenly, a tenth wider than the rate asks for; clock and sleep can be replaced in tests."""

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._spacing = 1.1 / rate
        self._clock = clock
        self._sleep = sleep
        self._next: float | None = None

    def wait(self, seconds: float = 0.0) -> None:
        """Wait `seconds`, and on until the next request may go."""
        now = self._clock()
        start = max(now + seconds, self._next if self._next is not None else now)
        if start > now:
            self._sleep(start - now)
        self._next = start + self._spacing


class Eutils:
    """The one door to the E-utilities: each request, a repeated one too, passes its limiter."""

    def __init__(
        self,
        settings: EutilsSettings,
        *,
        limiter: Limiter | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._limiter = limiter or Limiter(settings.rate)
        self._notice = notice or (lambda _: None)
        self._host = _host(settings.base_url)
        # Redirects are not followed: a form with a key in it goes to no other place.
        self._http = httpx2.Client(timeout=settings.timeout, follow_redirects=False)

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close its connections."""
        self._http.close()

    def post(
        self, utility: str, form: Mapping[str, str], *, fault: Callable[[bytes], str], retries: int | None = None
    ) -> bytes:
        """Send a form and return the body of the answer.

        Parameters
        ----------
        fault
            Says what is wrong with the body of an answer; empty text if nothing is.
        retries
            How often it is repeated, if not as often as the settings say.

        Raises
        ------
        BrokenAnswerError
            If there is an answer each time, but none that can be used.
        PubMedError
            If the request is refused, or still fails after all repetitions.
        """
        settings = self._settings
        url = f"{settings.base_url.rstrip('/')}/{utility}"
        own = {"tool": settings.tool, "email": settings.email, "api_key": settings.api_key}
        data = {**form, **{name: value for name, value in own.items() if value}}
        retries = settings.retries if retries is None else retries
        delay, kind = 0.0, PubMedError
        for attempt in range(retries + 1):
            self._limiter.wait(delay)
            delay = min(settings.backoff * 2**attempt, LONGEST_WAIT)
            try:
                answer = self._http.post(url, data=data)
            except httpx2.RequestError as error:
                problem, remedy = _network_problem(error), "Check the connection, and run it again."
                # An answer that breaks off each time may be too much to ask for; no answer at all is not.
                absent = isinstance(error, httpx2.TimeoutException | httpx2.ConnectError)
                kind = PubMedError if absent else BrokenAnswerError
            else:
                problem = self._problem(answer, fault)
                if not problem:
                    return answer.content
                remedy = self._remedy(answer)
                kind = BrokenAnswerError if answer.status_code in {200, 400} else PubMedError
                asked_for = _retry_after(answer.headers.get("Retry-After"))
                if asked_for is not None and asked_for > LONGEST_WAIT:
                    raise self._error(f"{problem} and asks to wait {asked_for:.0f} seconds", "Run it again after that.")
                delay = delay if asked_for is None else asked_for
            if attempt < retries:
                again = f"trying again in {delay:.0f} s ({attempt + 1} of {retries})"
                self._notice(f"{self._host} {problem}; {again}")
        raise kind(f"{self._host} {problem}, {retries + 1} times in a row", remedy)

    def _problem(self, answer: httpx2.Response, fault: Callable[[bytes], str]) -> str:
        """Return what is wrong with an answer if it is worth another try, empty text if nothing is wrong.

        Raises
        ------
        PubMedError
            If the request is refused for good.
        """
        status, body = answer.status_code, answer.content
        # Some of NCBI's answers repeat the key; it is taken out before anything is quoted and cut.
        safe = body.replace(self._settings.api_key.encode(), b"***") if self._settings.api_key else body
        # EFetch says 400 with an ERROR in it also when one of its own servers is down for a moment.
        as_told = status == 200 or (status == 400 and bool(_ERROR.search(body)))
        problem = (fault(body) and fault(safe)) if as_told else f"answers {status} {answer.reason_phrase}".rstrip()
        if problem and status in {200, 400, 401, 403} and _BAD_KEY.search(_words(safe)):
            raise self._error("refuses the API key", "Mend NCBI_API_KEY, or unset it: it works without, only slower.")
        if as_told or status in {408, 429} or status >= 500:
            return problem
        said = "" if _PAGE.match(body) else _words(safe)
        raise self._error(
            f"{problem}: {said}" if said else problem, "Check EXOCLASS_EUTILS_URL and NCBI_API_KEY, if you set them."
        )

    def _remedy(self, answer: httpx2.Response) -> str:
        if answer.status_code != 429:
            return "That is usually over in some minutes: run it again then."
        if self._settings.api_key:
            return "Another program may be using the same NCBI_API_KEY: run it again later."
        return "It allows 3 requests a second, and 10 with NCBI_API_KEY: run it again later."

    def _error(self, problem: str, remedy: str) -> PubMedError:
        return PubMedError(f"{self._host} {problem}", remedy)


def fault_of(body: bytes) -> str:
    """Return which failure a body tells of, whatever its status says: an ``<ERROR>``, a web page; empty text if none.

    >>> fault_of(b"<eFetchResult><ERROR>Cannot get <b>it</b></ERROR></eFetchResult>"), fault_of(b"<Set></Set>")
    ('reports "Cannot get it"', '')
    """
    if error := _ERROR.search(body):
        return f'reports "{_words(error[1])}"'
    return "sends a web page instead of data" if _PAGE.match(body) else ""


def _words(body: bytes) -> str:
    return excerpt(re.sub(r"<[^>]*>", "", body[:2000].decode("utf-8", "replace")))


def _host(base_url: str) -> str:
    """Return the name of the server, which is all that messages show of an address."""
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise UsageError("the address of the E-utilities is no web address", "Mend or unset EXOCLASS_EUTILS_URL.")
    return url.host


def _network_problem(error: httpx2.RequestError) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "does not answer in time"
    if isinstance(error, httpx2.ConnectError):
        return f"cannot be reached: {error}" if str(error) else "cannot be reached"
    return f"breaks off: {error}" if str(error) else "breaks off"


def _retry_after(value: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, given as such or as a date; None if it says nothing.

    >>> _retry_after("7"), _retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), _retry_after("soon")
    (7.0, 0.0, None)
    """
    text = (value or "").strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
