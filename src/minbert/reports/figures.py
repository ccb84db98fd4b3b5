"""Results and dev sets -> figures with captions and their numbers: scores by epoch, confusion, conflict, labels.

A group holds the results of one recipe's seeds. Lines differ in colour, dash and marker at once, so that print in black
and white tells them apart too. Letters: K classes.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from minbert import metrics
from minbert.errors import counted, shown
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Group, Groups
from minbert.files import replacing, write_text
from minbert.reports import figure_data
from minbert.reports.figure_data import METRIC_NAMES, NULL, most_seeds, of_seeds, parts

Look = dict[str, Any]  # how something is drawn, as matplotlib's keywords
WIDTH = 16 / 2.54  # inches; a page's text is 16 cm wide, so sizes in points are those that a reader sees
LINE = 92  # characters of a legend's size that fit into the width
STYLE: dict[str, Any] = {
    "font.size": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.markersize": 4,
    "svg.fonttype": "none",  # text can be searched, and is drawn in a reader's own font
    "svg.hashsalt": "minbert",  # the same figure, the same bytes
    "text.parse_math": False,  # a label may hold a dollar
}
NULL_LOOK = Look(facecolor="0.95", edgecolor="0.8", linewidth=0.6, hatch="////")
NULL_CAPTION = (
    "They conflict only where a line lies below 0 and below the grey null, hatched: the cosine between two batches of "
    "one and the same task over the whole run, from the lowest end of a task's 95 % interval to the highest"
)
FORMATS: dict[str, dict[str, Any]] = {"svg": {"metadata": {"Date": None}}, "png": {"dpi": 150}}
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito 2008
DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True, eq=False)
class Plot:
    """A figure, `name` for its files, a caption, and exactly the numbers drawn."""

    name: str
    caption: str
    figure: Figure
    data: pl.DataFrame

    def save(self, folder: Path) -> None:
        """Writes NAME.svg, NAME.png and NAME.csv. Raises RunError where that cannot be."""
        with _style():
            for suffix, options in FORMATS.items():
                with replacing(folder / f"{self.name}.{suffix}") as temporary:
                    self.figure.savefig(temporary, format=suffix, **options)
        write_text(folder / f"{self.name}.csv", self.data.write_csv())


def curves(groups: Groups) -> Plot:
    """Each task's own metric on dev at the end of every epoch, a panel a group; figure 1 of the paper."""
    data = figure_data.curves(groups)
    looks, titled = _looks(data["task"]), {title: data.filter(pl.col("group") == title) for title in groups}
    names = {task: METRIC_NAMES.get(metric, metric) for task, metric in data.select("task", "metric").iter_rows()}
    with _panels(len(groups), 1, 2.3) as (figure, panels):
        for axes, (title, of_group) in zip(panels, titled.items(), strict=True):
            for task, rows in parts(of_group, "task"):
                _line(axes, rows, "epoch", looks[task])
                _constant(axes, rows, looks[task])
            axes.set(title=shown(title, 72), ylabel=" or\n".join(dict.fromkeys(names.values())) + " on dev")
        _set_epochs(panels, data["epoch"])
        caption = f"Each task's own metric on dev at the end of every epoch{of_seeds(groups, data)}"
        handles = _handles({f"{task} ({names[task]})": look for task, look in looks.items()}, groups)
        if data["constant"].count():
            handles["best constant answer"] = Line2D([], [], color="0.4", ls=":", marker="o", markerfacecolor="white")
            caption += " Dotted: the best constant answer; a correlation has none."
        if data["trained"].count():
            handles["task trained in that epoch"] = Patch(facecolor="0.85")
            low, high = panels[0].get_ylim()  # shared
            panels[0].set_ylim(low - 0.12 * (high - low), high)
            for axes, of_group in zip(panels, titled.values(), strict=True):
                _mark_turns(axes, of_group, looks)
        _legend(figure, handles)
    return Plot("curves", caption, figure, data)


