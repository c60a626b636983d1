"""What a run can fail with."""

from __future__ import annotations


class ConnectorError(Exception):
    """The base of all errors that this package raises by itself."""


class ConfigError(ConnectorError, ValueError):
    """An option or an environment variable has a value that cannot be used. The message names it and what is expected."""


class SidecarRefused(ConnectorError):
    """The sidecar refuses this connector, and will again until something is changed: `run` ends.

    `code` is the gRPC status ("PERMISSION_DENIED"), `reason` the sidecar's own constant ("TOPIC_NOT_ALLOWED"; the code where it
    gave none), `message` says what was wrong and what was expected.
    """

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(f"the sidecar refuses this connector ({code}, {reason}): {message}")
        self.code = code
        self.reason = reason
        self.message = message


class TakenOver(SidecarRefused):
    """A newer process of the same source runs now: `run` of the older one ends."""

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(code, reason, message)
        self.args = (
            f"another process of this source has taken over ({code}, {reason}: {message}); "
            "let only one run, or give each a name of its own",
        )


class RecordTooLarge(ConnectorError, ValueError):
    """A source's record fits into no frame that the sidecar accepts. Split it, or skip it."""

    def __init__(self, topic: str, size: int, limit: int) -> None:
        super().__init__(f"a record for {topic!r} has {size} encoded bytes, and the sidecar accepts frames of at most {limit}")
        self.size = size
        self.limit = limit


class RecordRejected(ConnectorError):
    """An emitted record can never be published. `code` is the sidecar's ("TOO_LARGE", "UNDECLARED_TOPIC", "SCHEMA_MISMATCH")."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class SourceStopped(ConnectorError):
    """The source stops: nothing is taken any more, and whether the record is committed will not be known in this run."""
