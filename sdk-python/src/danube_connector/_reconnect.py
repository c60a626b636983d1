"""When to dial again, and when to say so."""

from __future__ import annotations

import logging
import random
import time
from typing import Callable, Optional

from ._session import SessionLost, Unreachable

log = logging.getLogger("danube_connector")

FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 10.0
GOOD_SESSION = 5.0
"""A session that lasted this many seconds was a good one: the next try comes soon."""
SILENCE = 30.0
"""No more than one complaint in this many seconds."""


class Reconnect:
    """Counts failures; for ever, for the sidecar may come and go."""

    def __init__(self, address: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address
        self._clock = clock
        self._failures = 0
        self._opened: Optional[float] = None
        self._silent_until: Optional[float] = None

    def opened(self, session_id: str) -> None:
        """A session is open."""
        log.info("session %s with the sidecar at %s", session_id, self._address)
        self._opened = self._clock()

    def lost(self, error: SessionLost) -> float:
        """A try failed, or a session was lost: how many seconds to wait before the next try, with full jitter."""
        opened, self._opened = self._opened, None
        if opened is not None and self._clock() - opened >= GOOD_SESSION:
            self._failures = 0
            self._silent_until = None
        self._report(error, was_open=opened is not None)
        longest = min(FIRST_BACKOFF * 2 ** min(self._failures, 16), LONGEST_BACKOFF)
        self._failures += 1
        return max(random.uniform(0, longest), error.retry_after)

    def _report(self, error: SessionLost, was_open: bool) -> None:
        if was_open:
            log.info("session lost: %s", error)
            return
        now = self._clock()
        if self._silent_until is not None and now < self._silent_until:
            return
        self._silent_until = now + SILENCE
        remedy = "; start it, or name another with DANUBE_SIDECAR_ADDRESS" if isinstance(error, Unreachable) else ""
        log.warning("%s; trying again until it works%s", error, remedy)
