"""How often a sign-in may fail, counted in Redis by name and by address."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from limits import RateLimitItemPerMinute
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from backend.accounts.service import WrongPassword
from backend.errors import TooMany
from backend.settings import get_settings

MINUTES = 5


@lru_cache
def _limiter(url: str) -> FixedWindowRateLimiter:
    spelled = f"redis+{url}" if url.startswith("unix://") else url
    return FixedWindowRateLimiter(storage_from_string(spelled))


class SignInLimit:
    """Every attempt counts before the password is looked at, so that a burst cannot pass together; all but a wrong
    one are given back, so that nobody with the right password is locked out by their own success."""

    @contextmanager
    def guard(self, name: str, address: str) -> Iterator[None]:
        """Raises TooMany before the block runs."""
        settings = get_settings()
        limiter = _limiter(settings.redis_url or "memory://")
        each = RateLimitItemPerMinute(settings.sign_in_attempts, MINUTES)
        every = RateLimitItemPerMinute(settings.sign_in_attempts * 5, MINUTES)
        counted = [(each, ("sign-in-name", name.strip().lower(), address)), (every, ("sign-in-address", address))]
        allowed = [limiter.hit(limit, *key) for limit, key in counted]
        wrong = False
        try:
            if not all(allowed):
                raise TooMany(
                    f"Too many failed sign-ins; wait {MINUTES} minutes.",
                    remedy="If you lost the password, ask an admin.",
                )
            yield
        except WrongPassword:
            wrong = True
            raise
        finally:
            if not wrong:
                for limit, key in counted:
                    limiter.hit(limit, *key, cost=-1)
