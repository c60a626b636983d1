import sqlite3

from danube_connector import InvalidPayload, Record

from sqlite_sink import Orders


def test_an_order_is_written_once_and_what_is_no_json_is_a_dead_letter(tmp_path):
    path = str(tmp_path / "orders.db")
    sink = Orders()
    sink.open({"database": path})
    order = Record(b'{"total": 3}', key="ada", dedup_id="1")

    outcomes = sink.process_batch([order, Record(b"{", dedup_id="2")])
    again = sink.process_batch([order])
    sink.close()

    assert outcomes[0] is None and isinstance(outcomes[1], InvalidPayload)
    assert again == [None]
    assert sqlite3.connect(path).execute("SELECT * FROM orders").fetchall() == [("1", "ada", 3.0)]
