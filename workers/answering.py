"""Checkpoints that answer prompts: the last two stay loaded; what keeps one from answering is a named error."""

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from alignment.chat import TemplateRefused, UnsupportedContent
from alignment.generation import Generator, PromptTooLong, Response
from alignment.training.errors import CheckpointRefused
from backend import storage
from backend.checkpoints import endpoints, places
from backend.checkpoints.models import Checkpoint
from backend.checkpoints.openai import PromptRefused
from backend.checkpoints.schemas import EndpointFacts
from backend.db import transaction
from backend.errors import AppError
from workers import shutdown
from workers.endpoint import Endpoint
from workers.refusal import Refused as Refused

KEPT = 2
ASK_SECONDS = 1.0
BEAT_SECONDS = 5.0
PUT_BACK = "Put its folder back where it was registered, or choose another checkpoint."
# Of one prompt; the checkpoint is fine.
PROMPT_ERRORS = (PromptTooLong, TemplateRefused, UnsupportedContent, PromptRefused)
Answering = Generator | Endpoint
M = TypeVar("M")


class Shelf:
    """The checkpoints used last, ready to answer."""

    def __init__(self) -> None:
        self._loaded: OrderedDict[uuid.UUID, Generator] = OrderedDict()

    def get(self, checkpoint: Checkpoint, watch: "Watch", *, together: int = KEPT) -> Answering:
        """The loaded checkpoint; while it loads, `watch` keeps telling that the worker lives.  Raises Refused.

        As many as answer `together` stay loaded, and two at least.
        """
        if checkpoint.endpoint is not None:
            return reach(checkpoint)
        if checkpoint.id not in self._loaded:
            while len(self._loaded) >= max(KEPT, together):  # make room before, not after
                self._loaded.popitem(last=False)
            with watch.meanwhile():
                self._loaded[checkpoint.id] = load(checkpoint, Generator)
        self._loaded.move_to_end(checkpoint.id)
        return self._loaded[checkpoint.id]

    def clear(self) -> None:
        self._loaded.clear()


transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
SHELF = Shelf()


def reach(checkpoint: Checkpoint) -> Endpoint:
    """The endpoint that `checkpoint` is, with its key.  Raises Refused."""
    facts = EndpointFacts.model_validate(checkpoint.endpoint)
    try:
        with transaction() as session:
            key = endpoints.key(session, checkpoint.project_id, facts.secret, facts.base_url)
    except AppError as error:
        raise Refused(f"“{checkpoint.name}” cannot be asked: {error.detail}", error.remedy or PUT_BACK) from error
    return Endpoint(checkpoint.name, facts, key)


def load(checkpoint: Checkpoint, make: Callable[[Path], M]) -> M:
    """What `make` makes of the checkpoint's folder.  Raises Refused."""
    with transaction() as session:
        links = places.chain(session, checkpoint)
    try:
        with storage.using() as use:
            return _loaded(checkpoint, places.place(links, use), make)
    except AppError as error:
        raise Refused(f"“{checkpoint.name}” cannot be had: {error.detail}", error.remedy or PUT_BACK) from error


def _loaded(checkpoint: Checkpoint, folder: Path, make: Callable[[Path], M]) -> M:
    if not folder.is_dir():
        raise Refused(f"The folder of “{checkpoint.name}” is missing.", PUT_BACK)
    try:
        return make(folder)
    except CheckpointRefused as error:
        raise Refused(f"“{checkpoint.name}” cannot be used: {error.detail}", error.remedy) from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise out_of_memory(checkpoint.name) from error
    except SafetensorError as error:
        raise Refused(f"The weights of “{checkpoint.name}” are damaged.", PUT_BACK) from error
    except OSError as error:
        reason = f"The files of “{checkpoint.name}” cannot be read ({error.strerror or type(error).__name__})."
        raise Refused(reason, PUT_BACK) from error


def out_of_memory(name: str) -> Refused:
    """What is told when “name” does not fit."""
    return Refused(f"There was not enough memory for “{name}”.", "Use a smaller checkpoint or shorter answers.")


def storable(text: str) -> str:
    """A text as a database can hold it: without NUL and halves of surrogate pairs."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def as_answer(response: Response) -> dict[str, Any]:
    """A response as it is kept with a match."""
    return {"content": storable(response.text), "tokens": response.tokens, "ended": response.finish == "end"}


def as_error(error: Exception) -> dict[str, Any]:
    """Why one prompt has no answer, as it is kept with a match."""
    if isinstance(error, PromptTooLong):
        detail = f"The prompt has {error.tokens} tokens; this checkpoint has room for {error.room} beside its answer."
        return {"error": "prompt too long", "detail": detail}
    if isinstance(error, UnsupportedContent):
        return {"error": "not only text", "detail": "The prompt holds something other than text."}
    if isinstance(error, PromptRefused):
        return {"error": "refused by the endpoint", "detail": error.reason}
    return {"error": "chat template", "detail": "The checkpoint's chat template refuses this prompt."}


class Watch:
    """Asks about once a second whether work should go on; the asking is the heartbeat."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._next = 0.0
        self.stopped = False

    def __call__(self) -> bool:
        """Whether to stop."""
        if not self.stopped and time.monotonic() >= self._next:
            self.stopped = shutdown.asked() or not self._ask()
            self._next = time.monotonic() + ASK_SECONDS
        return self.stopped

    @contextmanager
    def meanwhile(self) -> Iterator[None]:
        """Keep the heartbeat going in a thread while the block does something that cannot ask by itself."""
        over = threading.Event()

        def keep_on() -> None:
            while not over.wait(BEAT_SECONDS):
                self._ask()

        beating = threading.Thread(target=keep_on, daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()
