//! What the session of a source tells, and when.

use std::{sync::Arc, time::Duration};

use danube_sidecar::{
    config::{Connector, Policy, Producer},
    session::{Caller, FromSource, SourceOpen, SourceRecord},
    source::{Parts, Source, checkpoint_key},
};
use danube_sidecar_core::publish::Position;
use danube_sidecar_store::{Checkpoints as _, Store};
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::danube::{Script, TOPIC};

const NAME: &str = "files";

fn source(store: &Store, script: &Script) -> Source {
    let parts = Parts {
        danube: Arc::new(script.clone()),
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

async fn positions(store: &Store) -> Vec<u64> {
    let checkpoint = store.checkpoint(&checkpoint_key(NAME)).await.unwrap();
    checkpoint.positions.iter().map(|position| position.offset).collect()
}

#[tokio::test(start_paused = true)]
async fn a_record_is_committed_when_it_is_confirmed_and_not_before() {
    let store = Store::in_memory().unwrap();
    let script = Script::default();
    let source = source(&store, &script);
    let caller = Caller { connector: NAME.to_owned(), ..Caller::default() };
    let open = SourceOpen { caller, ..SourceOpen::default() };
    let policy = Policy::default();
    let mut seat = source.open(open, &policy).await.unwrap();
    seat.news.progress.wait_for(|progress| progress.demand_records >= 1).await.unwrap();

    seat.said
        .send(FromSource::Records { first_number: 1, records: vec![record(1)] })
        .await
        .unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(seat.news.progress.borrow().committed, 0);
    assert!(positions(&store).await.is_empty());

    script.confirm();
    seat.news.progress.wait_for(|progress| progress.committed == 1).await.unwrap();
    assert_eq!(positions(&store).await, [1]);
}
