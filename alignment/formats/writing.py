"""A dataset's items as the rows of a format: what each becomes, what of it is lost, and how many that concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from alignment.formats.canonical import BadRow, Item, Kind
from alignment.formats.detect import Format
from alignment.formats.judged import judged
from alignment.formats.losses import ESSENTIAL, LABELS, WORDS, label_traits, traits, without
from alignment.formats.preference import BothBad, Policy, decisions
from alignment.formats.ranking import PairRule, pairs_of
from alignment.formats.turning import best, less, sides, single, unwanted

_SAID: Final = {"strengths", "several", "refusals", "rankings", "thumb_labels", "surplus"}
"""What of labels becomes a choice, an order, a thumb, or a number of votes, or is left out and counted so."""
_TOLD_AS: Final = {"reasons": "label_rationales", "aspects": "label_aspects"}
UNDECIDED: Final = {
    "unlabelled": "have no label",
    "tie": "are ties",
    "both_bad": "are judged both bad",
    "skipped": "were skipped",
    "other_sources": "have no label from where it counts",
    "too_few_votes": "have too few votes",
    "surplus": "have no label but more than were asked for",
    "too_close": "lead by less than the margin",
    "not_adjudicated": "are not adjudicated",
    "not_wanted": "are not wanted",
    "unranked": "have neither ranks nor scores",
    "media": "hold pictures, sound, video or files",
}
"""Why an item is left out, in words that follow “3 of 120 rows”."""


class CannotWrite(ValueError):
    """The format has no rows for this kind of dataset: `reason` says why, `remedy` what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


def targets(form: Format, kind: Kind) -> Kind:
    """The kind of rows that a dataset of `kind` becomes in a format.  Raises CannotWrite.

    Pairs become answers with thumbs where a format has nothing else, rankings become pairs, and anything becomes bare
    prompts.
    """
    for found in (kind, *_TURNS[kind]):
        if found in form.KINDS:
            return found
    raise CannotWrite(
        f"{form.TITLE} has no rows for {NOUNS[kind]}.", "Choose native rows, which hold every kind of dataset."
    )


NOUNS: Final[dict[Kind, str]] = {
    "prompts": "prompts",
    "demonstrations": "demonstrations",
    "unpaired": "answers with a thumb",
    "paired": "pairs",
    "ranked": "rankings",
}
_TURNS: Final[dict[Kind, tuple[Kind, ...]]] = {
    "prompts": (),
    "demonstrations": ("prompts",),
    "unpaired": ("demonstrations", "prompts"),
    "paired": ("unpaired", "demonstrations", "prompts"),
    "ranked": ("paired", "demonstrations", "prompts"),
}
CHANGES: Final[dict[tuple[Kind, Kind], str]] = {
    ("paired", "unpaired"): "Each decided pair becomes two rows: the better response wanted, the worse unwanted.",
    ("paired", "demonstrations"): "Of each decided pair only the better response is written.",
    ("ranked", "paired"): "Each ranking becomes pairs by the rule you choose.",
    ("ranked", "demonstrations"): "Of each ranking only the best answer is written.",
    ("unpaired", "demonstrations"): "Only the wanted answers are written.",
}
"""What happens to items on the way to rows of another kind; to bare prompts, answers are dropped."""


def change(kind: Kind, target: Kind) -> str | None:
    """What happens to items on the way to rows of another kind, in a sentence."""
    if kind == target:
        return None
    return CHANGES.get((kind, target), "Only the prompts are written.")


@dataclass
class Losses:
    """What an export loses, counted as it is made."""

    items: int = 0
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def sentences(self, title: str) -> list[str]:
        """The losses in words, the most frequent first."""
        said = [f"{_of(count, self.items)} {why}; left out." for why, count in self.left_out.most_common()]
        return said + [
            f"{_of(count, self.items)} have {WORDS[trait]}, which {title} cannot hold."
            for trait, count in self.dropped.most_common()
        ]


def _of(count: int, items: int) -> str:
    return f"{count:,} of {items:,} rows"


