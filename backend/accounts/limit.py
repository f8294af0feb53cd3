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
    """Counts failures only, so a person with the right password is never locked out by their own success."""

    @contextmanager
    def guard(self, name: str, address: str) -> Iterator[None]:
        settings = get_settings()
        limiter = _limiter(settings.redis_url or "memory://")
        item = RateLimitItemPerMinute(settings.sign_in_attempts, MINUTES)
        keys = [("sign-in-name", name.strip().lower(), address), ("sign-in-address", address)]
        allowed = (item, RateLimitItemPerMinute(settings.sign_in_attempts * 5, MINUTES))
        if not all(limiter.test(limit, *key) for limit, key in zip(allowed, keys, strict=True)):
            raise TooMany(
                f"Too many failed sign-ins; wait {MINUTES} minutes.", remedy="If you lost the password, ask an admin."
            )
        try:
            yield
        except WrongPassword:
            for limit, key in zip(allowed, keys, strict=True):
                limiter.hit(limit, *key)
            raise
