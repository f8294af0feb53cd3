"""What every objective is: hyperparameters as fields, what the loop must supply, a loss, and implicit rewards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, cast, get_args

from alignment.objectives.batch import REFERENCE, Cut, OtherValue, Role, StepValue, TokenValue, beside, head, own, step
from alignment.parts import NamedPart, plain_schema

if TYPE_CHECKING:
    from torch import Tensor, nn

    from alignment.objectives.batch import Batch

Fidelity = Literal["authors_code", "paper", "reconstruction"]
ReferenceNeed = Literal["none", "sequence", "tokens", "distribution"]


class Needs(NamedTuple):
    """What the loop must supply for an objective, and how much of the optimizer batch its loss must see.

    A reference by `sequence` is asked once, before training; by `tokens` (its log-probability of each) or by
    `distribution` (its divergence from the policy, too) at every step; `of_reference` is what it is asked then beside
    these.  `third` names other checkpoints, and `of_third` what each of them is asked at every step.  `own` names the
    values of tokens that modules give which the objective trains, see `Objective.own_modules`; they read a reference
    that is asked at every step.
    `coupled`: the loss is a function of the whole batch.  `state`: something moves between steps, see `State`.
    `least`: fewest examples of a batch that the loss is defined for.  `goals`: each pair is given twice, its prompt
    asking for the score of either response, whose response then is the chosen one.  `samples`: so many answers to each
    prompt, of at most `sample_tokens`, are drawn from the policy before each step.  `lengths`: the loss counts the
    tokens of responses, so that it would change if each were one token.
    `anchor`: the reference is the moving average of the policy's weights with this decay, asked by `tokens` at every
    step; 0 is one that stays as it is.  `turns`: each earlier answer in the prompt of a wanted one is an example, too.
    `heads`: facts that own modules tell of each response, and in how many numbers, by the policy's last hidden states
    where its tokens are predicted; they have gradients, (S, numbers).
    `steps`: ways to cut responses into steps, of which every `StepValue` is asked; the best response of an example is
    the first of those with the least `rank`, which is a fact that such an objective needs.
    """

    roles: frozenset[Role]
    reference: ReferenceNeed = "none"
    facts: frozenset[str] = frozenset()  # names of `alignment.objectives.facts`
    third: frozenset[str] = frozenset()
    tokens: frozenset[TokenValue] = frozenset()
    coupled: bool = False
    state: bool = False
    least: int = 1
    goals: bool = False
    of_third: frozenset[OtherValue] = frozenset()
    of_reference: frozenset[OtherValue] = frozenset()
    own: frozenset[str] = frozenset()
    samples: int = 0
    sample_tokens: int = 0
    lengths: bool = False
    anchor: float = 0.0
    turns: bool = False
    heads: frozenset[tuple[str, int]] = frozenset()
    steps: frozenset[Cut] = frozenset()

    @property
    def forgets(self) -> bool:
        """Whether unwanted answers are to be forgotten, rather than told from wanted ones."""
        return Role.UNDESIRABLE in self.roles and Role.DESIRABLE not in self.roles

    @property
    def live(self) -> frozenset[str]:
        """Names of the other models that are asked at every step."""
        return self.third | ({REFERENCE} if self.reference in ("tokens", "distribution") else frozenset())

    @property
    def asked(self) -> frozenset[str]:
        """Names of all values of tokens that the objective sees, of the policy's and of other models."""
        of_reference = {"tokens": [OtherValue.LOGPS], "distribution": [OtherValue.LOGPS, OtherValue.KL]}
        others = {beside(REFERENCE, value) for value in (*of_reference.get(self.reference, []), *self.of_reference)}
        others |= {beside(model, value) for model in self.third for value in self.of_third}
        heads = {head(fact, place) for fact, count in self.heads for place in range(count)}
        steps = {step(cut, value) for cut in self.steps for value in StepValue}
        return frozenset({*self.tokens, *others, *heads, *steps, *map(own, self.own)})

    def joined(self, other: Needs) -> Needs:
        """What serves both: every set joined, the richer reference, whatever either asks of the batch."""
        return Needs(*(_joined(own, its) for own, its in zip(self, other, strict=True)))


def _joined(own: Any, its: Any) -> Any:
    if isinstance(own, frozenset):
        return own | its
    return max(own, its, key=get_args(ReferenceNeed).index) if isinstance(own, str) else max(own, its)


class Varying:
    """`needs` that say of a class what every instance needs, and of an instance what its fields make it need, too."""

    def __init__(self, always: Needs, more: Callable[[Any], Needs] | None) -> None:
        self._always, self._more = always, more

    def __get__(self, instance: Objective | None, owner: type[Objective]) -> Needs:
        return self._always if instance is None or self._more is None else self._always.joined(self._more(instance))


def varying(always: Needs, more: Callable[[Any], Needs]) -> Needs:
    """The `needs` of an objective of which this much holds always, and `more` says the rest of an instance."""
    return cast("Needs", Varying(always, more))


class Own(NamedTuple):
    """What an objective trains beside the model: it takes hidden states of the reference (P, layers, width), those
    after each layer where a response token is predicted, and gives the values (P,) that `needs.own` names.

    Those of `needs.heads` are given the policy's last hidden states (P, width) instead, with their gradients, and give
    `FACT.PLACE`.  Its weights follow the run's schedule from a rate of their own.
    """

    module: nn.Module
    learning_rate: float
    weight_decay: float


PAIR: frozenset[Role] = frozenset({Role.CHOSEN, Role.REJECTED})
PAIRED = Needs(PAIR)
PAIRED_WITH_REFERENCE = Needs(PAIR, reference="sequence")


