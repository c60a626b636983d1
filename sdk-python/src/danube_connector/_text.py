"""Texts for the operator, fit for the wire."""

MOST_BYTES = 1024


def message(text: str) -> str:
    """At most 1 KiB of it, as valid UTF-8."""
    return text.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")
