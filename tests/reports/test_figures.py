"""Figures draw the numbers of the results and nothing else, and a reader can read them."""

import itertools
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.text import Text
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from minbert.data import Examples
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Conflict, Point, Result
from minbert.metrics import METRICS
from minbert.predictions import Predictions, read_parquet, write_parquet
from minbert.recipes import load
from minbert.reports import figure_data, figures
from minbert.reports.figures import Plot
from minbert.tasks import Task

N = {"mood": 150, "same": 120, "near": 90}
LABELS = {"mood": ["bad", "not $so$ bad", "good"], "same": ["0", "1"]}
PAIRS = ("same/mood", "near/mood", "near/same")
LAYERS = ("embeddings", *(f"layer.{number}" for number in range(11)), "pooler")
TURNS = ["mood", "same", "near", "mood"]


def dev_set(name: str, kind: str, metric: str, **more: Any) -> DevSet:
    text = "text" if kind == "classification" else ["a", "b"]
    task = Task(kind=kind, train=f"{name}.csv", dev=f"{name}.csv", text=text, metric=metric, **more).completed(None)
    generator = np.random.default_rng(len(name))
    if task.is_regression:
        labels = generator.uniform(1, 5, N[name]).round(1)
    else:
        labels = generator.integers(0, len(task.labels or ()), N[name]).astype(float)
    texts = [["a text"] * N[name]] * len(task.text_columns)
    return DevSet(name, task, Examples([str(row) for row in range(N[name])], texts, labels))


DEV = {
    "mood": dev_set("mood", "classification", "macro-f1", labels=LABELS["mood"]),
    "same": dev_set("same", "pair-classification", "accuracy", labels=LABELS["same"]),
    "near": dev_set("near", "pair-regression", "pearson", range=[1.0, 5.0]),
}


def planted(group: str, seed: int, turns: list[str] | None = None, epochs: int = 4) -> Result:
    """A run with a metric, cosines and answers that only its seed decides; r is undefined before it learns."""
    generator = np.random.default_rng([seed, len(group)])
    schedule = {"kind": "round-robin", "order": turns} if turns else {"kind": "simultaneous"}
    tasks = {name: dev.task.model_dump(exclude_none=True) for name, dev in DEV.items()}
    recipe = load({"name": group, "seed": seed, "tasks": tasks, "schedule": schedule})
    curve = [
        Point(
            10 * epoch,
            epoch,
            {name: dict(zip(METRICS, generator.uniform(0, 1, len(METRICS)).tolist(), strict=True)) for name in DEV},
        )
        for epoch in range(epochs + 1)
    ]
    curve[0].metrics["near"]["pearson"] = None
    where = [(layer, between) for layer in ("all", *LAYERS) for between in (*PAIRS, *DEV)]
    conflict = [
        Conflict(epoch, layer, between, generator.uniform(-0.3, 0.6), 0.2, int(generator.integers(1, 9)))
        for epoch in range(1, epochs + 1)
        for layer, between in where
    ]
    answers = {name: generator.permutation(dev.labels) for name, dev in DEV.items()}
    answers["near"] = DEV["near"].labels + generator.normal(0, 1, N["near"])
    return Result(
        group=f"runs/{group}",
        seed=seed,
        recipe=recipe,
        about={},
        data={},
        updates=10 * epochs,
        seconds=1.0,
        tokens=1,
        batches={},
        angle=None,
        baselines={"mood": 0.3, "same": 0.5, "near": None},
        curve=curve,
        conflict=[] if turns else conflict,
        answers=answers,
    )


GROUPS = {
    "round robin": [planted("round", seed, TURNS) for seed in (3, 1, 2)],
    "surgery": [planted("surgery", seed) for seed in (5, 4)],
}
SURGERY = GROUPS["surgery"]
PLOTS: dict[str, Callable[[], Plot]] = {
    "curves": lambda: figures.curves(GROUPS),
    "conflict": lambda: figures.conflict(GROUPS),
    "conflict-by-layer": lambda: figures.conflict_by_layer(SURGERY),
    "confusion-mood": lambda: figures.confusion(SURGERY, DEV["mood"]),
    "scatter-near": lambda: figures.scatter(GROUPS, DEV["near"]),
    "balance": lambda: figures.balance(DEV),
}


