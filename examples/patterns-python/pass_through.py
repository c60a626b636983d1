"""Archives messages as they are: a file for each payload, and one for what came with it."""

import json
import os
import pathlib
from typing import Any, Dict

from danube_connector import Record, Sink, run


# region pass-through
class Archive(Sink):
    def open(self, settings: Dict[str, Any]) -> None:
        self.folder = pathlib.Path(settings.get("folder", "archive"))
        self.folder.mkdir(parents=True, exist_ok=True)

    def process(self, record: Record) -> None:
        beside = {"topic": record.topic, "key": record.key, "published": record.publish_time.isoformat(),
                  "attributes": dict(record.attributes)}
        self.write(record.dedup_id, record.payload)  # The bytes, whatever they are.
        self.write(record.dedup_id + ".json", json.dumps(beside).encode())

    def write(self, name: str, content: bytes) -> None:
        """Whole or not at all, and on disk. A record that comes again writes the same file again."""
        part = self.folder / (name + ".part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / name)
# endregion


if __name__ == "__main__":
    run(Archive(), name="archive")
