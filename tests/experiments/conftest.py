"""An experiment that is done: two recipes with three seeds each."""

from pathlib import Path

import pytest

from minbert.experiments.grid import expand
from minbert.training import begin, records


@pytest.fixture
def runs(recipes: Path, tmp_path: Path) -> Path:
    """The folder of the complete runs PCG and SUM, three seeds each."""
    folder = tmp_path / "runs"
    for cell in expand([recipes], folder, seeds=3):
        for _ in records(begin(cell.recipe, cell.folder)):
            pass
    return folder
