"""An answer is read as the tokens that training would see, and each one's probability is the model's own."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from alignment.generation import AnswerTooLong, Generator, reading
from tests.checkpoints import make_llama

PROMPT = [{"role": "user", "content": "Why is tea green? " * 4}]
ANSWER = "Because zoë 🙂 says so. " * 3


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    torch.set_num_threads(1)
    return Generator(make_llama(tmp_path_factory.mktemp("model"), ["tea is green"], context=256), device="cpu")


def test_texts_make_the_answer(generator: Generator) -> None:
    """Joined, the tokens are the answer; with its end only where it ended; none splits a character."""
    whole = generator.read(PROMPT, ANSWER, ended=True, context=None)
    cut = generator.read(PROMPT, ANSWER, ended=False, context=None)

    assert "".join(whole.texts) == ANSWER + "<eos>"
    assert "".join(cut.texts) == ANSWER
    assert whole.response[:-1] == cut.response
    assert not any("\ufffd" in text for text in whole.texts)


def test_probabilities_are_the_models(generator: Generator, tmp_path: Path) -> None:
    """Position by position what a plain forward pass says of the next token, also where the prompt is cut."""
    folder = make_llama(tmp_path, ["tea is green"], context=256)
    model = AutoModelForCausalLM.from_pretrained(folder)
    for context in (None, 120):
        found = generator.read(PROMPT, ANSWER, ended=True, context=context)
        ids = torch.tensor([found.prompt + found.response])
        with torch.no_grad():
            likely = torch.log_softmax(model(ids).logits[0].double(), dim=-1)
        first = len(found.prompt)
        expected = [float(likely[place - 1, ids[0, place]]) for place in range(first, ids.shape[1])]

        voice = generator.voice(found)
        said = reading.said(voice, voice, found)
        assert said.policy == pytest.approx(expected, abs=1e-4)
        assert (said.reference, said.kl) == (said.policy, [0] * len(expected))
        assert context is None or ids.shape[1] == context


def test_an_answer_that_fills_the_context_is_refused(generator: Generator) -> None:
    """It would follow nothing."""
    with pytest.raises(AnswerTooLong, match="context has 20"):
        generator.read(PROMPT, ANSWER, ended=True, context=20)
