"""A frozen encoder: heads alone learn, from pooled texts that are computed once, or anew with dropout."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import minbert
from minbert import training
from minbert.bert import Bert
from minbert.errors import RecipeError, TrainingError
from minbert.jobs import pool_once, training_batch
from minbert.recipes import load
from tiny import assert_same, contents, start, with_training


def frozen(values: dict[str, object], **changes: object) -> dict[str, object]:
    """The three tasks with heads that have weights, the encoder frozen."""
    near = values["tasks"]["near"] | {"head": "concat"}  # type: ignore[index]
    tasks = values["tasks"] | {"near": near}  # type: ignore[operator]
    return with_training(values, mode="frozen", **changes) | {"tasks": tasks}


def encoder_weights(model: minbert.MultitaskModel) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.encoder.state_dict().items()}


class TextsCounted:
    """Every text that goes through an encoder, as its token ids."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[tuple[int, ...]] = []
        forward = Bert.forward

        def counting(bert: Bert, input_ids: Tensor, attention_mask: Tensor) -> object:
            pairs = zip(input_ids.tolist(), attention_mask.sum(1).tolist(), strict=True)
            self.texts += [tuple(ids[:length]) for ids, length in pairs]
            return forward(bert, input_ids, attention_mask)

        monkeypatch.setattr(Bert, "forward", counting)


