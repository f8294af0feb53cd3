"""Packs computed beside each other on a CPU, each on processors of its own.

A pack that fits a processor's caches has products too small to be divided well: two packs at once, on a thread each,
are a third to a half faster than one after the other on two.  Every lane computes as it would alone, and the packs add
their gradients to a weight in their own order, however fast each is, so that a run stays the same to the last bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from alignment.training.batches import LANES, abreast

if TYPE_CHECKING:
    from alignment.training.scoring import Scoring
    from alignment.training.spec import Spec

Pack = TypeVar("Pack")
Result = TypeVar("Result")


def able(scoring: Scoring) -> bool:
    """Whether packs of such a model, on such a device, can be computed beside each other."""
    return scoring.device.type == "cpu" and scoring.ranks.size == 1 and scoring.structure.steady


def most(spec: Spec, scoring: Scoring) -> int:
    """How many packs of a run may be computed at once, as far as threads and exactness go."""
    free = able(scoring) and abreast(spec.objective.needs, spec.tuning)
    return min(LANES, torch.get_num_threads()) if free else 1


def each(
    packs: Sequence[Pack],
    work: Callable[[Pack], Result],
    check: Callable[[], None],
    weights: Iterable[Tensor],
    *,
    lanes: int,
    at_once: int,
) -> list[Result]:
    """What `work` gives for each of the packs, in their order.

    Each has its share of the threads, as if so many `lanes` were busy; so many packs are computed `at_once`, which
    changes no bit.  This thread is one lane.  Gradients of the `weights` are added in the order of the packs.

    Raises what `check`, asked before each pack of this thread, or the first pack that failed raised, once no pack is
    computed any more; those that had not begun never are.
    """
    share = max(1, torch.get_num_threads() // max(1, min(lanes, len(packs))))
    gradients, threads = torch.is_grad_enabled(), torch.get_num_threads()
    order = _Order(weights if gradients and at_once > 1 else ())
    places = iter(range(len(packs)))
    found: dict[int, Result] = {}
    failed: dict[int, BaseException] = {}

    def lane(check: Callable[[], None]) -> None:
        torch.set_num_threads(share)  # of this thread's own work
        while not order.over and (place := next(places, None)) is not None:
            try:
                with torch.set_grad_enabled(gradients), order.at(place):
                    check()
                    found[place] = work(packs[place])
            except BaseException as error:  # noqa: BLE001  (raised below, when all lanes have ended)
                failed[place] = error
                order.end()

    others = [threading.Thread(target=lane, args=(_nothing,)) for _ in range(min(at_once, len(packs)) - 1)]
    with order:
        try:
            for other in others:
                other.start()
            lane(check)
            for other in others:
                other.join()
        except BaseException:  # no thread could be started, or somebody would not wait
            order.end()
            raise
        finally:
            for other in others:
                if other.is_alive():
                    other.join()
            torch.set_num_threads(threads)
    if failed:
        raise failed[min(failed)]
    return [found[place] for place in range(len(packs))]


def _nothing() -> None:
    pass


class _Order:
    """While it is entered, a weight's gradients are added pack after pack: who comes early waits, unless it is over."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._weights = [weight for weight in weights if weight.requires_grad]
        self._moved = threading.Condition()
        self._mine = threading.local()
        self._done: set[int] = set()  # packs that will add nothing more
        self._added: list[set[int]] = [set() for _ in self._weights]  # to each weight: packs that have
        self._next = [0] * len(self._weights)  # of each weight: the first pack that may still add to it
        self._hooks = ExitStack()
        self.over = False  # gradients will not be used

    def end(self) -> None:
        """Afterwards nobody waits."""
        with self._moved:
            self.over = True
            self._moved.notify_all()

    def __enter__(self) -> None:
        for number, weight in enumerate(self._weights):
            before = weight.register_hook(partial(self._wait, number))  # type: ignore[no-untyped-call]
            after = weight.register_post_accumulate_grad_hook(partial(self._note, number))  # type: ignore[no-untyped-call]
            self._hooks.callback(before.remove)
            self._hooks.callback(after.remove)

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    @contextmanager
    def at(self, place: int) -> Iterator[None]:
        """What this thread computes is the pack at that place."""
        self._mine.place = place
        try:
            yield
        finally:
            with self._moved:
                self._done.add(place)
                self._moved.notify_all()

    def _wait(self, number: int, _: Tensor) -> None:
        with self._moved:
            self._moved.wait_for(partial(self._turn, number, self._mine.place))

    def _turn(self, number: int, place: int) -> bool:
        added, following = self._added[number], self._next[number]
        while following < place and (following in self._done or following in added):
            following += 1
        self._next[number] = following
        return self.over or following >= place

    def _note(self, number: int, _: Tensor) -> None:
        with self._moved:
            self._added[number].add(self._mine.place)
            self._moved.notify_all()
