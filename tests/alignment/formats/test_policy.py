"""Policies: how several labels of an item become an example, and why an item is left out."""

from __future__ import annotations

from typing import Any

import pytest

from alignment.formats import FORMATS
from alignment.formats.canonical import Item, LabelFacts
from alignment.formats.judged import judged, mean_ranks
from alignment.formats.preference import Policy, decide, decisions
from alignment.formats.writing import CannotWrite, Export

HALF = Policy(ties="half")
RANKED = [{"role": "assistant", "content": text} for text in "abcd"]


def pair(*said: Any, source: str = "person", **facts: Any) -> Item:
    """A pair with a label for each value: a strength, or the value itself."""
    labels = [
        LabelFacts({"strength": one} if isinstance(one, int) else one, source, annotator=f"w{place}")  # type: ignore[arg-type]
        for place, one in enumerate(said)
    ]
    return Item([{"role": "user", "content": "q"}], [*RANKED[:2]], labels, facts)  # type: ignore[list-item]


def several(*labels: LabelFacts, responses: int, **facts: Any) -> Item:
    return Item([{"role": "user", "content": "q"}], RANKED[:responses], labels, facts)  # type: ignore[arg-type]


def first(item: Item, policy: Policy) -> str:
    found = decide(item, policy)
    return found if isinstance(found, str) else found.responses[0]["content"]


def facts(item: Item, policy: Policy) -> dict[str, Any]:
    found = decide(item, policy)
    assert not isinstance(found, str), found
    return found.facts


