//! What becomes of what is left in the data directory under names that are gone.

use std::{sync::Arc, time::Duration};

use danube_sidecar::{
    config::{self, Config, ConfigError, Overrides},
    connectors::{Connectors, Parts},
    session::{Caller, FromSink, SinkOpen, ToSink},
    source::checkpoint_key,
    stranded::{Left, StrandedError, Why, settle},
    vitals::Vitals,
};
use danube_sidecar_core::outcome::Results;
use danube_sidecar_store::{InboxSettings, Position, Store};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::danube::{Script, TOPIC, record};

const INBOX: InboxSettings =
    InboxSettings { fsync: false, max_bytes: 1 << 20, retain: Duration::ZERO };

/// A file with a data directory, and these tables.
fn try_config(tables: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    let text = format!("danube_service_url = \"http://127.0.0.1:1\"\n{tables}");
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides {
        config: Some(path),
        data_dir: Some(folder.path().join("data")),
        ..Overrides::default()
    };
    config::load(&overrides, &config::Environment::new())
}

fn config(tables: &str) -> Config {
    try_config(tables).unwrap()
}

const CLOSED: &str = "[sidecar]\nallow_unconfigured = false\n";

/// A connector with a subscription, and these keys.
fn sink(name: &str, keys: &str) -> String {
    format!(
        "[connectors.{name}]\n{keys}\n[[connectors.{name}.subscriptions]]\ntopic = \"{TOPIC}\"\n"
    )
}

async fn leave_records(store: &Store, name: &str) {
    let inbox = store.inbox(name, INBOX).await.unwrap();
    inbox.append((0..3).map(|offset| Arc::new(record(offset))).collect()).await.unwrap();
}

async fn leave_position(store: &Store, name: &str) {
    let position = Position { source_partition: "a.csv".to_owned(), offset: 7, metadata: None };
    store.replace_positions(&checkpoint_key(name), &[position]).await.unwrap();
}

async fn records(store: &Store, name: &str) -> u64 {
    store.holdings().await.unwrap().get(name).map_or(0, |held| held.records)
}

fn whys(left: &[Left]) -> Vec<(&str, Why)> {
    left.iter().map(|left| (left.connector.as_str(), left.why)).collect()
}

#[tokio::test]
async fn a_start_that_would_strand_records_is_refused_with_what_there_is_and_the_remedy() {
    let store = Store::in_memory().unwrap();
    leave_records(&store, "old").await;
    let renamed = config(&(CLOSED.to_owned() + &sink("new", "")));

    let refused = settle(&renamed, &store, &store).await.unwrap_err();

    let text = refused.to_string();
    for part in ["old is not in the file: 3 records", "adopt = ", "\"drain\"", "\"discard\""] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    assert_eq!(records(&store, "old").await, 3);
}

#[tokio::test]
async fn an_inbox_that_is_switched_off_with_records_in_it_is_refused() {
    let store = Store::in_memory().unwrap();
    leave_records(&store, "orders").await;
    let off = config(&sink("orders", "inbox.enabled = false"));

    let refused = settle(&off, &store, &store).await.unwrap_err();

    let StrandedError::Records { left } = refused else { panic!("{refused}") };
    assert_eq!(whys(&left), [("orders", Why::NoInbox)]);
    let on = config(&sink("orders", ""));
    assert_eq!(settle(&on, &store, &store).await.unwrap(), []);
}

#[tokio::test]
async fn what_may_still_be_wanted_and_what_holds_no_record_is_only_named() {
    let store = Store::in_memory().unwrap();
    leave_position(&store, "files").await;
    let closed = config(&(CLOSED.to_owned() + &sink("orders", "")));
    let left = settle(&closed, &store, &store).await.unwrap();
    assert_eq!(whys(&left), [("files", Why::Gone)]);
    assert_eq!(left[0].held.positions, 1);

    leave_records(&store, "stranger").await;
    let open = config(&sink("orders", ""));
    let left = settle(&open, &store, &store).await.unwrap();
    assert_eq!(whys(&left), [("files", Why::MayCome), ("stranger", Why::MayCome)]);
    assert!(left[1].to_string().contains("3 records"), "{}", left[1]);
}

