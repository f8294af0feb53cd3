"""From a spec to everything the loop needs: examples, model, optimizer, and what the reference thinks.

What is cheap to refuse is refused first: the spec, the folders and the data before any weights are loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from alignment.objectives import REFERENCE, rewards
from alignment.objectives.batch import Role
from alignment.objectives.facts import WANTED_PROMPT, Reader
from alignment.rendering import RENDERER
from alignment.training import folder as folders
from alignment.training import mixture
from alignment.training.batches import auto_tokens
from alignment.training.data import Rewarded, Wanted, read
from alignment.training.encode import Encoder, Examples
from alignment.training.errors import BadData, TooFewExamples
from alignment.training.events import Events
from alignment.training.kinds.scored import RewardLoss
from alignment.training.remarks import remarks
from alignment.training.requirements import (
    may_shard,
    require_fit,
    require_no_dropout,
    require_read,
    require_supported,
)
from alignment.training.schedule import total_steps
from alignment.training.spec import LoraTuning, Spec
from alignment.training.stop import Stop

if TYPE_CHECKING:
    from torch import device
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from alignment.training.ranks import Ranks
    from alignment.training.reference import Reference
    from alignment.training.resume import Resumed
    from alignment.training.state import Origin, States
    from alignment.training.step import Learner

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


@dataclass(frozen=True)
class Prepared:
    """A run that can begin."""

    tokenizer: PreTrainedTokenizerBase
    model: PreTrainedModel
    learner: Learner
    examples: Examples
    total_steps: int
    reference: Reference | None
    origin: Origin
    resumed: Resumed | None


def _look_at_experts(spec: Spec, learner: Learner, model: PreTrainedModel, events: Events) -> None:
    """Say how a mixture of experts is balanced.  Raises BadSpec when dropout would make that inexact."""
    from alignment.training.routing import experts

    weight = learner.scoring.scorer.router_weight
    if weight > 0:
        require_no_dropout(spec, "A mixture of experts")
        events.log(f"the router loss joins the objective's, times {weight:g}", router_weight=weight)
    elif experts(model.config):
        events.log("this mixture of experts is trained without a router loss: its configuration names none", "warning")


def prepare(
    spec: Spec, events: Events, stop: Stop, ranks: Ranks | None = None, states: States | None = None
) -> Prepared:
    """Load and check everything, and compute the reference once; or bring all to where the newest of `states` has it.

    Every one of several `ranks` does.

    Raises TrainingError, Cancelled.
    """
    require_supported(spec)
    told = states.told if states else None
    facts = folders.inspect(spec.checkpoint)
    folders.require_language_model(*folders.base_chain(spec.checkpoint))
    if spec.reference is not None:
        folders.require_language_model(*folders.base_chain(spec.reference), field="reference")
    RENDERER.start()  # it loads while this process loads its libraries
    from alignment.training import budget, resume, room, state
    from alignment.training.matching import MATCHING, matched
    from alignment.training.model import dropout_off, load_tokenizer
    from alignment.training.others import require_same_tokens
    from alignment.training.ranks import alone
    from alignment.training.reference import compute as reference_of
    from alignment.training.rewarding import rewarded
    from alignment.training.rows import checked, others_checked

    tokenizer = load_tokenizer(spec.checkpoint)
    for name, folder in spec.others().items():
        require_same_tokens(spec, name, folder, tokenizer)
    ranks = ranks or alone()
    check = ranks.check(stop)
    examples = load_examples(
        spec, tokenizer, facts.max_tokens, events, check, rewarded(spec, events, check, ranks, states)
    )
    steps = total_steps(spec.duration, len(examples.train), spec.batch.examples_per_step)
    used = _used(spec, examples, steps * spec.batch.examples_per_step)

    check()
    for name, folder in spec.others().items():
        size = folders.inspect(folder).parameters
        events.log(f"the {name} is asked at every step, and loaded beside the model", parameters=size)
    events.log("loading the model", phase=True, parameters=facts.parameters, architecture=facts.architecture)
    learner, model = build(spec, tokenizer, steps, ranks)
    _look_at_experts(spec, learner, model, events)
    _tell_devices(learner.scoring.ranks, events)
    if spec.precision != "fp32" and learner.scoring.device.type == "cpu":
        events.log("bf16 is slower than fp32 on most CPUs", "warning", field="precision")
    with dropout_off(model):  # what is found on disk draws no numbers, and what is computed must not either
        then = told.origin if told else None
        scoring = resume.settle(spec, learner.scoring, then)
        scoring = resume.settle(spec, checked(scoring, examples.train, events, check), then)
        scoring = others_checked(scoring, examples.train, events, check)
        scoring = room.make(spec, facts, scoring, examples, events, begun=then.lanes if then else None)
        scoring = budget.choose(spec, facts, scoring, examples.train, steps, events, check, begun=then is not None)
        learner = replace(learner, scoring=scoring)
        origin = resume.origin(spec, scoring, examples)
        if WANTED_PROMPT in spec.objective.needs.facts:
            file = states.folder.parent / MATCHING if states else None
            examples = matched(spec, scoring, tokenizer, examples, file, events, check)
        if states and told:
            resumed, reference = resume.bring_back(states, told, origin, learner, examples, events)
            if told.progress.total_steps != steps:
                raise state.misfit()
            return Prepared(tokenizer, model, learner, examples, steps, reference, origin, resumed)
        reference = reference_of(spec, scoring, tokenizer, examples, used, events, check)
    return Prepared(tokenizer, model, learner, examples, steps, reference, origin, None)


def _tell_devices(ranks: Ranks, events: Events) -> None:
    name = device_name(ranks.device)
    parallel = None if ranks.size == 1 else "fsdp" if ranks.sharded else "ddp"
    said = {"ddp": ", each with the whole model", "fsdp": ", which share the weights", None: ""}[parallel]
    many = f"{ranks.size} times " if parallel else ""
    events.log(f"training on {many}{name}{said}", device=name, devices=ranks.size, parallel=parallel)


def device_name(chosen: device) -> str:
    """What the device is called by those who pay for it: `cpu`, or the accelerator's model."""
    import torch

    return str(torch.cuda.get_device_name(chosen)) if chosen.type == "cuda" else chosen.type


