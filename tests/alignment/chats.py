"""Chat templates that behave like those of real model families, each with a tokenizer trained on the spot.

Written to show one family's habits each; none is anybody's template. `prompt` and `response` are what DIALOGUE and
ANSWER must become.
"""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from transformers import PreTrainedTokenizerBase

from alignment import chat
from alignment.training.data import Example
from alignment.training.encode import Encoded, Encoder, Examples
from alignment.training.spec import Length
from tests.alignment.chat_tokenizers import trained

Messages = list[dict[str, Any]]

SAID = ("Is it warm?", "Yes, very.", "And wet?")
DIALOGUE = [{"role": role, "content": text} for role, text in zip(("user", "assistant", "user"), SAID, strict=True)]
ANSWER = {"role": "assistant", "content": "No rain today."}
OTHER = {"role": "assistant", "content": "Only a little."}


@dataclass(frozen=True)
class Family:
    """A template, its tokenizer's special tokens, and what the dialogue must become."""

    name: str
    template: str
    special: tuple[str, ...]  # the tokenizer's end first
    prompt: str
    response: str
    bos: str | None = None  # which the tokenizer would put before any text
    pieces: bool = False  # cut like SentencePiece, with a space before all texts; else byte-level
    absorbs: tuple[str, ...] = ()  # special tokens that swallow the white space after them
    stops: tuple[str, ...] = ()  # where the model's generation config ends, besides

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """A tokenizer of its own, with the template."""
        found = trained(self.special, self.bos, self.pieces, self.absorbs)
        found.chat_template = self.template
        return found


def encode(
    tokenizer: PreTrainedTokenizerBase,
    prompt: Messages = DIALOGUE,
    chosen: dict[str, Any] = ANSWER,
    rejected: dict[str, Any] = OTHER,
    *,
    stops: tuple[str, ...] = (),
    **length: Any,
) -> Examples:
    ids = [tokenizer.convert_tokens_to_ids(token) for token in stops]
    ending = chat.ending(tokenizer, SimpleNamespace(eos_token_id=ids))
    pair = Example("p", "train", prompt, (chosen, rejected))
    return Encoder(tokenizer, ending, Length(**length), None).encode([pair], lambda: None)


def encoded(family: Family, *messages: Any) -> Encoded:
    (example,) = encode(family.tokenizer, *messages, stops=family.stops).train
    return example


def text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False))