#[tokio::test]
async fn an_heir_has_records_and_positions_and_the_name_is_heard_of_no_more() {
    let store = Store::in_memory().unwrap();
    leave_records(&store, "old").await;
    leave_position(&store, "old").await;
    let heir = config(&(CLOSED.to_owned() + &sink("new", "adopt = \"old\"")));

    for _ in 0..2 {
        assert_eq!(settle(&heir, &store, &store).await.unwrap(), []);
        assert_eq!(records(&store, "new").await, 3);
        let positions = store.positions(&checkpoint_key("new")).await.unwrap();
        assert_eq!((positions.len(), positions[0].offset), (1, 7));
    }
    let names: Vec<_> = store.holdings().await.unwrap().into_keys().collect();
    assert_eq!(names, ["new", &checkpoint_key("new")]);
}

#[tokio::test]
async fn what_is_discarded_is_only_what_the_file_names() {
    let store = Store::in_memory().unwrap();
    for name in ["old", "orders"] {
        leave_records(&store, name).await;
        leave_position(&store, name).await;
    }
    let discard = config(
        &(CLOSED.to_owned()
            + &sink("orders", "inbox.enabled = false")
            + "[stranded]\nold = \"discard\"\norders = \"discard\"\n"),
    );

    assert_eq!(settle(&discard, &store, &store).await.unwrap(), []);

    let names: Vec<_> = store.holdings().await.unwrap().into_keys().collect();
    assert_eq!(names, [checkpoint_key("orders")], "it is in the file: its positions stay");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_when_the_file_is_read() {
    let wrong = [
        (sink("a", "adopt = \"b\"") + &sink("b", ""), "this connector is in the file"),
        (sink("a", "adopt = \"x\"\ninbox.enabled = false"), "enable its inbox"),
        (sink("a", "") + "[stranded]\na = \"discard\"\n", "nothing of it is stranded"),
        (sink("a", "adopt = \"x\"") + "[stranded]\nx = \"drain\"\n", "keep one of both"),
    ];
    for (tables, problem) in wrong {
        let refused = try_config(&tables).unwrap_err().to_string();
        assert!(refused.contains(problem), "{refused}");
    }
}

/// Dials until there is a batch, and acks it; the offsets.
async fn deliver(connectors: &Connectors, name: &str) -> Vec<u64> {
    let caller =
        Caller { connector: name.to_owned(), max_frame_bytes: 4 << 20, ..Caller::default() };
    let open = SinkOpen { caller, ..SinkOpen::default() };
    for _ in 0..100 {
        if let Ok(sink) = connectors.sink(&open).await
            && let Ok(mut seat) = sink.join(open.clone()).await
            && let Ok(Some(ToSink::Batch(offers))) =
                timeout(Duration::from_secs(5), seat.frames.recv()).await
        {
            let acked = offers.iter().map(|offer| (offer.delivery, offer.delivery)).collect();
            let results = Results { acked, failures: Vec::new() };
            sink.said(seat.worker, FromSink::Results(results)).await;
            // It ends where all is drained; else the worker leaves.
            let _ = timeout(Duration::from_secs(5), &mut seat.end).await;
            return offers.iter().map(|offer| offer.record.identity.offset).collect();
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("no batch comes to {name}");
}

#[tokio::test(start_paused = true)]
async fn what_is_drained_is_delivered_first_and_then_the_file_holds() {
    let store = Store::in_memory().unwrap();
    for name in ["old", "orders"] {
        leave_records(&store, name).await;
    }
    let drain = config(
        &(CLOSED.to_owned()
            + &sink("orders", "inbox.enabled = false")
            + "[stranded]\nold = \"drain\"\norders = \"drain\"\n"),
    );
    let left = settle(&drain, &store, &store).await.unwrap();
    assert_eq!(whys(&left), [("old", Why::Draining), ("orders", Why::Draining)]);
    let script = Script::default();
    let parts = Parts {
        danube: Arc::new(script.clone()),
        checkpoints: Arc::new(store.clone()),
        store: store.clone(),
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
        vitals: Vitals::default(),
        delivery: Handle::current(),
    };
    let connectors = Connectors::start(drain, parts, left).await.unwrap();

    assert_eq!(deliver(&connectors, "old").await, [0, 1, 2]);
    assert_eq!(deliver(&connectors, "orders").await, [0, 1, 2]);

    sleep(Duration::from_secs(60)).await;
    assert_eq!((records(&store, "old").await, records(&store, "orders").await), (0, 0));
    let caller = Caller { connector: "old".to_owned(), ..Caller::default() };
    let again = connectors.sink(&SinkOpen { caller, ..SinkOpen::default() }).await;
    assert!(again.is_err(), "a name that is drained is a stranger again");
    script.attach();
    script.deliver(3..5);
    assert_eq!(deliver(&connectors, "orders").await, [3, 4]);
}
