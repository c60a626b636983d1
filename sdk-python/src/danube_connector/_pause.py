"""How long the external system is left alone."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Optional

from .outcomes import Busy

DEFAULT = timedelta(seconds=1)
"""What a `Busy` without `after` means."""


class Pause:
    """The external system said that it takes nothing: until then each record is handed back without a call.

    It outlives sessions, as the external system does not care for them."""

    def __init__(self) -> None:
        self._until = 0.0
        self._said = Busy()

    def begin(self, busy: Busy) -> None:
        """Leaves it alone for as long as it asked; never for less than it asked before."""
        until = time.monotonic() + (DEFAULT if busy.after is None else busy.after).total_seconds()
        if until > self._until:
            self._until, self._said = until, busy

    def left(self) -> Optional[Busy]:
        """What is answered meanwhile: what it said, for what is left of the time. None: it may be called."""
        left = self._until - time.monotonic()
        if left <= 0:
            return None
        return Busy(self._said.message, code=self._said.code, after=left)
