"""The closed loop as a client of the HTTP API: import, label, train, evaluate, report, and votes back to data."""

import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from alignment import toyworld
from alignment.toyworld.recipe import EVALUATION_TEMPERATURE, EVALUATION_TOP_P, PAIRS, RUN
from plumbline.services import Trouble

Tell = Callable[[str, float | None, str], None]  # stage, share done (None: unknown), a note
POLL_SECONDS = 0.5
PATIENCE_SECONDS = 1800.0
CARDS_AT_ONCE = 10
ENDED = {"succeeded", "failed", "cancelled", "lost"}
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

    def __init__(self, client: httpx2.Client, size: Size, tell: Tell) -> None:
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
        yield result
        self.report.stages.append(Stage(name, time.monotonic() - started, result[0]))

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self.client.request(method, path, **options)
        except httpx2.TransportError as error:
            raise LoopFailed(
                f"The server at {self.client.base_url} does not answer ({type(error).__name__})."
            ) from error
        body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        if answer.is_error:
            said = " ".join(str(body[part]) for part in ("detail", "remedy") if body.get(part))
            raise LoopFailed(f"{method} {path} was refused ({answer.status_code}): {said or 'no reason given'}")
        return body

    def _post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})

    def _await(self, name: str, path: str, note: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
        """The row at `path` once it has ended well."""
        limit = time.monotonic() + PATIENCE_SECONDS
        while True:
            row: dict[str, Any] = self._call("GET", path)
            self.tell(name, row["done"] / row["total"] if row.get("total") else None, note(row))
            if row["state"] == "succeeded":
                return row
            if row["state"] in ENDED:
                why = " ".join(str(row[part]) for part in ("reason", "remedy") if row.get(part))
                raise LoopFailed(f"{name}: {row['state']}. {why}")
            if time.monotonic() > limit:
                raise LoopFailed(f"{name}: still {row['state']} after {PATIENCE_SECONDS / 60:.0f} minutes.")
            time.sleep(POLL_SECONDS)

    def _base(self) -> str:
        """The toy world's base checkpoint, which every new installation has."""
        for row in self._call("GET", "/checkpoints", params={"limit": 200})["items"]:
            if row["source"] == "toy":
                return str(row["id"])
        raise LoopFailed("This server has no toy checkpoint: the Tour was not seeded at its first start.")

    def _import(self) -> str:
        with self._stage("Import") as result, tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "toy-pairs.jsonl"
            written = toyworld.write_pairs(path, self.size.pairs, self.size.seed + 2, form="native")
            upload = self._call("POST", "/uploads", params={"filename": path.name}, content=path.read_bytes())
            body = {"upload_id": upload["id"], "name": f"Tour pairs {self.suffix}", "abort_on_bad_row": True}
            row = self._post("/imports", body)
            ended = self._await("Import", f"/imports/{row['id']}", lambda row: f"{row['rows_good']} rows")
            result[0] = f"{ended['rows_good']:,} of {written:,} pairs"
            return str(ended["dataset_id"])

    def _label(self, dataset: str) -> None:
        with self._stage("Label") as result:
            cards: list[dict[str, Any]] = []
            right = 0
            for number in range(self.size.labels):
                if not cards:
                    cards = self._post(f"/datasets/{dataset}/cards", {"n": CARDS_AT_ONCE})["cards"]
                if not cards:
                    raise LoopFailed("Label: no pair is left to label.")
                right += self._judge(cards.pop(0))
                self.tell("Label", (number + 1) / self.size.labels, f"{number + 1} pairs")
            result[0] = f"{self.size.labels:,} pairs by the true preference, {right:,} with a clear winner"

    def _judge(self, card: dict[str, Any]) -> bool:
        """Label a card as somebody would who knows the truth; whether there was a winner."""
        prompt = card["prompt"][-1]["text"]
        left, right = (toyworld.true_reward(prompt, card[side]["text"]) for side in ("left", "right"))
        strength = 0 if abs(left - right) < 1e-9 else 2 if left > right else -2
        body = {"client_id": str(uuid.uuid4()), "lease": card["lease"], "value": {"strength": strength}, "seconds": 1.0}
        self._call("POST", f"/items/{card['item_id']}/labels", json=body)
        return strength != 0

    def _train(self, base: str, dataset: str) -> str:
        with self._stage("Train") as result:
            started = time.monotonic()
            body = {**RUN, "name": f"Tour {self.suffix}", "checkpoint_id": base, "dataset_id": dataset}
            run = self._post("/runs", body)
            ended = self._await("Train", f"/runs/{run['id']}", lambda row: f"step {row['done']} of {row['total']}")
            self.report.run_seconds = time.monotonic() - started
            products = self._call("GET", "/checkpoints", params={"run_id": run["id"], "limit": 100})["items"]
            if not products:
                raise LoopFailed("Train: the run succeeded but left no checkpoint.")
            last = max(products, key=lambda row: row["step"])
            result[0] = f"{ended['total']:,} steps of {ended['objective']}"
            return str(last["id"])

    def _evaluate(self, base: str, trained: str) -> str:
        with self._stage("Evaluate") as result:
            texts = toyworld.prompts(self.size.prompts, self.size.seed, "held_out")
            body = {
                "name": f"Tour {self.suffix}",
                "contestants": [base, trained],
                "prompts": {"texts": texts, "limit": len(texts)},
                "judge": {"name": "toy_truth"},
                "sampling": {
                    "temperature": EVALUATION_TEMPERATURE,
                    "top_p": EVALUATION_TOP_P,
                    "max_new_tokens": ANSWER_TOKENS,
                },
                "seed": self.size.seed,
            }
            row = self._post("/evaluations", body)
            self._await("Evaluate", f"/evaluations/{row['id']}", lambda row: f"{row['done']} of {row['total']}")
            result[0] = f"{len(texts):,} held-out prompts, judged in both orders"
            return str(row["id"])

    def _report(self, evaluation: str, base: str, trained: str) -> None:
        with self._stage("Report") as result:
            found = self._call("GET", f"/evaluations/{evaluation}/report")
            pair = found["tables"][0]["pairs"][0]
            rate = pair["win_rate"]
            if rate["rate"] is None:
                raise LoopFailed(f"Report: no win rate. {rate['reason']}")
            report, turned = self.report, pair["first"] == base
            report.rate = 1 - rate["rate"] if turned else rate["rate"]
            report.low, report.high = (1 - rate["high"], 1 - rate["low"]) if turned else (rate["low"], rate["high"])
            report.n, report.level = rate["n"], rate["level"]
            rewards = {row["id"]: row["scores"]["reward"]["mean"] for row in found["contestants"]}
            report.base_reward, report.reward = rewards[base], rewards[trained]
            result[0] = f"{report.rate:.1%} wins, {report.n} prompts"

    def _give_back(self, evaluation: str) -> None:
        with self._stage("Votes to data") as result:
            body = {"evaluation_id": evaluation, "name": f"Tour votes {self.suffix}", "judges": True}
            made = self._post("/matches/export", body)
            result[0] = f"{made['labels']:,} labels on {made['items']:,} new pairs"
