"""A folder of runs, or of kept results -> groups by the folder that holds them, each with the dev sets of its tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minbert.experiments.devsets import DevSet, dev_sets
from minbert.experiments.loading import load_results
from minbert.experiments.results import Groups, Result
from minbert.reports.tables import cell


@dataclass(frozen=True)
class Collection:
    """Groups of runs that stand in one folder, by name, and the dev sets that they were scored on."""

    name: str
    groups: Groups
    dev: Mapping[str, DevSet]

    @property
    def title(self) -> str:
        """The name as it stands in Markdown: folders have any."""
        return cell(self.name)

    @property
    def seeds(self) -> int:
        """Those of the group that has most."""
        return max(len(group) for group in self.groups.values())

    @property
    def is_of_dev_files(self) -> bool:
        """Whether dev is what the dev files hold, and not rows held back from train."""
        return not any(dev.task.divides_train for dev in self.dev.values())

    def is_scored_as(self, other: "Collection") -> bool:
        """Whether both have the same tasks and each the same dev labels, so that scores may stand side by side."""
        return self.dev.keys() == other.dev.keys() and all(
            dev.task.metric == other.dev[name].task.metric and np.array_equal(dev.labels, other.dev[name].labels)
            for name, dev in self.dev.items()
        )


def read_collections(runs: Path, data: Path | None) -> list[Collection]:
    """The complete runs by the folder that holds their groups; with `data`, dev sets are read there."""
    found: dict[str, dict[str, list[Result]]] = {}
    for result in load_results(runs):
        collection, _, name = result.group.partition("/")
        found.setdefault(collection, {}).setdefault(name, []).append(result)
    return [
        Collection(name, groups, dev_sets([result for group in groups.values() for result in group], data))
        for name, groups in found.items()
    ]
