"""How far annotators agree: computed when read, never stored."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from sqlalchemy.orm import Session

from alignment.statistics import Coefficient, Ratings, coefficients, cohen
from alignment.statistics.coefficients import Name
from alignment.statistics.cohen import pairs
from backend.quality import reading
from backend.quality.reading import Annotator, Scope
from backend.quality.schemas import CoefficientOut, LabelAgreementOut, PairAgreementOut, WhoOut

MOST_IN_PAIRS = 12  # annotators whose pairs are told: 66 of them


def agreement(session: Session, scope: Scope, *, level: float, seed: int, unaided: bool) -> LabelAgreementOut:
    """Every coefficient over the labels of a scope; with `unaided`, without those made beside a suggestion."""
    said = reading.read(session, scope)
    if unaided:
        said = said.only(~said.aided)
    judged = reading.judged(said)
    chosen = reading.chosen(scope, judged)
    found = coefficients(chosen, level=level, seed=seed) | {"cohen_kappa": cohen(chosen, level=level, seed=seed)}
    if (scaled := reading.steps(scope, judged)) is not None:
        on_scale = coefficients(*scaled, level=level, seed=seed)
        names: tuple[Name, ...] = ("krippendorff_alpha_ordinal", "krippendorff_alpha_interval")
        found |= {name: on_scale[name] for name in names}
    busy = sorted(one for one, _ in Counter(judged.annotator.tolist()).most_common(MOST_IN_PAIRS))
    items, counts = np.unique(judged.item, return_counts=True)
    per_item = Counter(counts.tolist())
    picked = np.bincount(chosen.category, minlength=len(chosen.categories))
    return LabelAgreementOut(
        kind=scope.kind,
        items=len(items),
        labels=len(judged.item),
        skips=len(said.item) - len(judged.item),
        aided=int(judged.aided.sum()),
        surplus=int(judged.surplus.sum()),
        annotators=len(np.unique(judged.annotator)),
        labels_per_item=dict(sorted(per_item.items())),
        choices={name: int(count) for name, count in zip(chosen.categories, picked, strict=True)},
        coefficients=[_coefficient(one) for one in found.values()],
        pairs=_pairs(chosen, busy, said.people, level, seed),
        pairs_of=len(busy),
    )


def _pairs(
    chosen: Ratings, busy: Sequence[int], people: Sequence[Annotator], level: float, seed: int
) -> list[PairAgreementOut]:
    return [
        PairAgreementOut(
            first=_who(people[pair.first]),
            second=_who(people[pair.second]),
            percent=_coefficient(pair.percent),
            kappa=_coefficient(pair.kappa),
        )
        for pair in pairs(chosen, busy, level=level, seed=seed)
        if pair.kappa.n
    ]


def _coefficient(found: Coefficient) -> CoefficientOut:
    return CoefficientOut(**found._asdict())


def _who(person: Annotator) -> WhoOut:
    return WhoOut(annotator_id=person.id, name=person.name)
