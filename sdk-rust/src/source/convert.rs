//! Between wire frames and what connectors see: the only place of the source
//! that knows both.

use danube_connector_proto::{PROTOCOL_VERSION, v1};

use crate::{ConnectorConfig, Offset, ProducerConfig, SDK, SourceRecord};

/// The first frame of a source.
pub(crate) fn open(config: &ConnectorConfig, producers: &[ProducerConfig]) -> v1::SourceOpen {
    v1::SourceOpen {
        connector: config.connector_name.clone(),
        min_protocol_version: 1,
        max_protocol_version: PROTOCOL_VERSION,
        capabilities: vec![
            v1::Capability::Probe.into(),
            v1::Capability::Drain.into(),
            v1::Capability::PositionPages.into(),
        ],
        sdk: SDK.to_owned(),
        danube_service_url: config.danube_service_url.clone(),
        producers: producers.iter().map(producer).collect(),
        ..v1::SourceOpen::default()
    }
}

fn producer(producer: &ProducerConfig) -> v1::Producer {
    v1::Producer {
        topic: producer.topic.clone(),
        partitions: u32::try_from(producer.partitions).unwrap_or(u32::MAX),
        reliable: Some(producer.reliable_dispatch),
        schema_subject: String::new(),
    }
}

/// A record for the wire.
pub(crate) fn record(record: SourceRecord) -> v1::SourceRecord {
    v1::SourceRecord {
        topic: record.topic,
        payload: record.payload.into(),
        key: record.key,
        attributes: record.attributes,
        position: record.offset.map(position),
    }
}

/// What `commit` gets for each record of a poll.
pub(crate) fn offsets(records: &[SourceRecord]) -> Vec<Offset> {
    let offset = |(index, record): (usize, &SourceRecord)| {
        record.offset.clone().unwrap_or_else(|| Offset::new(record.topic.clone(), index as u64))
    };
    records.iter().enumerate().map(offset).collect()
}

/// Where to go on.
pub(crate) fn positions(positions: Vec<v1::Position>) -> Vec<Offset> {
    let offset = |position: v1::Position| Offset {
        partition: position.source_partition,
        value: position.offset,
        metadata: position.metadata,
    };
    positions.into_iter().map(offset).collect()
}

fn position(offset: Offset) -> v1::Position {
    v1::Position {
        source_partition: offset.partition,
        offset: offset.value,
        metadata: offset.metadata,
    }
}
