"""What a recipe may say: its tables and keys, their types, defaults and limits.

A field's text is its documentation; docs/recipes.md is made from it.
"""

import json
import re
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from minbert.errors import near
from minbert.tasks import NOT_IN_RECIPES, SPLITS, TASK_NAME, Task

RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows keeps these names
SCORES = ("sum", "course")  # over all tasks
USE_SLASHES = "in a path write / or use single quotes"
NAMED_ONCE = {  # the schedules without turns, and why a task has one place in their order
    "simultaneous": "a simultaneous update trains each once",
    "proportional": "a proportional schedule draws each by its rows, so name it once",
    "annealed": "an annealed schedule draws each by its rows, so name it once",
}
Positive = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class Table(BaseModel):
    """A table of a recipe: unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ScheduleTable(Table):
    """`[schedule]`: which tasks an update trains."""

    kind: Literal["simultaneous", "round-robin", "alternating", "proportional", "annealed"] = "simultaneous"
    """simultaneous: a batch of every task in every update; an epoch is a pass over the smallest task. round-robin: one
    task an epoch, in `order`; an epoch is a pass over it. alternating: one task an update, in `order` round after
    round; an epoch ends with the round in which the first task completes a pass. proportional: one task an update,
    drawn with p ~ N, its rows; an epoch has as many batches as a pass over every task. annealed: as proportional, but
    p ~ N^a, with a falling from 1 in the first epoch to 0.2 in the last (Stickland & Murray 2019)."""
    order: list[str] | None = None
    """The tasks that train; in turn for round-robin and alternating, which may name a task several times. Default: as
    the tasks stand in the recipe."""


class GradientsTable(Table):
    """`[gradients]`: how the tasks' gradients become one."""

    method: Literal["sum", "pcgrad"] = "sum"
    """sum: the weighted losses' gradients are added. pcgrad: first each is projected off those it conflicts with."""
    clip: Annotated[float, Field(gt=0)] | Literal["off"] = 1.0
    """Largest norm of an update's gradient over encoder and heads together, or "off"."""
    inspect_every: Positive | Literal["off"] = 50
    """Updates from one close look at conflict to the next, or "off": norms and cosines layer by layer, and the null,
    which is the cosine between two batches of the same task and costs a second gradient."""


class OptimizerTable(Table):
    """`[optimizer]`: AdamW and its learning rate over time."""

    lr: Annotated[float, Field(ge=0)] = 1e-4
    """Peak learning rate of the encoder."""
    head_lr: Annotated[float, Field(ge=0)] = Field(default_factory=lambda table: 5 * table.get("lr", 0.0))
    """Peak learning rate of the heads. Default: five times the encoder's, since they start untrained."""
    betas: list[Rate] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    """AdamW's decay rates of the gradient's mean and of its square."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """AdamW's term against division by zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of matrices; biases and LayerNorm have none."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of all updates over which the learning rate rises from zero."""
    decay: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after the warm-up."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate for each encoder layer below the top one."""


def _default_epochs(table: dict[str, Any]) -> int | None:
    return 3 if table.get("max_steps") is None else None


class TrainingTable(Table):
    """`[training]`: what learns, how long, in what portions, and what is kept."""

    mode: Literal["finetune", "frozen"] = "finetune"
    """finetune: encoder and heads learn. frozen: heads alone; the encoder's output is computed once for every text."""
    frozen_dropout: bool = False
    """With mode = "frozen": keep the encoder's dropout on in training, as the CS224N course's code does. Then no
    output can be kept, and every batch goes through the encoder."""
    max_steps: Annotated[int, Field(ge=0)] | None = None
    """Updates at most."""
    epochs: Annotated[int, Field(ge=0)] | None = Field(default_factory=_default_epochs)
    """Epochs at most. Default: 3, or as many as max_steps takes where that is given."""
    batch_size: Positive | dict[str, Positive] = 16
    """Examples of a task in a batch; a table gives each task its own."""
    accumulate: Positive = 1
    """Batches of a task whose gradients are averaged into one update."""
    steps_per_epoch: Positive | None = None
    """Updates an epoch at most, under every schedule; the next epoch goes on with rows not yet seen."""
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of every epoch's number of updates, rounded up, for a shorter trial; `max_steps` stays as it is."""
    batching: Literal["length", "random"] = "length"
    """length: texts of like length share a batch, which saves padding. random: any. Every row once a pass in both."""
    swap_pairs: bool = False
    """Whether a pair's two texts change places at random in training."""
    head_dropout: Rate = 0.1
    """Dropout in the heads."""
    encoder_dropout: Rate | None = None
    """Replaces both dropout rates of the encoder's config; without it they stay."""
    max_length: Annotated[int, Field(ge=3)] | None = None
    """Longest text in tokens, [CLS] and [SEP] included; without it, the encoder's limit."""
    evaluate_every: Positive | None = None
    """Updates between evaluations on dev; without it, each epoch's end."""
    patience: Positive | None = None
    """Training ends after so many evaluations without a better score."""
    checkpoint_every: Positive = 200
    """Updates between saved states; one is saved at every evaluation besides."""
    time_limit: Annotated[float, Field(gt=0)] | None = None
    """Seconds of training after which the run ends in good order."""
    select_on: str = "sum"
    """What the best model is chosen by on dev: sum, course, or a task's name."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Number format of training's matrix products. bf16: torch's autocast; weights, their updates and every answer stay
    fp32. Refused where the processor has no native bf16, since it would be several times slower there."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes a GPU if there is one."""


