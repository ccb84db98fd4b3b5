"""A model -> a folder of ONNX graphs, one a task, in fp32 or int8; and such a folder -> answers, by onnxruntime.

Letters in shapes: B batch, L length, K outputs.
"""

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from minbert import cards
from minbert.answering import Answering
from minbert.errors import ModelError
from minbert.files import write_text
from minbert.metrics import pearson
from minbert.model import TASKS, MultitaskModel, read_tasks, write_tasks
from minbert.predictions import Predictions
from minbert.pretrained import load_tokenizer, save_tokenizer
from minbert.tasks import Task
from minbert.text import Batch

if TYPE_CHECKING:
    from onnx import ModelProto

LEAST_EQUAL = 0.90
"""Share of a task's dev rows to which int8 must give the class that fp32 gives, or the same set of classes."""
LEAST_R = 0.99
"""Pearson's r on dev between the scores of int8 and fp32 that a regression must reach."""
WEIGHTS, EXAMPLE = "weights.bin", "example.py"
USE = """
One graph a task, `TASK.onnx`, in {precision}; `weights.bin` holds the weights of all and stays beside them. How to use
them with onnxruntime and tokenizers alone is in `example.py`; with minbert, `minbert predict FOLDER --backend onnx`.
"""
OF_FP32 = """
Scores below are of the model in fp32; in int8 some answers differ. What calibrated the model was of fp32, too, and is
left behind, so these graphs do not abstain and their scores have no margin.
"""
AGREEMENT = "## int8 beside fp32 on dev"


class OnnxModel(Answering):
    """A folder of graphs that answers as the model did; `predict` is `MultitaskModel`'s."""

    calibrating = "run `minbert calibrate` on the model, then export it with --format onnx; int8 keeps no calibration"

    def __init__(self, folder: Path, tokenizer: Tokenizer, tasks: Mapping[str, Task]) -> None:
        super().__init__(tokenizer, tasks)
        self.folder = folder
        self.sessions: dict[str, Any] = {}

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Opens what `export` wrote. Raises ModelError where a task lacks its graph, or onnxruntime is missing."""
        folder = Path(folder)
        needs("onnxruntime")
        tasks = read_tasks(folder / TASKS) if (folder / TASKS).is_file() else {}
        files = [*(f"{name}.onnx" for name in tasks), WEIGHTS]
        lacking = [file for file in files if not (folder / file).is_file()]
        if lacking or not tasks:
            what = lacking[0] if tasks else "ONNX graph of minbert's"
            raise ModelError(f"{folder} holds no {what}; write one: minbert export MODEL --format onnx --output DIR")
        return cls(folder, load_tokenizer(folder), tasks)

    @property
    def max_length(self) -> int:
        return max(task.max_length or 0 for task in self.tasks.values())

    def batch_outputs(self, task: str, batch: Batch) -> NDArray[np.float64]:
        texts = 2 if batch.is_pair else 1
        given = zip(batch.input_ids.chunk(texts), batch.attention_mask.chunk(texts), strict=True)
        arrays = [part.cpu().numpy().astype(np.int64) for pair in given for part in pair]
        session = self.session(task)
        names = [one.name for one in session.get_inputs()]
        output: NDArray[np.float32] = session.run(None, dict(zip(names, arrays, strict=True)))[0]  # [B, K]
        return output.astype(np.float64)

    def session(self, task: str) -> Any:
        """The runtime's session of a task, opened when it is first asked for."""
        import onnxruntime

        if task not in self.sessions:
            file = self.folder / f"{task}.onnx"
            try:
                self.sessions[task] = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
            except Exception as error:  # the runtime has a class for each of its codes, below no common one
                reason = " ".join(str(error).split())[:160]
                raise ModelError(f"{file} cannot be opened ({reason}); export the model anew") from None
        return self.sessions[task]


