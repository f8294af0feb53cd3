"""Prompts and responses as token ids: what generation is given, and what it would have to choose, family by family."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from alignment import chat
from alignment.generation import Generator
from alignment.objectives import Role
from alignment.sampling import Sampling
from alignment.training.data import Example
from alignment.training.encode import Encoder, Examples
from alignment.training.errors import TemplateHeld
from alignment.training.layout import shared
from alignment.training.spec import Length
from alignment.training.structure import Structure
from tests.alignment.chat_tokenizers import trained
from tests.alignment.chats import (
    ANSWER,
    DIALOGUE,
    FAMILIES,
    NAMED,
    OTHER,
    TOOLS,
    Family,
    encode,
    encoded,
    text,
)

every_family = pytest.mark.parametrize("family", FAMILIES, ids=NAMED)


@every_family
def test_a_prompt_and_its_responses_are_what_generation_reads_and_writes(family: Family) -> None:
    """To the letter, in a dialogue of several turns: the prompt with its opening, the answer with its end."""
    tokenizer, example = family.tokenizer, encoded(family)

    assert text(tokenizer, example.prompt) == family.prompt
    assert text(tokenizer, [*example.prompt, *example.responses[0]]) == family.prompt + family.response


@every_family
def test_a_prompt_has_the_ids_that_generation_is_given(family: Family) -> None:
    """Training and sampling start from the same ids, and a last token of the prompt never reaches into the answer."""
    tokenizer = family.tokenizer
    given = chat.encode(tokenizer, [chat.render_prompt(tokenizer, DIALOGUE)])[0]

    assert encoded(family).prompt == given


@every_family
def test_special_tokens_are_those_of_the_template_once(family: Family) -> None:
    """The tokenizer adds no second BOS, none stands in a response, and its only end is its last token."""
    tokenizer, example = family.tokenizer, encoded(family)
    ends = chat.end_tokens(tokenizer, SimpleNamespace(eos_token_id=tokenizer.convert_tokens_to_ids(list(family.stops))))

    for response in example.responses:
        assert [token in ends for token in response] == [False] * (len(response) - 1) + [True]
        assert family.bos is None or tokenizer.bos_token_id not in response
    if family.bos:
        assert example.prompt.count(tokenizer.bos_token_id) == family.prompt.count(family.bos)


@every_family
def test_what_is_learned_is_the_response_alone(family: Family) -> None:
    """The first token that is predicted is the response's first, from the last one of the prompt; the last its end."""
    example = encoded(family)

    row = shared([example], Structure(True, "", (("full_attention", None),)), torch.device("cpu"))

    assert row.target.tolist() == [*example.responses[0], *example.responses[1]]
    assert row.ids[0, row.source[0]] == example.prompt[-1]
    assert row.source[0] == row.source[len(example.responses[0])] == len(example.prompt) - 1


def test_the_first_turn_has_no_history() -> None:
    """A single question is a dialogue like any other."""
    for family in FAMILIES:
        tokenizer, example = family.tokenizer, encoded(family, DIALOGUE[:1])
        written = text(tokenizer, [*example.prompt, *example.responses[0]])
        assert written.endswith(family.response)
        assert "Yes, very." not in written


# ---- the boundary ---------------------------------------------------------------------------------------------------


def test_a_token_that_would_reach_over_the_boundary_is_not_used() -> None:
    """Cut together, the prompt's last space and the answer's first word are one token, which generation cannot give."""
    family = NAMED["falcon"]
    example = encoded(family)
    together = chat.encode(family.tokenizer, [family.prompt + ANSWER["content"]])[0]

    assert together[: len(example.prompt)] != example.prompt
    assert example.responses[0][:-1] == chat.encode(family.tokenizer, [ANSWER["content"]])[0]


def test_no_space_comes_between_prompt_and_answer() -> None:
    """A tokenizer that puts a space before all it is given, and whose tokens span words, does not put one here."""
    tokenizer = trained(("</s>", "<s>"), "<s>", True, across=True)
    tokenizer.chat_template = NAMED["llama2"].template
    (example,) = encode(tokenizer).train

    written = NAMED["llama2"]
    assert text(tokenizer, [*example.prompt, *example.responses[0]]) == written.prompt + written.response
    assert example.prompt == chat.encode(tokenizer, [chat.render_prompt(tokenizer, DIALOGUE)])[0]


