"""MultitaskModel: one encoder and a head per task; loss, predict, embed, save and load.

Letters in shapes: B examples, N texts, L length, H hidden, K outputs of a head.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from minbert import cards
from minbert.answering import MAX_TOKENS, Answering
from minbert.bert import Bert
from minbert.errors import InputError, ModelError
from minbert.files import write_text
from minbert.heads import HEADS, POOLINGS
from minbert.losses import LOSSES
from minbert.pretrained import load_encoder, load_tokenizer, locate, read_weights, save_encoder, write_weights
from minbert.tasks import TASK_NAME, Task
from minbert.text import Batch, Encoded, batches_by_length, encode_texts, pad

TASKS = "tasks.json"
NOT_STORED = {"train", "dev", "holdout", "folds", "fold", "test", "weight", "class_weights"}
"""A model's tasks say how to read and answer, not what it learned from."""


class MultitaskModel(Answering, nn.Module):
    """One BERT and a head per task. `tasks` must be complete (`Task.completed`)."""

    def __init__(
        self, encoder: Bert, tokenizer: Tokenizer, tasks: Mapping[str, Task], head_dropout: float = 0.1
    ) -> None:
        nn.Module.__init__(self)
        Answering.__init__(self, tokenizer, tasks)
        self.encoder = encoder
        self.card: str | None = None
        self.heads = nn.ModuleDict()
        known, rows = tokenizer.get_vocab_size(), encoder.config.vocab_size
        if known > rows:
            raise ModelError(f"the tokenizer knows {known} tokens and the encoder {rows}; they are not of one model")
        for name, task in self.tasks.items():
            assert task.head is not None
            if not TASK_NAME.fullmatch(name):
                raise InputError(f"task name {name!r:.60} should be of letters, digits, '-' and '_' alone")
            self._check_length(name, task)
            if task.shares_head is None:
                head = HEADS[task.head](encoder.config.hidden_size, task.num_outputs, head_dropout, task.bounds)
                self.heads[_key(name)] = head

    @property
    def owners(self) -> list[str]:
        """The tasks with a head of their own; the others use one of theirs."""
        return [name for name, task in self.tasks.items() if task.shares_head is None]

    def head(self, task: str) -> nn.Module:
        """A task's head, its own or the one that it shares."""
        return self.heads[_key(self.tasks[task].shares_head or task)]

    @property
    def max_length(self) -> int:
        """The longest text the encoder takes, in tokens."""
        return self.encoder.config.max_position_embeddings

    @property
    def device(self) -> torch.device:
        return self.encoder.embeddings.word_embeddings.weight.device

    def output(self, task: str, batch: Batch) -> Tensor:
        """The head's output [B, K]."""
        parts = self.pooled(task, batch) if batch.pooled is None else batch.pooled
        return self.head(task)(*parts)  # type: ignore[no-any-return]

    def pooled(self, task: str, batch: Batch) -> tuple[Tensor, ...]:
        """The pooled texts, p [B, H] or of a pair p1 and p2; all of the batch go through the encoder at once."""
        pooling = POOLINGS[self.tasks[task].pooling]
        pooled = pooling(self.encoder(batch.input_ids, batch.attention_mask), batch.attention_mask)  # [S, H]
        return pooled.chunk(2) if batch.is_pair else (pooled,)

    def loss(self, task: str, batch: Batch) -> Tensor:
        """The mean loss of a labelled batch, without the task's weight; in fp32 at least, whatever the encoder's."""
        assert batch.labels is not None
        output = self.output(task, batch)
        output = output.to(torch.promote_types(output.dtype, torch.float32))  # bf16 would round the labels too
        return LOSSES[self.tasks[task].loss or ""](output, batch.labels, batch.weights)

    def named_head_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Every head's weights as (task.key, weight); a cosine has none."""
        for name in self.owners:
            yield from ((f"{name}.{key}", weight) for key, weight in self.head(name).named_parameters())

    def draw_head(self, task: str, seed: int) -> None:
        """Gives one head new initial weights, which depend on the seed alone and not on what was drawn before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for part in self.head(task).modules():
                if isinstance(part, nn.Linear):
                    part.reset_parameters()

    def batch_outputs(self, task: str, batch: Batch) -> NDArray[np.float64]:
        with self._at_rest():
            return self.output(task, batch.to(self.device)).float().cpu().double().numpy()

    def pool_once(self, task: str, encoded: Encoded) -> Encoded:
        """The examples with their pooled texts beside them, computed without dropout: right while the encoder stays
        as it is, so a frozen one runs once for every text."""
        width = self.encoder.config.hidden_size
        columns = tuple(torch.zeros(len(encoded), width) for _ in encoded.texts)
        with self._at_rest():
            for rows in batches_by_length(encoded.lengths, MAX_TOKENS // len(encoded.texts)):
                parts = self.pooled(task, encoded.batch(rows).to(self.device))
                for column, part in zip(columns, parts, strict=True):
                    column[rows] = part.float().cpu()
        return replace(encoded, pooled=columns)

    def embed(self, texts: Sequence[str], pooling: str = "mean", normalize: bool = False) -> NDArray[np.float32]:
        """Sentence vectors, float32 [N, H]; `normalize` gives each length 1. No texts give [0, H]."""
        if pooling not in POOLINGS:
            raise InputError(f"pooling '{pooling}' is unknown; take one of {', '.join(POOLINGS)}")
        if isinstance(texts, str):
            raise InputError("texts is one text; pass a list of texts")
        for place, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"text {place} is {text!r:.80}, which is no text")
        vectors = np.zeros((len(texts), self.encoder.config.hidden_size), dtype=np.float32)
        ids, _ = encode_texts(texts, self.tokenizer, self.max_length) if len(texts) else ([], None)
        lengths = np.array([len(text) for text in ids], dtype=np.int64)
        with self._at_rest():
            for rows in batches_by_length(lengths, MAX_TOKENS):
                input_ids, mask = pad([ids[row] for row in rows])
                pooled = POOLINGS[pooling](self.encoder(input_ids.to(self.device), mask), mask)
                vectors[rows] = (F.normalize(pooled, dim=-1) if normalize else pooled).float().cpu().numpy()
        return vectors

    def save_pretrained(self, folder: str | Path, about: str | None = None) -> None:
        """Writes a model's folder: the encoder as `transformers` reads it, the heads, the tasks, a model card.

        `about` is Markdown for the card: what the model was trained on and what it scored. Without it a model that was
        loaded keeps the card that it had.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_encoder(self.encoder, self.tokenizer, folder)
        write_weights(dict(self.named_head_parameters()), folder / "heads.safetensors")
        write_tasks(self.tasks, folder / TASKS)
        is_known = about is None and self.card is not None
        width = self.encoder.config.hidden_size
        text = self.card if is_known else cards.card(self.tasks, self.max_length, width, about or "")
        write_text(folder / "README.md", text or "")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Loads a model's folder, or the best model of a run's folder. Raises ModelError where it is neither."""
        folder = model_folder(Path(folder))
        if not folder.is_dir():
            raise ModelError(f"{folder} does not exist; name a model's folder, such as runs/NAME/best")
        if (folder / "last" / "progress.json").is_file():
            raise ModelError(f"{folder} is a run whose weights were not kept; take the first seed's, or --keep-weights")
        if seeds := sorted(run.parent.name for run in folder.glob("seed-*/best")):
            raise ModelError(f"{folder} holds the runs of several seeds; take {folder / seeds[0]}")
        if not (folder / TASKS).is_file():
            if parts := sorted(run.parent for depth in ("", "seed-*/") for run in folder.glob(f"{depth}fold-*/best")):
                raise ModelError(f"{folder} holds a run for each part of its train files; take {parts[0]}")
            raise ModelError(f"{folder} holds no tasks.json, so it is no model of minbert's; train one from it first")
        tasks = read_tasks(folder / TASKS)
        pooled = any(task.pooling == "cls" for task in tasks.values())
        model = cls(load_encoder(folder, needs_pooler=pooled), load_tokenizer(folder), tasks)
        model._load_heads(folder, model.owners)
        if (folder / "README.md").is_file():
            model.card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
        return model.eval()

    def take_heads(self, folder: Path) -> tuple[list[str], list[str]]:
        """Goes on from a model's folder: the heads of tasks that it has by the same name take its weights.

        Gives those tasks, and the ones of such a name that have another kind, head, pooling, loss, classes or range,
        which keep the head they have.
        """
        then = read_tasks(folder / TASKS) if (folder / TASKS).is_file() else {}
        known = [name for name in self.owners if name in then]
        same = [name for name in known if _have_one_head(self.tasks[name], then[name])]
        if same:
            self._load_heads(folder, same)
        return same, [name for name in known if name not in same]

    def _load_heads(self, folder: Path, names: Sequence[str]) -> None:
        stored = read_weights(folder / "heads.safetensors")
        for name in names:
            own = {k.removeprefix(f"{name}."): v for k, v in stored.items() if k.startswith(f"{name}.")}
            try:
                self.head(name).load_state_dict(own)
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:200]
                raise ModelError(f"{folder / 'heads.safetensors'} does not fit task '{name}': {reason}") from None

    @classmethod
    def from_encoder(cls, encoder: str, pooling: str = "mean") -> Self:
        """A model for `embed` from anything that `locate` finds, with or without tasks of its own."""
        folder = locate(encoder)
        if (folder / TASKS).is_file():
            return cls.from_pretrained(folder)
        return cls(load_encoder(folder, needs_pooler=pooling == "cls"), load_tokenizer(folder), {}).eval()

    def _check_length(self, name: str, task: Task) -> None:
        if task.max_length is not None and task.max_length > self.max_length:
            raise ModelError(
                f"task '{name}': max_length = {task.max_length} is more than this encoder's {self.max_length} tokens"
            )

    @contextlib.contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Evaluation mode without gradients inside the block; the mode before it comes back after."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                yield
        finally:
            self.train(training)


def model_folder(folder: Path) -> Path:
    """A model's folder itself, or that of a run's best model."""
    return folder / "best" if (folder / "best" / TASKS).is_file() else folder


def _key(task: str) -> str:
    """A task's name as a module's: ModuleDict has methods called `update` and `type`, and users tasks so named."""
    return f"head_{task}"


def _have_one_head(one: Task, other: Task) -> bool:
    """Whether a head of one task answers the other."""
    keys = ("kind", "head", "pooling", "loss", "labels", "range", "shares_head")
    return all(getattr(one, key) == getattr(other, key) for key in keys)


def write_tasks(tasks: Mapping[str, Task], file: Path) -> None:
    """Writes what a model stores of its tasks."""
    stored = {name: task.model_dump(exclude=NOT_STORED, exclude_none=True) for name, task in tasks.items()}
    write_text(file, json.dumps(stored, indent=2, ensure_ascii=False) + "\n")


def read_tasks(file: Path) -> dict[str, Task]:
    """A model's tasks; what the file leaves out is the kind's own choice."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        tasks = {name: Task.model_validate(task).completed(None) for name, task in stored.items()}
        for name, task in tasks.items():
            if not task.is_regression and task.labels is None:
                raise ValueError(f"task '{name}' has no labels")
    except (ValueError, AttributeError) as error:  # pydantic's ValidationError is a ValueError
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{file} is damaged ({reason}); copy the model anew") from None
    return tasks
