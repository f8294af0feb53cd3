"""The shape of an objective: its own loss and gradient as the log-probabilities of one example move.

torch is loaded by a process of its own, `python -m alignment.curves`: whoever shows a curve does not pay for it.
"""

from __future__ import annotations

import itertools
import json
import math
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from alignment.apart import Apart, jobs, say
from alignment.objectives import (
    REFERENCE,
    Batch,
    Objective,
    OtherValue,
    Role,
    State,
    StepValue,
    Tokens,
    TokenValue,
    beside,
    feeding,
    own,
    resolve,
    step,
)
from alignment.objectives.facts import FACTS, Unfit, find, require_sound
from alignment.objectives.objective import PAIR
from alignment.rendering import limit, size

if TYPE_CHECKING:
    from torch import Tensor

TOKENS: Final = 32  # of every response of the drawn example
NATS_PER_TOKEN: Final = 1.5  # an ordinary model's
POINTS: Final = 121
STANDING: Final = (-0.4, 0.1, 0.5)  # where the other examples of a batch stand, as parts of the reach
LIST: Final = 4  # responses of a ranked example
NAMED: Final = 1_000  # the highest number of somebody (an annotator, say): objectives keep a row for each
CPU_SECONDS: Final = 20.0  # for one curve
SAMPLES: Final[Mapping[str, tuple[float, ...]]] = {
    "score": (3.0, 1.0, 0.5, 0.0),
    "rank": (1.0, 2.0, 3.0, 4.0),
    "win_probability": (0.8, 0.3, 0.2, 0.1),
    "preference_score": (0.9, -0.4, -0.6, -0.8),
    "aspect": (0.6, 0.4, 0.3, 0.2),
    "margin": (0.7,),
    "soft_label": (0.85,),
    "weight": (1.0,),
    "annotator": (0.0,),
    "wanted_prompt": (0.7,),
}
"""What the data say of the drawn example, unless told otherwise: of each response from the best one on, or of all."""


Facts = Mapping[str, Sequence[float]]
"""By name one value of the drawn example, or one for each response that moves, the best first."""


class Slot(NamedTuple):
    """One response of the drawn example: its log-ratio is `slope` times the place; without a name it is not told of.

    `rank` is its place among all that are told of, 0 the best: facts are given in that order.
    """

    role: Role
    called: str
    slope: float
    rank: int


class Scene(NamedTuple):
    """An example that can be drawn, what its axis is, and what to call it."""

    of: str
    axis: str
    slots: tuple[Slot, ...]


def scenes(objective: Objective) -> list[Scene]:
    """The examples whose curves show an objective: a pair, a ranking, or single responses of each role.

    Responses in further roles stand beside them where the policy equals the reference.
    """
    roles = objective.needs.roles
    if roles >= PAIR:
        pair = (Slot(Role.CHOSEN, "chosen", 0.5, 0), Slot(Role.REJECTED, "rejected", -0.5, 1))
        return [Scene("pair", "margin", pair + _beside(roles - PAIR))]
    if Role.CANDIDATE in roles:
        names = ["best", *(f"rank {place}" for place in range(2, LIST + 1))]
        slots = tuple(Slot(Role.CANDIDATE, called, float(rank == 0), rank) for rank, called in enumerate(names))
        return [Scene("ranking", "ratio", slots + _beside(roles - {Role.CANDIDATE}))]
    beside = _beside(roles & feeding.FORMED.keys())
    singles = [Slot(role, _name(role), 1.0, rank) for rank, role in enumerate(sorted(roles - feeding.FORMED.keys()))]
    return [Scene(slot.called, "ratio", (slot, *beside)) for slot in singles]


def _beside(roles: frozenset[Role]) -> tuple[Slot, ...]:
    return tuple(Slot(role, "", 0.0, 0) for role in sorted(roles))


def _name(role: Role) -> str:
    return role.name.lower().replace("_", " ")


def told_of(objective: Objective) -> list[str]:
    """The names of all responses that move, the best first."""
    return [slot.called for scene in scenes(objective) for slot in scene.slots if slot.called]


def usual_facts(objective: Objective) -> dict[str, list[float]]:
    """What the data say of the drawn example: one value of each fact, or one for each response that moves."""
    count = len(told_of(objective))
    return {name: list(_samples(name)[:count]) for name in sorted(objective.needs.facts)}


