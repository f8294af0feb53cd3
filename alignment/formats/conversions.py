"""Every conversion between kinds of data: items of one kind made into items of another by a stated rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import Field

from alignment.formats.canonical import BadRow, Item, Kind
from alignment.formats.conversion import Conversion, Left
from alignment.formats.degrading import AnswersToDegraded
from alignment.formats.judged import judged
from alignment.formats.preference import BothBad, Decision, Policy, Sources, decide
from alignment.formats.ranking import MOST_RANKED, RULES, PairRule, pairs_of, ranks_of
from alignment.formats.turning import ahead, best, by_scores, joined, less, rounds, sides, single, unwanted

MOST_MEETINGS: Final = 10_000
"""The most pairs that are made of the answers to one prompt."""


class Labelled(Conversion):
    """From pairs, as their labels decide them."""

    KIND: ClassVar[Kind] = "paired"

    sources: Sources = Field(
        "people_first",
        title="Whose labels decide",
        description="Whose labels count.",
        json_schema_extra={
            "labels": {
                "people_first": "People's, then imported, then judges'",
                "people": "People's alone",
                "imports": "Imported alone",
                "judges": "Judges' alone",
                "adjudicated": "Adjudicated alone",
            }
        },
    )
    min_votes: int = Field(1, ge=1, le=100, title="Votes", description="People (or judges) who must have judged.")

    def decided(self, item: Item) -> Decision:
        """The pair, chosen first.  Raises Left."""
        found = decide(item, Policy(sources=self.sources, min_votes=self.min_votes))
        if isinstance(found, str):
            raise Left(found)
        return found


class PairsToThumbs(Labelled):
    """Each side of a decided pair as a single answer."""

    name: Literal["pairs_to_thumbs"] = "pairs_to_thumbs"
    TO: ClassVar[Kind] = "unpaired"
    TITLE: ClassVar[str] = "Answers with a thumb"
    DOES: ClassVar[str] = "Each decided pair becomes two answers: the better one wanted, the worse one unwanted."

    both_bad: BothBad = Field(
        "leave_out",
        title="Both bad",
        description="What becomes of pairs that are judged both bad.",
        json_schema_extra={"labels": {"leave_out": "Left out", "unwanted": "Both answers are unwanted"}},
    )

    def of(self, item: Item) -> Iterable[Item]:
        """Two items."""
        try:
            return sides(item, self.decided(item))
        except Left as left:
            if left.why == "both_bad" and self.both_bad == "unwanted":
                return unwanted(item)
            raise


class PairsToAnswers(Labelled):
    """The better side of a decided pair as a demonstration."""

    name: Literal["pairs_to_answers"] = "pairs_to_answers"
    TO: ClassVar[Kind] = "demonstrations"
    TITLE: ClassVar[str] = "Demonstrations"
    DOES: ClassVar[str] = "Of each decided pair the better answer is kept."

    def of(self, item: Item) -> Iterable[Item]:
        """One item."""
        wanted, _ = sides(item, self.decided(item))
        return [single(wanted, 0, {})]


class PairsByScores(Conversion):
    """Pairs with scores as pairs that the scores decide."""

    name: Literal["pairs_by_scores"] = "pairs_by_scores"
    KIND: ClassVar[Kind] = "paired"
    TO: ClassVar[Kind] = "paired"
    TITLE: ClassVar[str] = "Pairs that their scores decide"
    DOES: ClassVar[str] = "Of each pair the answer that scores higher becomes the chosen one, whatever its labels say."

    margin: float = Field(
        0.0, ge=0, le=1e9, title="Margin", description="By how much the better answer must score higher; 0: by any."
    )

    def of(self, item: Item) -> Iterable[Item]:
        """One item, chosen first."""
        try:
            found = by_scores(item, self.margin)
        except BadRow as none:
            raise Left("no_scores") from none
        if found is None:
            raise Left("too_close")
        return [found]


class Ranked(Conversion):
    """From rankings, of as many answers as training takes."""

    KIND: ClassVar[Kind] = "ranked"

    def ranks(self, item: Item) -> list[float]:
        """The rank of each answer.  Raises Left."""
        if len(item.responses) > MOST_RANKED:
            raise Left("many")
        try:
            return ranks_of(item)
        except BadRow as none:
            raise Left("unordered") from none


class RankingsToPairs(Ranked):
    """Answers in an order, or with scores, as pairs."""

    name: Literal["rankings_to_pairs"] = "rankings_to_pairs"
    TO: ClassVar[Kind] = "paired"
    TITLE: ClassVar[str] = "Pairs"
    DOES: ClassVar[str] = "Each ranking becomes pairs by the rule you choose; answers of one rank never meet."

    meet: PairRule = Field(
        "best_worst",
        title="Which answers meet",
        description="Which answers of a ranking meet.",
        json_schema_extra={"labels": {name: words.rstrip(".") for name, words in RULES.items()}},
    )
    margin: float = Field(
        0.0, ge=0, le=1e9, title="Margin", description="By how much scores must differ; 0 asks for no scores."
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, title="Seed", description="Of what is drawn by lot.")

    def of(self, item: Item) -> Iterable[Item]:
        """A pair for each meeting, chosen first."""
        self.ranks(item)
        if self.margin and "scores" not in item.facts:
            raise Left("no_scores")
        met = made = False
        for one in pairs_of(item, self.meet, self.seed):
            met = True
            if not self.margin or ahead(one.facts["scores"][0] - one.facts["scores"][1], self.margin):
                made = True
                yield one
        if not made:
            raise Left("too_close" if met else "one_rank")


class RankingsToAnswers(Ranked):
    """The best answer of a ranking as a demonstration."""

    name: Literal["rankings_to_answers"] = "rankings_to_answers"
    TO: ClassVar[Kind] = "demonstrations"
    TITLE: ClassVar[str] = "Demonstrations"
    DOES: ClassVar[str] = "Of each ranking the best answer is kept; of several that are the best, the first."

    def of(self, item: Item) -> Iterable[Item]:
        """One item."""
        self.ranks(item)
        found = best(item)
        if found is None:
            raise Left("one_rank")
        return [found]


class RankingsToThumbs(Ranked):
    """Every answer of a ranking with a thumb, by its rank or its score."""

    name: Literal["rankings_to_thumbs"] = "rankings_to_thumbs"
    TO: ClassVar[Kind] = "unpaired"
    TITLE: ClassVar[str] = "Answers with a thumb"
    DOES: ClassVar[str] = "Each answer becomes one by itself, wanted where it is at or beyond the threshold."

    by: Literal["score", "rank"] = Field(
        "score",
        title="By",
        description="Scores from the threshold up are wanted, or ranks from 1 to it.",
        json_schema_extra={"labels": {"score": "Scores", "rank": "Ranks"}},
    )
    threshold: float = Field(ge=-1e9, le=1e9, title="Threshold", description="From where on an answer is wanted.")

    def of(self, item: Item) -> Iterable[Item]:
        """As many items as there are answers."""
        ranks = self.ranks(item)
        if self.by == "score" and "scores" not in item.facts:
            raise Left("no_scores")
        values = item.facts["scores"] if self.by == "score" else ranks
        wanted = [value >= self.threshold if self.by == "score" else value <= self.threshold for value in values]
        return [single(item, place, {"desirable": good}) for place, good in enumerate(wanted)]


class ThumbsToPairs(Conversion):
    """Wanted and unwanted answers to one prompt as pairs."""

    name: Literal["thumbs_to_pairs"] = "thumbs_to_pairs"
    KIND: ClassVar[Kind] = "unpaired"
    TO: ClassVar[Kind] = "paired"
    TITLE: ClassVar[str] = "Pairs"
    DOES: ClassVar[str] = "Wanted and unwanted answers to the same prompt become pairs."
    GROUPED: ClassVar[bool] = True

    meet: Literal["in_turn", "all"] = Field(
        "in_turn",
        title="Which answers meet",
        description="Each answer in one pair, the first wanted with the first unwanted; or each with each, up to"
        f" {MOST_MEETINGS:,} pairs of a prompt.",
        json_schema_extra={"labels": {"in_turn": "In turn: each in one pair", "all": "Each with each"}},
    )

    def turned(self, items: Sequence[Item], left: Counter[str]) -> Iterator[Item]:
        """Pairs of the answers to one prompt."""
        told = [item for item in items if "desirable" in item.facts]
        left["no_thumb"] += len(items) - len(told)
        good, bad = ([item for item in told if item.facts["desirable"] is wanted] for wanted in (True, False))
        meetings = rounds(good, bad) if self.meet == "all" else zip(good, bad, strict=False)
        used: set[int] = set()
        for one, other in islice(meetings, MOST_MEETINGS if self.meet == "all" else None):
            if one.responses != other.responses:
                used |= {id(one), id(other)}
                yield joined(one, other)
        alone = sum(id(item) not in used for item in told)
        left["no_turn" if next(meetings, None) else "no_partner"] += alone


class ThumbsToAnswers(Conversion):
    """Wanted answers as demonstrations."""

    name: Literal["thumbs_to_answers"] = "thumbs_to_answers"
    KIND: ClassVar[Kind] = "unpaired"
    TO: ClassVar[Kind] = "demonstrations"
    TITLE: ClassVar[str] = "Demonstrations"
    DOES: ClassVar[str] = "Wanted answers are kept."

    def of(self, item: Item) -> Iterable[Item]:
        """One item."""
        if "desirable" not in item.facts:
            raise Left("no_thumb")
        if not item.facts["desirable"]:
            raise Left("unwanted")
        return [Item(item.prompt, item.responses, (), less(item.facts, {"desirable"}))]


class AnswersToRankings(Conversion):
    """Scored answers to one prompt as a ranking."""

    name: Literal["answers_to_rankings"] = "answers_to_rankings"
    KIND: ClassVar[Kind] = "demonstrations"
    TO: ClassVar[Kind] = "ranked"
    TITLE: ClassVar[str] = "Rankings"
    DOES: ClassVar[str] = "Answers to the same prompt that have scores become a ranking by them."
    GROUPED: ClassVar[bool] = True

    def turned(self, items: Sequence[Item], left: Counter[str]) -> Iterator[Item]:
        """One ranking, the best answer first."""
        told = [item for item in items if item.facts.get("scores")]
        left["no_scores"] += len(items) - len(told)
        if not 2 <= len(told) <= MOST_RANKED:
            left["alone" if len(told) < 2 else "crowd"] += len(told)
            return
        order = sorted(told, key=lambda item: -item.facts["scores"][0])
        scores = [item.facts["scores"][0] for item in order]
        facts = {"scores": scores, "ranks": [1.0 + sum(other > score for other in scores) for score in scores]}
        yield Item(order[0].prompt, [item.responses[0] for item in order], (), facts)


class AnswersToThumbs(Conversion):
    """Single answers that people gave thumbs, with the thumb of the majority."""

    name: Literal["answers_to_thumbs"] = "answers_to_thumbs"
    KIND: ClassVar[Kind] = "demonstrations"
    TO: ClassVar[Kind] = "unpaired"
    TITLE: ClassVar[str] = "Answers with a thumb"
    DOES: ClassVar[str] = "Answers that were labelled become wanted or unwanted ones, as most labels say."

    def of(self, item: Item) -> Iterable[Item]:
        """One item."""
        facts = judged(item, "unpaired", Policy())
        if isinstance(facts, str):
            raise Left("no_thumb" if facts == "unlabelled" else facts)
        return [Item(item.prompt, item.responses, (), facts, line=item.line)]


AnyConversion = Annotated[
    PairsToThumbs
    | PairsToAnswers
    | PairsByScores
    | RankingsToPairs
    | RankingsToAnswers
    | RankingsToThumbs
    | ThumbsToPairs
    | ThumbsToAnswers
    | AnswersToRankings
    | AnswersToDegraded
    | AnswersToThumbs,
    Field(discriminator="name"),
]
CONVERSIONS: Final[tuple[type[Conversion], ...]] = get_args(get_args(AnyConversion)[0])
"""Every conversion."""
