"""Settings with which the toy checkpoint learns its world's preference on two cores in well under ninety seconds.

`RUN` has the keys of a run spec without paths, so the command line, the HTTP API and the tour all take it as it is;
`benchmarks/toy_run.py` measures what comes of it.
"""

from typing import Any

PAIRS = 3200
"""Labelled pairs, drawn with the default noise: about one clear label in ten is not the truth's."""

EVALUATION_TEMPERATURE = 1.0
EVALUATION_TOP_P = 0.95
"""Base and result answer alike: not sharpened, without the one token in twenty that breaks a small model's words."""

RUN: dict[str, Any] = {
    "kind": "preference",
    "objective": {"name": "dpo", "beta": 0.3},
    "tuning": {"kind": "full"},
    "optimizer": {
        "learning_rate": 3e-4,
        "schedule": "cosine",
        "warmup_ratio": 0.1,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
    },
    "batch": {"examples_per_step": 32, "tokens_per_pack": "auto"},
    "length": {"max_prompt_tokens": 96, "max_response_tokens": 160, "cut_prompt": "left"},
    "duration": {"epochs": 1},
    "precision": "fp32",
    "evaluate": {"every_steps": 30, "samples": 2},
    "keep": {"last": 1, "best": None},
    "seed": 0,
}
