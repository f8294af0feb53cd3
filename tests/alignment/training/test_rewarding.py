"""Facts that checkpoints tell in the place of the data: reward models and implicit rewards, found once and kept."""

import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from alignment.formats import snapshot
from alignment.training import Spec, train
from alignment.training.encode import Encoded
from alignment.training.errors import BadData, BadSpec, CheckpointRefused, TooFewExamples, TrainingError
from alignment.training.events import Events
from alignment.training.folder import READING
from alignment.training.kept import PLACE
from alignment.training.model import load_tokenizer
from alignment.training.prepare import load_examples
from alignment.training.ranks import alone
from alignment.training.requirements import require_supported
from alignment.training.rewarding import REWARDS, rewarded
from tests.alignment.training.conftest import Another, MakeSnapshot, MakeSpec, examples
from tests.alignment.training.test_resume import curve, last, same, stopping_after
from tests.alignment.training.test_run import events_of
from tests.alignment.training.test_step import nothing

MADPO: dict[str, Any] = {"name": "madpo"}
LORA = {"kind": "lora", "rank": 2, "alpha": 8}


@pytest.fixture(scope="module")
def heads(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Reward models that were trained for two steps: one score, an ensemble in adapters, general preferences."""
    folder = tmp_path_factory.mktemp("heads")
    data = snapshot.write(folder, examples(12, 0), kind="paired", policy={}, dataset={})
    spec = {
        "kind": "reward_model",
        "checkpoint": str(base),
        "snapshots": [{"path": str(folder / data.hash)}],
        "optimizer": {"learning_rate": 3e-2, "warmup_ratio": 0},
        "batch": {"examples_per_step": 4},
        "duration": {"steps": 2},
    }
    found = {}
    kinds: dict[str, dict[str, Any]] = {
        "score": {"objective": {"name": "bradley_terry"}},
        "ensemble": {"objective": {"name": "bradley_terry", "heads": 3}, "tuning": LORA},
        "general": {"objective": {"name": "gpm_rm", "dimensions": 2, "normalize": False}},
    }
    for name, parts in kinds.items():
        checkpoint = train({**spec, **parts}, folder / name).checkpoint
        assert checkpoint is not None
        found[name] = checkpoint
    return found


@pytest.fixture
def reward_model(heads: Mapping[str, Path]) -> Path:
    """The folder of one that gives a score."""
    return heads["score"]


def taken(spec: dict[str, Any], folder: Path, step: int = 2) -> list[Encoded]:
    """The training examples of a run that could begin; nothing of the policy is loaded."""
    folder.mkdir(exist_ok=True)
    with Events(folder / "events.jsonl") as events:
        chosen = Spec.model_validate({**spec, "batch": {"examples_per_step": step}})
        require_supported(chosen)
        tell = rewarded(chosen, events, nothing, alone(), None)
        tokenizer = load_tokenizer(chosen.checkpoint)
        return load_examples(chosen, tokenizer, None, events, nothing, tell).train


def log_of(folder: Path) -> str:
    return (folder / "events.jsonl").read_text()


def written(example: Encoded, place: int) -> list[dict[str, Any]]:
    return [*example.example.prompt, example.example.responses[place]]


def score(folder: Path, base: Path, example: Encoded, place: int) -> Any:
    """What transformers' own classifier says of one response."""
    labels = json.loads((folder / READING).read_text())["labels"]
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels))
    tokenizer = AutoTokenizer.from_pretrained(base)
    text = tokenizer.apply_chat_template(written(example, place), tokenize=False)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    while ids[0, -1] != tokenizer.eos_token_id:
        ids = ids[:, :-1]  # white space after the end
    with torch.no_grad():
        return model(ids).logits[0]


@pytest.mark.parametrize("kind", ["score", "ensemble"])
def test_scores_are_those_of_the_classifier(
    kind: str, heads: Mapping[str, Path], make_spec: MakeSpec, base: Path, tmp_path: Path
) -> None:
    """As transformers loads and asks it, full or adapted; of an ensemble the mean of its heads."""
    example = taken(make_spec(objective=MADPO, third={"reward": str(heads[kind])}), tmp_path / "run")[5]

    expected = [score(heads[kind], base, example, place).mean().item() for place in (0, 1)]
    assert example.example.values["score"] == pytest.approx(expected, abs=1e-4)
    assert expected[0] != pytest.approx(expected[1], abs=1e-3)