class ControlTable(Table):
    """`[control]`: the run that this one is to be compared with."""

    of: str
    """Name of that run."""
    key: str
    """The one key in which the two recipes differ, such as gradients.method; * stands for any task."""


class Recipe(Table):
    """A whole recipe. Load one with `load`, which fills in the built-in tasks and finds their files."""

    name: str
    """The run's name, and its folder's; without it, the recipe file's."""
    encoder: str = "minilm"
    """minilm (built in), a folder of a BERT checkpoint or of a run, or a hub id. A run's best model is gone on from:
    tasks that it has by the same name, with the same classes and head, begin with its heads too."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Decides initial heads, the order of the data, and dropout."""
    tasks: Annotated[dict[str, Task], Field(min_length=1)]
    """The tasks by name; `[tasks.sst]` alone is the built-in task of that name."""
    schedule: ScheduleTable = ScheduleTable()
    gradients: GradientsTable = GradientsTable()
    optimizer: OptimizerTable = OptimizerTable()
    training: TrainingTable = TrainingTable()
    track: Literal["tensorboard"] | None = None
    """Where training's records go besides metrics.jsonl: tensorboard writes event files into the run's folder (needs
    `minbert[tensorboard]`)."""
    control: ControlTable | None = None
    """What this run is a control of, for `minbert experiment`; training does not look at it."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"[\w][\w.+-]{0,99}", name, re.ASCII) or name.endswith(".") or RESERVED.fullmatch(name):
            raise ValueError(
                f"name = {name!r:.60} cannot name a folder everywhere; use letters, digits, '-', '_', '.'"
                " in name or --name"
            )
        return name

    @field_validator("tasks", mode="before")
    @classmethod
    def _holds_keys_of_recipes(cls, tasks: object) -> object:
        given = {n: vars(t) if isinstance(t, Task) else t for n, t in tasks.items()} if isinstance(tasks, dict) else {}
        tables = {name: task for name, task in given.items() if isinstance(task, dict)}
        faults = [f"tasks.{n}.{key}" for n, t in tables.items() for key in NOT_IN_RECIPES if t.get(key) is not None]
        if faults:
            raise ValueError(f"{', '.join(faults)} is what `minbert calibrate` finds for a trained model; leave it out")
        return tasks

    @field_validator("tasks")
    @classmethod
    def _names_tasks(cls, tasks: dict[str, Task]) -> dict[str, Task]:
        for name in tasks:
            if not TASK_NAME.fullmatch(name):
                raise ValueError(f"task name {name!r:.60} should be of letters, digits, '-' and '_' alone")
            if name in SCORES:
                raise ValueError(f"'{name}' is a score over all tasks; give the task another name")
        if not any(task.weight for task in tasks.values()):
            raise ValueError("every task has weight 0; give one a weight")
        return tasks

    @model_validator(mode="after")
    def _fits_its_tasks(self) -> Self:
        names, order = list(self.tasks), self.order
        faults = [f"schedule.order names '{n}', no task{near(n, names)}" for n in order if n not in names]
        if self.training.epochs is None and self.training.max_steps is None:
            faults.append("[training] says no end; give it epochs or max_steps")
        if not order:
            faults.append("schedule.order names no task")
        if self.schedule.kind in NAMED_ONCE and len(set(order)) < len(order):
            faults.append(f"schedule.order names a task twice; {NAMED_ONCE[self.schedule.kind]}")
        if isinstance(self.training.batch_size, dict):
            sizes = self.training.batch_size
            faults += [f"training.batch_size names '{n}', no task{near(n, names)}" for n in sizes if n not in names]
            faults += [f"training.batch_size gives no size to '{n}'" for n in names if n not in sizes]
        faults += self._faults_of_mode() + self._faults_of_files() + self._faults_of_shared_heads()
        scored = [task for task in self.tasks.values() if task.divides_train or task.dev is not None]
        if len({(task.folds, task.fold) for task in scored}) > 1:
            ways = ", ".join(f"{name} {task.folds}" for name, task in self.tasks.items() if task in scored)
            faults.append(f"folds and fold should be the same in every scored task, or in none; folds are {ways}")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of_mode(self) -> list[str]:
        """Keys that would have no effect on what learns."""
        training, method = self.training, self.gradients.method
        faults = []
        if method != "sum" and (self.schedule.kind != "simultaneous" or len(set(self.order)) < 2):
            faults.append(
                f"gradients.method = '{method}' has nothing to do where an update trains one task; "
                "set it to 'sum', or train several with schedule.kind = \"simultaneous\""
            )
        if training.mode == "finetune":
            return faults + ['training.frozen_dropout is for training.mode = "frozen"'] * training.frozen_dropout
        if method != "sum":
            faults.append(f"gradients.method = '{method}' has nothing to do where no encoder learns; set it to 'sum'")
        if training.encoder_dropout is not None and not training.frozen_dropout:
            faults.append("training.encoder_dropout has no effect on a frozen encoder without frozen_dropout = true")
        return faults

    def _faults_of_files(self) -> list[str]:
        """What is wrong with paths as such, and with choosing a model by a file that is not there."""
        tasks = self.tasks.items()
        paths = [(f"tasks.{n}.{split}", file) for n, task in tasks for split in SPLITS for file in task.files(split)]
        faults = [
            f"{key} = {json.dumps(path)} holds a control character; {USE_SLASHES}"  # "C:\temp" is C:, a tab, and emp
            for key, path in (*paths, ("encoder", self.encoder))
            if re.search(r"[\x00-\x1f\x7f]", path)
        ]
        chosen, known = self.training.select_on, [*SCORES, *self.tasks]
        if chosen not in known:
            faults.append(f"training.select_on = {chosen!r:.60} is not sum, course or a task{near(chosen, known)}")
        elif chosen in self.tasks and self.tasks[chosen].dev is None and not self.tasks[chosen].divides_train:
            faults.append(f"training.select_on = '{chosen}', and tasks.{chosen} names no dev file to score it on")
        return faults

    def _faults_of_shared_heads(self) -> list[str]:
        """Tasks that cannot use the head that they name."""
        faults = []
        for name, task in self.tasks.items():
            others = {other: of for other, of in self.tasks.items() if other != name}
            if task.shares_head is not None:
                owner = others.get(task.shares_head)
                fault = (
                    f"no other task{near(task.shares_head, list(others))}" if owner is None else _unlike(task, owner)
                )
                faults += [f"tasks.{name}.shares_head = '{task.shares_head}' names {fault}"] if fault else []
        return faults

    @property
    def order(self) -> list[str]:
        return list(self.tasks) if self.schedule.order is None else self.schedule.order

    @property
    def folds(self) -> list[int | None]:
        """The parts of the train files to hold back, a run each; one None where a single run is all."""
        count = next((task.folds for task in self.tasks.values() if task.folds), None)
        return [*range(1, count + 1)] if count and self.fold is None else [None]

    @property
    def fold(self) -> int | None:
        """The part of the train files that the run holds back."""
        return next((task.fold for task in self.tasks.values() if task.folds), None)

    def with_fold(self, fold: int | None) -> Self:
        """The recipe of the run that holds that part back."""
        tasks = {n: task.model_copy(update={"fold": fold}) if task.folds else task for n, task in self.tasks.items()}
        return self.model_copy(update={"tasks": tasks})

    def batch_size(self, task: str) -> int:
        size = self.training.batch_size
        return size if isinstance(size, int) else size[task]

    def to_toml(self) -> str:
        """The recipe in full, every default written out; loading it gives the same recipe."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))


def _unlike(task: Task, owner: Task) -> str | None:
    """Why a task cannot use another one's head, or None. Classes that a recipe leaves to the data are the owner's."""
    if owner.shares_head is not None:
        return f"a task without a head of its own; name '{owner.shares_head}'"
    one, other = task.completed(None), owner.completed(None)
    keys = ("kind", "head", "pooling", "loss", "range", *(("labels",) if task.labels is not None else ()))
    different = [key for key in keys if getattr(one, key) != getattr(other, key)]
    return f"a task with another {different[0]}; give both the same" if different else None
