"""Makes an invoice of each order: from /default/orders to /default/invoices."""

import asyncio
import json

from bridge import Bridge, run
from danube_connector import Filtered, Record, Reject, SourceRecord


# region transform
class Invoices(Bridge):
    def changed(self, record: Record) -> SourceRecord:
        order = record.json()  # What is not JSON becomes a dead letter.
        if not isinstance(order, dict) or not isinstance(order.get("net"), int):
            raise Reject("`net` is not a whole number of cents", code="NO_AMOUNT")
        if order.get("test"):
            raise Filtered("a test order", code="TEST_ORDER")
        invoice = {"order": order["order"], "gross": order["net"] * 119 // 100}
        # The order's `dedup_id` is the same at every offer; the invoice's own is new at every publish.
        return SourceRecord(json.dumps(invoice).encode(), key=record.key, attributes={"origin": record.dedup_id})
# endregion


if __name__ == "__main__":
    asyncio.run(run(Invoices, "invoices"))
