"""Model cards: complete, and text of people is never read as markup."""

import shlex
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from alignment.export import serving
from alignment.export.card import Ancestor, Card, Data, Result, Training, Written, license_name, render
from alignment.export.markdown import code, plain
from alignment.export.record import Comparison

COMPARISON = Comparison(prompts=3, positions=240, difference=0.004, tolerance=0.1, same_token=0.99)
HOSTILE = [
    '<img src=x onerror="alert(1)">',
    "[click](javascript:alert(1))",
    "](http://evil.example) | broken | table |",
    "line\n\n# A heading\n\n---\nlicense: mit\n---",
    "```\nout of the fence",
    "`` ` `` **bold** __it__ ~~gone~~ $x$ &lt;b&gt;",
    "https://evil.example www.evil.example evil@example.org",
    "![](http://evil.example/pixel.png)",
    "\u202egnp.exe\u200b",
    "{{ 7 * 7 }} ${HOME} %s",
]


def card(text: str = "Small run", **changes: Any) -> Card:
    fields: dict[str, Any] = {
        "name": "small-run-step-4",
        "title": text,
        "toy": False,
        "architecture": "LlamaForCausalLM",
        "parameters": 1_234_567,
        "max_tokens": 256,
        "license": "apache-2.0",
        "ancestors": [
            Ancestor(name=text, hub_id="someone/tiny", revision="c" * 40),
            Ancestor(name=text, run=text, step=4),
        ],
        "trainings": [
            Training(
                run=text,
                objective={"name": "dpo", "beta": 0.25},
                spec={"objective": {"name": "dpo"}, "optimizer": {"learning_rate": 1e-5}, "seed": 7, "note": text},
                data=[Data(dataset=text, hash="a" * 64, counts={"train": 90, "test": 4}, sources={"person": 94})],
            )
        ],
        "results": [
            Result(
                evaluation=text,
                against=text,
                judge=text,
                rate=0.75,
                low=0.6,
                high=0.86,
                n=40,
                level=0.95,
                prompts=text,
                toy=False,
            )
        ],
    }
    return Card(**(fields | changes))


def written(**changes: Any) -> Written:
    fields: dict[str, Any] = {
        "kind": "merged",
        "dtype": "bfloat16",
        "base": None,
        "rank": None,
        "template": True,
        "comparison": COMPARISON,
    }
    return Written(**(fields | changes))


def front(text: str) -> dict[str, Any]:
    _, matter, _ = text.split("---\n", 2)
    found = yaml.safe_load(matter)
    assert isinstance(found, dict)
    return found


def test_what_a_card_tells() -> None:
    """Licence, lineage, data, objective with its paper, settings, win rates with n and interval, and commands."""
    text = render(card(), written())

    assert front(text) == {
        "license": "apache-2.0",
        "base_model": "someone/tiny",
        "base_model_relation": "finetune",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["plumbline", "preference-optimization", "dpo"],
    }
    for words in (
        "1,234,567 parameters",
        "c" * 40,
        "**DPO**",
        "arxiv.org/abs/2305.18290",
        "| beta | 0.25 |",
        "`" + "a" * 64 + "`",
        "90 train, 4 test",
        "94 from person",
        r"| optimizer.learning\_rate | 1e-05 |",
        "75.0 % | 60.0 to 86.0 % (95%) | 40 |",
        "vllm serve ./small-run-step-4",
        "in bfloat16",
    ):
        assert words in text, words


def test_adapter_card() -> None:
    """An adapter's card names the library, the relation, and how vLLM is told of it."""
    text = render(card(), written(kind="adapter", base="someone/tiny", rank=12))

    assert front(text)["library_name"] == "peft"
    assert front(text)["base_model_relation"] == "adapter"
    assert "vllm serve someone/tiny --enable-lora --max-lora-rank 16 --lora-modules" in text
    assert "small-run-step-4=./small-run-step-4" in text


def test_toy() -> None:
    """What comes from the toy world says so at the top and in its tags."""
    text = render(card(toy=True), written())

    assert "**This is a toy.**" in text
    assert "toy" in front(text)["tags"]


def test_base_alone() -> None:
    """A checkpoint nobody trained or judged has a card too; an unknown licence is not made up."""
    bare = card(license=None, trainings=[], results=[], ancestors=[Ancestor(name="Base")])

    text = render(bare, written())

    assert "license" not in front(text)
    assert "base_model" not in front(text)
    assert "no evaluation" in text
    assert "not known" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_names_are_never_markup(text: str) -> None:
    """Whatever a dataset, run or evaluation is called, the card has the same structure and shows the name as it is."""
    reader = MarkdownIt("gfm-like", {"html": True, "linkify": False})

    def structure(source: str) -> list[str]:
        body = source.split("---\n", 2)[2]
        tokens = reader.parse(body)
        inner = [child.type for token in tokens for child in token.children or [] if child.type != "text"]
        return [token.type for token in tokens] + [kind for kind in inner if kind != "text_special"]

    hostile = render(card(text), written())

    assert structure(hostile) == structure(render(card("Plain"), written()))
    assert front(hostile) == front(render(card("Plain"), written()))
    assert "\u202e" not in hostile


@pytest.mark.parametrize("text", HOSTILE)
def test_plain_shows_what_was_written(text: str) -> None:
    """Rendered, an escaped text reads as it was written, on one line."""
    rendered = MarkdownIt().renderInline(plain(text))

    assert "<" not in rendered.replace("&lt;", "")
    assert "\n" not in plain(text)


def test_a_fence_that_nothing_ends() -> None:
    found = MarkdownIt().parse(code("text", "a\n````\nb\n```\n# c"))

    assert [token.type for token in found] == ["fence"]


@pytest.mark.parametrize("found", ["MIT or so", "apache 2.0", ["mit"], "x" * 70, "mit\nbase_model: a/b", None, ""])
def test_a_license_that_is_none(found: object) -> None:
    """Only what is written like a licence's name is carried over."""
    assert license_name(found) is None


@pytest.mark.parametrize("place", ["./a", "./a b", "./a'; rm -rf /", "./$(x)"])
def test_commands_are_quoted(place: str) -> None:
    """A command can be pasted: a folder's name is one argument of it, and one string in Python."""
    shell, _, python = serving.commands("merged", "a", place, None, None, template=True)

    assert shlex.split(shell.text)[2] == place
    compile(python.text, "snippet", "exec")