@pytest.fixture(scope="module")
def plots() -> dict[str, Plot]:
    return {name: plot() for name, plot in PLOTS.items()}


def shown_axes(plot: Plot) -> list[Axes]:
    return [axes for axes in plot.figure.axes if axes.get_visible()]


def lines(axes: Axes, points: int) -> list[list[float]]:
    """The y values of every line with so many points."""
    return [np.asarray(line.get_ydata(), float).tolist() for line in axes.lines if len(line.get_xdata()) == points]


def bands(axes: Axes) -> list[list[tuple[float, float]]]:
    """The corners of every band, each once and in order."""
    found = [band for band in axes.collections if isinstance(band, PolyCollection)]
    return [sorted({(x, y) for x, y in band.get_paths()[0].vertices.tolist()}) for band in found]


def corners(rows: pl.DataFrame, x: str) -> list[tuple[float, float]]:
    rows = rows.drop_nulls("low")
    return sorted({*zip(rows[x], rows["low"], strict=True), *zip(rows[x], rows["high"], strict=True)})


def test_curves_hold_mean_and_range_of_each_tasks_own_metric(plots: dict[str, Plot]) -> None:
    data = plots["curves"].data
    assert len(data) == 2 * 3 * 5
    assert data["task"].unique(maintain_order=True).to_list() == list(DEV)
    for row in data.iter_rows(named=True):
        group = GROUPS[row["group"]]
        metric = DEV[row["task"]].task.metric
        values = [result.curve[row["epoch"]].metrics[row["task"]][str(metric)] for result in group]
        known = [value for value in values if value is not None]
        assert (row["metric"], row["seeds"], row["constant"]) == (metric, len(known), group[0].baselines[row["task"]])
        expected = (statistics.fmean(known), min(known), max(known)) if known else (None, None, None)
        assert (row["mean"], row["low"], row["high"]) == (pytest.approx(expected[0]), *expected[1:])
        turn = TURNS[row["epoch"] - 1] if row["group"] == "round robin" and row["epoch"] else None
        assert row["trained"] == turn


def test_an_epochs_last_evaluation_is_its_point() -> None:
    result = replace(SURGERY[0], curve=[*SURGERY[0].curve, Point(45, 4, SURGERY[0].curve[1].metrics)])
    data = figures.curves({"surgery": [result]}).data.filter(task="same")
    assert data["mean"].to_list()[4] == data["mean"].to_list()[1] == result.curve[1].metrics["same"]["accuracy"]


def test_curves_draw_lines_bands_constants_and_turns(plots: dict[str, Plot]) -> None:
    for axes, title in zip(shown_axes(plots["curves"]), GROUPS, strict=True):
        assert axes.get_title(loc="left") == title
        rows = [plots["curves"].data.filter(group=title, task=task) for task in DEV]
        np.testing.assert_array_equal(lines(axes, 5), [part["mean"].to_numpy() for part in rows])
        assert lines(axes, 2) == [[0.3, 0.3], [0.5, 0.5]]
        assert bands(axes) == [corners(part, "epoch") for part in rows]
        turns = [text.get_text() for text in sorted(axes.texts, key=lambda text: text.get_position()[0])]
        assert turns == (TURNS if title == "round robin" else [])


def test_a_strip_that_has_no_room_for_names_shows_markers() -> None:
    axes, *_ = figures.curves({"long": [planted("long", 1, TURNS * 5, epochs=20)]}).figure.axes
    markers = [line for line in axes.lines if len(line.get_xdata()) == 1]
    looks = dict(zip(DEV, [line for line in axes.lines if len(line.get_xdata()) == 21], strict=True))
    assert not axes.texts
    assert [line.get_marker() for line in markers] == [looks[task].get_marker() for task in TURNS * 5]


def over_the_run(layer: str, between: str) -> list[float]:
    """Mean over all updates of both seeds, and the ends of its interval by the epochs' means."""
    found = [row for result in SURGERY for row in result.conflict if (row.layer, row.between) == (layer, between)]
    mean = statistics.fmean([row.cosine for row in found for _ in range(row.count)])
    means = [row.cosine for row in found]
    half = stats.t.interval(0.95, len(means) - 1)[1] * stats.sem(means)
    return [mean, mean - half, mean + half]


