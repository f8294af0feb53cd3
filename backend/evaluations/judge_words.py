"""What follows from a judge's report card, in sentences."""

from collections.abc import Iterator

from backend.evaluations.judge_card_schemas import JudgeCardOut, LikingOut, WordOut
from backend.evaluations.report_schemas import RateOut

FEW = 10
INCONSISTENT = 0.7
SILENT = 0.02
POOR, GOOD = 0.2, 0.6
"""Cohen's kappa below which agreement is slight, and from which it is substantial (Landis and Koch 1977)."""
NAMED = 3
NOTHING = "It has judged no match yet. Its report card fills as verdicts come."
ONE = "It has judged one match only, from which nothing can be told. Let it judge more."
FIRST = (
    "It names the answer that is shown {which} every time, whatever it says. Its win rates mean nothing: use another"
    " judge."
)
TIES = "It calls every match a tie, so it tells nothing apart. Use another judge, or another template."
PEOPLE = (
    "Nobody has judged any of its matches, so whether it is right is unknown. Judge some of them by hand: with twenty"
    " prompts its win rate can be corrected."
)
FINE = "Nothing here speaks against this judge."


def told(card: JudgeCardOut, mend: str) -> list[WordOut]:
    """The gravest first; where nothing can be told, that alone, with what may `mend` it."""
    if not card.verdicts:
        return [WordOut(kind="note", text=NOTHING)]
    if not card.shown_first.n:
        text = f"None of its {card.verdicts:,} verdicts came to anything. See the reasons below. {mend}."
        return [WordOut(kind="bad", text=text)]
    if card.matches == 1:
        return [WordOut(kind="note", text=ONE)]
    found = [*_position(card), *_silence(card), *_people(card), *_sureness(card), *_own(card), *_taste(card)]
    if not any(one.kind in ("bad", "warn") for one in found) and card.agreement.n:
        found.append(WordOut(kind="good", text=FINE))
    rank = {"bad": 0, "warn": 1, "good": 2, "note": 3}
    return sorted(found, key=lambda one: rank[one.kind])


def by_place(first: float | None, n: int) -> str | None:
    """What there is to say of a judge that names the answer in one place every time: of `n` verdicts the share `first`
    names the one shown first."""
    if n < FEW or first not in (0.0, 1.0):
        return None
    return FIRST.format(which="first" if first else "last")


def _position(card: JudgeCardOut) -> Iterator[WordOut]:
    first, same = card.shown_first, card.consistency
    if (said := by_place(first.rate, first.n)) is not None:
        yield WordOut(kind="bad", text=said)
        return
    if card.ties.rate == 1.0 and card.ties.n >= FEW:
        yield WordOut(kind="bad", text=TIES)
        return
    if _beyond(first) and first.rate is not None:
        which = "first" if first.rate > 0.5 else "last"
        text = (
            f"This judge prefers whatever stands {which}: that answer wins {_percent(first.rate)} of verdicts. Judging"
            " both side orders takes it out of win rates, at the price of ties."
        )
        yield WordOut(kind="warn", text=text)
    if same.rate is not None and same.n >= FEW and same.rate < INCONSISTENT:
        text = (
            f"It says the same in both side orders in {_percent(same.rate)} of matches only; the others count as ties."
        )
        yield WordOut(kind="warn", text=text)


def _silence(card: JudgeCardOut) -> Iterator[WordOut]:
    lost = card.unreadable.rate
    if lost is not None and lost > SILENT:
        text = (
            f"{_percent(lost)} of its replies hold no verdict, and win rates leave those matches out. Give it more"
            " tokens, or ask for the verdict alone."
        )
        yield WordOut(kind="bad" if lost > 0.2 else "warn", text=text)


def _people(card: JudgeCardOut) -> Iterator[WordOut]:
    kappa, same = card.kappa, card.agreement
    if not same.n:
        yield WordOut(kind="note", text=PEOPLE)
    elif same.n >= FEW and kappa.value is not None and same.value is not None:
        share = f"{_percent(same.value)} of {same.n} prompts"
        words = f"It names the winner that people name on {share} (kappa {kappa.value:.2f})"
        if kappa.value < POOR:
            yield WordOut(kind="bad", text=f"{words}: hardly more often than chance would. Do not believe it alone.")
        elif kappa.value >= GOOD:
            yield WordOut(kind="good", text=f"{words}, about as people agree among themselves.")
        else:
            yield WordOut(kind="note", text=f"{words}. Read its win rates as people would say them, corrected.")


def _sureness(card: JudgeCardOut) -> Iterator[WordOut]:
    found = card.calibration
    if found.error is None or found.by_chance is None or found.error <= found.by_chance:
        return
    gap = sum(one.n * (one.confidence - one.right) for one in found.bins)
    how = "surer than it is right" if gap > 0 else "right more often than it is sure"
    text = f"It is {how}, by {_points(found.error)} on average. Do not take its probabilities at their word."
    yield WordOut(kind="warn", text=text)


def _own(card: JudgeCardOut) -> Iterator[WordOut]:
    found = card.self_preference
    if found.score is not None and found.low is not None and found.low > 0:
        text = (
            f"It lets its own model's answers win {_points(found.score)} more often than others do. Let another model"
            " judge them."
        )
        yield WordOut(kind="bad", text=text)


def _taste(card: JudgeCardOut) -> Iterator[WordOut]:
    longer = card.longer
    if _beyond(longer) and longer.rate is not None:
        which = "longer" if longer.rate > 0.5 else "shorter"
        share = max(longer.rate, 1 - longer.rate)
        text = f"The {which} answer wins {_percent(share)} of its matches. Read the rates at equal length, too."
        yield WordOut(kind="warn" if share > 0.6 else "note", text=text)
    clear = [one for one in card.dissection.likings if (one.low > 0 or one.high < 0) and _shows(one.preferred)][:NAMED]
    if clear:
        names = "; ".join(_liking(one) for one in clear)
        yield WordOut(kind="note", text=f"Of two answers that are otherwise alike, it prefers the one {names}.")


def _liking(one: LikingOut) -> str:
    share = _percent(max(one.preferred, 1 - one.preferred))
    if one.name == "shown first":
        return f"shown {'first' if one.value > 0 else 'last'} ({share})"
    if one.name == "length":
        return f"that is {'longer' if one.value > 0 else 'shorter'} ({share})"
    return f"with {'more' if one.value > 0 else 'less'} {one.name} ({share})"


def _shows(share: float) -> bool:
    """Whether a share differs from a half as it is written: one that is certain to be nothing is no liking."""
    return _percent(share) != _percent(0.5)


def _beyond(one: RateOut) -> bool:
    """Whether a half lies outside of its interval."""
    return one.low is not None and one.high is not None and (one.low > 0.5 or one.high < 0.5)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