def undrawable(objective: Objective) -> str | None:
    """Why no curve shows an objective, as a sentence; None where one does."""
    needs, title = objective.needs, objective.title
    if needs.third:
        return f"{title} also reads what a third model says: log-probabilities alone do not tell it."
    if not all(map(_samples, needs.facts)):
        return f"{title} also reads facts that have no usual value: log-probabilities alone do not tell it."
    if not scenes(objective):
        return f"{title} is no function of one example's log-probabilities."
    return None


def _samples(name: str) -> tuple[float, ...]:
    return SAMPLES.get(name.partition(":")[0], ())


def require_facts(objective: Objective, facts: Facts) -> None:
    """Raise Unfit where the objective cannot learn from an example of these facts, as `usual_facts` gives them."""
    for name, values in facts.items():
        fact = find(name) or FACTS["score"]
        require_sound(name, values, len(values), fact)
        wrong = [value for value in values if fact.named and not (value % 1 == 0 and 0 <= value <= NAMED)]
        if wrong:
            raise Unfit(
                f"has {wrong[0]:g} as its {name}, which stands for nobody", f"Give a whole number from 0 to {NAMED:,}."
            )
    for scene in scenes(objective):
        slots = [slot for slot in scene.slots if slot.called]
        objection = objective.objection({name: tuple(_of_slots(values, slots)) for name, values in facts.items()})
        if objection is not None:
            raise Unfit(objection, "Change the facts of the drawn example, or the hyperparameters.")


class Undrawn(Exception):
    """The process ended at a curve: why, as a sentence."""


class Curves:
    """Draws in a process of its own, which stays a while for the next one. Threads take turns."""

    def __init__(self) -> None:
        self._process = Apart("alignment.curves")
        self.close = self._process.close

    @property
    def pid(self) -> int | None:
        """The process that draws; None while there is none."""
        return self._process.pid

    def draw(self, objective: Objective, reach: float, facts: Facts) -> dict[str, Any]:
        """What `curves` says of an objective that is drawable, as plain JSON.  Raises Undrawn."""
        asked = {"objective": objective.model_dump(mode="json"), "reach": reach, "facts": dict(facts)}
        job = json.dumps(asked) + "\n"
        for _ in range(2):  # it may have gone because it was idle, or because somebody ended it
            answers, code = self._process.ask(job.encode(), 1)
            if code is None:
                return answers[0]
            if code == -signal.SIGXCPU:
                raise Undrawn(f"Drawing {objective.title} takes too long with these values.")
            if code > 0:
                break
        raise Undrawn(f"{objective.title} could not be drawn with these values.")


CURVES = Curves()


# ---- inside the process ---------------------------------------------------------------------------------------------


def curves(objective: Objective, reach: float, facts: Facts) -> dict[str, Any]:
    """Loss and gradients of each scene at places from -reach to reach, in nats; `facts` as `usual_facts` gives them.

    `slope` is the derivative of the loss along the axis, `gradients` those with respect to each response's summed
    log-probability. Where a loss sees the whole batch, one example of several moves; gradients are then those of the
    mean loss times the batch's size, as an example's are elsewhere. A number that is not finite is null.
    """
    import torch

    whole = scenes(objective)
    x = torch.linspace(-reach, reach, POINTS, dtype=torch.float64)
    companions = _companions(objective)
    return {
        "axis": whole[0].axis,
        "x": x.tolist(),
        "lines": [_line(objective, scene, x, companions, facts) for scene in whole],
        "tokens": TOKENS,
        "facts": {name: list(values) for name, values in facts.items()},
        "responses": told_of(objective),
        "companions": len(companions),
        "assumed": list(_assumed(objective)),
    }


def _assumed(objective: Objective) -> Iterator[str]:
    """What a curve takes for granted of the values of tokens that log-probabilities do not tell, in sentences."""
    needs = objective.needs
    if needs.reference == "distribution":
        yield "Distributions are taken to differ by no more than the log-ratios of the tokens themselves make them."
    if needs.own:
        yield "Learned masks are taken to be 1, as they begin."
    if OtherValue.ACTIVITY in needs.of_reference:
        yield "The reference is taken to be as active at every token, so that masks are 1."
    if needs.steps:
        yield "Responses are taken to be one step each."


def _companions(objective: Objective) -> list[float]:
    """Where the examples beside the one that moves stand, as parts of the reach; none where a loss sees one alone."""
    needs = objective.needs
    if not (needs.coupled or needs.state):
        return []
    return list(itertools.islice(itertools.cycle(STANDING), max(len(STANDING), needs.least - 1)))