@pytest.mark.parametrize(("precision", "within"), [("fp32", 1e-4), ("bf16", 1e-2), ("pure_bf16", 1e-2)])
def test_lists_have_the_scores_of_the_classifier_in_every_precision(
    precision: str, within: float, make_spec: MakeSpec, reward_model: Path, base: Path, tmp_path: Path
) -> None:
    """One for each of three responses, in their order, which ranks of the data do not change; bf16 only rounds."""
    rows = [
        replace(one, responses=[*one.responses, one.responses[0]], facts={"ranks": [3.0, 1.0, 2.0]})
        for one in examples(3, 0)
    ]
    for place, one in enumerate(rows):
        one.responses[2] = {"role": "assistant", "content": f"sorry {'sun ' * (place + 1)}"}
    data = snapshot.write(tmp_path / "lists", rows, kind="ranked", policy={}, dataset={})
    spec = make_spec(
        objective={"name": "adpo_list_ce"},
        third={"reward": str(reward_model)},
        snapshots=[{"path": str(tmp_path / "lists" / data.hash)}],
        precision=precision,
    )

    found = taken(spec, tmp_path / "run")[1]

    expected = [score(reward_model, base, found, place).item() for place in range(3)]
    scores = found.example.values["score"]
    assert scores == pytest.approx(expected, abs=within)
    assert (scores == pytest.approx(expected, abs=1e-6)) == (precision == "fp32")
    assert max(expected) - min(expected) > 1e-2


