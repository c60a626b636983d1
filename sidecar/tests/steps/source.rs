//! What the session of a source tells while nothing is confirmed.

use std::{net::TcpListener, sync::Arc, time::Duration};

use danube_sidecar::{
    config::{Connector, Policy, Producer},
    session::{Caller, FromSource, SourceOpen, SourceRecord},
    source::{Parts, Source, checkpoint_key},
};
use danube_sidecar_broker::{Cluster, ClusterConfig};
use danube_sidecar_core::publish::Position;
use danube_sidecar_store::{Checkpoints as _, Store};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::danube::TOPIC;

const NAME: &str = "files";

/// A cluster at whose address nobody listens.
fn absent() -> Cluster {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service_url = format!("http://{address}");
    Cluster::new(ClusterConfig { service_url, ..ClusterConfig::default() }).unwrap()
}

fn source(store: &Store) -> Source {
    let parts = Parts {
        cluster: absent(),
        checkpoints: Arc::new(store.clone()),
        letters: None,
        shutdown: CancellationToken::new(),
        shutdown_timeout: Duration::from_secs(30),
        tasks: TaskTracker::new(),
    };
    let producers = vec![Producer {
        topic: TOPIC.parse().unwrap(),
        partitions: 0,
        reliable: true,
        schema_subject: None,
    }];
    Source::new(parts, Connector { name: NAME.to_owned(), producers, ..Connector::default() })
}

fn record(offset: u64) -> SourceRecord {
    let position = Position { source_partition: "a.csv".into(), offset, metadata: None };
    SourceRecord {
        topic: String::new(),
        payload: "payload".into(),
        key: None,
        attributes: Vec::new(),
        position: Some(position),
        encoded_len: 100,
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_has_not_confirmed_is_not_committed_and_moves_no_position() {
    let store = Store::in_memory().unwrap();
    let source = source(&store);
    let caller = Caller { connector: NAME.to_owned(), ..Caller::default() };
    let open = SourceOpen { caller, ..SourceOpen::default() };
    let policy = Policy { allowed_topics: None, allow_lossy_subscription: false };
    let mut seat = source.open(open, &policy).await.unwrap();
    seat.progress.wait_for(|progress| progress.demand_records >= 3).await.unwrap();

    let records = (1..=3).map(record).collect();
    seat.said.send(FromSource::Records { first_number: 1, records }).await.unwrap();
    sleep(Duration::from_secs(60)).await;

    assert_eq!(seat.progress.borrow().committed, 0);
    assert_eq!(store.checkpoint(&checkpoint_key(NAME)).await.unwrap().positions, []);
}
