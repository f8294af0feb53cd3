"""Answers of an endpoint as workers ask for them: several at once, patient, streamed, in evaluations and arena."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from alignment.chat import UnsupportedContent
from alignment.generation import Response
from alignment.sampling import Sampling
from backend.addresses import Allowance
from backend.checkpoints.openai import PromptRefused
from backend.checkpoints.schemas import EndpointFacts
from backend.settings import Settings
from tests import loop
from tests.conftest import Client
from tests.endpoint import MODEL, Habits, serving
from workers import endpoint
from workers.answering import SHELF
from workers.endpoint import Endpoint
from workers.refusal import Refused
from workers.tasks import arena, evaluate

SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_new_tokens=20, seed=3)


@pytest.fixture
def habits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Habits]:
    """A server on this machine that an admin allows; pauses between tries are short."""
    monkeypatch.setattr(settings, "allowed_addresses", (Allowance.parse("127.0.0.1"),))
    monkeypatch.setattr(endpoint, "PAUSE_SECONDS", 0.001)
    with serving(Habits()) as found:
        yield found
    SHELF.clear()


def make(habits: Habits, **facts: Any) -> Endpoint:
    facts = {"concurrency": 3, "timeout_seconds": 5, "secret": None} | facts
    return Endpoint("Tiny", EndpointFacts(base_url=habits.url, model=MODEL, **facts), "the-key")


def prompts(*texts: str) -> list[list[dict[str, Any]]]:
    return [[{"role": "user", "content": text}] for text in texts]


def stream(habits: Habits, **how: Any) -> tuple[str, Response]:
    going, told = make(habits).stream(prompts("a")[0], SAMPLING, **how), ""
    while True:
        try:
            told += next(going)
        except StopIteration as end:
            return told, end.value


def test_several_at_once(habits: Habits) -> None:
    """As many requests as allowed run at the same time, with the sampling and the key; answers keep their order."""
    habits.pause = 0.5  # on a busy machine the third thread begins late
    told: dict[int, Response] = {}
    answers = make(habits).generate(prompts(*"abcdef"), SAMPLING, answered=told.__setitem__)

    assert [told[number] for number in range(6)] == answers

    assert [answer.text for answer in answers] == [habits.answer] * 6
    assert (answers[0].tokens, answers[0].finish) == (5, "end")
    assert habits.most_at_once == 3
    asked = habits.asked[0]
    assert (asked["temperature"], asked["top_p"], asked["max_tokens"], asked["n"]) == (0.5, 0.9, 20, 1)
    assert set(habits.keys) == {"Bearer the-key"}


def test_each_draw_has_its_seed(habits: Habits) -> None:
    """The same prompt twice in a call is drawn twice; asked again, it is drawn the same."""
    make(habits).generate(prompts("a", "a"), SAMPLING)
    first = sorted(body["seed"] for body in habits.asked)
    habits.asked.clear()
    make(habits).generate(prompts("a", "a"), SAMPLING)

    assert len(set(first)) == 2
    assert sorted(body["seed"] for body in habits.asked) == first


def test_what_passes_is_tried_again(habits: Habits) -> None:
    """Errors of the server and 429 are tried again, and the wish to wait is obeyed."""
    habits.fails = [(503, {}), (429, {"Retry_After": "1"}), (500, {})]
    began = time.monotonic()

    assert make(habits).generate(prompts("a"), SAMPLING)[0].text == habits.answer
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ([(401, {})], "refuses the key"),
        ([(404, {})], "does not know this model"),
        ([(429, {"Retry_After": "9999"})], "9,999 seconds"),
        ([(503, {})] * 20, "fails (503)"),
    ],
)
def test_what_does_not_pass(habits: Habits, fails: list[Any], words: str) -> None:
    """A key, a model or a server that is no good ends the whole call with its name, the cause and a remedy."""
    habits.fails = fails
    with pytest.raises(Refused) as refused:
        make(habits).generate(prompts("a", "b"), SAMPLING)

    assert refused.value.reason.startswith("“Tiny” cannot answer")
    assert words in refused.value.reason
    assert refused.value.remedy


def test_one_prompt_is_refused(habits: Habits) -> None:
    """A prompt that the server refuses costs the others nothing: asked one by one, they are not sent again."""
    habits.refuses = "too long"
    asker = make(habits)
    with pytest.raises(PromptRefused, match="maximum context length"):
        asker.generate(prompts("a", "too long", "b"), SAMPLING)
    sent = len(habits.asked)
    told: list[int] = []

    asker.generate(prompts("b", "a"), SAMPLING, answered=lambda number, _: told.append(number))
    assert told == [0, 1]
    assert asker.generate(prompts("a"), SAMPLING)[0].text == habits.answer
    with pytest.raises(PromptRefused):
        asker.generate(prompts("too long"), SAMPLING)
    assert len(habits.asked) == sent


def test_only_text(habits: Habits) -> None:
    """A prompt with something else than text is refused before anything is sent."""
    with pytest.raises(UnsupportedContent):
        make(habits).generate([[{"role": "user", "content": [{"type": "image"}]}]], SAMPLING)

    assert habits.asked == []


def test_stopped(habits: Habits) -> None:
    """A call that is told to stop returns at once, whatever is still under way."""
    habits.pause = 2.0
    began = time.monotonic()
    answers = make(habits).generate(prompts(*"abcdef"), SAMPLING, stop=lambda: True)

    assert [answer.finish for answer in answers] == ["stopped"] * 6
    assert time.monotonic() - began < 1.5


def test_streamed(habits: Habits) -> None:
    """Pieces come as the server sends them, and make the whole answer; comments between them are passed over."""
    told, response = stream(habits)

    assert told == response.text == habits.answer
    assert (response.tokens, response.finish) == (5, "end")


def test_a_stream_that_breaks(habits: Habits) -> None:
    """A stream that ends in the middle of a word is a failure and no short answer."""
    habits.breaks_after = 2
    with pytest.raises(Refused, match="cannot answer"):
        stream(habits)


def test_a_stream_that_waits(habits: Habits) -> None:
    """While nothing comes the asker gets empty pieces, so that it can keep its heart beating, and may leave."""
    habits.pause = 1.0
    asked = iter([False] * 5)
    told, response = stream(habits, stop=lambda: next(asked, True))

    assert (told, response.finish) == ("", "stopped")
    for thread in threading.enumerate():  # what listens leaves by itself
        if thread.daemon and thread.name.startswith("Thread-") and "_listen" in thread.name:
            with suppress(RuntimeError):
                thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def pair(researcher: Client, habits: Habits, tiny: Path) -> list[str]:
    """A registered endpoint and a checkpoint of weights."""
    made = researcher.post("/api/v1/endpoints", json={"base_url": habits.url, "model": MODEL})
    assert made.status_code == 201, made.text
    habits.asked.clear()
    return [made.json()["id"], str(loop.add_checkpoint(tiny).id)]


def test_in_an_evaluation(researcher: Client, habits: Habits, pair: list[str]) -> None:
    """An endpoint meets a checkpoint of weights; a prompt that it refuses is a match without an answer."""
    habits.refuses = "the mill"
    body = {
        "name": "Endpoint",
        "contestants": pair,
        "prompts": {"texts": ["Tell me about the sea.", "Tell me about the mill."]},
        "judge": {"name": "rules", "max_words": 3},
        "sampling": {"max_new_tokens": 8},
    }
    made = researcher.post("/api/v1/evaluations", json=body)
    assert made.status_code == 202, made.text
    evaluate.work()

    row = researcher.get(f"/api/v1/evaluations/{made.json()['id']}").json()
    assert (row["state"], row["reason"]) == ("succeeded", None)
    matches = researcher.get(f"/api/v1/evaluations/{row['id']}/matches").json()["items"]
    assert len(matches) == 2
    assert habits.answer in str(matches)
    assert "maximum context length" in str(matches)


def test_an_evaluation_whose_endpoint_fails(researcher: Client, habits: Habits, pair: list[str]) -> None:
    """The evaluation ends as failed, with the endpoint's name, the cause, and what to do."""
    body = {"name": "x", "contestants": pair, "prompts": {"texts": ["a"]}, "judge": {"name": "rules", "max_words": 3}}
    made = researcher.post("/api/v1/evaluations", json=body).json()
    habits.key = "another by now"
    evaluate.work()

    row = researcher.get(f"/api/v1/evaluations/{made['id']}").json()
    assert (row["state"], "wants a key" in row["reason"]) == ("failed", True)
    assert "Secrets page" in row["remedy"]


def test_in_the_arena(researcher: Client, habits: Habits, pair: list[str]) -> None:
    """Both answer side by side, and the endpoint's text streams like any other."""
    body = {"prompt": "Hello", "checkpoints": pair, "sampling": {"max_new_tokens": 8}}
    made = researcher.post("/api/v1/arena/battles", json=body)
    assert made.status_code == 202, made.text
    arena.work()

    shown = researcher.get(f"/api/v1/arena/battles/{made.json()['id']}/tokens", params={"after": "0-0"}).json()
    assert (shown["state"], shown["done"]) == ("succeeded", True)
    assert habits.answer in shown["texts"]
    assert habits.asked[0]["stream"] is True
