"""What an objective sees: the log-probabilities of a whole optimizer batch, ragged and flat, and views of them.

No import of torch at run time: the web process reads the catalogue without paying for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


def added(values: Tensor, place: Tensor, places: int) -> Tensor:
    """Values (T,) added up over those of each `place` (T,), (places,), in the values' type.

    In double precision, which Apple's GPUs alone do not have: a response's log-probabilities come to thousands of nats,
    of which float32 would lose a thousandth, one token after another, and rewards are differences of such sums.
    """
    wide = values if values.device.type == "mps" else values.double()
    return wide.new_zeros(places).index_add(0, place, wide).to(values.dtype)


class Role(IntEnum):
    """What a response is to its example; the integer is what `Batch.role` holds."""

    CHOSEN = 0
    REJECTED = 1
    CANDIDATE = 2
    DESIRABLE = 3
    UNDESIRABLE = 4
    RETAIN = 5  # a single answer that a model is to keep while it forgets others
    MISMATCHED = 6  # the answer of another example, which says how far the policy has moved
    RATIONALE = 7  # why the chosen response is better, told after a prompt of its own
    REFERENCE_SAMPLE = 8  # drawn from the reference for this prompt
    POLICY_SAMPLE = 9  # drawn from the policy as it is now
    EMPTY_CHOSEN = 10  # as chosen and rejected, of a pair that was answered without a trace of reasoning
    EMPTY_REJECTED = 11


class TokenValue(StrEnum):
    """What an objective may ask about each response token; p is the policy's distribution where it is predicted."""

    LOGPS = "logps"  # log p(token)
    LOGSUMEXP = "logsumexp"  # of the logits
    ENTROPY = "entropy"  # -sum p log p, in nats
    LOG_COLLISION = "log_collision"  # log sum p^2
    TOP_MASS = "top_mass"  # probability of the ten likeliest tokens
    TOP1 = "top1"  # 1 where no token is likelier, else 0; without gradient
    MEAN_LOGIT = "mean_logit"  # of the vocabulary; without gradient


NOTHING = -1e30
"""What stands for minus infinity in a softmax, so that no gradient becomes NaN."""


class OtherValue(StrEnum):
    """What an objective may ask about each response token under another model q, alone or beside the policy p.

    Only the policy is differentiated: `logps` and `activity` have no gradient.
    """

    LOGPS = "logps"  # log q(token)
    KL = "kl"  # sum q (log q - log p), in nats
    EXPECTED = "expected"  # sum p log q
    ACTIVITY = "activity"  # how far its activations stand above their means over the response, in standard deviations


Cut = Literal["lines", "paragraphs"]
"""What ends a step of a response: the end of a line that says something, or an empty line after it."""


class StepValue(StrEnum):
    """What an objective may ask about the step of a response that a token stands in, without gradient."""

    PLACE = "place"  # of the step in its response, from 0
    LIKENESS = "likeness"  # cosine of the policy's mean hidden state in it to the best response's same step, or 0


OWN = "own"
"""What the names of values begin with that an objective's own modules give tokens."""
HEAD = "head"
"""What the names of values begin with that an objective's own head gives tokens: means over a response are a fact."""
STEP = "step"
"""What the names of values begin with that are about the steps of responses."""
REFERENCE = "reference"
"""The name of the reference among the other models."""


def beside(model: str, value: OtherValue) -> str:
    """The name under which `Tokens.values` holds what is asked about another model."""
    return f"{model}/{value}"


def own(name: str) -> str:
    """The name under which `Tokens.values` holds what the objective's own modules call by this name."""
    return f"{OWN}/{name}"


def head(fact: str, place: int) -> str:
    """The name under which `Tokens.values` holds one of the numbers that a head gives for a fact."""
    return f"{HEAD}/{fact}.{place}"


