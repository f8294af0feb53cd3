"""Results of other tools as evaluations: published figures come out, bad rows are told, hostile files do no harm."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.db import transaction
from backend.evaluations import outside_rows
from backend.evaluations.alpaca import NO_FACTS
from backend.evaluations.models import Output
from tests.backend.evaluations.conftest import ANNOTATION, BATTLE, TALK, upload
from tests.conftest import Client
from workers.tasks import evaluate

Body = dict[str, Any]


def test_alpaca_eval_2_gives_its_published_rates(
    researcher: Client, imported: Callable[..., Body], shared_data: Path
) -> None:
    """Real annotations, imported through the API: the published win rate, the discrete one, the length-controlled one
    from its file of difficulties, and the mean length."""
    answers = _lines(shared_data / "nc_alpacaeval2_text_alpaca-7b.jsonl")
    base = {row["index"]: row["output"] for row in _lines(
        shared_data / "nc_alpacaeval2_text_BASELINE_gpt4_1106_preview.jsonl")}  # fmt: skip
    (told,) = (row for row in _lines(shared_data / "nc_alpacaeval2_published.jsonl") if row["model"] == "alpaca-7b")
    rows = [
        {
            "instruction": row["instruction"],
            "output_1": base[row["index"]],
            "output_2": row["output"],
            "generator_1": "gpt4_1106_preview",
            "generator_2": "alpaca-7b",
            "annotator": "weighted_alpaca_eval_gpt4_turbo",
            "preference": row["preference"],
        }
        for row in answers
    ]
    gamed = upload(researcher, (shared_data / "nc_alpacaeval2_df_gamed.jsonl").read_bytes())
    report = imported(rows, baseline="gpt4_1106_preview", gamed_upload_id=gamed)
    (table,) = report["tables"]
    (pair,) = table["pairs"]
    assert 100 * pair["mean_probability"] == pytest.approx(told["win_rate"], abs=1e-6)
    assert 100 * pair["win_rate"]["rate"] == pytest.approx(told["discrete_win_rate"], abs=1e-9)
    assert (pair["win_rate"]["wins"], pair["win_rate"]["losses"]) == (told["n_wins"], told["n_wins_base"])
    assert round(report["contestants"][1]["length"]["mean"]) == told["avg_length"]
    assert table["against"][0]["controlled"]["raw"] is not None
    own = table["against"][0]["published"]
    assert 100 * own["rate"] == pytest.approx(told["length_controlled_winrate"], abs=0.05)
    assert own["length"] == pytest.approx(told["glm_w_tanh_std_delta_len"], abs=1e-3)
    assert own["standard_error"] > 0
    page = researcher.get(f"/api/v1/evaluations/{report['evaluation']['id']}/report.html").text
    assert f"{100 * own['rate']:.2f}" in page
    assert "AlpacaEval 2's own length-controlled win rate" in page


def test_why_alpaca_eval_has_no_rate_of_its_own(
    researcher: Client, imported: Callable[..., Body], shared_data: Path
) -> None:
    """Without the difficulties, and on other prompts, a sentence says why; a file that is something else is refused."""
    rows = [ANNOTATION | {"instruction": f"Say {n}.", "preference": 1 + n % 2} for n in range(12)]
    assert _published(imported(rows)) == {"rate": None, "standard_error": None, "length": None, "reason": NO_FACTS}
    gamed = (shared_data / "nc_alpacaeval2_df_gamed.jsonl").read_bytes()
    assert "this model has 12" in _published(imported(rows, gamed_upload_id=upload(researcher, gamed)))["reason"]
    for first, silent, reason in ((1, 0, "past the benchmark"), (0, 100, "100 of the 805 prompts have no verdict")):
        rows = [
            ANNOTATION
            | {"instruction": f"Say {n}.", "index": n + first, "preference": None if n < silent else 1 + n % 2}
            for n in range(805)
        ]
        assert reason in _published(imported(rows, gamed_upload_id=upload(researcher, gamed)))["reason"]
    rows = rows[:12]
    lines = gamed.splitlines()
    hostile = (b"{", b"a,b\n1,2", b"\xff", lines[0], b'{"index": 1e400}', b"\n".join(lines[5:800]),
               gamed.replace(b'"index": 0,', b'"index": 0.5,'), gamed.replace(b'"index": 0,', b'"index": NaN,'),
    )  # fmt: skip
    for raw in hostile:
        sent = {"upload_id": upload(researcher, rows), "name": "A", "gamed_upload_id": upload(researcher, raw)}
        refused = researcher.post("/api/v1/evaluations/imports", json=sent)
        assert (refused.status_code, refused.json()["field"]) == (422, "gamed_upload_id"), raw[:60]
    sent = {"upload_id": upload(researcher, [BATTLE]), "name": "A", "gamed_upload_id": upload(researcher, gamed)}
    assert researcher.post("/api/v1/evaluations/imports", json=sent).json()["field"] == "gamed_upload_id"


def _published(report: Body) -> Body:
    (table,) = report["tables"]
    found: Body = table["against"][0]["published"]
    return found


def test_outputs_of_one_model_meet_a_checkpoint(researcher: Client, pair: list[str]) -> None:
    """A file of one generator is no evaluation; its outputs are kept, and meet a checkpoint on the same prompts."""
    rows = [{"instruction": f"Say {n}.", "output": f"<b>{n}</b> it is.", "generator": "alone"} for n in range(3)]
    sent = {"upload_id": upload(researcher, rows)}
    told = researcher.post("/api/v1/evaluations/imports/preview", json=sent).json()
    assert (told["matches"], told["answers"], told["contestants"]) == (0, 3, ["alone"])
    refused = researcher.post("/api/v1/evaluations/imports", json=sent | {"name": "A"})
    assert refused.json()["remedy"].startswith("Keep the outputs as a contestant")
    made = researcher.post("/api/v1/evaluations/imports/outputs", json=sent).json()
    again = researcher.post("/api/v1/evaluations/imports/outputs", json=sent).json()
    (contestant,) = made["contestants"]
    assert (made, made["answers"], contestant["name"]) == (again, 3, "alone")

    body = {
        "name": "Met",
        "contestants": [contestant["id"], pair[0]],
        "prompts": {"outputs_of": contestant["id"]},
        "judge": {"name": "rules", "max_words": 3},
        "sampling": {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 4},
    }
    size = researcher.post("/api/v1/evaluations/preflight", json=body).json()
    assert (size["prompts"], size["responses"], size["tokens_at_most"]) == (3, 6, 12)
    launched = researcher.post("/api/v1/evaluations", json=body).json()
    assert (launched["done"], launched["prompts"]["outputs"]) == (3, "alone")
    evaluate.work()
    ended = researcher.get(f"/api/v1/evaluations/{launched['id']}").json()
    assert (ended["state"], ended["done"], ended["total"]) == ("succeeded", 12, 12), ended["reason"]
    matches = researcher.get(f"/api/v1/evaluations/{launched['id']}/matches").json()["items"]
    assert {match["a"]["message"]["text"] for match in matches} == {row["output"] for row in rows}
    assert all(match["score"] is not None for match in matches)

    texts = {"texts": ["Say 1.", "Say 7."]}
    size = researcher.post("/api/v1/evaluations/preflight", json=body | {"prompts": texts}).json()
    assert any("lack 1 of the 2 prompts" in words for words in size["warnings"])
    for prompts, field in (
        ({"texts": ["Say 7."]}, "contestants.0"),
        ({"outputs_of": pair[0]}, "prompts.outputs_of"),
        ({"outputs_of": str(uuid.uuid4())}, "prompts.outputs_of"),
    ):
        refused = researcher.post("/api/v1/evaluations", json=body | {"prompts": prompts})
        assert refused.json()["field"] == field


def test_long_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is held whole up to a size, lines one by one up to a length each; fields that nobody reads are dropped."""
    monkeypatch.setattr(outside_rows, "MOST_LIST", 100)
    monkeypatch.setattr(outside_rows, "MOST_LINE", 100)
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"a": 1, "b": 2}\n\n' * 40)
    assert outside_rows.read_rows(lines, {"a"}) == [{"a": 1}] * 40
    for name, text, said in (
        ("list", json.dumps([{"a": 1}] * 40), "JSON list"),
        ("line", '{"a": "' + "x" * 200, "line"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(outside_rows.ResultsRefused, match=said):
            outside_rows.read_rows(tmp_path / name, {"a"})


def _lines(path: Path) -> list[Body]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_annotations_ties_and_missing_preferences(imported: Callable[..., Body]) -> None:
    """0 and 1.5 are ties, null is a verdict that came to nothing; no side order is made up."""
    rows = [ANNOTATION | {"instruction": f"Say {value}.", "preference": value} for value in (0, 1.5, 2, 1, None)]
    report = imported(rows)
    (table,) = report["tables"]
    rate = table["pairs"][0]["win_rate"]
    assert (rate["wins"], rate["ties"], rate["losses"]) == (1, 2, 1)
    assert table["pairs"][0]["undecided"] == {"no preference in the file": 1}
    assert (table["judge"], table["consistency"], table["one_sided"]) == ("judge-x (imported)", None, 0)
    assert table["shown_first"]["n"] == 0


def test_battles_with_and_without_texts(imported: Callable[..., Body]) -> None:
    """Three contestants are ranked; battles without a conversation count, and say that no text is there."""
    said = [("one", "two"), ("two", "three"), ("three", "one"), ("one", "three")]
    rows = [BATTLE | {"model_a": a, "model_b": b, "winner": w, "question_id": number}
            for number, (a, b) in enumerate(said) for w in ("model_a", "tie (bothbad)")]  # fmt: skip
    rows[0] |= {"conversation_a": TALK, "conversation_b": TALK}
    report = imported(rows)
    (table,) = report["tables"]
    assert table["judge"] == "imported votes"
    assert len(table["ranking"]["standings"]) == 3
    assert sum(one["responses"] for one in report["contestants"]) == 2


def test_each_side_of_a_long_battle_answered_its_own_conversation(imported: Callable[..., Body]) -> None:
    """What is kept of a contestant to meet others is its answer with what it had been told itself."""
    ask, go_on = ({"role": "user", "content": text} for text in ("Hello", "Go on."))
    talks = {
        f"conversation_{side}": [ask, {"role": "assistant", "content": f"{side} 1"}, go_on,
                                 {"role": "assistant", "content": f"{side} 2"}]
        for side in "ab"
    }  # fmt: skip
    imported([BATTLE | {"model_a": "one", "model_b": "two", "winner": "model_a"} | talks])
    with transaction() as session:
        kept = {output.answer["content"]: output.prompt for output in session.query(Output)}
    assert {answer: prompt[1]["content"] for answer, prompt in kept.items()} == {"a 2": "a 1", "b 2": "b 1"}


def test_arena_hard_plays_both_sides(imported: Callable[..., Body]) -> None:
    """Two games of a question are one match in both side orders; a judge that always says A contradicts itself."""

    def judged(number: int, *scores: str) -> Body:
        return {"question_id": number, "model": "mine", "judge": "gpt", "games": [{"score": one} for one in scores]}

    report = imported([judged(1, "B>A", "A>>B"), judged(2, "A>B", "A>B"), judged(3, "A=B", "none")])
    (table,) = report["tables"]
    (pair,) = table["pairs"]
    assert report["evaluation"]["contestants"][0]["name"] == "baseline"
    assert (pair["win_rate"]["wins"], pair["win_rate"]["ties"], pair["contradicted"]) == (1, 1, 1)
    assert (table["one_sided"], pair["undecided"]) == (1, {"no verdict in the file": 1})


def test_outputs_of_two_generators(imported: Callable[..., Body]) -> None:
    """They meet on the prompts that both answered, for people to judge."""
    rows = [{"instruction": prompt, "output": f"{name}.", "generator": name}
            for name, prompts in (("one", "ab"), ("two", "bc")) for prompt in prompts]  # fmt: skip
    report = imported(rows)
    assert (report["matches"], report["evaluation"]["judge"]["name"]) == (1, "people")


def test_preview_tells_bad_rows(researcher: Client) -> None:
    """Each row that cannot be used has its number and why; the others are taken; nothing is stored."""
    rows = [ANNOTATION, ANNOTATION | {"preference": 3}, ANNOTATION | {"generator_2": "base"},
            ANNOTATION | {"output_1": 4}, ANNOTATION | {"instruction": "x" * 200_001}]  # fmt: skip
    told = researcher.post("/api/v1/evaluations/imports/preview", json={"upload_id": upload(researcher, rows)}).json()
    assert (told["kind"], told["rows"], told["matches"], told["left_out"]) == ("AlpacaEval annotations", 5, 1, 4)
    assert [error.split(":")[0] for error in told["errors"]] == ["Row 2", "Row 3", "Row 4", "Row 5"]
    assert researcher.get("/api/v1/evaluations").json()["items"] == []


@pytest.mark.parametrize(
    "raw",
    [b"[" * 100_000, b"\xff\xfe", b"{}", b"[1, 2]", b'[{"a": 1}]', b"[NaN]", json.dumps([BATTLE] * 20_001).encode(),
     json.dumps([BATTLE | {"winner": "me"}]).encode(), json.dumps([BATTLE | {"winner": ["model_a"]}]).encode(),
     json.dumps([BATTLE | {f"conversation_{side}": [TALK[0], TALK[1] | {"role": []}] for side in "ab"}]).encode(),
     json.dumps([{"instruction": "a", "output": "b", "generator": f"{one}"} for one in range(20_000)]).encode(),
     json.dumps([BATTLE | {"question_id": "q" * 201}]).encode(), json.dumps([BATTLE])[:-1].encode(),
     json.dumps([BATTLE]).encode() + b"[]", b"[" + json.dumps(BATTLE).encode() * 2 + b"]", b"[]", b"\n \n"],
)  # fmt: skip
def test_files_that_are_something_else(researcher: Client, raw: bytes) -> None:
    """A file that is no results is refused in a sentence, at its field."""
    refused = researcher.post("/api/v1/evaluations/imports/preview", json={"upload_id": upload(researcher, raw)})
    assert (refused.status_code, refused.json()["field"]) == (422, "upload_id")


def test_imported_contestants_answer_nothing(researcher: Client, imported: Callable[..., Body], body: Body) -> None:
    """What the file does not answer they do not: a launch on other prompts is refused; a name is one contestant."""
    first, second = imported([ANNOTATION | {"output_2": "\x00<img src=x>"}]), imported([ANNOTATION])
    ids = [[one["id"] for one in report["evaluation"]["contestants"]] for report in (first, second)]
    assert ids[0] == ids[1]
    refused = researcher.post("/api/v1/evaluations", json=body | {"contestants": [body["contestants"][0], ids[0][1]]})
    assert (refused.status_code, refused.json()["field"]) == (422, "contestants.1")
    missing = researcher.post("/api/v1/evaluations/imports", json={"upload_id": str(uuid.uuid4()), "name": "None"})
    assert missing.status_code == 404
