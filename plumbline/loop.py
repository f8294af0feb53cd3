"""The closed loop by the client of the HTTP API: import, label, train, evaluate, report, and votes back to data."""

import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from alignment import toyworld
from alignment.toyworld.recipe import EVALUATION_TEMPERATURE, EVALUATION_TOP_P, PAIRS, RUN
from plumbline.client import Client, PlumblineError
from plumbline.client.schemas import Card, CheckpointOut, EvaluationOut, RunDetail
from plumbline.services import Trouble

W = TypeVar("W", RunDetail, EvaluationOut)
Tell = Callable[[str, float | None, str], None]  # stage, share done (None: unknown), a note
PATIENCE_SECONDS = 1800.0
CARDS_AT_ONCE = 10
ANSWER_TOKENS = 128


class LoopFailed(Trouble):
    """A stage of the loop did not end well; the message says which and why."""


@dataclass(frozen=True)
class Size:
    """How much is done at each stage."""

    pairs: int = PAIRS
    labels: int = 40
    prompts: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Stage:
    name: str
    seconds: float
    result: str


@dataclass
class Report:
    """What the walk found. Rewards are mean true rewards on held-out prompts, in the toy world's unit."""

    stages: list[Stage] = field(default_factory=list)
    rate: float = 0.0
    low: float = 0.0
    high: float = 0.0
    level: float = 0.95
    n: int = 0
    base_reward: float = 0.0
    reward: float = 0.0
    run_seconds: float = 0.0

    @property
    def share(self) -> float:
        """How much of what there was to gain over the base was gained: (trained - base) / (best - base)."""
        return (self.reward - self.base_reward) / (toyworld.BEST_REWARD - self.base_reward)


