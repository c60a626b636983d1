"""Posts each record to an HTTP API that knows idempotency keys."""

import urllib.error
import urllib.request
from typing import Any, Dict

from danube_connector import Busy, Record, Reject, Retry, Sink, run


# region webhook
class Webhook(Sink):
    def open(self, settings: Dict[str, Any]) -> None:
        self.url = settings["url"]

    def process(self, record: Record) -> None:
        headers = {"Idempotency-Key": record.dedup_id, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url, data=record.payload, headers=headers)
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as error:
            if error.code in (429, 503):  # The API, not this record: nothing more until it wants to be asked again.
                after = error.headers.get("Retry-After", "")
                raise Busy(f"HTTP {error.code}", code="UNAVAILABLE", after=int(after) if after.isdigit() else None)
            if error.code == 408 or error.code >= 500:
                raise Retry(f"HTTP {error.code}", code="FAILED")
            raise Reject(f"HTTP {error.code}", code="REFUSED")
        except OSError as error:  # No answer: whether it was done is not known, so the same key asks again.
            raise Retry(str(error), code="NO_ANSWER")
# endregion


if __name__ == "__main__":
    run(Webhook(), name="webhook")
