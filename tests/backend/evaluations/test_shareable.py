"""The report as one file: every number of the page, nothing that runs or loads, and hostile names as text alone."""

import re
import uuid
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import select, update

from backend.checkpoints.models import Checkpoint
from backend.db import transaction
from backend.evaluations.models import Evaluation, Verdict
from backend.evaluations.pictures import DARK, LIGHT
from backend.runs.models import Run
from tests import contest
from tests.conftest import Client
from tests.contrast import contrast, over

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><base href=//evil.example>",
    "]]><![CDATA[ <svg onload=alert(1)>",
    "javascript:alert(1) &lt;b&gt; \u202egnp.exe\u2066 \x07 ${7*7} {{7*7}}",
    "<!-- <a href='data:text/html,x'>",
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "bdi", "div", "table", "caption",
    "thead", "tbody", "tr", "th", "td", "svg", "text", "line", "circle", "polygon", "polyline", "rect",
}  # fmt: skip


class Read(HTMLParser):
    """The page as a browser takes it: tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")


def test_everything_on_one_page(researcher: Client, clean: None) -> None:
    """Rates, the curve, the ranking and meters stand there with intervals, as numbers and as pictures."""
    made = contest.make()
    contest.read_tokens(made)
    answer = researcher.get(f"/api/v1/evaluations/{made.id}/report.html")

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="evaluation-{made.id}.html"'
    assert "sandbox" in answer.headers["content-security-policy"]
    read = Read(answer.text)
    told = researcher.get(f"/api/v1/evaluations/{made.id}/report").json()
    (table,) = told["tables"]
    for pair in table["pairs"][:1]:
        rate = pair["win_rate"]
        assert f"{rate['rate']:.1%} ({100 * rate['low']:.1f}-{100 * rate['high']:.1f} %)" in read.text
    assert [one["step"] for one in told["contestants"]] == [None, 10, 20, 30, 10, 20]
    assert [one["run"] for one in told["contestants"]][1] == "DPO, beta 0.1"
    for words in ("Base & <b>bold</b>", "By step", "Ranks possible", "Self-BLEU", "24 of 24 prompts", "seed 3"):
        assert words in read.text
    for words in ("Reward against KL", "2 (1.65 to 2.35)", "Runs at one KL"):
        assert words in read.text
    assert answer.text.count("<svg") == 5
    assert "Tell me about" not in answer.text


def test_nothing_runs_or_loads(researcher: Client, clean: None) -> None:
    """Names of everything are hostile: no tag or attribute comes of them, no address, and nothing turns the text."""
    made = contest.make(12)
    with transaction() as session:
        for number, row in enumerate(session.query(Checkpoint)):
            row.name = HOSTILE[number % len(HOSTILE)].replace("\x07", "")
        for run in session.query(Run):
            run.name = HOSTILE[0] * 3
        session.get_one(Evaluation, made.id).name = HOSTILE[2]
    page = researcher.get(f"/api/v1/evaluations/{made.id}/report.html?ties=shown&level=0.9").text

    read = Read(page)
    assert read.tags <= TAGS
    assert not [name for name in read.attributes if name.startswith("on") or name in ("href", "src", "style", "srcset")]
    assert "http-equiv" in read.attributes
    assert "default-src 'none'" in page.split("<title>")[0]
    assert re.findall(r"url\(|@import|//[a-z]", page.split("<style>")[1].split("</style>")[0]) == []
    assert re.search("[\u202a-\u202e\u2066-\u2069]", page) is None
    for words in (HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[5]):
        assert words in read.text


def test_members_of_a_panel_have_names(researcher: Client, clean: None) -> None:
    """A panel's members stand there by their place and what they are, a model by its own name."""
    made = contest.make()
    with transaction() as session:
        model = session.scalars(select(Checkpoint).where(Checkpoint.id == made.contestants[1])).one()
        members = [{"name": "rules"}, {"name": "llm", "checkpoint": str(model.id)}]
        session.get_one(Evaluation, made.id).judge = {"name": "panel", "members": members}
        session.execute(update(Verdict).where(Verdict.swapped).values(judge="panel/1"))
        session.execute(update(Verdict).where(~Verdict.swapped).values(judge="panel/2"))
        called = model.name
    text = Read(researcher.get(f"/api/v1/evaluations/{made.id}/report.html").text).text
    assert "Judged by member 1 of the panel (rules)" in text
    assert f"Judged by member 2 of the panel ({called})" in text
    assert "panel/" not in text


def test_numbers_on_colors_can_be_read(researcher: Client, clean: None) -> None:
    """In the square of who beats whom, on the fullest color, in both themes."""
    made = contest.make()
    page = researcher.get(f"/api/v1/evaluations/{made.id}/report.html").text
    fullest = max(float(one) for one in re.findall(r'fill-opacity="([\d.]+)"', page))
    light, dark = page.split("@media (prefers-color-scheme: dark)")[:2]
    for style in (light, dark):
        tone = dict(re.findall(r"--(text|back|c0): (#[0-9a-f]{3,6})", style))
        back = tone["back"] if len(tone["back"]) == 7 else "#" + "".join(2 * one for one in tone["back"][1:])
        assert contrast(tone["text"], over(tone["c0"], back, fullest)) >= 4.5


def test_colors_are_those_of_our_charts() -> None:
    """What a color tells on our pages it tells on the page that is handed on."""
    charts = (Path(__file__).parents[3] / "frontend/assets/charts.js").read_text()
    for theme, colors in (("LIGHT", LIGHT), ("DARK", DARK)):
        assert re.findall(r'"(#[0-9a-f]{6})"', charts.partition(f"const {theme} = [")[2].partition("]")[0]) == list(
            colors
        )


def test_an_evaluation_without_verdicts(researcher: Client, clean: None) -> None:
    """Before anything is decided the page says so, and has no picture."""
    made = contest.make(0)
    page = researcher.get(f"/api/v1/evaluations/{made.id}/report.html").text
    assert "There is no win rate against the baseline." in page
    assert "<svg" not in page


def test_who_may(anonymous: Client, annotator: Client, researcher: Client) -> None:
    """Researchers of the project alone."""
    path = f"/api/v1/evaluations/{uuid.uuid4()}/report.html"
    assert [one.get(path).status_code for one in (anonymous, annotator, researcher)] == [401, 403, 404]
