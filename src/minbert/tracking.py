"""Records of training -> TensorBoard's event files, where a recipe asks for them; metrics.jsonl has them always."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from minbert.errors import RecipeError

Write = Callable[[Mapping[str, Any]], None]


def check_installed() -> None:
    """Raises RecipeError where the package is not there."""
    if importlib.util.find_spec("tensorboard") is None:
        raise RecipeError("track = 'tensorboard' needs a package: pip install 'minbert[tensorboard]'")


@contextlib.contextmanager
def tensorboard(folder: Path, step: int) -> Iterator[Write]:
    """Takes records as metrics.jsonl has them, from after `step` on; what an earlier session wrote beyond it goes."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=step + 1) as writer:

        def write(record: Mapping[str, Any]) -> None:
            for name, value in scalars(record).items():
                writer.add_scalar(name, value, record["step"])

        yield write


@contextlib.contextmanager
def nowhere() -> Iterator[Write]:
    """Takes records, and keeps none."""
    yield lambda _: None


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """A record's numbers by name, such as loss/sst and dev/sst/accuracy; what is undefined is left out."""
    if record["kind"] == "step":
        named = {f"loss/{task}": loss for task, loss in record["losses"].items()}
        named |= {f"gradient norm/{task}": norm for task, norm in record["gradient_norms"].items()}
        named |= {f"cosine/{pair}": cosine for pair, cosine in record["cosines"].items()}
        named |= {key: record[key] for key in ("learning_rate", "gradient_norm", "surgery_angle", "tokens", "seconds")}
    else:
        metrics = record["metrics"].items()
        named = {f"{record['split']}/{task}/{name}": value for task, of in metrics for name, value in of.items()}
        named[f"{record['split']}/sum"] = record["sum"]
    return {name: value for name, value in named.items() if value is not None}
