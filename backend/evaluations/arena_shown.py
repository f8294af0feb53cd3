"""Battles as their person may see them: text as it grows, names only after the vote."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from backend.checkpoints.models import Checkpoint
from backend.evaluations import arena, cards, contestants, tokens
from backend.evaluations.arena_schemas import BattleOut, TokensOut, TurnOut
from backend.evaluations.models import Battle
from backend.evaluations.schemas import CheckpointBrief
from backend.labels.schemas import ShownMessage
from backend.work import ENDED


def out(session: Session, battle: Battle) -> BattleOut:
    """The battle with the turns before it; names once they are revealed."""
    return out_all(session, [battle])[0]


def out_all(session: Session, battles: Sequence[Battle]) -> list[BattleOut]:
    """The same of several, in two queries."""
    turns: dict[uuid.UUID, list[Battle]] = defaultdict(list)
    for one in arena.conversation(session, *battles):
        turns[one.first_id or one.id].append(one)
    told = {uuid.UUID(one) for battle in battles if battle.revealed_at for one in battle.contestants}
    known = contestants.named(session, told) if told else {}
    return [_out(battle, turns[battle.first_id or battle.id], known) for battle in battles]


def _out(battle: Battle, turns: Sequence[Battle], known: Mapping[uuid.UUID, Checkpoint]) -> BattleOut:
    return BattleOut(
        id=battle.id,
        conversation_id=battle.first_id or battle.id,
        turn=battle.turn,
        created_at=battle.created_at,
        state=battle.state,
        reason=battle.reason,
        remedy=battle.remedy,
        contestants=len(battle.contestants),
        before=[_turn(one) for one in turns if one.turn < battle.turn],
        message=cards.show_prompt(battle.message),
        answers=_answers(battle),
        vote=battle.value,
        names=[CheckpointBrief.model_validate(known[uuid.UUID(one)]) for one in battle.contestants]
        if battle.revealed_at
        else None,
    )


def _turn(battle: Battle) -> TurnOut:
    message = cards.show_prompt(battle.message)
    return TurnOut(battle_id=battle.id, message=message, answers=_answers(battle), vote=battle.value)


def _answers(battle: Battle) -> list[ShownMessage | None]:
    if battle.answers is None:
        return [None] * len(battle.contestants)
    return [cards.show_response(one) for one in battle.answers]


def read_tokens(battle: Battle, after: str) -> TokensOut:
    """New text of every answer; the whole answers once the battle has ended with them.  Raises StreamAway."""
    done = battle.state in ENDED
    if done and battle.answers is not None:
        texts = [arena.content(battle, place) for place in range(len(battle.contestants))]
        return TokensOut(texts=texts, fresh=True, cursor=after, done=True, state=battle.state)
    pieces, fresh, cursor = tokens.read(battle.id, tokens.START if done else after)
    texts = [""] * len(battle.contestants)
    for piece in pieces:
        if piece.side < len(texts):
            texts[piece.side] += piece.text
    return TokensOut(texts=texts, fresh=fresh or done, cursor=cursor, done=done, state=battle.state)
