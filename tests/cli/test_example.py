"""The worked example: its page's commands run in its folder, and its recipe is what `init` proposes for its files."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.conftest import Command

SHOP = Path(__file__).parents[2] / "examples" / "shop"
PAGE = (SHOP / "README.md").read_text(encoding="utf-8")


def lines() -> Iterator[tuple[list[str], str]]:
    """The page's commands in words, each with what its standard input is."""
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            before, _, called = line.rpartition("|")
            yield shlex.split(called)[1:], shlex.split(before)[1] if before else ""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for file in SHOP.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return tmp_path


def test_every_command_of_the_page_runs(shop: Path, command: Command, tiny_encoder: Path) -> None:
    """With a tiny encoder in place of the built-in one."""
    few = ["--set", f"encoder={tiny_encoder}", "--set", "training.max_steps=2"]
    more = {"train": few, "sharing": few, "data": ["--encoder", str(tiny_encoder)]}
    for words, stdin in lines():
        done = command(*words, *more.get(words[0], []), stdin=stdin)
        assert done.code == 0, (words, done.err)
    assert (shop / "shop.toml").read_text(encoding="utf-8") == (SHOP / "shop.toml").read_text(encoding="utf-8")
    assert len((shop / "answered.csv").read_text(encoding="utf-8").splitlines()) == 9


def test_the_commands_that_another_page_runs_in_this_folder_run(
    shop: Path, command: Command, tiny_encoder: Path
) -> None:
    page = (SHOP.parents[1] / "docs" / "own-tasks.md").read_text(encoding="utf-8")
    found = re.findall(r"`minbert (train shop\.toml[^`]*)`", page)
    assert len(found) == 2
    few = ["--set", f"encoder={tiny_encoder}", "--set", "training.max_steps=2"]
    for words in found:
        done = command(*shlex.split(words), *few, "--force")
        assert done.code == 0, done.err


def test_the_page_counts_its_files_rows() -> None:
    for name, rows in re.findall(r"`([\w-]+\.\w+)`(?=[^|]*\|\s*([\d, ]+)\|)", PAGE):
        counted = len((SHOP / name).read_text(encoding="utf-8").splitlines()) - (not name.endswith("jsonl"))
        assert str(counted) in rows.replace(" ", "").split(","), name


@pytest.mark.slow
def test_the_example_learns_its_three_tasks(shop: Path, command: Command) -> None:
    """With the built-in encoder, as the page has it: every task is better than one constant answer could be."""
    for words, _ in list(lines())[:3]:
        assert command(*words).code == 0
    found = json.loads(command("evaluate", "runs/shop", "--json").out)["tasks"]
    assert found["mood"]["interval"][0] > found["mood"]["always_one_answer"]
    assert found["duplicates"]["interval"][0] > found["duplicates"]["always_one_answer"]
    assert found["answers"]["interval"][0] > 0
