"""Cells -> complete runs: in processes apart from this one, a few at a time, with news of them as they go on."""

import contextlib
import multiprocessing
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Any, Literal

from minbert.errors import MinbertError
from minbert.experiments.grid import Cell
from minbert.kernels import Kernels, measure, share_of_threads

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


@dataclass
class Worker:
    """A process that trains one cell after another: it is sent cells and sends news, until the pipe ends."""

    process: SpawnProcess
    pipe: "Connection[Cell, News]"
    cell: Cell | None = None


def run_cells(
    cells: Sequence[Cell], jobs: int, skip_bad_rows: bool, stopping: Callable[[], bool] = lambda: False
) -> Iterator[News]:
    """Trains every cell that is not complete, at most `jobs` at once, and yields their news.

    All compute with the same kernels: those of a run that is begun already, or else the fastest. A run that fails is
    told of and the others go on. Once `stopping` is true no run is begun, and those under way save their state and end.
    """
    kernels = kernels_for(cells, jobs)
    waiting = deque(cell for cell in cells if cell.condition != "complete")
    for cell in cells:
        if cell.condition == "complete":
            cell.run.prune(cell.keeps_weights)  # a kill may have come before
    stop, workers = SPAWN.Event(), list[Worker]()
    try:
        while waiting or any(worker.cell for worker in workers):
            if stopping():
                stop.set()
                waiting.clear()
            if waiting and len(workers) < jobs:
                workers.append(_hire(kernels, skip_bad_rows, stop))
            for worker in workers:
                if worker.cell is None and waiting and _sent(worker.pipe, waiting[0]):
                    worker.cell = waiting.popleft()
                    yield News(worker.cell, "begun")
            for worker in _heard(workers):
                yield _receive(worker)
            workers = [worker for worker in workers if worker.process.is_alive() or worker.cell]
    finally:
        for worker in workers:
            worker.process.kill()


def kernels_for(cells: Sequence[Cell], jobs: int) -> Kernels:
    """The kernels of the first run that was begun, so that all of an experiment have the same; else the fastest."""
    for cell in cells:
        if cell.run.is_begun and (begun := cell.run.kernels()):
            return replace(begun, threads=share_of_threads(jobs))
    return measure(jobs)


def _hire(kernels: Kernels, skip_bad_rows: bool, stop: Event) -> Worker:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_work, args=(kernels, skip_bad_rows, stop, theirs), daemon=True)
    with _without_signals():
        process.start()
    theirs.close()  # on this side: when the process dies the pipe ends
    return Worker(process, ours)


@contextlib.contextmanager
def _without_signals() -> Iterator[None]:
    """Ignores Ctrl-C and termination inside the block, and in a process that is started there.

    A terminal or a cluster sends them to every process of a group; the first one decides, and tells the others.
    """
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _sent(pipe: "Connection[Any, Any]", message: Cell | News) -> bool:
    """Whether the other side could be told: not if its process has died."""
    try:
        pipe.send(message)
    except ConnectionError:
        return False
    return True


def _heard(workers: Sequence[Worker]) -> list[Worker]:
    """The workers that have something to tell; after half a second none, so that an interrupt is seen."""
    busy = [worker for worker in workers if worker.cell]
    ready = wait([worker.pipe for worker in busy], timeout=0.5)
    return [worker for worker in busy if worker.pipe in ready]


def _receive(worker: Worker) -> News:
    """The next piece of a worker's news; it is free after the last piece of a cell."""
    assert worker.cell is not None
    try:
        news: News = worker.pipe.recv()
    except (EOFError, OSError):  # the latter amid a message
        worker.process.join()
        reason = f"its process ended with code {worker.process.exitcode}; is there enough memory?"
        news = News(worker.cell, "failed", reason=reason, is_ours=True)
    if news.kind in ("done", "stopped", "failed"):
        worker.cell = None
    return news


def _work(kernels: Kernels, skip_bad_rows: bool, stop: Event, pipe: "Connection[News, Cell]") -> None:
    """Runs, one after another, in a process of their own, until the other side of the pipe is gone."""
    with contextlib.suppress(EOFError, ConnectionError), _without_signals():  # polars, once imported, takes Ctrl-C
        while True:
            pipe.send(_end_of(pipe.recv(), kernels, skip_bad_rows, stop, pipe))


def _end_of(cell: Cell, kernels: Kernels, skip_bad_rows: bool, stop: Event, pipe: "Connection[News, Cell]") -> News:
    """Trains a cell and says how that ended."""
    started = time.perf_counter()
    try:
        is_done = _train(cell, kernels, skip_bad_rows, stop, pipe)
    except MinbertError as error:
        failed = News(cell, "failed", reason=str(error))
    except Exception:
        failed = News(cell, "failed", reason=traceback.format_exc(), is_ours=True)
    else:
        return News(cell, "done" if is_done else "stopped", seconds=time.perf_counter() - started)
    cell.run.note_failure(failed.reason)
    return failed


def _train(cell: Cell, kernels: Kernels, skip_bad_rows: bool, stop: Event, pipe: "Connection[News, Cell]") -> bool:
    """Whether the run came to its end; if it was to stop, its state is saved."""
    from minbert.training import StepRecord, begin, records

    parent, told = multiprocessing.parent_process(), 0.0
    session = begin(cell.recipe, cell.folder, skip_bad_rows, resume=True, kernels=kernels)
    for record in records(session):
        is_alone = parent is not None and not parent.is_alive()
        if isinstance(record, StepRecord) and time.monotonic() - told > SECONDS_BETWEEN_STEPS:
            told = time.monotonic()
            is_alone |= not _sent(pipe, News(cell, "step", record.step, session.job.last_step))
        if stop.is_set() or is_alone:
            session.save()
            return False
    session.run.prune(cell.keeps_weights)
    return True
