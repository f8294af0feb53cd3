"""Logs: every process writes JSON lines to `logs/<name>.log` of the data folder, and to standard error short lines for
people, or the same JSON where no person looks on."""

import logging
import logging.handlers
import sys
from pathlib import Path
from types import TracebackType

import structlog

from backend.redaction import redact
from backend.settings import Settings

LOG_BYTES = 8 << 20  # a log is turned over at the next start beyond this; one older file is kept

# Without local variables: they hold passwords and people's texts, and take seconds to write down.
TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(name: str, settings: Settings) -> Path:
    """Afterwards structlog and `logging` write to `<name>.log`, and from a level on to standard error too.

    An error that ends the process is written there with its trace, and is one line on standard error.
    """
    settings.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = settings.logs / f"{name}.log"
    turn_over(path)
    steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    in_json = _formatter(steps, _named(name), TRACEBACKS, redact, structlog.processors.JSONRenderer())
    # It looks whether the file is still the one of that name, so that a program of the system may turn it over.
    written = logging.handlers.WatchedFileHandler(path, encoding="utf-8", delay=True)
    written.setFormatter(in_json)
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(settings.log_level.upper())
    plain = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    shown.setFormatter(_formatter(steps, redact, _short(name)) if plain else in_json)
    root = logging.getLogger()
    root.handlers[:] = [written, shown]
    root.setLevel(logging.INFO)
    for chatty in ("httpx", "httpx2", "urllib3", "alembic.runtime.migration", "multipart", "PIL", "matplotlib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    sys.excepthook = _write_down
    return path


def _write_down(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("plumbline").critical(f"ended by {kind.__name__}", exc_info=(kind, error, trace))


def turn_over(path: Path) -> None:
    """Afterwards the log at `path` is small: a big one is kept once, as `.1`."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))


def _formatter(
    steps: list[structlog.typing.Processor], *last: structlog.typing.Processor
) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=steps, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )


def _named(name: str) -> structlog.typing.Processor:
    """Says which process a line is from: on standard error they mix."""

    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.pop("color_message", None)  # uvicorn says everything twice
        return {**event, "process": name}

    return add


def _short(name: str) -> structlog.typing.Processor:
    """`12:30:01 web: what happened key=value`; the trace of an exception is only in the file."""

    def render(_: object, __: str, event: structlog.typing.EventDict) -> str:
        time = str(event.pop("timestamp"))[11:19]
        what = event.pop("event")
        level = str(event.pop("level", "info"))
        trouble = " (its trace is in the log file)" if event.pop("exc_info", None) else ""
        for silent in ("logger", "stack_info", "data"):
            event.pop(silent, None)
        facts = "".join(f" {key}={value}" for key, value in event.items())
        return f"{time} {name}: {'' if level == 'info' else level + ': '}{what}{facts}{trouble}"

    return render
