"""No log line holds a secret, whichever way it came in."""

import json
import logging
from pathlib import Path

import pytest
import structlog

from backend.logs import configure
from backend.redaction import HIDDEN, hide, redacted
from backend.settings import Settings

VALUE = "quite an ordinary looking value 4711"
TOKEN = "hf_" + "AbCdEfGhIjKlMnOpQrSt"


class Holder:
    """Something whose text holds a secret."""

    def __str__(self) -> str:
        return f"Holder({VALUE})"


def fail() -> None:
    raise RuntimeError(f"refused {VALUE} at https://user:{TOKEN}@hub.example")


def test_nothing_gets_into_a_log(quiet: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as a word of the message, nor in a value however deep, nor in the trace of an error, file or terminal."""
    hide(VALUE)
    path = configure("web", Settings(data=tmp_path))
    log = structlog.get_logger()
    log.warning(f"sent {VALUE}", url=f"https://x/?token={TOKEN}", deep={"list": [VALUE, {"a": (VALUE,)}]}, own=Holder())
    log.warning("by name", password="hunter2", hub_token="short", headers={"authorization": "Basic eHg="}, tokens=7)
    logging.getLogger("elsewhere").warning("asked with %s", f"Bearer {TOKEN}")
    try:
        fail()
    except RuntimeError:
        log.exception("failed")
    text = path.read_text() + capsys.readouterr().err
    for secret in (VALUE, TOKEN, "hunter2", "eHg="):
        assert secret not in text
    second = json.loads(path.read_text().splitlines()[1])
    assert (second["password"], second["hub_token"], second["tokens"]) == (HIDDEN, HIDDEN, 7)
    assert "RuntimeError" in text


@pytest.mark.parametrize(
    "text",
    ["plb_short", "step 10 of 100, 512 tokens", "task-runner-process", "sk-learn", "https://host:8080/path?name=x"],
)
def test_ordinary_text_stays(text: str) -> None:
    """What only resembles a secret from afar is still readable."""
    assert redacted(text) == text


def test_short_values_are_not_hidden() -> None:
    """A secret of a few letters would take them out of every word."""
    hide("step")

    assert redacted("step 10") == "step 10"
