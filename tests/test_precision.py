"""bf16: refused where the processor lacks it, and where it has it, close to float32 with weights in float32."""

import numpy as np
import pytest
import torch

from minbert import kernels, training
from minbert.errors import TrainingError
from minbert.jobs import training_batch
from minbert.kernels import bf16_is_native
from minbert.losses import LOSSES
from tiny import start, with_training


def test_bf16_is_refused_with_the_reason_where_the_processor_lacks_it(
    values: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False})
    with pytest.raises(TrainingError, match=r"precision = 'bf16', and this processor does not .* set it to that"):
        start(with_training(values, precision="bf16", device="cpu"))


@pytest.mark.parametrize("unit", ["avx512_bf16", "amx_bf16", "bf16", "sve_bf16"])
def test_each_makers_name_for_bf16_is_known(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {unit: True})
    assert bf16_is_native(torch.device("cpu"))
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert not bf16_is_native(torch.device("cpu"))


@pytest.mark.parametrize("method", ["sum", "pcgrad"])
def test_bf16_trains_close_to_float32_and_keeps_float32_weights(
    values: dict[str, object], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minbert.jobs.bf16_is_native", lambda device: True)
    monkeypatch.setattr("minbert.bert.dropout", lambda x, p: x)  # attention goes as with dropout, and drops nothing
    recipe = with_training(values, encoder_dropout=0.0, head_dropout=0.0) | {"gradients": {"method": method}}
    job, state = start(recipe)
    halved, other = start(with_training(recipe, precision="bf16"))
    for layer in (*state.model.encoder.encoder.layer, *other.model.encoder.encoder.layer):
        layer.attention.self.dropout_prob = 0.5
    for _ in range(3):
        record, rounded = training.update(job, state), training.update(halved, other)
        for name, loss in record.losses.items():
            assert rounded.losses[name] == pytest.approx(loss, rel=0.03, abs=0.01)
            assert rounded.gradient_norms[name] == pytest.approx(record.gradient_norms[name], rel=0.1)
        assert rounded.losses != record.losses, "nothing was rounded"
    assert {weight.dtype for weight in other.model.parameters()} == {torch.float32}
    moments = [m for s in other.optimizer.state.values() for n, m in s.items() if n != "step"]
    assert {moment.dtype for moment in moments} == {torch.float32}
    state.model.load_state_dict(other.model.state_dict())  # the same weights in the model of a recipe without bf16
    rounded, full = (training.assess(*side).evaluation for side in ((halved, other), (job, state)))
    for name, answers in rounded.predictions.items():
        assert np.array_equal(answers.scores, full.predictions[name].scores)


@pytest.mark.parametrize("head", ["concat", "interaction"])
def test_bf16_rounds_no_label(values: dict[str, object], head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minbert.jobs.bf16_is_native", lambda device: True)
    recipe = with_training(values, precision="bf16")
    recipe["tasks"]["near"] |= {"head": head}
    job, state = start(recipe)
    batch = training_batch(job, "near", 0)
    batch.labels.fill_(257.5)  # bf16 has 256 and 258
    seen = []
    monkeypatch.setitem(LOSSES, "mse", lambda scores, labels, _: seen.append((scores.dtype, labels)) or scores.sum())
    with torch.autocast("cpu", torch.bfloat16):
        state.model.loss("near", batch)
    assert seen[0][0] == torch.float32
    assert seen[0][1].tolist() == [257.5] * len(batch.labels)


def test_the_kernels_known_here_are_torchs_own_names() -> None:
    known = torch.cpu.get_capabilities()
    assert kernels.bf16_is_native(torch.device("cpu")) == any(
        known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
    )
    assert {"avx512_bf16", "amx_bf16"} <= known.keys() or known["architecture"] != "x86_64"
