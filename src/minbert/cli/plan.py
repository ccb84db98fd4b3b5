"""What an experiment would take and could show, as `minbert experiment plan` prints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from minbert.errors import counted, near, several

if TYPE_CHECKING:
    from rich.table import Table

    from minbert.experiments.grid import Cell
    from minbert.experiments.timing import Estimate, Stopwatch


def show_plan(
    cells: Sequence[Cell], estimates: Mapping[str, Estimate], seeds: int, jobs: int, watch: Stopwatch
) -> None:
    """Prints what one run of each recipe takes, what all take, and how small a difference could show."""
    from minbert.cli.show import results

    results.print(_plan_table(list(estimates.values())))
    results.print(_whole_plan(cells, estimates, jobs, watch), soft_wrap=True)
    if len(estimates) > 1:
        _show_differences(list(estimates.values()), seeds)


def _plan_table(estimates: Sequence[Estimate]) -> Table:
    from minbert.cli.show import table

    tasks = list(dict.fromkeys(task for e in estimates for task in e.passes))
    rows = []
    for e in estimates:
        passes = [f"{e.passes[task]:.2f}" if task in e.passes else "" for task in tasks]
        rows.append([e.recipe.name, f"{e.updates:,}", *passes, f"{e.seconds / 60:.1f}", _gigabytes(e.kept)])
    columns = ("recipe", "updates", *(f"passes\n{task}" for task in tasks), "minutes", "GB\nkept")
    return table("One run of each recipe", columns, rows)


def _whole_plan(cells: Sequence[Cell], estimates: Mapping[str, Estimate], jobs: int, watch: Stopwatch) -> str:
    """Hours and disk of all runs together, of what of them is left to do, and of the largest moment."""
    from minbert.cli.show import duration

    left = [cell for cell in cells if cell.condition != "complete"]
    of_all = [estimates[cell.recipe.name] for cell in cells]
    of_left = [estimates[cell.recipe.name] for cell in left]
    shares = [1 - cell.progress.step / max(1, e.updates) for cell, e in zip(left, of_left, strict=True)]
    whole = watch.together([e.seconds for e in of_all], jobs)
    rest = watch.together([share * e.seconds for share, e in zip(shares, of_left, strict=True)], jobs)
    kept = sum(estimates[c.recipe.name].kept if c.keeps_weights else estimates[c.recipe.name].answers for c in cells)
    peak = kept + jobs * max(estimate.peak for estimate in estimates.values())
    return (
        f"{counted(len(cells), 'run')}: {duration(whole)} in all, {duration(rest)} for {len(left)} not "
        f"complete yet ({jobs} at once); {_gigabytes(kept)} GB of disk in the end, {_gigabytes(peak)} GB on the way"
    )


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f}"


def _show_differences(estimates: Sequence[Estimate], seeds: int) -> None:
    """The smallest difference between two recipes that could show, and in what a control differs from its partner."""
    from minbert.cli.show import results
    from minbert.comparison import SEEDS_NEEDED

    if seeds < SEEDS_NEEDED:
        results.print(
            f"below {SEEDS_NEEDED} seeds a recipe no difference between two of them can be judged; pass --seeds "
            f"{SEEDS_NEEDED} or more to see how small a one could show",
        )
        return
    results.print()
    results.print(_difference_table(estimates, seeds))
    results.print(_difference_note())
    names = {estimate.recipe.name for estimate in estimates}
    for recipe in (estimate.recipe for estimate in estimates):
        if recipe.control is not None:
            there = recipe.control.of in names
            beside = "" if there else f", which is not among these recipes{near(recipe.control.of, sorted(names))}"
            results.print(f"{recipe.name} is {recipe.control.of} but for {recipe.control.key}{beside}")


def _difference_table(estimates: Sequence[Estimate], seeds: int) -> Table:
    """How small a difference between two recipes could show; before any run it depends on dev's size alone."""
    from minbert.cli.show import number, table
    from minbert.experiments.power import smallest_visible_difference

    recipes_of: dict[tuple[tuple[str, str, int], ...], list[str]] = {}
    for estimate in estimates:
        tasks = estimate.recipe.tasks
        sizes = tuple((name, tasks[name].metric or "", rows) for name, rows in estimate.dev_rows.items())
        recipes_of.setdefault(sizes, []).append(estimate.recipe.name)

    def visible(scores: Sequence[tuple[str, int]], family: int) -> str:
        difference = smallest_visible_difference(scores, seeds, family)
        return "unknown" if difference is None else number(difference)

    columns = list(dict.fromkeys(name for sizes in recipes_of for name, *_ in sizes))
    rows = []
    for sizes, names in recipes_of.items():
        scores = {name: (metric, examples) for name, metric, examples in sizes}
        family = len(scores) + (len(scores) > 1)  # of one comparison: every task, and the sum
        cells = [visible([scores[name]], family) if name in scores else "" for name in columns]
        group = several(names, 3) if len(recipes_of) > 1 else f"any two of {counted(len(names), 'recipe')}"
        rows.append([group, *cells, visible(list(scores.values()), family)])
    return table("Smallest visible difference on dev", ("between", *columns, "sum"), rows)


def _difference_note() -> str:
    from minbert.experiments.power import ASSUMED_ACCURACY, ASSUMED_CORRELATION, RENEWED

    turned = 2 * RENEWED * ASSUMED_ACCURACY * (1 - ASSUMED_ACCURACY)
    return (
        "A true difference of this size is found 4 times in 5, among the scores of one comparison. "
        f"Assumed: accuracies of {ASSUMED_ACCURACY} and "
        f"correlations of {ASSUMED_CORRELATION} (with better ones smaller differences show), that another seed turns "
        f"{turned:.0%} of the answers from right to wrong or back, as it does for sentiment in five classes, and that "
        "two recipes differ as two seeds do: runs of a seed are compared with each other, and the more alike these "
        "are, the smaller a difference shows."
    )
