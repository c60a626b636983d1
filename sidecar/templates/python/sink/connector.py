"""{{name}}: appends each record of a Danube topic to a file, as a line of JSON."""

import json
import logging
import os
from typing import Any, Dict, List, Optional

from danube_connector import InvalidPayload, Record, Reject, Sink, Subscription, run


class {{name_pascal}}(Sink):
    def open(self, settings: Dict[str, Any]) -> None:
        """Called once, before any record, with [connectors.{{name}}.settings] of sidecar.toml."""
        self.file = open(settings.get("path", "{{name}}.jsonl"), "ab", buffering=4 << 20)  # A batch goes out in one write.

    def process_batch(self, records: List[Record]) -> List[Optional[Exception]]:
        """Writes a batch, and says what became of each record: None where it is written.

        Any exception means that nothing of the batch counts: all of it is offered again. `raise Retry(...)` says so with a code;
        `raise Busy(..., after=seconds)` where the system takes nothing at present (HTTP 429, 503), which is no attempt of a record.
        """
        lines: List[bytes] = []
        outcomes: List[Optional[Exception]] = []
        for record in records:
            try:
                lines.append(line(record))
                outcomes.append(None)
            except InvalidPayload as error:  # It will never be text: a dead letter, which says why.
                outcomes.append(Reject(str(error), code="NOT_TEXT"))
        self.file.writelines(lines)
        self.file.flush()
        os.fsync(self.file.fileno())  # Answer only for what outlives a crash.
        return outcomes

    def close(self) -> None:
        self.file.close()


def line(record: Record) -> bytes:
    # A record may be offered more than once, always with the same dedup_id: where the external system has keys, use it as one,
    # and a repeat changes nothing. A file has none: who reads this one passes over the ids that it has seen.
    fields = {"dedup_id": record.dedup_id, "key": record.key, "payload": record.text(), "topic": record.topic}
    return json.dumps(fields).encode() + b"\n"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run({{name_pascal}}(), name="{{name}}", subscriptions=[Subscription("/default/{{name}}")])