def _constant(axes: Axes, rows: pl.DataFrame, look: Look) -> None:
    """A dotted line at the best constant answer; a hollow marker beyond the last epoch says of which task."""
    if (constant := rows["constant"][0]) is not None:
        hollow = look | {"linestyle": ":", "markerfacecolor": "white", "markevery": [1]}
        axes.plot([rows["epoch"][0] - 0.4, rows["epoch"][-1] + 0.4], [constant] * 2, **hollow, zorder=1.5)


def _mark_turns(axes: Axes, rows: pl.DataFrame, looks: Mapping[str, Look]) -> None:
    """A strip below the lines: which task had each epoch; its marker where the names are too long."""
    turns = rows.drop_nulls("trained").select("epoch", "trained").unique().sort("epoch")
    across = axes.get_xaxis_transform()
    is_short = len(turns) * (2 + max(map(len, turns["trained"]), default=0)) <= LINE
    for epoch, name in turns.iter_rows():
        axes.axvspan(epoch - 1, epoch, 0, 0.08, facecolor="0.85", edgecolor="white")
        if is_short:
            axes.text(epoch - 0.5, 0.04, name, transform=across, ha="center", va="center_baseline", fontsize=7)
        else:
            axes.plot(epoch - 0.5, 0.04, transform=across, **looks[name])


def conflict(groups: Groups) -> Plot:
    """Mean cosine between the tasks' gradients in the encoder by epoch, a panel a group, and its null."""
    data = figure_data.conflict(groups)
    looks = _pair_looks(data)
    with _panels(len(groups), 1, 2.2) as (figure, panels):
        for axes, title in zip(panels, groups, strict=True):
            _cosines(axes, title, data.filter(pl.col("group") == title), "epoch", looks, _line)
        _set_epochs(panels, data["epoch"])
        told = _set_cosines(panels[0], data)
        _legend(figure, _handles(looks, groups) | _null_handle(data))
    caption = f"Mean cosine between the tasks' gradients in the encoder, epoch by epoch{of_seeds(groups, data)}"
    return Plot("conflict", f"{caption} {NULL_CAPTION}{told}.", figure, data)


def conflict_by_layer(group: Group) -> Plot:
    """Mean cosine over all epochs between the tasks' gradients, layer by layer, of one group, and its null."""
    data, one = figure_data.conflict_by_layer(group), {group[0].group: group}
    looks, layers = _pair_looks(data), data.select("depth", "layer").unique().sort("depth")["layer"]
    with _panels(1, 1, 2.8) as (figure, (axes,)):
        _cosines(axes, group[0].group, data, "depth", looks, partial(_intervals, looks=[*looks.values()]))
        names = [layer.removeprefix("layer.") for layer in layers]
        axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 10 else 0)
        axes.set_xlabel("part of the encoder, from input to output (a number is a layer)")
        lines = {name: Line2D([], [], **look) for name, look in looks.items()}
        _legend(figure, lines | _null_handle(data))
    seeds = counted(most_seeds(one), "seed")
    caption = (
        f"Mean cosine over the whole run between the tasks' gradients in each part of the encoder, {group[0].group}; "
        f"{seeds}, bars are 95 % intervals over epochs and seeds. "
        f"{NULL_CAPTION + '.' if _null_handle(data) else 'These runs recorded no null by layer.'}"
    )
    return Plot("conflict-by-layer", caption, figure, data)


def _pair_looks(data: pl.DataFrame) -> dict[str, Look]:
    return _looks(data.filter(pl.col("between") != NULL)["between"])


def _cosines(
    axes: Axes,
    title: str,
    data: pl.DataFrame,
    x: str,
    looks: Mapping[str, Look],
    draw: Callable[[Axes, pl.DataFrame, str, Look], None],
) -> None:
    """Each pair of tasks as `draw` shows it, before the band of the null."""
    axes.set(title=shown(title, 72), ylabel="mean cosine of gradients")
    axes.axhline(0, color="black", linewidth=0.8, zorder=1)
    for between, rows in parts(data, "between"):
        if between == NULL:
            _band(axes, rows, x, **NULL_LOOK, zorder=0.5)
        else:
            draw(axes, rows, x, looks[between])
    if data.is_empty():
        axes.text(0.5, 0.6, "no cosine between tasks recorded", transform=axes.transAxes, ha="center")


