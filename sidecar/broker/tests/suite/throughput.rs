//! Not a benchmark: a guard against acks or sends that go one by one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_broker::Outbound;
use danube_sidecar_store::Store;
use futures::{StreamExt, stream};

use crate::support::*;

#[tokio::test]
async fn eight_partitions_with_a_window_of_ten_flow() {
    const RECORDS: u64 = 4000;
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 8).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 8).await;
    let publisher = cluster.publisher(producer(&topic, 8));
    let began = Instant::now();

    let publishing = tokio::spawn(async move {
        // Lanes in parallel, but never so far ahead that the broker's channel skips.
        stream::iter(0..RECORDS)
            .for_each_concurrent(16, |number| {
                let key: Arc<str> = format!("key-{}", number % 64).into();
                let publisher = Arc::clone(&publisher);
                async move {
                    publish(&*publisher, Outbound { key: Some(key), ..message("x".repeat(256)) })
                        .await;
                }
            })
            .await;
    });
    let mut seen = std::collections::HashSet::new();
    while (seen.len() as u64) < RECORDS {
        let record = reader.record().await;
        reader.ack(&record);
        seen.insert(record.identity);
    }
    publishing.await.unwrap();

    let took = began.elapsed();
    println!("{:.0} records/s", RECORDS as f64 / took.as_secs_f64());
    assert!(took < Duration::from_secs(30), "{took:?}");
}
