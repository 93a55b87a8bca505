"""How a speed is measured, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

from exoclass.errors import ModelError
from exoclass.processes import processors

_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast something went.

    Parameters
    ----------
    per_second
        Abstracts per second, by the median of `seconds`.
    seconds
        What each repeat took.
    cores_busy
        CPU time over elapsed time, median: how many threads really ran at once. For work of one thread, less than one
        says that the machine was busy with something else.
    """

    per_second: float
    seconds: tuple[float, ...]
    cores_busy: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured; `load` is the number of busy processes over the minute before."""

    cpu: str
    cores: int
    usable_cores: int
    load: float
    system: str
    python: str
    packages: dict[str, str | None]


def timed(work: Callable[[], int], n: int) -> tuple[float, float]:
    """Return elapsed and CPU seconds of work that says how many abstracts it tagged."""
    start, used = time.perf_counter(), time.process_time()
    tagged = work()
    taken = time.perf_counter() - start, time.process_time() - used
    check_count(tagged, n)
    return taken


def check_count(tagged: int, n: int) -> None:
    """Raise `ModelError` unless as many abstracts were tagged as were given."""
    if tagged != n:
        raise ModelError(f"{tagged:,} of {n:,} records were tagged, so the speed means nothing", "Use other records.")


def speed_of(runs: Sequence[tuple[float, float]], n: int) -> Speed:
    """Return the speed by the elapsed and CPU seconds of some runs over `n` abstracts."""
    elapsed = [seconds for seconds, _ in runs]
    busy = median(used / seconds for seconds, used in runs)
    return Speed(round(n / median(elapsed), 2), tuple(round(seconds, 6) for seconds in elapsed), round(busy, 2))


def describe_machine() -> Machine:
    """Return processor, cores, load and versions."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        usable_cores=processors(),
        load=round(os.getloadavg()[0], 2),
        system=platform.platform(),
        python=platform.python_version(),
        packages={package: _version(package) for package in _PACKAGES},
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
