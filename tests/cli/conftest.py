"""What tests of several commands share: a command line run as a user would, and a trained model."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import minbert
from conftest import tiny_config, tiny_tokenizer
from minbert.bert import Bert
from minbert.cli.app import main
from minbert.cli.show import console
from minbert.pretrained import save_encoder


@dataclass
class Outcome:
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs a command line as a user would, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["minbert", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the starter data's three tasks on a tiny encoder."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    save_encoder(Bert(tiny_config()), tiny_tokenizer(folder), folder / "encoder")
    values = {"name": "tiny", "encoder": str(folder / "encoder"), "tasks": {"sst": {}, "para": {}, "sts": {}}}
    return minbert.train(values | {"training": {"max_steps": 2}}, runs=folder / "runs").folder


@pytest.fixture(autouse=True)
def fresh_consoles() -> None:
    """A console keeps the width that it first saw."""
    console.cache_clear()
