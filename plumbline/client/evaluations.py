"""Evaluations and the arena: checkpoints compared by judges and by people, and their verdicts as data."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from plumbline.client.labels import judgement
from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun, Spec
from plumbline.client.schemas import (
    ArenaOut,
    DivergencesOut,
    EvaluationOut,
    FrontierOut,
    JudgedOut,
    JudgeOut,
    MatchCard,
    MatchCardsOut,
    MatchExportOut,
    MatchOut,
    MetersOut,
    PromptCheckOut,
    ReportOut,
    SizeOut,
    TallyOut,
    VerdictUndoneOut,
)

Ties = Literal["half", "drop", "shown"]


def _body(name: str, contestants: Sequence[Ref], judge: Spec, more: dict[str, Any]) -> dict[str, Any]:
    names = ("dataset", "split", "limit", "texts")
    prompts = {key: value for key in names if (value := more.pop(key, None)) is not None}
    if "dataset" in prompts:
        prompts["dataset_id"] = id_of(prompts.pop("dataset"))
    if "texts" in prompts:
        prompts.setdefault("limit", len(prompts["texts"]))
    ids = [id_of(one) for one in contestants]
    return {"name": name, "contestants": ids, "judge": dict(judge), "prompts": prompts, **more}


class Evaluations(Noun):
    """`client.evaluations`."""

    def judges(self) -> Iterator[JudgeOut]:
        """The ways to decide a match, and what each can be told."""
        return self._line.pages("/judges", JudgeOut)

    def preflight(self, name: str, contestants: Sequence[Ref], judge: Spec, **more: Any) -> SizeOut:
        """What an evaluation would take; nothing is started.  Arguments as in `launch`."""
        body = _body(name, contestants, judge, more)
        return self._line.post("/evaluations/preflight", SizeOut, body, retry="always")

    def launch(self, name: str, contestants: Sequence[Ref], judge: Spec, **more: Any) -> EvaluationOut:
        """Have checkpoints answer prompts and a judge compare the answers; the first checkpoint is the baseline.

        Prompts are `texts=[…]`, or of a `dataset=…` (and its `split`), at most `limit` of them.  `sampling` and
        `seed` are as the API's reference has them under `EvaluationIn`.
        """
        return self._line.create("/evaluations", EvaluationOut, _body(name, contestants, judge, more))

    def prompt_checks(self, category: str | None = None) -> Iterator[PromptCheckOut]:
        """Prompts with what a good answer to each keeps, newest first."""
        return self._line.pages("/prompt-checks", PromptCheckOut, category=category)

    def add_prompt_check(
        self, prompt: str | Sequence[Spec], category: str = "General", **expects: Any
    ) -> PromptCheckOut:
        """Keep a prompt and what is expected of its answer: `rules`, installed `checks`, and whether to `refuse`."""
        body = {"prompt": prompt, "category": category, "expects": expects}
        return self._line.create("/prompt-checks", PromptCheckOut, body)

    def list(self, checkpoint: Ref | None = None) -> Iterator[EvaluationOut]:
        """Every evaluation, newest first."""
        return self._line.pages("/evaluations", EvaluationOut, checkpoint_id=optional_id(checkpoint))

    def get(self, evaluation: Ref) -> EvaluationOut:
        """One evaluation and how far it is."""
        return self._line.get(f"/evaluations/{id_of(evaluation)}", EvaluationOut)

    def wait(
        self, evaluation: Ref, tell: Callable[[EvaluationOut], None] | None = None, *, seconds: float | None = None
    ) -> EvaluationOut:
        """The evaluation once it has succeeded.  Raises NotSucceeded, TookTooLong."""
        return self._until_ended(lambda: self.get(evaluation), tell, seconds)

    def cancel(self, evaluation: Ref) -> EvaluationOut:
        """Ask for the end; answers and verdicts that are there stay."""
        return self._line.post(f"/evaluations/{id_of(evaluation)}/cancel", EvaluationOut)

    def resume(self, evaluation: Ref) -> EvaluationOut:
        """Let an evaluation that failed or was cancelled go on; what is answered and judged stays."""
        return self._line.post(f"/evaluations/{id_of(evaluation)}/resume", EvaluationOut)

    def report(self, evaluation: Ref, *, ties: Ties = "half", level: float = 0.95) -> ReportOut:
        """Win rates with their intervals, by judge and pair."""
        return self._line.get(f"/evaluations/{id_of(evaluation)}/report", ReportOut, ties=ties, level=level)

    def meters(self, evaluation: Ref, *, level: float = 0.95) -> MetersOut:
        """What each contestant's answers are like: length, variety, repetition, also against the baseline's."""
        return self._line.get(f"/evaluations/{id_of(evaluation)}/meters", MetersOut, level=level)

    def divergences(self, evaluation: Ref, *, level: float = 0.95) -> Iterator[DivergencesOut]:
        """How far contestants have moved from each reference that was asked for."""
        return self._line.pages(f"/evaluations/{id_of(evaluation)}/divergences", DivergencesOut, level=level)

    def measure_kl(
        self, evaluation: Ref, reference: Ref | None = None, *, prompts: int = 50
    ) -> Iterator[DivergencesOut]:
        """Have a worker read answers against a reference, the baseline unless named; gives `divergences`."""
        body = {"reference_id": optional_id(reference), "prompts": prompts}
        self._line.post(f"/evaluations/{id_of(evaluation)}/divergences", dict[str, Any], body, retry="always")
        return self.divergences(evaluation)

    def frontier(self, evaluation: Ref, **more: Any) -> FrontierOut:
        """Reward against KL, and every two runs at one KL.

        `reward` is "win" or "score:NAME", `reference` to what KL was measured, `at` a KL in nats, `others` evaluations
        whose points join.
        """
        others = [id_of(one) for one in more.pop("others", ())]
        more["reference_id"] = optional_id(more.pop("reference", None))
        return self._line.get(f"/evaluations/{id_of(evaluation)}/frontier", FrontierOut, others=others, **more)

    def matches(self, evaluation: Ref) -> Iterator[MatchOut]:
        """Every match with both answers and all verdicts."""
        return self._line.pages(f"/evaluations/{id_of(evaluation)}/matches", MatchOut)

    def next(self, evaluation: Ref, n: int = 1, *, holding: Sequence[Ref] = ()) -> Sequence[MatchCard]:
        """The next matches for the caller to judge, blind."""
        body = {"n": n, "holding": [id_of(one) for one in holding]}
        path = f"/evaluations/{id_of(evaluation)}/cards"
        return self._line.post(path, MatchCardsOut, body, retry="always").cards

    def judge(self, card: MatchCard, **said: Any) -> JudgedOut:
        """One's verdict on a match; arguments as in `client.arena.judge`."""
        return Arena(self._line).judge(card.match_id, **said)

    def undo(self, verdict: Ref) -> VerdictUndoneOut:
        """Take back one's own verdict; its match comes back."""
        return self._line.post(f"/verdicts/{id_of(verdict)}/undo", VerdictUndoneOut)

    def to_dataset(
        self, evaluation: Ref, *, name: str | None = None, dataset: Ref | None = None, judges: bool = False
    ) -> MatchExportOut:
        """Turn judged matches into labelled pairs of a new dataset or another; twice adds nothing twice."""
        body = {"evaluation_id": id_of(evaluation), "name": name, "dataset_id": optional_id(dataset), "judges": judges}
        return self._line.create("/matches/export", MatchExportOut, body)


