//! What the admin API takes and gives, as JSON.

use serde::{Deserialize, Serialize};

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The connector.
    pub connector: String,
    /// Its latest epoch; 0 before the first session.
    pub epoch: u64,
    /// Where it resumes, by source partition.
    pub positions: Vec<Position>,
}

/// A position in one source partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The source partition.
    pub source_partition: String,
    /// Where in it; only the connector knows the unit.
    pub offset: u64,
    /// Whatever else the connector keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

/// `PUT /admin/v1/checkpoints/{connector}`: these source partitions get these
/// positions, the others keep theirs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPositions {
    /// The new positions.
    pub positions: Vec<Position>,
}

/// `DELETE /admin/v1/checkpoints/{connector}`: which positions are forgotten.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetPositions {
    /// Only this source partition's; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_partition: Option<String>,
}

/// Every answer that is not a success.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong.
    pub error: Problem,
}

/// What is wrong, for programs and for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// A constant from a closed set.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetterQuery {
    /// The connector; may be left out where the configuration names only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// Of this failure class: `REJECT`, `EXHAUSTED`, `CRASH`, `OVERSIZE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// With this failure code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With this routing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Kept at this time or later, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// With a greater id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_id: Option<u64>,
    /// At most so many, the oldest; 100 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /admin/v1/dead-letters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterList {
    /// The connector.
    pub connector: String,
    /// The letters, oldest first, without their payloads.
    pub letters: Vec<Letter>,
    /// Letters kept at all.
    pub kept: u64,
    /// Letters that were given up for want of room or by age.
    pub evicted: u64,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its number among the connector's letters.
    pub id: u64,
    /// When it was kept, RFC 3339.
    pub kept_at: String,
    /// Whether its dead-letter topic has it.
    pub published: bool,
    /// When it was replayed last, RFC 3339.
    pub replayed_at: Option<String>,
    /// The same at every offer of the record.
    pub dedup_id: String,
    /// The record's topic.
    pub topic: String,
    /// Its subscription; none for a source's record.
    pub subscription: Option<String>,
    /// Its partition's topic.
    pub partition: String,
    /// Its offset there.
    pub offset: u64,
    /// Its routing key.
    pub key: Option<String>,
    /// Why: the class.
    pub class: String,
    /// Why: the connector's code.
    pub code: String,
    /// Why, in words.
    pub reason: String,
    /// How often it was offered.
    pub attempt: u32,
    /// When it failed first, RFC 3339.
    pub first_failure: String,
    /// Where the letter is published.
    pub dead_letter_topic: Option<String>,
    /// Size of the payload.
    pub payload_bytes: usize,
    /// The payload and the attributes, where one letter is shown.
    #[serde(flatten)]
    pub content: Option<Content>,
}

/// What a letter holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The payload.
    pub payload_base64: String,
    /// The attributes, as published.
    pub attributes: Vec<(String, String)>,
}

/// `POST /admin/v1/dead-letters/replay`: publishes letters again, oldest first. At
/// least once: a letter is marked after the broker's confirmation, and one that is
/// marked is passed over.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayLetters {
    /// Which; at most 100 in one call.
    pub letters: LetterQuery,
    /// Where to; none: the partition that each came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Those that were replayed before, too.
    #[serde(default)]
    pub again: bool,
    /// Publish nothing, only say what would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// How far a replay came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersReplayed {
    /// What was (or would be) published, in order.
    pub replayed: Vec<Replayed>,
    /// What can never be published, and why.
    pub refused: Vec<LetterRefused>,
    /// The last letter that was looked at; more follow it.
    pub next_after: Option<u64>,
    /// Why it stopped before the end, if it did.
    pub stopped: Option<Stopped>,
}

/// A letter that was published again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// The letter.
    pub id: u64,
    /// Where to.
    pub topic: String,
}

/// A letter that can never be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterRefused {
    /// The letter.
    pub id: u64,
    /// Why.
    pub message: String,
}

/// Why a replay stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The letter that it stopped at.
    pub id: u64,
    /// Why, and what to do.
    pub message: String,
}

/// `POST /admin/v1/dead-letters/purge`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeLetters {
    /// Which.
    pub letters: LetterQuery,
    /// Every letter of the connector, where no filter is given.
    #[serde(default)]
    pub all: bool,
    /// Delete nothing, only count.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a purge deleted, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LettersPurged {
    /// The connector.
    pub connector: String,
    /// How many.
    pub letters: u64,
}

