"""What a policy says, in words that a person reads beside a snapshot."""

from typing import Final

from alignment.formats.preference import Policy

SOURCES: Final = {
    "people_first": "People's labels, imported ones where no person judged, else judges'",
    "people": "People's labels alone",
    "imports": "Imported labels alone",
    "judges": "Judges' labels alone",
    "adjudicated": "What was adjudicated alone",
}


def in_words(policy: Policy, kind: str, task: str | None = None) -> str:
    """One sentence: whose labels decided, by how many and how clearly, and all that is not the usual; `task` is the
    name of the policy's task, None when that is gone."""
    pairs = kind == "paired"
    single = policy.unit == "label"
    leads = f"by a mean strength of {policy.min_margin:g} or more" if policy.min_margin else "by any lead"
    parts = [
        (SOURCES[policy.sources], True),
        (f"of tasks {f'“{task}”' if task else 'one that is gone'} alone", policy.task is not None),
        ("one vote is enough" if policy.min_votes == 1 else f"at least {policy.min_votes} votes", True),
        (f"each label by itself, {leads}" if single else f"the majority of a pair, {leads}", pairs),
        ("ties kept as one half" if policy.ties == "half" else "ties left out", pairs),
        ("a soft label on every pair", pairs and policy.soft),
        ("reasons kept as rationales", pairs and policy.reasons),
        ("ratings by aspect kept as means", policy.aspects),
        ("without surplus labels", not policy.surplus),
        ("without who judged", not policy.annotators),
    ]
    return "; ".join(words for words, said in parts if said) + "."
