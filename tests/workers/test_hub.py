"""The process that downloads, against an imitation of a hub with good and bad manners."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.checkpoints.hub import Hub, choose
from backend.checkpoints.hub_errors import Away, Busy, Lied, Refused, TokenRefused
from tests.hub import COMMIT, Manners, serving
from workers import hub as program
from workers.hub import download, main

WEIGHTS = "model.safetensors"
BYTES = bytes(range(256)) * 1200  # 300 KiB
Run = Callable[..., None]


@pytest.fixture
def manners() -> Manners:
    """A model of two small files and one large one."""
    return Manners({"config.json": b"{}", "tokenizer.json": b"{}", WEIGHTS: BYTES})


@pytest.fixture
def run(manners: Manners, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Downloads `someone/tiny` into `tmp_path` without pauses."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(program, "PAUSE_SECONDS", 0.001)
    with serving(manners) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)

        def once(token: str | None = None) -> None:
            with Hub(token) as hub:
                download(hub, "someone/tiny", "main", tmp_path)

        yield once


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_whole(run: Run, manners: Manners, tmp_path: Path) -> None:
    """Every file arrives whole, under its own name, at the pinned commit."""
    run()

    assert names(tmp_path) == ["config.json", WEIGHTS, "tokenizer.json"]
    assert (tmp_path / WEIGHTS).read_bytes() == BYTES
    assert all(COMMIT in one.path for one in manners.asked if "/resolve/" in one.path)


def test_the_token_stays_with_the_hub(run: Run, manners: Manners) -> None:
    """Where the hub sends its visitors on to another host, the token is not shown there."""
    manners.token = "hf_secret"
    run("hf_secret")

    shown = {one.server: one.token for one in manners.asked}
    assert shown == {"hub": "Bearer hf_secret", "store": None}


def test_goes_on_where_it_broke_off(run: Run, manners: Manners, tmp_path: Path) -> None:
    """A connection that breaks in mid-file is taken up at the last byte, again and again."""
    manners.cuts = [100_000, 50_000, 10]
    run()

    assert (tmp_path / WEIGHTS).read_bytes() == BYTES
    assert [one.range for one in manners.asked if one.server == "store"] == [
        None,
        "bytes=100000-",
        "bytes=150000-",
        "bytes=150010-",
    ]


def test_goes_on_in_another_process(run: Run, manners: Manners, tmp_path: Path) -> None:
    """What an earlier process left is not fetched again: whole files not at all, a part from its last byte on."""
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / (WEIGHTS + ".part")).write_bytes(BYTES[:250_000])
    run()

    assert (tmp_path / WEIGHTS).read_bytes() == BYTES
    assert [one.range for one in manners.asked if one.server == "store"] == ["bytes=250000-"]
    assert not any(one.path.endswith("config.json") for one in manners.asked)


def test_a_part_of_something_else_is_noticed(run: Run, tmp_path: Path) -> None:
    """A part whose bytes are wrong fails by the digest and is thrown away; the next attempt begins anew."""
    (tmp_path / (WEIGHTS + ".part")).write_bytes(b"x" * 250_000)

    with pytest.raises(Lied, match="digest"):
        run()
    run()
    assert (tmp_path / WEIGHTS).read_bytes() == BYTES


def test_without_ranges(run: Run, manners: Manners, tmp_path: Path) -> None:
    """A hub that knows no ranges sends the whole file again, which replaces the part."""
    manners.ranges, manners.cuts = False, [100_000]
    run()

    assert (tmp_path / WEIGHTS).read_bytes() == BYTES


def test_gives_up_when_nothing_more_comes(run: Run, manners: Manners, tmp_path: Path) -> None:
    """Only attempts without one new byte count; what has arrived stays for another one."""
    manners.cuts = [1000] + [0] * program.TRIES
    with pytest.raises(Away, match="again and again"):
        run()

    assert (tmp_path / (WEIGHTS + ".part")).stat().st_size == 1000


def test_waits_as_long_as_it_is_asked(run: Run, manners: Manners, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 is obeyed: in seconds or by a date."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    manners.busy = ["7", "Sat, 01 Jan 2000 00:00:00 GMT", "3"]
    run()

    assert waited[:3] == [7.0, program.PAUSE_SECONDS, 3.0]


def test_does_not_wait_for_ever(run: Run, manners: Manners) -> None:
    """A hub that asks to wait for a day ends the download with that sentence."""
    manners.busy = ["86400"]

    with pytest.raises(Busy, match="86,400 seconds"):
        run()


def test_errors_of_the_hub_are_tried_again(run: Run, manners: Manners, tmp_path: Path) -> None:
    """Two answers of 503 cost nothing but time."""
    manners.errors = [503, 502]
    run()

    assert (tmp_path / WEIGHTS).exists()


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"stated_sizes": {WEIGHTS: 1000}}, "states 1,000 bytes"),
        ({"stated_sizes": {WEIGHTS: 1000}, "no_length": True}, "sends more"),
        ({"stated_sizes": {WEIGHTS: 10_000_000}}, "states 10,000,000 bytes"),
        ({"stated_sizes": {WEIGHTS: None}}, "does not state the size"),
        ({"stated_sizes": {WEIGHTS: -1}}, "does not state the size"),
        ({"stated_digests": {WEIGHTS: "0" * 64}}, "digest"),
        ({"stated_digests": {"config.json": "0" * 40}}, "digest"),
        ({"served": {WEIGHTS: BYTES[::-1]}}, "digest"),
        ({"served": {WEIGHTS: b""}}, "sends 0"),
        ({"onward": "file:///etc/passwd"}, "not safe"),
        ({"onward": "/someone/tiny/resolve/" + COMMIT + "/model.safetensors"}, "circles"),
    ],
)
def test_a_hub_that_lies(run: Run, manners: Manners, tmp_path: Path, lie: dict[str, object], words: str) -> None:
    """A size or digest that is not what comes ends the download; never more is written than was stated."""
    for name, value in lie.items():
        setattr(manners, name, value)

    with pytest.raises(Lied, match=words):
        run()
    assert not (tmp_path / WEIGHTS).exists()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= len(BYTES) + 4


def test_a_size_that_cannot_fit(run: Run, manners: Manners, tmp_path: Path) -> None:
    """A stated size beyond the disk is refused before one byte of a file."""
    manners.stated_sizes[WEIGHTS] = 10**15
    with pytest.raises(Refused, match="stay reserved"):
        run()

    assert names(tmp_path) == [".lock"]
    assert not any("/resolve/" in one.path for one in manners.asked)


@pytest.mark.parametrize(
    ("token", "change", "words", "remedy"),
    [
        (None, {"token": "hf_good", "gated": "manual"}, "gated", "Accept the license on http"),
        ("hf_bad", {"token": "hf_good"}, "does not accept this token", "make a new one"),
        ("hf_good", {"forbidden": True}, "may not yet", "fine-grained"),
    ],
)
def test_tokens_without_rights(
    run: Run, manners: Manners, token: str | None, change: dict[str, object], words: str, remedy: str
) -> None:
    """No token, a wrong one, and one without the right are told apart, each with what to do."""
    for name, value in change.items():
        setattr(manners, name, value)

    with pytest.raises(TokenRefused) as refused:
        run(token)
    assert words in refused.value.reason
    assert remedy in refused.value.remedy


def test_off_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is told to ask no hub asks no hub at all."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    with pytest.raises(Refused, match="HF_HUB_OFFLINE"):
        Hub(None)


def test_what_is_said(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The worker is told commit, size and license first, and the end last."""
    assert main(["someone/tiny", "main", str(tmp_path)]) == 0

    first, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {"commit": COMMIT, "bytes": len(BYTES) + 4, "license": "apache-2.0"}
    assert last == {"done": True}


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (["config.json", "pytorch_model.bin", "tokenizer.json"], "pickle"),
        (["config.json", "consolidated.00.pth", "tokenizer.json"], "pickle"),
        (["config.json", "tokenizer.json"], "no safetensors"),
        (["config.json", "model.safetensors"], "no tokenizer"),
        (["adapter_config.json", "adapter_model.safetensors", "tokenizer.json"], "adapter"),
        (["config.json", "adapter_model.safetensors", "tokenizer.json"], "no safetensors"),
        (["README.md"], "config.json"),
        (["sub/config.json", "sub/model.safetensors", "../tokenizer.json"], "config.json"),
    ],
)
def test_refused_before_download(listed: list[str], words: str) -> None:
    """What cannot become a checkpoint is refused by its list of files, before anything large is fetched."""
    with pytest.raises(Refused) as refused:
        choose(listed)

    assert words in refused.value.reason


def test_only_what_is_needed() -> None:
    """Neither pickles nor code, nor a second copy of the weights, nor a name that could do harm is fetched."""
    wanted = [
        "LICENSE",
        "README.md",
        "USE_POLICY.md",
        "chat_template.jinja",
        "config.json",
        "merges.txt",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "vocab.json",
    ]
    others = [
        "consolidated.safetensors",
        "model.fp16.safetensors",
        "pytorch_model.bin",
        "modeling.py",
        "trainer_state.json",
        "LICENSE.py",
        "a/b.json",
        "a\\config.json",
        ".git",
        "tokenizer.json\n",
        "C:vocab.json",
    ]

    assert choose([*others, *wanted]) == wanted