def _set_cosines(axes: Axes, data: pl.DataFrame) -> str:
    """Lets the pairs set the scale where the null is far wider; says then how far that reaches, for the caption."""
    pairs, null = data.filter(pl.col("between") != NULL), data.filter(pl.col("between") == NULL).drop_nulls("low")
    if null.is_empty():
        return ""
    scale = 1.3 * float(np.abs(pairs.drop_nulls("low").select("low", "high").to_numpy()).max(initial=0.0))
    low, high = null["low"].to_numpy().min(), null["high"].to_numpy().max()
    if not 0 < 2 * scale < max(-low, high):
        return ""
    axes.set_ylim(-scale, scale)  # shared
    return f" (from {low:.3f} to {high:.3f}, beyond the panels)".replace("-", "−")


def _null_handle(data: pl.DataFrame) -> dict[str, Any]:
    return {"null: two batches of one task": Patch(**NULL_LOOK)} if NULL in data["between"] else {}


def confusion(group: Group, dev: DevSet) -> Plot:
    """True against predicted classes of all seeds, as counts and in per cent of the true class; figures 2 and 5."""
    data = figure_data.confusion(group, dev)
    names = [shown(label, 20) for label in dev.task.labels or ()]
    counts, percent = (data[column].to_numpy().reshape(len(names), -1) for column in ("count", "percent"))  # [K, K]
    seeds = f"sum over {len(group)} seeds" if len(group) > 1 else "1 seed"
    rows, columns, height = (1, 2, 3.4) if len(names) <= 8 else (2, 1, 4.4)
    with _panels(rows, columns, height) as (figure, (first, second)):
        figure.suptitle(f"{shown(group[0].group, 60)}: {dev.name}", x=0.01, ha="left", fontsize="large")
        _heat(first, counts, names, f"counts, {seeds}", float(counts.max()))
        _heat(second, percent, names, "% of true class", 100.0)
    caption = (
        f"Confusion matrix of {dev.name} on dev, {group[0].group}: rows are true classes, columns predicted ones. "
        f"First come counts ({seeds}, {counted(len(dev), 'example')}), then per cent of each true class."
    )
    return Plot(f"confusion-{dev.name}", caption, figure, data)


def _heat(axes: Axes, values: NDArray[Any], names: Sequence[str], title: str, top: float) -> None:
    """A matrix [K, K] as shades with its numbers; a row without examples is empty."""
    axes.imshow(values, cmap="Blues", vmin=0, vmax=max(top, 1))
    for (row, column), value in np.ndenumerate(values):
        text, color = "–" if np.isnan(value) else f"{value:,.0f}", "white" if value > 0.55 * top else "black"
        look = Look(color=color, fontsize=min(8, 72 / len(names)), fontweight="bold" if row == column else None)
        axes.text(column, row, text, ha="center", va="center", **look)
    is_long = sum(map(len, names)) > 30
    axes.set_xticks(range(len(names)), names, rotation=45 if is_long else 0, ha="right" if is_long else "center")
    axes.set_yticks(range(len(names)), names)
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    axes.label_outer()
    axes.spines[:].set_visible(True)