/// Which records that fail are meant: all that fit every part that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailingQuery {
    /// The sink; may be left out where only one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// Of this partition's topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// With this offset there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// With this routing key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// With this last code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Only those that wait for an operator.
    #[serde(default)]
    pub suspended: bool,
    /// At most so many in a list, the longest first; 100 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// `GET /admin/v1/failing`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingList {
    /// The sink.
    pub connector: String,
    /// Its records that fail, the longest first.
    pub records: Vec<FailingRecord>,
}

/// A record that failed and is not resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingRecord {
    /// Its partition's topic.
    pub partition: String,
    /// Its offset there.
    pub offset: u64,
    /// Its routing key.
    pub key: Option<String>,
    /// What it waits for: `retry`, `at_worker`, `suspended`, `dead_letter`.
    pub state: String,
    /// Its attempts so far.
    pub attempt: u32,
    /// The failed ones that count towards `max_retries`.
    pub counted: u32,
    /// Crashes of workers that had it in hand.
    pub crashes: u32,
    /// When it failed first, RFC 3339.
    pub since: String,
    /// When it is offered again at the earliest, RFC 3339.
    pub next_attempt: Option<String>,
    /// The worker that has it.
    pub worker: Option<String>,
    /// The connector's last code.
    pub code: String,
    /// The connector's last words, cut.
    pub reason: String,
    /// Records that wait behind it.
    pub behind: usize,
}

/// `POST /admin/v1/failing/{resume,skip,dead-letter}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideFailing {
    /// Which.
    pub records: FailingQuery,
    /// All that fail, where nothing else says which.
    #[serde(default)]
    pub all: bool,
    /// Change nothing, only say which they are.
    #[serde(default)]
    pub dry_run: bool,
}

/// What became of a decision: up to 10 000 records in one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailingDecided {
    /// The sink.
    pub connector: String,
    /// On how many it was (or would be) carried out.
    pub decided: usize,
    /// The first of these, as they were before.
    pub records: Vec<FailingRecord>,
    /// How many could not be decided on.
    pub refused: usize,
    /// Why the first of these could not.
    pub refusals: Vec<Refusal>,
}

/// A record that could not be decided on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The record.
    pub record: FailingRecord,
    /// Why.
    pub message: String,
}

/// `POST /admin/v1/{pause,resume}`: until the sidecar ends, or it is resumed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseSink {
    /// The sink; may be left out where only one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
}

/// Whether a sink is offered records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkPaused {
    /// The sink.
    pub connector: String,
    /// Whether it is paused now.
    pub paused: bool,
    /// Whether that is a change.
    pub changed: bool,
}

/// `POST /admin/v1/inbox/{connector}/replay`: where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayInbox {
    /// Records that came at this time or later, in milliseconds since the Unix epoch.
    FromMs(i64),
    /// Records from this sequence number on.
    FromSeq(u64),
}

/// What is offered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxReplayed {
    /// The connector.
    pub connector: String,
    /// How many records.
    pub records: u64,
}

/// `GET /admin/v1/store`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreList {
    /// What is held, by connector.
    pub connectors: Vec<StoreEntry>,
}

/// What the data directory holds for one connector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEntry {
    /// The connector.
    pub connector: String,
    /// Why no connector of the configuration takes it: `gone`, `may_come`, `no_inbox`,
    /// `draining`; none where one does.
    pub stranded: Option<String>,
    /// Records that were acked to Danube and not delivered.
    pub records: u64,
    /// Their bytes, as stored.
    pub record_bytes: u64,
    /// When the oldest of them came, RFC 3339, as far as known.
    pub oldest_record: Option<String>,
    /// Resolved records that are kept for a replay.
    pub retained_records: u64,
    /// Their bytes, as stored.
    pub retained_bytes: u64,
    /// Local copies of dead letters.
    pub dead_letters: u64,
    /// Their bytes, as stored.
    pub dead_letter_bytes: u64,
    /// When the oldest of them was kept, RFC 3339.
    pub oldest_dead_letter: Option<String>,
    /// Source partitions with a position here; those in an object store are not.
    pub positions: u64,
    /// Their bytes.
    pub position_bytes: u64,
    /// Records that are suspected of killing their workers.
    pub suspicions: u64,
}
