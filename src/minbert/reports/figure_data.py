"""Results and dev sets -> the numbers that figures draw, a table a figure.

A group holds the results of one recipe's seeds. Letters: n examples, K classes.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import polars as pl
from scipy import stats

from minbert import calibration, metrics
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import ENCODER, Group, Groups, Result
from minbert.experiments.slices import bins
from minbert.predictions import confidence, read_parquet
from minbert.runs import Run

NULL = "null"
BINS = 10
CELLS = 25  # of a scale, in a plot of true against predicted scores
METRIC_NAMES = {
    "macro-f1": "macro F1",
    "micro-f1": "micro F1",
    "label-f1": "mean F1 of the classes",
    "pearson": "Pearson's r",
    "spearman": "Spearman's r",
}


def curves(groups: Groups) -> pl.DataFrame:
    """Each task's own metric at every epoch's end, its best constant answer, and who had the epoch to itself."""
    rows = [
        (title, name, metric, point.epoch, result.task_of(point.epoch), result.baselines[name], values[metric])
        for title, group in groups.items()
        for result in group
        for point in result.epoch_ends
        for name, values in point.metrics.items()
        for metric in [str(result.recipe.tasks[name].metric)]
    ]
    keys = {"group": pl.String, "task": pl.String, "metric": pl.String, "epoch": pl.Int64, "trained": pl.String}
    return _over_seeds(rows, keys | {"constant": pl.Float64})


def conflict(groups: Groups) -> pl.DataFrame:
    """Pairs of tasks in the whole encoder by epoch, and as "null" the tasks' own cosines over the whole run.

    There are too few of these in an epoch; their `low` and `high` are the lowest and the highest end of an interval.
    """
    rows = [
        (title, row.between, row.epoch, row.cosine)
        for title, group in groups.items()
        for result in group
        for row in result.conflict
        if row.layer == ENCODER and "/" in row.between
    ]
    pairs = _over_seeds(rows, {"group": pl.String, "between": pl.String, "epoch": pl.Int64})
    nulls = [
        pairs.filter(pl.col("group") == title).select("group", "epoch").unique().sort("epoch").join(null, how="cross")
        for title, group in groups.items()
        for null in [_null(cosines(group).filter(pl.col("layer") == ENCODER)).drop("depth", "layer")]
    ]
    return pl.concat([pairs, *(null.select(pairs.columns) for null in nulls)])


def conflict_by_layer(group: Group) -> pl.DataFrame:
    """Pairs of tasks by part of the encoder over the whole run with a 95 % interval, and "null" as in `conflict`.

    Runs made before the null was recorded by layer have none.
    """
    found = cosines(group).filter(pl.col("layer") != ENCODER)
    pairs = found.filter(pl.col("between").str.contains("/"))
    null = _null(found).join(pairs, on="layer", how="semi")
    return pl.concat(
        [part.select("between", "depth", "layer", "mean", "low", "high", "seeds") for part in (pairs, null)]
    )


def _null(found: pl.DataFrame) -> pl.DataFrame:
    """The tasks' own cosines in each part of the encoder as one row: the lowest and highest end of their intervals."""
    own = found.filter(~pl.col("between").str.contains("/")).drop_nulls("low").group_by("depth", "layer")
    ends = [pl.lit(None, pl.Float64).alias("mean"), pl.col("low").min(), pl.col("high").max()]
    return own.agg(pl.lit(NULL).alias("between"), *ends, pl.col("seeds").max()).sort("depth")


def cosines(group: Group) -> pl.DataFrame:
    """Mean cosines over whole runs between two tasks' gradients, and of each task alone for the null, by layer.

    `low` and `high` are a 95 % interval, by Student's t over the means of single epochs of single seeds and no wider
    than a cosine can be; null where there is one alone. `negative` is the share below zero of `count` cosines.
    """
    rows = [{"seed": result.seed, **asdict(row)} for result in group for row in result.conflict]
    keys = {"layer": pl.String, "between": pl.String, "seed": pl.Int64, "cosine": pl.Float64}
    frame = pl.DataFrame(rows, {**keys, "negative": pl.Float64, "count": pl.Int64})
    cosine, count = pl.col("cosine"), pl.col("count")
    found = frame.group_by("layer", "between", maintain_order=True).agg(
        ((cosine * count).sum() / count.sum()).alias("mean"),
        (cosine.std() / cosine.len().sqrt()).alias("error"),
        cosine.len().alias("means"),
        ((pl.col("negative") * count).sum() / count.sum()).alias("negative"),
        count.sum(),
        pl.col("seed").n_unique().cast(pl.UInt32).alias("seeds"),
    )
    half = pl.col("error") * pl.Series(stats.t.ppf(0.975, np.maximum(found["means"].to_numpy() - 1, 1)))
    depths = {layer: place for place, layer in enumerate(sorted(found["layer"].unique(), key=_depth))}
    depth = pl.col("layer").replace_strict(depths, return_dtype=pl.Int64).alias("depth")
    ends = (pl.col("mean") - half).clip(-1).alias("low"), (pl.col("mean") + half).clip(None, 1).alias("high")
    return found.with_columns(depth, *ends).sort("depth", maintain_order=True)


def _depth(layer: str) -> tuple[int, int]:
    """Where a part of the encoder stands from its input on."""
    number = re.search(r"\d+", layer)
    return (1, int(number[0])) if number else ({"embeddings": 0, ENCODER: 3}.get(layer, 2), 0)


