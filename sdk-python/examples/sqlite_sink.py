import contextlib
import sqlite3
from typing import Any, Dict, List, Optional

from danube_connector import Busy, InvalidPayload, Record, Sink, Subscription, run


class Orders(Sink):
    """Writes each batch in one transaction. A record that is offered again finds its row there."""

    def open(self, settings: Dict[str, Any]) -> None:
        self.path = settings.get("database", "orders.db")
        self.db = sqlite3.connect(self.path)
        self.db.execute("CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT, total REAL)")

    def process_batch(self, records: List[Record]) -> List[Optional[Exception]]:
        outcomes: List[Optional[Exception]] = []
        try:
            with self.db:
                for record in records:
                    outcomes.append(self.insert(record))
        except sqlite3.OperationalError as error:  # No fault of a record: all comes again.
            raise Busy(str(error), code="DATABASE_BUSY", after=1) from error
        return outcomes

    def insert(self, record: Record) -> Optional[Exception]:
        try:
            order = record.json()
        except InvalidPayload as reject:  # A dead letter.
            return reject
        row = (record.dedup_id, record.key, order["total"])
        self.db.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", row)
        return None

    def health(self) -> None:  # In a thread of its own: it may be called while a batch is written.
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            db.execute("SELECT 1 FROM orders LIMIT 1")

    def close(self) -> None:
        self.db.close()


if __name__ == "__main__":
    run(Orders(), name="orders", subscriptions=[Subscription("/default/orders")], max_batch_records=500)
