//! What the broker loses is told; what it does not lose is not.

use std::{collections::BTreeSet, sync::Arc};

use danube_sidecar_broker::{
    Cluster, DetachReason, Marks, Outbound, Publisher, SubscriptionEvent, SubscriptionSpec,
};
use danube_sidecar_store::Store;

use crate::support::*;

fn is_gap(event: &SubscriptionEvent) -> bool {
    matches!(event, SubscriptionEvent::Gap { .. })
}

#[tokio::test]
async fn messages_that_the_broker_passed_over_are_told_as_a_gap() {
    let broker = Broker::embedded(odd(|oddities| oddities.live_channel_skips = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish_numbers(&*cluster.publisher(producer(&topic, 0)), 0..600).await;

    let mut seen = Vec::new();
    while seen.last() != Some(&599) {
        let record = reader.record().await;
        seen.push(payload(&record).parse::<u64>().unwrap());
        reader.ack(&record);
    }
    // Each was told before what came behind it.
    let mut missing = 0;
    while reader.passed(is_gap) {
        let SubscriptionEvent::Gap { first, last, .. } = reader.wait_for(is_gap).await else {
            unreachable!("only gaps are wanted")
        };
        missing += last - first + 1;
    }
    assert_eq!(missing + seen.len() as u64, 600);
    assert!(missing > 0);
}

/// Publishes ten numbers under keys of their own, all at once, so often.
async fn publish_side_by_side(publisher: &dyn Publisher, rounds: std::ops::Range<usize>) {
    for round in rounds {
        let sending = (0..10).map(|key| {
            let number = (10 * round + key).to_string();
            publish(
                publisher,
                Outbound { key: Some(format!("key-{key}").into()), ..message(number) },
            )
        });
        futures::future::join_all(sending).await;
    }
}

#[tokio::test]
async fn what_others_overtake_at_the_broker_comes_in_its_turn_and_is_no_gap() {
    let broker = Broker::any_with(odd(|oddities| oddities.live_channel_reorders = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let publisher = cluster.publisher(producer(&topic, 0));
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;

    publish_side_by_side(&*publisher, 0..10).await;
    let mut offsets = Vec::new();
    while offsets.len() < 100 {
        let record = reader.record().await;
        reader.ack(&record);
        offsets.push(record.identity.offset);
    }

    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(!reader.passed(is_gap));
}

/// Reads and acks one record, leaves, and more come than the broker gives later. Tells
/// the offset of the one.
async fn overrun_while_away(cluster: &Cluster, topic: &Arc<str>, store: &Store) -> u64 {
    create_topic(cluster, topic, 0).await;
    let publisher = cluster.publisher(producer(topic, 0));
    let mut reader = Reader::attached(cluster, subscription(topic), store, 1).await;
    reader.drained().await;
    publish(&*publisher, message("seen")).await;
    let seen = reader.record().await;
    reader.ack(&seen);
    reader.close().await;
    publish_numbers(&*publisher, 0..600).await;
    seen.identity.offset
}

#[tokio::test]
async fn a_gap_is_seen_across_a_restart_before_the_first_record() {
    let broker = Broker::embedded(odd(|oddities| oddities.live_channel_skips = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    let seen = overrun_while_away(&cluster, &topic, &store).await;

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let gap = loop {
        let wanted = |event: &SubscriptionEvent| {
            is_gap(event) || matches!(event, SubscriptionEvent::Delivered(_))
        };
        match reader.wait_for(wanted).await {
            SubscriptionEvent::Delivered(record) => {
                assert_ne!(payload(&record), "599", "no gap is told before the last record");
                reader.ack(&record);
            }
            gap => break gap,
        }
    };

    let SubscriptionEvent::Gap { first, .. } = gap else { unreachable!("only gaps break") };
    assert!(first > seen && first <= seen + 20, "{first}");
}

#[tokio::test]
async fn a_gap_that_the_end_came_before_is_told_after_the_next_start() {
    let broker = Broker::embedded(odd(|oddities| oddities.live_channel_skips = true)).await;
    // Larger than the broker's: what comes behind a hole waits until the repeats are over.
    let cluster = broker.cluster_with(|config| config.broker_window = 1000);
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    let seen = overrun_while_away(&cluster, &topic, &store).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let untold = reader.count_during(std::time::Duration::from_millis(100), |_| true).await;
    reader.close().await;

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let wanted = |event: &SubscriptionEvent| {
        is_gap(event) || matches!(event, SubscriptionEvent::Delivered(_))
    };
    let SubscriptionEvent::Gap { first, .. } = reader.wait_for(wanted).await else {
        panic!("a record came before the gap was told")
    };

    assert_eq!((untold, first), (0, seen + 1));
}

#[tokio::test]
async fn gaps_are_exact_across_a_kill_where_the_caller_keeps_the_marks() {
    let broker = Broker::embedded(odd(|oddities| oddities.live_channel_skips = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let spec = SubscriptionSpec { marks: Marks::Caller, ..subscription(&topic) };
    let publisher = cluster.publisher(producer(&topic, 0));
    let mut reader = Reader::attached(&cluster, spec.clone(), &store, 1).await;
    // The offset of the message that created the topic; it came before the subscription.
    let (mut accounted, mut lost) = (BTreeSet::from([0]), 0);

    for kill in 0..3 {
        publish_numbers(&*publisher, 0..20).await;
        let mut seen = 0;
        while seen < 15 || kill == 2 && accounted.len() < 661 {
            match reader.read().await {
                SubscriptionEvent::Gap { first, last, .. } => {
                    accounted.extend(first..=last);
                    lost += last - first + 1;
                }
                SubscriptionEvent::Delivered(record) => {
                    let offset = record.identity.offset;
                    assert!((0..offset).all(|before| accounted.contains(&before)), "{offset}");
                    accounted.insert(offset);
                    // As the inbox does with its append, and before the ack.
                    let kept = store.keep_contiguous_offset("sub", &topic, offset).await;
                    kept.unwrap();
                    reader.ack(&record);
                    seen += 1;
                }
                _ => {}
            }
        }
        if kill < 2 {
            drop(reader);
            publish_numbers(&*publisher, 0..300).await;
            reader = Reader::new(&cluster, spec.clone(), &store);
        }
    }
    assert_eq!(accounted, (0..=660).collect());
    assert!(lost > 0);
}

#[tokio::test]
async fn a_sidecar_that_dies_does_not_tell_what_it_acked_as_a_gap() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let publisher = cluster.publisher(producer(&topic, 0));
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish_numbers(&*publisher, 0..100).await;
    for _ in 0..100 {
        let record = reader.record().await;
        reader.ack(&record);
    }
    drop(reader);

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    publish(&*publisher, message("next")).await;
    loop {
        let record = reader.record().await;
        reader.ack(&record);
        if payload(&record) == "next" {
            break;
        }
    }
    reader.drained().await;
    assert!(!reader.passed(is_gap));
}

#[tokio::test]
async fn a_non_reliable_topic_has_no_acks_no_gaps_and_no_renewals() {
    let broker = Broker::any().await;
    let cluster = broker.cluster_with(|config| {
        config.ack_timeout = std::time::Duration::from_secs(1);
    });
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    let spec = danube_sidecar_broker::ProducerSpec { reliable: false, ..producer(&topic, 0) };
    let publisher = cluster.publisher(spec);
    publish(&*publisher, message("creates the topic")).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;

    for number in 0..20 {
        publish(&*publisher, message(number.to_string())).await;
        let record = reader.record().await;
        assert_eq!(payload(&record), number.to_string());
        assert_eq!(record.identity.offset, 0);
        reader.ack(&record);
    }
    reader.drained().await;

    let renewals = reader
        .count_during(std::time::Duration::from_secs(2), |event| {
            matches!(event, SubscriptionEvent::Detached { reason: DetachReason::Renewal, .. })
        })
        .await;
    assert_eq!((renewals, reader.passed(is_gap)), (0, false));
}
