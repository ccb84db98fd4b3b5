"""A model's encoder and the head of a task -> an ONNX graph that answers the task, written node by node.

It is `bert.py` and `heads.py` once more, in another language: any batch, any length, padding masked; dropout is left
out. Weights keep a checkpoint's names. Why no tracer writes it: docs/decisions/onnx.md.

Letters in shapes: B batch, L length, H hidden, A heads, D = H/A, K outputs.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.external_data_helper import set_external_data

from minbert.bert import BertConfig
from minbert.heads import Bounds
from minbert.model import MultitaskModel
from minbert.tasks import Task

OPSET, IR_VERSION = 17, 8  # the first with LayerNormalization; runtimes since 2022 read it
SMALL = 1024  # bytes up to which a tensor stays in its graph
PAGE = 4096  # weights start at multiples of it, so that a runtime can map the file into memory


class Graph:
    """Nodes and weights as they are added; a call adds a node and gives its result's name."""

    def __init__(self, state: dict[str, NDArray[np.float32]]) -> None:
        self.state, self.part = state, ""
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def __call__(self, op: str, *inputs: str, result: str | None = None, **attributes: Any) -> str:
        name = f"{self.part}{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [result or name], name=name, **attributes))
        return result or name

    def stored(self, name: str, value: NDArray[Any]) -> str:
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def own(self, key: str) -> str:
        """A weight of the model, by its key."""
        return self.stored(key, self.state[key])

    def number(self, value: float) -> str:
        return self.stored(f"number_{value!r}", np.array(value, dtype=np.float32))

    def whole(self, *values: int) -> str:
        """A list of whole numbers, such as axes or a shape."""
        return self.stored(f"whole_{'_'.join(map(str, values))}", np.array(values, dtype=np.int64))

    def linear(self, x: str, at: str) -> str:
        """W x + b."""
        product = self("MatMul", x, self.stored(f"{at}.weight", self.state[f"{at}.weight"].T))
        return self("Add", product, self.own(f"{at}.bias"))

    def norm(self, x: str, at: str, epsilon: float) -> str:
        """LayerNorm."""
        return self("LayerNormalization", x, self.own(f"{at}.weight"), self.own(f"{at}.bias"), axis=-1, epsilon=epsilon)

    def gelu(self, x: str) -> str:
        """x (1 + erf(x / sqrt(2))) / 2."""
        share = self("Add", self("Erf", self("Div", x, self.number(math.sqrt(2)))), self.number(1))
        return self("Mul", self("Mul", x, share), self.number(0.5))

    def floats(self, x: str) -> str:
        return self("Cast", x, to=onnx.TensorProto.FLOAT)

    def sum(self, x: str, axis: int, keep: bool) -> str:
        return self("ReduceSum", x, self.whole(axis), keepdims=int(keep))


def encoder(g: Graph, config: BertConfig, input_ids: str, real: str) -> str:
    """input_ids [B, L], real [B, L] booleans -> the last hidden states [B, L, H], zeros at padding."""
    words = g(
        "Gather", g.stored("embeddings.word_embeddings.weight", g.state["embeddings.word_embeddings.weight"]), input_ids
    )
    # Every token is of type 0, so its vector is a part of the place's.
    table = g.state["embeddings.position_embeddings.weight"] + g.state["embeddings.token_type_embeddings.weight"][0]
    length = g("Gather", g("Shape", input_ids), g.whole(1))  # [1]
    places = g("Slice", g.stored("embeddings.position_and_type", table), g.whole(0), length, g.whole(0))  # [L, H]
    hidden = g.norm(g("Add", words, places), "embeddings.LayerNorm", config.layer_norm_eps)
    # The lowest number for -inf: a text of padding alone gives numbers, too.
    mask = g("Where", real, g.number(0.0), g.number(float(np.finfo(np.float32).min)))
    mask = g("Unsqueeze", mask, g.whole(1, 2))  # [B, L] -> [B, 1, 1, L]
    for place in range(config.num_hidden_layers):
        hidden = layer(g, config, hidden, mask, f"encoder.layer.{place}")
    return g("Mul", hidden, g("Unsqueeze", g.floats(real), g.whole(2)))