def null_of(layer: str) -> list[float | None]:
    intervals = [over_the_run(layer, task) for task in DEV]
    return [None, min(low for _, low, _ in intervals), max(high for _, _, high in intervals)]


def shown_row(row: dict[str, Any]) -> list[float | None]:
    return [value and pytest.approx(value) for value in (row["mean"], row["low"], row["high"])]


def test_conflict_is_set_beside_the_tasks_own_cosines(plots: dict[str, Plot]) -> None:
    data = plots["conflict"].data
    assert len(data) == 4 * (len(PAIRS) + 1)
    assert set(data["group"]) == {"surgery"}
    for row in data.iter_rows(named=True):
        place = (row["epoch"], row["between"], "all")
        of_pair = [c.cosine for r in SURGERY for c in r.conflict if (c.epoch, c.between, c.layer) == place]
        expected = [statistics.fmean(of_pair), min(of_pair), max(of_pair)] if of_pair else null_of("all")
        assert shown_row(row) == expected
    first, second = shown_axes(plots["conflict"])
    assert [text.get_text() for text in first.texts] == ["no cosine between tasks recorded"]
    parts = [data.filter(between=between) for between in (*PAIRS, "null")]
    np.testing.assert_array_equal(lines(second, 4), [part["mean"].to_numpy() for part in parts[:3]])
    assert bands(second) == [corners(part, "epoch") for part in parts]


def test_an_interval_of_cosines_is_no_wider_than_a_cosine_can_be() -> None:
    """Student's t over two epochs far apart would go past both ends."""
    (result, *_) = SURGERY
    two = [Conflict(epoch, "all", "near/mood", cosine, 0.5, 1) for epoch, cosine in ((1, -0.9), (2, 0.9))]
    (row,) = figure_data.cosines([replace(result, conflict=two)]).to_dicts()
    assert (row["mean"], row["low"], row["high"]) == (pytest.approx(0), -1, 1)


def test_a_layers_mean_counts_every_update_once(plots: dict[str, Plot]) -> None:
    data = plots["conflict-by-layer"].data
    assert data["layer"].unique(maintain_order=True).to_list() == list(LAYERS)
    assert len(data) == len(LAYERS) * (len(PAIRS) + 1)
    for row in data.iter_rows(named=True):
        is_null = row["between"] == "null"
        assert shown_row(row) == (null_of(row["layer"]) if is_null else over_the_run(row["layer"], row["between"]))
    (axes,) = shown_axes(plots["conflict-by-layer"])
    parts = [data.filter(between=between) for between in (*PAIRS, "null")]
    assert lines(axes, len(LAYERS)) == [part["mean"].to_list() for part in parts[:3]]
    assert bands(axes) == [corners(parts[3], "depth")]
    bars = [bars.get_segments() for bars in axes.collections if isinstance(bars, LineCollection)]
    for part, segments in zip(parts[:3], bars, strict=True):
        assert [(low[1], high[1]) for low, high in segments] == part.select("low", "high").rows()
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["embeddings", *map(str, range(11)), "pooler"]


def test_a_confusion_matrix_is_that_of_all_seeds_together(plots: dict[str, Plot]) -> None:
    data = plots["confusion-mood"].data
    true = np.tile(DEV["mood"].labels, len(SURGERY))
    predicted = np.concatenate([result.answers["mood"] for result in SURGERY])
    counts = confusion_matrix(true, predicted)
    assert data["count"].sum() == len(SURGERY) * N["mood"]
    np.testing.assert_array_equal(data["count"].to_numpy().reshape(3, 3), counts)
    shares = 100 * confusion_matrix(true, predicted, normalize="true")
    np.testing.assert_allclose(data["percent"].to_numpy().reshape(3, 3), shares)
    names = LABELS["mood"]
    assert data.select("true", "predicted").rows() == [(true, predicted) for true in names for predicted in names]
    for axes, column, form in zip(shown_axes(plots["confusion-mood"]), ("count", "percent"), (",", ".0f"), strict=True):
        (image,) = axes.images
        np.testing.assert_array_equal(np.ravel(image.get_array()), data[column])
        assert [text.get_text() for text in axes.texts] == [format(value, form) for value in data[column]]
        assert [label.get_text() for label in axes.get_xticklabels()] == names
    assert [label.get_text() for label in shown_axes(plots["confusion-mood"])[0].get_yticklabels()] == names


