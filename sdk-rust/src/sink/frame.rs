//! A sink's frames, as they come.
//!
//! A batch is read out of its frame straight into the records that connectors see. The
//! generated types would make a text of their own of each field first, of which a record
//! keeps only some.

use std::{collections::HashMap, sync::Arc};

use danube_connector_proto::v1::{
    SchemaRef, SinkServiceRunResponse, sink_service_run_response as down,
};
use prost::{
    DecodeError, Message as _,
    encoding::{self, DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use tonic::Status;

use super::convert;
use crate::{DanubeMetadata, Schema, SinkRecord, record::Delivery};

/// What the sidecar sends.
#[derive(Debug)]
pub(crate) enum Received {
    /// A batch.
    Records(Vec<SinkRecord>),
    /// Anything else; none is a frame of a later protocol version.
    Other(Option<down::Frame>),
}

/// The batch's field number in `SinkServiceRunResponse`.
const BATCH: u32 = 2;

/// The schemas that a stream has brought, by id and version.
pub(super) type Schemas = HashMap<(u64, u32), Arc<Schema>>;

/// Reads a frame. What it says of schemas is kept for the records behind it.
pub(super) fn read(frame: &[u8], schemas: &mut Schemas) -> Result<Received, Malformed> {
    let (mut rest, mut batch) = (frame, None);
    while !rest.is_empty() {
        match decode_key(&mut rest)? {
            (BATCH, WireType::LengthDelimited) => batch = Some(bytes(&mut rest)?),
            (number, wire_type) => skip(number, wire_type, &mut rest)?,
        }
    }
    if let Some(batch) = batch {
        return Ok(Received::Records(records(batch, schemas)?));
    }
    let other = SinkServiceRunResponse::decode(frame)?.frame;
    if let Some(down::Frame::Schema(schema)) = &other {
        let schema = convert::schema(schema.clone());
        schemas.insert((schema.id, schema.version), Arc::new(schema));
    }
    Ok(Received::Other(other))
}

/// A frame that is not one.
#[derive(Debug)]
pub(super) struct Malformed(String);

impl From<DecodeError> for Malformed {
    fn from(error: DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl From<Malformed> for Status {
    fn from(Malformed(what): Malformed) -> Self {
        Self::internal(format!("the sidecar's frame cannot be read: {what}"))
    }
}

/// The records of a `SinkBatch`.
fn records(batch: &[u8], schemas: &Schemas) -> Result<Vec<SinkRecord>, Malformed> {
    let (mut rest, mut records, mut epoch) = (batch, Vec::new(), 0);
    let mut subscription = None;
    while !rest.is_empty() {
        match decode_key(&mut rest)? {
            (1, WireType::LengthDelimited) => {
                let wire = WireRecord::read(bytes(&mut rest)?)?;
                records.push(wire.record(&mut subscription, schemas));
            }
            (2, WireType::Varint) => epoch = decode_varint(&mut rest)?,
            (number, wire_type) => skip(number, wire_type, &mut rest)?,
        }
    }
    for record in &mut records {
        record.delivery.epoch = epoch;
    }
    Ok(records)
}

/// A `SinkRecord` of the protocol, whose texts are still in the frame.
#[derive(Default)]
struct WireRecord<'a> {
    delivery_id: u64,
    attempt: u32,
    topic: &'a str,
    partition_topic: &'a str,
    offset: u64,
    payload: &'a [u8],
    key: Option<&'a str>,
    attributes: HashMap<String, String>,
    publish_time_ms: u64,
    producer_name: &'a str,
    schema: Option<SchemaRef>,
    dedup_id: &'a str,
    subscription: &'a str,
}

impl<'a> WireRecord<'a> {
    fn read(mut rest: &'a [u8]) -> Result<Self, Malformed> {
        let mut wire = Self::default();
        while !rest.is_empty() {
            match decode_key(&mut rest)? {
                (1, WireType::Varint) => wire.delivery_id = decode_varint(&mut rest)?,
                (2, WireType::Varint) => wire.attempt = decode_varint(&mut rest)? as u32,
                (3, WireType::LengthDelimited) => wire.topic = text(&mut rest)?,
                (4, WireType::LengthDelimited) => wire.partition_topic = text(&mut rest)?,
                (5, WireType::Varint) => wire.offset = decode_varint(&mut rest)?,
                (6, WireType::LengthDelimited) => wire.payload = bytes(&mut rest)?,
                (7, WireType::LengthDelimited) => wire.key = Some(text(&mut rest)?),
                (8, WireType::LengthDelimited) => {
                    let (string, map) = (encoding::string::merge, &mut wire.attributes);
                    let context = DecodeContext::default();
                    encoding::hash_map::merge(string, string, map, &mut rest, context)?;
                }
                (9, WireType::Varint) => wire.publish_time_ms = decode_varint(&mut rest)?,
                (10, WireType::LengthDelimited) => wire.producer_name = text(&mut rest)?,
                (11, WireType::LengthDelimited) => {
                    wire.schema = Some(SchemaRef::decode(bytes(&mut rest)?)?);
                }
                (12, WireType::LengthDelimited) => wire.dedup_id = text(&mut rest)?,
                (13, WireType::LengthDelimited) => wire.subscription = text(&mut rest)?,
                (number, wire_type) => skip(number, wire_type, &mut rest)?,
            }
        }
        Ok(wire)
    }

    /// What a connector sees. The `last` record's subscription is shared, where it is this
    /// one's too.
    fn record(self, last: &mut Option<Arc<str>>, schemas: &Schemas) -> SinkRecord {
        if last.as_deref().unwrap_or_default() != self.subscription {
            *last = Some(self.subscription.into()).filter(|_| !self.subscription.is_empty());
        }
        let partition = (self.partition_topic != self.topic).then_some(self.partition_topic);
        SinkRecord {
            payload: self.payload.to_vec(),
            attributes: self.attributes,
            danube_metadata: DanubeMetadata {
                topic: self.topic.to_owned(),
                offset: self.offset,
                publish_time: self.publish_time_ms,
                message_id: message_id(self.partition_topic, self.producer_name, self.offset),
                producer_name: self.producer_name.to_owned(),
            },
            partition: partition.map(ToOwned::to_owned),
            delivery: Delivery {
                id: self.delivery_id,
                attempt: self.attempt,
                epoch: 0,
                key: self.key.map(ToOwned::to_owned),
                dedup_id: self.dedup_id.to_owned(),
                subscription: last.clone(),
                schema: self
                    .schema
                    .and_then(|known| schemas.get(&(known.schema_id, known.version)).cloned()),
            },
            seat: None,
        }
    }
}

/// As Danube's own connectors show it. Every record has one: without the detours of a
/// format string.
fn message_id(topic: &str, producer: &str, offset: u64) -> String {
    let mut digits = [0; 20];
    ["topic:", topic, "/producer:", producer, "/offset:", decimal(offset, &mut digits)].concat()
}

fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    str::from_utf8(&digits[first..]).unwrap_or_default()
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(decode_varint(rest)?).unwrap_or(usize::MAX);
    let (taken, behind) =
        rest.split_at_checked(length).ok_or_else(|| Malformed("it ends too early".to_owned()))?;
    *rest = behind;
    Ok(taken)
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    str::from_utf8(bytes(rest)?).map_err(|error| Malformed(error.to_string()))
}

fn skip(number: u32, wire_type: WireType, rest: &mut &[u8]) -> Result<(), Malformed> {
    Ok(skip_field(wire_type, number, rest, DecodeContext::default())?)
}

#[cfg(test)]
mod tests {
    use danube_connector_proto::v1;

    use super::*;

    fn wire(offset: u64) -> v1::SinkRecord {
        v1::SinkRecord {
            delivery_id: 77,
            attempt: 2,
            topic: "/default/t".to_owned(),
            partition_topic: "/default/t-part-1".to_owned(),
            offset,
            payload: vec![b'x'; 300].into(),
            key: Some("schlüssel".to_owned()),
            attributes: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())].into(),
            publish_time_ms: 1_700_000_000_000,
            producer_name: "p".to_owned(),
            schema: Some(v1::SchemaRef { schema_id: 3, version: 1 }),
            dedup_id: "0123456789abcdef".to_owned(),
            subscription: "s".to_owned(),
        }
    }

    fn frame(records: Vec<v1::SinkRecord>) -> Vec<u8> {
        let batch = v1::SinkBatch { records, epoch: 9 };
        SinkServiceRunResponse { frame: Some(down::Frame::Batch(batch)) }.encode_to_vec()
    }

    fn read_records(frame: &[u8]) -> Vec<SinkRecord> {
        match read(frame, &mut Schemas::new()) {
            Ok(Received::Records(records)) => records,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_field_of_a_record_is_read() {
        let records = read_records(&frame(vec![wire(u64::MAX), v1::SinkRecord::default()]));

        let record = &records[0];
        assert_eq!(
            (record.topic(), record.partition.as_deref()),
            ("/default/t", Some("/default/t-part-1"))
        );
        assert_eq!((record.offset(), record.publish_time()), (u64::MAX, 1_700_000_000_000));
        assert_eq!((record.payload(), record.key()), (&[b'x'; 300][..], Some("schlüssel")));
        assert_eq!(record.attributes, wire(0).attributes);
        assert_eq!((record.producer_name(), record.dedup_id()), ("p", "0123456789abcdef"));
        assert_eq!(
            (record.subscription_name(), record.attempt(), record.epoch()),
            (Some("s"), 2, 9)
        );
        let id = "topic:/default/t-part-1/producer:p/offset:18446744073709551615";
        assert_eq!(record.message_id(), id);
        let empty = &records[1];
        assert_eq!((empty.offset(), empty.key(), empty.subscription_name()), (0, None, None));
        assert_eq!(
            (empty.partition.as_deref(), empty.message_id()),
            (None, "topic:/producer:/offset:0")
        );
    }

    #[test]
    fn a_record_shows_the_schema_that_came_before_it() {
        let mut schemas = Schemas::new();
        let schema = v1::Schema {
            r#ref: Some(v1::SchemaRef { schema_id: 3, version: 1 }),
            subject: "orders".to_owned(),
            ..v1::Schema::default()
        };
        let schema = SinkServiceRunResponse { frame: Some(down::Frame::Schema(schema)) };
        read(&schema.encode_to_vec(), &mut schemas).expect("a schema");
        let plain = v1::SinkRecord { schema: None, ..wire(2) };
        let Ok(Received::Records(records)) = read(&frame(vec![wire(1), plain]), &mut schemas)
        else {
            panic!("no records");
        };

        assert_eq!(records[0].schema().map(|schema| &schema.subject[..]), Some("orders"));
        assert_eq!(records[1].schema(), None);
    }

    #[test]
    fn a_record_without_a_partition_has_none() {
        let whole = v1::SinkRecord { partition_topic: "/default/t".to_owned(), ..wire(1) };
        assert_eq!(read_records(&frame(vec![whole]))[0].partition, None);
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let later = |mut message: Vec<u8>| {
            encoding::string::encode(99, &"later".to_owned(), &mut message);
            encoding::uint64::encode(98, &7, &mut message);
            message
        };
        let mut batch = Vec::new();
        encoding::bytes::encode(1, &later(wire(5).encode_to_vec()), &mut batch);
        let mut frame = Vec::new();
        encoding::bytes::encode(BATCH, &later(batch), &mut frame);

        assert_eq!(read_records(&later(frame))[0].offset(), 5);
        assert!(matches!(read(&later(Vec::new()), &mut Schemas::new()), Ok(Received::Other(None))));
    }

    #[test]
    fn other_frames_are_what_the_generated_code_reads() {
        let drain = down::Frame::Drain(v1::Drain::default());
        let frame = SinkServiceRunResponse { frame: Some(drain.clone()) }.encode_to_vec();
        assert!(
            matches!(read(&frame, &mut Schemas::new()), Ok(Received::Other(Some(other))) if other == drain)
        );
    }

    #[test]
    fn a_frame_that_was_cut_is_an_error() {
        let frame = frame(vec![wire(1)]);
        for length in 1..frame.len() {
            assert!(read(&frame[..length], &mut Schemas::new()).is_err(), "{length}");
        }
        let malformed = |frame: &[u8]| read(frame, &mut Schemas::new()).is_err();
        assert!(malformed(b"\x12\x04\x0a\x02\x1a\x01"));
        assert!(malformed(b"\x12\x05\x0a\x03\x1a\x01\xff"), "it is not UTF-8");
    }
}