@pytest.mark.parametrize("swap_pairs", [False, True])
def test_updates_equal_a_loop_that_runs_the_encoder_every_time(values: dict[str, object], swap_pairs: bool) -> None:
    recipe = frozen(values, head_dropout=0.0, swap_pairs=swap_pairs) | {
        "optimizer": {"lr": 1e-2, "head_lr": 1e-2, "warmup": 0, "decay": "constant"},
    }
    job, state = start(recipe)
    _, other = start(recipe)
    model = other.model.eval()
    weights = [weight for _, weight in model.named_head_parameters()]
    adamw = torch.optim.AdamW(
        [{"params": [w for w in weights if (w.ndim >= 2) == m], "weight_decay": 0.01 * m} for m in (True, False)],
        lr=1e-2,
    )
    pooled = pool_once(job, state.model)
    for step in range(1, 8):
        training.update(pooled, state)
        losses = [
            job.tasks[job.names[draw.task]].weight
            * model.loss(job.names[draw.task], training_batch(job, job.names[draw.task], draw.first))
            for draw in job.schedule.draws(step)
        ]
        adamw.zero_grad()
        sum(losses).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_([w for w in weights if w.grad is not None], 1.0)
        adamw.step()
    for (name, ours), (_, literal) in zip(
        state.model.named_head_parameters(), model.named_head_parameters(), strict=True
    ):
        torch.testing.assert_close(ours, literal, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("frozen_dropout", [False, True])
def test_heads_learn_and_the_encoder_keeps_every_bit(
    values: dict[str, object], tmp_path: Path, frozen_dropout: bool
) -> None:
    recipe = frozen(values, epochs=8, frozen_dropout=frozen_dropout)
    _, state = start(recipe)
    before, heads = encoder_weights(state.model), dict(state.model.named_head_parameters())
    run = minbert.train(recipe, runs=tmp_path / "runs")
    last = minbert.MultitaskModel.from_pretrained(run.last)
    assert all(torch.equal(weight, before[name]) for name, weight in last.encoder.state_dict().items())
    assert not [name for name, weight in last.named_head_parameters() if torch.equal(weight, heads[name])]
    losses = [sum(record["losses"].values()) for record in run.records() if record["kind"] == "step"]
    assert np.mean(losses[-4:]) < np.mean(losses[:4])


def test_every_text_goes_through_the_encoder_once(
    values: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = start(frozen(values))
    expected = sorted(
        tuple(ids)
        for split in ("train", "dev")
        for encoded in job.encoded[split].values()  # type: ignore[index]
        for column in encoded.texts
        for ids in column
    )
    counted = TextsCounted(monkeypatch)
    minbert.train(frozen(values, epochs=6), runs=tmp_path / "runs")
    assert sorted(counted.texts) == expected


def test_with_the_encoders_dropout_every_batch_goes_through_it_anew(
    values: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, state = start(frozen(values, frozen_dropout=True, head_dropout=0.0))
    assert pool_once(job, state.model) is job
    counted = TextsCounted(monkeypatch)
    training.update(job, state)
    assert len(counted.texts) == sum(len(training_batch(job, name, 0).input_ids) for name in job.names)
    state.model.train()
    batch = training_batch(job, "mood", 0)
    assert not torch.equal(state.model.output("mood", batch), state.model.output("mood", batch))
    job, state = start(frozen(values, head_dropout=0.0))
    pooled = pool_once(job, state.model.train())
    batch = training_batch(pooled, "mood", 0)
    assert torch.equal(state.model.output("mood", batch), state.model.output("mood", batch))


def test_scores_of_pooled_texts_are_those_of_the_model_that_is_kept(values: dict[str, object], tmp_path: Path) -> None:
    run = minbert.train(frozen(values, epochs=3), runs=tmp_path / "runs")
    model = minbert.MultitaskModel.from_pretrained(run.last)
    job, _ = start(frozen(values))
    for name, encoded in job.encoded["dev"].items():
        plain, pooled = (
            model.predict_encoded(name, encoded),
            model.predict_encoded(name, model.pool_once(name, encoded)),
        )
        np.testing.assert_allclose(plain.scores, pooled.scores, atol=1e-5)


def test_a_pairs_pooled_texts_change_places_with_it(values: dict[str, object]) -> None:
    job, state = start(frozen(values))
    encoded = state.model.pool_once("same", job.encoded["train"]["same"])
    swapped = np.array([True, False, True])
    (straight, turned) = (encoded.batch([0, 5, 7], s).pooled for s in (None, swapped))
    assert straight is not None
    assert turned is not None
    for row, swap in enumerate(swapped):
        assert torch.equal(turned[0][row], straight[int(swap)][row])
        assert torch.equal(turned[1][row], straight[1 - int(swap)][row])


def test_stopping_and_resuming_changes_nothing(values: dict[str, object], tmp_path: Path) -> None:
    whole = minbert.train(frozen(values), runs=tmp_path / "whole")
    session = training.begin(load(frozen(values)), tmp_path / "parts" / "tiny")
    for count, _ in enumerate(training.records(session)):
        if count == 5:
            session.save()
            break
    parts = minbert.train(frozen(values), runs=tmp_path / "parts", resume=True)
    assert_same(contents(parts.folder), contents(whole.folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"gradients": {"method": "pcgrad"}, "training": {"mode": "frozen"}},
            r"gradients\.method = 'pcgrad' has nothing to do where no encoder learns; set it to 'sum'",
        ),
        ({"training": {"frozen_dropout": True}}, r'training\.frozen_dropout is for training\.mode = "frozen"'),
        (
            {"training": {"mode": "frozen", "encoder_dropout": 0.2}},
            r"training\.encoder_dropout has no effect on a frozen encoder without frozen_dropout = true",
        ),
    ],
)
def test_keys_without_effect_are_refused(values: dict[str, object], change: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(values | change)


def test_a_task_in_which_nothing_can_learn_is_refused_unless_it_is_only_scored(
    values: dict[str, object], tmp_path: Path
) -> None:
    cosine = with_training(values, mode="frozen", epochs=1)
    with pytest.raises(TrainingError, match=r"task 'near': head 'cosine' has no weights, .* leave it out of schedule"):
        start(cosine)
    run = minbert.train(cosine | {"schedule": {"order": ["mood", "same"]}}, runs=tmp_path / "runs")
    assert "near" in run.records()[0]["metrics"]
