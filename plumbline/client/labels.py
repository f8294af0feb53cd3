"""Labels: the next card of a dataset, one's judgement of a card, and taking it back."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun, Spec
from plumbline.client.schemas import (
    Card,
    CardsOut,
    DatasetProgress,
    FeedbackOut,
    LabelOut,
    OutsideLabelsOut,
    OwnLabelOut,
    SubmittedOut,
    UndoneOut,
)


def judgement(
    strength: int | None = None,
    both_bad: bool = False,
    skip: str | None = None,
    ranking: Sequence[Sequence[int]] | None = None,
    thumb: bool | None = None,
) -> dict[str, Any]:
    """What one says of responses; exactly one of these must be given, which the server checks."""
    given = {"strength": strength, "both_bad": both_bad or None, "skip": skip, "thumb": thumb}
    said = {name: value for name, value in given.items() if value is not None}
    return said if ranking is None else {**said, "ranking": [list(group) for group in ranking]}


class Labels(Noun):
    """`client.labels`."""

    def progress(self, dataset: Ref | None = None) -> Iterator[DatasetProgress]:
        """How far the datasets of pairs, rankings and single answers are labelled."""
        return self._line.pages("/progress", DatasetProgress, dataset_id=optional_id(dataset))

    def next(self, dataset: Ref, n: int = 1, *, holding: Sequence[Ref] = ()) -> Sequence[Card]:
        """The next pairs to judge, blind, kept for the caller for ten minutes; none when nothing is left.

        `holding` names items whose cards the caller has already.
        """
        body = {"n": n, "holding": [id_of(one) for one in holding]}
        return self._line.post(f"/datasets/{id_of(dataset)}/cards", CardsOut, body, retry="always").cards

    def submit(
        self,
        card: Card,
        *,
        strength: int | None = None,
        both_bad: bool = False,
        ranking: Sequence[Sequence[int]] | None = None,
        thumb: bool | None = None,
        skip: str | None = None,
        aspects: Mapping[str, Sequence[float]] | None = None,
        seconds: float = 0.0,
        rationale: str | None = None,
        holding: Sequence[Ref] = (),
        client_id: uuid.UUID | None = None,
    ) -> SubmittedOut:
        """Judge a card, once however often it is sent; the answer holds the next one.

        Of two responses `strength` is from -3 to 3 and positive when the first one shown is better; `ranking` puts the
        places of several into groups, best first, like [[2], [0, 1]]; `thumb` is about a single one; `skip` is the
        reason.  `aspects` has a number of each response shown, by the aspect's name.
        """
        body = {
            "client_id": str(client_id or uuid.uuid4()),
            "lease": str(card.lease),
            "value": judgement(strength, both_bad, skip, ranking, thumb),
            "aspects": None if aspects is None else {name: list(numbers) for name, numbers in aspects.items()},
            "seconds": seconds,
            "rationale": rationale,
            "holding": [id_of(one) for one in holding],
        }
        return self._line.post(f"/items/{card.item_id}/labels", SubmittedOut, body, retry="always")

    def give(
        self, dataset: Ref, labels: Sequence[Spec], *, source: Literal["judge", "import"] = "judge"
    ) -> OutsideLabelsOut:
        """Store labels of a judge, or of people elsewhere, without cards; up to 500, all or none.

        Each is `{item_id, annotator, value, …}` in the item's own order; one without a `client_id` gets one here, and a
        request that is sent again stores nothing twice.
        """
        own = [{"client_id": str(uuid.uuid4()), **one} for one in labels]
        path = f"/datasets/{id_of(dataset)}/labels"
        return self._line.post(path, OutsideLabelsOut, {"source": source, "labels": own}, retry="always")

    def feedback(self, items: Sequence[Spec], *, dataset: str = "Feedback") -> FeedbackOut:
        """Store what users said of a model's answers: `{messages, thumb, edited, user, …}`, up to 100, all or none.

        One without a `client_id` gets one here, so that a request that is sent again stores nothing twice.
        """
        own = [{"client_id": str(uuid.uuid4()), **one} for one in items]
        return self._line.post("/feedback", FeedbackOut, {"dataset": dataset, "items": own}, retry="always")

    def undo(self, label: Ref) -> UndoneOut:
        """Take back one's own label; its pair comes back."""
        return self._line.post(f"/labels/{id_of(label)}/undo", UndoneOut)

    def release(self, card: Card) -> None:
        """Give a pair back unjudged."""
        self._line.ask("DELETE", f"/leases/{card.lease}")

    def list(self, dataset: Ref) -> Iterator[LabelOut | OwnLabelOut]:
        """Every label that counts in a dataset; annotators see their own."""
        path = f"/datasets/{id_of(dataset)}/labels"
        return self._line.pages(path, LabelOut | OwnLabelOut, limit=200)  # type: ignore[arg-type]
