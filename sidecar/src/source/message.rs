//! What is published for a record of a source, and for one that never can be.

use std::sync::Arc;

use danube_sidecar_broker::{Outbound, PublishError};

use super::Rejected;
use crate::{grpc::MAX_RECORD, session::SourceRecord};

pub(super) fn rejection(number: u64, error: &PublishError) -> Rejected {
    let code = match error {
        PublishError::TooLarge { .. } => "TOO_LARGE",
        _ => "SCHEMA_MISMATCH",
    };
    Rejected { number, code, message: error.to_string() }
}

pub(super) fn too_large(number: u64, size: usize) -> Rejected {
    rejection(number, &PublishError::TooLarge { size, limit: MAX_RECORD })
}

pub(super) fn outbound(record: SourceRecord, key: Option<Arc<str>>) -> Outbound {
    let mut attributes = record.attributes;
    attributes.retain(|(name, _)| !name.starts_with("x-source-"));
    let partition_by = record.position.as_ref().map(|p| p.source_partition.clone());
    if let Some(position) = &record.position {
        attributes.push(("x-source-partition".to_owned(), position.source_partition.to_string()));
        attributes.push(("x-source-offset".to_owned(), position.offset.to_string()));
    }
    Outbound { payload: record.payload, key, partition_by, attributes, schema: None }
}

pub(super) fn dead_letter(message: Outbound, rejected: &Rejected, connector: &str) -> Outbound {
    let mut attributes = message.attributes;
    let oversize = rejected.code == "TOO_LARGE";
    let payload = if oversize { bytes::Bytes::new() } else { message.payload.clone() };
    let why = [
        ("x-failure-class", "REJECT".to_owned()),
        ("x-failure-code", rejected.code.to_owned()),
        ("x-failure-reason", rejected.message.clone()),
        ("x-connector", connector.to_owned()),
    ];
    attributes.retain(|(name, _)| why.iter().all(|(ours, _)| ours != name));
    attributes.extend(why.map(|(name, value)| (name.to_owned(), value)));
    if oversize {
        attributes.push(("x-payload-omitted".to_owned(), message.payload.len().to_string()));
    }
    Outbound { payload, attributes, key: message.key, partition_by: None, schema: None }
}
