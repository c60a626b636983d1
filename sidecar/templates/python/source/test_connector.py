from danube_connector import Position

from connector import {{name_pascal}}


def opened(count):
    source = {{name_pascal}}()
    source.open({"count": count})
    return source


def offsets(records):
    return [record.position.offset for record in records]


def test_it_counts_ten_at_a_time_and_then_is_idle():
    source = opened(count=12)
    source.restore({})
    assert [offsets(source.poll()) for _ in range(3)] == [[*range(1, 11)], [11, 12], []]


def test_it_goes_on_behind_the_restored_position():
    source = opened(count=12)
    source.restore({"numbers": Position("numbers", 11)})
    records = source.poll()
    assert offsets(records) == [12]
    assert (records[0].payload, records[0].key) == (b'{"number": 12}', "key-0")
