"""The plain loop: what a user writes on `transformers.BertModel` to train the tasks of a recipe, and its best settings.

Weights, heads, losses, dropouts and optimiser are those of the recipe, so both sides do the same work; what differs is
the encoder's code and the loop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import BertModel, logging

from minbert.heads import HEADS, POOLINGS
from minbert.jobs import Job
from minbert.kernels import DEFAULT, Kernels
from minbert.losses import LOSSES
from minbert.model import MultitaskModel


@dataclass(frozen=True)
class Settings:
    """How a plain loop is set up; the defaults are those of its libraries."""

    fused: bool = False  # AdamW as one kernel
    one_pass: bool = False  # both texts of a pair in one batch
    attention: str = "sdpa"
    precision: str = DEFAULT  # torch's kernels for float32 products, see minbert.kernels
    threads: int = field(default_factory=torch.get_num_threads)

    def __str__(self) -> str:
        passes = "one pass" if self.one_pass else "two passes"
        adamw = "fused" if self.fused else "default"
        return f"{adamw} AdamW, {passes}, {self.attention}, {self.precision}, {self.threads} threads"


logging.disable_progress_bar()
Columns = list[list[Tensor]]  # the token ids of a batch, text by text, for each text column


def torchs_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    """`bert.attention` by torch's function, with its dropout."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)


class PlainLoop(nn.Module):
    """A BertModel, a head for each task, AdamW; batches padded to their longest text."""

    def __init__(self, job: Job, model: MultitaskModel, settings: Settings) -> None:
        super().__init__()
        self.job, self.settings = job, settings
        self.encoder = BertModel.from_pretrained(job.encoder, attn_implementation=settings.attention)
        self.heads = nn.ModuleDict()
        for name, task in job.tasks.items():
            build = HEADS[task.head]
            head = build(
                model.encoder.config.hidden_size, task.num_outputs, job.recipe.training.head_dropout, task.bounds
            )
            head.load_state_dict(model.heads[f"head_{name}"].state_dict())
            self.heads[f"head_{name}"] = head
        table = job.recipe.optimizer
        learned = self.encoder.parameters(), self.heads.parameters()
        rates = table.lr, table.head_lr
        groups = [{"params": list(p), "lr": lr, "peak_lr": lr} for p, lr in zip(learned, rates, strict=True)]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            betas=tuple(table.betas),
            eps=table.eps,
            weight_decay=table.weight_decay,
            fused=settings.fused or None,
        )

    def pooled(self, name: str, texts: Sequence[Tensor]) -> Tensor:
        """One text column through the encoder, padded to its longest text: [B, H]."""
        input_ids = pad_sequence(list(texts), batch_first=True)
        mask = pad_sequence([torch.ones_like(ids) for ids in texts], batch_first=True)
        output = self.encoder(input_ids=input_ids, attention_mask=mask)
        pooling = POOLINGS[self.job.tasks[name].pooling]
        return pooling((output.last_hidden_state, output.pooler_output), mask)

    def loss(self, name: str, columns: Columns, labels: Tensor) -> Tensor:
        if self.settings.one_pass and len(columns) == 2:
            parts = self.pooled(name, columns[0] + columns[1]).chunk(2)
        else:
            parts = tuple(self.pooled(name, texts) for texts in columns)
        return LOSSES[self.job.tasks[name].loss](self.heads[f"head_{name}"](*parts), labels)

    def update(self, rows: Mapping[str, Sequence[int]]) -> dict[str, float]:
        """One update on these rows of every task; gives the tasks' losses."""
        with Kernels(self.settings.threads, self.settings.precision).in_use():
            return self._update(rows)

    def _update(self, rows: Mapping[str, Sequence[int]]) -> dict[str, float]:
        self.train()
        self.optimizer.zero_grad()
        losses = {name: self.loss(name, *self.batch(name, of_task)) for name, of_task in rows.items()}
        total = sum(self.job.tasks[name].weight * loss for name, loss in losses.items())
        total.backward()
        if self.job.recipe.gradients.clip != "off":
            torch.nn.utils.clip_grad_norm_(self.parameters(), self.job.recipe.gradients.clip)
        self.optimizer.step()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def batch(self, name: str, rows: Sequence[int]) -> tuple[Columns, Tensor]:
        encoded = self.job.encoded["train"][name]
        columns = [[torch.tensor(column[row]) for row in rows] for column in encoded.texts]
        if self.job.recipe.training.swap_pairs and len(columns) == 2:
            pairs = [(b, a) if torch.rand(()) < 0.5 else (a, b) for a, b in zip(*columns, strict=True)]
            columns = [[a for a, _ in pairs], [b for _, b in pairs]]
        return columns, torch.tensor(encoded.labels[list(rows)], dtype=torch.float32)

    def copy_to(self, model: MultitaskModel) -> None:
        """Gives a model of ours this loop's weights."""
        model.encoder.load_state_dict(self.encoder.state_dict())
        model.heads.load_state_dict(self.heads.state_dict())