OPEN = "{% if add_generation_prompt %}"
TALK = "{% for m in messages %}"
CALL = {"type": "function", "function": {"name": "sky", "arguments": '{"city": "Ulm"}'}}
TOOLS = (
    TALK
    + "<|{{ m.role }}|>{{ m.content | tojson if m.role == 'tool' else m.content }}{% for c in m.tool_calls or [] %}"
    "<call>{{ c.function | tojson }}{% endfor %}<|end|>\n{% endfor %}" + OPEN + "<|assistant|>{% endif %}"
)
FAMILIES = [
    Family(
        "qwen2",  # a default system message; its end of a turn is not the tokenizer's end of a text
        "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
        + TALK
        + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
        + OPEN
        + "{{ '<|im_start|>assistant\n' }}{% endif %}",
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nIs it warm?<|im_end|>\n<|im_start|>assistant\n"
        "Yes, very.<|im_end|>\n<|im_start|>user\nAnd wet?<|im_end|>\n<|im_start|>assistant\n",
        "No rain today.<|im_end|>",
    ),
    Family(
        "qwen3",  # reasoning of earlier turns is dropped; the last answer always has a block of it, if empty
        TALK + "{{ '<|im_start|>' + m.role + '\n' }}"
        "{% if m.role == 'assistant' %}{% set said = m.content.split('</think>')[-1].lstrip('\n') %}{% if loop.last %}"
        "{{ '<think>\n' + (m.reasoning_content or '').strip() + '\n</think>\n\n' + said }}{% else %}{{ said }}"
        "{% endif %}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
        + OPEN
        + "{{ '<|im_start|>assistant\n' }}{% endif %}",
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"),
        "<|im_start|>user\nIs it warm?<|im_end|>\n<|im_start|>assistant\nYes, very.<|im_end|>\n"
        "<|im_start|>user\nAnd wet?<|im_end|>\n<|im_start|>assistant\n",
        "<think>\n\n</think>\n\nNo rain today.<|im_end|>",
        stops=("<|im_end|>",),
    ),
    Family(
        "deepseek-r1",  # generation begins inside of a block of reasoning that the whole dialogue does not show
        "<s>" + TALK + "{% if m.role == 'user' %}<|User|>{{ m.content }}{% else %}<|Assistant|>"
        "{{ m.content.split('</think>')[-1].strip() }}</s>{% endif %}{% endfor %}"
        + OPEN
        + "{{ '<|Assistant|><think>\n' }}{% endif %}",
        ("</s>", "<s>", "<|User|>", "<|Assistant|>", "<think>", "</think>"),
        "<s><|User|>Is it warm?<|Assistant|>Yes, very.</s><|User|>And wet?<|Assistant|><think>\n",
        "\n</think>\n\nNo rain today.</s>",
        bos="<s>",
    ),
    Family(
        "smollm3",  # generation is told not to reason by a closed block that the whole dialogue does not show
        TALK
        + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
        + OPEN
        + "{{ '<|im_start|>assistant\n<think>\n\n</think>\n' }}{% endif %}",
        ("<|im_end|>", "<|im_start|>"),
        "<|im_start|>user\nIs it warm?<|im_end|>\n<|im_start|>assistant\nYes, very.<|im_end|>\n"
        "<|im_start|>user\nAnd wet?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n",
        "No rain today.<|im_end|>",
    ),
    Family(
        "llama2",  # a BOS before every exchange, marks that are plain text, spaces around what is said
        TALK + "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
        ("</s>", "<s>"),
        "<s> [INST] Is it warm? [/INST] Yes, very. </s><s> [INST] And wet? [/INST]",
        " No rain today. </s>",
        bos="<s>",
        pieces=True,
    ),
    Family(
        "llama3",  # headers, the date, contents trimmed, and a tokenizer that would add a second BOS
        "{{ bos_token }}<|start|>system<|end|>\n\nToday: {{ strftime_now('%C') }}xx<|eot|>"
        + TALK
        + "{{ '<|start|>' + m.role + '<|end|>\n\n' + m.content | trim + '<|eot|>' }}{% endfor %}"
        + OPEN
        + "{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}",
        ("<|end_of_text|>", "<|begin|>", "<|start|>", "<|end|>", "<|eot|>"),
        "<|begin|><|start|>system<|end|>\n\nToday: 20xx<|eot|><|start|>user<|end|>\n\nIs it warm?<|eot|>"
        "<|start|>assistant<|end|>\n\nYes, very.<|eot|><|start|>user<|end|>\n\nAnd wet?<|eot|>"
        "<|start|>assistant<|end|>\n\n",
        "No rain today.<|eot|>",
        bos="<|begin|>",
        stops=("<|eot|>",),
    ),
    Family(
        "mistral",  # marks that are tokens, no opening of the answer, turns that must alternate
        "{{ bos_token }}"
        + TALK
        + "{% if (m.role == 'user') == loop.index0 % 2 %}{{ raise_exception('Roles must alternate') }}{% endif %}"
        "{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}"
        "{% endfor %}",
        ("</s>", "<s>", "[INST]", "[/INST]"),
        "<s>[INST]  Is it warm?[/INST]  Yes, very.</s>[INST]  And wet?[/INST]",
        "  No rain today.</s>",
        bos="<s>",
        pieces=True,
    ),
    Family(
        "gemma",  # no system turns, the assistant is called the model
        "{{ bos_token }}"
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        + TALK
        + "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim "
        "+ '<end_of_turn>\n' }}{% endfor %}" + OPEN + "{{ '<start_of_turn>model\n' }}{% endif %}",
        ("<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
        "<bos><start_of_turn>user\nIs it warm?<end_of_turn>\n<start_of_turn>model\nYes, very.<end_of_turn>\n"
        "<start_of_turn>user\nAnd wet?<end_of_turn>\n<start_of_turn>model\n",
        "No rain today.<end_of_turn>",
        bos="<bos>",
    ),
    Family(
        "phi3",  # special tokens swallow the line break after them; a whole dialogue ends twice
        TALK
        + "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
        + OPEN
        + "{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "<|user|>Is it warm?<|end|><|assistant|>Yes, very.<|end|><|user|>And wet?<|end|><|assistant|>",
        "No rain today.<|end|>",
        absorbs=("<|user|>", "<|assistant|>", "<|end|>"),
    ),
    Family(
        "zephyr",  # marks that are plain text; a tokenizer that would add a BOS which the template does not write
        TALK
        + "{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}{% endfor %}"
        + OPEN
        + "<|assistant|>\n{% endif %}",
        ("</s>", "<s>"),
        "<|user|>\nIs it warm?</s>\n<|assistant|>\nYes, very.</s>\n<|user|>\nAnd wet?</s>\n<|assistant|>\n",
        "No rain today.</s>",
        bos="<s>",
    ),
    Family(
        "command-r",  # the turn of the assistant is opened with other tokens than it is written with
        "<bos>"
        + TALK
        + "<|START|>{{ '<|USER|>' if m.role == 'user' else '<|BOT|>' }}{{ m.content.strip() }}<|END|>{% endfor %}"
        + OPEN
        + "<|START|><|BOT|><|RESPOND|>{% endif %}",
        ("<|END|>", "<bos>", "<|START|>", "<|USER|>", "<|BOT|>", "<|RESPOND|>"),
        "<bos><|START|><|USER|>Is it warm?<|END|><|START|><|BOT|>Yes, very.<|END|>"
        "<|START|><|USER|>And wet?<|END|><|START|><|BOT|><|RESPOND|>",
        "No rain today.<|END|>",
        bos="<bos>",
    ),
    Family(
        "glm4",  # nothing ends an answer but the beginning of the next turn, at which the model stops
        "[gMASK]<sop>"
        + TALK
        + "{{ '<|' + m.role + '|>\n' + m.content }}{% endfor %}"
        + OPEN
        + "<|assistant|>\n{% endif %}",
        ("<|endoftext|>", "[gMASK]", "<sop>", "<|user|>", "<|assistant|>"),
        "[gMASK]<sop><|user|>\nIs it warm?<|assistant|>\nYes, very.<|user|>\nAnd wet?<|assistant|>\n",
        "No rain today.<|user|>",
        stops=("<|user|>", "<|endoftext|>"),
    ),
    Family(
        "vicuna",  # plain text; the space before an answer belongs to the answer
        "A chat."
        + TALK
        + "{% if m.role == 'user' %}{{ ' USER: ' + m.content }}{% else %}{{ ' ASSISTANT: ' + m.content + eos_token }}"
        "{% endif %}{% endfor %}" + OPEN + "{{ ' ASSISTANT:' }}{% endif %}",
        ("</s>", "<s>"),
        "A chat. USER: Is it warm? ASSISTANT: Yes, very.</s> USER: And wet? ASSISTANT:",
        " No rain today.</s>",
    ),
    Family(
        "falcon",  # plain text without any end; the space before an answer stands in the prompt, and would merge
        TALK
        + "{{ ('Question: ' if m.role == 'user' else 'Answer: ') + m.content + '\n\n' }}{% endfor %}"
        + OPEN
        + "{{ 'Answer: ' }}{% endif %}",
        ("<|endoftext|>",),
        "Question: Is it warm?\n\nAnswer: Yes, very.\n\nQuestion: And wet?\n\nAnswer: ",
        "No rain today.<|endoftext|>",
    ),
    Family(
        "tulu",  # an end only after the last answer but one, and a line break that is no token's own
        TALK + "{{ '<|' + m.role + '|>\n' + m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% if not loop.last %}{{ '\n' }}{% endif %}{% endfor %}" + OPEN + "{{ '\n<|assistant|>\n' }}{% endif %}",
        ("<|endoftext|>",),
        "<|user|>\nIs it warm?\n<|assistant|>\nYes, very.<|endoftext|>\n<|user|>\nAnd wet?\n<|assistant|>\n",
        "No rain today.<|endoftext|>",
    ),
    Family(
        "gpt-oss",  # the last answer ends otherwise than earlier ones
        TALK + "{% if m.role == 'user' %}<|start|>user<|message|>{{ m.content }}<|end|>{% else %}"
        "<|start|>assistant<|channel|>final<|message|>{{ m.content }}{{ '<|return|>' if loop.last else '<|end|>' }}"
        "{% endif %}{% endfor %}" + OPEN + "<|start|>assistant{% endif %}",
        ("<|return|>", "<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|call|>"),
        "<|start|>user<|message|>Is it warm?<|end|><|start|>assistant<|channel|>final<|message|>Yes, very.<|end|>"
        "<|start|>user<|message|>And wet?<|end|><|start|>assistant",
        "<|channel|>final<|message|>No rain today.<|return|>",
        stops=("<|return|>", "<|call|>"),
    ),
]
NAMED = {family.name: family for family in FAMILIES}
