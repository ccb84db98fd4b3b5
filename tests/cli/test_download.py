"""`minbert data download` as a user meets it: what it prints, and that the other commands take what it writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from cli.conftest import Command
from hub_server import Hub, played
from minbert.prepare.download import ORIGINALS
from minbert.tasks import BUILT_IN
from originals import expect, ids_of, publish


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The hub with the three originals, a few rows of each, and an empty cache."""
    expect(monkeypatch)
    monkeypatch.setenv("COLUMNS", "160")
    with played(tmp_path / "hub", monkeypatch) as server:
        publish(server, tmp_path)
        yield server


def test_what_is_downloaded_is_checked_trained_on_and_answered(hub: Hub, command: Command, tiny_encoder: Path) -> None:
    done = command("data", "download")
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["data/ids-sst-train.csv", "5", "0"] in lines
    assert ["data/sts-test-student.csv", "2", "0"] in lines
    for task, original in ORIGINALS.items():
        assert f"{task}: {original.repository} on the hub. {original.terms}." in done.out.splitlines()
    assert done.err.splitlines()[:-1] == [
        "fetching the data set SetFit/sst5 from the hub",
        "fetching the data set nyu-mll/glue from the hub",
    ]
    assert done.err.splitlines()[-1].endswith("minbert data check data")

    checked = command("data", "check", "data", "--encoder", tiny_encoder)
    assert checked.code == 0, checked.err
    assert "Train would refuse nothing." in checked.out

    Path("r.toml").write_text(f"encoder = '{tiny_encoder}'\n[tasks.sst]\n[tasks.para]\n[tasks.sts]\n")
    trained = command("train", "r.toml", "--data", "data", "--set", "training.max_steps=2")
    assert trained.code == 0, trained.err
    for task, rows in (("sst", 3), ("sts", 2)):
        answers = Path(f"runs/r/predictions/{task}-test-output.csv").read_text().splitlines()[1:]
        ids = ids_of(Path("data") / BUILT_IN[task]["test"])
        assert [answer.split()[0] for answer in answers] == ids
        assert len(answers) == rows
    assert not Path("runs/r/predictions/para-test-output.csv").exists()


def test_one_task_alone_into_another_folder(hub: Hub, command: Command) -> None:
    assert command("data", "download", "sts", "--output", "here/there").code == 0
    names = sorted(file.name for file in Path("here/there").iterdir())
    assert names == ["sts-dev.csv", "sts-test-student.csv", "sts-train.csv"]
    assert not any("qqp" in asked.path or "sst5" in asked.path for asked in hub.asked)


def test_what_cannot_be_done_is_one_sentence_and_exit_code_2(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = command("data", "download", "cfimdb")
    assert unknown.code == 2
    assert unknown.err == "error: there is no public original of 'cfimdb'; take sst, para, sts\n"

    assert command("data", "download", "sst").code == 0
    again = command("data", "download")
    assert again.code == 2
    assert again.err.startswith("error: data/ids-sst-train.csv exists already; --force replaces it, ")
    assert command("data", "download", "sst", "--force").code == 0

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    offline = command("data", "download", "sts")
    assert offline.code == 2
    assert offline.err.startswith("error: data set 'nyu-mll/glue' cannot be fetched: HF_HUB_OFFLINE is set, and the ")
    assert offline.err.count("\n") == 1
    assert command("data", "download", "sst", "--output", "cached").code == 0
