"""Answers that the policy gives while it trains: shown to people, or drawn for an objective that learns from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from alignment.generation import Generator
from alignment.generation.rows import room_for
from alignment.sampling import Sampling
from alignment.training.model import dropout_off

if TYPE_CHECKING:
    from alignment.training.encode import Encoded
    from alignment.training.prepare import Prepared
    from alignment.training.spec import Spec
    from alignment.training.stop import Stop


@contextmanager
def answering(prepared: Prepared) -> Iterator[Generator]:
    """The policy as it is now, whole on every rank and without dropout, ready to answer; all ranks must ask alike."""
    scoring = prepared.learner.scoring
    with dropout_off(prepared.model), scoring.ranks.gathered(scoring.scorer):
        room = room_for(prepared.model)
        room = replace(room, tokens=min(scoring.ranks.each(room.tokens)))  # with less memory, one would take more turns
        yield Generator.of(prepared.model, prepared.tokenizer, room)


def drawn(prepared: Prepared, spec: Spec, examples: Sequence[Encoded], step: int, stop: Stop) -> list[Encoded]:
    """The examples of a step, each with as many answers to its prompt as the objective needs, at temperature 1.

    Seed, step and place decide the draws, so that a run that goes on draws alike.  Where a prompt fills the context
    there are none; once a stop is asked for, what was under way is cut short.
    """
    needs, ranks = spec.objective.needs, prepared.learner.scoring.ranks
    sampling = Sampling(temperature=1, max_new_tokens=needs.sample_tokens, seed=spec.seed)
    with answering(prepared) as generator:
        found = generator.continued(
            [one.prompt for one in examples],
            sampling,
            samples=needs.samples,
            stop=lambda: ranks.any(stop.asked),
            key=str(step),
        )
    told = ranks.told([[answer for answer in some if answer] for some in found])
    return [one.joined(samples) for one, samples in zip(examples, told, strict=True)]
