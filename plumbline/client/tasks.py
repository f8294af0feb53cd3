"""Labelling tasks: made, changed, closed, their cards, and suggestions of what to answer."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun, Spec
from plumbline.client.schemas import (
    Card,
    CardsOut,
    SuggestedOut,
    SuggestionJobOut,
    SuggestionOut,
    SuggestionSizeOut,
    SuggestionsOut,
    TaskDetail,
    TaskOut,
)

Suggesters = list[SuggestedOut]


class Tasks(Noun):
    """`client.tasks`."""

    def create(self, name: str, dataset: Ref, question: Spec | None = None, **wants: Any) -> TaskDetail:
        """Ask people a question about the items of a dataset: `{"kind": "pair" | "ranking" | "thumb", …}`.

        `guidelines`, `overlap`, `gold_share`, `order`, `deadline`, `people` and `assistance` are as the API's reference
        has them under `TaskIn`.
        """
        body = {"name": name, "dataset_id": id_of(dataset), "question": dict(question) if question else None, **wants}
        return self._line.create("/tasks", TaskDetail, body)

    def list(
        self, dataset: Ref | None = None, *, state: Literal["open", "closed"] | None = None
    ) -> Iterator[TaskDetail | TaskOut]:
        """Tasks with how far they are, newest first; annotators see open ones that they may label in."""
        query = {"dataset_id": optional_id(dataset), "state": state}
        return self._line.pages("/tasks", TaskDetail | TaskOut, **query)  # type: ignore[arg-type]

    def get(self, task: Ref) -> TaskDetail | TaskOut:
        """One task; annotators are not told its order and its gold share."""
        return self._line.get(f"/tasks/{id_of(task)}", TaskDetail | TaskOut)  # type: ignore[arg-type]

    def change(self, task: Ref, **changes: Any) -> TaskDetail | TaskOut:
        """Give a task another name, overlap, order, deadline (None: no end) …; its question stays."""
        self._line.ask("PATCH", f"/tasks/{id_of(task)}", json=changes)
        return self.get(task)

    def close(self, task: Ref) -> TaskDetail | TaskOut:
        """Hand out no more of it; labels on their way are kept."""
        return self._line.post(f"/tasks/{id_of(task)}/close", TaskDetail | TaskOut)  # type: ignore[arg-type]

    def reopen(self, task: Ref) -> TaskDetail | TaskOut:
        """Let people go on."""
        return self._line.post(f"/tasks/{id_of(task)}/reopen", TaskDetail | TaskOut)  # type: ignore[arg-type]

    def next(self, task: Ref, n: int = 1, *, holding: Sequence[Ref] = ()) -> Sequence[Card]:
        """The next items to judge (`client.labels.submit`), blind, kept for the caller for ten minutes."""
        body = {"n": n, "holding": [id_of(one) for one in holding]}
        return self._line.post(f"/tasks/{id_of(task)}/cards", CardsOut, body, retry="always").cards

    def suggest(self, task: Ref, by: str, suggestions: Sequence[Spec]) -> SuggestionsOut:
        """Say what a program of yours would answer: `{item_id, value, margin}`, up to 1,000, all or none."""
        body = {"by": by, "suggestions": [dict(one) for one in suggestions]}
        answer = self._line.ask("PUT", f"/tasks/{id_of(task)}/suggestions", json=body)
        return SuggestionsOut.model_validate(answer.json())

    def let_suggest(self, task: Ref, judge: Spec, limits: Spec | None = None) -> SuggestionJobOut:
        """Let a judge of `client.evaluations.judges` suggest a label for every item that wants some: `reward_model`,
        `implicit_reward`, `llm` …; `limits` (`{money?, tokens?}`) is what that may cost at endpoints."""
        body = {"judge": dict(judge), "limits": dict(limits) if limits else None}
        return self._line.create(f"/tasks/{id_of(task)}/suggestion-jobs", SuggestionJobOut, body)

    def size_up_suggestions(self, task: Ref, judge: Spec) -> SuggestionSizeOut:
        """What that would take and cost; nothing is started."""
        path = f"/tasks/{id_of(task)}/suggestion-jobs/preflight"
        return self._line.post(path, SuggestionSizeOut, {"judge": dict(judge)}, retry="always")

    def suggestion_jobs(self, task: Ref) -> Iterator[SuggestionJobOut]:
        """Work that suggested labels for a task, newest first."""
        return self._line.pages(f"/tasks/{id_of(task)}/suggestion-jobs", SuggestionJobOut)

    def suggestion_job(self, job: Ref) -> SuggestionJobOut:
        """One of them, and how far it is."""
        return self._line.get(f"/suggestion-jobs/{id_of(job)}", SuggestionJobOut)

    def wait(
        self, job: Ref, tell: Callable[[SuggestionJobOut], None] | None = None, *, seconds: float | None = None
    ) -> SuggestionJobOut:
        """The work once it has succeeded.  Raises NotSucceeded, TookTooLong."""
        return self._until_ended(lambda: self.suggestion_job(job), tell, seconds)

    def cancel(self, job: Ref) -> SuggestionJobOut:
        """Stop it; what it has suggested stays."""
        return self._line.post(f"/suggestion-jobs/{id_of(job)}/cancel", SuggestionJobOut)

    def resume(self, job: Ref, limits: Spec | None = None) -> SuggestionJobOut:
        """Let what failed or was cancelled go on, with other limits; what is dealt with is not read again."""
        body = {"limits": dict(limits)} if limits else None
        return self._line.post(f"/suggestion-jobs/{id_of(job)}/resume", SuggestionJobOut, body)

    def suggestions(self, task: Ref) -> Iterator[SuggestionOut]:
        """What is suggested for a task, newest first."""
        return self._line.pages(f"/tasks/{id_of(task)}/suggestions", SuggestionOut, limit=200)

    def suggesters(self, task: Ref) -> Sequence[SuggestedOut]:
        """Which machines suggest something for a task, and for how many of its items."""
        return self._line.get(f"/tasks/{id_of(task)}/suggesters", Suggesters)

    def remove_suggestions(self, task: Ref) -> None:
        """Forget them all; labels that were made beside one say so still."""
        self._line.ask("DELETE", f"/tasks/{id_of(task)}/suggestions")
