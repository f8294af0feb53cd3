"""The size of packs: measured where it pays and can be kept, clearly better or the usual one, and the same again."""

import json
from pathlib import Path
from typing import Any

import pytest

from alignment.training import budget, kept, room, train
from alignment.training.loop import Summary
from tests.alignment.training.conftest import MakeSnapshot, MakeSpec

SLOW, FAST = 1.0, 0.5


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which choices are kept; tiny sizes, so that tiny examples are divided differently."""
    monkeypatch.setenv(kept.PLACE, str(tmp_path / "kept"))
    monkeypatch.setattr("alignment.training.prepare.auto_tokens", lambda _: 60)
    monkeypatch.setattr(budget, "SHARED_CPU", (110, 400))
    monkeypatch.setattr(budget, "WORTH", 1e9)
    return tmp_path / "kept"


def told(out: Path) -> dict[str, Any]:
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    found: list[dict[str, Any]] = [event for event in events if "tokens_per_pack" in event]
    assert len(found) == 1  # one place says it
    return found[0]


def speeds(monkeypatch: pytest.MonkeyPatch, *rounds: dict[int, float]) -> None:
    """A clock that says how long each size takes, round after round."""
    taken: dict[int, int] = {}

    def seconds(scoring: Any, some: list[Any], check: Any) -> float:
        if len(some) == 1:
            return 0.0
        turn = taken.get(scoring.tokens, 0)
        taken[scoring.tokens] = turn + 1
        return rounds[turn][scoring.tokens]

    monkeypatch.setattr(budget, "_seconds", seconds)


def values(summary: Summary) -> dict[str, float | None]:
    return {name: value for name, value in summary.metrics.items() if name in ("loss", "rewards/margins", "grad_norm")}


def test_a_size_is_measured_and_kept(make_spec: MakeSpec, make_snapshot: MakeSnapshot, place: Path) -> None:
    """The first run tries sizes on its examples and says their rates; the second takes what the first has found, and
    has the same curve to the bit."""
    spec = make_spec(tuning={"kind": "lora", "rank": 2, "dropout": 0.1})
    first, second = train(spec, place.parent / "first"), train(spec, place.parent / "second")
    one, two = told(place.parent / "first"), told(place.parent / "second")

    assert set(one["tried"]) == {"60", "110", "400"}
    assert all(rate > 0 for rate in one["tried"].values())
    assert (two["tokens_per_pack"], two["tried"]) == (one["tokens_per_pack"], {})
    assert values(first) == values(second)
    assert len(list(place.glob("*.tokens.json"))) == 1


def test_trying_leaves_nothing_behind(
    make_spec: MakeSpec, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that tried sizes goes as one that was told the same size: no gradient and no random number is left over."""
    spec = make_spec(tuning={"kind": "lora", "rank": 2, "dropout": 0.1})
    tried = train(spec, tmp_path / "tried")
    size = told(tmp_path / "tried")["tokens_per_pack"]
    asked = train(spec | {"batch": {"examples_per_step": 4, "tokens_per_pack": size}}, tmp_path / "asked")

    assert values(tried) == values(asked)
    assert told(tmp_path / "asked")["why"] == "as asked"


@pytest.mark.parametrize(
    ("rounds", "chosen", "why"),
    [
        (({60: SLOW, 110: FAST, 400: SLOW},) * 2, 110, "100% faster than the usual 60"),
        (({60: SLOW, 110: 0.95, 400: 1.2},) * 2, 60, "no other was 10% faster"),
        (({60: SLOW, 110: FAST, 400: 2.0}, {60: SLOW, 110: SLOW, 400: FAST}), 60, "no other was 10% faster"),
    ],
    ids=["clearly faster", "hardly faster", "faster by chance"],
)
def test_only_what_is_clearly_faster_wins(
    make_spec: MakeSpec,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    rounds: tuple[dict[int, float], ...],
    chosen: int,
    why: str,
) -> None:
    """A size must be a tenth faster than the usual one in every round: a busy machine decides nothing."""
    speeds(monkeypatch, *rounds)

    train(make_spec(duration={"steps": 1}), place.parent / "out")

    found = told(place.parent / "out")
    assert found["tokens_per_pack"] == chosen
    assert why in found["message"]


def test_short_runs_try_nothing(make_spec: MakeSpec, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trying would take more tokens than it can save, the usual size is taken, and nothing is kept."""
    monkeypatch.setattr(budget, "WORTH", 0.02)
    train(make_spec(duration={"steps": 1}), place.parent / "out")

    assert "too short" in told(place.parent / "out")["message"]
    assert not list(place.glob("*.tokens.json"))


def test_slow_models_try_nothing(make_spec: MakeSpec, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying takes seconds at most."""
    monkeypatch.setattr(budget, "SECONDS", 0.0)
    train(make_spec(duration={"steps": 1}), place.parent / "out")

    assert "more than 0 s" in told(place.parent / "out")["message"]
    assert not list(place.glob("*.tokens.json"))


def test_what_cannot_be_kept_is_not_tried(make_spec: MakeSpec, tmp_path: Path) -> None:
    """Without a folder two runs of one spec might choose differently: the usual size it is."""
    train(make_spec(duration={"steps": 1}), tmp_path / "out")

    assert "no folder" in told(tmp_path / "out")["message"]


def test_sizes_that_do_not_fit_are_not_tried(make_spec: MakeSpec, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger packs than memory allows are left out, even where they were fastest before."""
    speeds(monkeypatch, *({60: SLOW, 110: SLOW, 400: FAST},) * 2)
    spec = make_spec(duration={"steps": 1})
    train(spec, place.parent / "roomy")
    monkeypatch.setattr(room, "fits", lambda *_: False)
    speeds(monkeypatch, *({60: SLOW, 110: SLOW},) * 2)
    train(spec, place.parent / "tight")

    assert told(place.parent / "roomy")["tokens_per_pack"] == 400
    assert told(place.parent / "tight")["tokens_per_pack"] == 60
    assert "400" not in told(place.parent / "tight")["tried"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tokens_per_pack": "64"}', '{"tokens_per_pack": 7}', "\x00"])
def test_a_damaged_choice_is_made_anew(make_spec: MakeSpec, place: Path, content: str) -> None:
    """What no run has written there is not believed."""
    spec = make_spec(duration={"steps": 1})
    train(spec, place.parent / "first")
    next(place.glob("*.tokens.json")).write_text(content)

    train(spec, place.parent / "second")

    assert told(place.parent / "second")["tried"]
