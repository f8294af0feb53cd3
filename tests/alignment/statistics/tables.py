"""Textbook tables of ratings."""

from collections.abc import Sequence

from alignment.statistics import Ratings

# Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section C: 12 units, 4 observers, some values
# missing. Gwet uses the same one ("Handbook of inter-rater reliability", table 2.10; `cac.raw4raters` of irrCAC).
KRIPPENDORFF = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
# Fleiss, "Measuring nominal scale agreement among many raters" (1971), table 1: 30 patients, 6 psychiatrists, and the
# diagnoses depression, personality disorder, schizophrenia, neurosis, other.
FLEISS = (
    "444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444 224445"
    " 333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444 133333 555555"
)
# Gwet, the same handbook, table 2.1 (`cont3x3abstractors` of irrCAC): two abstractors and 100 patients.
ABSTRACTORS = ((13, 0, 0), (0, 20, 7), (0, 4, 56))


def observers(rows: Sequence[str], categories: str) -> Ratings:
    """Ratings of one string an observer, one character a unit, a dot where there is none."""
    said = [
        (unit, person, categories.index(value))
        for person, row in enumerate(rows)
        for unit, value in enumerate(row)
        if value != "."
    ]
    units, people, values = zip(*said, strict=True)
    return Ratings.of(units, people, values, categories)


def units(rows: str, categories: str) -> Ratings:
    """Ratings of one word a unit, one character a rater."""
    return observers(["".join(row) for row in zip(*rows.split(), strict=True)], categories)


def table(cells: Sequence[Sequence[int]], categories: str) -> Ratings:
    """Ratings of two raters whose answers are counted in `cells[first][second]`."""
    said = [(i, j) for i, row in enumerate(cells) for j, count in enumerate(row) for _ in range(count)]
    both = ("".join(categories[place] for place in column) for column in zip(*said, strict=True))
    return observers(list(both), categories)