def reliability(group: Group, dev: DevSet) -> Plot | None:
    """How often answers of like confidence are right, of the first seed; None where its probabilities are not kept."""
    first = figure_data.first_seed(group)
    data = figure_data.reliability(first, dev)
    if data is None:
        return None
    diagonal = Look(color="black", linestyle="--", linewidth=1)
    low, high, right = (data[column].to_numpy() for column in ("low", "high", "right"))
    with _panels(1, 1, 3.2) as (figure, (axes,)):
        bars = np.stack([right - low, high - right]).clip(0)  # rounding
        axes.errorbar(data["confidence"], right, bars, color=COLORS[0], marker="o", linestyle="none", capsize=2)
        axes.plot([0, 1], [0, 1], **diagonal)
        axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="mean confidence", ylabel="share of right answers")
        axes.set_title(f"{shown(group[0].group, 60)}: {dev.name} (seed {first.seed})")
        axes.set_aspect("equal")
        interval = Line2D([], [], color=COLORS[0], marker="o", linestyle="none")
        _legend(figure, {"a bin of answers, 95 % interval": interval, "confidence = share": Line2D([], [], **diagonal)})
    errors, by_chance = figure_data.calibration_errors(group, dev)
    caption = (
        f"Reliability of {dev.name} on dev, {group[0].group}: answers of the first seed at the last update in "
        f"{len(data)} bins of equally many, the least sure first; below the dashed line they are "
        "right less often than their probability says. "
        f"The expected calibration error over such bins is {np.mean(errors):.3f} "
        f"({'mean of ' * (len(errors) > 1)}{counted(len(errors), 'seed')}); chance alone gives a perfectly calibrated "
        f"model {by_chance:.3f} on so many answers."
    )
    return Plot(f"reliability-{dev.name}", caption, figure, data)


