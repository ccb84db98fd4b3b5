"""Signals to a real process that trains: the first one saves and says how to go on, the second one ends it at once."""

import contextlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minbert.files import one_writer
from minbert.recipes import load
from minbert.runs import Run
from tiny import ENVIRONMENT, PROGRAM, with_training

# A program whose first update hardly ends; it says when it has begun, and when it no longer waits for its end.
STUCK = """
import signal, sys, time
from minbert import training
from minbert.cli.app import main
def say(text):
    print(text, file=sys.stderr, flush=True)
def never(*arguments):
    say("in an update")
    while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        time.sleep(0.01)
    say("no longer waiting")
    time.sleep(300)
    sys.exit("the signal changed nothing")
training.update = never
main()
"""


@pytest.fixture
def words(values: dict[str, object], tmp_path: Path) -> list[str]:
    """The words after `train`, of a run that would take days."""
    endless = with_training(values, max_steps=10**7, epochs=10**7, evaluate_every=10**6)
    (tmp_path / "tiny.toml").write_text(load(endless).to_toml(), encoding="utf-8")
    return [str(tmp_path / "tiny.toml"), "--runs", str(tmp_path / "runs")]


@contextlib.contextmanager
def running(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_records(process: subprocess.Popen[str], file: Path, more_than: int) -> None:
    while process.poll() is None and (file.stat().st_size if file.exists() else 0) <= more_than:
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_prints_the_command_that_goes_on(words: list[str], tmp_path: Path, number: int) -> None:
    run, command, before = Run(tmp_path / "runs" / "tiny"), [*PROGRAM, "train", *words], -1
    metrics = run.folder / "metrics.jsonl"
    for _ in range(2):  # the run, and the run gone on with by the command that was printed
        with running(command) as process:
            wait_for_records(process, metrics, metrics.stat().st_size if metrics.exists() else 0)
            process.send_signal(number)
            out, errors = process.communicate(timeout=120)
        step = run.progress().step
        assert (process.returncode, out) == (130, ""), errors
        assert f"interrupted: step {step} of {10**7} is saved; go on with\n" in errors
        assert "Traceback" not in errors
        assert step == max(record["step"] for record in run.records()) > before
        command, before = shlex.split(errors.splitlines()[-1]), step
        assert command == ["minbert", "train", *words, "--resume"]


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(words: list[str], tmp_path: Path, first: int, second: int, code: int) -> None:
    """Without the update at hand; what was saved before it is whole, and nobody holds the folder."""
    seen = []
    with running([sys.executable, "-c", STUCK, "train", *words]) as process:
        assert process.stderr is not None
        for line in process.stderr:
            seen.append(line)
            if line in ("in an update\n", "no longer waiting\n"):
                process.send_signal(first if line.startswith("in") else second)
        process.wait(timeout=120)
    assert process.returncode == code, seen
    assert "stopping after this step; once more to stop at once\n" in seen
    assert "Traceback" not in "".join(seen)
    run = Run(tmp_path / "runs" / "tiny")
    assert [record["step"] for record in run.records()] == [0]
    assert run.progress().evaluated_at == 0
    with one_writer(run.folder):
        pass
