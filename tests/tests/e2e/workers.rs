//! Several workers of one sink.

use std::collections::{HashMap, HashSet};

use danube_connector_proto::v1::SinkRecord;
use danube_sidecar_tests::{
    Broker, Sidecar, SidecarBuilder, SinkWorker, open, publish_keyed, unique,
};
use futures::future::select_all;

const CONFIG: &str = "[danube]\ncreate_topics = true\n";
const KEYS: usize = 12;

/// `rounds` records of each key, in turn: the record's number is its payload.
async fn publish_rounds(broker: &Broker, topic: &str, rounds: std::ops::Range<usize>) {
    let records: Vec<_> =
        rounds.flat_map(|n| (0..KEYS).map(move |k| (format!("key-{k}"), n.to_string()))).collect();
    let records: Vec<_> = records.iter().map(|(k, n)| (Some(k.as_str()), n.as_str())).collect();
    publish_keyed(broker.url(), topic, &records).await;
}

async fn workers<const N: usize>(sidecar: &Sidecar, name: &str, topic: &str) -> [SinkWorker; N] {
    let mut workers = Vec::new();
    for _ in 0..N {
        workers.push(SinkWorker::open(sidecar, open(name, topic)).await.0);
    }
    sidecar.attached(name).await;
    workers.try_into().unwrap_or_else(|_| unreachable!("as many as asked for"))
}

/// The next batch that any of them gets, and whose it is.
async fn any_batch(workers: &mut [SinkWorker]) -> (usize, Vec<SinkRecord>) {
    let batches = workers.iter_mut().map(|worker| Box::pin(worker.batch()));
    let (batch, worker, _) = select_all(batches).await;
    (worker, batch)
}

/// The effects, by key, in their order.
#[derive(Default)]
struct Effects(HashMap<String, Vec<usize>>);

impl Effects {
    fn write(&mut self, records: &[SinkRecord]) {
        for record in records {
            let number = String::from_utf8_lossy(&record.payload).parse().unwrap();
            self.0.entry(record.key.clone().unwrap()).or_default().push(number);
        }
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn assert_in_order(&self, of_each: usize) {
        assert_eq!(self.0.len(), KEYS);
        for (key, numbers) in &self.0 {
            assert_eq!(*numbers, (0..of_each).collect::<Vec<_>>(), "{key}");
        }
    }
}

fn keys(records: &[SinkRecord]) -> HashSet<String> {
    records.iter().filter_map(|record| record.key.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_records_and_each_key_stays_with_one() {
    let broker = Broker::start().await;
    let sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let mut workers: [_; 2] = workers(&sidecar, &name, &topic).await;

    publish_rounds(&broker, &topic, 0..5).await;
    let mut got = [Vec::new(), Vec::new()];
    while got[0].len() + got[1].len() < 5 * KEYS {
        let (worker, batch) = any_batch(&mut workers).await;
        workers[worker].ack(&batch).await;
        got[worker].extend(batch);
    }

    let [one, two] = got.map(|records| keys(&records));
    assert!(one.is_disjoint(&two), "{one:?} {two:?}");
    assert!(!one.is_empty() && !two.is_empty(), "one worker got nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_workers_one_is_lost_and_another_joins_and_every_key_keeps_its_order() {
    let broker = Broker::start().await;
    let sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let [mut lost, second, third] = workers(&sidecar, &name, &topic).await;
    let mut effects = Effects::default();

    publish_rounds(&broker, &topic, 0..10).await;
    // It has some and writes none: what it had goes to the others.
    let held = lost.batch().await;
    drop(lost);
    let joined = SinkWorker::open(&sidecar, open(&name, &topic)).await.0;
    publish_rounds(&broker, &topic, 10..20).await;

    let mut workers = [second, third, joined];
    let mut served = HashSet::new();
    while effects.count() < 20 * KEYS {
        let (worker, batch) = any_batch(&mut workers).await;
        effects.write(&batch);
        workers[worker].ack(&batch).await;
        served.insert(worker);
    }

    effects.assert_in_order(20);
    assert!(!held.is_empty());
    assert_eq!(served.len(), 3, "one worker got nothing");
    sidecar.settled(&name).await;
}
