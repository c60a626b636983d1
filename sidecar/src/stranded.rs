//! What the data directory holds for names that nobody serves any more.
//!
//! **Architecture invariant:** records that Danube was told are taken are never
//! forgotten in silence: the start is refused where they would be, unless the file says
//! who adopts them, or that they are drained or discarded. All else is named.

use std::{collections::BTreeMap, fmt, time::Duration};

use danube_sidecar_store::{
    CheckpointError, Checkpoints, Discarded, Holdings, Position, Store, StoreError,
};
use metrics::gauge;
use tracing::{info, warn};

use crate::{
    config::{Config, Connector, Fate},
    source::checkpoint_key,
};

/// Why the start is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StrandedError {
    /// Records would never be delivered.
    #[error(
        "the data directory holds records that no connector of this configuration takes:{}\n\
         Danube was told that they are taken. Say in the file what becomes of them: \
         `adopt = \"NAME\"` in the table of the connector that takes them over, or under \
         [stranded] `NAME = \"drain\"` (they are delivered to a connector that opens with that \
         name) or `NAME = \"discard\"`", listed(.left)
    )]
    Records {
        /// Whose.
        left: Vec<Left>,
    },
    /// The store.
    #[error("cannot settle what the data directory holds: {0}")]
    Store(#[from] StoreError),
    /// The positions of a source.
    #[error("cannot settle the positions that are left: {0}")]
    Checkpoints(#[from] CheckpointError),
}

/// What is held for a name that nobody serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The name.
    pub connector: String,
    /// Why nobody serves it.
    pub why: Why,
    /// What there is.
    pub held: Holdings,
}

/// Why nobody serves a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The file does not name it, and others may not connect.
    Gone,
    /// The file does not name it; it may still connect.
    MayCome,
    /// The file names it, and it has no inbox any more.
    NoInbox,
    /// Its records are delivered until none is left.
    Draining,
}

impl Why {
    /// As `/status` and metrics name it: a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::MayCome => "may_come",
            Self::NoInbox => "no_inbox",
            Self::Draining => "draining",
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Gone => "is not in the file",
            Self::MayCome => "is not in the file, and may still connect",
            Self::NoInbox => "has no inbox in the file any more",
            Self::Draining => "is drained",
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connector, why, held } = self;
        write!(f, "{connector} {}: ", why.in_words())?;
        let mut parts = Vec::new();
        if held.records > 0 {
            let age = held.oldest_record_ms.map(|ms| format!(", the oldest {} old", age(ms)));
            let (records, bytes) = (held.records, held.record_bytes);
            parts.push(format!("{records} records ({bytes} bytes{})", age.unwrap_or_default()));
        }
        let numbers = [
            (held.retained_records, "records kept for a replay"),
            (held.letters, "dead letters"),
            (held.positions, "positions"),
            (held.suspicions, "suspicions"),
        ];
        let others = numbers.iter().filter(|(number, _)| *number > 0);
        parts.extend(others.map(|(number, what)| format!("{number} {what}")));
        f.write_str(&parts.join(", "))
    }
}

/// How long ago, in whole units.
pub fn age(since_ms: i64) -> humantime::FormattedDuration {
    let passed = crate::clock::unix_ms().saturating_sub(since_ms);
    let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
    let unit = if passed >= Duration::from_secs(3600) { 60 } else { 1 };
    humantime::format_duration(Duration::from_secs(passed.as_secs() / unit * unit))
}

fn listed(left: &[Left]) -> String {
    left.iter().map(|left| format!("\n  {left}")).collect()
}

/// Does what the file says of names that are gone, and tells what is left after it.
///
/// # Errors
/// Where records would be stranded, and when a store fails.
pub async fn settle(
    config: &Config,
    store: &Store,
    checkpoints: &dyn Checkpoints,
) -> Result<Vec<Left>, StrandedError> {
    for connector in config.connectors.values() {
        if let Some(old) = &connector.adopt {
            adopt(store, checkpoints, old, &connector.name).await?;
        }
    }
    for (name, fate) in &config.stranded {
        if *fate == Fate::Discard {
            discard(config, store, checkpoints, name).await?;
        }
    }
    let left = left(config, by_connector(store.holdings().await?));
    let refused =
        |left: &&Left| left.held.records > 0 && matches!(left.why, Why::Gone | Why::NoInbox);
    let records: Vec<Left> = left.iter().filter(refused).cloned().collect();
    if !records.is_empty() {
        return Err(StrandedError::Records { left: records });
    }
    for left in &left {
        warn!(
            connector = left.connector,
            why = left.why.as_str(),
            "left in the data directory: {left}"
        );
    }
    show(&left);
    Ok(left)
}

