"""Details of google.rpc, as the sidecar sends them."""

from danube_connector._status import message_class


def error_info(reason: str) -> bytes:
    """Names what is objected to."""
    return _status("ErrorInfo", message_class("ErrorInfo")(reason=reason))


def retry_info(milliseconds: int) -> bytes:
    """Says when to come back."""
    info = message_class("RetryInfo")()
    info.retry_delay.seconds, info.retry_delay.nanos = divmod(milliseconds * 1_000_000, 1_000_000_000)
    return _status("RetryInfo", info)


def _status(name: str, detail) -> bytes:
    status = message_class("Status")()
    status.details.add(type_url=f"type.googleapis.com/google.rpc.{name}", value=detail.SerializeToString())
    return status.SerializeToString()
