//! What a sink is sent, encoded straight from the records in hand.
//!
//! A wire struct for each record, with texts of its own, would cost more than all
//! delivery rules together: batches are written field by field, in one buffer of the
//! right size. Everything else goes the generated way.

use bytes::BufMut;
use danube_connector_proto::v1::{SinkServiceRunRequest, SinkServiceRunResponse};
use danube_sidecar_core::{dispatch::Offer, record::SchemaRef};
use prost::Message as _;
use tonic::{
    Status,
    codec::{Codec, EncodeBuf, Encoder},
};
use tonic_prost::ProstDecoder;

/// A frame for a worker.
pub(super) enum SinkFrame {
    /// Records to write.
    Batch {
        /// The records.
        offers: Vec<Offer>,
        /// The session's epoch.
        epoch: u64,
    },
    /// Anything else.
    Other(SinkServiceRunResponse),
}

/// How the frames of a sink's stream are read and written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinkCodec;

/// The half that writes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SinkEncoder;

impl Codec for SinkCodec {
    type Encode = SinkFrame;
    type Decode = SinkServiceRunRequest;
    type Encoder = SinkEncoder;
    type Decoder = ProstDecoder<SinkServiceRunRequest>;

    fn encoder(&mut self) -> Self::Encoder {
        SinkEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for SinkEncoder {
    type Item = SinkFrame;
    type Error = Status;

    fn encode(&mut self, frame: SinkFrame, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match frame {
            SinkFrame::Batch { offers, epoch } => {
                let batch = Batch::new(&offers, epoch);
                buffer.reserve(batch.len() + LONGEST_HEADER);
                Writer(buffer).message(field::BATCH, &batch);
                Ok(())
            }
            SinkFrame::Other(frame) => {
                frame.encode(buffer).map_err(|error| Status::internal(error.to_string()))
            }
        }
    }
}

/// Numbers of fields, of `sink.proto`.
mod field {
    /// Of `SinkServiceRunResponse`.
    pub(super) const BATCH: u64 = 2;
    /// Of `SinkBatch`.
    pub(super) const RECORDS: u64 = 1;
    pub(super) const EPOCH: u64 = 2;
    /// Of `SinkRecord`.
    pub(super) const DELIVERY_ID: u64 = 1;
    pub(super) const ATTEMPT: u64 = 2;
    pub(super) const TOPIC: u64 = 3;
    pub(super) const PARTITION_TOPIC: u64 = 4;
    pub(super) const OFFSET: u64 = 5;
    pub(super) const PAYLOAD: u64 = 6;
    pub(super) const KEY: u64 = 7;
    pub(super) const ATTRIBUTES: u64 = 8;
    pub(super) const PUBLISH_TIME_MS: u64 = 9;
    pub(super) const PRODUCER_NAME: u64 = 10;
    pub(super) const SCHEMA: u64 = 11;
    pub(super) const DEDUP_ID: u64 = 12;
    pub(super) const SUBSCRIPTION: u64 = 13;
    /// Of an entry of a map.
    pub(super) const MAP_KEY: u64 = 1;
    pub(super) const MAP_VALUE: u64 = 2;
    /// Of `SchemaRef`.
    pub(super) const SCHEMA_ID: u64 = 1;
    pub(super) const VERSION: u64 = 2;
}

/// A message of the protocol that knows how to write itself.
trait Message {
    fn write<W: Wire>(&self, out: &mut W);

    fn len(&self) -> usize {
        let mut length = Length(0);
        self.write(&mut length);
        length.0
    }
}

struct Batch<'a> {
    offers: &'a [Offer],
    /// Of each offer: it is needed twice.
    lengths: Vec<usize>,
    epoch: u64,
}

impl<'a> Batch<'a> {
    fn new(offers: &'a [Offer], epoch: u64) -> Self {
        Self { offers, lengths: offers.iter().map(Message::len).collect(), epoch }
    }
}

impl Message for Batch<'_> {
    fn write<W: Wire>(&self, out: &mut W) {
        for (offer, length) in self.offers.iter().zip(&self.lengths) {
            out.header(field::RECORDS, *length);
            offer.write(out);
        }
        out.number(field::EPOCH, self.epoch);
    }

    fn len(&self) -> usize {
        let mut length = Length(self.lengths.iter().sum());
        self.lengths.iter().for_each(|record| length.header(field::RECORDS, *record));
        length.number(field::EPOCH, self.epoch);
        length.0
    }
}

impl Message for Offer {
    fn write<W: Wire>(&self, out: &mut W) {
        let record = &*self.record;
        let identity = &record.identity;
        out.number(field::DELIVERY_ID, self.delivery.0);
        out.number(field::ATTEMPT, self.attempt.into());
        out.text(field::TOPIC, &record.topic);
        out.text(field::PARTITION_TOPIC, &identity.partition);
        out.number(field::OFFSET, identity.offset);
        if !record.payload.is_empty() {
            out.bytes(field::PAYLOAD, &record.payload);
        }
        if let Some(key) = &record.key {
            // One that is empty is another one than none.
            out.bytes(field::KEY, key.as_bytes());
        }
        record.attributes.iter().for_each(|entry| out.message(field::ATTRIBUTES, &entry));
        out.number(field::PUBLISH_TIME_MS, identity.publish_time_ms);
        out.text(field::PRODUCER_NAME, &identity.producer);
        if let Some(schema) = &record.schema {
            out.message(field::SCHEMA, schema);
        }
        out.bytes(field::DEDUP_ID, &self.fingerprint.hex());
        out.text(field::SUBSCRIPTION, &record.subscription);
    }
}

