"""Votes of the arena: stored once, as matches of every two contestants that the vote says something about."""

import uuid
from itertools import combinations
from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from backend.accounts.models import User
from backend.errors import Conflict, Invalid
from backend.evaluations import arena
from backend.evaluations.arena import NotReady, require_blind
from backend.evaluations.arena_schemas import VoteIn
from backend.evaluations.models import Battle, Match, Source, Verdict
from backend.evaluations.prompts import of_messages
from backend.evaluations.votes import AlreadyJudged, ClientIdReused, outcome
from backend.work import State, now

Value = dict[str, Any]
TWO: Final = ("strength", "both_bad", "skip")
MORE: Final = ("ranking", "best", "both_bad", "skip")


class WrongVote(Invalid):
    title = "Wrong vote"


class NoVote(Conflict):
    title = "No vote yet"


def vote(session: Session, user: User, battle: Battle, body: VoteIn) -> Battle:
    """The person's vote on the conversation up to this battle, stored once however often it is sent.

    Raises NotReady, NamesKnown, AlreadyJudged, ClientIdReused, WrongVote.
    """
    value = body.value.as_shown()
    if battle.value is not None:
        if battle.client_id != body.client_id:
            raise AlreadyJudged("You have voted on this battle.", remedy="Take the vote back first, or go on.")
        if battle.value != value:
            raise ClientIdReused("This id was used for another vote.", field="client_id", remedy="Send a fresh id.")
        return battle
    require_blind(battle)
    if battle.state is not State.succeeded or not all("content" in one for one in battle.answers or [{}]):
        raise NotReady("This battle has no answers to compare.", remedy="Wait until all are there, or try again.")
    _check(value, len(battle.contestants))
    battle.value, battle.client_id = value, body.client_id
    session.execute(delete(Match).where(Match.battle_id == battle.id))  # from before battles had rows of their own
    histories = arena.histories(arena.conversation(session, battle), battle)
    for (one, other), own in pairs(value, len(battle.contestants)).items():
        match = _match(battle, histories, one, other)
        session.add(match)
        session.flush()
        found = outcome(own)
        verdict = Verdict(
            project_id=battle.project_id, match_id=match.id, source=Source.person, annotator_id=user.id, swapped=False,
            probability=found.probability, reason=found.reason, value=own, text=body.rationale or None,
            seconds=body.seconds,
        )  # fmt: skip
        session.add(verdict)
    session.flush()
    return battle


def pairs(value: Value, n: int) -> dict[tuple[int, int], Value]:
    """What a vote says about every two of `n` answers, by their places; positive where the first of the two is better.

    In a ranking the one in the better group wins, two of one group tie. The best alone wins against each of the
    others, about which nothing is said among themselves. All bad, and a skip, hold for every two.
    """
    every = list(combinations(range(n), 2))
    if "ranking" in value:
        rank = {one: place for place, group in enumerate(value["ranking"]) for one in group}
        return {(a, b): {"strength": (rank[a] < rank[b]) - (rank[a] > rank[b])} for a, b in every}
    if "best" in value:
        best = value["best"]
        return {(a, b): {"strength": 1 if a == best else -1} for a, b in every if best in (a, b)}
    return dict.fromkeys(every, value)


def _check(value: Value, n: int) -> None:
    (kind,) = value
    fits = kind in (TWO if n == 2 else MORE)
    if kind == "ranking":
        fits = fits and sorted(one for group in value["ranking"] for one in group) == list(range(n))
    if kind == "best":
        fits = fits and value["best"] < n
    if not fits:
        wanted = "a strength" if n == 2 else f"the best, or a ranking of all {n}"
        raise WrongVote(
            f"That is no vote on {n} answers.", field="value", remedy=f"Give {wanted}, both_bad, or a skip."
        )


def _match(battle: Battle, histories: list[list[arena.Message]], one: int, other: int) -> Match:
    """Two contestants' conversations as a match: the prompt is what both were asked alike."""
    assert battle.answers is not None  # noqa: S101  (checked before)
    sides = histories[one], histories[other]
    alike = next((place for place, (a, b) in enumerate(zip(*sides, strict=True)) if a != b), len(sides[0]))
    before = [own[alike:] for own in sides]
    prompt = of_messages(sides[0][:alike])
    responses = [
        battle.answers[place] | ({"before": rest} if rest else {})
        for place, rest in zip((one, other), before, strict=True)
    ]
    return Match(
        project_id=battle.project_id,
        battle_id=battle.id,
        prompt=list(prompt.messages),
        prompt_hash=prompt.hash,
        checkpoint_a=uuid.UUID(battle.contestants[one]),
        checkpoint_b=uuid.UUID(battle.contestants[other]),
        response_a=responses[0],
        response_b=responses[1],
        sampling=battle.sampling,
        seed=battle.seed,
        state=State.succeeded,
        finished_at=now(),
        created_by=battle.created_by,
    )


def undo(session: Session, battle: Battle) -> Battle:
    """The battle without its vote, of which no export has made a label: its names are not known.

    Raises NamesKnown, NoVote.
    """
    require_blind(battle)
    if battle.value is None:
        raise NoVote("There is no vote to take back.", remedy="Vote first.")
    session.execute(delete(Match).where(Match.battle_id == battle.id))
    battle.value = battle.client_id = None
    return battle


def reveal(session: Session, battle: Battle) -> Battle:
    """The battle with its names; its conversation takes no vote and no turn from then on.  Raises NoVote."""
    turns = arena.conversation(session, battle)
    if battle.revealed_at is None and all(one.value is None for one in turns):
        raise NoVote("Names are told after a vote.", remedy="Vote, or skip, first.")
    arena.reveal(session, battle)
    return battle
