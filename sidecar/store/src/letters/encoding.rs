//! Letters as they are stored.

use bytes::{Bytes, BytesMut};
use danube_sidecar_core::record::SchemaRef;
use prost::Message as _;

use super::{Letter, NewLetter};

/// The first byte of a stored letter.
const VERSION: u8 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(int64, tag = "1")]
    kept_at_ms: i64,
    #[prost(bool, tag = "2")]
    published: bool,
    #[prost(int64, optional, tag = "3")]
    replayed_at_ms: Option<i64>,
    #[prost(string, tag = "4")]
    dedup_id: String,
    #[prost(string, tag = "5")]
    topic: String,
    #[prost(string, optional, tag = "6")]
    subscription: Option<String>,
    #[prost(string, tag = "7")]
    partition: String,
    #[prost(uint64, tag = "8")]
    offset: u64,
    #[prost(string, optional, tag = "9")]
    key: Option<String>,
    #[prost(bytes = "bytes", tag = "10")]
    payload: Bytes,
    /// Names and values in turn: their order and repeats are kept.
    #[prost(string, repeated, tag = "11")]
    attributes: Vec<String>,
    #[prost(uint64, optional, tag = "12")]
    schema_id: Option<u64>,
    #[prost(uint32, tag = "13")]
    schema_version: u32,
    #[prost(string, tag = "14")]
    class: String,
    #[prost(string, tag = "15")]
    code: String,
    #[prost(string, tag = "16")]
    reason: String,
    #[prost(uint32, tag = "17")]
    attempt: u32,
    #[prost(int64, tag = "18")]
    first_failure_ms: i64,
    #[prost(string, optional, tag = "19")]
    dead_letter_topic: Option<String>,
}

pub(super) fn encode(letter: &Letter) -> Bytes {
    let Letter { kept_at_ms, published, replayed_at_ms, letter, .. } = letter.clone();
    let stored = Stored {
        kept_at_ms,
        published,
        replayed_at_ms,
        dedup_id: letter.dedup_id,
        topic: letter.topic,
        subscription: letter.subscription,
        partition: letter.partition,
        offset: letter.offset,
        key: letter.key,
        payload: letter.payload,
        attributes: letter.attributes.into_iter().flat_map(|(name, value)| [name, value]).collect(),
        schema_id: letter.schema.map(|schema| schema.schema_id),
        schema_version: letter.schema.map_or(0, |schema| schema.version),
        class: letter.class,
        code: letter.code,
        reason: letter.reason,
        attempt: letter.attempt,
        first_failure_ms: letter.first_failure_ms,
        dead_letter_topic: letter.dead_letter_topic,
    };
    let mut bytes = BytesMut::with_capacity(1 + stored.encoded_len());
    bytes.extend_from_slice(&[VERSION]);
    bytes.extend_from_slice(&stored.encode_to_vec());
    bytes.freeze()
}

/// `None` when it is not a letter that this version reads.
pub(crate) fn decode(id: u64, bytes: &Bytes) -> Option<Letter> {
    if bytes.first() != Some(&VERSION) {
        return None;
    }
    let stored = Stored::decode(bytes.slice(1..)).ok()?;
    let mut attributes = stored.attributes.into_iter();
    let pairs = std::iter::from_fn(|| Some((attributes.next()?, attributes.next()?)));
    let letter = NewLetter {
        dedup_id: stored.dedup_id,
        topic: stored.topic,
        subscription: stored.subscription,
        partition: stored.partition,
        offset: stored.offset,
        key: stored.key,
        payload: stored.payload,
        attributes: pairs.collect(),
        schema: stored
            .schema_id
            .map(|schema_id| SchemaRef { schema_id, version: stored.schema_version }),
        class: stored.class,
        code: stored.code,
        reason: stored.reason,
        attempt: stored.attempt,
        first_failure_ms: stored.first_failure_ms,
        dead_letter_topic: stored.dead_letter_topic,
    };
    Some(Letter {
        id,
        kept_at_ms: stored.kept_at_ms,
        published: stored.published,
        replayed_at_ms: stored.replayed_at_ms,
        letter,
    })
}
