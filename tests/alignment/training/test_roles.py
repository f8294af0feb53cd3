"""Data of every kind as examples of roles: what feeds which objective, mismatched answers, and whole runs on them."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment import chat
from alignment.formats import Message, snapshot
from alignment.objectives import CATALOGUE, Role, feeding
from alignment.training import Spec, TrainingError, measures, train
from alignment.training.data import Example, Wanted, read
from alignment.training.encode import Encoded, Encoder, Examples, mismatched
from alignment.training.errors import BadData, BadSpec
from alignment.training.model import load_tokenizer
from alignment.training.prepare import build
from alignment.training.requirements import require_supported
from alignment.training.run import run_folder
from alignment.training.spec import Length, Source
from alignment.training.step import evaluate, sequence_logps
from tests.alignment.training.conftest import MakeSpec, examples, sentence, written
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_run import events_of, of_type
from tests.alignment.training.test_step import STATE, gradient, nothing, with_tokens

KTO, NPO, DIFF, DPO, PL = (CATALOGUE[name] for name in ("kto", "npo", "grad_diff", "dpo", "pl_dpo"))
WriteSnapshot = Callable[..., Path]


def rows(kind: str, count: int = 24, validation: int = 6, seed: int = 0) -> list[snapshot.Example]:
    """Examples of a kind, told apart by how their responses begin: thanks are better than refusals."""
    rng = random.Random(seed)
    found = examples(count, validation, seed)
    for place, row in enumerate(found):
        if kind == "unpaired":
            row.facts = {"desirable": place % 2 == 0}
            row.responses = row.responses[place % 2 :][:1]
        if kind == "demonstrations":
            row.responses = row.responses[:1]
        if kind == "ranked":
            middle: Message = {"role": "assistant", "content": f"sorry {sentence(rng)}"}
            row.responses = [row.responses[1], middle, row.responses[0]]
            row.facts = {"ranks": [3.0, 2.0, 1.0]}
    return found


@pytest.fixture
def write(tmp_path: Path) -> WriteSnapshot:
    def make(kind: str, given: list[snapshot.Example] | None = None) -> Path:
        made = snapshot.write(
            tmp_path / "kinds", rows(kind) if given is None else given, kind=kind, policy={}, dataset={}
        )
        return tmp_path / "kinds" / made.hash

    return make


def taken(objective: Any, *folders: Path, apart: bool = False, left_out: Counter[str] | None = None) -> list[Example]:
    wanted = Wanted(objective.title, objective.needs.roles, apart=apart)
    return list(read([Source(path=folder) for folder in folders], wanted, left_out))


def test_each_kind_of_data_gives_its_roles(write: WriteSnapshot) -> None:
    """Thumbs are wanted and unwanted answers, rankings candidates with their ranks, demonstrations wanted answers."""
    thumbs = taken(KTO, write("unpaired"))
    lists = taken(PL, write("ranked"))
    shown = taken(CATALOGUE["f_sft"], write("demonstrations"))

    assert Counter(one.roles for one in thumbs) == {(Role.DESIRABLE,): 15, (Role.UNDESIRABLE,): 15}
    assert all(one.responses[0]["content"].startswith("thank") == (one.roles[0] is Role.DESIRABLE) for one in thumbs)
    assert {one.roles for one in lists} == {(Role.CANDIDATE,) * 3}
    assert {one.roles for one in shown} == {(Role.DESIRABLE,)}


def test_wanted_answers_and_demonstrations_are_retained_while_others_are_forgotten(write: WriteSnapshot) -> None:
    """Gradient difference takes one set of thumbs, or unwanted answers beside demonstrations."""
    both = taken(DIFF, write("unpaired"), write("demonstrations"))

    assert Counter(one.roles[0] for one in both) == {Role.UNDESIRABLE: 15, Role.RETAIN: 45}


def test_answers_in_whose_role_there_is_no_use_are_left_out_and_counted(write: WriteSnapshot) -> None:
    """NPO forgets what is unwanted and has no use for the rest."""
    left_out: Counter[str] = Counter()

    found = taken(NPO, write("unpaired"), left_out=left_out)

    assert {one.roles for one in found} == {(Role.UNDESIRABLE,)}
    assert left_out == {"role_left_out": 15}


def test_the_sides_of_pairs_are_single_answers_where_that_is_asked_for(write: WriteSnapshot) -> None:
    """Chosen is wanted and rejected unwanted, each with an id of its own and the split of its pair."""
    pairs = rows("paired")
    found = taken(KTO, write("paired", pairs), apart=True)

    assert len(found) == 2 * len(pairs)
    assert {one.id for one in found} >= {f"{pairs[0].id}/chosen", f"{pairs[0].id}/rejected"}
    assert all(one.responses[0]["content"].startswith("thank") == (one.roles[0] is Role.DESIRABLE) for one in found)
    assert len(taken(NPO, write("paired", pairs), apart=True)) == len(pairs)


REFUSED = [
    (KTO, "paired", False, "take the sides of pairs apart"),
    (KTO, "ranked", False, "answers with a thumb"),
    (DPO, "unpaired", False, "Choose pairs"),
    (DPO, "ranked", False, "Choose pairs"),
    (DPO, "paired", True, "Take them together"),
    (PL, "paired", False, "Choose rankings"),
    (NPO, "demonstrations", False, "answers with a thumb"),
    (KTO, "prompts", False, "answers with a thumb"),
]


@pytest.mark.parametrize(
    ("objective", "kind", "apart", "remedy"), REFUSED, ids=[f"{one[0].name}-{one[1]}" for one in REFUSED]
)
def test_data_that_cannot_feed_an_objective_are_refused(
    objective: Any, kind: str, apart: bool, remedy: str, write: WriteSnapshot
) -> None:
    """The field is named, and what would do."""
    with pytest.raises(BadData) as refused:
        taken(objective, write(kind), apart=apart)

    assert refused.value.field == "snapshots.0.path"
    assert remedy in refused.value.remedy


def test_an_objective_of_both_thumbs_is_not_fed_by_one(
    write: WriteSnapshot, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """KTO on demonstrations alone, or on thumbs that all are up, is refused before anything is loaded."""
    up = [row for row in rows("unpaired") if row.facts["desirable"]]
    for folder in (write("demonstrations"), write("unpaired", up)):
        spec = make_spec(objective={"name": "kto"}, snapshots=[{"path": str(folder)}])
        with pytest.raises(BadData, match="have no unwanted answers") as refused:
            train(spec, tmp_path / folder.name)
        assert refused.value.field == "snapshots"


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [("unpaired", {}, "whether its answer is wanted"), ("ranked", {}, "neither ranks nor scores")],
)
def test_an_example_without_its_facts_is_refused(
    kind: str, facts: dict[str, Any], words: str, write: WriteSnapshot
) -> None:
    """A thumb and a ranking are what makes such data."""
    given = rows(kind)
    given[3].facts = facts

    with pytest.raises(BadData, match=words):
        taken(KTO if kind == "unpaired" else PL, write(kind, given))


@pytest.mark.parametrize(("kind", "count"), [("unpaired", 2), ("ranked", 1), ("paired", 3)])
def test_a_snapshot_with_the_wrong_number_of_responses_is_refused(kind: str, count: int, write: WriteSnapshot) -> None:
    """A damaged or foreign snapshot is not guessed at."""
    given = rows(kind)
    given[0].responses = [{"role": "assistant", "content": f"yes {place}"} for place in range(count)]

    with pytest.raises(BadData, match=f"has {count} responses"):
        taken({"unpaired": KTO, "ranked": PL, "paired": DPO}[kind], write(kind, given))


def test_a_file_of_thumbs_is_read_by_its_format(tmp_path: Path) -> None:
    """The command line trains on a file of TRL's unpaired kind."""
    lines = [{"prompt": f"ask {place}", "completion": "yes", "label": place % 2 == 0} for place in range(100)]
    (tmp_path / "thumbs.jsonl").write_text("\n".join(map(json.dumps, lines)))

    found = list(
        read([Source(path=tmp_path / "thumbs.jsonl", format="trl_unpaired")], Wanted(KTO.title, KTO.needs.roles))
    )

    assert {one.roles[0] for one in found} == {Role.DESIRABLE, Role.UNDESIRABLE}
    assert 80 < len(found) < 100


