"""Evaluations and the arena: checkpoints compared by judges and by people, and their verdicts as data."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from plumbline.client.labels import judgement
from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun, Spec
from plumbline.client.schemas import (
    BattleOut,
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
    OfferedPromptOut,
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
        self,
        prompt: str | Sequence[Spec],
        category: str = "General",
        *,
        rules: Spec | None = None,
        checks: Sequence[str] = (),
        refuse: bool = False,
    ) -> PromptCheckOut:
        """Keep a prompt and what is expected of its answer: rules, installed checks, and whether to refuse."""
        expects = {"rules": rules, "checks": list(checks), "refuse": refuse}
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

    def frontier(
        self,
        evaluation: Ref,
        *,
        reward: str | None = None,
        reference: Ref | None = None,
        judge: str | None = None,
        at: float | None = None,
        level: float | None = None,
        others: Sequence[Ref] = (),
    ) -> FrontierOut:
        """Reward against KL, and every two runs at one KL.

        `reward` is "win" or "score:NAME", `judge` whose win rate, `reference` to what KL was measured, `at` a KL in
        nats, `others` evaluations whose points join.
        """
        return self._line.get(
            f"/evaluations/{id_of(evaluation)}/frontier",
            FrontierOut,
            reward=reward,
            judge=judge,
            reference_id=optional_id(reference),
            at=at,
            level=level,
            others=[id_of(one) for one in others],
        )

    def matches(self, evaluation: Ref) -> Iterator[MatchOut]:
        """Every match with both answers and all verdicts."""
        return self._line.pages(f"/evaluations/{id_of(evaluation)}/matches", MatchOut)

    def next(self, evaluation: Ref, n: int = 1, *, holding: Sequence[Ref] = ()) -> Sequence[MatchCard]:
        """The next matches for the caller to judge, blind."""
        body = {"n": n, "holding": [id_of(one) for one in holding]}
        path = f"/evaluations/{id_of(evaluation)}/cards"
        return self._line.post(path, MatchCardsOut, body, retry="always").cards

    def judge(
        self,
        card: MatchCard,
        *,
        strength: int | None = None,
        both_bad: bool = False,
        skip: str | None = None,
        seconds: float = 0.0,
        rationale: str | None = None,
        client_id: uuid.UUID | None = None,
    ) -> JudgedOut:
        """One's verdict on a match, once however often it is sent.

        `strength` is from -3 to 3 and positive when the left response is better; `skip` is the reason.
        """
        body = _vote(judgement(strength, both_bad, skip), seconds, rationale, client_id) | {"guided": card.guided}
        return self._line.post(f"/matches/{card.match_id}/verdicts", JudgedOut, body, retry="always")

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
        checkpoints: Sequence[Ref] | None = None,
        *,
        n: int = 2,
        sampling: Spec | None = None,
    ) -> BattleOut:
        """Have `n` contestants, two to four, drawn by lot of those named or of all, answer a text or chat messages."""
        body = {
            "prompt": prompt if isinstance(prompt, str) else [dict(message) for message in prompt],
            "contestants": n,
            "checkpoints": [id_of(one) for one in checkpoints] if checkpoints else None,
            "sampling": sampling,
        }
        return self._line.create("/arena/battles", BattleOut, body)

    def go_on(self, battle: Ref, text: str) -> BattleOut:
        """The next turn of the conversation: every contestant has its own answers in mind."""
        return self._line.create(f"/arena/battles/{id_of(battle)}/turns", BattleOut, {"text": text})

    def get(self, battle: Ref) -> BattleOut:
        """One's own battle, blind until it is revealed."""
        return self._line.get(f"/arena/battles/{id_of(battle)}", BattleOut)

    def list(self) -> Iterator[BattleOut]:
        """One's own battles, newest first."""
        return self._line.pages("/arena/battles", BattleOut)

    def wait(
        self, battle: Ref, tell: Callable[[BattleOut], None] | None = None, *, seconds: float | None = None
    ) -> BattleOut:
        """The battle once all answers are there.  Raises NotSucceeded, TookTooLong."""
        return self._until_ended(lambda: self.get(battle), tell, seconds)

    def cancel(self, battle: Ref) -> BattleOut:
        """Stop the answers."""
        return self._line.post(f"/arena/battles/{id_of(battle)}/cancel", BattleOut)

    def retry(self, battle: Ref) -> BattleOut:
        """Have the same contestants answer once more, where they were stopped or could not."""
        return self._line.post(f"/arena/battles/{id_of(battle)}/retry", BattleOut)

    def vote(
        self,
        battle: Ref,
        *,
        strength: int | None = None,
        ranking: Sequence[Sequence[int]] | None = None,
        best: int | None = None,
        both_bad: bool = False,
        skip: str | None = None,
        seconds: float = 0.0,
        rationale: str | None = None,
        client_id: uuid.UUID | None = None,
    ) -> BattleOut:
        """Vote on the conversation so far, once however often it is sent.

        Of two answers `strength` is from -3 to 3 and positive when the first is better. Of more, `ranking` holds groups
        of their places, best first, ties in one group, or `best` is the place of the best. `skip` is the reason.
        """
        said = judgement(strength, both_bad, skip, ranking) | ({} if best is None else {"best": best})
        body = _vote(said, seconds, rationale, client_id)
        return self._line.post(f"/arena/battles/{id_of(battle)}/vote", BattleOut, body, retry="always")

    def undo(self, battle: Ref) -> BattleOut:
        """Take the vote back, as long as the names are not known."""
        return self._line.post(f"/arena/battles/{id_of(battle)}/undo", BattleOut)

    def reveal(self, battle: Ref) -> BattleOut:
        """Who was who, after a vote; the conversation takes no vote and no turn from then on."""
        return self._line.post(f"/arena/battles/{id_of(battle)}/reveal", BattleOut, retry="always")

    def prompt(self, dataset: Ref | None = None) -> str:
        """A prompt that one has not asked in the arena, by lot: of a test split, or of a prompt set."""
        return self._line.get("/arena/prompt", OfferedPromptOut, dataset_id=optional_id(dataset)).text

    def tally(self, *, mine: bool = True, cluster: str = "prompt") -> TallyOut:
        """Votes by pair and a ranking: one's own, or everybody's, with intervals over prompts or people."""
        return self._line.get("/arena/tally", TallyOut, mine=mine, cluster=cluster)

    def to_dataset(
        self, *, name: str | None = None, dataset: Ref | None = None, judges: bool = False
    ) -> MatchExportOut:
        """Turn the arena's votes into labelled pairs of a new dataset or another; twice adds nothing twice."""
        body = {"arena": True, "name": name, "dataset_id": optional_id(dataset), "judges": judges}
        return self._line.create("/matches/export", MatchExportOut, body)


def _vote(value: dict[str, Any], seconds: float, rationale: str | None, client_id: uuid.UUID | None) -> dict[str, Any]:
    said = {"value": value, "seconds": seconds, "rationale": rationale}
    return {"client_id": str(client_id or uuid.uuid4()), **said}
