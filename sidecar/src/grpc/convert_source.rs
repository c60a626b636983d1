//! The half of the conversions that sources need.

use danube_connector_proto::v1;
use danube_sidecar_core::publish::Position;
use prost::Message as _;

use super::convert::{Introduction, caller, fault, health, list, text, topic};
use crate::{
    bounds::{self, Metadata, SchemaSubject, SourcePartition, Text},
    config,
    refusal::Refusal,
    session::{FromSource, SourceOpen, SourceRecord},
};

/// A source's `open`.
pub(super) fn source_open(open: v1::SourceOpen) -> Result<SourceOpen, Refusal> {
    let caller = caller(Introduction {
        connector: open.connector,
        worker_id: open.worker_id,
        min_protocol_version: open.min_protocol_version,
        max_protocol_version: open.max_protocol_version,
        capabilities: open.capabilities,
        max_frame_bytes: open.max_frame_bytes,
        sdk: open.sdk,
        danube_service_url: open.danube_service_url,
    })?;
    let producers = list("open.producers", open.producers, bounds::TOPICS)?;
    let producers = producers.into_iter().map(producer).collect::<Result<_, _>>()?;
    Ok(SourceOpen { caller, producers })
}

fn producer(wanted: v1::Producer) -> Result<config::Producer, Refusal> {
    let subject: SchemaSubject = text("open.producers.schema_subject", wanted.schema_subject)?;
    Ok(config::Producer {
        topic: topic("open.producers.topic", &wanted.topic)?,
        partitions: wanted.partitions,
        reliable: wanted.reliable.unwrap_or(true),
        schema_subject: Some(String::from(subject)).filter(|subject| !subject.is_empty()),
    })
}

/// A source's frame after `open`.
pub(super) fn from_source(
    frame: v1::source_service_run_request::Frame,
) -> Result<FromSource, Refusal> {
    use v1::source_service_run_request::Frame;
    match frame {
        Frame::Open(_) => Err(Refusal::OpenedTwice),
        Frame::Records(sent) => Ok(FromSource::Records {
            first_number: sent.first_number,
            records: sent.records.into_iter().map(source_record).collect::<Result<_, _>>()?,
        }),
        Frame::Health(sent) => health(sent).map(FromSource::Health),
        Frame::Fault(sent) => Ok(FromSource::Fault(fault(sent))),
        Frame::Drained(_) => Ok(FromSource::Drained),
    }
}

fn source_record(sent: v1::SourceRecord) -> Result<SourceRecord, Refusal> {
    let encoded_len = sent.encoded_len();
    let topic: Text<{ bounds::TOPIC }> = text("records.topic", sent.topic)?;
    Ok(SourceRecord {
        topic: topic.into(),
        payload: sent.payload,
        key: sent.key,
        attributes: sent.attributes.into_iter().collect(),
        position: sent.position.map(place).transpose()?,
        encoded_len,
    })
}

fn place(sent: v1::Position) -> Result<Position, Refusal> {
    let name: SourcePartition = text("records.position.source_partition", sent.source_partition)?;
    let metadata = sent.metadata.map(|metadata| {
        text::<{ Metadata::MAX }>("records.position.metadata", metadata).map(String::from)
    });
    Ok(Position {
        source_partition: String::from(name).into(),
        offset: sent.offset,
        metadata: metadata.transpose()?,
    })
}

/// A producer in force.
pub(super) fn producer_in_force(producer: &config::Producer) -> v1::Producer {
    v1::Producer {
        topic: producer.topic.to_string(),
        partitions: producer.partitions,
        reliable: Some(producer.reliable),
        schema_subject: producer.schema_subject.clone().unwrap_or_default(),
    }
}

/// A stored position.
pub(super) fn position(position: danube_sidecar_store::Position) -> v1::Position {
    v1::Position {
        source_partition: position.source_partition,
        offset: position.offset,
        metadata: position.metadata,
    }
}

/// The name of a source frame, for messages.
pub(super) fn source_frame_name(frame: &v1::source_service_run_request::Frame) -> &'static str {
    use v1::source_service_run_request::Frame;
    match frame {
        Frame::Open(_) => "open",
        Frame::Records(_) => "records",
        Frame::Health(_) => "health",
        Frame::Fault(_) => "fault",
        Frame::Drained(_) => "drained",
    }
}