def test_every_objective_says_which_data_feed_it() -> None:
    """No objective of the catalogue is one that no kind of data can feed, and none takes bare prompts."""
    for objective in CATALOGUE.values():
        roles = objective.usual_needs().roles
        kinds = feeding.kinds(roles)
        assert kinds or roles & feeding.UNFED.keys()
        assert "prompts" not in kinds


def encoded(prompts: list[str], context: int | None = None) -> list[Encoded]:
    """One wanted answer for each prompt, both of ids that say where they come from."""
    return [
        Encoded(
            Example(str(place), "train", [], ({},), (Role.DESIRABLE,)),
            [ord(letter) for letter in prompt],
            ([100 + place] * 6,),
            (Role.DESIRABLE,),
        )
        for place, prompt in enumerate(prompts)
    ]


def test_a_mismatched_answer_is_that_of_the_next_example_with_another_prompt() -> None:
    """In turn and around the end, the same each time; the example's own answer stays the first."""
    found = list(mismatched(encoded(["a", "a", "b", "c", "a"]), None, Counter()))

    assert [one.responses[1][0] - 100 for one in found] == [2, 2, 3, 4, 2]
    assert {one.roles for one in found} == {(Role.DESIRABLE, Role.MISMATCHED)}
    assert [one.learned for one in found] == encoded(["a", "a", "b", "c", "a"])
    assert list(mismatched(encoded(["a", "a", "b", "c", "a"]), None, Counter())) == found


