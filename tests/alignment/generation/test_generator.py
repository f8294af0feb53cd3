"""What a checkpoint answers depends on the prompt, the settings and the seed, and on nothing else."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM

from alignment.generation import Generator, PromptTooLong, Response, pick
from alignment.sampling import Sampling
from tests.checkpoints import make_llama

Prompt = list[dict[str, Any]]
TEXTS = ["the cat sat on the mat", "dogs ran fast over long hills", "please and thank you under the warm sun"]


def ask(text: str) -> Prompt:
    return [{"role": "user", "content": text}]


PROMPTS = [ask(text[: 5 + 3 * index]) for index, text in enumerate(TEXTS * 3)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_llama(tmp_path_factory.mktemp("model"), TEXTS * 10, context=128)


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return Generator(folder, device="cpu")


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_an_answer_does_not_depend_on_its_neighbours(generator: Generator, temperature: float) -> None:
    """Alone, in a batch, or in another order: the same seed gives the same text."""
    sampling = Sampling(temperature=temperature, max_new_tokens=20, seed=5)
    together = generator.generate(PROMPTS, sampling)
    order = list(range(len(PROMPTS)))
    random.Random(0).shuffle(order)
    shuffled = generator.generate([PROMPTS[index] for index in order], sampling)

    assert [generator.generate([prompt], sampling)[0].text for prompt in PROMPTS] == [one.text for one in together]
    assert [shuffled[order.index(index)].text for index in range(len(PROMPTS))] == [one.text for one in together]


def test_greedy_answers_are_those_of_transformers(generator: Generator, folder: Path) -> None:
    """Without randomness the tokens are the model's most probable ones."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    row = generator._rows([PROMPTS[0]], Sampling(temperature=0), cut=True)[0]
    ids = torch.tensor([row.prompt])
    expected = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=15, do_sample=False)

    (answer,) = generator.generate([PROMPTS[0]], Sampling(temperature=0, max_new_tokens=15))

    tokens = expected[0, len(row.prompt) :].tolist()
    assert answer.tokens == len(tokens)
    assert answer.text == generator._tokenizer.decode(tokens, skip_special_tokens=True)


def test_seeds_and_repeated_prompts_give_different_draws(generator: Generator) -> None:
    """Another seed is another answer, and asking twice in one call draws twice."""
    one = generator.generate([PROMPTS[0]] * 2, Sampling(temperature=1, max_new_tokens=20, seed=1))
    other = generator.generate([PROMPTS[0]], Sampling(temperature=1, max_new_tokens=20, seed=2))

    assert len({answer.text for answer in (*one, *other)}) == 3


def test_samples_are_a_prompt_asked_several_times(generator: Generator) -> None:
    """They stand beside each other in the order of the prompts, all are different, and the first ones stay the same."""
    sampling = Sampling(temperature=1, max_new_tokens=20, seed=1)
    answers = generator.generate(PROMPTS[:2], sampling, samples=3)

    assert answers == generator.generate([prompt for prompt in PROMPTS[:2] for _ in range(3)], sampling)
    assert answers[::3] == generator.generate(PROMPTS[:2], sampling)
    assert len({answer.text for answer in answers}) == 6


def test_each_answer_is_told_once_and_as_soon_as_it_is_there(generator: Generator) -> None:
    """With its number, and before longer ones are whole; what is stopped under way is not told."""
    told: dict[int, Response] = {}
    sampling = Sampling(temperature=1.5, max_new_tokens=90, seed=0)

    def answered(index: int, response: Response) -> None:
        assert index not in told
        told[index] = response

    answers = generator.generate(PROMPTS * 20, sampling, answered=answered)
    lengths = [response.tokens for response in told.values()]
    assert [told[index] for index in range(len(answers))] == answers
    assert lengths != sorted(lengths, reverse=True)
    assert min(lengths) < 45
    assert list(told) != sorted(told)

    told.clear()
    answers = generator.generate(PROMPTS * 20, sampling, answered=answered, stop=lambda: len(told) >= 5)
    assert 5 <= len(told) < len(answers)
    assert {answers[index].finish for index in range(len(answers)) if index not in told} == {"stopped"}


