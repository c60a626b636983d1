//! A producer on one partition.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use danube_core::proto::{
    DispatchStrategy, MessageResponse, ProducerAccessMode, ProducerRequest, SchemaReference,
    StreamMessage, schema_reference::VersionRef,
};
use danube_sidecar_core::record::SchemaRef;

use crate::{
    PublishTrouble,
    cluster::Cluster,
    config::ProducerSpec,
    error::{CallError, Class},
    lookup::Route,
};

const SEND: &str = "/danube.ProducerService/SendMessage";

/// Sends to one partition; created at the broker with the first message, and again
/// whenever a message fails: the broker gives a known name its old id.
pub(crate) struct Producer {
    cluster: Cluster,
    topic: Arc<str>,
    name: String,
    reliable: bool,
    schema_subject: Option<String>,
    session: Mutex<Option<Arc<Session>>>,
    /// Held by who creates the next session: one is enough.
    creating: tokio::sync::Mutex<()>,
    trouble: Mutex<Option<PublishTrouble>>,
}

/// A producer as the broker knows it.
struct Session {
    route: Route,
    producer_id: u64,
    schema: Option<SchemaRef>,
}

impl Producer {
    /// One for each partition, named as danube-client names them.
    pub(crate) fn for_partitions(cluster: &Cluster, spec: &ProducerSpec) -> Vec<Self> {
        let topics = spec.partition_topics();
        let name = |number: usize| match spec.partitions {
            0 => spec.producer_name.to_string(),
            _ => format!("{}-{number}", spec.producer_name),
        };
        topics
            .into_iter()
            .enumerate()
            .map(|(number, topic)| Self {
                cluster: cluster.clone(),
                topic,
                name: name(number),
                reliable: spec.reliable,
                schema_subject: spec.schema_subject.clone(),
                session: Mutex::default(),
                creating: tokio::sync::Mutex::default(),
                trouble: Mutex::default(),
            })
            .collect()
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for `pause`, or until the broker is back.
    pub(crate) async fn pause(&self, pause: Duration) {
        self.cluster.pause(pause).await;
    }

    /// Sends `message` once. After a failure it is unknown whether it was stored.
    pub(crate) async fn send(&self, message: &mut StreamMessage) -> Result<(), CallError> {
        let sent = self.send_once(message).await;
        self.note(sent.as_ref().err().map(|error| self.trouble_of(error)));
        sent
    }

    /// What the last attempt failed of, if it did.
    pub(crate) fn trouble(&self) -> Option<PublishTrouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, trouble: Option<PublishTrouble>) {
        let mut last = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = |trouble: &Option<PublishTrouble>| trouble.as_ref().map(std::mem::discriminant);
        match &trouble {
            None if last.is_some() => tracing::info!(topic = %self.topic, "publishing again"),
            Some(trouble) if kind(&last) != Some(std::mem::discriminant(trouble)) => {
                tracing::warn!(topic = %self.topic, %trouble, "cannot publish; trying again");
            }
            _ => {}
        }
        *last = trouble;
    }

    fn trouble_of(&self, error: &CallError) -> PublishTrouble {
        let (topic, detail) = (Arc::clone(&self.topic), error.to_string());
        match error.class() {
            Class::NoNamespace => PublishTrouble::NoNamespace { topic },
            Class::Away | Class::Moved | Class::Missing => {
                PublishTrouble::BrokerAway { topic, detail }
            }
            Class::Taken => PublishTrouble::NameTaken { topic, detail },
            Class::Refused | Class::Invalid => PublishTrouble::Refused { topic, detail },
        }
    }

    async fn send_once(&self, message: &mut StreamMessage) -> Result<(), CallError> {
        let session = self.session().await?;
        session.address(message);
        let sent = session.route.unary::<MessageResponse>("SendMessage", SEND, message).await;
        if sent.is_err() {
            self.end(&session);
        }
        sent.map(drop)
    }

    async fn session(&self) -> Result<Arc<Session>, CallError> {
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let _one_creates = self.creating.lock().await;
        if let Some(session) = self.current() {
            return Ok(session);
        }
        let session = Arc::new(self.create().await?);
        *self.locked() = Some(Arc::clone(&session));
        Ok(session)
    }

    fn current(&self) -> Option<Arc<Session>> {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, ended: &Arc<Session>) {
        self.locked().take_if(|session| Arc::ptr_eq(session, ended));
    }

    async fn create(&self) -> Result<Session, CallError> {
        let route = self.cluster.route_for_producing(&self.topic).await?;
        let schema = match &self.schema_subject {
            Some(subject) => Some(self.cluster.latest_schema(subject).await?.reference),
            None => None,
        };
        let strategy = match self.reliable {
            true => DispatchStrategy::Reliable,
            false => DispatchStrategy::NonReliable,
        };
        let message = ProducerRequest {
            request_id: self.cluster.request_id(),
            producer_name: self.name.clone(),
            topic_name: self.topic.to_string(),
            schema_ref: self.schema_subject.clone().map(|subject| SchemaReference {
                subject,
                version_ref: Some(VersionRef::UseLatest(true)),
            }),
            producer_access_mode: ProducerAccessMode::Shared.into(),
            dispatch_strategy: strategy.into(),
        };
        let mut producer = route.producer();
        let created = route
            .call("CreateProducer", message, |request| async move {
                producer.create_producer(request).await
            })
            .await?;
        tracing::debug!(topic = %self.topic, producer = %self.name, "producer created");
        Ok(Session { route, producer_id: created.producer_id, schema })
    }
}

impl Session {
    /// Writes into `message` what only the broker's answer told.
    fn address(&self, message: &mut StreamMessage) {
        if let Some(id) = &mut message.msg_id {
            id.producer_id = self.producer_id;
            id.broker_addr = self.route.broker();
        }
        if message.schema_id.is_none() {
            message.schema_id = self.schema.map(|schema| schema.schema_id);
            message.schema_version = self.schema.map(|schema| schema.version);
        }
    }
}
