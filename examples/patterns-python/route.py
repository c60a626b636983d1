"""Sends each message to the topic of its kind, as it is: from /default/measurements to several."""

import asyncio

from bridge import Bridge, run
from danube_connector import Record, Reject, SourceRecord

# region route
TOPICS = {"alarm": "/default/alarms", "reading": "/default/readings"}


class Router(Bridge):
    def changed(self, record: Record) -> SourceRecord:
        kind = record.attributes.get("kind")
        if kind is None:  # Not said beside the payload: look into it.
            content = record.json()
            kind = content.get("kind") if isinstance(content, dict) else None
        if kind not in TOPICS:
            raise Reject(f"no topic for the kind {kind!r}", code="NO_ROUTE")
        attributes = {**record.attributes, "origin": record.dedup_id}
        return SourceRecord(record.payload, topic=TOPICS[kind], key=record.key, attributes=attributes)
# endregion


if __name__ == "__main__":
    asyncio.run(run(Router, "router"))
