//! Dead letters: copied locally, published, and confirmed before the original is
//! resolved.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use danube_sidecar_broker::{Outbound, ProducerSpec, PublishError, Publisher};
use danube_sidecar_core::dispatch::{DeadLetter, RecordId};
use danube_sidecar_store::{Letters, NewLetter};
use futures::{Stream, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use metrics::counter;
use tokio::time::timeout;
use tracing::warn;

use crate::{bounds::cut, clock::now, config::Connector, danube::Danube};

/// Waits before a dead letter that was not accepted is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// How long a local copy may take before its letter goes without one.
const COPY_TIMEOUT: Duration = Duration::from_secs(5);

/// The dead letters of one sink that are on their way. As a stream: the records
/// whose dead letter is confirmed.
pub struct DeadLetters {
    destination: Option<Arc<Destination>>,
    connector: Arc<str>,
    underway: FuturesUnordered<BoxFuture<'static, RecordId>>,
}

struct Destination {
    danube: Arc<dyn Danube>,
    topic: String,
    publisher: OnceLock<Arc<dyn Publisher>>,
    copies: Option<Letters>,
}

impl DeadLetters {
    /// To the connector's dead-letter topic, which is created with the first one;
    /// with local copies where there is a disk.
    pub fn new(danube: Arc<dyn Danube>, connector: &Connector, copies: Option<Letters>) -> Self {
        let destination = connector.dead_letter_topic().map(|topic| {
            Arc::new(Destination { danube, topic, publisher: OnceLock::new(), copies })
        });
        let connector = connector.name.as_str().into();
        Self { destination, connector, underway: FuturesUnordered::new() }
    }

    /// Keeps a copy of a letter and publishes it. Broker trouble is retried until it
    /// is confirmed.
    pub fn push(&mut self, letter: DeadLetter) {
        log(&self.connector, &letter, "record becomes a dead letter");
        let id = letter.id;
        let Some(destination) = self.destination.clone() else {
            // Without a topic the core asks for no letters; one is resolved at once.
            self.underway.push(Box::pin(async move { id }));
            return;
        };
        let message = outbound(&letter, &self.connector);
        self.underway.push(Box::pin(async move {
            destination.post(letter, message).await;
            id
        }));
    }

    /// Whether none is underway.
    pub fn is_empty(&self) -> bool {
        self.underway.is_empty()
    }
}

impl Stream for DeadLetters {
    type Item = RecordId;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<RecordId>> {
        self.underway.poll_next_unpin(context)
    }
}

impl Destination {
    fn connect(&self) -> Arc<dyn Publisher> {
        self.danube.publisher(ProducerSpec {
            topic: self.topic.as_str().into(),
            partitions: 0,
            reliable: true,
            producer_name: format!("danube-sidecar{}", self.topic.replace('/', "-")).into(),
            schema_subject: None,
        })
    }

    async fn post(&self, letter: DeadLetter, message: Outbound) {
        let publisher = self.publisher.get_or_init(|| self.connect());
        let copy =
            self.copies.as_ref().map(|copies| (copies, copy(&letter, &message, &self.topic)));
        post(copy, &**publisher, &self.topic, message).await;
    }
}

/// Keeps the copy, if there is to be one, publishes the letter, and comes back when
/// it is confirmed. A copy that cannot be kept never holds its letter up.
pub async fn post(
    copy: Option<(&Letters, NewLetter)>,
    publisher: &dyn Publisher,
    topic: &str,
    message: Outbound,
) {
    let mut kept = None;
    if let Some((copies, letter)) = copy {
        kept = keep(copies, letter).await.map(|id| (copies, id));
    }
    publish_until_confirmed(publisher, topic, message).await;
    if let Some((copies, id)) = kept
        && let Err(error) = copies.published(id).await
    {
        warn!(topic, %error, "the copy of a dead letter is not marked as published");
    }
}

async fn keep(copies: &Letters, letter: NewLetter) -> Option<u64> {
    let topic = letter.topic.clone();
    let problem = match timeout(COPY_TIMEOUT, copies.keep(letter)).await {
        Ok(Ok(id)) => return Some(id),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the disk does not answer".to_owned(),
    };
    counter!("danube_connector_dead_letter_copies_lost_total").increment(1);
    warn!(topic, problem, "dead letter goes without a local copy: `dlq` will not show it");
    None
}

/// Publishes a dead letter and comes back when it is confirmed, however long that
/// takes: a record whose letter is not accepted stays unresolved. One that is too
/// large goes without its payload.
pub async fn publish_until_confirmed(publisher: &dyn Publisher, topic: &str, letter: Outbound) {
    let mut letter = letter;
    let mut pause = FIRST_PAUSE;
    loop {
        match publisher.publish(letter.clone()).await {
            Ok(()) => return,
            Err(PublishError::TooLarge { size, .. }) if !letter.payload.is_empty() => {
                warn!(topic, size, "dead letter goes without its payload: it is too large");
                letter = without_payload(&letter);
            }
            Err(error) => {
                warn!(
                    topic, %error,
                    "dead letter is not accepted, so its record stays unresolved: mend the topic, \
                     or turn [dead_letter] off; trying again"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// Tells that a record is given up, and why.
pub fn log(connector: &str, letter: &DeadLetter, what: &str) {
    let identity = &letter.record.identity;
    warn!(
        connector,
        class = letter.class.as_str(),
        code = letter.code,
        reason = letter.reason,
        partition = &*identity.partition,
        offset = identity.offset,
        attempt = letter.attempt,
        "{what}"
    );
}

fn outbound(letter: &DeadLetter, connector: &str) -> Outbound {
    let record = &letter.record;
    let identity = &record.identity;
    let ours = [
        ("x-original-topic", record.topic.to_string()),
        ("x-original-subscription", record.subscription.to_string()),
        ("x-original-topic-offset", identity.offset.to_string()),
        ("x-failure-class", letter.class.as_str().to_owned()),
        ("x-failure-code", letter.code.clone()),
        ("x-failure-reason", cut(letter.reason.clone())),
        ("x-delivery-attempt", letter.attempt.to_string()),
        ("x-first-failure-time", unix_millis(letter.first_failure).to_string()),
        ("x-connector", connector.to_owned()),
        ("x-dedup-id", identity.fingerprint().to_string()),
    ];
    let mut attributes: Vec<(String, String)> = record
        .attributes
        .iter()
        .filter(|(name, _)| ours.iter().all(|(our, _)| our != name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    attributes.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    Outbound {
        payload: record.payload.clone(),
        key: record.key.clone(),
        partition_by: None,
        attributes,
        schema: record.schema,
    }
}

/// The letter as the local store keeps it: with its payload, whatever its size.
fn copy(letter: &DeadLetter, message: &Outbound, dead_letter_topic: &str) -> NewLetter {
    let record = &letter.record;
    NewLetter {
        dedup_id: record.identity.fingerprint().to_string(),
        topic: record.topic.to_string(),
        subscription: Some(record.subscription.to_string()),
        partition: record.identity.partition.to_string(),
        offset: record.identity.offset,
        key: record.key.as_deref().map(str::to_owned),
        payload: record.payload.clone(),
        attributes: message.attributes.clone(),
        schema: record.schema,
        class: letter.class.as_str().to_owned(),
        code: letter.code.clone(),
        reason: letter.reason.clone(),
        attempt: letter.attempt,
        first_failure_ms: i64::try_from(unix_millis(letter.first_failure)).unwrap_or(i64::MAX),
        dead_letter_topic: Some(dead_letter_topic.to_owned()),
    }
}

fn without_payload(message: &Outbound) -> Outbound {
    let mut attributes = message.attributes.clone();
    attributes.push(("x-payload-omitted".to_owned(), message.payload.len().to_string()));
    Outbound { payload: bytes::Bytes::new(), attributes, ..message.clone() }
}

fn unix_millis(moment: Instant) -> u128 {
    let then = SystemTime::now() - now().saturating_duration_since(moment);
    then.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use danube_sidecar_core::{
        outcome::FailureClass,
        record::{Identity, Record},
    };

    use super::*;
    use crate::bounds::MESSAGE;

    fn letter() -> DeadLetter {
        let identity = Identity {
            partition: "/default/orders-part-1".into(),
            offset: 7,
            producer: "shop".into(),
            request_id: 1,
            publish_time_ms: 1,
        };
        let attributes = [("trace", "abc"), ("x-connector", "forged")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()));
        let record = Record {
            identity,
            topic: "/default/orders".into(),
            subscription: "sub".into(),
            key: Some("k".into()),
            payload: "payload".into(),
            attributes: attributes.into(),
            schema: None,
        };
        DeadLetter {
            id: RecordId(1),
            record: Arc::new(record),
            class: FailureClass::Reject,
            code: "BAD".to_owned(),
            reason: "é".repeat(MESSAGE),
            attempt: 2,
            first_failure: Instant::now(),
        }
    }

    fn attribute(message: &Outbound, name: &str) -> Vec<String> {
        let found = message.attributes.iter().filter(|(n, _)| n == name);
        found.map(|(_, value)| value.clone()).collect()
    }

    #[test]
    fn a_dead_letter_keeps_the_message_and_says_why() {
        let message = outbound(&letter(), "orders");
        assert_eq!((&*message.payload, message.key.as_deref()), (&b"payload"[..], Some("k")));
        assert_eq!(attribute(&message, "trace"), ["abc"]);
        assert_eq!(attribute(&message, "x-original-topic"), ["/default/orders"]);
        assert_eq!(attribute(&message, "x-failure-class"), ["REJECT"]);
        assert_eq!(attribute(&message, "x-dedup-id")[0].len(), 32);
    }

    #[test]
    fn incoming_attributes_of_the_sidecars_names_are_overwritten() {
        assert_eq!(attribute(&outbound(&letter(), "orders"), "x-connector"), ["orders"]);
    }

    /// Refuses a number of messages, each in its own way, and keeps what it accepts.
    #[derive(Default)]
    struct Picky {
        refusals: Mutex<Vec<PublishError>>,
        accepted: Mutex<Vec<Outbound>>,
    }

    impl Publisher for Picky {
        fn publish(&self, message: Outbound) -> BoxFuture<'_, Result<(), PublishError>> {
            let refusal = self.refusals.lock().unwrap().pop();
            Box::pin(async move {
                if let Some(refusal) = refusal {
                    return Err(refusal);
                }
                self.accepted.lock().unwrap().push(message);
                Ok(())
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_letter_that_is_not_accepted_is_tried_until_it_is() {
        let refused = || PublishError::Invalid { detail: "schema".to_owned() };
        let picky = Picky { refusals: Mutex::new(vec![refused(), refused()]), ..Picky::default() };
        publish_until_confirmed(&picky, "/default/dlq", outbound(&letter(), "orders")).await;
        assert_eq!(picky.accepted.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_letter_that_is_too_large_goes_without_its_payload() {
        let too_large = PublishError::TooLarge { size: 9, limit: 8 };
        let picky = Picky { refusals: Mutex::new(vec![too_large]), ..Picky::default() };
        publish_until_confirmed(&picky, "/default/dlq", outbound(&letter(), "orders")).await;
        let accepted = picky.accepted.lock().unwrap();
        assert!(accepted[0].payload.is_empty());
        assert_eq!(attribute(&accepted[0], "x-payload-omitted"), ["7"]);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let reason = attribute(&outbound(&letter(), "orders"), "x-failure-reason").remove(0);
        assert!(reason.len() <= MESSAGE && reason.chars().all(|c| c == 'é'));
    }
}