/// An entry of a map.
impl Message for (&String, &String) {
    fn write<W: Wire>(&self, out: &mut W) {
        out.text(field::MAP_KEY, self.0);
        out.text(field::MAP_VALUE, self.1);
    }
}

impl Message for SchemaRef {
    fn write<W: Wire>(&self, out: &mut W) {
        out.number(field::SCHEMA_ID, self.schema_id);
        out.number(field::VERSION, self.version.into());
    }
}

/// Wire types of protobuf.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;
/// Seven bits of a number go into a byte.
const LONGEST_VARINT: usize = 10;
const LONGEST_HEADER: usize = 2 * LONGEST_VARINT;

/// Where fields go. What is zero or empty is left out, as proto3 has it.
trait Wire: Sized {
    fn raw(&mut self, bytes: &[u8]);

    fn varint(&mut self, number: u64);

    fn number(&mut self, field: u64, number: u64) {
        if number != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(number);
        }
    }

    fn text(&mut self, field: u64, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    /// Empty ones too.
    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.header(field, bytes.len());
        self.raw(bytes);
    }

    fn message(&mut self, field: u64, message: &impl Message) {
        self.header(field, message.len());
        message.write(self);
    }

    fn header(&mut self, field: u64, length: usize) {
        self.varint(field << 3 | LENGTH_DELIMITED);
        self.varint(length as u64);
    }
}

/// Counts what would be written.
struct Length(usize);

impl Wire for Length {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn varint(&mut self, number: u64) {
        let bits = u64::BITS - (number | 1).leading_zeros();
        self.0 += bits.div_ceil(7) as usize;
    }

    fn message(&mut self, field: u64, message: &impl Message) {
        let length = message.len();
        self.header(field, length);
        self.0 += length;
    }
}

struct Writer<'a, B>(&'a mut B);

impl<B: BufMut> Wire for Writer<'_, B> {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    fn varint(&mut self, mut number: u64) {
        if number < 0x80 {
            return self.0.put_u8(number as u8);
        }
        let mut bytes = [0; LONGEST_VARINT];
        let mut length = 0;
        while number >= 0x80 {
            bytes[length] = number as u8 | 0x80;
            number >>= 7;
            length += 1;
        }
        bytes[length] = number as u8;
        self.0.put_slice(&bytes[..=length]);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

    use danube_connector_proto::v1::{self, sink_service_run_response::Frame};
    use danube_sidecar_core::{
        outcome::DeliveryId,
        record::{Identity, Record},
    };

    use super::*;

    fn full() -> Record {
        Record {
            identity: Identity {
                partition: "/default/orders-part-1".into(),
                offset: 300,
                producer: "shop".into(),
                request_id: 7,
                publish_time_ms: 1_700_000_000_000,
            },
            topic: "/default/orders".into(),
            subscription: "billing".into(),
            key: Some("k".into()),
            payload: vec![7; 1000].into(),
            attributes: HashMap::from([
                ("a".to_owned(), "1".to_owned()),
                ("b".to_owned(), String::new()),
                ("long".to_owned(), "x".repeat(200)),
            ]),
            schema: Some(SchemaRef { schema_id: u64::MAX, version: 3 }),
        }
    }

    fn empty() -> Record {
        let identity = Identity {
            partition: "".into(),
            offset: 0,
            producer: "".into(),
            request_id: 0,
            publish_time_ms: 0,
        };
        Record {
            identity,
            topic: "".into(),
            subscription: "".into(),
            key: Some("".into()),
            payload: Default::default(),
            attributes: HashMap::new(),
            schema: Some(SchemaRef { schema_id: 0, version: 0 }),
        }
    }

    fn keyless() -> Record {
        Record { key: None, schema: None, ..full() }
    }

    /// The same as the generated code says it.
    fn generated(offer: &Offer) -> v1::SinkRecord {
        let record = &offer.record;
        let identity = &record.identity;
        v1::SinkRecord {
            delivery_id: offer.delivery.0,
            attempt: offer.attempt,
            topic: record.topic.to_string(),
            partition_topic: identity.partition.to_string(),
            offset: identity.offset,
            payload: record.payload.clone(),
            key: record.key.as_deref().map(str::to_owned),
            attributes: record.attributes.clone(),
            publish_time_ms: identity.publish_time_ms,
            producer_name: identity.producer.to_string(),
            schema: record
                .schema
                .map(|s| v1::SchemaRef { schema_id: s.schema_id, version: s.version }),
            dedup_id: offer.fingerprint.to_string(),
            subscription: record.subscription.to_string(),
        }
    }

    #[test]
    fn a_batch_reads_as_the_generated_code_would_write_it() {
        let records = [full(), empty(), keyless()];
        let offers: Vec<Offer> = (1..)
            .zip(records)
            .map(|(id, record)| Offer {
                delivery: DeliveryId(id << 20),
                attempt: 200,
                crashes: 0,
                fingerprint: record.identity.fingerprint(),
                record: Arc::new(record),
            })
            .collect();
        let batch = Batch::new(&offers, 129);
        let records = offers.iter().map(generated).collect();
        let frame = Some(Frame::Batch(v1::SinkBatch { records, epoch: 129 }));
        let expected = SinkServiceRunResponse { frame };

        let mut written = Vec::new();
        Writer(&mut written).message(field::BATCH, &batch);

        assert_eq!(SinkServiceRunResponse::decode(&*written).unwrap(), expected);
        assert_eq!(written.len(), expected.encoded_len());
    }
}
