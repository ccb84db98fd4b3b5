"""The stages of docs/paper's runs: every row and control is among them, with its seeds (two give no verdict)."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from minbert.experiments.grid import expand
from minbert.recipes import load

ROOT = Path(__file__).parents[1]


@pytest.fixture
def runs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("runs", ROOT / "docs" / "paper" / "runs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["runs"] = module
    spec.loader.exec_module(module)
    return module


def test_every_row_and_control_is_run_with_its_seeds(runs: ModuleType, tmp_path: Path, course_data: Path) -> None:
    seeds: Counter[str] = Counter()
    written = set()
    for stage in runs.stages():
        files = [ROOT / "recipes" / f"{name}.toml" for name in stage.recipes]
        cells = expand(files, tmp_path / stage.folder, stage.seeds, None, stage.overrides, course_data)
        of_stage = Counter(cell.recipe.name for cell in cells)
        if stage.folder == "tuned":
            seeds |= of_stage
        elif stage.folder == "written":
            written |= of_stage.keys()
    known = {load(file).name for part in ("paper", "controls") for file in (ROOT / "recipes" / part).glob("[!_]*.toml")}
    assert seeds.keys() == known
    main = {"PCG-200", "SUM-200", "RR-SSTFIRST-CAP600", "PCG-COSSTS-200", "SUM-COSSTS-200", "RR-SSTFIRST-COSSTS-CAP600"}
    assert {name for name, count in seeds.items() if count == 5} == main | {"SUM-200-AA"}
    twice = {name for name, count in seeds.items() if count == 2}
    assert twice == {name for name in known if name.endswith("-mean")} | {"SUM-COSSTS-MinBatches"}
    assert {seeds[name] for name in known - main - twice - {"SUM-200-AA"}} == {3}
    assert written == {load(file).name for file in (ROOT / "recipes" / "paper").glob("[!_]*.toml")}
