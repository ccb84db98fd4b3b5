"""Results, dev sets and a source -> a report: Markdown text, and the figures that it names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from minbert.comparison import FEWEST
from minbert.errors import counted, near
from minbert.experiments.compare import SUM, compare_scores, differing
from minbert.experiments.results import Groups
from minbert.metrics import total
from minbert.reports import examples, figures, mistakes_text, score_tables, tables
from minbert.reports.claims import JUDGEMENTS, Judged, Judgement, judge
from minbert.reports.collection import Collection
from minbert.reports.figures import Plot
from minbert.reports.source import Contrast, Source
from minbert.reports.tables import Compared


@dataclass(frozen=True)
class Report:
    """What the runs in some folders found, all in one text."""

    collections: Sequence[Collection]
    source: Source | None = None
    with_text: bool = True

    @cached_property
    def lead(self) -> Collection:
        """The collection that the text dwells on: of those scored on dev files the one with most seeds, and runs."""
        return max(self.collections, key=lambda c: (c.is_of_dev_files, c.seeds, len(c.groups)))

    @cached_property
    def final(self) -> str:
        """The group whose mistakes are looked at: the source's, or else of those with most tasks the best sum's."""
        groups = self.lead.groups
        if self.source is not None and self.source.final in groups:
            return self.source.final
        return max(groups, key=lambda name: (len(groups[name][0].scores), fmean(total(r.scores) for r in groups[name])))

    @cached_property
    def judged(self) -> list[Judged]:
        if self.source is None:
            return []
        return judge(self.source.claims, self.lead.groups, self.lead.dev, self.source.tasks)

    @cached_property
    def plots(self) -> list[Plot]:
        """Every figure that the groups of the lead have the runs for."""
        groups, dev, final = self.lead.groups, self.lead.dev, self.lead.groups[self.final]
        turns = [name for name, group in groups.items() if group[0].recipe.schedule.kind == "round-robin"]
        found = [figures.balance(dev), figures.curves(self._shown(turns))]
        if conflicting := self._conflicting():
            found += [figures.conflict(conflicting), figures.conflict_by_layer(next(iter(conflicting.values())))]
        for name in final[0].answers:
            if dev[name].task.is_regression:
                found.append(figures.scatter(self._heads(name), dev[name]))
            elif not dev[name].task.is_multi_label:
                found.append(figures.confusion(final, dev[name]))
                found += [plot for plot in [figures.reliability(final, dev[name])] if plot is not None]
        return found

    def _shown(self, turns: Sequence[str]) -> Groups:
        """The source's groups, or two to set beside each other: tasks in turn above, all in every update below."""
        groups = self.lead.groups
        chosen = [name for name in (self.source.curves if self.source else []) if name in groups]
        others = [name for name in groups if name not in turns]
        return {name: groups[name] for name in chosen or [*turns[:1], *others[:1]]}

    def _conflicting(self) -> Groups:
        """The main question's first two groups that train several tasks in an update, or else the first two of all."""
        groups = self.lead.groups
        names = [*self._main_rows(), *groups]
        have = [n for n in dict.fromkeys(names) if any("/" in c.between for r in groups[n] for c in r.conflict)]
        return {name: groups[name] for name in have[:2]}

    def _heads(self, task: str) -> Groups:
        """A group for each head that the task was trained with, of the main question's where one has it."""
        heads: dict[str, str] = {}
        for name in [*self._main_rows(), *self.lead.groups]:
            group = self.lead.groups[name]
            if group[0].batches.get(task) and task in group[0].answers:
                heads.setdefault(str(group[0].recipe.tasks[task].head), name)
        return {name: self.lead.groups[name] for name in heads.values() or [self.final]}

    @cached_property
    def text(self) -> str:
        """The whole report as Markdown."""
        parts = [self._two_minutes(), self._data(), self._scores(), self._contrasts(), self._curves(), self._mistakes()]
        parts += [self._examples(), self._claims(), self._open(), self._making(), self._references()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _two_minutes(self) -> str:
        title = "What the runs found" if self.source is None else f"{self.source.title}: what the runs found"
        parts = [f"# {title}"]
        if self.source is not None and self.source.question:
            parts.append(f"**What was asked.** {self.source.question.strip()}")
        if self.source is not None and self.source.remark:
            parts.append(f"**How far it got.** {self.source.remark.strip()}")
        if self._named:
            parts += ["**What the differences that were asked about are worth.**", self._main_question()]
        also = "".join(
            f" Beside them the means of *{one.title}*, whose own table stands below." for one in self._beside
        )
        if self._others:
            also += f" All but tables of scores is about *{self.lead.title}*, the folder with most seeds and groups."
        parts.append(f"**What came out** ({self._kind(self.lead)}). {score_tables.BRACKETS}{also}")
        parts.append(self._score_table(self.lead, self._beside))
        if self.judged:
            counts = ", ".join(f"{len(of)} {word}" for word, of in self._by_word() if of)
            parts.append(f"**Which claims hold.** Of {len(self.judged)}: {counts}.")
            told = [(one, word + self._in_what(one)) for word, of in self._by_word() for one in of]
            rows = [[one.claim.says, judgement, tables.grounds(one)] for one, judgement in told]
            parts.append(tables.markdown(("claim", "judgement", "by"), rows, left=3))
            parts.append(self._what_would_tell())
        return "\n\n".join(parts)

    def _main_question(self) -> str:
        """A line for each pair of the main question, on the sum and what each task says, or on each without a sum."""
        worth = {}
        for pair, lines in self.contrasts:
            of_sum = [line for line in lines if line.score == SUM]
            of_tasks = [line for line in lines if line.score != SUM]
            told = [tables.worth(line) for line in of_sum or of_tasks]
            told += [tables.verdicts(of_tasks)] if of_sum else []
            worth[pair.name] = "; ".join(told) + (f". {pair.remark}" if pair.remark else "")
        asked = [f"- {pair.asks} {pair.name}: {worth.get(pair.name, '*not run*')}" for pair in self._named]
        asked += [f"- {room}" for room in [tables.surgery(self._conflicting())] if room]
        return "\n".join(" ".join(line.split()) for line in asked)

    @property
    def lacking(self) -> list[str]:
        """Groups that the source names and that have no run; beside one that may be misspelt, the one that is meant.

        A row of its own table that was not run is no fault, but for one that may be misspelt.
        """
        named, groups = [] if self.source is None else self.source.groups, self.lead.groups
        rows = [] if self.source is None else [row.run for row in self.source.table if row.run not in named]
        spare = [name for name in groups if name not in named]
        lacking = [f"{name}{self._elsewhere(name) or near(name, spare)}" for name in named if name not in groups]
        meant = [(name, near(name, [one for one in spare if one not in rows])) for name in rows if name not in groups]
        return lacking + [name + guess for name, guess in meant if guess]

    def _elsewhere(self, name: str) -> str:
        """That another folder has a group of this name, where one does."""
        found = [one.name for one in self._others if name in one.groups]
        return f" (there is one in {found[0]}; this report judges {self.lead.name})" if found else ""

    @property
    def _named(self) -> list[Contrast]:
        """The main question's pairs, those included of which a side has no run."""
        return [] if self.source is None else self.source.contrasts

    def _by_word(self) -> list[tuple[Judgement, list[Judged]]]:
        return [(word, [one for one in self.judged if one.judgement == word]) for word in reversed(JUDGEMENTS)]

    def _what_would_tell(self) -> str:
        """What the claims that stay open would need."""
        needs = {
            "undecided (seeds)": "three seeds or more of each run",
            "undecided": "more seeds, as far as the smallest visible difference shrinks with them, then more dev rows",
            "not run": "the runs themselves",
        }
        open_ones = [word for word, of in self._by_word() if of and word in needs]
        if not open_ones:
            return ""
        few = [f"{name} has {len(dev):,}" for name, dev in self.lead.dev.items() if len(dev) < FEWEST]
        said = "; ".join(f"*{word}*: {needs[word]}" for word in open_ones)
        small = f" That there is no difference can be said from {FEWEST} dev rows on; {', '.join(few)}." if few else ""
        return f"**What would tell.** {said}.{small}"

    @staticmethod
    def _in_what(one: Judged) -> str:
        """That a judgement is of these runs and rows alone, as of curves, and of what never happened in them."""
        is_told = one.judgement in ("supported", "contradicted")
        never = any(need.direction == "never" for need in one.claim.needs)
        return " in these runs" if is_told and (never or any(f.is_of_curve for f in one.findings)) else ""

    @staticmethod
    def _kind(collection: Collection) -> str:
        runs = sum(len(group) for group in collection.groups.values())
        held = "" if collection.is_of_dev_files else ", scored on rows held back from train"
        return f"*{collection.title}*, {counted(runs, 'run')}, dev scores at the last update, means over seeds{held}"

    def _data(self) -> str:
        rows = {} if self.source is None else self.source.rows
        parts = ["## The data", tables.data(self.lead.dev, rows), self._figure("balance")]
        return "\n\n".join([*parts, *filter(None, [examples.formats(self.lead.dev)])])

    def _score_table(self, collection: Collection, beside: Sequence[Collection] = ()) -> str:
        source = self.source if collection.is_of_dev_files else None
        cells, others = self._score_cells[collection.name], {other.name: other.groups for other in beside}
        return score_tables.scores(collection.groups, collection.dev, cells, source, others)

    @cached_property
    def _score_cells(self) -> dict[str, dict[str, list[str]]]:
        """By collection; they take a while, and the lead's stand in the text twice."""
        return {one.name: score_tables.score_cells(one.groups, one.dev) for one in self.collections}

    @property
    def _others(self) -> list[Collection]:
        """What is not the lead, rows held back from train last."""
        return sorted((c for c in self.collections if c is not self.lead), key=lambda c: not c.is_of_dev_files)

    @property
    def _beside(self) -> list[Collection]:
        """The other collections that were scored on the lead's very rows and have groups of the same names."""
        lead = self.lead
        return [one for one in self._others if one.groups.keys() & lead.groups.keys() and one.is_scored_as(lead)]

    def _scores(self) -> str:
        parts = ["## All scores", score_tables.SCORES_NOTE]
        for collection in [self.lead, *self._others]:
            parts += [f"### {collection.title}", f"{self._kind(collection)}."]
            parts += [self._score_table(collection), score_tables.patience(collection.groups)]
            parts += [score_tables.seeds(collection.groups), score_tables.training(collection.groups)]
        return "\n\n".join(filter(None, parts))

    @cached_property
    def contrasts(self) -> list[Compared]:
        """The pairs of the main question that were run, one family for Holm's correction with those that were not."""
        groups = self.lead.groups
        pairs = [pair for pair in self._named if pair.left in groups and pair.right in groups]
        scores = len(self.lead.dev) + (len(self.lead.dev) > 1)  # of a pair
        return self._compared(pairs, not_run=scores * (len(self._named) - len(pairs)))

    @cached_property
    def controls(self) -> list[Compared]:
        """Every other control beside its partner, another family."""
        groups, main = self.lead.groups, [{pair.left, pair.right} for pair, _ in self.contrasts]
        pairs = [
            Contrast(left=control.of, right=name)
            for name, group in groups.items()
            if (control := group[0].recipe.control) is not None and control.of in groups and control.of != name
        ]
        return self._compared([pair for pair in pairs if {pair.left, pair.right} not in main])

    def _compared(self, pairs: Sequence[Contrast], not_run: int = 0) -> list[Compared]:
        groups = self.lead.groups
        lines = compare_scores([(groups[pair.left], groups[pair.right]) for pair in pairs], self.lead.dev, not_run)
        return list(zip(pairs, lines, strict=True))

    def _contrasts(self) -> str:
        if not self.contrasts and not self.controls:
            few = len(self.lead.groups) < 2 or self._named
            return "" if few else f"## What the differences are worth\n\n{tables.UNNAMED}"
        parts = ["## What the differences are worth", tables.CONTRASTS_NOTE]
        titles = ("The main question", "Controls: each run that a control names, less the control")
        for title, pairs in zip(titles, (self.contrasts, self.controls), strict=True):
            if pairs:
                parts += [f"### {title}", tables.contrasts(pairs), tables.churn(pairs), *self._confounds(pairs)]
            if pairs is self.contrasts and len(pairs) < len(self._named):
                compared = [pair for pair, _ in pairs]
                parts.append(f"Not run: {', '.join(pair.name for pair in self._named if pair not in compared)}.")
        return "\n\n".join(parts)

    def _confounds(self, pairs: Sequence[Compared]) -> list[str]:
        groups = self.lead.groups
        return tables.confounds({pair.name: differing(groups[pair.left], groups[pair.right]) for pair, _ in pairs})

    def _curves(self) -> str:
        parts = ["## Learning curves", self._figure("curves")]
        if any(plot.name.startswith("conflict") for plot in self.plots):
            parts += ["## Conflict between tasks", tables.CONFLICT_NOTE, tables.conflict(self._conflicting())]
            parts += [self._figure(plot.name) for plot in self.plots if plot.name.startswith("conflict")]
        return "\n\n".join(parts)

    def _mistakes(self) -> str:
        group = self.lead.groups[self.final]
        parts = [f"## Mistakes of {self.final}"]
        if self.source is not None and self.source.final not in ("", self.final):
            parts.append(f"The source's own are those of {self.source.final}, of which there is no run.")
        if len(self.lead.groups) > 1 and (self.source is None or self.source.final != self.final):
            among = f"the groups in *{self.lead.title}*" if self._others else "all groups"
            parts.append(f"Of {among} {self.final} has the highest sum; that it is better than the next is not said.")
        for name in group[0].answers:
            named = [f"{kind}-{name}" for kind in ("confusion", "reliability", "scatter")]
            drawn = [plot.name for plot in self.plots if plot.name in named]
            parts += [f"### {name}", mistakes_text.section(group, self.lead.dev[name], self.with_text)]
            parts += [self._figure(plot) for plot in drawn]
        return "\n\n".join(parts)

    def _examples(self) -> str:
        if self.source is None or not self.source.examples:
            return ""
        groups = {name: self.lead.groups[name] for name in dict.fromkeys([self.final, *self._main_rows()])}
        return examples.section(self.source.examples, groups, self.lead.dev, self.with_text)

    def _main_rows(self) -> list[str]:
        named = [] if self.source is None else self.source.main_groups
        return [name for name in named if name in self.lead.groups]

    def _claims(self) -> str:
        if not self.judged:
            return ""
        parts = ["## The claims, one by one", tables.CLAIMS_NOTE]
        for one in self.judged:
            judgement = one.judgement.capitalize() + self._in_what(one)
            parts += [f"### {one.claim.says}", f"**{judgement}.** {one.claim.remark}".strip()]
            parts += [tables.findings(one)]
        return "\n\n".join(parts)

    def _open(self) -> str:
        if self.source is None:
            return ""
        parts = []
        for title, points in (
            ("What the source leaves unclear", self.source.unclear),
            ("What differs here", self.source.differs),
        ):
            if points:
                parts += [f"## {title}", "\n".join(f"- {point}" for point in points)]
        return "\n\n".join(parts)

    def _making(self) -> str:
        made = tables.making([r for c in self.collections for g in c.groups.values() for r in g])
        commands = [] if self.source is None else self.source.commands
        parts = ["## How this was made", "\n".join(["```sh", *commands, "```"]) if commands else "", made]
        return "\n\n".join(filter(None, parts))

    def _references(self) -> str:
        cited = [*tables.REFERENCES, *([] if self.source is None else self.source.references)]
        return "\n\n".join(["## References", "\n".join(f"- {one}" for one in cited)])

    def _figure(self, name: str) -> str:
        plot = next(plot for plot in self.plots if plot.name == name)
        numbers, short = f"figures/{name}.csv", re.split(r"[;.] ", plot.caption)[0]
        return f"![{short}](figures/{name}.svg)\n\n*{plot.caption}* Numbers: [{numbers}]({numbers})."
