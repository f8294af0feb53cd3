"""Exports: what is written answers like what it was written from, and appears whole or not at all."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment.export import compare, write
from alignment.export.errors import ExportDiffers, FolderTaken, NoAdapter
from alignment.export.plan import Dtype, Kind, plan
from alignment.export.write import Base, Exported, export
from alignment.training.errors import CheckpointRefused, DiskFull
from alignment.training.model import load_adapted, load_model, load_tokenizer

HUB = Base("someone/tiny", "c" * 40)
Make = Callable[..., Exported]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Exports into `tmp_path/out`."""

    def run(checkpoint: Path, kind: Kind = "merged", dtype: Dtype = "as_trained", **options: Any) -> Exported:
        place = options.pop("place", tmp_path / "out")
        tell = options.pop("tell", lambda _step: None)
        return export(plan(checkpoint, kind, dtype), place, HUB, lambda _comparison: "# A card\n", tell, **options)

    return run


def dtypes(folder: Path) -> set[str]:
    """The dtypes of all tensors of a folder."""
    found = set()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            found |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  (no mapping)
    return found


def logits(model: Any, folder: Path) -> torch.Tensor:
    return torch.cat(compare.logits(model, compare.render(load_tokenizer(folder))))


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft 0.21
def test_merged_answers_like_the_adapter_on_its_base(make: Make, base: Path, adapter: Path) -> None:
    """Loaded by transformers alone, the merged weights give the logits of base and adapter computed apart."""
    from peft import PeftModel

    made = make(adapter)

    apart = PeftModel.from_pretrained(load_model(base), str(adapter))
    apart.eval()
    alone = AutoModelForCausalLM.from_pretrained(made.folder, use_safetensors=True)
    alone.eval()  # type: ignore[no-untyped-call]
    assert dtypes(made.folder) == {"F32"}
    torch.testing.assert_close(logits(alone, adapter), logits(apart, adapter), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(alone, adapter), logits(load_model(base), adapter), atol=1e-3)
    assert made.comparison.difference < 1e-5


def test_chain_of_adapters(make: Make, second: Path) -> None:
    """An adapter of an adapter is merged down to one whole model."""
    made = make(second)

    torch.testing.assert_close(logits(load_model(made.folder), second), logits(load_model(second), second))
    assert not (made.folder / "adapter_config.json").exists()


def test_whole_files(make: Make, base: Path) -> None:
    """Tokenizer, template and sampling defaults go over byte by byte; the listed files are those that are there."""
    made = make(base)

    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (made.folder / name).read_bytes() == (base / name).read_bytes()
    listed = {file["name"]: file["size"] for file in made.files}
    assert listed == {path.name: path.stat().st_size for path in made.folder.iterdir()}
    assert {"README.md", "config.json", "model.safetensors"} <= set(listed)
    assert not (made.folder.parent / ".out.partial").exists()


def test_bf16(make: Make, adapter: Path) -> None:
    """Half the bytes; rounding is measured against the checkpoint, and what is read is what was rounded."""
    made = make(adapter, dtype="bf16")

    assert (dtypes(made.folder), made.dtype) == ({"BF16"}, "bfloat16")
    assert 0 < made.comparison.difference < 0.05


def test_as_trained_keeps_bf16(make: Make, base: Path, tmp_path: Path) -> None:
    """Weights that lie in bf16 stay so, without any loss."""
    half = make(base, dtype="bf16", place=tmp_path / "half").folder

    made = make(half)

    assert (dtypes(made.folder), made.comparison.difference) == ({"BF16"}, 0)


def test_adapter_alone(make: Make, base: Path, adapter: Path) -> None:
    """The adapter names its base by the hub's id and commit, tells no folder of this machine, and works on its base."""
    made = make(adapter, "adapter")

    settings = json.loads((made.folder / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == (HUB.name, HUB.revision)
    assert not [path for path in made.folder.iterdir() if str(base.parent).encode() in path.read_bytes()]
    found = logits(load_adapted(base, made.folder), adapter)
    torch.testing.assert_close(found, logits(load_model(adapter), adapter))


def test_adapter_in_bf16(make: Make, adapter: Path) -> None:
    made = make(adapter, "adapter", "bf16")

    assert (dtypes(made.folder), made.dtype) == ({"BF16"}, "bfloat16")


def test_no_adapter(base: Path) -> None:
    """Whole weights cannot be exported as an adapter."""
    with pytest.raises(NoAdapter):
        plan(base, "adapter", "as_trained")


@pytest.mark.parametrize("kind", ["merged", "adapter"])
def test_a_reward_model_is_told_from_a_language_model(kind: Kind, base: Path, adapter: Path, tmp_path: Path) -> None:
    """What scores responses is refused before anything is loaded, with what its folder is good for as it is."""
    name = {"merged": "config.json", "adapter": "adapter_config.json"}[kind]
    change = {"merged": {"architectures": ["LlamaForSequenceClassification"]}, "adapter": {"task_type": "SEQ_CLS"}}
    folder = shutil.copytree(base if kind == "merged" else adapter, tmp_path / "scores")
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | change[kind]))

    with pytest.raises(CheckpointRefused, match="is a reward model") as refused:
        plan(folder, kind, "as_trained")
    assert "sequence classifier" in refused.value.remedy