def test_a_class_without_examples_has_no_shares() -> None:
    dev = DEV["mood"]
    without = replace(dev, examples=replace(dev.examples, labels=np.minimum(dev.labels, 1)))
    plot = figures.confusion(SURGERY, without)
    assert plot.data["percent"].to_list()[6:] == [None] * 3
    assert [text.get_text() for text in plot.figure.axes[1].texts[6:]] == ["–"] * 3


def test_twelve_classes_fit() -> None:
    labels = [f"a class of number {number}" for number in range(12)]
    dev = dev_set("mood", "classification", "accuracy", labels=labels)
    plot = figures.confusion([replace(SURGERY[0], answers={"mood": dev.labels})], dev)
    assert plot.data["count"].to_list() == np.diag(np.bincount(dev.labels.astype(int))).ravel().tolist()
    assert "1 seed" in plot.caption
    check_layout(plot)


def test_a_scatter_plot_shows_the_first_seed(plots: dict[str, Plot]) -> None:
    """On a scale from 1 to 5 scores are rounded to 0.16 above 1."""
    for axes, (title, group) in zip(shown_axes(plots["scatter-near"]), GROUPS.items(), strict=True):
        first = sorted(group, key=lambda result: result.seed)[0]
        rows = plots["scatter-near"].data.filter(group=title)
        assert set(rows["seed"]) == {first.seed}
        true, predicted = ((1 + 0.16 * np.round((of - 1) / 0.16)).round(6).tolist() for of in scores_of(first))
        expected = Counter(zip(true, predicted, strict=True))
        assert {(x, y): count for *_, x, y, count in rows.iter_rows()} == expected
        *points, diagonal = axes.lines
        drawn = {place: line.get_markersize() ** 2 for line in points for place in zip(*line.get_data(), strict=True)}
        assert drawn.keys() == expected.keys()
        areas = [drawn[place] / count for place, count in expected.items()]
        assert areas == pytest.approx([areas[0]] * len(areas)), "an area for each example"
        assert np.array(diagonal.get_data()).tolist() == [[1, 5], [1, 5]]
        r = stats.pearsonr(*scores_of(first)).statistic
        assert axes.get_title(loc="left") == f"{title}\nr = {r:.3f} (seed {first.seed})"
        low, high = axes.get_ylim()
        assert low < min(rows["predicted"]) < max(rows["predicted"]) < high


def scores_of(result: Result) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """True and predicted."""
    return DEV["near"].labels, result.answers["near"]


def with_answers(folder: Path, result: Result) -> Result:
    """The result in a run's folder that keeps its answers to `mood` with their probabilities, drawn by its seed."""
    generator = np.random.default_rng(result.seed)
    task, labels = DEV["mood"].task, DEV["mood"].labels
    probabilities = generator.dirichlet([0.5] * 3, len(labels))
    answers = probabilities.argmax(axis=1).astype(float)
    predictions = Predictions(DEV["mood"].examples.ids, answers, probabilities, labels)
    write_parquet(folder / "predictions" / "last" / "mood-dev.parquet", task, predictions)
    return replace(result, folder=folder)


