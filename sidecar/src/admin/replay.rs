//! Replays: dead letters to Danube, and records of the inbox to the workers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use danube_sidecar_broker::{Outbound, ProducerSpec, Publisher};
use danube_sidecar_store::{InboxSettings, Letter, ReplayFrom};
use tokio::time::timeout;

use super::{
    Desk,
    api::{
        InboxReplayed, LetterRefused, LettersReplayed, ReplayInbox, ReplayLetters, Replayed,
        Stopped,
    },
    error::{self, ApiError},
    letters::Page,
};

/// Letters in one call; the caller calls again.
const MOST_REPLAYED: usize = 100;

/// How long the broker may take for one letter.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/admin/v1/inbox/{connector}/replay", post(inbox))
}

/// `POST /admin/v1/dead-letters/replay`.
pub(super) async fn letters(
    State(desk): State<Desk>,
    Json(what): Json<ReplayLetters>,
) -> Result<Json<LettersReplayed>, ApiError> {
    let shelf = desk.shelf(what.letters.connector.as_deref())?;
    let limit = what.letters.limit.unwrap_or(MOST_REPLAYED).min(MOST_REPLAYED);
    let mut destinations = Destinations { desk: &desk, open: HashMap::new() };
    let mut done = LettersReplayed::default();
    let mut page = Page::new(&what.letters, !what.again);
    while let Some(found) = page.next(&shelf.letters).await? {
        for letter in found {
            if done.replayed.len() + done.refused.len() >= limit {
                return Ok(Json(done));
            }
            let id = letter.id;
            let Some(topic) = target(&letter, what.to.as_deref()) else {
                let message = "it came from a source: name a topic with --to".to_owned();
                done.refused.push(LetterRefused { id, message });
                done.next_after = Some(id);
                continue;
            };
            if !what.dry_run {
                match destinations.publish(&topic, message(letter, &shelf.connector)).await {
                    Published::Confirmed => shelf.letters.replayed(id).await?,
                    Published::Never(message) => {
                        done.refused.push(LetterRefused { id, message });
                        done.next_after = Some(id);
                        continue;
                    }
                    Published::NotInTime => {
                        done.stopped = Some(Stopped { id, message: not_confirmed(&topic) });
                        return Ok(Json(done));
                    }
                }
            }
            done.replayed.push(Replayed { id, topic });
            done.next_after = Some(id);
        }
    }
    done.next_after = None;
    Ok(Json(done))
}

/// `POST /admin/v1/inbox/{connector}/replay`.
async fn inbox(
    State(desk): State<Desk>,
    Path(connector): Path<String>,
    Json(from): Json<ReplayInbox>,
) -> Result<Json<InboxReplayed>, ApiError> {
    let connector = error::connector(connector)?;
    let from = match from {
        ReplayInbox::FromMs(ms) => ReplayFrom::Time(ms),
        ReplayInbox::FromSeq(seq) => ReplayFrom::Seq(seq),
    };
    let store = desk.store.as_ref().ok_or(ApiError::NoDataDir)?;
    let kept = match desk.config.connectors.get(&connector) {
        Some(known) => &known.inbox,
        None => &desk.config.defaults.inbox,
    };
    if !kept.enabled {
        return Err(ApiError::NoInbox { connector });
    }
    if kept.retain.is_zero() {
        return Err(ApiError::NothingRetained { connector });
    }
    let running = match &desk.connectors {
        Some(connectors) => connectors.replay(&connector, from).await,
        None => None,
    };
    let records = match running {
        Some(replayed) => replayed?,
        None => {
            let settings =
                InboxSettings { fsync: kept.fsync, max_bytes: kept.max_bytes, retain: kept.retain };
            store.inbox(&connector, settings).await?.replay(from).await?
        }
    };
    Ok(Json(InboxReplayed { connector, records }))
}

/// Where a letter goes: the very partition it came from, so that it keeps its
/// place among the records of its key. A source's record was never in one.
fn target(letter: &Letter, to: Option<&str>) -> Option<String> {
    match to {
        Some(topic) => Some(topic.to_owned()),
        None => letter.letter.subscription.as_ref().map(|_| letter.letter.partition.clone()),
    }
}

/// The original message, with its `x-dedup-id` and where it was in between.
fn message(letter: Letter, connector: &str) -> Outbound {
    let replayed_from = format!("{connector}/{}", letter.id);
    let letter = letter.letter;
    let mut attributes = letter.attributes;
    attributes.retain(|(name, _)| !OURS.contains(&name.as_str()));
    attributes.push(("x-dedup-id".to_owned(), letter.dedup_id));
    attributes.push(("x-replayed-from".to_owned(), replayed_from));
    Outbound {
        payload: letter.payload,
        key: letter.key.map(Into::into),
        partition_by: None,
        attributes,
        schema: letter.schema,
    }
}

/// What made the message a dead letter; a replay takes it off.
const OURS: [&str; 12] = [
    "x-original-topic",
    "x-original-subscription",
    "x-original-topic-offset",
    "x-failure-class",
    "x-failure-code",
    "x-failure-reason",
    "x-delivery-attempt",
    "x-first-failure-time",
    "x-connector",
    "x-dedup-id",
    "x-payload-omitted",
    "x-replayed-from",
];

/// The topics of one replay.
struct Destinations<'a> {
    desk: &'a Desk,
    open: HashMap<String, Arc<dyn Publisher>>,
}

enum Published {
    Confirmed,
    NotInTime,
    Never(String),
}

impl Destinations<'_> {
    async fn publish(&mut self, topic: &str, message: Outbound) -> Published {
        let publisher = self.open.entry(topic.to_owned()).or_insert_with(|| {
            self.desk.cluster.publisher(ProducerSpec {
                topic: topic.into(),
                partitions: 0,
                reliable: true,
                producer_name: "danube-sidecar-replay".into(),
                schema_subject: None,
            })
        });
        match timeout(PATIENCE, publisher.publish(message)).await {
            Ok(Ok(())) => Published::Confirmed,
            Ok(Err(error)) => Published::Never(error.to_string()),
            Err(_) => Published::NotInTime,
        }
    }
}

fn not_confirmed(topic: &str) -> String {
    format!(
        "the broker did not confirm {topic} within {} s: is it running? Replay again to go on",
        PATIENCE.as_secs()
    )
}
