from typing import Any, Dict

from danube_connector import Record, Reject, Sink, Subscription, run


class Readings(Sink):
    """Takes the versions of the schema `reading` that it was written for."""

    def open(self, settings: Dict[str, Any]) -> None:
        self.unit = settings.get("unit", "°C")
        self.versions = settings.get("versions", [1])

    def process(self, record: Record) -> None:
        schema = record.schema
        if schema is None or schema.subject != "reading":
            raise Reject("the record has not the schema `reading`", code="WRONG_SCHEMA")
        if schema.version not in self.versions:
            raise Reject(f"version {schema.version} of the schema is not one of {self.versions}", code="UNKNOWN_VERSION")
        print(record.json()["value"], self.unit, flush=True)


if __name__ == "__main__":
    run(Readings(), name="readings", subscriptions=[Subscription("/default/readings")])