class TestPairs:
    def test_an_adjudication_stands_for_what_people_said(self) -> None:
        """Three votes for one side and an adjudication for the other: the adjudicated side is chosen, by its own vote,
        however many votes the policy asks for."""
        item = pair(2, 1, 1)
        item.labels = [*item.labels, LabelFacts({"strength": -1}, "adjudication")]
        for policy in (Policy(), Policy(sources="adjudicated"), Policy(sources="people", min_votes=3)):
            assert first(item, policy) == "b"
        assert facts(item, Policy())["votes"] == 1

    def test_of_several_adjudications_the_newest_counts(self) -> None:
        """A second look replaces the first; they are no votes against each other."""
        item = pair(1, -2, source="adjudication")
        assert first(item, Policy(sources="adjudicated")) == "b"

    def test_adjudicated_alone_leaves_out_the_rest(self) -> None:
        """Votes are not enough, and no label is not either: both say that they are not adjudicated."""
        assert decide(pair(2, 2), Policy(sources="adjudicated")) == "not_adjudicated"
        assert decide(pair(), Policy(sources="adjudicated")) == "not_adjudicated"

    def test_single_labels_are_not_overruled(self) -> None:
        """With each label by itself, an adjudication is one more label beside the others."""
        item = pair(1, 1)
        item.labels = [*item.labels, LabelFacts({"strength": -1}, "adjudication", annotator="x")]
        found = decisions(item, Policy(unit="label"))
        assert [one.facts["annotator"] for one in found if not isinstance(one, str)] == ["w0", "w1", "x"]

    def test_a_margin_is_asked_of_the_mean(self) -> None:
        """Strengths 3, 1 and -1 have the mean 1: enough for a margin of 1, not for more."""
        assert first(pair(3, 1, -1), Policy(min_margin=1)) == "a"
        assert decide(pair(3, 1, -1), Policy(min_margin=1.1)) == "too_close"

    def test_without_a_margin_the_majority_decides(self) -> None:
        """Two slightly for one side beat one strongly for the other, whose mean is for the other side."""
        assert first(pair(1, 1, -3), Policy()) == "a"
        assert facts(pair(1, 1, -3), Policy())["margin"] == pytest.approx(-1 / 3)
        assert decide(pair(1, 1, -3), Policy(min_margin=0.1)) == "too_close"

    def test_both_bad_is_no_vote_for_a_side(self) -> None:
        """The number of votes is that of those whose share the soft label is."""
        bad = {"both_bad": True}
        found = facts(pair(1, 1, bad), Policy())
        assert (found["votes"], found["soft_label"], found["margin"]) == (2, 1.0, 1.0)
        assert facts(pair(0, 0, bad), HALF)["votes"] == 2

    def test_a_margin_is_asked_of_each_label(self) -> None:
        """With each label by itself only the clear ones are taken; where none is, the reason is the margin."""
        found = decisions(pair(3, 1, -2), Policy(unit="label", min_margin=2))
        assert [one.facts["margin"] for one in found if not isinstance(one, str)] == [3, 2]
        assert decisions(pair(1, 0), Policy(unit="label", min_margin=2)) == "too_close"

    @pytest.mark.parametrize("said", [(0,), (1, -1), (0, 0, 1), (1, 0)])
    def test_ties_are_kept_with_one_half(self, said: tuple[int, ...]) -> None:
        """What nobody leads stays in its own order with a soft label of one half and no margin."""
        assert decide(pair(*said), Policy()) == "tie"
        found = facts(pair(*said, soft_label=0.9, rationale="because"), HALF)
        assert (found["soft_label"], found["margin"], found["votes"]) == (0.5, 0.0, len(said))
        assert "rationale" not in found

    def test_both_bad_beside_a_side_is_no_half(self) -> None:
        """As many both-bad as votes for a side is no tie between the sides."""
        assert decide(pair(1, {"both_bad": True}), HALF) == "tie"
        assert decide(pair({"both_bad": True}), HALF) == "both_bad"

    def test_where_ties_are_kept_every_pair_has_a_share(self) -> None:
        """A lone vote has the share 1, so that one column says it of all; so with `soft`; else it has none."""
        assert facts(pair(2), HALF)["soft_label"] == 1.0
        assert facts(pair(2), Policy(soft=True))["soft_label"] == 1.0
        assert facts(pair(1, source="import"), Policy(soft=True)) == {"soft_label": 1.0}
        assert "soft_label" not in facts(pair(2), Policy())
        assert facts(pair(2, 1, -1), Policy(soft=True))["soft_label"] == pytest.approx(2 / 3)

    def test_surplus_labels_count_or_do_not(self) -> None:
        """A late label tips the majority, unless the policy leaves it out; where no other is, that is the reason."""
        item = pair(1)
        item.labels = [*item.labels, *(LabelFacts({"strength": -3}, "person", surplus=True) for _ in range(2))]
        assert first(item, Policy()) == "b"
        assert first(item, Policy(surplus=False)) == "a"
        item.labels = item.labels[1:]
        assert decide(item, Policy(surplus=False)) == "surplus"

    def test_aspects_are_means_in_the_order_of_the_pair(self) -> None:
        """Ratings are averaged response by response, and turned when the second response is chosen."""
        item = pair()
        item.labels = [
            LabelFacts({"strength": -1}, "person", aspects={"clear": [1, 4], "true": [2, 2]}),
            LabelFacts({"strength": -2}, "person", aspects={"clear": [2, 5]}),
        ]
        assert facts(item, Policy(aspects=True))["aspects"] == [{"clear": 4.5, "true": 2}, {"clear": 1.5, "true": 2}]
        assert "aspects" not in facts(item, Policy())

    def test_nobody_is_named(self) -> None:
        """Without annotators neither a label's nor a file's name is told."""
        found = decisions(pair(1), Policy(unit="label", annotators=False))
        assert not isinstance(found, str)
        assert "annotator" not in found[0].facts
        assert "annotator" not in facts(pair(1, annotator="w"), Policy(annotators=False))


