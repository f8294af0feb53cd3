"""AlpacaEval 2's own length-controlled win rate of imported annotations, where a file tells what it needs beside them.

Its `df_gamed.csv` holds how difficult each of its 805 prompts is, by place, and annotations of two baselines that gamed
their length. Annotations name their place by `index`, or stand in the benchmark's order.
"""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from alignment.statistics.length_control import Annotated, Gamed, published
from backend.evaluations.outside import ANNOTATIONS, Meeting, Results
from backend.evaluations.outside_rows import ResultsRefused

PROMPTS: Final = 805
MOST_BYTES: Final = 8 << 20
MOST_ROWS: Final = 10_000
MOST_MODELS: Final = 3  # each is fitted while somebody waits
FIELD: Final = "gamed_upload_id"
COLUMNS: Final = ("preference", "std_delta_len", "instruction_difficulty", "index")
NO_FACTS: Final = (
    "AlpacaEval 2's own length-controlled rate needs its df_gamed.csv, with the difficulty of every prompt and two"
    " baselines that gamed their length. Import the annotations once more together with that file."
)
OTHER: Final = "AlpacaEval 2's own length-controlled rate is one of its 805 prompts alone; this model has {count:,}."
TWICE: Final = "The annotations name the same prompt twice, so AlpacaEval 2's own length-controlled rate is not theirs."
PLACES: Final = "An index of the annotations is past the benchmark's 805 prompts: AlpacaEval 2's own rate is not told."
MOST_SILENT: Final = 0.05  # share of prompts without a verdict; the fit would speak for them unheard
SILENT: Final = "{count:,} of the 805 prompts have no verdict, too many for AlpacaEval 2's own length-controlled rate."
BASE: Final = "AlpacaEval 2's own length-controlled rate measures output_2 against output_1, which is another baseline."
MANY: Final = "More than {most} models are in the file. Import fewer at once for AlpacaEval 2's own rate."
UNFIT: Final = "AlpacaEval 2's fit does not come out: the annotations hold no wins and losses to fit."


class Facts(NamedTuple):
    """What the benchmark tells: the gamed baselines, and the difficulty of each of its prompts by place (805,)."""

    gamed: Gamed
    difficulty: "np.ndarray[tuple[int], np.dtype[np.float64]]"


def facts(path: Path) -> Facts:
    """Read `df_gamed.csv`, or the same as JSON lines.  Raises ResultsRefused."""
    if path.stat().st_size > MOST_BYTES:
        raise _refused(f"The file of difficulties is larger than {MOST_BYTES >> 20} MiB.")
    rows = []
    try:
        for row in _rows(path):
            rows.append([float(row[name]) for name in COLUMNS])
            if len(rows) > MOST_ROWS:
                raise _refused(f"The file of difficulties holds more than {MOST_ROWS:,} rows.")
    except (ValueError, KeyError, TypeError, RecursionError, csv.Error) as error:
        raise _refused("The file of difficulties is not AlpacaEval's df_gamed.csv.") from error
    values = np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
    known = {int(place): hard for hard, place in values[:, 2:] if place == int(place)} if _finite(values) else {}
    score = values[:, 0]
    if set(known) != set(range(PROMPTS)) or not ((score >= 0) & (score <= 1)).all():
        raise _refused("The file of difficulties is not AlpacaEval's df_gamed.csv for its 805 prompts.")
    return Facts(Gamed(score, values[:, 1], values[:, 2]), np.array([known[place] for place in range(PROMPTS)]))


def _finite(values: Any) -> bool:
    return bool(np.isfinite(values).all())


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.read(1)
        file.seek(0)
        yield from (json.loads(line) for line in file if line.strip()) if first == "{" else csv.DictReader(file)


def rates(results: Results, baseline: str, known: Facts | None) -> dict[str, dict[str, Any]]:
    """By model: `{rate, standard_error, length, reason}`, the numbers null where there is a reason. Empty for files of
    another kind."""
    if results.kind != ANNOTATIONS:
        return {}
    by_model: dict[str, list[Meeting]] = defaultdict(list)
    for one in results.meetings:
        by_model[one.b if one.a == baseline else one.a].append(one)
    if known is None or len(by_model) > MOST_MODELS:
        return dict.fromkeys(by_model, _none(NO_FACTS if known is None else MANY.format(most=MOST_MODELS)))
    return {model: _rate(own, baseline, known) for model, own in by_model.items()}


def _rate(own: list[Meeting], baseline: str, known: Facts) -> dict[str, Any]:
    if any(one.a != baseline for one in own):
        return _none(BASE)
    if len(own) != PROMPTS:
        return _none(OTHER.format(count=len(own)))
    places = [order if one.place is None else one.place for order, one in enumerate(own)]
    if max(places) >= PROMPTS:
        return _none(PLACES)
    if len(set(places)) != PROMPTS:
        return _none(TWICE)
    annotated = Annotated(
        np.array([math.nan if (p := one.said[0].probability) is None else 1 - p for one in own]),
        np.array([float(len(one.answer_b or "")) for one in own]),
        np.array([float(len(one.answer_a or "")) for one in own]),
        known.difficulty[places],
    )
    if (silent := int(np.isnan(annotated.score).sum())) > MOST_SILENT * PROMPTS:
        return _none(SILENT.format(count=silent))
    try:
        found = published(annotated, known.gamed)
    except ValueError:
        return _none(UNFIT)
    numbers = {"rate": found.rate, "standard_error": found.standard_error, "length": found.length}
    return numbers | {"reason": None} if all(map(math.isfinite, numbers.values())) else _none(UNFIT)


def _none(reason: str) -> dict[str, Any]:
    return {"rate": None, "standard_error": None, "length": None, "reason": reason}


def _refused(reason: str) -> ResultsRefused:
    return ResultsRefused(reason, field=FIELD, remedy="Choose AlpacaEval 2's df_gamed.csv, or leave it out.")