def test_a_reliability_curve_is_that_of_the_first_seeds_answers(tmp_path: Path) -> None:
    group = [with_answers(tmp_path / str(result.seed), result) for result in SURGERY]
    plot = figures.reliability(group, DEV["mood"])
    assert plot is not None
    first = read_parquet(tmp_path / "4" / "predictions" / "last" / "mood-dev.parquet", DEV["mood"].task)
    sure, right = first.scores.max(axis=1), first.values == DEV["mood"].labels
    share, confidence = calibration_curve(right, sure, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(plot.data["right"], share)
    np.testing.assert_allclose(plot.data["confidence"], confidence)
    assert plot.data["count"].to_list() == [10] * 15
    for row in plot.data.iter_rows(named=True):
        interval = stats.binomtest(round(row["right"] * 10), 10).proportion_ci(method="wilson")
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high), abs=1e-6)
    (axes,) = shown_axes(plot)
    points, *_ = axes.lines
    np.testing.assert_array_equal(points.get_ydata(), plot.data["right"])
    np.testing.assert_array_equal(points.get_xdata(), plot.data["confidence"])
    (bars,) = axes.collections
    np.testing.assert_allclose([line[:, 1] for line in bars.get_segments()], plot.data.select("low", "high").to_numpy())
    errors, by_chance = figure_data.calibration_errors(group, DEV["mood"])
    assert errors[1] == pytest.approx(np.abs(share - confidence).mean())
    assert f"is {np.mean(errors):.3f} (mean of 2 seeds)" in plot.caption
    assert f"a perfectly calibrated model {by_chance:.3f} on so many answers" in plot.caption
    assert plot.name == "reliability-mood"
    check_layout(plot)


def test_without_the_runs_folders_there_is_no_reliability_curve() -> None:
    assert figures.reliability(SURGERY, DEV["mood"]) is None


def test_balance_counts_labels_and_ten_bins_of_scores(plots: dict[str, Plot]) -> None:
    data = plots["balance"].data
    for name in ("mood", "same"):
        counts = Counter(DEV[name].labels.tolist())
        part = data.filter(task=name)
        assert part["label"].to_list() == LABELS[name]
        assert part["count"].to_list() == [counts[place] for place in range(len(LABELS[name]))]
    scores = data.filter(task="near")
    last = [min(9, int((round(10 * label) - 10) / 4)) for label in DEV["near"].labels]  # bins of 0.4, from 1 to 5
    assert scores["count"].to_list() == [last.count(place) for place in range(10)]
    assert scores["label"].to_list()[0] == "1 to 1.4"
    for axes, dev in zip(shown_axes(plots["balance"]), DEV.values(), strict=True):
        part = data.filter(task=dev.name)
        np.testing.assert_allclose(part["percent"], 100 * part["count"] / len(dev))
        assert [bar.get_width() for bar in axes.patches] == part["percent"].to_list()
        assert [text.get_text() for text in axes.texts] == [f"{percent:.0f}" for percent in part["percent"]]


@matplotlib.style.context(["default", figures.STYLE])  # as `save` draws
def check_layout(plot: Plot) -> None:
    """Axes are labelled, no text leaves the page or covers another, and the legend covers no panel."""
    plot.figure.draw_without_rendering()
    page = plot.figure.bbox
    for axes in shown_axes(plot):
        drawn = axes.get_tightbbox()
        assert drawn is not None
        assert min(drawn.x0, drawn.y0, page.x1 - drawn.x1, page.y1 - drawn.y1) > -1
        for legend in plot.figure.legends:
            assert legend.get_window_extent().y0 >= drawn.y1
            assert legend.get_window_extent().x1 <= page.x1
        for labels in (axes.get_xticklabels(), axes.get_yticklabels(), axes.texts):
            check_apart([label for label in labels if label.get_visible() and label.get_rotation() in (0, 90)])
    spec = [axes.get_subplotspec() for axes in shown_axes(plot)]
    assert all(axes.get_xlabel() for axes, place in zip(shown_axes(plot), spec, strict=True) if place.is_last_row())
    assert all(axes.get_ylabel() for axes, place in zip(shown_axes(plot), spec, strict=True) if place.is_first_col())


def check_apart(texts: list[Text]) -> None:
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert not [one for place, one in enumerate(boxes) for other in boxes[:place] if one.overlaps(other)]


@pytest.mark.parametrize("name", PLOTS)
def test_a_figure_is_labelled_and_nothing_lies_on_another(plots: dict[str, Plot], name: str) -> None:
    assert plots[name].name == name
    check_layout(plots[name])


def test_captions_say_how_many_seeds_and_what_bands_are(plots: dict[str, Plot]) -> None:
    assert "means over 2 to 3 seeds, bands run from the lowest to the highest" in plots["curves"].caption
    assert "Where a seed has no value, it is left out." in plots["curves"].caption
    assert "2 seeds, bars are 95 % intervals" in plots["conflict-by-layer"].caption
    assert "below the grey null" in plots["conflict-by-layer"].caption
    assert "sum over 2 seeds, 150 examples" in plots["confusion-mood"].caption
    assert "first seed of each recipe only" in plots["scatter-near"].caption
    assert "one seed, so without a band." in figures.conflict({"one": SURGERY[:1]}).caption


