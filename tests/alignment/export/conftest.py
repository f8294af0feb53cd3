"""A tiny checkpoint, an adapter on it, and an adapter on that adapter."""

from pathlib import Path

import pytest
import torch

from alignment.training.checkpoint import Checkpoints
from alignment.training.model import add_adapters, load_model, load_tokenizer
from alignment.training.spec import Keep, LoraTuning
from tests.checkpoints import make_llama


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny matrices gain nothing from threads, and lose much beside other processes."""
    torch.set_num_threads(1)


def adapt(base: Path, folder: Path, seed: int) -> Path:
    """An adapter folder as a run writes it, whose weights are not nothing."""
    torch.manual_seed(seed)
    model = add_adapters(load_model(base), LoraTuning(rank=4), base)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.03)
    return Checkpoints(folder, "lora", Keep()).save(model, load_tokenizer(base), 4, {}).path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder with random weights."""
    return make_llama(tmp_path_factory.mktemp("models") / "base", ["Tell me about a harbor. Gladly!"] * 5)


@pytest.fixture(scope="session")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapt(base, tmp_path_factory.mktemp("adapter"), 1)


@pytest.fixture(scope="session")
def second(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that was trained on the first one."""
    return adapt(adapter, tmp_path_factory.mktemp("second"), 2)
