import pathlib
from typing import Any, Dict, List, Mapping, Set

from danube_connector import Position, Producer, Source, SourceRecord, run


class Spool(Source):
    """Publishes the files of a folder, in the order of their names, and deletes each once it is safe in Danube."""

    def open(self, settings: Dict[str, Any]) -> None:
        self.folder = pathlib.Path(settings.get("folder", "spool"))
        self.folder.mkdir(exist_ok=True)
        self.number = 0
        self.taken: Set[str] = set()

    def restore(self, positions: Mapping[str, Position]) -> None:
        if "files" in positions:  # Go on counting: a position means one record, for ever.
            self.number = positions["files"].offset

    def poll(self) -> List[SourceRecord]:
        waiting = sorted(path.name for path in self.folder.iterdir() if path.name not in self.taken)
        return [self.record(name) for name in waiting[:10]]

    def record(self, name: str) -> SourceRecord:
        self.taken.add(name)
        self.number += 1
        return SourceRecord((self.folder / name).read_bytes(), key=name, position=Position("files", self.number, metadata=name))

    def commit(self, positions: List[Position]) -> None:
        for position in positions:
            assert position.metadata is not None
            (self.folder / position.metadata).unlink()
            self.taken.remove(position.metadata)


if __name__ == "__main__":
    run(Spool(), name="spool", producers=[Producer("/default/files")])
