"""Steps shared out between real processes: the same results in the same order, whatever becomes of a helper."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from conftest import clean_environment

from exoclass.processes import Step, available, shared, side_by_side

HERE = os.getpid()
PARALLEL = [1, 2, 3, 9]


def steps(*works: Callable[[], int]) -> list[Step[int]]:
    return [Step(f"step {number}", work) for number, work in enumerate(works)]


def square(number: int) -> Callable[[], int]:
    return lambda: number * number


@pytest.mark.parametrize("workers", PARALLEL)
def test_results_and_lines_are_in_order(workers: int) -> None:
    told: list[str] = []
    assert shared(steps(*map(square, range(5))), workers=workers, progress=told.append) == [0, 1, 4, 9, 16]
    assert told == [f"step {number}" for number in range(5)]


def test_nothing_to_do() -> None:
    assert shared([], workers=2) == []


def test_helpers_are_other_processes_and_gone_afterwards() -> None:
    pids = shared(steps(os.getpid, os.getpid, os.getpid), workers=3)
    assert pids[0] == HERE
    assert len(set(pids)) == 3
    for pid in pids[1:]:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("workers", PARALLEL)
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_error_is_raised_here_wherever_it_happened(workers: int, bad: int) -> None:
    def fail() -> int:
        raise ValueError("too bad")

    works = [square(number) for number in range(4)]
    works[bad] = fail
    with pytest.raises(ValueError, match="too bad"):
        shared(steps(*works), workers=workers)


def test_what_a_killed_helper_leaves_is_done_here() -> None:
    def die_elsewhere() -> int:
        if os.getpid() != HERE:
            os.kill(os.getpid(), signal.SIGKILL)
        return 7

    assert shared(steps(square(2), die_elsewhere, square(3), die_elsewhere), workers=2) == [4, 7, 9, 7]


def test_more_than_a_pipe_holds_comes_back() -> None:
    big = [Step("big", lambda: b"x" * 3_000_000), Step("big", lambda: b"y" * 3_000_000)]
    assert [len(found) for found in shared(big, workers=2)] == [3_000_000, 3_000_000]


def test_a_process_with_threads_is_not_copied() -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    assert available() == 1
    release.set()
    thread.join()


def test_a_process_of_one_thread_uses_all_processors_it_may() -> None:
    code = "import os; from exoclass.processes import available; print(available() == len(os.sched_getaffinity(0)))"
    done = subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True, encoding="utf-8")
    assert done.stdout == "True\n", done.stderr


def test_a_helper_dies_with_the_process_that_asked() -> None:
    code = """
import os, signal
from exoclass.processes import Step, shared
def wait():
    print(os.getpid(), flush=True)
    signal.pause()
shared([Step("", wait)] * 3, workers=3)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], env=clean_environment(), stdout=subprocess.PIPE, encoding="utf-8"
    ) as asking:
        assert asking.stdout is not None
        pids = {int(asking.stdout.readline()) for _ in range(3)}
        assert asking.pid in pids
        asking.kill()
        assert asking.stdout.read() == ""  # ends when the last of them is gone


def test_threads_give_results_in_the_order_of_the_items() -> None:
    threads: set[int] = set()

    def slow_at_first(number: int) -> int:
        threads.add(threading.get_ident())
        return sum(range((50 - number) * 2_000)) and number

    assert side_by_side(slow_at_first, range(50)) == list(range(50))
    assert threading.get_ident() not in threads
