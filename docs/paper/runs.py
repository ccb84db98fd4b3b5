"""The runs behind docs/paper, stage after stage, from where they were stopped, and then the report on them.

    ./dev paper --data DATA --runs RUNS

Days of computing on two cores. The stages that answer the main question come first. Stopped at any time, the same
command goes on; what is complete is kept in results/, and a run that results/ holds is not done again, wherever it was
done: where all are there, the report is all that is made.
"""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
RECIPES, RESULTS = HERE.parents[1] / "recipes", HERE / "results"
RATE = "3e-5"  # of the encoder in all tuned runs: the best sum of RATES on rows held back for this choice alone
RATES = ("3e-5", "1e-4", "2e-4")
HELD_BACK = ("tasks.sst.holdout=1000", "tasks.para.holdout=1000", "tasks.sts.holdout=1000")
SELDOM = "training.checkpoint_every=1000"  # every evaluation saves the state besides
MAIN = ("paper/pcg-200", "controls/sum-200", "controls/rr-sstfirst-cap600")
MAIN += ("paper/pcg-cossts-200", "controls/sum-cossts-200", "controls/rr-sstfirst-cossts-cap600")
FINAL = "paper/pcgrad-cossts-minbatches"  # the row that the paper's error analysis is about
TWICE = (FINAL, "controls/sum-cossts-minbatches")


def tuned(rate: str) -> tuple[str, ...]:
    """What makes the paper's recipes suit this encoder, the same for all rows: heads higher, warm-up, decay."""
    return (f"optimizer.lr={rate}", "optimizer.head_lr=1e-3", "optimizer.warmup=0.1", "optimizer.decay=linear", SELDOM)


def others() -> list[str]:
    """Every recipe of the paper's table and every control that stands neither in MAIN nor among those done twice."""
    names = [name for folder in ("paper", "controls") for name in recipes_in(folder)]
    return [name for name in names if name not in (*MAIN, *TWICE) and not name.endswith(("-mean", "-aa"))]


def recipes_in(folder: str) -> list[str]:
    return sorted(f"{folder}/{file.stem}" for file in (RECIPES / folder).glob("[!_]*.toml"))


@dataclass(frozen=True)
class Stage:
    """Recipes with a number of seeds and changed keys, whose runs stand in one folder."""

    folder: str
    seeds: int
    recipes: tuple[str, ...]
    overrides: tuple[str, ...] = ()


def stages() -> list[Stage]:
    means = [name for name in recipes_in("controls") if name.endswith("-mean")]
    rows = tuple(others())
    of_rate = [Stage(f"rate-{rate}", 1, ("controls/sum-cossts-200",), (*tuned(rate), *HELD_BACK)) for rate in RATES]
    return [
        *of_rate,
        Stage("tuned", 1, MAIN, tuned(RATE)),
        Stage("tuned", 1, (*rows, *TWICE), tuned(RATE)),
        Stage("tuned", 3, MAIN, tuned(RATE)),
        Stage("written", 1, tuple(recipes_in("paper")), (SELDOM,)),
        Stage("tuned", 5, MAIN, tuned(RATE)),
        Stage("tuned", 3, (*rows, FINAL), tuned(RATE)),
        Stage("tuned", 2, (*TWICE, *means), tuned(RATE)),
        Stage("tuned", 5, ("controls/sum-200-aa",), tuned(RATE)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with the course's files")
    parser.add_argument("--runs", required=True, type=Path, help="folder for the runs, outside the checkout")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at once, each with its share of cores"
    )
    options = parser.parse_args()
    for stage in stages():
        recipes = [str(RECIPES / f"{name}.toml") for name in stage.recipes]
        words = ["experiment", "run", *recipes, "--seeds", str(stage.seeds), "--jobs", str(options.jobs)]
        words += ["--data", options.data, "--skip-bad-rows", "--runs", str(options.runs / stage.folder)]
        words += [word for key in stage.overrides for word in ("--set", key)] + ["--results", str(RESULTS)]
        minbert(words)
    source = HERE.parents[1] / "claims" / "paper.toml"
    where = ["--data", options.data, "--output", str(HERE), "--force"]
    minbert(["report", str(RESULTS), "--source", str(source), "--no-text", *where])


def minbert(words: list[str]) -> None:
    """Runs a command of minbert, and ends where it fails."""
    if code := subprocess.call([sys.executable, "-m", "minbert.cli.app", *words]):
        sys.exit(code)


if __name__ == "__main__":
    main()
