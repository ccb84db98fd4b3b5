"""Results that no run made: answers with a known accuracy, difference, or weakness, and their dev set."""

import numpy as np
from numpy.typing import NDArray

from minbert.data import Examples
from minbert.experiments.devsets import DevSet
from minbert.experiments.results import Point, Result
from minbert.metrics import METRICS
from minbert.recipes import load
from minbert.tasks import Task

N = 1200
WORDS = ["film", "plot", "actor", "scene", "music", "story", "camera", "joke"]


def mood_set(seed: int = 0) -> DevSet:
    """N texts of three classes; a third hold a negation, and none of their other words tells which."""
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(WORDS, generator.integers(2, 30))) for _ in range(N)]
    texts = [f"not {text}" if place % 3 == 0 else text for place, text in enumerate(texts)]
    task = Task(kind="classification", train="mood.csv", dev="mood.csv", labels=["bad", "fair", "good"])
    labels = generator.integers(0, 3, N).astype(np.float64)
    examples = Examples([str(row) for row in range(N)], [texts], labels)
    return DevSet("mood", task.completed(None), examples)


def answered(dev: DevSet, accuracy: NDArray[np.float64] | float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Answers [N] of which each is right with its probability; a wrong one is any other class."""
    right = generator.random(N) < accuracy
    return np.where(right, dev.labels, (dev.labels + generator.integers(1, 3, N)) % 3)


def result(dev: DevSet, group: str, seed: int, answers: NDArray[np.float64], **changes: object) -> Result:
    """The result of a run that gave these answers; `changes` are those of its recipe."""
    recipe = load({"name": group, "seed": seed, "tasks": {dev.name: dev.task.model_dump(exclude_none=True)}} | changes)
    metrics = {dev.name: {name: METRICS[name](answers, dev.labels) for name in ("accuracy", "macro-f1")}}
    return Result(
        group=group,
        seed=seed,
        recipe=recipe,
        about={"processor": "a processor"},
        data={"mood": {"train": "0", "dev": "0"}},
        updates=100,
        seconds=10.0,
        tokens=1000,
        batches={dev.name: 100},
        angle=None,
        baselines={dev.name: 0.34},
        curve=[Point(100, 1, metrics)],
        conflict=[],
        answers={dev.name: answers},
    )


def group_of(dev: DevSet, group: str, accuracy: NDArray[np.float64] | float, first: int, seeds: int) -> list[Result]:
    """Results of several seeds, each with answers of its own."""
    return [
        result(dev, group, seed, answered(dev, accuracy, np.random.default_rng(seed)))
        for seed in range(first, first + seeds)
    ]
