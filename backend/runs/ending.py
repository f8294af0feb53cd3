"""How a run ended, in words for people: from its last event, its exit code, and who asked for the end."""

import signal
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import work
from backend.regressions import service as regressions
from backend.runs.models import Place, Run, RunEvent
from backend.work import State

AGAIN = "Launch the run again; if it fails the same way, its log says more."
BY_EXIT_CODE = {
    64: ("bad_spec", "The run's specification is not valid.", "Correct the fields that the log names."),
    65: ("bad_data", "The training data cannot be used.", "See the log for the example at fault."),
    70: ("non_finite_loss", "The loss is no longer a number.", "Lower the learning rate, or train in fp32."),
    71: ("out_of_memory", "The machine ran out of memory.", "Lower batch.tokens_per_pack, or use LoRA."),
    74: ("disk_full", "The disk is full.", "Free some space, then launch the run again."),
}
LAST_WORDS = ("done", "error")
KILLED = (
    "killed",
    "The training process was killed by the system ({signal}). Most often this means that memory ran out.",
    "Lower batch.tokens_per_pack or the lengths, use LoRA, or choose a smaller checkpoint.",
)
UNEXPECTED = ("unexpected", "Training stopped on an unexpected error.", AGAIN)
STOPPED = ("stopped", "Plumbline itself was stopped during the run.", "{kept}{again}.")
STOPPED_FROM_OUTSIDE = (
    "stopped",
    "Something outside Plumbline told the training process to stop; it saved and ended.",
    "{kept}Find out what sends signals on this machine. {again}.",
)
WORKER_GONE = (
    "worker_gone",
    "The worker that ran it was killed, or its machine was switched off.",
    "{kept}{again}.",
)
GONE_ELSEWHERE = (
    "gone",
    "The training process elsewhere ended, and nobody saw how.",
    "Look at the output of the machine that trained, then launch the run again.",
)
SILENT_ELSEWHERE = (
    "silent",
    "The program that trains on “{host}” has not been heard of for more than a minute.",
    "It is taken up again as soon as it reports; else look at that machine and its network.",
)
SILENT = (
    "silent",
    "The worker on “{host}” has not been heard of for more than a minute.",
    "Look at that machine and its network. {again}.",
)


class Cause(NamedTuple):
    """Why a run failed: a code, a sentence, and what to do."""

    code: str
    reason: str
    remedy: str


def conclude(session: Session, run: Run, exit_code: int | None, *, otherwise: Cause | None = None) -> None:
    """Afterwards `run` (locked, its events stored) has ended, with the reason.

    `exit_code` is None when nobody saw the process end. `otherwise` is the cause when the process was made to stop
    though nobody asked for the run to be cancelled.
    """
    if run.state in work.ENDED:
        return
    last = _last(session, run)
    run.eta_seconds = None
    if last is not None and last.kind == "done" and not last.payload.get("cancelled"):
        work.finish(run, State.succeeded)
        run.state_step = run.state_host = None
        regressions.when_ended(session, run)
    elif last is not None and last.kind == "error":
        _fail(run, _from_event(last.payload))
    elif run.stop_requested:
        work.finish(run, State.cancelled, _cancelled(run, last))
    elif otherwise is not None:
        _fail(run, otherwise)
    elif last is not None:  # it says itself that it was made to stop, and nobody here asked
        _fail(run, _filled(STOPPED_FROM_OUTSIDE, run))
    else:
        _fail(run, _from_exit_code(exit_code))


def fail(run: Run, cause: Cause) -> None:
    """Afterwards `run` (locked) has failed for that cause, unless it had ended before."""
    if run.state not in work.ENDED:
        run.eta_seconds = None
        _fail(run, cause)


def stopped(run: Run) -> Cause:
    """The cause when the worker was told to stop."""
    return _filled(STOPPED, run)


def worker_gone(run: Run) -> Cause:
    """The cause when the worker died on this machine."""
    return _filled(WORKER_GONE, run)


def silent(run: Run) -> Cause:
    """The cause when a worker on another machine, or a program elsewhere, is no longer heard of."""
    return _filled(SILENT_ELSEWHERE if run.place is Place.elsewhere else SILENT, run)


def _filled(cause: tuple[str, str, str], run: Run) -> Cause:
    kept = f"What was saved up to step {run.done} is kept under Checkpoints. " if run.done else ""
    code, reason, remedy = cause
    again = "Launch the run again" if run.state_step is None else f"Continue the run from step {run.state_step}"
    host = (run.reporter or {}).get("host") or run.host
    return Cause(code, reason.format(host=host), remedy.format(kept=kept, again=again))


def _last(session: Session, run: Run) -> RunEvent | None:
    found = session.scalars(
        select(RunEvent)
        .where(RunEvent.run_id == run.id, RunEvent.kind.in_((*LAST_WORDS, "continued", "resumed")))
        .order_by(RunEvent.id.desc())
        .limit(1)
    ).first()
    return found if found is not None and found.kind in LAST_WORDS else None  # it has said nothing since it went on


def _from_event(payload: dict[str, Any]) -> Cause:
    known = BY_EXIT_CODE.get(payload.get("exit_code") or 1, UNEXPECTED)
    detail, title = payload.get("detail"), payload.get("title")
    reason = ". ".join(str(part).rstrip(".") for part in (title, detail) if part)
    return Cause(
        str(payload.get("code") or known[0]),
        f"{reason}." if reason else known[1],
        str(payload.get("remedy") or known[2]),
    )


def _from_exit_code(exit_code: int | None) -> Cause:
    if exit_code is not None and exit_code < 0:
        code, reason, remedy = KILLED
        return Cause(code, reason.format(signal=_signal_name(-exit_code)), remedy)
    return Cause(*BY_EXIT_CODE.get(exit_code or 1, UNEXPECTED))


def _signal_name(number: int) -> str:
    """Its name; most real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _cancelled(run: Run, last: RunEvent | None) -> str:
    saved = last is not None and last.kind == "done"
    kept = "what was saved is kept" if saved else "it did not save in time and was ended"
    return f"Cancelled at step {run.done} of {run.total}; {kept}." if run.done else "Cancelled before its first step."


def _fail(run: Run, cause: Cause) -> None:
    run.failure = cause.code
    work.finish(run, State.lost if cause.code == "silent" else State.failed, cause.reason, cause.remedy)