def draw(spec: Spec, examples: Examples) -> Iterator[int]:
    """The training examples in the order in which the run takes them, without end."""
    weights = mixture.weights_of([source.weight for source in spec.snapshots])
    return mixture.order(examples.sizes(len(spec.snapshots)), weights, spec.seed)


def _used(spec: Spec, examples: Examples, draws: int) -> set[int]:
    """The training examples among the first so many draws."""
    used: set[int] = set()
    for index in islice(draw(spec, examples), draws):
        used.add(index)
        if len(used) == len(examples.train):
            break
    return used


def _look_at_mixture(spec: Spec, examples: Examples, events: Events) -> None:
    """Say how sources are mixed.  Raises BadData when one that has a weight holds nothing to draw."""
    weights = mixture.weights_of([source.weight for source in spec.snapshots])
    if weights is None:
        return
    sizes = examples.sizes(len(weights))
    for place, size in enumerate(sizes):
        if not size:
            raise BadData(
                f"{spec.snapshots[place].path.name} has no training examples, so it cannot have a share of the draws.",
                "Leave it out, or name one that holds some.",
                f"snapshots.{place}.path",
            )
    shares = [round(share, 4) for share in mixture.shares(weights)]
    told = ", ".join(f"{share:.1%} from {size} examples" for share, size in zip(shares, sizes, strict=True))
    events.log(f"the mixture draws {told}", shares=shares, examples=sizes)


def load_examples(
    spec: Spec,
    tokenizer: PreTrainedTokenizerBase,
    context: int | None,
    events: Events,
    check: Callable[[], None],
    rewarded: Rewarded | None = None,
) -> Examples:
    """The encoded examples; says what was cut or dropped.  Raises BadData, TooFewExamples."""
    from alignment import chat
    from alignment.training.cutting import require_steps
    from alignment.training.model import load_generation_config

    ending = chat.ending(tokenizer, load_generation_config(spec.checkpoint))
    needs, left_out = spec.objective.needs, Counter[str]()
    encoder = Encoder(tokenizer, ending, spec.length, context, mismatched=Role.MISMATCHED in needs.roles)
    apart, reader = spec.pairs == "apart", Reader(spec.objective)
    wanted = Wanted(
        spec.objective.title,
        needs.roles,
        apart=apart,
        reader=reader,
        goals=needs.goals,
        rewarded=rewarded,
        untold=Reader(spec.objective, rewards.told_by(needs, spec.third)),
        turns=needs.turns,
    )
    examples = encoder.encode(read(spec.snapshots, wanted, left_out), check)
    examples.counts.update(left_out)
    require_fit(spec, examples)
    require_steps(spec, tokenizer, examples)
    _look_at_mixture(spec, examples, events)
    events.log(
        f"{len(examples.train)} training and {len(examples.validation)} validation examples",
        train=len(examples.train),
        validation=len(examples.validation),
    )
    for remark in remarks(examples, spec.length):
        events.log(remark.message, remark.level, **remark.numbers)
    _require_enough(spec, examples)
    return examples