def test_shards(base: Path, tmp_path: Path) -> None:
    """Weights larger than a shard are split, with an index, and still compared."""
    order = plan(base, "merged", "as_trained")

    made = write.write(order, tmp_path, None, lambda _: "", lambda _: None, max_shard_size="50KB")

    names = {file["name"] for file in made.files}
    assert "model.safetensors.index.json" in names
    assert len([name for name in names if name.endswith(".safetensors")]) > 1


def test_sampling_defaults_that_contradict_themselves(make: Make, base: Path, tmp_path: Path) -> None:
    """Many published models have them; they go over as they are instead of stopping the export."""
    odd = shutil.copytree(base, tmp_path / "odd")
    settings = {"do_sample": False, "temperature": 0.6, "top_p": 0.9, "eos_token_id": [1]}
    (odd / "generation_config.json").write_text(json.dumps(settings))

    made = make(odd)

    assert json.loads((made.folder / "generation_config.json").read_text()) == settings


def test_terms_of_the_base_go_along(make: Make, base: Path, tmp_path: Path) -> None:
    """A licence file beside the weights is handed on with them."""
    licensed = shutil.copytree(base, tmp_path / "licensed")
    (licensed / "LICENSE").write_text("Be kind.")

    assert (make(licensed).folder / "LICENSE").read_text() == "Be kind."


def test_damaged_weights_are_no_export(
    make: Make, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers differently after it is loaded again is thrown away, with the reason."""
    honest = write._write_whole

    def damage(order: Any, model: Any, folder: Path, shard: str) -> None:
        model.model.layers[0].mlp.up_proj.weight.data *= 1.05
        honest(order, model, folder, shard)

    monkeypatch.setattr(write, "_write_whole", damage)

    with pytest.raises(ExportDiffers, match="answers differently"):
        make(adapter, dtype="bf16")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_nan(make: Make, adapter: Path, tmp_path: Path) -> None:
    """Weights that are no numbers are the checkpoint's fault, and are told so."""
    broken = shutil.copytree(adapter, tmp_path / "broken")
    weights = load_file(broken / "adapter_model.safetensors")
    nan = {name: torch.full_like(weight, torch.nan) for name, weight in weights.items()}
    save_file(nan, broken / "adapter_model.safetensors", metadata={"format": "pt"})

    with pytest.raises(CheckpointRefused, match="not numbers"):
        make(broken)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_another_template_is_no_export(make: Make, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that renders otherwise is noticed though the weights are right."""
    honest = write._copy

    def damage(source: Path, folder: Path) -> None:
        honest(source, folder)
        if source.name == "chat_template.jinja":
            (folder / source.name).write_text("{{ messages[0]['content'] }}")

    monkeypatch.setattr(write, "_copy", damage)

    with pytest.raises(ExportDiffers, match="template"):
        make(base)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(make: Make, base: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")

    with pytest.raises(FolderTaken):
        make(base)
    assert (tmp_path / "out" / "mine").read_text() == "keep"


@pytest.fixture
def short_files() -> Iterator[None]:
    """No file of this process may grow over 60 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_cannot_grow(make: Make, base: Path, tmp_path: Path, short_files: None) -> None:
    """A file that breaks off in the middle is a full disk, and leaves nothing."""
    with pytest.raises(DiskFull):
        make(base)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 32 MB; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("Only root may mount; the limit of file sizes stands for a full disk.")
    yield place
    subprocess.run(["umount", place], check=True)


def test_disk_full_in_the_middle(make: Make, base: Path, small_disk: Path) -> None:
    """Somebody else fills the disk while weights are written: it is said so, and nothing half-written is left."""

    def fill(step: str) -> None:
        if step == "writing":
            with (small_disk / "theirs").open("wb") as file:
                left = shutil.disk_usage(small_disk).free - 40_000
                os.posix_fallocate(file.fileno(), 0, left)

    with pytest.raises(DiskFull):
        make(base, place=small_disk / "out", tell=fill)
    assert [path.name for path in small_disk.iterdir()] == ["theirs"]


def test_no_room_is_said_before(make: Make, base: Path, small_disk: Path) -> None:
    """Too little room is refused before a weight is loaded, with both sizes."""
    (small_disk / "theirs").write_bytes(bytes(20 << 20))
    steps: list[str] = []

    with pytest.raises(DiskFull, match=r"takes \d+ kB, and \d+ MB are free"):
        make(base, place=small_disk / "out", tell=steps.append)
    assert steps == []


def test_the_tokenizer_loads_alone(make: Make, adapter: Path) -> None:
    """An adapter's folder holds the tokenizer that it was trained with."""
    made = make(adapter, "adapter")

    tokenizer = AutoTokenizer.from_pretrained(made.folder)
    assert compare.render(tokenizer) == compare.render(load_tokenizer(adapter))
