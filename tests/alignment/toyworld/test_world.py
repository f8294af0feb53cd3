"""The grammar of the toy world: what it writes it can read, and its prompts keep to their side."""

import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alignment import toyworld
from alignment.toyworld import advice, facts, requests
from alignment.toyworld.answers import BEST, Attributes, answer
from alignment.toyworld.requests import Fact, topic_of
from alignment.toyworld.reward import BEST_REWARD, read, true_reward

PROMPTS = toyworld.prompts(4000, seed=5, split="train") + toyworld.prompts(1000, seed=5, split="held_out")
attributes = st.builds(Attributes, st.booleans(), st.booleans(), st.booleans())


@given(st.sampled_from(PROMPTS), attributes, st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_sampled_attributes_are_read_back_exactly(prompt: str, wanted: Attributes, seed: int) -> None:
    """Whatever the grammar writes, the reward reads its attributes from the text alone."""
    text = answer(topic_of(prompt), wanted, random.Random(seed))
    reading = read(prompt, text)

    assert reading.attributes == wanted
    assert reading.coherence == 1.0
    assert 10 <= len(text.split()) <= 80


@given(st.sampled_from(PROMPTS), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_the_best_reward_is_attained(prompt: str, seed: int) -> None:
    """A right, kind and concise answer is worth exactly what best_reward promises."""
    text = answer(topic_of(prompt), BEST, random.Random(seed))

    assert true_reward(prompt, text) == toyworld.best_reward(prompt) == BEST_REWARD


@given(st.sampled_from(PROMPTS), st.text(max_size=300), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_no_text_beats_a_good_answer(prompt: str, text: str, seed: int) -> None:
    """Any text has a reward between -3 and the best; a readable good answer is worth more than any broken one."""
    value = true_reward(prompt, text)
    good = answer(topic_of(prompt), BEST, random.Random(seed))

    assert -3.0 <= value <= BEST_REWARD
    assert value <= true_reward(prompt, good)
    assert true_reward(prompt, text + good) <= BEST_REWARD


def test_broken_text_is_graded() -> None:
    """Nothing < strange words < known words in no order < a rude, rambling, wrong answer < a good one."""
    prompt = "What does an owl eat?"
    worst = answer(topic_of(prompt), Attributes(kind=False, concise=False, right=False), random.Random(0))
    ladder = ["", "zxq glorb wumpf", "owl the mice a", worst, "Happy to help! An owl eats mice when it is hungry."]

    values = [true_reward(prompt, text) for text in ladder]

    assert values == sorted(values)
    assert values[0] == -3.0
    assert values[2] < 0 <= values[3] < values[4] == BEST_REWARD


def test_a_broken_ending_costs() -> None:
    """An answer that stops in the middle of a sentence is worth less than the whole one."""
    prompt = "How do I make tea?"
    whole = answer(topic_of(prompt), BEST, random.Random(1))

    cut = " ".join(whole.split()[:-2])

    assert true_reward(prompt, cut) < true_reward(prompt, whole)


def test_repeating_oneself_does_not_pay() -> None:
    """Saying a kind or a right sentence twice is rambling, so the reward cannot be gamed by repetition."""
    prompt = "How much is two and three?"
    once = "With pleasure! Together two and three make five. Have a wonderful day!"

    assert true_reward(prompt, f"{once} Have a wonderful day!") < true_reward(prompt, once) == BEST_REWARD
    assert true_reward(prompt, once.replace("five", "six")) < BEST_REWARD
    assert true_reward(prompt, f"{once} Together two and three make six.") < BEST_REWARD


@pytest.mark.parametrize("prompt", ["", "What is love?", [], [{"role": "system", "content": "Hi"}], "x" * 100_000])
def test_an_unknown_prompt_is_refused(prompt: str | list[dict[str, str]]) -> None:
    """A prompt from outside has no true reward, and that is said rather than guessed."""
    with pytest.raises(toyworld.UnknownPrompt):
        true_reward(prompt, "With pleasure!")
    with pytest.raises(toyworld.UnknownPrompt):
        toyworld.best_reward(prompt)


def test_a_conversation_is_judged_by_its_last_question() -> None:
    """Prompts may be messages, with a system text and earlier turns; spaces and capitals do not matter."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How do I make tea?"},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "  what is the capital  of Peru? "},
    ]

    assert topic_of(messages) == Fact("capital", "Peru")


def test_splits_share_no_prompt() -> None:
    """A held-out prompt is never a training prompt, and both sides have thousands of different ones."""
    sides = {
        side: {requests._fold(text) for text in toyworld.prompts(toyworld.count(side), 0, side)}
        for side in ("train", "held_out")
    }

    assert not sides["train"] & sides["held_out"]
    assert len(sides["train"]) == toyworld.count("train") > 10_000
    assert len(sides["held_out"]) == toyworld.count("held_out") > 1_000


def test_every_fact_and_task_can_be_learned() -> None:
    """Whatever a held-out prompt asks is also asked in other words by some training prompt."""
    train, held_out = (
        {topic_of(text) for text in toyworld.prompts(toyworld.count(side), 0, side)} for side in ("train", "held_out")
    )

    assert held_out <= train


def test_prompts_are_reproducible_and_mixed() -> None:
    """The same seed gives the same different prompts, of all kinds; asking for too many is refused."""
    drawn = toyworld.prompts(1000, seed=3)

    assert drawn == toyworld.prompts(1000, seed=3) != toyworld.prompts(1000, seed=4)
    assert len(set(drawn)) == 1000
    kinds = Counter(type(topic_of(text)).__name__ for text in drawn)
    assert 540 < kinds["Fact"] < 660
    assert kinds["Task"] > 140
    assert kinds["Story"] > 140
    with pytest.raises(ValueError, match="prompts"):
        toyworld.prompts(10**9, seed=0)


def test_no_sentence_means_two_things() -> None:
    """Every step of advice belongs to one task, and every fact has a wrong value to be confused with."""
    steps = Counter(text for steps in advice.TASKS.values() for texts in steps for text in texts)

    assert max(steps.values()) == 1
    assert all(set(r.values()) - set(values) for r in facts.RELATIONS for values in r.table.values())


def test_the_world_needs_no_torch() -> None:
    """Importing the world and the judges loads neither torch nor transformers, so that the web process stays small."""
    code = "import sys, alignment.toyworld, alignment.judges; print({'torch', 'transformers'} & set(sys.modules))"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "set()"
