"""The training engine against TRL on long prompts, long responses and lists of responses; see `benchmarks.engine`.

python -m benchmarks.run engine_works      needs the extra `bench` and the public data beside the checkout
"""

from benchmarks.engine import other_works as measure

__all__ = ["measure"]
