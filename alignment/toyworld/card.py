"""The model card of the toy checkpoint, written from its figures; the figures also lie beside it as JSON."""

import json
from pathlib import Path
from typing import Any

from alignment.toyworld.figures import Figures
from alignment.toyworld.requests import count

FIGURES = "figures.json"


def write(folder: Path, figures: Figures, made: dict[str, Any]) -> None:
    """Write README.md and figures.json; `made` says how: seed, steps, parameters and the like."""
    record = {"figures": figures.model_dump(), "made": made}
    (folder / FIGURES).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(figures, made), encoding="utf-8")


def read_figures(folder: Path) -> Figures:
    """The figures that the card of this folder states."""
    return Figures.model_validate(json.loads((folder / FIGURES).read_text(encoding="utf-8"))["figures"])


def _card(figures: Figures, made: dict[str, Any]) -> str:
    return "\n".join((_introduction(made), _measured(figures, made), _making(made)))


def _introduction(made: dict[str, Any]) -> str:
    return f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [toy]
---

# Plumbline toy

**This is a toy.** It knows {count("train") + count("held_out"):,} prompts of a small made-up world and nothing else;
ask it anything else and it will say something charming and wrong. It is here so that labelling, training and
comparing can be tried in minutes on two processor cores, and because what is better is *known* in its world.

A Llama architecture with {made["parameters"]:,} parameters, a vocabulary of {made["vocabulary"]:,} tokens and a
context of {made["context"]} tokens, with a chat template for system, user and assistant. It was trained from random
weights on {made["conversations"]:,} conversations written by the grammar in `alignment/toyworld`: at first many bare
right answers, from which it knows its world, and at the end only answers that are kind or rude, concise or rambling,
right or wrong, each by the toss of a coin. So good and bad answers alike are likely from it, and the task of a
preference run is to make the good ones the rule.
"""


def _measured(figures: Figures, made: dict[str, Any]) -> str:
    return f"""## Figures

One answer each to {figures.prompts} held-out prompts, drawn at temperature {figures.temperature:g} with seed
{figures.seed} and read by the true reward:

| answers | share |
|---|---|
{_table(figures)}

Mean true reward {figures.reward:.2f} of at most {figures.best_reward:.2f}; 0 is readable but wrong, rude and rambling,
-3 is not readable at all. Loss at the end of training: {made["loss"]:.3f} nats per token of the answer.
"""


def _table(figures: Figures) -> str:
    rows = {
        "made only of sentences of the grammar": figures.readable,
        "kind": figures.kind,
        "concise": figures.concise,
        "right": figures.right,
        "right, small facts only": figures.right_facts,
        "right, advice only": figures.right_advice,
        "right, stories only": figures.right_stories,
    }
    return "\n".join(f"| {name} | {100 * share:.1f} % |" for name, share in rows.items())


def _making(made: dict[str, Any]) -> str:
    return f"""## How it was made

```
python -m alignment.toyworld build --out DIR     # {made["steps"]:,} steps, seed {made["seed"]}
python -m alignment.toyworld check DIR           # measures the figures again
```

Everything is fixed by the seed. Another processor or number of threads rounds differently, so the weights then differ
in their last digits, and the figures by chance.

## Not for

Anything but trying Plumbline and testing it. Some answers are rude on purpose, some facts wrong on purpose.
"""
