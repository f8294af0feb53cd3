"""Whether an objective can learn from data: what it asks of every example is there, and is what its paper allows."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from sqlalchemy.orm import Session

from alignment.formats import FileRefused, snapshot
from alignment.formats.facts import PER_RESPONSE, training_facts
from alignment.formats.preference import Policy
from alignment.objectives import Objective, rewards
from alignment.objectives.facts import Reader, Unfit, find
from alignment.training.errors import BadSpec
from alignment.training.requirements import require_supported
from backend import storage
from backend.datasets import reading, snapshots
from backend.datasets.asked import refuse_other_task
from backend.datasets.models import Dataset, Kind, Snapshot
from backend.errors import Invalid
from backend.runs import spec
from backend.runs.schemas import RunIn

SIZES = {Kind.paired: 2, Kind.unpaired: 1, Kind.demonstrations: 1}


class UnsupportedRun(Invalid):
    title = "This cannot be trained"


class UnfitExample(Invalid):
    title = "The data do not fit the objective"


def refuse_unsupported(body: RunIn) -> None:
    """Raise UnsupportedRun when the objective needs something that training does not supply."""
    third = dict.fromkeys(body.third_ids, "checkpoint")
    whole = spec.with_paths(body.recipe(), "checkpoint", None, third, [("snapshot", None)])
    try:
        require_supported(whole)
    except BadSpec as error:
        raise UnsupportedRun(error.detail, field=error.field, remedy=error.remedy) from error


def refuse_snapshot(found: Snapshot, body: RunIn, field: str, most: int | None = None) -> None:
    """Raise UnfitExample naming the first example that lacks what the objective asks for and no checkpoint of the run
    tells, of all or of the first ones.

    Raises StorageTrouble, FileRefused.
    """
    _refuse_ties(Policy(**found.policy), found.kind, body.objective, field)
    if not asks(body.objective):
        return
    with frozen(found, field, Reader(body.objective).columns) as examples:
        _refuse(islice(examples, most), found.kind, body, field)


def refuse_dataset(session: Session, dataset: Dataset, body: RunIn, field: str, most: int) -> None:
    """The same of the pairs that freezing the dataset would decide, among its first items."""
    _refuse_ties(body.policy, dataset.kind, body.objective, "policy.ties")
    if asks(body.objective):
        _refuse(decided(session, dataset, body.policy, most), dataset.kind, body, field)


def _refuse_ties(policy: Policy, kind: Kind, objective: Objective, field: str) -> None:
    """Raise UnfitExample where ties are among the pairs, and the objective would learn that one side is better."""
    if kind is Kind.paired and policy.ties == "half" and "soft_label" not in objective.needs.facts:
        raise UnfitExample(
            f"Ties are kept with a soft label, which {objective.title} does not read: it would learn one side of each.",
            field=field,
            remedy="Leave ties out, or choose an objective that reads soft labels.",
        )


@contextmanager
def frozen(found: Snapshot, field: str, columns: Collection[str]) -> Iterator[Iterator[snapshot.Example]]:
    """These facts of a snapshot's examples, one by one.  Raises StorageTrouble, UnfitExample."""
    with storage.using() as use:
        try:
            yield snapshot.read_facts(use(found.path), columns)
        except FileRefused as refused:
            raise UnfitExample(refused.reason, field=field, remedy=refused.remedy) from refused


def decided(session: Session, dataset: Dataset, policy: Policy, most: int) -> Iterator[snapshot.Example]:
    """The facts of what freezing the first items of a dataset would make examples of.  Raises OtherTask."""
    refuse_other_task(session, dataset, policy)
    for item, split, _ in islice(reading.walk(session, dataset.id, task_id=policy.task), most):
        if dataset.kind is Kind.paired:
            made = snapshots.decisions_on(item, policy)
            facts = [] if isinstance(made, str) else [one.facts for one in made]
        else:
            found = snapshots.judged_on(item, dataset.kind, policy)
            facts = [] if isinstance(found, str) else [training_facts(found)]
        yield from (snapshot.Example(item.id or "", split, [], [], one) for one in facts)


def asks(objective: Objective) -> bool:
    """Whether the objective asks for facts that data can hold; any other one is refused by its name."""
    return all(find(name) is not None for name in objective.needs.facts) and bool(Reader(objective).columns)


def first_unfit(
    examples: Iterable[snapshot.Example], kind: Kind, objective: Objective, told: Collection[str] = ()
) -> tuple[snapshot.Example, Unfit] | None:
    """The first example outside the test split that the objective cannot learn from, and why; `told` are facts that are
    not looked for in it."""
    reader = Reader(objective, told)
    for example in examples:
        if example.split == "test":
            continue
        each = next((len(example.facts[name]) for name in PER_RESPONSE if name in example.facts), 0)
        try:
            reader.read(example.facts, SIZES.get(kind) or each)
        except Unfit as unfit:
            return example, unfit
    return None


def _refuse(examples: Iterable[snapshot.Example], kind: Kind, body: RunIn, field: str) -> None:
    told = rewards.told_by(body.objective.needs, body.third_ids)
    found = first_unfit(examples, kind, body.objective, told)
    if found is not None:
        example, unfit = found
        raise UnfitExample(f"Example {example.id} {unfit.detail}.", field=field, remedy=unfit.remedy)