class TestRankings:
    def test_mean_ranks_share_ties(self) -> None:
        """Responses of one group take the mean of their ranks: of 1 to 4, two that share the middle have 2.5 each."""
        assert mean_ranks([[[2], [0, 3], [1]]], 4) == [2.5, 4, 1, 2.5]

    def test_ranks_are_bordas_order(self) -> None:
        """Over three annotators the order is that of Borda's points, counted by hand: a 2+1+2, b 1+2+0, c 0+0+1."""
        item = several(
            *(
                LabelFacts({"ranking": groups}, "person")
                for groups in ([[0], [1], [2]], [[1], [0], [2]], [[0], [2], [1]])
            ),
            responses=3,
            scores=[1.0, 2.0, 3.0],
        )
        found = judged(item, "ranked", Policy())
        assert found == {"ranks": [1.0, 2.0, 3.0], "votes": 3}

    def test_equal_means_share_a_rank(self) -> None:
        """Two annotators who disagree on the best two leave them level, above the third."""
        item = several(
            *(LabelFacts({"ranking": groups}, "person") for groups in ([[0], [1], [2]], [[1], [0], [2]])), responses=3
        )
        assert judged(item, "ranked", Policy()) == {"ranks": [1.0, 1.0, 3.0], "votes": 2}

    def test_opposite_rankings_are_a_tie(self) -> None:
        """Where all are level there is no order to learn."""
        item = several(
            *(LabelFacts({"ranking": groups}, "person") for groups in ([[0], [1], [2]], [[2], [1], [0]])), responses=3
        )
        assert judged(item, "ranked", Policy()) == "tie"

    def test_the_files_order_stands_until_people_rank(self) -> None:
        """Scores of a file count where nobody ranked, also before a judge, but not where people alone count."""
        judge = LabelFacts({"ranking": [[2], [1], [0]]}, "judge")
        item = several(judge, responses=3, scores=[3.0, 2.0, 1.0])
        assert judged(item, "ranked", Policy()) == {"scores": [3.0, 2.0, 1.0]}
        assert judged(item, "ranked", Policy(sources="judges")) == {"ranks": [3.0, 2.0, 1.0], "votes": 1}
        assert judged(several(responses=3, ranks=[1, 2, 3]), "ranked", Policy(sources="people")) == "unranked"
        assert judged(several(responses=3), "ranked", Policy()) == "unranked"


class TestThumbs:
    @staticmethod
    def said(*thumbs: bool, source: str = "person", **facts: Any) -> Item:
        return several(*(LabelFacts({"thumb": up}, source) for up in thumbs), responses=1, **facts)  # type: ignore[arg-type]

    def test_the_majority_of_thumbs_decides(self) -> None:
        """Two of three thumbs up make the answer wanted, whatever the file said; one of each decides nothing."""
        found = judged(self.said(True, True, False, desirable=False), "unpaired", Policy())
        assert found == {"desirable": True, "votes": 3}
        assert judged(self.said(True, False), "unpaired", Policy()) == "tie"

    def test_the_files_thumb_stands_alone(self) -> None:
        """An answer that nobody judged keeps its thumb; it is one imported vote, so two votes are not there."""
        assert judged(self.said(desirable=True), "unpaired", Policy()) == {"desirable": True}
        assert judged(self.said(desirable=True), "unpaired", Policy(min_votes=2)) == "too_few_votes"
        assert judged(self.said(desirable=True), "unpaired", Policy(sources="people")) == "unlabelled"

    def test_a_demonstration_stands_unless_it_is_unwanted(self) -> None:
        """Nobody trains on an answer that people gave a thumb down."""
        assert judged(self.said(), "demonstrations", Policy()) == {}
        assert judged(self.said(True), "demonstrations", Policy()) == {"votes": 1}
        assert judged(self.said(False), "demonstrations", Policy()) == "not_wanted"