def test_examples_of_one_prompt_have_no_mismatched_answer() -> None:
    """What the same prompt was answered is no answer to another one."""
    assert list(mismatched(encoded(["a", "a"]), None, Counter())) == encoded(["a", "a"])
    assert list(mismatched([], None, Counter())) == []


def test_a_mismatched_answer_is_cut_to_the_context() -> None:
    """It stands after a longer prompt than its own."""
    long, short = mismatched(encoded(["abcdefg", "b"]), 10, Counter())

    assert (long.longest, len(long.responses[1])) == (13, 3)
    assert len(short.responses[1]) == 6


@pytest.mark.parametrize("opening", [0, 2])
def test_a_mismatched_answer_of_which_nothing_is_left_drops_its_example(opening: int) -> None:
    """After a prompt that leaves room for what the template writes before an answer, or not even that."""
    some, counts = [replace(one, opening=opening) for one in encoded(["abcdefg", "b"])], Counter[str]()

    (found,) = mismatched(some, 7 + opening, counts)

    assert found.prompt == some[1].prompt
    assert counts == {"empty_dropped": 1}


def test_an_encoder_forms_mismatched_answers_within_each_split(base: Path, write: WriteSnapshot) -> None:
    """A validation answer never enters training."""
    tokenizer = load_tokenizer(base)
    encoder = Encoder(tokenizer, chat.ending(tokenizer), Length(), None, mismatched=True)

    found = encoder.encode(taken(KTO, write("unpaired")), nothing)

    for some in (found.train, found.validation):
        own = {tuple(one.responses[0]) for one in some}
        assert all(tuple(one.responses[1]) in own for one in some)


def prepared(spec: Spec, base: Path, folder: Path) -> tuple[Any, Examples]:
    tokenizer = load_tokenizer(base)
    objective = spec.objective
    encoder = Encoder(tokenizer, chat.ending(tokenizer), Length(), None, mismatched=True)
    return build(spec, tokenizer, 10)[0], encoder.encode(taken(objective, folder), nothing)


def test_the_gradient_of_kto_is_that_of_the_whole_batch(make_spec: MakeSpec, base: Path, write: WriteSnapshot) -> None:
    """The point is one for all packs, and leaving mismatched answers out of the second pass changes nothing."""
    spec = Spec.model_validate(make_spec(objective={"name": "kto"}))
    learner, found = prepared(spec, base, write("unpaired"))
    some = found.train[:8]
    reference = [logps - 0.7 for logps in sequence_logps(learner.scoring, some, nothing)]

    several, whole = (gradient(with_tokens(learner, tokens), some, reference) for tokens in (40, 100_000))

    assert whole.norm() > 0
    torch.testing.assert_close(several, whole, rtol=1e-5, atol=1e-5 * float(whole.abs().max()))


def test_what_a_step_tells_of_thumbs_are_means_over_each_kind(
    make_spec: MakeSpec, base: Path, write: WriteSnapshot
) -> None:
    """TRL's names: rewards and log-probabilities of wanted and of unwanted answers, and how far others have moved."""
    spec = Spec.model_validate(make_spec(objective={"name": "kto", "beta": 0.1}))
    learner, found = prepared(spec, base, write("unpaired"))
    some = [one for one in found.train if one.roles[0] is Role.DESIRABLE][:3]
    some += [one for one in found.train if one.roles[0] is Role.UNDESIRABLE][:5]
    now = sequence_logps(learner.scoring, some, nothing)
    shifts = [1.0, 2.0, 3.0, -1.0, -2.0, -3.0, -4.0, 5.0]
    reference = [logps - torch.tensor([shift, 0.5]) for logps, shift in zip(now, shifts, strict=True)]

    told = evaluate(learner.scoring, some, reference, STATE, nothing)

    assert told["eval/rewards/chosen"] == pytest.approx(0.2, rel=1e-4)
    assert told["eval/rewards/rejected"] == pytest.approx(-0.1, rel=1e-4)
    assert told["eval/rewards/margins"] == pytest.approx(0.3, rel=1e-4)
    assert told["eval/rewards/accuracies"] == pytest.approx(7 / 8)
    assert told["eval/logps/chosen"] == pytest.approx(sum(float(one[0]) for one in now[:3]) / 3, rel=1e-5)
    assert told["eval/kl"] == pytest.approx(0.5, rel=1e-4)
    assert "eval/kl" not in {f"eval/{name}" for name in measures.METRICS}


