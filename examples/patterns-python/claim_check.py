"""Large files by reference: the file goes to a shared folder, and a small message says where it is."""

import hashlib
import json
import pathlib
import shutil
from typing import Any, Dict, List, Mapping

from danube_connector import Position, Record, Reject, Source, SourceRecord, run


# region check-in
class CheckIn(Source):
    """Publishes a reference to each file of a folder, in the order of their names."""

    def open(self, settings: Dict[str, Any]) -> None:
        self.folder, self.store = pathlib.Path(settings["folder"]), pathlib.Path(settings["store"])
        self.count, self.last = 0, ""

    def restore(self, positions: Mapping[str, Position]) -> None:
        if "folder" in positions:
            self.count, self.last = positions["folder"].offset, positions["folder"].metadata or ""

    def poll(self) -> List[SourceRecord]:
        new = sorted(path for path in self.folder.iterdir() if path.name > self.last)
        return [self.claim(path) for path in new[:10]]

    def claim(self, path: pathlib.Path) -> SourceRecord:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        shutil.copyfile(path, self.store / digest)  # First the content, under a name of its own; then the message.
        self.count, self.last = self.count + 1, path.name
        claim = {"name": path.name, "sha256": digest, "bytes": path.stat().st_size}
        return SourceRecord(json.dumps(claim).encode(), position=Position("folder", self.count, path.name))
# endregion


# region check-out
def content(store: pathlib.Path, record: Record) -> bytes:
    """What a sink does with such a message."""
    claim = record.json()
    data = (store / claim["sha256"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != claim["sha256"]:
        raise Reject(f"{claim['name']} is not what was published", code="WRONG_CONTENT")
    return data
# endregion


if __name__ == "__main__":
    run(CheckIn(), name="check-in")
