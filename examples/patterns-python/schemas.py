"""Prints JSON messages with the schema that they were published with."""

from danube_connector import Record, Reject, Sink, run


# region schemas
class Printer(Sink):
    def process(self, record: Record) -> None:
        schema = record.schema
        if schema is None or schema.type != "json_schema":
            raise Reject("expected a payload with a JSON schema", code="NO_JSON_SCHEMA")
        print(f"{schema.subject} v{schema.version}: {record.json()}", flush=True)
# endregion


if __name__ == "__main__":
    run(Printer(), name="printer")
