"""Independent steps shared out between processors: by copies of this process, or by threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """Something to do, and one line that says so."""

    line: str
    work: Callable[[], T]


def available() -> int:
    """Return how many processes can work at once: one where a process cannot be copied safely.

    A copy has the thread that asked for it only, so that a lock another one holds would never be released.
    """
    if "fork" not in multiprocessing.get_all_start_methods() or threading.active_count() > 1:
        return 1
    return processors() if hasattr(os, "sched_getaffinity") else 1


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(steps: Sequence[Step[T]], *, workers: int, progress: Callable[[str], None] = lambda _: None) -> list[T]:
    """Do all steps and return what they return, in order; the first error of any is raised.

    Parameters
    ----------
    workers
        Processes to use, this one among them. What a copy changes is lost but for what its steps return.
    progress
        Called with the line of each step, in order.
    """
    workers = max(1, min(workers, len(steps)))
    results: list[Any] = [None] * len(steps)
    life = multiprocessing.Pipe(duplex=False)  # nothing is ever sent: it ends when this process does
    helpers = [_start([step.work for step in steps[k::workers]], life) for k in range(1, workers)]
    try:
        for first in range(0, len(steps), workers):
            for step in steps[first : first + workers]:  # the helpers begin theirs about now
                progress(step.line)
            results[first] = steps[first].work()
        for k, (_, receiver) in enumerate(helpers, start=1):
            try:
                done, error = receiver.recv()
            except EOFError:  # it was killed, for want of memory perhaps
                done, error = [step.work() for step in steps[k::workers]], None
            if error is not None:
                raise error
            results[k::workers] = done
    finally:
        for process, receiver in helpers:
            receiver.close()
            process.terminate()
            process.join()
        for end in life:
            end.close()
    return results


def side_by_side(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Return what a function returns for each item, in order; a thread on each processor calls it.

    For work that lets go of Python's lock. Batches that ONNX Runtime reads beside each other are a quarter more texts a
    second than batches that all threads read one after the other.
    """
    with ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(work, items))


def _start(
    works: list[Callable[[], Any]], life: tuple[Connection, Connection]
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_help, args=(works, life, receiver, sender), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 counts the idle threads of BLAS
        process.start()
    sender.close()
    return process, receiver


def _help(
    works: list[Callable[[], Any]], life: tuple[Connection, Connection], receiver: Connection, sender: Connection
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that is waited for answers Ctrl-C, and ends this one
    receiver.close()
    life[1].close()
    threading.Thread(target=_die_with, args=(life[0],), daemon=True).start()
    try:
        answer: tuple[list[Any], Exception | None] = ([work() for work in works], None)
    except Exception as error:  # noqa: BLE001 - handed over to be raised there
        answer = ([], error)
    with suppress(OSError):  # nobody waits any more
        sender.send(answer)


def _die_with(other: Connection) -> None:
    """Wait until the process that asked is gone; a helper that outlived it would hold its locks and its terminal."""
    with suppress(EOFError, OSError):
        other.recv()
    os.kill(os.getpid(), signal.SIGKILL)
