//! The account of a subscription's store calls: each fails once, before it is done and
//! after it, and at each the subscription is dropped. Nothing stands still, and nothing
//! that is published behind it is missing.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use danube_sidecar_broker::SubscriptionEvent;
use danube_sidecar_store::{Call, Faults, Moment, Store, StoreError};
use tokio::sync::{Notify, watch};
use tonic::async_trait;

use crate::support::*;

/// What a subscription asks of the store.
const CALLS: [Call; 4] =
    [Call::ReadConsumerId, Call::ReadOffset, Call::KeepConsumerId, Call::KeepOffset];
/// More than a topic takes whose consumer nobody reads.
const MESSAGES: usize = 50;
/// How long one schedule may take.
const LIMIT: Duration = Duration::from_secs(50);
/// A call that is struck stands until so many are published: then a topic is blocked
/// whose consumer nobody reads.
const BLOCKING: usize = 40;
/// But no longer than that, which is less than the sidecar waits for the store.
const STANDS: Duration = Duration::from_secs(4);
/// How often it is looked whether the store has an id.
const LOOK: Duration = Duration::from_millis(5);

/// What happens at one of the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// It fails.
    Failure,
    /// The subscription is dropped while it waits.
    Drop,
}

/// Strikes once.
#[derive(Clone)]
struct Once {
    at: (Call, Moment),
    blow: Blow,
    struck: Arc<watch::Sender<bool>>,
    published: Arc<watch::Sender<usize>>,
}

impl Once {
    fn new(at: (Call, Moment), blow: Blow) -> Self {
        Self { at, blow, struck: Arc::default(), published: Arc::default() }
    }

    async fn blocking(&self) {
        let mut published = self.published.subscribe();
        let _ = published.wait_for(|published| *published >= BLOCKING).await;
    }

    async fn has_struck(&self) {
        let _ = self.struck.subscribe().wait_for(|struck| *struck).await;
    }
}

#[async_trait]
impl Faults for Once {
    async fn meet(&self, call: Call, moment: Moment) -> Result<(), StoreError> {
        if self.at != (call, moment) || self.struck.send_replace(true) {
            return Ok(());
        }
        let _ = tokio::time::timeout(STANDS, self.blocking()).await;
        match self.blow {
            Blow::Failure => Err(StoreError::Gone { path: "/disk".into() }),
            Blow::Drop => Ok(()),
        }
    }
}

#[tokio::test]
async fn whichever_store_call_fails_or_is_cancelled_the_topic_flows() {
    let broker = Broker::embedded(odd(|oddities| {
        oddities.subscribe_without_receive_blocks = true;
    }));
    let broker = Arc::new(broker.await);
    let played = Arc::new(Mutex::new(Vec::new()));
    for call in CALLS {
        let mut running = tokio::task::JoinSet::new();
        for moment in [Moment::Before, Moment::After] {
            for blow in [Blow::Failure, Blow::Drop] {
                let (broker, played) = (Arc::clone(&broker), Arc::clone(&played));
                running.spawn(async move {
                    let playing = play(&broker, Once::new((call, moment), blow));
                    let played_out = tokio::time::timeout(LIMIT, playing).await;
                    played_out.unwrap_or_else(|_| panic!("{blow:?} {moment:?} {call:?} blocks"));
                    played.lock().unwrap().push((call, moment, blow));
                });
            }
        }
        while let Some(ended) = running.join_next().await {
            ended.expect("the topic flows");
        }
    }
    let played = played.lock().unwrap();
    let drops = played.iter().filter(|(.., blow)| *blow == Blow::Drop).count();
    println!("{} store calls failed, {drops} were cancelled", played.len() - drops);
    assert_eq!(played.len(), CALLS.len() * 4);
}

async fn play(broker: &Broker, fault: Once) {
    let (cluster, topic) = (broker.cluster(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let store = Store::in_memory_with(fault.clone()).unwrap();
    let mut reader = Reader::new(&cluster, subscription(&topic), &store);
    let attached = Arc::new(Notify::new());
    let publishing = {
        let attached = Arc::clone(&attached);
        let (publisher, struck) = (cluster.publisher(producer(&topic, 0)), fault.clone());
        tokio::spawn(async move {
            // Marks are kept only when messages come.
            if struck.at.0 != Call::KeepOffset {
                struck.has_struck().await;
            }
            for number in 0..MESSAGES {
                publish(&*publisher, message(number.to_string())).await;
                struck.published.send_modify(|published| *published += 1);
            }
            struck.has_struck().await;
            // What comes before the subscription is not for it.
            attached.notified().await;
            publish(&*publisher, message("last")).await;
        })
    };
    if fault.blow == Blow::Drop {
        struck(&fault, &mut reader).await;
        drop(reader);
        if fault.at.0 == Call::KeepConsumerId {
            known(&store, &topic).await;
        }
        reader = Reader::new(&cluster, subscription(&topic), &store);
    }
    reader.wait_for(|event| matches!(event, SubscriptionEvent::Attached { .. })).await;
    attached.notify_one();
    while let record = reader.record().await
        && payload(&record) != "last"
    {
        reader.ack(&record);
    }
    publishing.await.unwrap();
}

/// What the broker has registered the store knows, whoever was dropped meanwhile.
async fn known(store: &Store, topic: &str) {
    let key = format!("sub/Exclusive/sidecar-0@{topic}");
    while store.consumer_id(&key).await.unwrap().is_none() {
        tokio::time::sleep(LOOK).await;
    }
}

/// Reads until the blow falls.
async fn struck(fault: &Once, reader: &mut Reader) {
    let reading = async {
        loop {
            let record = reader.record().await;
            reader.ack(&record);
        }
    };
    tokio::select! {
        () = fault.has_struck() => {}
        () = reading => {}
    }
}
