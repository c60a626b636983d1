"""Collects several topics in one SQLite table, a batch in a transaction."""

import sqlite3
from typing import Any, Dict, List, Optional

from danube_connector import Busy, Record, Sink, run


# region fan-in
class Collect(Sink):
    def open(self, settings: Dict[str, Any]) -> None:
        self.db = sqlite3.connect(settings.get("database", "collected.db"))
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS collected (id TEXT PRIMARY KEY, topic TEXT, key TEXT, payload BLOB)")

    def process_batch(self, records: List[Record]) -> Optional[List[Optional[Exception]]]:
        rows = [(record.dedup_id, record.topic, record.key, record.payload) for record in records]
        try:
            with self.db:  # One transaction: all of it is written, or nothing.
                self.db.executemany("INSERT OR IGNORE INTO collected VALUES (?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise Busy(str(error), code="DATABASE_BUSY") from error
        return None

    def close(self) -> None:
        self.db.close()
# endregion


if __name__ == "__main__":
    run(Collect(), name="collect")
