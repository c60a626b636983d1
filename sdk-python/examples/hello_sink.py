from danube_connector import Record, Sink, Subscription, run


class Hello(Sink):
    async def process(self, record: Record) -> None:
        print(record.dedup_id, record.key, record.text(), flush=True)


if __name__ == "__main__":
    run(Hello(), name="hello", subscriptions=[Subscription("/default/hello")])
