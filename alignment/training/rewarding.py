"""What further checkpoints think of every response, in the place of facts of the data: found once, before training.

A reward model gives its score, any other checkpoint its implicit reward, beta times the log-ratio to what it is
measured against.  Each reads texts with its own tokenizer and chat template, is loaded before the model that is
trained, and let go again.  What was found is kept by content where what the reference thinks is kept, and in the run's
folder, from which a run that goes on takes it.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alignment import chat
from alignment.objectives import rewards
from alignment.objectives.facts import Unfit
from alignment.training import folder as folders
from alignment.training import frozen, kept, others, precision, whole
from alignment.training.batches import auto_tokens
from alignment.training.data import Example, Rewarded
from alignment.training.encode import Encoded, Encoder
from alignment.training.errors import BadData, BadSpec, CheckpointRefused, TrainingError
from alignment.training.model import load_generation_config, load_tokenizer
from alignment.training.ranks import wants_shards, wrap
from alignment.training.reference import keep, kept_file
from alignment.training.rows import arrange, checked
from alignment.training.scoring import Scoring
from alignment.training.step import sequence_logps

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from alignment.training.events import Events
    from alignment.training.head import HeadScorer
    from alignment.training.kinds.scored import RewardLoss
    from alignment.training.ranks import Ranks
    from alignment.training.scorer import Scorer
    from alignment.training.spec import Spec
    from alignment.training.state import States

REWARDS: Final = "rewards.json"
"""The file of a run's folder that keeps what was found: the numbers of each example's responses, by name and hash."""


def rewarded(
    spec: Spec, events: Events, check: Callable[[], None], ranks: Ranks, states: States | None
) -> Rewarded | None:
    """What gives examples the facts that checkpoints of the spec tell; None where none does."""
    if not rewards.rewards(spec.third):
        return None
    file = states.folder.parent / REWARDS if states else None
    return Rewarding(spec, ranks, events, check, file).told


@dataclass
class Rewarding:
    """What the checkpoints of a spec tell of examples; `file` keeps it for a run that goes on."""

    spec: Spec
    ranks: Ranks
    events: Events
    check: Callable[[], None]
    file: Path | None = None

    def told(self, examples: Sequence[Example], left_out: Counter[str]) -> Iterator[Example]:
        """The examples with what the checkpoints tell among their facts.

        Those of which nothing is left once they are rendered and cut are counted and left out.  Raises BadSpec,
        CheckpointRefused, BadData.
        """
        scores = [self._scores(name, examples, left_out) for name in rewards.rewards(self.spec.third)]
        for place, example in enumerate(examples):
            facts = example.facts
            if all(place in each for each in scores):
                for name, each in zip(rewards.rewards(self.spec.third), scores, strict=True):
                    try:
                        facts = rewards.taken(facts, name, each[place])
                    except Unfit as unfit:
                        field = f"snapshots.{example.source}.path"
                        raise BadData(f"Example {example.id} {unfit.detail}.", unfit.remedy, field) from unfit
                yield replace(example, facts=facts)

    def _scores(self, name: str, examples: Sequence[Example], left_out: Counter[str]) -> dict[int, list[float]]:
        """What the checkpoint of that name gives the responses of each example, by its place."""
        folder = self.spec.third[name]
        tokenizer = load_tokenizer(folder)
        encoder = Encoder(
            tokenizer,
            chat.ending(tokenizer, load_generation_config(folder)),
            self.spec.length,
            folders.inspect(folder).max_tokens,
        )
        try:
            found = encoder.encode(examples, self.check)
        except TrainingError as error:
            error.field = "third"
            raise
        for why in ("same_dropped", "empty_dropped"):
            left_out[why] += found.counts[why]
        encoded = [*found.train, *found.validation]
        places = {id(example): place for place, example in enumerate(examples)}
        known = self._known().get(name, {})
        if any(kept.key(one).hex() not in known for one in encoded):
            self.events.log(f"asking the {name} about every response", phase=True, examples=len(encoded))
            told = self._asked(name, tokenizer, encoded)
            known |= {key.hex(): [float(value) for value in values] for key, values in told.items()}
            self._note(name, known)
        return {places[id(one.example)]: known[kept.key(one).hex()] for one in encoded}

    def _known(self) -> dict[str, dict[str, list[float]]]:
        mine = self.file if self.ranks.first else None
        read: dict[str, dict[str, list[float]]] = json.loads(mine.read_text()) if mine and mine.is_file() else {}
        return self.ranks.told(read)

    def _note(self, name: str, known: dict[str, list[float]]) -> None:
        every = {**self._known(), name: known}
        if self.file is not None and self.ranks.first:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            whole.replace(self.file, json.dumps(every).encode())

    def _asked(self, name: str, tokenizer: PreTrainedTokenizerBase, encoded: Sequence[Encoded]) -> dict[bytes, Tensor]:
        folder, against = self.spec.third[name], self.spec.third.get(rewards.reference_of(name))
        if folders.is_reward_model(folder):
            if against is not None:
                raise BadSpec(
                    f"The {name} is a reward model, whose scores are measured against nothing.",
                    f"Leave {rewards.reference_of(name)} out.",
                    "third",
                )
            return self._of_model(name, folder, tokenizer, encoded)
        if against is None:
            raise BadSpec(
                f"The {name} is a language model, whose reward is how much likelier it makes a response than what it"
                " was trained from.",
                f"Name that checkpoint as {rewards.reference_of(name)}, or a reward model as {name}.",
                "third",
            )
        others.require_same_vocabulary(rewards.reference_of(name), against, tokenizer, f"the {name}")
        trained = self._of_model(name, folder, tokenizer, encoded)
        before = self._of_model(rewards.reference_of(name), against, tokenizer, encoded)
        beta = self.spec.reward_beta or rewards.BETA
        return {key: beta * (logps - before[key]) for key, logps in trained.items()}

    def _of_model(
        self, name: str, folder: Path, tokenizer: PreTrainedTokenizerBase, encoded: Sequence[Encoded]
    ) -> dict[bytes, Tensor]:
        """What one model gives the responses of each example, (K,): scores, or log-probabilities."""
        with others.at_its_field(name):
            loss = folders.reading_of(folder) if folders.is_reward_model(folder) else None
        if loss is not None:
            self._require_told(name, loss)  # also of what is kept
        keys = [kept.key(example) for example in encoded]
        facts = {} if loss is None else {"reading": loss.reading()}  # which the same weights may have another of
        file = kept_file(self.spec, folder, self.ranks, self.events, **facts) if self.ranks.first else None
        with kept.alone(file, self.check, self.ranks.told):
            known = self.ranks.told({} if file is None else file.read())
            gone = [encoded[place] for place in kept.missing(keys, known)]
            if gone:
                judge = self._judge(name, folder, tokenizer, loss)
                judge = checked(judge, gone, self.events, self.check, of=name)
                found = sequence_logps(judge, gone, self.check)
                if loss is not None:
                    found = [frozen.rewards(loss, one, said) for one, said in zip(gone, found, strict=True)]
                known |= {kept.key(one): values for one, values in zip(gone, found, strict=True)}
                del judge
                gc.collect()
                _require_numbers(name, gone, known)
                keep(file, known, self.events)
        return {key: known[key] for key in keys}

    def _judge(self, name: str, folder: Path, tokenizer: PreTrainedTokenizerBase, loss: RewardLoss | None) -> Scoring:
        """A scoring by a frozen model, whose head, where it has one, is read so."""
        spec, dtype = self.spec, precision.of_weights(self.spec)
        padding = next(int(one) for one in (tokenizer.pad_token_id, tokenizer.eos_token_id) if isinstance(one, int))
        with others.at_its_field(name):
            if loss is None:
                scorer: Scorer | HeadScorer = frozen.language_model(folder, dtype, spec.precision)
            else:
                scorer = frozen.reward_model(folder, loss, padding, dtype, spec.precision)
        shard = spec.parallel != "ddp" and self.ranks.size > 1
        shard = shard and (spec.parallel == "fsdp" or wants_shards(scorer.model, self.ranks.device))
        ranks = replace(self.ranks, sharded=self.ranks.told(shard))
        rows = arrange(scorer.model, ranks.device, exact=scorer.exact)
        asked = spec.batch.tokens_per_pack
        tokens = auto_tokens(ranks.device.type) if asked == "auto" else asked
        return Scoring(scorer, wrap(ranks, scorer), spec.objective, rows, padding, tokens, ranks)

    def _require_told(self, name: str, loss: RewardLoss) -> None:
        """Raise BadSpec where responses are to have scores of their own, and this model gives them none."""
        lacking = rewards.tellable(self.spec.objective.needs)[name] - rewards.COMPARED
        if lacking and not loss.comparable:
            raise BadSpec(
                f"{loss.title} compares two responses and scores none, and {self.spec.objective.title} asks for a score"
                " of each.",
                "Choose a reward model that gives scores, or another objective.",
                "third",
            )


def _require_numbers(name: str, some: Sequence[Encoded], known: Mapping[bytes, Tensor]) -> None:
    """Raise CheckpointRefused naming the first example of which a checkpoint says what is no number."""
    for one in some:
        if not bool(known[kept.key(one)].isfinite().all()):
            raise CheckpointRefused(
                f"What the {name} says of example {one.example.id} is no number.",
                f"Choose another checkpoint as {name}; a run that diverged leaves such weights.",
                "third",
            )
