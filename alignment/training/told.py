"""Texts that data hold beside a pair, as further responses: a rationale, answers without a trace of reasoning."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alignment.objectives.batch import Role
from alignment.objectives.feeding import TOLD
from alignment.training.errors import BadData

if TYPE_CHECKING:
    from alignment.training.data import Example, Message

REQUEST: Final = (
    "Another answer would have been:\n\n{rejected}\n\nWhy is the answer that you gave the better one? Explain it."
)
"""What asks for a rationale, after the prompt and the chosen response: the last turn of the rationale's own prompt."""
TRACE_END: Final = "/think"
"""What the text of an answer holds where its trace stands in that, and not in a field of its own."""


def beside(example: Example, roles: frozenset[Role]) -> Example:
    """The pair with a response for each text that the roles ask for, where its facts hold that.

    A rationale gets a prompt of its own, see `REQUEST`; other texts answer the pair's prompt.  Raises BadData where
    no such prompt can be made, or an answer that should have a trace of reasoning has none.
    """
    wanted = [role for role in sorted(roles & TOLD.keys()) if TOLD[role] in example.facts]
    if not wanted or example.roles != (Role.CHOSEN, Role.REJECTED):
        return example
    texts: list[Message] = [{"role": "assistant", "content": example.facts[TOLD[role]]} for role in wanted]
    first = len(example.responses)
    asides = {first + place: _request(example) for place, role in enumerate(wanted) if role is Role.RATIONALE}
    if Role.EMPTY_CHOSEN in wanted:
        _require_traces(example)
    return replace(
        example,
        responses=(*example.responses, *texts),
        roles=(*example.roles, *wanted),
        asides={**example.asides, **asides},
    )


def _request(example: Example) -> list[Message]:
    """The prompt, answered by the chosen response, and the question why it is better than the rejected one."""
    chosen, rejected = example.responses
    if chosen.get("tool_calls") or rejected.get("tool_calls"):
        raise BadData(
            f"Example {example.id} answers with calls of tools, and a rationale is asked for between texts.",
            "Remove the example, or choose another objective.",
        )
    answered: Message = {"role": "assistant", "content": chosen["content"]}
    asked: Message = {"role": "user", "content": REQUEST.format(rejected=rejected["content"])}
    return [*example.prompt, answered, asked]


def _require_traces(example: Example) -> None:
    for role, answer in zip(("chosen", "rejected"), example.responses, strict=False):
        if not (answer.get("reasoning") or "").strip() and TRACE_END not in answer["content"].lower():
            raise BadData(
                f"Example {example.id} has no reasoning in its {role} answer, whose trace is compared with none.",
                "Give the message its trace as reasoning, or remove the example.",
            )
