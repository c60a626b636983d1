//! Several sidecars with the same connectors.

use std::collections::HashSet;

use danube_sidecar_tests::{
    Broker, Sidecar, SidecarBuilder, SinkWorker, eventually, open, publish_to_partitions, unique,
};

const PARTITIONS: usize = 4;
const KEYS: usize = 16;
const ROUNDS: usize = 10;

async fn replica(broker: &Broker, ordinal: usize, name: &str, topic: &str) -> Sidecar {
    let config = format!(
        "[sidecar]\nreplica = {ordinal}\nreplicas = 2\n[connectors.{name}]\n\
         subscriptions = [{{ topic = \"{topic}\" }}]\n"
    );
    SidecarBuilder::new(broker.url()).config(&config).start().await
}

/// Waits until a replica has its half of the partitions.
async fn attached(sidecar: &Sidecar, name: &str) {
    eventually("its partitions", || async {
        let subscriptions = &sidecar.sink(name).await["subscriptions"];
        let attached = subscriptions[0]["partitions_attached"].as_u64();
        (attached == Some(PARTITIONS as u64 / 2)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sidecars_share_the_partitions_and_each_key_stays_in_order_with_one() {
    let broker = Broker::start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    publish_to_partitions(broker.url(), &topic, PARTITIONS, &[]).await;
    let sidecars =
        [replica(&broker, 0, &name, &topic).await, replica(&broker, 1, &name, &topic).await];
    for sidecar in &sidecars {
        attached(sidecar, &name).await;
    }
    let keys: Vec<String> = (0..KEYS).map(|key| format!("key-{key}")).collect();
    let numbers: Vec<String> = (0..ROUNDS).map(|number| number.to_string()).collect();
    let records: Vec<(Option<&str>, &str)> = numbers
        .iter()
        .flat_map(|number| keys.iter().map(move |key| (Some(key.as_str()), number.as_str())))
        .collect();
    publish_to_partitions(broker.url(), &topic, PARTITIONS, &records).await;

    let (mut first, _) = SinkWorker::open(&sidecars[0], open(&name, &topic)).await;
    let (mut second, _) = SinkWorker::open(&sidecars[1], open(&name, &topic)).await;
    let mut effects: [Vec<(String, usize)>; 2] = Default::default();
    while effects.iter().map(Vec::len).sum::<usize>() < KEYS * ROUNDS {
        let (worker, records) = tokio::select! {
            records = first.batch() => (0, records),
            records = second.batch() => (1, records),
        };
        [&first, &second][worker].ack(&records).await;
        effects[worker].extend(records.iter().map(|record| {
            let number = String::from_utf8_lossy(&record.payload).parse().unwrap();
            (record.key.clone().unwrap(), number)
        }));
    }

    let [first, second] = &effects;
    assert!(!first.is_empty() && !second.is_empty());
    let keys_of = |effects: &[(String, usize)]| -> HashSet<String> {
        effects.iter().map(|(key, _)| key.clone()).collect()
    };
    assert!(keys_of(first).is_disjoint(&keys_of(second)));
    for key in &keys {
        let of_key = effects.iter().flatten().filter(|(of, _)| of == key);
        assert_eq!(of_key.map(|(_, n)| *n).collect::<Vec<_>>(), (0..ROUNDS).collect::<Vec<_>>());
    }
}