class Loop:
    """One walk. `tell` hears how far it is, at least twice a second."""

    def __init__(self, client: Client, size: Size, tell: Tell) -> None:
        self.client, self.size, self.tell = client, size, tell
        self.report = Report()
        self.suffix = time.strftime("%Y-%m-%d %H:%M:%S")

    def walk(self) -> Report:
        """All stages in order. Raises LoopFailed at the first that fails."""
        base = self._base()
        dataset = self._import()
        self._label(dataset)
        trained = self._train(base, dataset)
        evaluation = self._evaluate(base, trained)
        self._report(evaluation, base, trained)
        self._give_back(evaluation)
        return self.report

    @contextmanager
    def _stage(self, name: str) -> Any:
        """Time a stage; the block sets the list's only entry to what came of it."""
        self.tell(name, None, "")
        started, result = time.monotonic(), [""]
        try:
            yield result
        except PlumblineError as error:
            raise LoopFailed(f"{name}: {error}") from error
        self.report.stages.append(Stage(name, time.monotonic() - started, result[0]))

    def _looking(self, name: str, note: Callable[[W], str]) -> Callable[[W], None]:
        """What tells how far a row of work is."""

        def look(row: W) -> None:
            self.tell(name, row.done / row.total if row.total else None, note(row))

        return look

    def _base(self) -> CheckpointOut:
        """The toy world's base checkpoint, which every new installation has."""
        for checkpoint in self.client.checkpoints.list():
            if checkpoint.source == "toy":
                return checkpoint
        raise LoopFailed("This server has no toy checkpoint: the Tour was not seeded at its first start.")

    def _import(self) -> UUID:
        with self._stage("Import") as result, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "toy-pairs.jsonl"
            written = toyworld.write_pairs(path, self.size.pairs, self.size.seed + 2, form="native")
            started = self.client.datasets.import_file(path, f"Tour pairs {self.suffix}", abort_on_bad_row=True)
            ended = self.client.datasets.wait(
                started, lambda row: self.tell("Import", None, f"{row.rows_good} rows"), seconds=PATIENCE_SECONDS
            )
            result[0] = f"{ended.rows_good:,} of {written:,} pairs"
            if ended.dataset_id is None:
                raise LoopFailed("Import: it succeeded without a dataset.")
            return ended.dataset_id

    def _label(self, dataset: UUID) -> None:
        with self._stage("Label") as result:
            cards: list[Card] = []
            right = 0
            for number in range(self.size.labels):
                cards = cards or list(self.client.labels.next(dataset, CARDS_AT_ONCE))
                if not cards:
                    raise LoopFailed("Label: no pair is left to label.")
                right += self._judge(cards.pop(0))
                self.tell("Label", (number + 1) / self.size.labels, f"{number + 1} pairs")
            result[0] = f"{self.size.labels:,} pairs by the true preference, {right:,} with a clear winner"

    def _judge(self, card: Card) -> bool:
        """Label a card as somebody would who knows the truth; whether there was a winner."""
        left, right = (toyworld.true_reward(card.prompt[-1].text, side.text) for side in card.responses)
        strength = 0 if abs(left - right) < 1e-9 else 2 if left > right else -2
        self.client.labels.submit(card, strength=strength, seconds=1.0)
        return strength != 0

    def _train(self, base: CheckpointOut, dataset: UUID) -> CheckpointOut:
        with self._stage("Train") as result:
            started = time.monotonic()
            run = self.client.runs.launch(f"Tour {self.suffix}", base, dataset=dataset, **RUN)
            look = self._looking("Train", lambda row: f"step {row.done} of {row.total}")
            ended = self.client.runs.wait(run, look, seconds=PATIENCE_SECONDS)
            self.report.run_seconds = time.monotonic() - started
            products = list(self.client.checkpoints.list(run))
            if not products:
                raise LoopFailed("Train: the run succeeded but left no checkpoint.")
            result[0] = f"{ended.total:,} steps of {ended.objective}"
            return max(products, key=lambda checkpoint: checkpoint.step or 0)

    def _evaluate(self, base: CheckpointOut, trained: CheckpointOut) -> EvaluationOut:
        with self._stage("Evaluate") as result:
            texts = toyworld.prompts(self.size.prompts, self.size.seed, "held_out")
            sampling = {
                "temperature": EVALUATION_TEMPERATURE,
                "top_p": EVALUATION_TOP_P,
                "max_new_tokens": ANSWER_TOKENS,
            }
            started = self.client.evaluations.launch(
                f"Tour {self.suffix}",
                [base, trained],
                {"name": "toy_truth"},
                texts=texts,
                sampling=sampling,
                seed=self.size.seed,
            )
            look = self._looking("Evaluate", lambda row: f"{row.done} of {row.total}")
            ended = self.client.evaluations.wait(started, look, seconds=PATIENCE_SECONDS)
            result[0] = f"{len(texts):,} held-out prompts, judged in both orders"
            return ended

    def _report(self, evaluation: EvaluationOut, base: CheckpointOut, trained: CheckpointOut) -> None:
        with self._stage("Report") as result:
            found = self.client.evaluations.report(evaluation)
            pair = found.tables[0].pairs[0]
            rate = pair.win_rate
            if rate.rate is None or rate.low is None or rate.high is None:
                raise LoopFailed(f"Report: no win rate. {rate.reason}")
            report, turned = self.report, pair.first == base.id
            report.rate = 1 - rate.rate if turned else rate.rate
            report.low, report.high = (1 - rate.high, 1 - rate.low) if turned else (rate.low, rate.high)
            report.n, report.level = rate.n, rate.level
            rewards = {row.id: row.scores["reward"].mean or 0.0 for row in found.contestants}
            report.base_reward, report.reward = rewards[base.id], rewards[trained.id]
            result[0] = f"{report.rate:.1%} wins, {report.n} prompts"

    def _give_back(self, evaluation: EvaluationOut) -> None:
        with self._stage("Votes to data") as result:
            made = self.client.evaluations.to_dataset(evaluation, name=f"Tour votes {self.suffix}", judges=True)
            result[0] = f"{made.labels:,} labels on {made.items:,} new pairs"