def _require_enough(spec: Spec, examples: Examples) -> None:
    if len(examples.train) >= spec.batch.examples_per_step:
        return
    count = examples.counts["reward_left_out"]
    unlearned = f", {count} were left out because of the rewards that they were given" if count else ""
    raise TooFewExamples(
        f"There are {len(examples.train)} training examples, and one step takes {spec.batch.examples_per_step} "
        f"({len(examples.validation)} are held out for validation, {examples.dropped} were dropped{unlearned}).",
        "Add more, or lower batch.examples_per_step.",
        "batch.examples_per_step",
    )


def _padding(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that fills rows: the tokenizer's own, else the one that ends texts, else the first."""
    found = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(int(one) for one in found if isinstance(one, int))


def build(
    spec: Spec, tokenizer: PreTrainedTokenizerBase, steps: int, ranks: Ranks | None = None
) -> tuple[Learner, PreTrainedModel]:
    """Model, optimizer and schedule on the machine's best device, or on those of the `ranks`."""
    import torch
    from transformers import get_scheduler, set_seed

    from alignment.training import inside, others, precision
    from alignment.training.anchor import Anchor
    from alignment.training.cutting import Cutter
    from alignment.training.head import HeadScorer
    from alignment.training.model import add_adapters, load_classifier, load_model, train_only_adapter_dropout
    from alignment.training.ranks import alone, wants_shards, wrap
    from alignment.training.rows import arrange
    from alignment.training.scorer import Scorer
    from alignment.training.scoring import Scoring
    from alignment.training.step import Learner

    set_seed(spec.seed)
    head = spec.objective if isinstance(spec.objective, RewardLoss) else None
    padding = _padding(tokenizer)
    dtype = precision.of_weights(spec)
    if head is None:
        model = load_model(spec.checkpoint, dtype)
    else:
        model = load_classifier(spec.checkpoint, head.labels, padding, dtype)
    if isinstance(spec.tuning, LoraTuning):
        model = add_adapters(model, spec.tuning, spec.checkpoint, precision.of_adapters(spec), head=head is not None)
        train_only_adapter_dropout(model)
    ranks = ranks or alone()
    if ranks.size > 1:
        torch.manual_seed(spec.seed + ranks.rank)  # adapters begin alike on all ranks, and dropout differs
        shardable = may_shard(spec) and wants_shards(model, ranks.device)
        shard = shardable if spec.parallel == "auto" else spec.parallel == "fsdp"
        ranks = replace(ranks, sharded=ranks.told(shard))
    rows = arrange(model, ranks.device, exact=spec.precision == "fp32")
    asking = others.load(spec, ranks.device)
    own = inside.own_modules(spec, asking[REFERENCE].scorer.model if REFERENCE in asking else model)
    scorer = (
        Scorer(model, spec.precision, own and own.module) if head is None else HeadScorer(model, spec.precision, head)
    )
    require_read(spec, scorer)
    wrapped = wrap(ranks, scorer)
    if spec.objective.needs.anchor:
        scorer.anchor = Anchor(model, spec.objective.needs.anchor)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    chosen = spec.optimizer
    optimizer = precision.optimizer(spec, trained, own)
    parameters = [parameter for parameter in scorer.parameters() if parameter.requires_grad]
    schedule = get_scheduler(SCHEDULES[chosen.schedule], optimizer, int(chosen.warmup_ratio * steps), steps)
    asked = spec.batch.tokens_per_pack
    tokens = auto_tokens(ranks.device.type) if asked == "auto" else asked
    cutters = {cut: Cutter(tokenizer, cut) for cut in spec.objective.needs.steps}
    scoring = Scoring(scorer, wrapped, spec.objective, rows, padding, tokens, ranks, asking, cutters)
    return Learner(scoring, optimizer, schedule, parameters, chosen.max_grad_norm), model
