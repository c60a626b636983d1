"""A source that publishes the lines of a file, about so many in a second, and ends: what a sink's test feeds it with.

A line is a JSON object: text, and where they are wanted key and attributes.
"""

import json
import os

from danube_connector import Position, Producer, Source, SourceRecord, run

AT_ONCE = 20


class Feeder(Source):
    def open(self, settings):
        with open(os.environ["FEEDER_IN"], encoding="utf-8") as lines:
            self.records = [record(json.loads(line), number) for number, line in enumerate(lines, 1)]
        self.rested = True

    def restore(self, positions):
        del self.records[:positions["lines"].offset if "lines" in positions else 0]

    def poll(self):
        if not self.records:
            return None
        self.rested = not self.rested
        if self.rested:  # Asked again after `poll_interval`.
            return []
        some, self.records = self.records[:AT_ONCE], self.records[AT_ONCE:]
        return some


def record(line, number):
    return SourceRecord(line["text"].encode(), key=line.get("key"), attributes=line.get("attributes", {}),
                        position=Position("lines", number))


run(Feeder(), name="feeder", producers=[Producer(os.environ["FEEDER_TOPIC"])],
    poll_interval=AT_ONCE / float(os.environ["FEEDER_RATE"]))
