"""Cells -> complete runs: each in a process of its own, a few at a time, with what happens told as it happens."""

import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Literal

from minbert.errors import MinbertError
from minbert.experiments.grid import Cell

SECONDS_BETWEEN_STEPS = 0.5  # told of by a run at most so often
SPAWN = multiprocessing.get_context("spawn")  # a forked torch may hang


@dataclass(frozen=True)
class News:
    """What a run tells: `begun`, `step` with how far it is, and how it ended: `done`, `stopped` or `failed`.

    A failure has its reason; `is_ours` says that it is a fault of the program and not of recipe or data.
    """

    cell: Cell
    kind: Literal["begun", "step", "done", "stopped", "failed"]
    step: int = 0
    last_step: int = 0
    seconds: float = 0.0
    reason: str = ""
    is_ours: bool = False


@dataclass(frozen=True)
class Worker:
    """A run's process, and the end of the pipe on which it tells its news."""

    cell: Cell
    process: SpawnProcess
    news: "Connection[None, News]"


def threads(jobs: int) -> int:
    """Threads for each of so many runs at once: together they use every core once."""
    return max(1, (os.cpu_count() or 1) // jobs)


def run_cells(
    cells: Sequence[Cell], jobs: int, skip_bad_rows: bool, stopping: Callable[[], bool] = lambda: False
) -> Iterator[News]:
    """Trains every cell that is not complete, at most `jobs` at once, and yields their news.

    A run that fails is told of and the others go on. Once `stopping` is true no run is begun, and those under way
    save their state and end.
    """
    waiting, working = [cell for cell in cells if cell.condition != "complete"][::-1], list[Worker]()
    for cell in cells:
        if cell.condition == "complete":
            cell.run.prune(cell.keeps_weights)  # a kill may have come before
    stop = SPAWN.Event()
    try:
        while waiting or working:
            if stopping():
                stop.set()
                waiting.clear()
            while waiting and len(working) < jobs:
                working.append(_start(waiting.pop(), threads(jobs), skip_bad_rows, stop))
                yield News(working[-1].cell, "begun")
            for worker in _heard(working):
                news = _receive(worker)
                if news.kind in ("done", "stopped", "failed"):
                    worker.process.join()
                    working.remove(worker)
                yield news
    finally:
        for worker in working:
            worker.process.terminate()


def _start(cell: Cell, threads: int, skip_bad_rows: bool, stop: Event) -> Worker:
    receiver, sender = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_work, args=(cell, threads, skip_bad_rows, stop, sender), daemon=True)
    process.start()
    sender.close()  # this side of it: when the process dies the pipe ends
    return Worker(cell, process, receiver)


def _heard(working: Sequence[Worker]) -> list[Worker]:
    """The workers that have something to tell; after half a second none, so that an interrupt is seen."""
    ready = wait([worker.news for worker in working], timeout=0.5)
    return [worker for worker in working if worker.news in ready]


def _receive(worker: Worker) -> News:
    try:
        return worker.news.recv()
    except EOFError:
        worker.process.join()
        reason = f"its process ended with code {worker.process.exitcode}; is there enough memory?"
        return News(worker.cell, "failed", reason=reason, is_ours=True)


def _work(cell: Cell, threads: int, skip_bad_rows: bool, stop: Event, news: "Connection[News, None]") -> None:
    """One run, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to every process; the first one decides
    started = time.perf_counter()
    try:
        is_done = _train(cell, threads, skip_bad_rows, stop, news)
    except MinbertError as error:
        news.send(News(cell, "failed", reason=str(error)))
    except Exception:
        news.send(News(cell, "failed", reason=traceback.format_exc(), is_ours=True))
    else:
        news.send(News(cell, "done" if is_done else "stopped", seconds=time.perf_counter() - started))


def _train(cell: Cell, threads: int, skip_bad_rows: bool, stop: Event, news: "Connection[News, None]") -> bool:
    """Whether the run came to its end; if it was to stop, its state is saved."""
    import torch

    from minbert.training import StepRecord, begin, records

    torch.set_num_threads(threads)
    parent, told = multiprocessing.parent_process(), 0.0
    session = begin(cell.recipe, cell.folder, skip_bad_rows, resume=True)
    for record in records(session):
        if stop.is_set() or (parent is not None and not parent.is_alive()):
            session.save()
            return False
        if isinstance(record, StepRecord) and time.monotonic() - told > SECONDS_BETWEEN_STEPS:
            told = time.monotonic()
            news.send(News(cell, "step", record.step, session.job.last_step))
    session.run.prune(cell.keeps_weights)
    return True
