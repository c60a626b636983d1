import json

from danube_connector import Record, Reject

from connector import {{name_pascal}}


def test_what_is_text_is_written_and_the_rest_rejected(tmp_path):
    path = tmp_path / "out.jsonl"
    sink = {{name_pascal}}()
    sink.open({"path": str(path)})

    outcomes = sink.process_batch([
        Record(b"hello", dedup_id="1", key="k", topic="/default/{{name}}"),
        Record(b"\xff", dedup_id="2"),
    ])
    sink.close()

    assert outcomes[0] is None
    assert isinstance(outcomes[1], Reject) and outcomes[1].code == "NOT_TEXT"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"dedup_id": "1", "key": "k", "payload": "hello", "topic": "/default/{{name}}"},
    ]
