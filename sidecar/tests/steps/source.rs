//! What the session of a source tells, and when.

use std::{sync::Arc, time::Duration};

use danube_sidecar::{
    config::{Connector, DeadLetters, Policy, Producer},
    refusal::Refusal,
    session::{Caller, FromSource, SourceOpen, SourceRecord},
    source::{News, Parts, Progress, Seat, Source, Told, checkpoint_key},
    vitals::{Part, Vitals},
};
use danube_sidecar_core::publish::Position;
use danube_sidecar_store::{Checkpoints as _, Store};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::danube::{Script, TOPIC};

const NAME: &str = "files";

fn source(store: &Store, script: &Script) -> Source {
    watched(store, script, Vitals::default())
}

fn watched(store: &Store, script: &Script, vitals: Vitals) -> Source {
    let parts = Parts {
        danube: Arc::new(script.clone()),
        checkpoints: Arc::new(store.clone()),
        letters: None,
        shutdown: CancellationToken::new(),
        shutdown_timeout: Duration::from_secs(30),
        tasks: TaskTracker::new(),
        vitals,
    };
    let producers = vec![Producer {
        topic: TOPIC.parse().unwrap(),
        partitions: 0,
        reliable: true,
        schema_subject: None,
    }];
    let dead_letters = DeadLetters { enabled: false, ..DeadLetters::default() };
    let name = NAME.to_owned();
    Source::new(parts, Connector { name, producers, dead_letters, ..Connector::default() })
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

async fn opened(source: &Source) -> Seat {
    let caller = Caller { connector: NAME.to_owned(), ..Caller::default() };
    let open = SourceOpen { caller, ..SourceOpen::default() };
    source.open(open, &Policy::default()).await.unwrap()
}

/// What is told until everything up to `number` is committed, in its order.
async fn until_committed(news: &mut News, number: u64) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        match news.next().await {
            Told::Progress(Progress { committed, .. }) => {
                told.push(format!("committed {committed}"));
                if committed >= number {
                    return told;
                }
            }
            Told::Rejected(record) => told.push(format!("rejected {}", record.number)),
            other => panic!("expected progress, got {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_committed_when_it_is_confirmed_and_not_before() {
    let store = Store::in_memory().unwrap();
    let script = Script::default();
    let source = source(&store, &script);
    let Seat { said, mut news, .. } = opened(&source).await;
    assert_eq!(until_committed(&mut news, 0).await, ["committed 0"]);

    said.send(FromSource::Records { first_number: 1, records: vec![record(1)] }).await.unwrap();
    let early = timeout(Duration::from_secs(60), until_committed(&mut news, 1)).await;
    assert!(early.is_err(), "{early:?}");
    assert!(positions(&store).await.is_empty());

    script.confirm();
    assert_eq!(until_committed(&mut news, 1).await, ["committed 1"]);
    assert_eq!(positions(&store).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_rejected_before_a_commit_covers_it_however_many_are() {
    const MANY: u64 = 200;
    let store = Store::in_memory().unwrap();
    let source = source(&store, &Script::default());
    let Seat { said, mut news, .. } = opened(&source).await;
    assert_eq!(until_committed(&mut news, 0).await, ["committed 0"]);

    let undeclared = |offset| SourceRecord { topic: "/default/other".to_owned(), ..record(offset) };
    let records = (1..=MANY).map(undeclared).collect();
    said.send(FromSource::Records { first_number: 1, records }).await.unwrap();
    // Nobody reads meanwhile: more than the queue of rejections takes wait.
    sleep(Duration::from_secs(60)).await;
    let told = until_committed(&mut news, MANY).await;

    for number in 1..=MANY {
        let rejected = told.iter().position(|told| *told == format!("rejected {number}"));
        let covered = told.iter().position(|told| {
            told.strip_prefix("committed ").is_some_and(|to| to.parse::<u64>().unwrap() >= number)
        });
        assert!(rejected.is_some() && rejected < covered, "{number}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_panics_is_over_and_the_next_one_takes_its_place() {
    let (store, script) = (Store::in_memory().unwrap(), Script::default());
    let vitals = Vitals::default();
    let source = watched(&store, &script, vitals.clone());
    let Seat { said, mut news, .. } = opened(&source).await;
    until_committed(&mut news, 0).await;
    script.panic_at_a_publish();
    let records = vec![record(1)];
    said.send(FromSource::Records { first_number: 1, records: records.clone() }).await.unwrap();

    let told = news.next().await;

    assert!(matches!(told, Told::End(Some(Refusal::Failed))), "{told:?}");
    assert!(source.view().await.session.is_none(), "nobody has a session");
    assert_eq!(vitals.view()[0].0, Part::Source);
    source.replace_positions(&[]).await.unwrap();
    let Seat { said, mut news, .. } = opened(&source).await;
    until_committed(&mut news, 0).await;
    said.send(FromSource::Records { first_number: 1, records }).await.unwrap();
    script.confirm();
    until_committed(&mut news, 1).await;
    assert_eq!(positions(&store).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn records_that_are_numbered_from_the_largest_number_there_is_are_refused_as_misnumbered() {
    let store = Store::in_memory().unwrap();
    let source = source(&store, &Script::default());
    let Seat { said, mut news, .. } = opened(&source).await;
    assert_eq!(until_committed(&mut news, 0).await, ["committed 0"]);

    let records = vec![record(1), record(2)];
    said.send(FromSource::Records { first_number: u64::MAX, records }).await.unwrap();
    match news.next().await {
        Told::End(Some(refusal)) => assert_eq!(refusal.reason(), "RECORDS_MISNUMBERED"),
        other => panic!("expected a refusal, got {other:?}"),
    }
}