def test_one_seed_one_task_and_nothing_trained() -> None:
    result = planted("single", 1)
    (start, *_), recipe = result.curve, result.recipe.model_copy(update={"tasks": {"near": DEV["near"].task}})
    undefined = replace(result, recipe=recipe, curve=[replace(start, metrics={"near": {"pearson": None}})], conflict=[])
    found = [figures.curves({"a": [undefined]}), figures.conflict({"a": [undefined]})]
    found += [figures.conflict_by_layer([undefined]), figures.balance({"near": DEV["near"]})]
    constant = replace(undefined, answers={"near": np.full(N["near"], 3.0)})
    found += [figures.scatter({"a": [constant]}, DEV["near"])]
    for plot in found:
        check_layout(plot)
    assert found[0].data["mean"].to_list() == [None]
    assert found[1].data.is_empty()
    assert found[2].data.is_empty()
    assert "r undefined" in found[4].figure.axes[0].get_title(loc="left")


def test_runs_without_a_null_by_layer_are_drawn_without_one() -> None:
    group = [replace(r, conflict=[c for c in r.conflict if c.layer == "all" or "/" in c.between]) for r in SURGERY]
    plot = figures.conflict_by_layer(group)
    assert set(plot.data["between"]) == set(PAIRS)
    assert plot.caption.endswith("These runs recorded no null by layer.")


def test_bars_of_many_pairs_of_tasks_lie_beside_each_other() -> None:
    """Five tasks have ten pairs, more than there are colours."""
    names = [f"{one}/{other}" for one, other in itertools.combinations("abcde", 2)]
    conflict = [Conflict(epoch, "pooler", name, 0.1, 0.2, 5) for name in names for epoch in (1, 2)]
    (axes,) = shown_axes(figures.conflict_by_layer([replace(SURGERY[0], conflict=conflict)]))
    places = [line.get_xdata()[0] for line in axes.lines if line.get_marker() not in ("None", None)]
    assert len(places) == len(set(np.round(places, 6))) == len(names)
    assert max(places) - min(places) < 1, "nearer to their own layer than to the next"


def test_a_single_epoch_has_a_band_that_can_be_seen() -> None:
    axes, *_ = figures.conflict({"one": [planted("surgery", seed, epochs=1) for seed in (1, 2)]}).figure.axes
    assert all(corner[-1][0] - corner[0][0] == pytest.approx(0.4) for corner in bands(axes))


@pytest.mark.parametrize("name", ["curves", "confusion-mood"])
def test_saving_writes_the_same_bytes_whatever_was_done_or_set_before(
    name: str, plots: dict[str, Plot], tmp_path: Path
) -> None:
    before = dict(matplotlib.rcParams)
    plots[name].save(tmp_path / "first")
    plots[name].save(tmp_path / "first")
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "lines.linewidth": 9}):
        PLOTS[name]().save(tmp_path / "second")
    first, second = ({file.name: file.read_bytes() for file in (tmp_path / i).iterdir()} for i in ("first", "second"))
    assert first == second
    assert set(first) == {f"{name}.svg", f"{name}.png", f"{name}.csv"}
    assert b">Pearson's r on dev</text>" in first[f"{name}.svg"] or b">not $so$ bad</text>" in first[f"{name}.svg"]
    assert pl.read_csv(first[f"{name}.csv"]).rows() == plots[name].data.rows()
    assert dict(matplotlib.rcParams) == before


def test_labels_of_any_script_are_text_of_the_svg(tmp_path: Path) -> None:
    dev = dev_set("mood", "classification", "accuracy", labels=["好", "plain & <b>"])
    figures.confusion([replace(SURGERY[0], answers={"mood": dev.labels})], dev).save(tmp_path)
    svg = (tmp_path / "confusion-mood.svg").read_text(encoding="utf-8")
    assert ">好</text>" in svg
    assert ">plain &amp; &lt;b&gt;</text>" in svg