def confusion(group: Group, dev: DevSet) -> pl.DataFrame:
    """K * K rows: counts, summed over seeds, and per cent of the true class; null where no example is of it."""
    labels = dev.task.labels or []
    counts = sum(metrics.confusion(result.answers[dev.name], dev.labels, len(labels)) for result in group)
    names = itertools.product(labels, repeat=2)
    data = pl.DataFrame(list(names), {"true": pl.String, "predicted": pl.String}, orient="row")
    data = data.with_columns(pl.Series("count", np.ravel(counts), pl.Int64))
    of_class = pl.col("count").sum().over("true")
    return data.with_columns(pl.when(of_class > 0).then(100 * pl.col("count") / of_class).alias("percent"))


def scatter(groups: Groups, dev: DevSet) -> pl.DataFrame:
    """How many rows of dev have which true and predicted score in each group's first seed, scores to `CELLS` a scale.

    So coarse, a point says how many lie upon each other, and gives no row's label away to who has its answer.
    """
    low, high = dev.task.bounds
    width = (high - low) / CELLS
    frames = []
    for title, group in groups.items():
        result = first_seed(group)
        scores = {"true": dev.labels, "predicted": result.answers[dev.name]}
        cells = pl.DataFrame({n: (low + width * np.round((of - low) / width)).round(6) for n, of in scores.items()})
        counted = cells.group_by("true", "predicted").agg(pl.len().cast(pl.Int64).alias("count"))
        named = [pl.lit(title).alias("group"), pl.lit(result.seed).cast(pl.Int64).alias("seed")]
        frames.append(counted.sort("true", "predicted").select(*named, pl.all()))
    return pl.concat(frames)


def first_seed(group: Group) -> Result:
    """The run that a figure shows where it shows one."""
    return min(group, key=lambda result: result.seed)


def reliability(result: Result, dev: DevSet) -> pl.DataFrame | None:
    """One run's answers in bins of like confidence, with the 95 % interval of each bin's share of right ones.

    None where the run's folder is no more: results that are kept hold no probabilities.
    """
    found = _confidences(result, dev)
    if found is None:
        return None
    bins = calibration.reliability(*found)
    ends = [metrics.proportion_interval(part.right, part.count)._asdict() for part in bins]
    return pl.DataFrame([vars(part) | interval for part, interval in zip(bins, ends, strict=True)])


def calibration_errors(group: Group, dev: DevSet) -> tuple[list[float], float]:
    """The expected calibration error of each seed whose folder is there; and what chance alone makes of it."""
    found = [one for result in group if (one := _confidences(result, dev)) is not None]
    by_chance = [calibration.error_of_perfect(sure, np.random.default_rng(0)) for sure, _ in found]
    return [calibration.calibration_error(*one) for one in found], float(np.mean(by_chance))


def _confidences(result: Result, dev: DevSet) -> tuple[calibration.Array, calibration.Truth] | None:
    """The confidence of each answer of a run's last evaluation [n], and whether it is right [n]."""
    file = None if result.folder is None else Run(result.folder).answers_file(dev.name)
    if file is None or not file.is_file():
        return None
    answered = read_parquet(file, result.recipe.tasks[dev.name])
    return confidence(dev.task, answered.scores), answered.values == dev.labels


def balance(devs: Mapping[str, DevSet]) -> pl.DataFrame:
    """How often each label occurs in each dev set; scores in bins of equal width."""
    return pl.concat(_label_counts(dev) for dev in devs.values())


def _label_counts(dev: DevSet) -> pl.DataFrame:
    if dev.task.is_regression:
        ends = bins(dev, BINS)
        counts, _ = np.histogram(dev.labels, ends)
        names = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(ends.tolist())]
    else:
        names = list(dev.task.labels or ())
        counts = np.array([dev.task.is_class(dev.labels, place).sum() for place in range(len(names))])
    return pl.DataFrame({"task": dev.name, "label": names, "count": counts, "percent": 100 * counts / len(dev)})


def _over_seeds(rows: Sequence[tuple[object, ...]], keys: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    """Mean, least and greatest of each row's last entry over the seeds that have one, and how many do.

    Words stand in the order in which they came.
    """
    frame, value = pl.DataFrame(rows, {**keys, "value": pl.Float64}, orient="row"), pl.col("value")
    ends = [value.mean().alias("mean"), value.min().alias("low"), value.max().alias("high")]
    words = {key: frame[key].drop_nulls().unique(maintain_order=True) for key in keys if keys[key] == pl.String}
    order = [pl.col(key).cast(pl.Enum(words[key])) if key in words else pl.col(key) for key in keys]
    return frame.group_by(*keys).agg(*ends, value.count().alias("seeds")).sort(order)


def most_seeds(groups: Groups) -> int:
    """Of the group that has the most."""
    return max(len(group) for group in groups.values())


def of_seeds(groups: Groups, data: pl.DataFrame) -> str:
    """How a caption's first sentence ends: seeds, and what lines and bands are."""
    least, most = min(len(group) for group in groups.values()), most_seeds(groups)
    lacking = " Where a seed has no value, it is left out." if (data["seeds"] < most).any() else ""
    if most == 1:
        return f"; one seed, so without a band.{lacking}"
    number = f"{most}" if least == most else f"{least} to {most}"
    return f"; lines are means over {number} seeds, bands run from the lowest to the highest.{lacking}"


def parts(data: pl.DataFrame, column: str) -> list[tuple[str, pl.DataFrame]]:
    """The rows of each word in a column, in order."""
    found = data.partition_by(column, maintain_order=True, as_dict=True)
    return [(str(key), part) for (key,), part in found.items()]