def layer(g: Graph, config: BertConfig, x: str, mask: str, at: str) -> str:
    """Attention and feed-forward, each with its residual: [B, L, H] -> [B, L, H]."""
    A, H = config.num_attention_heads, config.hidden_size
    q, k, v = (
        g("Reshape", g.linear(x, f"{at}.attention.self.{part}"), g.whole(0, 0, A, H // A))  # three of [B, L, A, D]
        for part in ("query", "key", "value")
    )
    scores = g("MatMul", g("Transpose", q, perm=[0, 2, 1, 3]), g("Transpose", k, perm=[0, 2, 3, 1]))  # [B, A, L, L]
    scores = g("Add", g("Div", scores, g.number(math.sqrt(H // A))), mask)
    mixed = g("MatMul", g("Softmax", scores, axis=-1), g("Transpose", v, perm=[0, 2, 1, 3]))  # [B, A, L, D]
    mixed = g("Reshape", g("Transpose", mixed, perm=[0, 2, 1, 3]), g.whole(0, 0, H))
    attended = add_and_norm(g, config, mixed, x, f"{at}.attention.output")
    return add_and_norm(g, config, g.gelu(g.linear(attended, f"{at}.intermediate.dense")), attended, f"{at}.output")


def add_and_norm(g: Graph, config: BertConfig, x: str, residual: str, at: str) -> str:
    """LayerNorm(residual + W x + b)."""
    return g.norm(g("Add", residual, g.linear(x, f"{at}.dense")), f"{at}.LayerNorm", config.layer_norm_eps)


def pool_cls_raw(g: Graph, hidden: str, real: str) -> str:  # noqa: ARG001 (one signature for all)
    """[B, L, H] -> [B, H], and so all of these."""
    return g("Squeeze", g("Slice", hidden, g.whole(0), g.whole(1), g.whole(1)), g.whole(1))


def pool_cls(g: Graph, hidden: str, real: str) -> str:
    return g("Tanh", g.linear(pool_cls_raw(g, hidden, real), "pooler.dense"))


def pool_mean(g: Graph, hidden: str, real: str) -> str:
    tokens = g.sum(g.floats(real), 1, keep=True)  # [B, 1]
    return g("Div", g.sum(hidden, 1, keep=False), g("Max", tokens, g.number(1)))


def cosine_of(g: Graph, p1: str, p2: str) -> str:
    """[B, H] twice -> [B, 1], exactly 1 for equal vectors."""
    dot, *squares = (g.sum(g("Mul", a, b), 1, keep=True) for a, b in ((p1, p2), (p1, p1), (p2, p2)))
    return g("Div", dot, g("Sqrt", g("Max", g("Mul", *squares), g.number(1e-16))))


def linear(g: Graph, bounds: Bounds, *pooled: str) -> str:  # noqa: ARG001 (one signature for all)
    """W [p; …]: of one text, or of a pair's two."""
    return g.linear(pooled[0] if len(pooled) == 1 else g("Concat", *pooled, axis=1), "head.dense")


def cosine(g: Graph, bounds: Bounds, p1: str, p2: str) -> str:
    low, high = map(g.number, bounds)
    share = cosine_of(g, p1, p2)
    return g("Add", g("Mul", low, g("Sub", g.number(1), share)), g("Mul", high, share))


def concat_cosine(g: Graph, bounds: Bounds, p1: str, p2: str) -> str:
    return linear(g, bounds, p1, p2, cosine_of(g, p1, p2))


def interaction(g: Graph, bounds: Bounds, p1: str, p2: str) -> str:  # noqa: ARG001
    features = g("Concat", p1, p2, g("Abs", g("Sub", p1, p2)), g("Mul", p1, p2), axis=1)  # [B, 4H]
    return g.linear(g.gelu(g.linear(features, "head.hidden")), "head.dense")


def probabilities(g: Graph, task: Task, logits: str) -> str:
    """A probability for every class, in the order of the labels; scaled where the task is calibrated."""
    if task.calibration is not None:
        logits = g("Div", logits, g.number(task.calibration.temperature))
    if task.loss == "cross-entropy":
        return g("Softmax", logits, result="probabilities", axis=1)
    if task.is_multi_label:
        return g("Sigmoid", logits, result="probabilities")
    yes = g("Sigmoid", logits)  # [B, 1], of the second class
    return g("Concat", g("Sub", g.number(1), yes), yes, result="probabilities", axis=1)


def task_graph(model: MultitaskModel, name: str, task: Task) -> onnx.ModelProto:
    """The whole graph of a task, calibrated as `task` says. Inputs: input_ids and attention_mask, int64 [B, L]; of a
    pair input_ids_1, attention_mask_1, input_ids_2, attention_mask_2, whose lengths may differ. Outputs: score [B,
    1], or logits [B, K] and probabilities, a column a label."""
    config = model.encoder.config
    state = model.encoder.state_dict() | {f"head.{k}": v for k, v in model.head(name).state_dict().items()}
    g = Graph({key: value.detach().float().cpu().numpy() for key, value in state.items()})
    pooled, inputs = [], []
    for suffix in ("_1", "_2") if task.is_pair else ("",):
        g.part = f"text{suffix}/"
        ids, mask = f"input_ids{suffix}", f"attention_mask{suffix}"
        real = g("Greater", mask, g.whole(0))
        pooled.append(POOLINGS[task.pooling](g, encoder(g, config, ids, real), real))
        shape = ["batch", f"length{suffix}"]
        inputs += [helper.make_tensor_value_info(one, onnx.TensorProto.INT64, shape) for one in (ids, mask)]
    g.part = HEAD_PART
    output = HEADS[task.head or ""](g, task.bounds, *pooled)
    outputs = {g("Identity", output, result="score" if task.is_regression else "logits"): task.num_outputs}
    if not task.is_regression:
        outputs[probabilities(g, task, output)] = len(task.labels or ())
    shaped = [
        helper.make_tensor_value_info(one, onnx.TensorProto.FLOAT, ["batch", width]) for one, width in outputs.items()
    ]
    graph = helper.make_graph(g.nodes, name, inputs, shaped, list(g.weights.values()))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    made.producer_name = "minbert"
    helper.set_model_props(made, about(name, task, model.max_length))
    return made


def about(name: str, task: Task, longest: int) -> dict[str, str]:
    """What a graph says of itself: strings, those of `labels` and `range` in JSON."""
    said = {"task": name, "kind": task.kind, "head": str(task.head), "pooling": task.pooling}
    said["max_length"] = str(task.max_length or longest)
    if task.is_regression:
        return said | {"range": json.dumps(task.bounds)}
    return said | {"labels": json.dumps(task.labels, ensure_ascii=False)}


def write(graphs: Iterable[tuple[str, onnx.ModelProto]], weights: Path) -> None:
    """Writes the weights into one file, where those that several graphs share are once, and NAME.onnx beside it."""
    places: dict[bytes, int] = {}
    with weights.open("wb") as handle:
        for name, graph in graphs:
            for tensor in graph.graph.initializer:
                data = tensor.raw_data
                if len(data) <= SMALL:
                    continue
                digest = hashlib.sha256(data).digest()
                if digest not in places:
                    handle.write(bytes(-handle.tell() % PAGE))
                    places[digest] = handle.tell()
                    handle.write(data)
                set_external_data(tensor, weights.name, offset=places[digest], length=len(data))
                tensor.ClearField("raw_data")
            (weights.parent / f"{name}.onnx").write_bytes(graph.SerializeToString())


def read(file: Path) -> onnx.ModelProto:
    """A graph with its weights."""
    return onnx.load(file)


HEAD_PART = "head/"
POOLINGS: dict[str, Callable[[Graph, str, str], str]] = {
    "cls": pool_cls,
    "cls-raw": pool_cls_raw,
    "mean": pool_mean,
}
HEADS: dict[str, Callable[..., str]] = {
    "linear": linear,
    "concat": linear,
    "cosine": cosine,
    "concat-cosine": concat_cosine,
    "interaction": interaction,
}
