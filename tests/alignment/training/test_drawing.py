"""An objective that learns from what the policy says gets its answers before each step, drawn from it as it is then."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from alignment.objectives import Batch, Role, State
from alignment.sampling import Sampling
from alignment.training import Spec, train
from alignment.training.data import Example
from alignment.training.drawing import answering, drawn
from alignment.training.encode import Encoded
from alignment.training.stop import Stop
from tests.alignment.objectives.cases import make
from tests.alignment.training.conftest import MakeSpec
from tests.alignment.training.test_facts import prepared, steps_of

HYPO: dict[str, Any] = {"name": "hypo_surrogate", "lam": 0.05, "samples": 2, "sample_tokens": 6}
DRAWS = 2_000


def test_samples_join_the_pairs_of_each_step(make_spec: MakeSpec, tmp_path: Path) -> None:
    """As many as are asked for, no longer than is asked for, the same for a step and others for the next."""
    spec = make_spec(objective=HYPO)
    ready, chosen = prepared(spec, tmp_path), Spec.model_validate(spec)
    some = ready.examples.train[:4]

    first, again, other = (drawn(ready, chosen, some, step, Stop()) for step in (1, 1, 2))

    assert {one.roles for one in first} == {(Role.CHOSEN, Role.REJECTED, Role.POLICY_SAMPLE, Role.POLICY_SAMPLE)}
    assert all(0 < len(answer) <= 6 for one in first for answer in one.responses[2:])
    assert [one.responses for one in first] == [one.responses for one in again]
    assert [one.responses for one in first] != [one.responses for one in other]
    assert [one.responses[:2] for one in first] == [one.responses for one in some]


def test_samples_are_drawn_as_the_policy_has_it(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Over many draws the first token comes as often as the policy's own probability says."""
    ready = prepared(make_spec(objective=HYPO), tmp_path)
    prompt = ready.examples.train[0].prompt
    with torch.no_grad():
        expected = ready.model(torch.tensor([prompt])).logits[0, -1].softmax(-1)

    with answering(ready) as generator:
        one = Sampling(temperature=1, max_new_tokens=1)
        (found,) = generator.continued([prompt], one, samples=DRAWS, stop=lambda: False, key="1")

    counts = Counter(token for (token,) in found)
    for token in expected.topk(5).indices.tolist():
        probability = float(expected[token])
        spread = (probability * (1 - probability) / DRAWS) ** 0.5
        assert counts[token] / DRAWS == pytest.approx(probability, abs=4 * spread)


def test_a_prompt_that_fills_the_context_gets_no_sample(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Nor is it cut for one: what is scored afterwards is what was answered."""
    ready = prepared(make_spec(objective=HYPO), tmp_path)

    with answering(ready) as generator:
        sampling = Sampling(temperature=1, max_new_tokens=6)
        prompts = [[5] * 256, [5] * 254]
        full, nearly = generator.continued(prompts, sampling, samples=2, stop=lambda: False, key="1")

    assert full == []
    assert len(nearly) == 2
    assert all(len(answer) <= 2 for answer in nearly)


def test_a_mismatched_answer_stays_the_last() -> None:
    """What takes no gradient is left out by its place, so samples come before it."""
    one = Encoded(Example("0", "train", [], ({},)), [1], ([2], [3]), (Role.DESIRABLE, Role.MISMATCHED))

    joined = one.joined([[4], [5]])

    assert joined.roles == (Role.DESIRABLE, Role.POLICY_SAMPLE, Role.POLICY_SAMPLE, Role.MISMATCHED)
    assert joined.responses == ([2], [4], [5], [3])
    assert joined.learned.responses == ([2], [4], [5])


@pytest.mark.parametrize("tuning", [{"kind": "full"}, {"kind": "lora", "rank": 4}], ids=["full", "lora"])
def test_without_weight_it_is_dpo(tuning: dict[str, Any], make_spec: MakeSpec, tmp_path: Path) -> None:
    """At lambda 0 the losses are DPO's, and the divergence is 0 before the first step."""
    told: dict[str, list[dict[str, float]]] = {}
    for run, objective in {"dpo": {"name": "dpo", "beta": 0.1}, "free": {**HYPO, "lam": 0}}.items():
        train(make_spec(objective=objective, tuning=tuning), tmp_path / run)
        told[run] = [step["values"] for step in steps_of(tmp_path / run)]

    for plain, free in zip(told["dpo"], told["free"], strict=True):
        assert free["loss"] == pytest.approx(plain["loss"], rel=1e-4)
    assert told["free"][0]["kl"] == pytest.approx(0, abs=1e-4)
    assert "kl" not in told["dpo"][0]


def test_samples_give_the_gradient_of_the_divergence() -> None:
    """Over all answers, each as often as the policy gives it, the penalty's gradient is lambda times that of the KL."""
    logits = torch.tensor([0.3, -1.0, 2.0, 0.1], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([0.0, 0.5, -0.7, 1.2], dtype=torch.float64).log_softmax(0)
    policy = logits.log_softmax(0)
    roles = [Role.CHOSEN, Role.REJECTED, Role.POLICY_SAMPLE]
    sides = torch.zeros(4, 2, dtype=torch.float64)
    batch = Batch(
        logps=torch.cat([sides, policy[:, None]], dim=1).flatten(),
        lengths=torch.ones(12, dtype=torch.float64),
        example=torch.arange(4).repeat_interleave(3),
        role=torch.tensor([int(role) for role in roles] * 4),
        reference=torch.cat([sides, reference[:, None]], dim=1).flatten(),
    )

    loss = make("hypo_surrogate", lam=0.3).loss(batch, State())
    (found,) = torch.autograd.grad((policy.exp().detach() * loss).sum(), logits, retain_graph=True)
    (expected,) = torch.autograd.grad(0.3 * (policy.exp() * (policy - reference)).sum(), logits)

    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_the_penalty_is_the_mean_over_the_samples_of_a_prompt() -> None:
    """Two samples of one prompt count half each; a prompt without any has DPO's loss."""
    hypo, dpo = make("hypo_surrogate", lam=0.5, beta=0.1), make("dpo", beta=0.1)
    roles = [Role.CHOSEN, Role.REJECTED, Role.POLICY_SAMPLE, Role.POLICY_SAMPLE, Role.CHOSEN, Role.REJECTED]
    batch = Batch(
        logps=torch.tensor([-3.0, -4.0, -5.0, -7.0, -2.0, -6.0]),
        lengths=torch.ones(6),
        example=torch.tensor([0, 0, 0, 0, 1, 1]),
        role=torch.tensor([int(role) for role in roles]),
        reference=torch.full((6,), -4.5),
    )

    penalty = hypo.loss(batch, State()) - dpo.loss(batch, State())

    assert penalty.tolist() == pytest.approx([0.5 * (-0.5 * -5 + -2.5 * -7) / 2, 0.0], abs=1e-5)


def test_two_devices_draw_as_one_does(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Every rank learns from the same samples, so that losses and divergence are those of one process."""
    found = []
    for devices in (1, 2):
        train(make_spec(objective=HYPO, devices=devices), tmp_path / str(devices))
        values = [step["values"] for step in steps_of(tmp_path / str(devices))]
        found.append([(one["loss"], one["kl"]) for one in values])

    assert [number for step in found[0] for number in step] == pytest.approx(
        [number for step in found[1] for number in step], abs=1e-4
    )