def test_a_side_that_a_batch_does_not_have_is_not_told(make_spec: MakeSpec, base: Path, write: WriteSnapshot) -> None:
    """No number stands for the rewards of answers that are not there."""
    spec = Spec.model_validate(make_spec(objective={"name": "kto"}))
    learner, found = prepared(spec, base, write("unpaired"))
    some = [one for one in found.train if one.roles[0] is Role.DESIRABLE][:3]

    told = evaluate(learner.scoring, some, sequence_logps(learner.scoring, some, nothing), STATE, nothing)

    assert "eval/rewards/chosen" in told
    assert not {"eval/rewards/rejected", "eval/rewards/margins", "eval/logps/rejected"} & told.keys()


def test_kto_needs_two_examples_in_a_step(make_spec: MakeSpec) -> None:
    """From one example nothing can be estimated; the field is named."""
    spec = Spec.model_validate(make_spec(objective={"name": "kto"}, batch={"examples_per_step": 1}))

    with pytest.raises(BadSpec) as refused:
        require_supported(spec)

    assert refused.value.field == "batch.examples_per_step"


WHOLE = [
    ("kto", "unpaired", {}),
    ("bco", "unpaired", {}),
    ("pl_dpo", "ranked", {}),
    ("kto", "paired", {"pairs": "apart"}),
]


@pytest.mark.parametrize(("name", "kind", "more"), WHOLE, ids=[f"{one[0]}-{one[1]}" for one in WHOLE])
def test_a_run_on_data_that_are_no_pairs_learns_and_goes_on_as_if_it_had_not_stopped(
    name: str, kind: str, more: dict[str, Any], make_spec: MakeSpec, write: WriteSnapshot, tmp_path: Path
) -> None:
    """Through the training entry point: the loss falls, evaluation and samples are told, and a stop changes nothing."""
    spec = make_spec(
        objective={"name": name},
        snapshots=[{"path": str(write(kind))}],
        batch={"examples_per_step": 8, "tokens_per_pack": 256},
        duration={"steps": 6},
        evaluate={"every_steps": 3, "samples": 1},
        **more,
    )
    whole = train(spec, tmp_path / "whole")
    folder, (stop, hear) = written(tmp_path / "stopped", spec), stopping_after(4)
    run_folder(folder, hear, stop)
    run_folder(folder)
    told = of_type(events_of(tmp_path / "whole"), "step")
    steps, looks = [one for one in told if one["examples"]], [one for one in told if not one["examples"]]

    assert steps[-1]["values"]["loss"] < steps[0]["values"]["loss"]
    assert looks[-1]["values"]["eval/loss"] < looks[0]["values"]["eval/loss"]
    assert looks[-1]["values"]["eval/rewards/margins"] > 0
    assert 0 <= looks[-1]["values"]["eval/rewards/accuracies"] <= 1
    assert ("eval/kl" in looks[-1]["values"]) == (name == "kto")
    assert len(of_type(events_of(tmp_path / "whole"), "sample")) == 2
    assert whole.step == 6
    assert curve(folder) == curve(tmp_path / "whole")
    assert same(last(folder), last(tmp_path / "whole"))


def test_a_run_of_objectives_and_data_that_do_not_fit_ends_with_its_error(
    make_spec: MakeSpec, write: WriteSnapshot, tmp_path: Path
) -> None:
    """The event names the field of the data."""
    with pytest.raises(TrainingError):
        train(make_spec(snapshots=[{"path": str(write("unpaired"))}]), tmp_path / "out")

    error = events_of(tmp_path / "out")[-1]
    assert (error["type"], error["field"], error["exit_code"]) == ("error", "snapshots.0.path", 65)