class Paper(NamedTuple):
    """Where an objective was published; `arxiv` is empty for a note outside arXiv, which `url` then names.

    `equation` is empty where the paper's own number is not known.
    """

    title: str
    authors: str
    year: int
    arxiv: str
    equation: str
    url: str = ""


class Range(NamedTuple):
    """What the paper (or its released code) used of one hyperparameter: from `low` to `high`, and where in `words`."""

    low: float
    high: float
    words: str = ""


class Relative(NamedTuple):
    """How an objective relates to another of the catalogue, in a sentence about both.

    With `at` the sentence is an equation: with these hyperparameters, and every other that both have at the same
    value, the losses are equal on every batch of pairs; `theirs` are hyperparameters of the other one alone.
    """

    name: str
    words: str
    at: Mapping[str, Any] | None = None
    theirs: Mapping[str, Any] = MappingProxyType({})


class State(NamedTuple):
    """What an objective may read beside the batch.

    `values` is what moves between steps, by name, as this step found it: running means, reliabilities, all float64 and
    saved with the run.  `moved` is the same once the whole optimizer batch, which the loss is of, has moved it; the
    next step finds it as its `values`.  Outside training nothing moves, and both are the same.
    """

    step: int = 0  # optimizer steps already taken
    seed: int = 0  # of the run: whoever draws does so by seed and step, so that a resumed run draws alike
    training: bool = False
    values: Mapping[str, Tensor] = MappingProxyType({})
    moved: Mapping[str, Tensor] = MappingProxyType({})


class Objective(NamedPart):
    """A loss over a batch of log-probabilities. Its fields are its hyperparameters.

    `needs` of the class holds for every instance; an instance made of other objectives needs what they do, too.
    Its theory card is drawn from its schema and from what follows: `fixes` and `costs` are sentences, `ranges` is by
    field, `logic` is the statement (LaTeX) whose weighted count its comparison is a function of, in the manner of
    Richardson et al. 2024, arXiv 2412.17696, where there is one.
    """

    title: ClassVar[str]
    family: ClassVar[str]
    formula: ClassVar[str]
    paper: ClassVar[Paper]
    fidelity: ClassVar[Fidelity]
    needs: ClassVar[Needs]
    fixes: ClassVar[str] = ""
    costs: ClassVar[str] = ""
    ranges: ClassVar[Mapping[str, Range]] = MappingProxyType({})
    relatives: ClassVar[tuple[Relative, ...]] = ()
    logic: ClassVar[str] = ""

    def loss(self, batch: Batch, state: State) -> Tensor:
        """The loss of each example, (examples,); one number, the batch's mean, when `needs.coupled`."""
        raise NotImplementedError

    def rewards(self, batch: Batch) -> Tensor:
        """The implicit reward of each response, (S,), on the scale that the loss compares."""
        raise NotImplementedError

    def start(self) -> dict[str, Tensor]:
        """What `State.values` are before the first step, where `needs.state`; float64, any shape."""
        return {}

    def begun(self, seed: int = 0) -> State:
        """The state before the first step of a run with this seed."""
        values = self.start()
        return State(seed=seed, values=values, moved=values)

    def move(self, batch: Batch, state: State) -> dict[str, Tensor]:  # noqa: ARG002
        """What `state.values` become by a whole optimizer batch; called once a step, before the loss, without gradient.

        Their shapes may grow, their names may not change.
        """
        return {}

    def own_modules(self, layers: int, width: int) -> Own | None:  # noqa: ARG002
        """What gives the values of `needs.own`, for a reference of so many layers; None where there are none.

        All processes of a run make it alike, and drawing no random numbers.
        """
        return None

    def own_weights(self, layers: int, width: int) -> int:  # noqa: ARG002
        """How many weights `own_modules` trains, told without making them."""
        return 0

    def objection(self, facts: Mapping[str, tuple[float, ...]]) -> str | None:  # noqa: ARG002
        """Why an example with these facts cannot be learned from, in words that follow its name; None where it can.

        `facts` are those of `needs.facts`, one value for each response in its order: of a pair, the chosen one first.
        """
        return None

    @classmethod
    def usual_needs(cls) -> Needs:
        """What an instance with the default fields needs."""
        return cls.needs

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """What the API and the form show of this objective, as plain JSON."""
        from alignment.objectives import rewards  # which reads what facts there are of objectives

        needs = cls.usual_needs()
        return {
            "name": cls.name,
            "title": cls.title,
            "family": cls.family,
            "formula": cls.formula,
            "summary": (cls.__doc__ or "").strip().splitlines()[0],
            "paper": cls.paper._asdict(),
            "fidelity": cls.fidelity,
            "needs": {
                "roles": sorted(role.name.lower() for role in needs.roles),
                "reference": needs.reference,
                "facts": sorted(needs.facts),
                "third": sorted(needs.third),
                "rewards": sorted(rewards.tellable(needs)),
                "of_third": sorted(needs.of_third),
                "of_reference": sorted(needs.of_reference),
                "own": sorted(needs.own),
                "tokens": sorted(needs.tokens),
                "coupled": needs.coupled,
                "state": needs.state,
                "least": needs.least,
                "goals": needs.goals,
            },
            "fixes": cls.fixes,
            "costs": cls.costs,
            "ranges": {field: published._asdict() for field, published in cls.ranges.items()},
            "relatives": [
                {"name": one.name, "words": one.words, "at": None if one.at is None else dict(one.at)}
                for one in cls.relatives
            ],
            "logic": cls.logic,
            "schema": plain_schema(cls),
        }


def log_sigmoid(x: Tensor) -> Tensor:
    """log(1 / (1 + e^-x)), finite in value and gradient for every finite x; needs no import of torch."""
    return -(-x).logaddexp(x.new_zeros(()))