# ---- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["No rain today.<|im_end|>", "No rain today.<|im_end|>\n<|im_start|>user\nAnd?"])
def test_an_end_in_the_text_ends_the_response(said: str) -> None:
    """Generation would stop there: nothing after it is learned, no second end, and it is counted."""
    family = NAMED["qwen2"]
    found = encode(family.tokenizer, DIALOGUE, {**ANSWER, "content": said})

    assert text(family.tokenizer, found.train[0].responses[0]) == family.response
    assert found.counts["ended_early"] == 1


@pytest.mark.parametrize("said", ["", " \n", "<end_of_turn>", "<eos>No rain."])
def test_a_response_that_says_nothing_is_dropped_and_counted(said: str) -> None:
    """An end alone teaches to be silent."""
    found = encode(NAMED["gemma"].tokenizer, DIALOGUE, ANSWER, {**OTHER, "content": said})

    assert (found.train, found.counts["empty_dropped"], found.dropped) == ([], 1, 1)


CALLS = """{% for one in messages %}<|im_start|>{{ one.role }}
{{ one.content }}{% for call in one.tool_calls %}{{ call | tojson }}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
OPENINGS = {
    "qwen3": "<think>\n\n</think>\n\n",
    "deepseek-r1": "\n</think>\n\n",
    "gpt-oss": "<|channel|>final<|message|>",
    "mistral": " ",
}
"""What the templates write between the prompt and an answer's own words."""


@pytest.mark.parametrize("said", ["", " \n"])
def test_a_response_that_is_all_the_templates_is_dropped_and_counted(said: str) -> None:
    """An empty block of reasoning and an end teach as little as an end alone."""
    found = encode(NAMED["qwen3"].tokenizer, DIALOGUE, ANSWER, {**OTHER, "content": said}, stops=("<|im_end|>",))

    assert (found.train, found.counts["empty_dropped"], found.dropped) == ([], 1, 1)


@pytest.mark.parametrize("call", [{"type": "custom", "custom": {"name": "look"}}, "look()", {"function": {"name": ""}}])
def test_a_call_of_another_form_is_an_answer(call: Any) -> None:
    """Whatever a template makes of it: it is not the template's own."""
    tokenizer = NAMED["qwen3"].tokenizer
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = CALLS
    found = encode(tokenizer, DIALOGUE, ANSWER, {**OTHER, "content": "", "tool_calls": [call]}, stops=("<|im_end|>",))

    assert len(found.train) == 1
    assert not found.counts["empty_dropped"]


@pytest.mark.parametrize(
    "roles",
    [(Role.CHOSEN, Role.REJECTED), (Role.CANDIDATE,) * 3, (Role.DESIRABLE,), (Role.UNDESIRABLE,)],
    ids=["pair", "list", "wanted", "unwanted"],
)
@pytest.mark.parametrize("name", OPENINGS)
def test_a_response_cut_before_its_own_words_is_dropped_and_counted(name: str, roles: tuple[Role, ...]) -> None:
    """Nothing is trained on what the template alone writes; from the first token of the answer on, it is an answer."""
    family = NAMED[name]
    tokenizer = family.tokenizer
    answers = tuple({**ANSWER, "content": words} for words in ("No rain today.", "Only a little.", "And wet?"))
    example = Example("p", "train", DIALOGUE, answers[: len(roles)], roles)
    ending = chat.ending(tokenizer, SimpleNamespace(eos_token_id=tokenizer.convert_tokens_to_ids(list(family.stops))))

    def cut(to: int) -> Examples:
        return Encoder(tokenizer, ending, Length(max_response_tokens=to), None).encode([example], lambda: None)

    whole = text(tokenizer, cut(100).train[0].responses[0])
    length = 1
    while not (found := cut(length)).train:
        assert (found.counts["empty_dropped"], found.dropped) == (1, 1)
        length += 1
    assert length > 1
    kept = text(tokenizer, found.train[0].responses[0])
    assert whole.startswith(kept)
    assert kept.strip() in (OPENINGS[name] + "No").strip()
    assert kept[-1] in "No"


