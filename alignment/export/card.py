"""The model card of an export: what it is, where it comes from, how it was trained, how it compares, how to use it."""

from __future__ import annotations

import re
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from alignment.export import serving
from alignment.export.markdown import code, front_matter, plain, table
from alignment.export.plan import Kind
from alignment.export.record import Comparison
from alignment.objectives.objective import Paper
from alignment.training.kinds import LOSSES

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")
SPLITS = ("train", "validation", "test")


class Fact(BaseModel):
    """Base of the card's parts: JSON that does not change, with nothing it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ancestor(Fact):
    """One checkpoint of the lineage, and the run that made it."""

    name: str
    hub_id: str | None = None
    revision: str | None = None
    run: str | None = None
    step: int | None = None


class Data(Fact):
    """One snapshot that a run trained on."""

    dataset: str
    hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    hub_id: str | None = None
    weight: float | None = None
    counts: dict[str, int] = {}
    sources: dict[str, int] = {}
    policy: str = Field("", max_length=1000)


class Training(Fact):
    """One run: its spec, what it is called, and its data."""

    run: str
    objective: dict[str, Any]
    spec: dict[str, Any]
    data: list[Data]


class Result(Fact):
    """A win rate of this checkpoint against another one, by one judge."""

    evaluation: str
    against: str
    judge: str
    rate: float
    low: float | None
    high: float | None
    n: int
    level: float
    prompts: str
    toy: bool
    finished_at: datetime | None = None


class Card(Fact):
    """Everything that the card tells beside what writing the export finds out. Ancestors are oldest first."""

    name: str
    title: str
    toy: bool
    architecture: str
    parameters: int
    max_tokens: int | None
    license: str | None
    ancestors: list[Ancestor]
    trainings: list[Training]
    results: list[Result]


class Written(Fact):
    """What is known of the export once it is written."""

    kind: Kind
    dtype: str
    base: str | None
    rank: int | None
    template: bool
    comparison: Comparison


def render(card: Card, written: Written) -> str:
    """The card as Markdown with front matter."""
    parts = [
        _front(card, written),
        f"# {plain(card.title)}",
        _toy(card),
        _introduction(card, written),
        _lineage(card),
        *(_training(training) for training in reversed(card.trainings)),
        _results(card),
        _use(card, written),
        _written(written),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def license_name(found: object) -> str | None:
    """The licence that a base's own card or the hub names, if it is written like one."""
    return found if isinstance(found, str) and LICENSE.fullmatch(found) else None


def _front(card: Card, written: Written) -> str:
    base = next((one.hub_id for one in reversed(card.ancestors) if one.hub_id and HUB_ID.fullmatch(one.hub_id)), None)
    trained = bool(card.trainings)
    datasets = sorted({data.hub_id for run in card.trainings for data in run.data if data.hub_id})
    names = sorted({_objective_name(training) for training in card.trainings})
    return front_matter(
        {
            "license": license_name(card.license),
            "base_model": base,
            "base_model_relation": ("adapter" if written.kind == "adapter" else "finetune")
            if base and trained
            else None,
            "library_name": "peft" if written.kind == "adapter" else "transformers",
            "pipeline_tag": "text-generation",
            "datasets": [one for one in datasets if HUB_ID.fullmatch(one)],
            "tags": [
                "plumbline",
                *(["preference-optimization", *names] if trained else []),
                *(["toy"] if card.toy else []),
            ],
        }
    )


def _toy(card: Card) -> str:
    if not card.toy:
        return ""
    return (
        "> **This is a toy.** It comes from the small made-up world that ships with Plumbline for trying things out, "
        "and its win rates say nothing about other models. Do not use it for anything else."
    )


def _introduction(card: Card, written: Written) -> str:
    what = "LoRA adapter" if written.kind == "adapter" else "causal language model"
    size = f"{card.parameters:,} parameters" + (" in its base" if written.kind == "adapter" else "")
    context = f", a context of {card.max_tokens:,} tokens" if card.max_tokens else ""
    trained = f", trained on preferences in {len(card.trainings)} run{'s' * (len(card.trainings) > 1)}"
    terms = (
        f"License: {plain(card.license)}, carried over from the base."
        if license_name(card.license)
        else ("The license of the base is not known to Plumbline: look it up before you hand this on.")
    )
    return (
        f"A {what} of the architecture {plain(card.architecture)} with {size}{context}"
        f"{trained if card.trainings else ''}. {terms}"
    )


