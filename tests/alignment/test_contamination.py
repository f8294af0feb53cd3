"""Prompts that stand in training data: word for word whatever the writing, or by runs of words; short ones whole."""

import random
from typing import Any

import numpy as np
import pytest

from alignment.contamination import ENOUGH, RUN, Prompts, Seen, spoken, words

LONG = "Please explain to a curious child why the sky looks blue at noon and red in the evening."


def user(*turns: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": turn} for turn in turns]


def talk(*turns: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(turns)]


def look(prompts: list[Any], examples: list[Any]) -> Seen:
    wanted = Prompts(prompts)
    stands = wanted.nothing()
    wanted.find(stands, examples)
    return wanted.seen(stands)


@pytest.mark.parametrize(
    ("prompt", "example"),
    [
        (user("What is TEA?"), user("what is tea")),
        (user("\uff37\uff48\uff41\uff54 is “tea”…"), user('what is "tea"')),
        (user("Is it straße?"), user("is it STRASSE")),
        (user("茶是什么\uff1f"), user("茶是什么")),
        (user("?!"), user(" ?! ")),
        (user("And tea?"), talk("What is coffee?", "A drink.", "And tea?")),
        (talk("What is coffee?", "A drink.", "And tea?"), talk("What is coffee?", "Something else.", "And tea?")),
        ([{"role": "system", "content": "Be kind."}, *user("What is tea?")], user("What is tea?")),
        (user("\n\nHuman: What is tea?\n\nAssistant:"), user("What is tea?")),
        (user("What is tea?"), user("### User: What is tea?\n### Assistant: A drink.")),
        (
            [{"role": "assistant", "content": "Once upon a time"}],
            [{"role": "assistant", "content": "once upon a time"}],
        ),
    ],
)
def test_the_same_words_are_the_same_prompt(prompt: Any, example: Any) -> None:
    assert look([prompt], [example]).exact.tolist() == [True]


def test_short_prompts_count_only_whole() -> None:
    """Fewer words than a run: standing within a longer prompt is no sign."""
    found = look([user("What is tea?")], [user("Tell me, what is tea, and what is coffee, and how do they differ?")])
    assert (found.any.tolist(), found.share.tolist()) == ([False], [0.0])


def test_overlap_is_a_share_of_runs() -> None:
    """A long prompt within another text overlaps; with a third of its words changed it does not."""
    said = words(LONG)
    within = user(f"You are a teacher. {LONG} Answer in two sentences.")
    kept = " ".join(said[:12])
    found = look([user(LONG), user(f"{kept} once twice thrice four five six seven eight")], [within])
    assert found.exact.tolist() == [False, False]
    assert found.share[0] == 1
    assert found.share[1] == pytest.approx(5 / 13)
    assert found.any.tolist() == [True, False]


def test_nothing_and_empty() -> None:
    """Empty prompts are told apart and never seen, whatever the data hold."""
    wanted = Prompts([user(""), user("  \n"), [], user("Tea")])
    stands = wanted.nothing()
    wanted.find(stands, [user(""), [], user("x")])
    assert wanted.readable.tolist() == [False, False, False, True]
    assert not wanted.seen(stands).any.any()
    assert not look([], [user(LONG)]).any.size


def test_snapshots_add_up() -> None:
    """Half of a prompt in one snapshot and half in another is the whole of it."""
    said = words(LONG)
    wanted = Prompts([user(LONG)])
    found = []
    for part in (said[:12], said[5:]):
        stands = wanted.nothing()
        wanted.find(stands, [user(" ".join(part))])
        found.append(stands)
    shares = [float(wanted.seen(one).share[0]) for one in (*found, found[0] | found[1])]
    assert max(shares[:2]) < shares[2] == 1


def test_what_counting_run_by_run_gives() -> None:
    """Hashed runs find what a set of runs does, over data that are looked up in several parts."""
    generator = random.Random(1)
    vocabulary = [f"w{number}" for number in range(6)]
    texts = [" ".join(generator.choices(vocabulary, k=generator.randrange(5, 30))) for _ in range(300)]
    prompts, examples = texts[:100], texts[100:]
    held = {tuple(run) for text in examples for run in _runs(text)}
    own = [[tuple(run) in held for run in _runs(text)] for text in prompts]
    share = [float(np.mean(one)) if one else 0.0 for one in own]
    found = look([user(text) for text in prompts], [user(text) for text in examples])
    assert found.share.tolist() == pytest.approx(share)
    assert found.any.tolist() == [one >= ENOUGH or text in examples for one, text in zip(share, prompts, strict=True)]


def _runs(text: str) -> list[list[str]]:
    said = text.split()
    return [said[place : place + RUN] for place in range(len(said) - RUN + 1)]


def test_a_user_turn_that_speaks_of_a_user_stays_whole() -> None:
    assert spoken(user("Who is the user: Ann or Bo?")) == ["Who is the user: Ann or Bo?"]