class Export:
    """Makes rows of items, one dataset in one format and style, and counts what is lost on the way."""

    def __init__(
        self,
        form: Format,
        kind: Kind,
        *,
        style: str | None = None,
        policy: Policy | None = None,
        rule: PairRule | None = None,
        both_bad: BothBad = "leave_out",
    ) -> None:
        """Raises CannotWrite when the format has no rows for this, or a rule is needed and missing."""
        self.form, self.kind, self.rule, self.both_bad = form, kind, rule, both_bad
        self.style = next(iter(form.STYLES)) if style is None else style
        if self.style not in form.STYLES:
            raise CannotWrite(f"{form.TITLE} has no style {self.style!r}.", f"Choose one of {', '.join(form.STYLES)}.")
        self.holds = form.STYLES[self.style]
        self.target = targets(form, kind)
        if self.target == "paired" and kind == "ranked" and rule is None:
            raise CannotWrite("It is not said which answers of a ranking become pairs.", "Choose a rule.")
        self.policy = policy or Policy()
        self.settled = self.target != "prompts" and (form.DECIDED or self.target != kind)
        self.decided = self.settled and kind == "paired"
        self.losses = Losses()
        self._refuse_unsaid()

    def _refuse_unsaid(self) -> None:
        """Raises CannotWrite for a choice of the policy that these rows cannot say."""
        title, policy = self.form.TITLE, self.policy
        which_labels = Policy(task=policy.task, surplus=policy.surplus, annotators=policy.annotators)
        if not self.settled and policy != which_labels:
            raise CannotWrite(
                f"{title} hold every label beside its item here, so that no policy decides.",
                "Leave the choice to whoever reads them, or choose a format of decided rows.",
            )
        if self.both_bad == "unwanted" and not (self.decided and self.target == "unpaired"):
            raise CannotWrite(
                f"{title} rows of {NOUNS[self.target]} cannot say that both answers of a pair are unwanted.",
                "Leave such pairs out, or choose a format for answers with a thumb.",
            )
        pairs = self.decided and self.target == "paired"
        if policy.ties == "half" and not (pairs and "soft_label" in self.holds):
            raise CannotWrite(
                f"{title} cannot say a tie here: its rows have no soft labels.",
                "Leave ties out, or choose a format whose pairs have soft labels.",
            )
        if policy.unit == "label" and not pairs:
            raise CannotWrite(
                f"Each label by itself is not written as {NOUNS[self.target]} of {title}.",
                "Let the majority decide, or choose a format whose pairs are decided.",
            )

    def rows(self, item: Item) -> Iterator[dict[str, Any]]:
        """The rows of one item, usually one; what is lost is counted."""
        kept, lost = self.kept(item)
        try:
            made = [self.form.render(one, self.style) for one in kept]
        except BadRow as bad:
            self.losses.left_out[f"cannot be written: {bad.reason.removesuffix('.')}"] += 1
            return
        if lost:
            self.losses.dropped.update(lost)
        self.losses.rows += len(made)
        yield from made

    def kept(self, item: Item) -> tuple[list[Item], set[str]]:
        """What of an item goes into its rows, one item a row, and what is dropped; nothing when it is left out."""
        self.losses.items += 1
        found = list(self._turned(item))
        lost: set[str] = set()
        for one in found:
            lacking = traits(one) - self.holds
            if essential := lacking & ESSENTIAL:
                self.losses.left_out[f"have {WORDS[min(essential)]}, which {self.form.TITLE} cannot hold"] += 1
                return [], set()
            lost |= lacking
        if self.settled and item.labels:
            lost |= label_traits(item.labels) & self._unsaid()
        return [without(one, lost) for one in found], lost

    def _turned(self, item: Item) -> Iterator[Item]:
        """The item as items of the kind that is written; none, and a reason counted, when it cannot become one."""
        if self.target == "prompts":
            yield Item(item.prompt, [], (), {} if item.responses else item.facts, line=item.line)
        elif not self.settled:
            yield self.whole(item)
        elif self.decided:
            yield from self._decided(item)
        else:
            yield from self._judged(item)

    def whole(self, item: Item) -> Item:
        """The item with its labels, less those that are not wanted, and less names where nobody is to be named."""
        kept = item
        if not self.policy.surplus and any(label.surplus for label in item.labels):
            kept = replace(kept, labels=[label for label in item.labels if not label.surplus])
        return kept if self.policy.annotators else without(kept, {"annotators", "annotator"})

    def _decided(self, item: Item) -> Iterator[Item]:
        found = decisions(item, self.policy)
        if isinstance(found, str):
            if found == "both_bad" and self.both_bad == "unwanted":
                yield from unwanted(item)
            else:
                self.losses.left_out[UNDECIDED[found]] += 1
            return
        for decision in found:
            if self.target == "paired":
                facts = decision.facts | ({"meta": item.facts["meta"]} if "meta" in item.facts else {})
                yield Item(item.prompt, decision.responses, (), facts)
            elif self.target == "unpaired":
                yield from sides(item, decision)
            else:
                wanted, _ = sides(item, decision)
                yield single(wanted, 0, {})

    def _judged(self, item: Item) -> Iterator[Item]:
        """A ranking, a thumb or a demonstration as its labels have it."""
        facts = judged(item, self.kind, self.policy)
        if isinstance(facts, str):
            self.losses.left_out[UNDECIDED[facts]] += 1
            return
        found = Item(item.prompt, item.responses, (), facts, line=item.line)
        if self.kind == "ranked" and self.target != "ranked":
            yield from self._ranked(found)
        elif self.kind == "unpaired" and self.target == "demonstrations":
            if facts["desirable"]:
                yield replace(found, facts=less(facts, {"desirable"}))
            else:
                self.losses.left_out["are not wanted"] += 1
        else:
            yield found

    def _unsaid(self) -> frozenset[str]:
        """What of labels these rows do not say, as keys of WORDS."""
        told = {trait for name, trait in _TOLD_AS.items() if getattr(self.policy, name)}
        if self.policy.unit == "label" and self.policy.annotators and "annotator" in self.holds:
            told.add("annotators")
        return LABELS - _SAID - told

    def _ranked(self, item: Item) -> Iterator[Item]:
        made = pairs_of(item, self.rule or "best_worst") if self.target == "paired" else filter(None, [best(item)])
        found = [Item(one.prompt, one.responses, (), one.facts) for one in made]
        if not found:
            self.losses.left_out["have answers of one rank only"] += 1
        yield from found