def test_scores_that_are_no_numbers_are_refused_by_name(
    make_spec: MakeSpec, reward_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is at fault, not the data; nothing of it is kept for later runs."""
    monkeypatch.setenv(PLACE, str(tmp_path / "cache"))
    broken = shutil.copytree(reward_model, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    weights["score.weight"][:] = float("inf")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})

    for _ in range(2):
        with pytest.raises(
            CheckpointRefused, match=r"What the reward says of example example-[0-9]+ is no number"
        ) as refused:
            taken(make_spec(objective=MADPO, third={"reward": str(broken)}), tmp_path / "run")
        assert refused.value.field == "third"
    assert not [*(tmp_path / "cache").glob("*.safetensors")]


def test_an_implicit_reward_is_beta_times_the_log_ratio(
    make_spec: MakeSpec, base: Path, another: Another, tmp_path: Path
) -> None:
    """Of an earlier run and what it started from, as one aspect among others of the data."""
    policy = another("policy", 0.05)
    rows = [replace(one, facts={"aspects": [{"short": 1.0}, {"short": 0.0}]}) for one in examples(8, 0)]
    data = snapshot.write(tmp_path / "snapshots", rows, kind="paired", policy={}, dataset={})

    (found, *_) = taken(
        make_spec(
            objective={"name": "modpo", "w": [0.5, 0.3, 0.2], "aspects": ["helpfulness", "short"]},
            third={"reward.helpfulness": str(policy), "reward_reference.helpfulness": str(base)},
            reward_beta=0.5,
            snapshots=[{"path": str(tmp_path / "snapshots" / data.hash)}],
        ),
        tmp_path / "run",
    )

    logps = [log_probability(AutoModelForCausalLM.from_pretrained(folder), found) for folder in (policy, base)]
    expected = [0.5 * (after - before) for after, before in zip(*logps, strict=True)]
    assert found.example.values["aspect:helpfulness"] == pytest.approx(expected, abs=1e-4)
    assert found.example.values["aspect:short"] == (1.0, 0.0)


def log_probability(model: Any, example: Encoded) -> list[float]:
    found = []
    for answer in example.responses:
        ids = torch.tensor([[*example.prompt, *answer]])
        with torch.no_grad():
            each = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])
        found.append(each[-len(answer) :].sum().item())
    return found


def test_every_fact_that_scores_tell_is_told(make_spec: MakeSpec, reward_model: Path, tmp_path: Path) -> None:
    """Probabilities are those of Bradley and Terry; margins the differences, where the chosen response is ahead."""
    third = {"reward": str(reward_model)}

    def told(fact: str, **objective: Any) -> dict[str, tuple[float, ...]]:
        found = taken(make_spec(objective=objective, third=third), tmp_path / fact)
        return {one.example.id: one.example.values[fact] for one in found}

    scores = told("score", name="madpo")
    apart = {id: first - second for id, (first, second) in scores.items()}
    sure = {id: 1 / (1 + math.exp(-gap)) for id, gap in apart.items()}
    for id, label in told("soft_label", name="adpo_pair_soft").items():
        assert label == pytest.approx((sure[id], sure[id]))
    for id, wins in told("win_probability", name="sppo_soft").items():
        assert wins == pytest.approx((sure[id], 1 - sure[id]))
    margins = told("margin", name="odpo_offset")
    assert 0 < len(margins) < len(apart)
    assert margins == {id: pytest.approx((gap, gap)) for id, gap in apart.items() if gap >= 0}
    assert "rewards that they were given" in log_of(tmp_path / "margin")


def test_a_model_of_general_preferences_tells_probabilities_and_no_scores(
    heads: Mapping[str, Path], make_spec: MakeSpec, base: Path, tmp_path: Path
) -> None:
    """Its odds of each pair are its probability; an objective that asks for scores is refused."""
    head = heads["general"]
    (found, *_) = taken(make_spec(objective={"name": "adpo_pair_soft"}, third={"reward": str(head)}), tmp_path / "soft")

    one, other = (score(head, base, found, place) for place in (0, 1))
    odds = (one[0] * other[1] - one[1] * other[0]).item() / 0.1
    assert found.example.values["soft_label"][0] == pytest.approx(1 / (1 + math.exp(-odds)), abs=1e-4)
    with pytest.raises(BadSpec, match="scores none"):
        taken(make_spec(objective=MADPO, third={"reward": str(head)}), tmp_path / "score")


def test_one_model_that_is_read_otherwise_tells_something_else(
    heads: Mapping[str, Path], make_spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folders with the same weights and another temperature do not share what is kept; a third like the first
    does.  What is kept tells no more than the model itself."""
    monkeypatch.setenv(PLACE, str(tmp_path / "cache"))
    cool, warm, again = (shutil.copytree(heads["general"], tmp_path / name) for name in ("cool", "warm", "again"))
    reading = json.loads((warm / READING).read_text())
    reading["objective"]["tau"] *= 2
    (warm / READING).write_text(json.dumps(reading))
    spec = make_spec(objective={"name": "adpo_pair_soft"})

    odds = []
    for folder in (cool, warm, again):
        (found, *_) = taken({**spec, "third": {"reward": str(folder)}}, tmp_path / f"run-{folder.name}")
        wins = found.example.values["soft_label"][0]
        odds.append(math.log(wins / (1 - wins)))

    assert odds == pytest.approx([odds[0], odds[0] / 2, odds[0]], rel=1e-4)
    with pytest.raises(BadSpec, match="scores none"):
        taken(make_spec(objective=MADPO, third={"reward": str(cool)}), tmp_path / "score")
    assert len([*(tmp_path / "cache").glob("*.safetensors")]) == 2


def test_what_a_checkpoint_tells_counts_and_what_data_say_of_it_does_not(
    make_spec: MakeSpec, reward_model: Path, tmp_path: Path
) -> None:
    """One run has one scale: scores of the data are let go for every example; without the checkpoint they count."""
    rows = [replace(one, facts={"scores": [90.0, 10.0], "margin": 7.0}) for one in examples(8, 0)]
    data = snapshot.write(tmp_path / "snapshots", rows, kind="paired", policy={}, dataset={})
    spec = make_spec(objective=MADPO, snapshots=[{"path": str(tmp_path / "snapshots" / data.hash)}])

    plain = taken(spec, tmp_path / "plain")
    told = taken({**spec, "third": {"reward": str(reward_model)}}, tmp_path / "told")

    assert {one.example.values["score"] for one in plain} == {(90.0, 10.0)}
    assert all(abs(value) < 9 for one in told for value in one.example.values["score"])


def test_pairs_ask_for_the_scores_that_a_checkpoint_gives(
    make_spec: MakeSpec, reward_model: Path, tmp_path: Path
) -> None:
    """Reward-augmented pairs are made of them: each twice, asked for either score."""
    spec = make_spec(objective={"name": "ra_dpo"}, third={"reward": str(reward_model)})

    high, low = taken(spec, tmp_path / "run")[:2]

    scores = high.example.values["score"]
    assert scores[0] > scores[1]
    assert high.example.prompt[-1]["content"].endswith(f"a score of {scores[0]:g}.")
    assert low.example.prompt[-1]["content"].endswith(f"a score of {scores[1]:g}.")
    assert low.example.responses == high.example.responses[::-1]


def test_what_was_found_is_kept_by_content_and_for_the_run(
    make_spec: MakeSpec, reward_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run finds it in the cache; a run that goes on needs no checkpoint of rewards any more, and goes on to
    the same weights."""
    monkeypatch.setenv(PLACE, str(tmp_path / "cache"))
    reward_model = shutil.copytree(reward_model, tmp_path / "reward")
    spec = make_spec(
        objective=MADPO,
        third={"reward": str(reward_model)},
        duration={"steps": 4},
        evaluate={"every_steps": 100, "samples": 0},
    )
    train(spec, tmp_path / "whole")
    first, second = tmp_path / "first", tmp_path / "second"
    stop, hear = stopping_after(2)
    train(spec, first, hear, stop)
    shutil.copytree(first, second)
    weights = reward_model / "model.safetensors"
    moved = {name: tensor + 1 for name, tensor in load_file(weights).items()}
    save_file(moved, weights, {"format": "pt"})

    train(spec, second)

    assert "reward: " not in " ".join(event.get("message", "") for event in events_of(first))
    assert curve(second) == curve(tmp_path / "whole")
    assert same(last(second), last(tmp_path / "whole"))
    (second / REWARDS).unlink()
    (first / REWARDS).unlink()
    with pytest.raises(TrainingError, match="data are not those"):
        train(spec, first)


def test_rewards_of_several_sources_are_told_apart_from_what_is_left_out(
    make_spec: MakeSpec, make_snapshot: MakeSnapshot, reward_model: Path, tmp_path: Path
) -> None:
    """Two sources, one with a pair whose sides are alike: it is counted once, and all others have scores."""
    alike = examples(6, 0, seed=5)
    alike[2] = replace(alike[2], responses=[alike[2].responses[0]] * 2)
    sources = [{"path": str(make_snapshot(rows))} for rows in (examples(6, 0, seed=4), alike)]

    found = taken(make_spec(objective=MADPO, snapshots=sources, third={"reward": str(reward_model)}), tmp_path / "run")

    assert [one.example.source for one in found] == [0] * 6 + [1] * 5
    assert "1 examples were dropped: their responses are the same" in log_of(tmp_path / "run")
    assert log_of(tmp_path / "run").count("asking the reward about every response") == 1


def test_what_the_data_get_wrong_is_refused_beside_rewards(
    make_spec: MakeSpec, reward_model: Path, tmp_path: Path
) -> None:
    """A degree that no paper knows is a mistake of the data, told before a checkpoint is asked; a reward that a paper
    does not allow is nobody's."""
    rows = [replace(one, facts={"aspects": [{"removed": 0.0}, {"removed": 2.0}]}) for one in examples(6, 0)]
    both = {
        "name": "sum",
        "terms": [{"objective": {"name": "spo_degree", "degrees": "data"}}, {"objective": {"name": "odpo_log"}}],
    }

    def some(rows: list[snapshot.Example]) -> list[Encoded]:
        data = snapshot.write(tmp_path / "data", rows, kind="paired", policy={}, dataset={})
        sources = [{"path": str(tmp_path / "data" / data.hash)}]
        return taken(
            make_spec(objective=both, snapshots=sources, third={"reward": str(reward_model)}), tmp_path / "run"
        )

    found = some(rows)
    rows[4] = replace(rows[4], facts={"aspects": [{"removed": 0.0}, {"removed": 2.5}]})
    with pytest.raises(BadData, match=r"Example example-4 says that 2\.5 was removed") as refused:
        some(rows)

    assert 0 < len(found) < 6
    assert refused.value.field == "snapshots.0.path"
    assert log_of(tmp_path / "run").count("asking the reward about every response") == 1


def test_too_few_examples_say_that_rewards_left_some_out(
    make_spec: MakeSpec, reward_model: Path, tmp_path: Path
) -> None:
    """Nobody looks for them in the data."""
    spec = make_spec(objective={"name": "odpo_log"}, third={"reward": str(reward_model)})
    taken(spec, tmp_path / "some")
    (count,) = re.findall(r'"(\d+) examples were left out: the objective cannot learn', log_of(tmp_path / "some"))

    with pytest.raises(TooFewExamples, match=f", {count} were left out because of the rewards"):
        taken(spec, tmp_path / "all", step=12)


def test_a_reward_of_other_tokens_serves_and_an_implicit_one_needs_a_pair_alike(
    make_spec: MakeSpec, another: Another, tmp_path: Path
) -> None:
    """Log-ratios are between models that read the same tokens."""
    policy, strange = another("policy", 0.05), another("strange", 0.05)
    tokenizer = json.loads((strange / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zyx"] = len(tokenizer["model"]["vocab"])
    (strange / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(CheckpointRefused, match="another tokenizer than the reward"):
        taken(
            make_spec(objective=MADPO, third={"reward": str(policy), "reward_reference": str(strange)}),
            tmp_path / "run",
        )


def test_checkpoints_that_tell_no_reward_are_refused_by_name(
    make_spec: MakeSpec, reward_model: Path, base: Path, tmp_path: Path
) -> None:
    """A language model alone, a reward model with a reference, a head that nobody can read."""
    unread = shutil.copytree(reward_model, tmp_path / "unread")
    (unread / READING).write_text('{"objective": {"name": "guess"}}')
    for third, words in (
        ({"reward": base}, "Name that checkpoint as reward_reference|is a language model"),
        ({"reward": reward_model, "reward_reference": base}, "measured against nothing"),
        ({"reward": unread}, "names no reward model"),
    ):
        with pytest.raises(TrainingError, match=words) as refused:
            taken(make_spec(objective=MADPO, third={name: str(path) for name, path in third.items()}), tmp_path / "run")
        assert refused.value.field == "third"


@pytest.mark.parametrize(
    ("objective", "parts", "field", "words"),
    [
        ({"name": "dpo"}, {"third": {"reward": "x"}}, "third", "asks for no checkpoint named 'reward'"),
        ({"name": "madpo"}, {"third": {"reward.short": "x"}}, "third", "asks for no checkpoint named 'reward.short'"),
        ({"name": "madpo"}, {"third": {"reward_reference": "x"}}, "third", "name the checkpoint of that reward"),
        ({"name": "madpo"}, {"third": {"reward": "x"}, "reward_beta": 0.2}, "reward_beta", "would scale nothing"),
        ({"name": "madpo"}, {"reward_beta": 0}, "reward_beta", "above 0"),
        ({"name": "gpo_score"}, {"third": {"reward": "x"}}, "third", "asks for no checkpoint named 'reward'"),
        (
            {"name": "spo_degree", "degrees": "data"},
            {"third": {"reward.removed": "x"}},
            "third",
            "asks for no checkpoint named 'reward.removed'",
        ),
    ],
)
def test_a_spec_names_only_rewards_that_are_read(
    objective: dict[str, Any], parts: dict[str, Any], field: str, words: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    """What would be ignored is refused at its field."""
    with pytest.raises(BadSpec, match=words) as refused:
        train(make_spec(objective=objective, **parts), tmp_path / "run")
    assert refused.value.field == field


def test_data_without_what_no_checkpoint_tells_are_refused_still(
    make_spec: MakeSpec, reward_model: Path, tmp_path: Path
) -> None:
    """A reward tells scores, and no weights of examples."""
    weighted = {"name": "weighted", "base": MADPO}

    with pytest.raises(BadData, match="has no weight"):
        taken(make_spec(objective=weighted, third={"reward": str(reward_model)}), tmp_path / "run")
