"""An experiment that is done: two recipes with three seeds each."""

import shutil
from pathlib import Path

import pytest

from conftest import encoder_in, recipes_in, values_in
from minbert.experiments.grid import expand
from minbert.training import begin, records


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, recipes and complete runs, which tests get copies of."""
    folder = tmp_path_factory.mktemp("trained")
    recipes = recipes_in(folder / "recipes", values_in(folder, encoder_in(folder / "tiny-bert")))
    for cell in expand([recipes], folder / "runs", seeds=3):
        for _ in records(begin(cell.recipe, cell.folder)):
            pass
    return folder


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """The folder of the complete runs PCG and SUM, three seeds each, beside their data, as if they were made there."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    for file in (*tmp_path.rglob("recipe.toml"), *tmp_path.rglob("environment.json"), *tmp_path.glob("recipes/*")):
        file.write_text(file.read_text(encoding="utf-8").replace(str(trained), str(tmp_path)), encoding="utf-8")
    return tmp_path / "runs"