class Arena(Noun):
    """`client.arena`."""

    def ask(
        self,
        prompt: str | Sequence[Spec],
        checkpoints: tuple[Ref, Ref] | None = None,
        *,
        sampling: Spec | None = None,
    ) -> ArenaOut:
        """Have two checkpoints, at random unless named, answer a text or chat messages."""
        body = {
            "prompt": prompt if isinstance(prompt, str) else [dict(message) for message in prompt],
            "checkpoints": [id_of(one) for one in checkpoints] if checkpoints else None,
            "sampling": sampling,
        }
        return self._line.create("/arena/matches", ArenaOut, body)

    def get(self, match: Ref) -> ArenaOut:
        """One's own match, blind until it is judged."""
        return self._line.get(f"/arena/matches/{id_of(match)}", ArenaOut)

    def list(self) -> Iterator[ArenaOut]:
        """One's own matches, newest first."""
        return self._line.pages("/arena/matches", ArenaOut)

    def wait(
        self, match: Ref, tell: Callable[[ArenaOut], None] | None = None, *, seconds: float | None = None
    ) -> ArenaOut:
        """The match once both answers are there.  Raises NotSucceeded, TookTooLong."""
        return self._until_ended(lambda: self.get(match), tell, seconds)

    def cancel(self, match: Ref) -> ArenaOut:
        """Stop the answers."""
        return self._line.post(f"/arena/matches/{id_of(match)}/cancel", ArenaOut)

    def judge(
        self,
        match: Ref,
        *,
        strength: int | None = None,
        both_bad: bool = False,
        skip: str | None = None,
        seconds: float = 0.0,
        rationale: str | None = None,
        client_id: uuid.UUID | None = None,
    ) -> JudgedOut:
        """Vote, once however often it is sent; in the arena the answer says who was who.

        `strength` is from -3 to 3 and positive when the left response is better; `skip` is the reason.
        """
        body = {
            "client_id": str(client_id or uuid.uuid4()),
            "value": judgement(strength, both_bad, skip),
            "seconds": seconds,
            "rationale": rationale,
        }
        return self._line.post(f"/matches/{id_of(match)}/verdicts", JudgedOut, body, retry="always")

    def tally(self, *, mine: bool = True) -> TallyOut:
        """Votes by pair: one's own, or everybody's."""
        return self._line.get("/arena/tally", TallyOut, mine=mine)

    def to_dataset(
        self, *, name: str | None = None, dataset: Ref | None = None, judges: bool = False
    ) -> MatchExportOut:
        """Turn the arena's votes into labelled pairs of a new dataset or another; twice adds nothing twice."""
        body = {"arena": True, "name": name, "dataset_id": optional_id(dataset), "judges": judges}
        return self._line.create("/matches/export", MatchExportOut, body)
