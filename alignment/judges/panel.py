"""Several judges vote on every match."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from alignment.judges.judge import Asked, Judge, Match, Verdict
from alignment.parts import Choice

FEWEST, MOST = 2, 7
MEMBER = "panel/"
"""What the names begin with under which the verdicts of members are kept."""
NOBODY = "No member of the panel decided."


def _catalogue() -> Mapping[str, type[Judge]]:
    from alignment.judges import CATALOGUE

    return CATALOGUE


Member = Annotated[Judge, Choice(Judge, _catalogue, "a member is written {name: rules, …}")]


class Panel(Judge):
    """Several judges decide every match by themselves; the panel says what they say together.

    A member that decides nothing does not vote. Members' verdicts are kept, so that each can be looked at alone.
    """

    name: ClassVar[str] = "panel"
    title: ClassVar[str] = "A panel of judges"

    members: Annotated[tuple[Member, ...], Field(min_length=FEWEST, max_length=MOST)] = Field(
        title="Members", description="Judges that decide by themselves; the cost is that of all of them."
    )
    rule: Literal["majority", "mean"] = Field(
        "majority",
        title="How they vote",
        description="majority: each member has one vote for a side or a tie, and a side that leads wins, as surely as"
        " its share of the votes. mean: the mean of their probabilities.",
    )

    @field_validator("members")
    @classmethod
    def _can_vote(cls, members: tuple[Judge, ...]) -> tuple[Judge, ...]:
        for member in members:
            if not member.automatic or isinstance(member, Panel):
                text = f"“{member.title}” cannot be a member: choose judges that decide by themselves"
                raise PydanticCustomError("member", "{text}", {"text": text})
        return members

    @property
    def asks(self) -> dict[str, Asked]:
        """What the members ask, by the paths of their fields."""
        return {
            f"members.{place}.{path}": asked
            for place, member in enumerate(self.members)
            for path, asked in member.asks.items()
        }

    def decide(self, matches: Sequence[Match]) -> list[Verdict]:
        """What the members say of each match, taken together."""
        members = [member.decide(matches) for member in self.members]
        return [self.together(verdicts) for verdicts in zip(*members, strict=True)]

    def together(self, verdicts: Sequence[Verdict]) -> Verdict:
        """The panel's verdict on one match, of those of its members in their order."""
        known = [one.probability for one in verdicts if one.probability is not None]
        text = "; ".join(
            f"{member.title}: {_in_words(verdict)}" for member, verdict in zip(self.members, verdicts, strict=True)
        )
        if not known:
            return Verdict.undecided(NOBODY, text)
        if self.rule == "mean":
            return Verdict(math.fsum(known) / len(known), None, text)
        votes = Counter(0.5 if one == 0.5 else float(one > 0.5) for one in known)
        share = math.fsum(vote * count for vote, count in votes.items()) / len(known)
        return Verdict(share, None, text)


def _in_words(verdict: Verdict) -> str:
    return verdict.reason or "nothing" if verdict.probability is None else f"{verdict.probability:.2f}"


class Voice(NamedTuple):
    """Somebody whose verdicts are kept under a name; the fields of what it asks begin with `prefix`."""

    name: str
    judge: Judge
    prefix: str = ""


def voices(judge: Judge) -> list[Voice]:
    """A judge, after the members that it needs to have decided first."""
    members = judge.members if isinstance(judge, Panel) else ()
    each = [Voice(f"{MEMBER}{number}", one, f"members.{number - 1}.") for number, one in enumerate(members, 1)]
    return [*each, Voice(judge.name, judge)]
