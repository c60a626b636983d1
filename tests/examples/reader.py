"""A sink that appends each record to a file, as a line of JSON: what a source's test looks at."""

import json
import os

from danube_connector import Record, Sink, Subscription, run


class Reader(Sink):
    def open(self, settings):
        self.out = open(os.environ["READER_OUT"], "a", encoding="utf-8", buffering=1)

    def process(self, record: Record) -> None:
        line = {"dedup_id": record.dedup_id, "key": record.key, "text": record.text(),
                "attributes": dict(record.attributes), "topic": record.topic}
        self.out.write(json.dumps(line) + "\n")


run(Reader(), name=os.environ["CONNECTOR_NAME"], subscriptions=[Subscription(os.environ["READER_TOPIC"])])