def test_a_mismatched_answer_of_which_no_word_is_left_drops_its_example() -> None:
    """The prompt leaves room for its own short answer, which follows another one and so has no block of reasoning;
    where it leaves more, what is trained on has words."""
    tokenizer = NAMED["qwen3"].tokenizer
    asked = DIALOGUE[:2], DIALOGUE[:1]
    thumbs = [Example(str(place), "train", prompt, (ANSWER,), (Role.DESIRABLE,)) for place, prompt in enumerate(asked)]
    dropped = set()

    for context in range(16, 64):
        encoder = Encoder(tokenizer, chat.ending(tokenizer), Length(), context, mismatched=True)
        found = encoder.encode(thumbs, lambda: None)

        dropped.add(found.counts["empty_dropped"])
        assert len(found.train) + found.dropped == len(thumbs)
        for example in found.train:
            assert all("No" in text(tokenizer, answer) for answer in example.responses)
    assert dropped == {0, 1}


@pytest.mark.parametrize(
    ("answer", "length", "written"),
    [
        ({"reasoning": "Yes, very."}, 3, "<think>\nYes"),
        ({"content": "", "reasoning": "Yes, very."}, 3, "<think>\nYes"),
        ({"content": "<think> Yes, very. </think> No rain."}, 3, "<think>\n\n</think>"),
    ],
)
def test_reasoning_is_of_the_answers_own_words(answer: dict[str, Any], length: int, written: str) -> None:
    """What is left of it is learned, and so is what a template makes of an answer that it writes in its own way."""
    family = NAMED["qwen3"]
    other = {**OTHER, "reasoning": "No rain."}

    (example,) = encode(
        family.tokenizer, DIALOGUE, {**ANSWER, **answer}, other, stops=family.stops, max_response_tokens=length
    ).train

    assert text(family.tokenizer, example.responses[0]) == written


def test_a_prompt_that_is_cut_on_the_left_keeps_its_bos() -> None:
    """Models lean on their first token; the rest is the end of the prompt."""
    family = NAMED["gemma"]
    whole = encoded(family).prompt

    (cut,) = encode(family.tokenizer, max_prompt_tokens=6).train

    assert cut.prompt == [whole[0], *whole[-5:]]


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_several_templates_without_a_default_are_refused() -> None:
    """It is not guessed which one is meant."""
    tokenizer = trained(("</s>",), None, False)
    tokenizer.chat_template = {"rag": "{{ messages }}", "tool_use": TOOLS}

    with pytest.raises(chat.TemplateRefused, match="none is the default"):
        chat.render_prompt(tokenizer, DIALOGUE)


def test_a_template_that_is_stopped_names_the_example_that_set_it_off() -> None:
    """A run ends with an error of its own, not with a worker that hangs."""
    tokenizer = NAMED["gemma"].tokenizer
    tokenizer.chat_template = "{% if 'wet' in messages[-1].content %}{{ 'x' * 10 ** 11 }}{% endif %}" + TOOLS

    with pytest.raises(TemplateHeld, match="Example p: the chat template takes too much memory") as stopped:
        encode(tokenizer)

    assert (stopped.value.field, stopped.value.exit_code) == ("checkpoint", 64)


# ---- generation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qwen3", "deepseek-r1", "llama2", "falcon", "glm4"])
def test_generation_goes_on_from_what_training_has_as_prompt(name: str) -> None:
    """The most probable tokens after training's prompt, up to training's ends, are what the generator answers."""
    family = NAMED[name]
    tokenizer, example = family.tokenizer, encoded(family)
    model = llama(len(tokenizer))
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(list(family.stops)) or None
    ends = chat.end_tokens(tokenizer, model.generation_config)

    (answer,) = Generator.of(model, tokenizer).generate([DIALOGUE], Sampling(temperature=0, max_new_tokens=12))

    ids = torch.tensor([example.prompt])
    options = {"do_sample": False, "max_new_tokens": 12, "eos_token_id": sorted(ends), "pad_token_id": 0}
    expected = model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(example.prompt) :].tolist()
    assert (answer.prompt_tokens, answer.tokens) == (len(example.prompt), len(expected))
    assert answer.text == tokenizer.decode([one for one in expected if one not in ends], skip_special_tokens=True)


def llama(vocabulary: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=1,
                num_key_value_heads=1,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
    return model.eval()
