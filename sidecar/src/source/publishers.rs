//! Where the records of one source session go.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use danube_sidecar_broker::{ProducerSpec, Publisher};

use crate::{
    config::{self, Connector},
    danube::Danube,
};

/// The declared topics of a session and its dead-letter topic.
pub(super) struct Publishers {
    declared: HashMap<Arc<str>, Arc<Destination>>,
    dead_letters: Option<Arc<Destination>>,
}

/// One topic to publish to; connected with the first record.
pub(super) struct Destination {
    danube: Arc<dyn Danube>,
    spec: ProducerSpec,
    publisher: OnceLock<Arc<dyn Publisher>>,
}

impl Publishers {
    pub(super) fn new(
        danube: &Arc<dyn Danube>,
        connector: &Connector,
        producers: &[config::Producer],
    ) -> Self {
        let destination = |spec| {
            let danube = Arc::clone(danube);
            Arc::new(Destination { danube, spec, publisher: OnceLock::new() })
        };
        let declared = producers.iter().map(|producer| {
            let topic: Arc<str> = producer.topic.as_str().into();
            let spec = ProducerSpec {
                topic: topic.clone(),
                partitions: producer.partitions,
                reliable: producer.reliable,
                producer_name: connector.name.as_str().into(),
                schema_subject: producer.schema_subject.clone(),
            };
            (topic, destination(spec))
        });
        let dead_letters = connector.dead_letter_topic().map(|topic| {
            destination(ProducerSpec {
                topic: topic.as_str().into(),
                partitions: 0,
                reliable: true,
                producer_name: format!("{}-dead-letters", connector.name).into(),
                schema_subject: None,
            })
        });
        Self { declared: declared.collect(), dead_letters }
    }

    /// The declared topic of this name; an empty name means the only one.
    pub(super) fn topic(&self, name: &str) -> Option<Arc<str>> {
        if name.is_empty() && self.declared.len() == 1 {
            return self.declared.keys().next().cloned();
        }
        self.declared.get_key_value(name).map(|(topic, _)| topic.clone())
    }

    /// The declared topics, for messages.
    pub(super) fn declared(&self) -> String {
        let mut names: Vec<&str> = self.declared.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// Where records of a declared topic go.
    pub(super) fn destination(&self, topic: &str) -> Option<Arc<Destination>> {
        self.declared.get(topic).cloned()
    }

    /// What keeps records from being published, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        let mut all = self.declared.values().chain(&self.dead_letters);
        let trouble = |destination: &Arc<Destination>| destination.publisher.get()?.trouble();
        all.find_map(trouble).map(|trouble| trouble.to_string())
    }

    /// Where records go that can never be published.
    pub(super) fn dead_letters(&self) -> Option<Arc<Destination>> {
        self.dead_letters.clone()
    }
}

impl Destination {
    /// The topic.
    pub(super) fn topic(&self) -> &str {
        &self.spec.topic
    }

    /// The publisher, connected at the first call.
    pub(super) fn publisher(&self) -> &Arc<dyn Publisher> {
        self.publisher.get_or_init(|| self.danube.publisher(self.spec.clone()))
    }
}
