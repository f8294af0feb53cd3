"""What a checkpoint does in the toy world, measured on held-out prompts by the true reward."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from alignment.toyworld.requests import Fact, Story, Task, prompts, topic_of
from alignment.toyworld.reward import BEST_REWARD, Reading, read

ANSWER_TOKENS = 128


class Figures(BaseModel):
    """Shares in [0, 1] over the answers to `prompts` held-out prompts, one answer each."""

    model_config = ConfigDict(frozen=True)

    prompts: int = Field(description="Held-out prompts answered.")
    seed: int
    temperature: float
    readable: float = Field(description="Answers made only of sentences of the grammar.")
    kind: float
    concise: float
    right: float
    right_facts: float
    right_advice: float
    right_stories: float
    reward: float = Field(description="Mean true reward.")
    best_reward: float = BEST_REWARD


def measure(checkpoint: Path, *, n: int = 400, seed: int = 0, temperature: float = 1.0) -> Figures:
    """Answer `n` held-out prompts and read the answers; the same arguments give the same figures on one machine."""
    from alignment.generation import Generator  # torch and transformers, which readers of the world do not need
    from alignment.sampling import Sampling

    asked = prompts(n, seed, "held_out")
    sampling = Sampling(temperature=temperature, max_new_tokens=ANSWER_TOKENS, seed=seed)
    answers = Generator(checkpoint).generate([[{"role": "user", "content": text}] for text in asked], sampling)
    readings = [read(text, answer.text) for text, answer in zip(asked, answers, strict=True)]
    topics = [type(topic_of(text)) for text in asked]
    return Figures(
        prompts=n,
        seed=seed,
        temperature=temperature,
        readable=_share([reading.coherence == 1.0 for reading in readings]),
        kind=_share([reading.attributes.kind for reading in readings]),
        concise=_share([reading.attributes.concise for reading in readings]),
        right=_share([reading.attributes.right for reading in readings]),
        right_facts=_right(readings, topics, Fact),
        right_advice=_right(readings, topics, Task),
        right_stories=_right(readings, topics, Story),
        reward=sum(reading.reward for reading in readings) / n,
    )


def _share(hits: list[bool]) -> float:
    return sum(hits) / len(hits) if hits else 0.0


def _right(readings: list[Reading], topics: list[type], topic: type) -> float:
    return _share([r.attributes.right for r, found in zip(readings, topics, strict=True) if found is topic])
