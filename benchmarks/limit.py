"""What a training step of ours spends its time on, and the share that its matrix products alone would take.

    ./dev bench limit --data DATA

Three tasks, batches of 16 drawn as a recipe does, every dropout kept. "products alone" does the products of the layers'
linear maps, forward and backward, of the same sizes and nothing else: the least that any float32 step here can take.
"""

import torch
from side_by_side.clock import interleave, machine
from side_by_side.workload import TASKS, Workload, arguments, build
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

ROUNDS = 3
STEPS = range(1, 9)
KINDS = {
    "products of linear maps": ("mm", "addmm"),
    "products within attention": ("bmm", "baddbmm"),
    "softmax": ("_softmax", "_softmax_backward_data"),
    "GELU": ("gelu", "gelu_backward"),
    "LayerNorm": ("native_layer_norm", "native_layer_norm_backward"),
    "copies and fills": ("copy_", "cat", "fill_", "index_select", "index_copy", "index_fill_", "stack"),
    "sums, factors, masks of dropout": ("mul", "mul_", "add", "add_", "ge_", "div_", "sum", "sub"),
    "AdamW": ("_fused_adamw_",),
    "Gram matrix": ("dot",),
}


def weights(work: Workload) -> list[tuple[Tensor, ...]]:
    """Of every layer's four linear maps, at random: [3H, H], [H, H], [I, H], [H, I]."""
    config = work.model.encoder.config
    hidden, wide = config.hidden_size, config.intermediate_size
    shapes = (3 * hidden, hidden), (hidden, hidden), (wide, hidden), (hidden, wide)
    return [tuple(torch.randn(shape) / shape[1] ** 0.5 for shape in shapes) for _ in range(config.num_hidden_layers)]


def multiply(layers: list[tuple[Tensor, ...]], tokens: int) -> None:
    """Forward and backward products of the layers for so many tokens."""
    hidden, inputs = torch.randn(tokens, layers[0][0].shape[1]), []
    for qkv, attention, intermediate, output in layers:
        widened = hidden @ qkv.T
        attended = hidden @ attention.T
        between = attended @ intermediate.T
        inputs.append((hidden, widened, attended, between))
        hidden = between @ output.T
    gradient = hidden
    for (qkv, attention, intermediate, output), (before, widened, attended, between) in zip(
        reversed(layers), reversed(inputs), strict=True
    ):
        gradient.T @ between
        inner = gradient @ output
        inner.T @ attended
        gradient = inner @ intermediate
        gradient.T @ before
        gradient @ attention
        widened.T @ before
        gradient = widened @ qkv


def main() -> None:
    options = arguments(__doc__ or "")
    work = build({name: name for name in TASKS}, 16, "length", options.data)
    steps = STEPS[:2] if options.quick else STEPS
    layers = weights(work)

    def products(step: int) -> None:
        for tokens in work.tokens_of_tasks(step):
            multiply(layers, tokens)

    print(f"{machine()}; this takes minutes, and other programs' load shows in it", flush=True)
    with work.kernels.in_use():
        taken = interleave({"step": work.update, "products alone": products}, steps, ROUNDS)
    print(f"a step {taken['step'] / len(steps) * 1000:.0f} ms, its products alone", end=" ")
    print(f"{taken['products alone'] / len(steps) * 1000:.0f} ms: {taken['products alone'] / taken['step']:.0%}")
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for step in steps:
            work.update(step)
    spent = {event.key.removeprefix("aten::"): event.self_cpu_time_total for event in profiled.key_averages()}
    total = sum(spent.values())
    shares = {kind: sum(spent.get(name, 0.0) for name in names) / total for kind, names in KINDS.items()}
    print("of the time in torch's operators, which the random bits of dropout are not in:")
    for kind, share in sorted(shares.items(), key=lambda item: -item[1]):
        print(f"{kind:35}{share:5.0%}")
    print(f"{'everything else':35}{1 - sum(shares.values()):5.0%}")


if __name__ == "__main__":
    main()