def export(model: MultitaskModel, folder: Path, int8: bool) -> None:
    """Fills a folder with the graphs of a model's tasks and all that they need.

    Raises ModelError where the packages are missing, or the model has no task.
    """
    needs("onnx", "onnxruntime")
    if not model.tasks:
        raise ModelError("this model has no task to answer; for its vectors take --format sentence-transformers")
    from minbert.inference import onnx_graph

    tasks = {name: _stored(task, model.max_length, int8) for name, task in model.tasks.items()}
    onnx_graph.write(_graphs(model, tasks, int8), folder / WEIGHTS)
    write_tasks(tasks, folder / TASKS)
    save_tokenizer(model.tokenizer, model.max_length, folder)
    example = resources.files("minbert.inference").joinpath("onnx_example.txt").read_text(encoding="utf-8")
    write_text(folder / EXAMPLE, example)
    write_card(model, folder, int8)


def _stored(task: Task, longest: int, int8: bool) -> Task:
    """A task as the folder has it: its length said, and in int8 without a calibration, which was of fp32's answers."""
    calibration = None if int8 else task.calibration
    return task.model_copy(update={"max_length": task.max_length or longest, "calibration": calibration})


def write_card(model: MultitaskModel, folder: Path, int8: bool, found: Sequence["Agreement"] = ()) -> None:
    """How the folder is used, in int8 with how it answers beside fp32, then the model's own card."""
    use = USE.format(precision="int8" if int8 else "fp32") + (OF_FP32 if int8 else "")
    if found:
        lines = [f"| {one.task} | {one.rows:,} | {one.measure} | {one.shown} | {one.bound:.2f} |" for one in found]
        use += "\n".join(
            ["", AGREEMENT, "", "| task | rows | measure | value | at least |", "|---|--:|---|--:|--:|", ""]
        )
        use += "\n".join(lines) + "\n"
    card = cards.without(cards.CALIBRATION, model.card) if int8 and model.card else model.card
    write_text(folder / "README.md", cards.exported("onnx", "A minbert model in ONNX", use, card))


def is_export(folder: Path) -> bool:
    """Whether `export` wrote a folder: the graph of every task of its tasks.json lies beside the weights of all."""
    try:
        tasks = read_tasks(folder / TASKS)
    except (OSError, ModelError):
        return False
    return bool(tasks) and all((folder / file).is_file() for file in (WEIGHTS, *(f"{name}.onnx" for name in tasks)))


def _graphs(model: MultitaskModel, tasks: Mapping[str, Task], int8: bool) -> Iterator[tuple[str, "ModelProto"]]:
    from minbert.inference import onnx_graph

    for name, task in tasks.items():
        graph = onnx_graph.task_graph(model, name, task)
        yield name, quantized(graph) if int8 else graph


def quantized(graph: "ModelProto") -> "ModelProto":
    """The graph with the encoder's matrices and word table in 8 bits, and activations rounded as they come.

    Unsigned weights: with signed ones, processors without VNNI add two products in 16 bits and cut what overflows.
    The head stays as it is; it is small.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from minbert.inference import onnx_graph

    said = graph.metadata_props.add()
    said.key, said.value = "onnx.quant.pre_process", "onnxruntime.quant"  # no shapes are left to be worked out
    head = [node.name for node in graph.graph.node if node.name.startswith(onnx_graph.HEAD_PART)]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "graph.onnx"
        quantize_dynamic(
            graph,
            target,
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=head,
        )
        return onnx_graph.read(target)


@dataclass(frozen=True)
class Agreement:
    """How int8 answers dev rows beside fp32: the share of equal classes, or of a regression r; None where undefined."""

    task: str
    rows: int
    measure: str
    value: float | None
    bound: float

    @property
    def shown(self) -> str:
        return "undefined" if self.value is None else f"{self.value:.4f}"

    @property
    def is_enough(self) -> bool:
        return self.value is not None and self.value >= self.bound


def agreement(name: str, task: Task, ours: Predictions, theirs: Predictions) -> Agreement:
    """Compares two models' answers to the same examples."""
    if task.is_regression:
        return Agreement(name, len(ours.ids), "r", pearson(theirs.scores, ours.scores), LEAST_R)
    equal = float(np.mean(theirs.values == ours.values))
    return Agreement(name, len(ours.ids), "labels equal", equal, LEAST_EQUAL)


def needs(*packages: str) -> None:
    """Raises ModelError where a package is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModelError(f"ONNX needs the package {package}: pip install 'minbert[onnx]'")
