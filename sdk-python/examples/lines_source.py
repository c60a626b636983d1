import pathlib
from typing import Any, Dict, List, Mapping

from danube_connector import Position, Producer, Source, SourceRecord, run


class Lines(Source):
    """Publishes the lines of a file, and those that are appended later. The offset is where the next line begins."""

    def open(self, settings: Dict[str, Any]) -> None:
        self.path = str(pathlib.Path(settings.get("path", "lines.txt")).resolve())
        self.file = open(self.path, "rb")

    def restore(self, positions: Mapping[str, Position]) -> None:
        if self.path in positions:
            self.file.seek(positions[self.path].offset)

    def poll(self) -> List[SourceRecord]:
        line = self.file.readline()
        if not line.endswith(b"\n"):  # Not there yet, or only half of it.
            self.file.seek(-len(line), 1)
            return []
        return [SourceRecord(line.rstrip(b"\n"), position=Position(self.path, self.file.tell()))]

    def close(self) -> None:
        self.file.close()


if __name__ == "__main__":
    run(Lines(), name="lines", producers=[Producer("/default/lines")])