/// What is held by connector: the store keeps positions of sources under their own key.
pub fn by_connector(holdings: BTreeMap<String, Holdings>) -> BTreeMap<String, Holdings> {
    let mut all: BTreeMap<String, Holdings> = BTreeMap::new();
    for (key, held) in holdings {
        match key.strip_prefix(&checkpoint_key("")) {
            Some(source) => {
                let of = all.entry(source.to_owned()).or_default();
                of.positions = held.positions;
                of.position_bytes = held.position_bytes;
            }
            None => {
                let Holdings { positions, position_bytes, .. } =
                    all.get(&key).cloned().unwrap_or_default();
                all.insert(key, Holdings { positions, position_bytes, ..held });
            }
        }
    }
    all
}

/// What no connector of the file takes.
pub fn left(config: &Config, held: BTreeMap<String, Holdings>) -> Vec<Left> {
    let left = held.into_iter().filter_map(|(connector, held)| {
        let why = why(config, &connector, &held)?;
        Some(Left { connector, why, held })
    });
    left.collect()
}

fn why(config: &Config, name: &str, held: &Holdings) -> Option<Why> {
    if config.stranded.get(name) == Some(&Fate::Drain) && held.records > 0 {
        return Some(Why::Draining);
    }
    match config.connectors.get(name) {
        Some(known) if held.records == 0 || takes_records(known) => None,
        Some(_) => Some(Why::NoInbox),
        None if !config.sidecar.allow_unconfigured => Some(Why::Gone),
        None if held.records == 0 || config.defaults.inbox.enabled => Some(Why::MayCome),
        None => Some(Why::NoInbox),
    }
}

/// Whether an inbox is opened for it: one that only publishes has none.
fn takes_records(connector: &Connector) -> bool {
    let only_source = connector.subscriptions.is_empty() && !connector.producers.is_empty();
    connector.inbox.enabled && !only_source
}

/// For Prometheus.
fn show(left: &[Left]) {
    for Left { connector, held, .. } in left {
        let name = || connector.clone();
        gauge!("danube_sidecar_stranded_records", "connector" => name()).set(held.records as f64);
        gauge!("danube_sidecar_stranded_bytes", "connector" => name())
            .set((held.record_bytes + held.letter_bytes + held.position_bytes) as f64);
        let oldest = held.oldest_record_ms.or(held.oldest_letter_ms).unwrap_or_default();
        gauge!("danube_sidecar_stranded_oldest_timestamp_seconds", "connector" => name())
            .set(oldest as f64 / 1000.0);
    }
}

async fn adopt(
    store: &Store,
    checkpoints: &dyn Checkpoints,
    old: &str,
    new: &str,
) -> Result<(), StrandedError> {
    let estate = store.adopt(old, new).await?;
    store.adopt_epoch(&format!("sink/{old}"), &format!("sink/{new}")).await?;
    let positions = adopt_positions(checkpoints, old, new).await?;
    if estate.records + estate.letters + estate.suspicions + positions > 0 {
        info!(
            connector = new,
            adopted = old,
            records = estate.records,
            dead_letters = estate.letters,
            positions,
            "adopted what another name has left"
        );
    }
    Ok(())
}

/// First they are the heir's, then they go: cut off between, the same is done again.
async fn adopt_positions(
    checkpoints: &dyn Checkpoints,
    old: &str,
    new: &str,
) -> Result<u64, CheckpointError> {
    let (old, new) = (checkpoint_key(old), checkpoint_key(new));
    let left = checkpoints.checkpoint(&old).await?.positions;
    if left.is_empty() {
        return Ok(0);
    }
    let own = checkpoints.checkpoint(&new).await?.positions;
    let known = |at: &Position| own.iter().any(|own| own.source_partition == at.source_partition);
    // Where the heir has been itself it knows better.
    let fresh: Vec<Position> = left.iter().filter(|at| !known(at)).cloned().collect();
    let count = fresh.len() as u64;
    if !fresh.is_empty() {
        checkpoints.replace(&new, &[own.clone(), fresh].concat()).await?;
    }
    checkpoints.replace(&old, &[]).await?;
    Ok(count)
}

async fn discard(
    config: &Config,
    store: &Store,
    checkpoints: &dyn Checkpoints,
    name: &str,
) -> Result<(), StrandedError> {
    let known = config.connectors.contains_key(name);
    let what = if known { Discarded::Inbox } else { Discarded::Everything };
    let gone = store.discard(name, what).await?;
    let key = checkpoint_key(name);
    let mut positions = 0;
    if !known {
        positions = checkpoints.checkpoint(&key).await?.positions.len();
        if positions > 0 {
            checkpoints.replace(&key, &[]).await?;
        }
    }
    if gone.records + gone.letters + gone.suspicions + positions as u64 > 0 {
        warn!(
            connector = name,
            records = gone.records,
            dead_letters = gone.letters,
            positions,
            "discarded what this name has left, as the file says"
        );
    }
    Ok(())
}