def step(cut: Cut, value: StepValue) -> str:
    """The name under which `Tokens.values` holds what is asked about the steps that responses are cut into."""
    return f"{STEP}/{cut}.{value}"


class MissingReference(ValueError):
    """An objective read reference log-probabilities that its `needs` did not ask for."""


class MissingTokens(ValueError):
    """An objective read values of tokens that its `needs` did not ask for."""


class UnpairedExample(ValueError):
    """A pair view was asked of a batch in which an example lacks its chosen or its rejected response."""


@dataclass(frozen=True)
class Tokens:
    """Per-token values, flat: `values[name]` is (T,), `sequence` (T,) is the response each token belongs to.

    Tokens of a response follow each other as they are written, its end of sequence included; only values that the
    objective's `needs.asked` names are there, with their gradients: a `TokenValue`, `beside` another model, `own`.
    """

    sequence: Tensor
    values: Mapping[str, Tensor]

    def other(self, model: str, value: OtherValue) -> Tensor:
        """What is asked about another model, (T,)."""
        return self.values[beside(model, value)]

    @property
    def ratios(self) -> Tensor:
        """log policy - log reference of each token, (T,)."""
        return self.values[TokenValue.LOGPS] - self.other(REFERENCE, OtherValue.LOGPS)

    @property
    def positions(self) -> Tensor:
        """The place of each token in its response, from 0, (T,)."""
        place = self.sequence.new_ones(len(self.sequence)).cumsum(0) - 1
        counts = self.sequence.bincount()
        return place - (counts.cumsum(0) - counts)[self.sequence]

    def added(self, values: Tensor, responses: int) -> Tensor:
        """Values of tokens (T,) added up over each of so many responses, (S,)."""
        return added(values, self.sequence, responses)

    def sums(self, name: str, responses: int) -> Tensor:
        """The value of that name added up over the tokens of each of so many responses, (S,)."""
        return self.added(self.values[name], responses)


@dataclass(frozen=True)
class Responses:
    """Some responses of a batch; sums over response tokens, end of sequence included. All (N,)."""

    logps: Tensor
    lengths: Tensor
    reference: Tensor | None
    example: Tensor
    role: Tensor
    facts: Mapping[str, Tensor]

    def are(self, role: Role) -> Tensor:
        """Which of them are in a role, (N,)."""
        return self.role == int(role)

    @property
    def before(self) -> Tensor:
        """log reference, (N,)."""
        if self.reference is None:
            raise MissingReference("this objective declares no reference, but reads log-ratios")
        return self.reference

    @property
    def ratios(self) -> Tensor:
        """log policy - log reference, (N,)."""
        return self.logps - self.before

    @property
    def averages(self) -> Tensor:
        """Log-probability per token, (N,)."""
        return self.logps / self.lengths

    @property
    def average_ratios(self) -> Tensor:
        """log policy - log reference per token, (N,)."""
        return self.ratios / self.lengths


@dataclass(frozen=True)
class Pairs:
    """Chosen and rejected responses of the same examples, in the order of the examples."""

    chosen: Responses
    rejected: Responses

    @property
    def margin(self) -> Tensor:
        """The difference of the log-ratios, (examples,): `h` of the papers, without beta."""
        return self.chosen.ratios - self.rejected.ratios


@dataclass(frozen=True)
class Lists:
    """All responses of each example, padded with zeros to the longest list; all (examples, K)."""

    logps: Tensor
    lengths: Tensor
    reference: Tensor | None
    mask: Tensor
    facts: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def ratios(self) -> Tensor:
        """log policy - log reference, (examples, K)."""
        if self.reference is None:
            raise MissingReference("this objective declares no reference, but reads log-ratios")
        return self.logps - self.reference

    def log_shares(self, values: Tensor) -> Tensor:
        """Log-softmax of values over each list, (examples, K); 0 where the list has no response."""
        shares = values.masked_fill(~self.mask, NOTHING).log_softmax(dim=1)
        return shares.masked_fill(~self.mask, 0.0)

    def shares(self, values: Tensor) -> Tensor:
        """Softmax of values over each list, (examples, K)."""
        return values.masked_fill(~self.mask, NOTHING).softmax(dim=1)

    def above(self, values: Tensor) -> Tensor:
        """Where the value of the first of two responses exceeds the second's, (examples, K, K)."""
        both = self.mask[:, :, None] & self.mask[:, None, :]
        return (values[:, :, None] > values[:, None, :]) & both