def _line(objective: Objective, scene: Scene, x: Tensor, companions: list[float], facts: Facts) -> dict[str, Any]:
    import torch

    if companions:
        others = x.new_tensor(companions) * x.max()
        found = [_evaluated(objective, scene, torch.cat([place[None], others]), facts) for place in x]
        loss = torch.stack([losses.mean() if objective.needs.coupled else losses[0] for losses, _ in found])
        gradients = torch.stack([gradients[0] for _, gradients in found])
    else:
        loss, gradients = _evaluated(objective, scene, x, facts)
    slope = (gradients * x.new_tensor([slot.slope for slot in scene.slots])).sum(1)
    return {
        "of": scene.of,
        "loss": _plain(loss),
        "slope": _plain(slope),
        "gradients": {slot.called: _plain(gradients[:, at]) for at, slot in enumerate(scene.slots) if slot.called},
    }


def _evaluated(objective: Objective, scene: Scene, x: Tensor, facts: Facts) -> tuple[Tensor, Tensor]:
    """The losses of examples at these places, (N,), and the gradients of their sum, (N, slots)."""
    import torch

    batch, logps = _batch(objective, scene, x, facts)
    state = State(values=objective.start())
    with torch.no_grad():
        state = state._replace(moved=objective.move(batch, state))
    losses = objective.loss(batch, state).expand(len(x))
    (gradients,) = torch.autograd.grad(losses.sum(), logps, materialize_grads=True)
    return losses.detach(), gradients.view(len(x), len(scene.slots))


def _batch(objective: Objective, scene: Scene, x: Tensor, facts: Facts) -> tuple[Batch, Tensor]:
    """An example at each place, its responses side by side; and the leaf that gradients are taken of, (S,)."""
    import torch

    slots = scene.slots
    slopes = x.new_tensor([slot.slope for slot in slots])
    reference = torch.full((len(x) * len(slots),), -NATS_PER_TOKEN * TOKENS, dtype=x.dtype)
    logps = (reference + (x[:, None] * slopes).flatten()).requires_grad_()
    batch = Batch(
        logps=logps,
        lengths=torch.full_like(reference, TOKENS),
        example=torch.arange(len(x)).repeat_interleave(len(slots)),
        role=torch.tensor([int(slot.role) for slot in slots]).repeat(len(x)),
        reference=None if objective.needs.reference == "none" else reference,
        facts={name: x.new_tensor(_of_slots(values, slots)).repeat(len(x)) for name, values in facts.items()},
        tokens=_tokens(objective, logps, reference),
    )
    return batch, logps


def _of_slots(values: Sequence[float], slots: Sequence[Slot]) -> list[float]:
    return [values[slot.rank] if len(values) > 1 else values[0] for slot in slots]


def _tokens(objective: Objective, logps: Tensor, reference: Tensor) -> Tokens | None:
    """Every response's log-probabilities spread evenly over its tokens, and an ordinary model's other values.

    The reference's divergence from the policy is the least that such log-probabilities p and q of one token allow:
    q log(q/p) + (1-q) log((1-q)/(1-p)), since whatever else is likely can be alike; no number where p would exceed 1.
    """
    import torch

    if not objective.needs.asked:
        return None
    ordinary = {
        TokenValue.LOGSUMEXP: 10.0,
        TokenValue.ENTROPY: 2.0,
        TokenValue.LOG_COLLISION: -1.0,
        TokenValue.TOP_MASS: 0.9,
        TokenValue.TOP1: 0.0,
        TokenValue.MEAN_LOGIT: 0.0,
    }
    spread, before = ((sums / TOKENS).repeat_interleave(TOKENS) for sums in (logps, reference))
    values: dict[str, Tensor] = {name: torch.full_like(before, value) for name, value in ordinary.items()}
    shares = before.exp()
    others = ((1 - shares) / -spread.expm1()).log()
    values |= {
        TokenValue.LOGPS: spread,
        beside(REFERENCE, OtherValue.LOGPS): before,
        beside(REFERENCE, OtherValue.KL): shares * (before - spread) + (1 - shares) * others,
        beside(REFERENCE, OtherValue.ACTIVITY): torch.zeros_like(before),
    }
    values |= {own(name): torch.ones_like(before) for name in objective.needs.own}
    values |= {step(cut, value): torch.zeros_like(before) for cut in objective.needs.steps for value in StepValue}
    return Tokens(torch.arange(len(logps)).repeat_interleave(TOKENS), values)


def _plain(values: Tensor) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def main() -> int:
    """Draw until the input ends or nothing comes for a while."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    base = size()
    for line in jobs():
        job = json.loads(line)
        limit(base, len(line), CPU_SECONDS)
        say(curves(resolve(job["objective"]), job["reach"], job["facts"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