def scatter(groups: Groups, dev: DevSet) -> Plot:
    """True against predicted scores of each group's first seed, a panel a group; figure 3 of the paper."""
    data, columns = figure_data.scatter(groups, dev), min(2, len(groups))
    diagonal = Look(color="black", linestyle="--", linewidth=1)
    low, high = dev.task.bounds
    with _panels(-(-len(groups) // columns), columns, 3.2) as (figure, panels):
        for axes, (title, rows) in zip(panels, parts(data, "group"), strict=False):
            for (count,), points in rows.partition_by("count", as_dict=True, maintain_order=True).items():
                size = 2.5 * count**0.5
                axes.plot(points["true"], points["predicted"], "o", color=COLORS[0], alpha=0.45, markersize=size, mew=0)
            axes.plot([low, high], [low, high], **diagonal)
            first = figure_data.first_seed(groups[title])
            r = metrics.pearson(first.answers[dev.name], dev.labels)
            said = f"{'r undefined' if r is None else f'r = {r:.3f}'} (seed {first.seed})"
            axes.set_title(f"{shown(title, 72 // columns)}\n{said}")
            axes.set(xlabel=f"true score of {dev.name}", ylabel="predicted score")
            axes.tick_params(labelbottom=True, labelleft=True)  # the last row may be shorter
        _legend(figure, {"predicted = true": Line2D([], [], **diagonal)})
    caption = (
        f"True against predicted scores of {dev.name} on dev ({counted(len(dev), 'example')}, scale {low:g} to "
        f"{high:g}), first seed of each recipe only; r is Pearson's. A point's area is the number of examples with its "
        f"scores, rounded to {(high - low) / figure_data.CELLS:g}; a predicted score may leave the scale."
    )
    return Plot(f"scatter-{dev.name}", caption, figure, data)


def balance(devs: Mapping[str, DevSet]) -> Plot:
    """How often each label occurs on dev, a panel a task; scores in bins of equal width."""
    data, columns = figure_data.balance(devs), min(3, len(devs))
    height = 0.9 + 0.19 * max(len(rows) for _, rows in parts(data, "task"))
    with _panels(-(-len(devs) // columns), columns, height, is_shared=False) as (figure, panels):
        for axes, dev, (_, rows) in zip(panels, devs.values(), parts(data, "task"), strict=False):
            bars = axes.barh(range(len(rows)), rows["percent"], color=COLORS[0], height=0.8)
            axes.bar_label(bars, [f"{percent:.0f}" for percent in rows["percent"]], padding=2)
            axes.set_yticks(range(len(rows)), [shown(label, 20) for label in rows["label"]])
            axes.set(title=f"{dev.name}\n{counted(len(dev), 'example')}", xlabel="% of dev examples")
            axes.set_ylabel("score" if dev.task.is_regression else "class")
            axes.margins(x=0.15)
            if not dev.task.is_regression:
                axes.invert_yaxis()
    has_scores = any(dev.task.is_regression for dev in devs.values())
    binned = f"; scores in {figure_data.BINS} bins of equal width" if has_scores else ""
    caption = f"Labels of each task's dev examples in per cent{binned}."
    return Plot("balance", caption, figure, data)


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """Our settings on top of matplotlib's defaults, whatever a user's own file says."""
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a PNG has boxes for letters that its font lacks, an SVG has not
        yield


@contextlib.contextmanager
def _panels(rows: int, columns: int, height: float, is_shared: bool = True) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure with panels of so many inches, laid out once when the block ends: saving moves nothing any more."""
    with _style():
        figure = Figure(figsize=(WIDTH, rows * height + 0.4), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False, sharex=is_shared, sharey=is_shared).flat)
        yield figure, panels
        for axes in panels:
            axes.set_visible(axes.has_data())  # the last row may have places left
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def _looks(names: pl.Series) -> dict[str, Look]:
    styles = zip(cycle(COLORS), cycle(DASHES), cycle(MARKERS), strict=False)  # 84 of them
    different = zip(names.unique(maintain_order=True), styles, strict=False)
    return {name: Look(color=color, linestyle=dash, marker=marker) for name, (color, dash, marker) in different}


def _line(axes: Axes, rows: pl.DataFrame, x: str, look: Look) -> None:
    """Means with a band from the lowest to the highest seed; a gap where no seed has a value."""
    _band(axes, rows, x, color=look["color"], alpha=0.18, linewidth=0)
    axes.plot(rows[x], rows["mean"].to_numpy(), **look)


def _intervals(axes: Axes, rows: pl.DataFrame, x: str, look: Look, looks: Sequence[Look]) -> None:
    """Means with bars over their intervals, beside those of the other looks and not on them."""
    step = min(0.14, 0.8 / len(looks))  # so that a tick's bars stay nearer to it than to the next
    at = rows[x].to_numpy() + step * (looks.index(look) - (len(looks) - 1) / 2)
    axes.vlines(at, rows["low"].to_numpy(), rows["high"].to_numpy(), color=look["color"], linewidth=1)
    axes.plot(at, rows["mean"].to_numpy(), **look)


def _band(axes: Axes, rows: pl.DataFrame, x: str, **look: Any) -> None:
    """A single place gets a band of some width."""
    at, low, high = (rows[column].to_numpy() for column in (x, "low", "high"))
    if len(rows) == 1:
        at, low, high = np.array([at[0] - 0.2, at[0] + 0.2]), low.repeat(2), high.repeat(2)
    axes.fill_between(at, low, high, **look)


def _set_epochs(panels: Sequence[Axes], epochs: pl.Series) -> None:
    places = epochs.to_list() or [0]
    panels[0].set_xlim(min(places) - 0.6, max(places) + 0.6)  # shared
    panels[0].xaxis.set_major_locator(MaxNLocator(nbins=13, integer=True, min_n_ticks=1))
    panels[-1].set_xlabel("epochs trained")


def _legend(figure: Figure, handles: dict[str, Any]) -> None:
    """Above all panels, in as many columns as fit; the parts of a tuple lie on each other."""
    if handles:
        widths = [len(name) + 8 for name in handles]  # with the picture beside it
        fits = [n for n in range(1, len(widths) + 1) if sum(map(max, np.array_split(widths, n))) <= LINE]
        columns = max(fits, default=1)
        figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=columns, handlelength=3)


def _handles(looks: Mapping[str, Look], groups: Groups) -> dict[str, Any]:
    band = Patch(facecolor="0.4", alpha=0.25), Line2D([], [], color="0.2")
    ranges = {"mean, lowest to highest seed": band} if looks and most_seeds(groups) > 1 else {}
    return {name: Line2D([], [], **look) for name, look in looks.items()} | ranges
