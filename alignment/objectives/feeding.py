"""Which kinds of data can feed an objective, and what each response of a kind becomes for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from alignment.objectives.batch import Role

FORMED: Final[Mapping[Role, str]] = {
    Role.MISMATCHED: "Formed from the other examples of a batch.",
    Role.POLICY_SAMPLE: "Drawn from the policy before each step.",
}
"""Roles that no data have, and how training comes by such responses."""

NAMES: Final[Mapping[Role, str]] = {
    Role.CHOSEN: "chosen answers",
    Role.REJECTED: "rejected answers",
    Role.CANDIDATE: "several answers in an order",
    Role.DESIRABLE: "wanted answers",
    Role.UNDESIRABLE: "unwanted answers",
    Role.RETAIN: "answers to be retained",
    Role.MISMATCHED: "answers to other prompts",
    Role.POLICY_SAMPLE: "samples of the policy",
    Role.RATIONALE: "rationales",
    Role.EMPTY_CHOSEN: "chosen answers without a trace of reasoning",
    Role.EMPTY_REJECTED: "rejected answers without a trace of reasoning",
}
UNFED: Final[Mapping[Role, str]] = {
    Role.REFERENCE_SAMPLE: "samples of the reference beside pairs that the policy answers itself, round by round",
}
"""Roles that no data fill yet, in words: objectives that need them are refused."""
TOLD: Final[Mapping[Role, str]] = {
    Role.RATIONALE: "rationale",
    Role.EMPTY_CHOSEN: "empty_chosen",
    Role.EMPTY_REJECTED: "empty_rejected",
}
"""Roles that texts beside a pair fill, and the fact (`alignment.formats.facts`) that each is found in."""
PAIR: Final[frozenset[Role]] = frozenset({Role.CHOSEN, Role.REJECTED})
KINDS: Final[Mapping[str, str]] = {
    "paired": "pairs",
    "ranked": "rankings",
    "demonstrations": "demonstrations",
    "unpaired": "answers with a thumb",
    "prompts": "bare prompts",
}


class Refusal(NamedTuple):
    """Why data cannot feed an objective, and what to do about it."""

    detail: str
    remedy: str


def wanted(roles: frozenset[Role]) -> Role | None:
    """What an objective with these roles calls a single answer that is wanted; None where it takes none."""
    return next((role for role in (Role.DESIRABLE, Role.RETAIN) if role in roles), None)


def fed(roles: frozenset[Role], kind: str, *, apart: bool = False) -> frozenset[Role]:
    """Those of an objective's roles that data of a kind fill; `apart` takes each side of a pair by itself."""
    single = roles & {Role.UNDESIRABLE, wanted(roles)}
    match kind:
        case "paired":
            return single if apart else PAIR | (roles & TOLD.keys()) if roles >= PAIR else frozenset()
        case "ranked":
            return roles & {Role.CANDIDATE}
        case "unpaired":
            return single
        case "demonstrations":
            return single - {Role.UNDESIRABLE}
        case _:
            return frozenset()


def kinds(roles: frozenset[Role]) -> list[str]:
    """The kinds of data that fill at least one of the roles, those that fill most of them first."""
    found = [kind for kind in KINDS if fed(roles, kind)]
    return sorted(found, key=lambda kind: -len(fed(roles, kind)))


def usable(roles: frozenset[Role]) -> str:
    """The kinds of data that fill all of the roles, in words; those that fill some of them where none does."""
    some = kinds(roles)
    whole = [kind for kind in some if lacking("", roles, fed(roles, kind)) is None]
    return " or ".join(KINDS[kind] for kind in whole or some)


def refused(title: str, roles: frozenset[Role], kind: str, *, apart: bool = False) -> Refusal | None:
    """Why an objective can use nothing of data of a kind; None where it can."""
    if apart and roles >= PAIR:
        return Refusal(f"{title} compares the two sides of a pair.", "Take them together.")
    if fed(roles, kind, apart=apart):
        return None
    remedy = f"Choose {usable(roles)}, or another objective."
    if kind == "paired" and fed(roles, kind, apart=True):
        remedy = f"Choose {usable(roles)}, or take the sides of pairs apart (pairs: apart)."
    return Refusal(f"{title} learns from {_listed(roles)}, and these data are {KINDS.get(kind, kind)}.", remedy)


def lacking(title: str, roles: frozenset[Role], found: Iterable[Role]) -> Refusal | None:
    """Why data that fill only the roles `found` are not enough; None where they are.

    What no data fill is not what these lack.
    """
    missing = roles - FORMED.keys() - UNFED.keys() - frozenset(found)
    if not missing:
        return None
    return Refusal(
        f"{title} learns from {_listed(roles)}, and these data have no {_listed(missing)}.",
        "Add data that have them, or choose another objective.",
    )


def _listed(roles: frozenset[Role]) -> str:
    names = {**NAMES, **UNFED}
    return " and ".join(names[role] for role in sorted(roles - FORMED.keys()))
