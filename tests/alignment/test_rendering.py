"""Chat templates come from strangers: what they may take is limited, and what stops one stops nothing else."""

import os
import signal
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import pytest

from alignment.rendering import Dialogue, Renderer, TemplateRefused, TemplateStopped

PLAIN = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
QUESTION = Dialogue([{"role": "user", "content": "hi"}])
TRAP = Dialogue([{"role": "user", "content": "trap"}])
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
BOMB = "{{ 'x' * 10 ** 11 }}"


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    made = Renderer(cpu_seconds=0.5)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("hostile", "words"),
    [
        (LOOP, "does not come to an end"),
        (BOMB, "too much memory"),
        ("{% set n = 9 %}{{ n ** (n ** n) }}", "does not come to an end"),
        (
            "{% set n = namespace(s='x') %}{% for a in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
            "too much memory",
        ),
    ],
)
def test_a_template_that_waits_for_its_moment_is_stopped(renderer: Renderer, hostile: str, words: str) -> None:
    """It behaved in every trial; the dialogue that set it off is told, and the next one is written as ever."""
    template = "{% if messages[0].content == 'trap' %}" + hostile + "{% endif %}" + PLAIN

    with pytest.raises(TemplateStopped, match=words) as stopped:
        renderer.render(template, {}, [QUESTION, QUESTION, TRAP, QUESTION])

    assert stopped.value.index == 2
    assert renderer.render(template, {}, [QUESTION])[0].prompt == "<user>hi<assistant>"


def test_texts_that_are_too_much_together_are_stopped(renderer: Renderer) -> None:
    """Each alone would be allowed, and whoever asks for many has all of them at once."""
    template = "{{ 'x' * 30000000 }}" + PLAIN
    with pytest.raises(TemplateStopped, match="too much memory") as stopped:
        renderer.render(template, {}, [QUESTION] * 20)

    assert stopped.value.index == 8


@pytest.mark.parametrize(
    "template",
    [
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(a=1) }}",
        "{% for",
        "{{ 1 / 0 }}",
        "{{ cycler() }}",
        "{% include '/etc/passwd' %}",
        "{{ raise_exception('no') }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    ],
)
def test_what_reaches_out_or_breaks_is_refused_with_a_sentence(renderer: Renderer, template: str) -> None:
    """Nothing outside is touched, no message is changed, and no traceback is shown."""
    with pytest.raises(TemplateRefused) as refused:
        renderer.render(template + PLAIN, {}, [QUESTION])

    assert refused.value.reason
    assert "Traceback" not in refused.value.reason


def test_the_process_knows_no_secret(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever got out of the sandbox would find no token of ours."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    renderer.close()
    renderer.render(PLAIN, {}, [QUESTION])

    with open(f"/proc/{renderer.pid}/environ", "rb") as file:  # noqa: PTH123  (procfs)
        assert b"hf_secret" not in file.read()


def test_a_process_that_was_ended_is_started_again(renderer: Renderer) -> None:
    """Whoever ends it, or a fork that has none, loses no dialogue."""
    renderer.render(PLAIN, {}, [QUESTION])
    assert renderer.pid is not None
    os.kill(renderer.pid, signal.SIGKILL)

    assert renderer.render(PLAIN, {}, [QUESTION] * 3)[2].prompt == "<user>hi<assistant>"


def test_a_template_that_writes_the_date_writes_the_given_one(renderer: Renderer) -> None:
    """A run that goes on tomorrow has the prompts that it began with; otherwise it is today."""
    dated = "{{ strftime_now('%d %b %Y') }}" + PLAIN
    with renderer.on(date(2024, 7, 26)):
        then = renderer.render(dated, {}, [QUESTION])[0].prompt
    now = renderer.render(dated, {}, [QUESTION])[0].prompt

    assert then.startswith("26 Jul 2024<user>")
    assert now.startswith(f"{datetime.now().astimezone():%d %b %Y}")


def test_threads_take_turns(renderer: Renderer) -> None:
    """Each gets the answers to its own dialogues."""
    asked = [[Dialogue([{"role": "user", "content": f"{thread} {n}"}]) for n in range(20)] for thread in range(4)]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda some: renderer.render(PLAIN, {}, some), asked))

    for some, turns in zip(asked, found, strict=True):
        assert [turn.prompt for turn in turns] == [f"<user>{one.prompt[0]['content']}<assistant>" for one in some]


def test_a_fork_has_a_process_of_its_own(renderer: Renderer) -> None:
    """Else parent and child would read each other's answers."""
    renderer.render(PLAIN, {}, [QUESTION])
    ours = renderer.pid

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads beside the fork
        child = os.fork()
    if not child:
        os._exit(0 if renderer.pid is None else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert renderer.render(PLAIN, {}, [QUESTION])[0].prompt == "<user>hi<assistant>"
    assert renderer.pid == ours


def test_nothing_to_render_starts_nothing(renderer: Renderer) -> None:
    """An empty list costs no process."""
    renderer.close()

    assert renderer.render(PLAIN, {}, []) == []
    assert renderer.pid is None
