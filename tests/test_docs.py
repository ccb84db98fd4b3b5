"""What the documents promise: their examples run, their commands exist, their reference is the schema's."""

import re
import runpy
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import minbert.cli.app
from minbert.predictions import columns
from minbert.reports.source import read_source
from minbert.tasks import BUILT_IN, Task

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_python_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tour,) = blocks("python")
    code = [line for line in tour.splitlines() if line.strip()]
    assert len(code) <= 10
    exec(compile(tour, "README.md", "exec"), {})
    assert (tmp_path / "my-model" / "heads.safetensors").is_file()
    entries = [f"`{entry.name}{'/' * entry.is_dir()}`" for entry in (tmp_path / "runs" / "tour").iterdir()]
    assert "`metrics.jsonl`" in entries
    assert [entry for entry in entries if entry not in FILES] == []


@pytest.mark.parametrize(("name", "added"), [("sst", "probability_"), ("sts", "score")])
def test_the_columns_of_answers_are_those_documented(name: str, added: str) -> None:
    documented = re.findall(r"^\| `(\w+)` \|", FILES.partition("## Answers")[2].partition("## Scores")[0], re.MULTILINE)
    written = columns(Task.model_validate(BUILT_IN[name]).completed(None))
    assert any(column.startswith(added) for column in written)
    assert {re.sub("_[0-4]$", "_LABEL", column) for column in written} <= set(documented)


def test_the_readmes_recipe_is_the_examples_in_short() -> None:
    (recipe,) = blocks("toml")
    shown = {name: Task.model_validate(task) for name, task in tomllib.loads(recipe)["tasks"].items()}
    shop = tomllib.loads((ROOT / "examples" / "shop" / "shop.toml").read_text(encoding="utf-8"))["tasks"]
    assert list(shown) == list(shop)
    for name, task in shown.items():
        whole = Task.model_validate(shop[name])
        assert all(getattr(task, key) == getattr(whole, key) for key in task.model_fields_set), name


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_the_examples_commands_name_its_files_and_tasks(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    shop = tomllib.loads((ROOT / "examples" / "shop" / "shop.toml").read_text(encoding="utf-8"))["tasks"]
    assert set(re.findall(r"^(?:echo .*)?minbert \w+ .*--task ([\w-]+)", text, re.MULTILINE)) <= {*shop, *BUILT_IN}
    (init,) = re.findall(r"^minbert init (.*) --output", text, re.MULTILINE)
    named = init.split() + re.findall(r"--input ([\w.-]+)", text)
    assert [name for name in named if not (ROOT / "examples" / "shop" / name).is_file()] == []


SUBCOMMANDS = ("check", "download", "plan", "run", "status", "keep")
COMMANDS = sorted({line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines() if line.strip()})
OF_PAGES = sorted(
    {
        line
        for page in [*PAGES, *(ROOT / "examples").rglob("*.md")]
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
        if re.match(r"(echo .*\| )?minbert ", line)
    }
)


@pytest.mark.parametrize("line", OF_PAGES)
def test_every_command_of_a_page_exists_with_its_options(line: str) -> None:
    words = shlex.split(line.partition(" | ")[2] or line, comments=True)
    words = words[: words.index(">")] if ">" in words else words
    assert words.pop(0) == "minbert"
    command = [words.pop(0)] + ([words.pop(0)] if words[0] in SUBCOMMANDS else [])
    shown = CliRunner().invoke(minbert.cli.app.app, [*command, "--help"], env={"COLUMNS": "200"}).output
    for option in (word for word in words if word.startswith("--")):
        assert option in shown, f"{' '.join(command)} has no {option}"


def test_the_readme_names_the_two_commands_of_dev() -> None:
    dev = runpy.run_path(str(ROOT / "dev"))
    assert (
        {line.split()[1] for line in COMMANDS if line.startswith("./dev")} == {"demo", "test"} <= set(dev["COMMANDS"])
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("name", ["recipes.md", "claims.md"])
def test_the_reference_is_the_schema(name: str) -> None:
    written = runpy.run_path(str(ROOT / "docs" / "reference.py"))["DOCUMENTS"][name]
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == written(), (
        "the schema changed: python docs/reference.py"
    )


def test_every_key_of_a_source_is_described_and_its_example_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert not re.findall(r"^\| `.*\|  \|$", text, re.MULTILINE)
    (shown,) = re.findall(r"```toml\n(.+?)```", text, re.DOTALL)
    (tmp_path / "claims.toml").write_text(shown, encoding="utf-8")
    assert [claim.name for claim in read_source(tmp_path / "claims.toml").claims] == ["surgery-helps", "no-price"]