class TestExports:
    @staticmethod
    def written(
        item: Item, format: str, kind: str = "paired", *, both_bad: Any = "leave_out", **policy: Any
    ) -> tuple[list[dict[str, Any]], dict[str, int]]:
        export = Export(FORMATS[format], kind, policy=Policy(**policy), both_bad=both_bad)  # type: ignore[arg-type]
        return list(export.rows(item)), dict(export.losses.left_out)

    def test_both_bad_become_two_unwanted_answers(self) -> None:
        """Where pairs become single answers, both are written as unwanted; otherwise the pair is left out."""
        item = pair({"both_bad": True})
        rows, left = self.written(item, "kto", both_bad="unwanted")
        assert [row["kto_tag"] for row in rows] == [False, False]
        assert not left
        assert self.written(item, "kto")[1] == {"are judged both bad": 1}

    def test_ties_and_single_labels_are_written_where_a_format_can(self) -> None:
        """TRL's pairs hold soft labels and annotators, so a tie is 0.5 and each label has its name."""
        rows, _ = self.written(pair(0), "trl", ties="half")
        assert rows[0]["soft_label"] == 0.5
        rows, _ = self.written(pair(1, -1), "trl", unit="label")
        assert [row["annotator"] for row in rows] == ["w0", "w1"]
        assert rows[0]["chosen"] == rows[1]["rejected"]

    @pytest.mark.parametrize(
        ("format", "policy"),
        [
            ("openai_preference", {"ties": "half"}),
            ("kto", {"ties": "half"}),
            ("trl", {"both": "unwanted"}),
            ("kto", {"unit": "label"}),
            ("native", {"min_votes": 2}),
        ],
    )
    def test_what_rows_cannot_say_is_refused(self, format: str, policy: dict[str, Any]) -> None:
        """A choice that the file could not show is refused with what to do, not left unsaid."""
        with pytest.raises(CannotWrite) as refused:
            Export(FORMATS[format], "paired", both_bad=policy.pop("both", "leave_out"), policy=Policy(**policy))
        assert refused.value.remedy

    def test_native_rows_name_nobody_when_told(self) -> None:
        """Names go, and surplus labels too where they are not wanted; all else stays."""
        item = pair(1, annotator="w")
        item.labels = [*item.labels, LabelFacts({"strength": -1}, "person", annotator="late", surplus=True)]
        rows, _ = self.written(item, "native", annotators=False, surplus=False)
        assert rows[0]["labels"] == [{"value": {"strength": 1}, "source": "person"}]
        assert "facts" not in rows[0]
        assert len(self.written(item, "native")[0][0]["labels"]) == 2

    def test_rankings_and_thumbs_are_written_as_labelled(self) -> None:
        """A ranking's pairs and a thumb's row follow the labels, not the file."""
        item = several(LabelFacts({"ranking": [[2], [0, 1]]}, "person"), responses=3, scores=[9.0, 1.0, 0.0])
        export = Export(FORMATS["trl"], "ranked", rule="best_worst")
        assert [row["chosen"][0]["content"] for row in export.rows(item)] == ["c"]
        thumb = several(LabelFacts({"thumb": False}, "person"), responses=1, desirable=True)
        rows, _ = self.written(thumb, "trl_unpaired", "unpaired")
        assert rows[0]["label"] is False


class TestNativeLabels:
    @pytest.mark.parametrize(
        ("responses", "value"),
        [
            (1, {"thumb": True}),
            (2, {"ranking": [[1], [0]]}),
            (3, {"ranking": [[1], [0, 2]]}),
            (3, {"both_bad": True}),
            (3, {"skip": "off topic"}),
        ],
    )
    def test_labels_of_every_kind_come_back(self, responses: int, value: dict[str, Any]) -> None:
        """Values, ratings and the surplus mark survive a native row."""
        label = LabelFacts(value, "person", "w", surplus=True, aspects={"clear": [1.0] * responses})
        native = FORMATS["native"]
        assert list(native.parse(native.render(several(label, responses=responses))).labels) == [label]

    @pytest.mark.parametrize(
        ("responses", "label"),
        [
            (1, {"value": {"strength": 1}}),
            (1, {"value": {"thumb": 1}}),
            (2, {"value": {"thumb": True}}),
            (3, {"value": {"strength": 1}}),
            (3, {"value": {"ranking": [[0], [1]]}}),
            (3, {"value": {"ranking": [[0], [1], [1]]}}),
            (3, {"value": {"ranking": [[0, 1, 2], []]}}),
            (3, {"value": {"ranking": [[True, 0, 2]]}}),
            (3, {"value": {"ranking": [[0], [1], [3]]}}),
            (3, {"value": {"ranking": "abc"}}),
            (2, {"value": {"strength": 1}, "surplus": 1}),
            (2, {"value": {"strength": 1}, "aspects": {"clear": [1]}}),
            (2, {"value": {"strength": 1}, "aspects": {"clear": [1, "x"]}}),
            (2, {"value": {"strength": 1}, "aspects": [1, 2]}),
        ],
    )
    def test_what_does_not_fit_the_responses_is_refused(self, responses: int, label: dict[str, Any]) -> None:
        """A label that cannot be about so many responses is a bad row with its field, never a crash later."""
        row = {"prompt": "q", "responses": ["a", "b", "c"][:responses], "labels": [label]}
        with pytest.raises(ValueError, match=r"labels\[0\]"):
            FORMATS["native"].parse(row)
