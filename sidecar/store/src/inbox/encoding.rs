//! Records as they are stored.

use std::{collections::HashMap, sync::Arc};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use danube_sidecar_core::record::{Fingerprint, Identity, Record, SchemaRef};
use prost::Message as _;

use super::Entry;

/// The first byte of a stored record.
const VERSION: u8 = 1;
/// Version, replayed, time of the append: read without decoding the record.
const HEADER: usize = 10;

/// A record on its way into the inbox.
pub(super) struct Encoded {
    pub(super) value: Bytes,
    pub(super) appended_ms: i64,
    pub(super) partition: Arc<str>,
    pub(super) subscription: Arc<str>,
    pub(super) offset: u64,
    pub(super) fingerprint: Fingerprint,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(string, tag = "1")]
    partition: String,
    #[prost(uint64, tag = "2")]
    offset: u64,
    #[prost(string, tag = "3")]
    producer: String,
    #[prost(uint64, tag = "4")]
    request_id: u64,
    #[prost(uint64, tag = "5")]
    publish_time_ms: u64,
    #[prost(string, tag = "6")]
    topic: String,
    #[prost(string, tag = "7")]
    subscription: String,
    #[prost(string, optional, tag = "8")]
    key: Option<String>,
    #[prost(bytes = "bytes", tag = "9")]
    payload: Bytes,
    #[prost(map = "string, string", tag = "10")]
    attributes: HashMap<String, String>,
    #[prost(uint64, optional, tag = "11")]
    schema_id: Option<u64>,
    #[prost(uint32, tag = "12")]
    schema_version: u32,
}

impl Encoded {
    pub(super) fn new(record: &Record, appended_ms: i64) -> Self {
        let identity = &record.identity;
        Self {
            value: encode(record, appended_ms),
            appended_ms,
            partition: Arc::clone(&identity.partition),
            subscription: Arc::clone(&record.subscription),
            offset: identity.offset,
            fingerprint: identity.fingerprint(),
        }
    }
}

fn encode(record: &Record, appended_ms: i64) -> Bytes {
    let identity = &record.identity;
    let stored = Stored {
        partition: identity.partition.to_string(),
        offset: identity.offset,
        producer: identity.producer.to_string(),
        request_id: identity.request_id,
        publish_time_ms: identity.publish_time_ms,
        topic: record.topic.to_string(),
        subscription: record.subscription.to_string(),
        key: record.key.as_deref().map(str::to_owned),
        payload: record.payload.clone(),
        attributes: record.attributes.clone(),
        schema_id: record.schema.map(|schema| schema.schema_id),
        schema_version: record.schema.map_or(0, |schema| schema.version),
    };
    let mut bytes = BytesMut::with_capacity(HEADER + stored.encoded_len());
    put_header(&mut bytes, false, appended_ms);
    stored.encode_raw(&mut bytes);
    bytes.freeze()
}

fn put_header(bytes: &mut BytesMut, replayed: bool, appended_ms: i64) {
    bytes.put_u8(VERSION);
    bytes.put_u8(u8::from(replayed));
    bytes.put_i64(appended_ms);
}

/// When the record was appended; `None` when this version does not read it.
pub(super) fn appended_ms(mut value: &[u8]) -> Option<i64> {
    if value.len() < HEADER || value.get_u8() != VERSION {
        return None;
    }
    value.advance(1);
    Some(value.get_i64())
}

/// The same record, marked as replayed; `None` when this version does not read it.
pub(super) fn replayed(value: &Bytes) -> Option<Bytes> {
    let appended_ms = appended_ms(value)?;
    let mut bytes = BytesMut::with_capacity(value.len());
    put_header(&mut bytes, true, appended_ms);
    bytes.extend_from_slice(&value[HEADER..]);
    Some(bytes.freeze())
}

/// `None` when it is not a record that this version reads.
pub(crate) fn decode(seq: u64, value: &Bytes) -> Option<Entry> {
    let appended_ms = appended_ms(value)?;
    let replayed = value[1] == 1;
    let stored = Stored::decode(value.slice(HEADER..)).ok()?;
    let identity = Identity {
        partition: stored.partition.into(),
        offset: stored.offset,
        producer: stored.producer.into(),
        request_id: stored.request_id,
        publish_time_ms: stored.publish_time_ms,
    };
    let record = Record {
        identity,
        topic: stored.topic.into(),
        subscription: stored.subscription.into(),
        key: stored.key.map(Into::into),
        payload: stored.payload,
        attributes: stored.attributes,
        schema: stored
            .schema_id
            .map(|schema_id| SchemaRef { schema_id, version: stored.schema_version }),
    };
    Some(Entry { seq, appended_ms, record, replayed })
}