def _lineage(card: Card) -> str:
    rows = []
    for one in card.ancestors:
        made = (
            f"run “{plain(one.run)}”" + (f", step {one.step:,}" if one.step is not None else "") if one.run else "base"
        )
        hub = f"{plain(one.hub_id)}{f' at {plain(one.revision)}' if one.revision else ''}" if one.hub_id else "-"
        rows.append((plain(one.name), made, hub))
    return "## Lineage\n\nOldest first.\n\n" + table(("checkpoint", "made by", "hub"), rows)


def _objective_name(training: Training) -> str:
    name = training.objective.get("name")
    return name if isinstance(name, str) and name in LOSSES else "preference"


def _training(training: Training) -> str:
    objective = LOSSES.get(str(training.objective.get("name")))
    title = objective.title if objective else plain(training.objective.get("name", "unknown"))
    parameters = [(plain(name), plain(value)) for name, value in training.objective.items() if name != "name"]
    parts = [
        f"## Training: {plain(training.run)}",
        f"Objective: **{title}**. {_cited(objective.paper) if objective else ''}".strip(),
        table(("parameter", "value"), parameters) if parameters else "",
        "### Data",
        _data(training.data),
        "### Settings",
        table(("setting", "value"), [(plain(name), plain(value)) for name, value in flat(training.spec)]),
    ]
    return "\n\n".join(part for part in parts if part)


def _cited(paper: Paper) -> str:
    where = f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else paper.url
    equation = f", equation {paper.equation}" if paper.equation else ""
    return f"{paper.authors} {paper.year}, “{paper.title}”, {where}{equation}."


def _data(found: list[Data]) -> str:
    rows, said = [], []
    for one in found:
        pairs = ", ".join(f"{one.counts[split]:,} {split}" for split in SPLITS if one.counts.get(split))
        sources = ", ".join(f"{count:,} from {plain(source)}" for source, count in sorted(one.sources.items()))
        name = plain(one.dataset) + (f" ({plain(one.hub_id)})" if one.hub_id else "")
        weight = "" if one.weight is None else f", weight {one.weight:g}"
        rows.append((name + weight, f"`{one.hash}`" if one.hash else "-", pairs or "-", sources or "-"))
        if one.policy:
            said.append(f"\n\nHow labels became examples of {name}: {plain(one.policy)}")
    note = "\n\nThe split is decided by a hash of the prompt: a test prompt never enters training."
    return table(("dataset", "snapshot", "pairs", "labels"), rows) + "".join(said) + note


def flat(spec: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The settings of a spec, dotted, without its objective and places."""
    rows: list[tuple[str, Any]] = []
    for name, value in spec.items():
        if not prefix and name in ("objective", "checkpoint", "reference", "third", "snapshots"):
            continue
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        elif value is not None:
            rows.append((prefix + name, value))
    return rows


def _results(card: Card) -> str:
    if not card.results:
        return "## Win rates\n\nIt has taken part in no evaluation that decided anything."
    rows = [
        (
            plain(one.evaluation),
            plain(one.against),
            plain(one.judge),
            f"{100 * one.rate:.1f} %",
            "-"
            if one.low is None or one.high is None
            else f"{100 * one.low:.1f} to {100 * one.high:.1f} % ({one.level:.0%})",
            f"{one.n:,}",
            plain(one.prompts) + (" (toy)" if one.toy else ""),
        )
        for one in card.results
    ]
    return "\n\n".join(
        (
            "## Win rates",
            "How often its answer was preferred; a tie counts half. n is the number of matches; the interval resamples"
            " prompts.",
            table(("evaluation", "against", "judged by", "win rate", "interval", "n", "prompts"), rows),
        )
    )


def _use(card: Card, written: Written) -> str:
    place = f"./{card.name}"
    found = serving.commands(written.kind, card.name, place, written.base, written.rank, template=written.template)
    parts = [f"### {one.title}\n\n{code(one.language, one.text)}" for one in found]
    hint = ""
    if written.kind == "adapter" and written.base and written.base.startswith("./"):
        hint = "\n\nIts base has no name on a hub: put the base's own merged export where the commands expect it."
    return "## Use\n\nFrom the folder that holds this one:" + hint + "\n\n" + "\n\n".join(parts)


def _written(written: Written) -> str:
    found = written.comparison
    share = 100 * found.same_token
    return (
        "## How this was written\n\n"
        f"By Plumbline {version('plumbline')}, in {written.dtype}. Loaded again and compared with the checkpoint: over "
        f"{found.positions} positions of {found.prompts} prompts, logits differ by {found.difference:.2g} of their "
        f"spread (root mean square; {found.tolerance:.2g} is allowed), the most likely token is the same at "
        f"{share:.1f} % of them, and chats are rendered and tokenized identically."
    )
