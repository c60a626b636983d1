"""{{name}}: publishes numbered records to a Danube topic."""

import json
import logging
from typing import Any, Dict, List, Mapping

from danube_connector import Position, Producer, Source, SourceRecord, run

AT_ONCE = 10  # Records of a poll.


class {{name_pascal}}(Source):
    def open(self, settings: Dict[str, Any]) -> None:
        """Called once, before anything is read, with [connectors.{{name}}.settings] of sidecar.toml."""
        self.count = settings.get("count", 1000)
        self.last = 0

    def restore(self, positions: Mapping[str, Position]) -> None:
        """Called once, after `open`, with the last committed position of each source partition: go on behind it."""
        if "numbers" in positions:
            self.last = positions["numbers"].offset

    def poll(self) -> List[SourceRecord]:
        """The next records; none where nothing is there yet: then it is asked again after 100 ms.

        It is asked only while the sidecar wants records. To end for good, return None.
        """
        first = self.last + 1
        self.last = min(self.last + AT_ONCE, max(self.count, self.last))
        return [numbered(number) for number in range(first, self.last + 1)]

    def commit(self, positions: List[Position]) -> None:
        """These records are safe in Danube. A source that has to tell its system so (an offset, an ack) does it here."""


def numbered(number: int) -> SourceRecord:
    # The position says where this record stands in the system that it comes from. The sidecar stores it once the record and all
    # before it are safe. What was published but not committed when something dies is published again: at least once.
    return SourceRecord(
        json.dumps({"number": number}).encode(),
        key=f"key-{number % 4}",  # Records of one key stay in order.
        position=Position("numbers", number),
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run({{name_pascal}}(), name="{{name}}", producers=[Producer("/default/{{name}}")])
