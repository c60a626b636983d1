//! kill -9 of a connector, of the sidecar, of the broker: nothing is lost.

use std::collections::HashSet;

use danube_sidecar_tests::{
    Broker, SidecarBuilder, SinkWorker, needs_embedded_broker, open, publish, unique,
};

const CONFIG: &str = "[danube]\ncreate_topics = true\n";

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("record {n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn unresolved_records_of_a_gone_worker_come_to_the_next_one() {
    let broker = Broker::start().await;
    let sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut first, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &payloads(8)).await;
    let taken = first.take(8).await;
    first.ack(&taken[..3]).await;
    danube_sidecar_tests::eventually("the three acks", || async {
        (sidecar.sink(&name).await["unresolved"]["records"] == 5).then_some(())
    })
    .await;
    drop(first);

    let (mut second, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    let again = second.take(5).await;
    second.ack(&again).await;

    let expected: Vec<&str> = taken[3..].iter().map(|r| r.dedup_id.as_str()).collect();
    assert_eq!(again.iter().map(|r| r.dedup_id.as_str()).collect::<Vec<_>>(), expected);
    assert!(again.iter().all(|record| record.attempt == 2));
    sidecar.settled(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_sidecar_gets_again_what_was_not_resolved() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let start = || SidecarBuilder::new(broker.url()).config(CONFIG).data_dir(data.path()).start();
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let mut sidecar = start().await;
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &payloads(20)).await;
    let mut effects: HashSet<String> = worker.write(7).await.into_iter().collect();
    sidecar.process().kill().await;

    let sidecar = start().await;
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    while effects.len() < 20 {
        effects.extend(worker.write(1).await);
    }

    assert_eq!(effects, payloads(20).into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_is_found_again_and_nothing_is_lost() {
    if needs_embedded_broker("a_killed_broker_is_found_again_and_nothing_is_lost") {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut broker = Broker::durable("127.0.0.1:0", data.path()).await;
    let (url, address) = (broker.url().to_owned(), broker.url().replace("http://", ""));
    let sidecar = SidecarBuilder::new(&url).config(CONFIG).start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish(&url, &topic, &payloads(30)).await;
    let mut effects: HashSet<String> = worker.write(10).await.into_iter().collect();

    broker.kill().await;
    let _broker = Broker::durable(&address, data.path()).await;
    while effects.len() < 30 {
        effects.extend(worker.write(1).await);
    }

    assert_eq!(effects, payloads(30).into_iter().collect());
}