@dataclass(frozen=True)
class Batch:
    """A whole optimizer batch; one entry per response (S,), float32 or better.

    `example` numbers the examples from 0 without gaps; `facts` hold one value per response (a fact of
    an example is repeated for each of its responses).  `mean_length` is that of the whole optimizer batch's responses,
    however few of them are here.  Of a reward model `logps` are what its head says of each response: its score, or
    (S, labels) where it says more.
    """

    logps: Tensor
    lengths: Tensor
    example: Tensor
    role: Tensor
    reference: Tensor | None = None
    facts: Mapping[str, Tensor] = field(default_factory=dict)
    tokens: Tokens | None = None
    mean_length: float = 1.0

    def pairs(self) -> Pairs:
        """Chosen and rejected side by side, in the order of the examples."""
        return self.paired(Role.CHOSEN, Role.REJECTED)

    def paired(self, better: Role, worse: Role) -> Pairs:
        """The responses of two roles side by side, in the order of the examples."""
        chosen, rejected = self.of(better), self.of(worse)
        if chosen.example.shape != rejected.example.shape or bool((chosen.example != rejected.example).any()):
            raise UnpairedExample(f"every example needs one {better.name} and one {worse.name} response")
        return Pairs(chosen, rejected)

    def each_token(self) -> Tokens:
        """The values of tokens.  Raises MissingTokens where none were asked for."""
        if self.tokens is None:
            raise MissingTokens("this objective asks nothing about tokens, but reads their values")
        return self.tokens

    def sides(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Values of responses (S,) of the chosen and of the rejected ones, in the order of the examples."""
        chosen, rejected = (replace(self, logps=values).of(role).logps for role in (Role.CHOSEN, Role.REJECTED))
        return chosen, rejected

    def singles(self) -> Responses:
        """Every response by itself, in the order given."""
        return Responses(self.logps, self.lengths, self.reference, self.example, self.role, self.facts)

    def lists(self) -> Lists:
        """The responses of each example as one padded row; within a row in the order given."""
        order = self.example.argsort(stable=True)
        example = self.example[order]
        counts = self.example.bincount()
        column = example.new_ones(len(example)).cumsum(0) - 1 - (counts.cumsum(0) - counts)[example]
        shape = (len(counts), int(counts.max()))

        def padded(values: Tensor) -> Tensor:
            return values.new_zeros(shape).index_put((example, column), values[order])

        mask = padded(self.lengths.new_ones(len(order))) > 0
        reference = None if self.reference is None else padded(self.reference)
        facts = {name: padded(values) for name, values in self.facts.items()}
        return Lists(padded(self.logps), padded(self.lengths), reference, mask, facts)

    def of(self, *roles: Role) -> Responses:
        """The responses in some roles, in the order of the examples."""
        wanted = sum((self.role == int(role) for role in roles), self.role < 0)
        index = wanted.nonzero().flatten()
        index = index[self.example[index].argsort(stable=True)]
        reference = None if self.reference is None else self.reference[index]
        facts = {name: values[index] for name, values in self.facts.items()}
        role = self.role[index]
        return Responses(self.logps[index], self.lengths[index], reference, self.example[index], role, facts)

    def added(self, values: Tensor, responses: Responses) -> Tensor:
        """The values of some responses added up over each example, (examples,)."""
        return values.new_zeros(len(self.example.bincount())).index_add(0, responses.example, values)
