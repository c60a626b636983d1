//! Records of a source that can never be published: a durable copy, the letter in
//! its topic, and only then is the record settled.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use danube_sidecar_broker::Outbound;
use danube_sidecar_store::{Letters, NewLetter, StoreError};
use tracing::warn;

use super::{Rejected, publishers::Destination};
use crate::dead_letter::publish_until_confirmed;

/// The class of every such letter.
const CLASS: &str = "REJECT";

/// Whose record it was.
pub(super) struct Author {
    pub(super) connector: String,
    pub(super) epoch: u64,
}

/// A record that can never be published.
pub(super) struct Impossible {
    /// The topic it was meant for.
    pub(super) topic: Arc<str>,
    pub(super) message: Outbound,
    pub(super) rejected: Rejected,
}

/// Comes back when the letter is confirmed. A copy that cannot be kept is logged:
/// the letter in its topic is what counts.
pub(super) async fn settle(
    author: &Author,
    copies: Option<Letters>,
    destination: &Destination,
    record: &Impossible,
) {
    let attributes = author.attributes(record);
    let kept = match &copies {
        Some(letters) => {
            let letter = author.copy(record, attributes.clone(), destination.topic());
            author.noted("kept", letters.keep(letter).await).map(|id| (letters, id))
        }
        None => None,
    };
    let letter = outbound(&record.message, record.rejected.code, attributes);
    publish_until_confirmed(&**destination.publisher(), destination.topic(), letter).await;
    if let Some((letters, id)) = kept {
        author.noted("marked as published", letters.published(id).await);
    }
}

impl Author {
    /// The record's own attributes, and why it is here.
    fn attributes(&self, record: &Impossible) -> Vec<(String, String)> {
        let ours = [
            ("x-original-topic", record.topic.to_string()),
            ("x-failure-class", CLASS.to_owned()),
            ("x-failure-code", record.rejected.code.to_owned()),
            ("x-failure-reason", record.rejected.message.clone()),
            ("x-first-failure-time", now_ms().to_string()),
            ("x-connector", self.connector.clone()),
            ("x-dedup-id", self.dedup_id(record)),
        ];
        let mut attributes = record.message.attributes.clone();
        attributes.retain(|(name, _)| ours.iter().all(|(our, _)| our != name));
        attributes.extend(ours.map(|(name, value)| (name.to_owned(), value)));
        attributes
    }

    fn copy(
        &self,
        record: &Impossible,
        attributes: Vec<(String, String)>,
        dead_letter_topic: &str,
    ) -> NewLetter {
        let message = &record.message;
        let offset = attribute(message, "x-source-offset").and_then(|offset| offset.parse().ok());
        NewLetter {
            dedup_id: self.dedup_id(record),
            topic: record.topic.to_string(),
            subscription: None,
            partition: record.topic.to_string(),
            offset: offset.unwrap_or_default(),
            key: message.key.as_deref().map(str::to_owned),
            payload: message.payload.clone(),
            attributes,
            schema: message.schema,
            class: CLASS.to_owned(),
            code: record.rejected.code.to_owned(),
            reason: record.rejected.message.clone(),
            attempt: 1,
            first_failure_ms: now_ms(),
            dead_letter_topic: Some(dead_letter_topic.to_owned()),
        }
    }

    /// The same whenever the record is read again, where it has a position.
    fn dedup_id(&self, record: &Impossible) -> String {
        let place =
            ["x-source-partition", "x-source-offset"].map(|name| attribute(&record.message, name));
        let Self { connector, epoch } = self;
        match place {
            [Some(partition), Some(offset)] => format!("{connector}/{partition}/{offset}"),
            _ => format!("{connector}/epoch-{epoch}/{}", record.rejected.number),
        }
    }

    fn noted<T>(&self, what: &str, result: Result<T, StoreError>) -> Option<T> {
        if let Err(error) = &result {
            let connector = self.connector.as_str();
            warn!(connector, %error, "the local copy of a dead letter is not {what}");
        }
        result.ok()
    }
}

/// One that is too large goes without its payload.
fn outbound(message: &Outbound, code: &str, attributes: Vec<(String, String)>) -> Outbound {
    let mut attributes = attributes;
    let oversize = code == "TOO_LARGE";
    if oversize {
        attributes.push(("x-payload-omitted".to_owned(), message.payload.len().to_string()));
    }
    let payload = if oversize { Bytes::new() } else { message.payload.clone() };
    Outbound { payload, attributes, key: message.key.clone(), partition_by: None, schema: None }
}

fn attribute<'m>(message: &'m Outbound, name: &str) -> Option<&'m str> {
    let found = message.attributes.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