def test_a_stream_tells_the_same_text_in_whole_characters(generator: Generator) -> None:
    """Pieces joined are the answer; no piece ends inside a character."""
    sampling = Sampling(temperature=1, max_new_tokens=30, seed=3)
    stream = generator.stream(PROMPTS[1], sampling)
    pieces = []
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as ended:
            response = ended.value
            break

    assert response == generator.generate([PROMPTS[1]], sampling)[0]
    assert "".join(pieces) == response.text
    assert all(pieces)


def test_a_stop_ends_an_answer_at_once(generator: Generator) -> None:
    """Somebody who walks away costs at most one more token."""
    stream = generator.stream(PROMPTS[1], Sampling(temperature=1, max_new_tokens=100, seed=3), stop=lambda: True)
    pieces = list(stream)
    answers = generator.generate(PROMPTS, Sampling(temperature=1, max_new_tokens=100), stop=lambda: True)

    assert len(pieces) <= 1
    assert len(answers) == len(PROMPTS)
    assert {answer.finish for answer in answers} <= {"stopped", "end"}
    assert max(answer.tokens for answer in answers) <= 1


def test_an_answer_stops_at_its_end_token(generator: Generator, folder: Path) -> None:
    """The end token ends the answer, counts as a token, and is not shown."""
    ends = generator._ends
    answers = generator.generate(PROMPTS * 20, Sampling(temperature=1.5, max_new_tokens=90, seed=0))
    ended = [answer for answer in answers if answer.finish == "end"]

    assert ends == {generator._tokenizer.eos_token_id}
    assert ended
    assert all(answer.tokens < 90 and "<eos>" not in answer.text for answer in ended)
    assert all(answer.tokens == 90 for answer in answers if answer.finish == "length")


def test_a_prompt_over_the_context_is_cut_on_the_left_and_says_so(generator: Generator) -> None:
    """The end of the prompt stays, the number of tokens cut is told, and the context is never overrun."""
    long = ask("the cat sat on the mat " * 100)

    (answer,) = generator.generate([long], Sampling(temperature=0, max_new_tokens=500))

    assert answer.prompt_cut > 0
    assert answer.prompt_tokens == 64
    assert answer.prompt_tokens + answer.tokens <= 128


def test_a_prompt_over_the_context_is_an_error_where_cutting_is_forbidden(generator: Generator) -> None:
    """The error names both sizes."""
    with pytest.raises(PromptTooLong) as refused:
        generator.generate([ask("the cat sat " * 100)], Sampling(max_new_tokens=8), cut=False)

    assert refused.value.tokens > refused.value.room == 120


def test_no_prompts_give_no_answers(generator: Generator) -> None:
    """An empty list is answered with one."""
    assert generator.generate([], Sampling()) == []


def test_draws_follow_the_distribution_and_top_p_cuts_its_tail() -> None:
    """Evenly spread uniforms give each token its share; what is outside top_p never comes."""
    logits = torch.log(torch.tensor([0.1, 0.6, 0.3])).expand(1000, 3)
    uniforms = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000

    every = pick(logits, Sampling(temperature=1), uniforms).bincount(minlength=3)
    cut = pick(logits, Sampling(temperature=1, top_p=0.85), uniforms).bincount(minlength=3)
    one = pick(logits, Sampling(temperature=1, top_p=0.01), uniforms).bincount(minlength=3)

    assert every.tolist() == pytest.approx([100, 600, 300], abs=1)
    assert cut.tolist() == pytest.approx([0, 667, 333], abs=1)
    assert one.tolist() == [0, 1000, 0]


@pytest.mark.parametrize(
    "fields",
    [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"max_new_tokens": 0}, {"seed": -1}, {"temprature": 1}],
)
def test_sampling_settings_are_bounded(fields: dict[str, float]) -> None:
    """Out-of-range or misspelt settings are refused."""
    with pytest.raises(ValidationError):
        Sampling.model_validate(fields)
