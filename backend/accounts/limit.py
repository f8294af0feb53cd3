"""How often a sign-in or an invitation's link may be wrong, and how much may come a minute; counted in Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from backend.accounts.service import WrongPassword
from backend.errors import AppError, TooMany
from backend.settings import get_settings

MINUTES = 5


@lru_cache
def _limiter(url: str) -> FixedWindowRateLimiter:
    spelled = f"redis+{url}" if url.startswith("unix://") else url
    return FixedWindowRateLimiter(storage_from_string(spelled))


def spend(most: int, amount: int, *key: str) -> bool:
    """Whether so many are left of the `most` of this minute, which they are taken from if so."""
    limiter, limit = _limiter(get_settings().redis_url or "memory://"), RateLimitItemPerMinute(most)
    return limiter.test(limit, *key, cost=amount) and limiter.hit(limit, *key, cost=amount)


Counted = list[tuple[int, tuple[str, ...]]]


@contextmanager
def limited(counted: Counted, failure: type[AppError], refusal: TooMany) -> Iterator[None]:
    """Raises `refusal` before the block runs when one of the keys has failed its number of times in five minutes.

    Every attempt counts before it is looked at, so that a burst cannot pass together; all but those that raise
    `failure` are given back, so that nobody who is right is locked out by their own success.
    """
    limiter = _limiter(get_settings().redis_url or "memory://")
    limits = [(RateLimitItemPerMinute(most, MINUTES), key) for most, key in counted]
    allowed = [limiter.hit(limit, *key) for limit, key in limits]
    wrong = False
    try:
        if not all(allowed):
            raise refusal
        yield
    except failure:
        wrong = True
        raise
    finally:
        if not wrong:
            for limit, key in limits:
                limiter.hit(limit, *key, cost=-1)


class SignInLimit:
    """How often a sign-in may fail."""

    @contextmanager
    def guard(self, name: str, address: str) -> Iterator[None]:
        """Raises TooMany before the block runs."""
        most = get_settings().sign_in_attempts
        counted: Counted = [
            (most, ("sign-in-name", name.strip().lower(), address)),
            (most * 5, ("sign-in-address", address)),
        ]
        said = f"Too many failed sign-ins; wait {MINUTES} minutes."
        with limited(counted, WrongPassword, TooMany(said, remedy="If you lost the password, ask an admin.")):
            yield
