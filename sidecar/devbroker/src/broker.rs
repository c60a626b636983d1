//! What all services share: the topics, and who is connected to them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};
use tokio::time::Instant;
use tonic::Status;

use crate::{
    config::Config,
    error::StartError,
    names::TopicName,
    schemas::Schemas,
    store::{DataDir, SavedRegistry},
    topic::{PublishError, SubscribeError, Topic},
};

/// What exists from the start.
const NAMESPACES: [&str; 2] = ["default", "system"];

/// The broker behind its services.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) config: Arc<Config>,
    /// Where clients are sent if their request does not say how they came.
    pub(crate) url: String,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    store: Option<DataDir>,
    namespaces: Mutex<BTreeSet<String>>,
    /// By id. Written only when one is made or goes away.
    producers: RwLock<HashMap<u64, Arc<Topic>>>,
    consumers: RwLock<HashMap<u64, ConsumerPlace>>,
    schemas: Mutex<Schemas>,
}

/// Where a consumer belongs.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerPlace {
    pub(crate) topic: Arc<Topic>,
    pub(crate) subscription: Arc<str>,
}

impl Broker {
    /// A broker with what its data directory holds, if it has one.
    pub(crate) fn open(config: Config, url: String) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let open = |path| DataDir::open(path, config.audit);
        let store = config.data_dir.as_deref().map(open).transpose()?;
        let mut topics = BTreeMap::new();
        let mut registry = None;
        if let Some(store) = &store {
            registry = store.load_registry()?;
            for name in store.topics()? {
                let dir = store.topic(&name);
                if let Some(topic) = Topic::restore(&name, Arc::clone(&config), dir)? {
                    topics.insert(name, Arc::new(topic));
                }
            }
        }
        let registry = registry.unwrap_or_else(|| SavedRegistry {
            namespaces: NAMESPACES.map(str::to_owned).into(),
            schemas: Schemas::default(),
        });
        Ok(Self {
            config,
            url,
            topics: RwLock::new(topics),
            store,
            namespaces: Mutex::new(registry.namespaces),
            producers: RwLock::default(),
            consumers: RwLock::default(),
            schemas: Mutex::new(registry.schemas),
        })
    }

    /// Writes namespaces and schemas.
    pub(crate) fn save_registry(&self) -> io::Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let namespaces = self.namespaces().clone();
        let schemas = self.schemas().clone();
        store.save_registry(&SavedRegistry { namespaces, schemas })
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.topics).get(name).cloned()
    }

    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        read(&self.topics).values().cloned().collect()
    }

    /// The topic itself, or the partitions it has.
    pub(crate) fn partitions(&self, name: &TopicName) -> Vec<String> {
        let topics = read(&self.topics);
        if topics.contains_key(name.as_str()) {
            return vec![name.as_str().to_owned()];
        }
        if self.config.oddities.prefix_lookup {
            let range = topics.range(name.as_str().to_owned()..);
            let names = range.map(|(known, _)| known);
            return names.take_while(|known| known.starts_with(name.as_str())).cloned().collect();
        }
        let mut found: Vec<(u32, String)> = topics
            .keys()
            .filter_map(|known| Some((name.partition_number(known)?, known.clone())))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, known)| known).collect()
    }

    /// Makes a topic.
    pub(crate) fn create_topic(
        &self,
        name: &TopicName,
        reliable: bool,
    ) -> Result<Arc<Topic>, Status> {
        if !self.config.any_namespace && !self.namespaces().contains(name.namespace()) {
            return Err(Status::unavailable(format!(
                "Unable to find the namespace {}, the topic can be created only for an exisiting \
                 namespace",
                name.namespace()
            )));
        }
        self.check_base(name)?;
        let mut topics = write(&self.topics);
        if topics.contains_key(name.as_str()) {
            return Err(Status::already_exists(format!("Topic '{name}' already exists")));
        }
        let dir = self.store.as_ref().map(|store| store.topic(name.as_str()));
        let topic = Topic::create(name.as_str(), reliable, Arc::clone(&self.config), dir)
            .map_err(|error| Status::internal(error.to_string()))?;
        let topic = Arc::new(topic);
        topics.insert(name.as_str().to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// A name is either partitioned or not.
    fn check_base(&self, name: &TopicName) -> Result<(), Status> {
        if let Some(base) = name.base() {
            if self.topic(base).is_none() {
                return Ok(());
            }
            return Err(Status::already_exists(format!(
                "Cannot create partitioned topic '{name}': a non-partitioned topic '{base}' already \
                 exists"
            )));
        }
        let partitions = self.partitions(name);
        if partitions.is_empty() || partitions == [name.as_str()] {
            return Ok(());
        }
        Err(Status::already_exists(format!(
            "Cannot create topic '{name}': partitioned topics with this base name already exist \
             (found {} partitions)",
            partitions.len()
        )))
    }

    /// The topic for a producer, made when it is missing.
    pub(crate) fn topic_for_producer(
        &self,
        name: &TopicName,
        reliable: bool,
    ) -> Result<Arc<Topic>, Status> {
        if let Some(topic) = self.topic(name.as_str()) {
            return Ok(topic);
        }
        match self.create_topic(name, reliable) {
            Err(status) if status.code() == tonic::Code::AlreadyExists => {
                self.topic(name.as_str()).ok_or(status)
            }
            other => other,
        }
    }

    /// Removes a topic, with all partitions; false if there is none.
    pub(crate) fn delete_topic(&self, name: &TopicName) -> io::Result<bool> {
        let names = self.partitions(name);
        for name in &names {
            let Some(topic) = write(&self.topics).remove(name) else { continue };
            write(&self.producers).retain(|_, of| !Arc::ptr_eq(of, &topic));
            write(&self.consumers).retain(|_, place| !Arc::ptr_eq(&place.topic, &topic));
            topic.delete()?;
        }
        Ok(!names.is_empty())
    }

    /// Removes a subscription; false if there is none or it is in use.
    pub(crate) fn unsubscribe(&self, topic: &str, subscription: &str) -> io::Result<bool> {
        let Some(topic) = self.topic(topic) else { return Ok(false) };
        let Some(consumers) = topic.unsubscribe(subscription)? else { return Ok(false) };
        write(&self.consumers).retain(|id, _| !consumers.contains(id));
        Ok(true)
    }

    pub(crate) fn namespaces(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn schemas(&self) -> MutexGuard<'_, Schemas> {
        self.schemas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The producer's id: the same for the same name.
    pub(crate) fn add_producer(&self, topic: &Arc<Topic>, name: &str) -> u64 {
        let id = topic.producer_id(name, rand::random());
        write(&self.producers).insert(id, Arc::clone(topic));
        id
    }

    pub(crate) fn producer_topic(&self, id: u64) -> Option<Arc<Topic>> {
        read(&self.producers).get(&id).cloned()
    }

    /// Stores a dead letter, in a topic made for it where there is none.
    pub(crate) fn publish_dead_letter(
        &self,
        topic: &str,
        message: StreamMessage,
        now: Instant,
    ) -> Result<(), DeadLetterError> {
        let name = TopicName::parse(topic)?;
        let topic = self.topic_for_producer(&name, true)?;
        topic.publish(message, now)?;
        Ok(())
    }

    /// Adds a consumer. Returns its id and whether its name was known.
    pub(crate) fn add_consumer(
        &self,
        topic: &Arc<Topic>,
        subscription: &str,
        kind: SubscriptionType,
        consumer: &str,
        filters: Vec<String>,
    ) -> Result<(u64, bool), SubscribeError> {
        let now = Instant::now();
        let joined = topic.subscribe(subscription, kind, rand::random(), consumer, filters, now)?;
        let mut consumers = write(&self.consumers);
        for id in joined.replaced {
            consumers.remove(&id);
        }
        consumers.entry(joined.consumer).or_insert_with(|| ConsumerPlace {
            topic: Arc::clone(topic),
            subscription: subscription.into(),
        });
        Ok((joined.consumer, joined.takeover))
    }

    pub(crate) fn consumer(&self, id: u64) -> Option<ConsumerPlace> {
        read(&self.consumers).get(&id).cloned()
    }

    /// The id of a schema subject.
    pub(crate) fn subject_id(&self, subject: &str) -> Option<u64> {
        self.schemas().subject(subject).ok().map(|known| known.id)
    }

    /// Timeouts, redeliveries and dead letters.
    pub(crate) fn tick(&self, now: Instant) {
        for topic in self.topics() {
            for dead in topic.tick(now) {
                match self.publish_dead_letter(&dead.topic, dead.message, now) {
                    Ok(()) => topic.resolve(&dead.subscription, dead.offset),
                    Err(error) => tracing::warn!(
                        topic = %topic.name, offset = dead.offset, %error,
                        "a dead letter cannot be published; trying again"
                    ),
                }
            }
        }
    }

    /// Ends all streams and takes no more messages.
    pub(crate) fn stop(&self) {
        for topic in self.topics() {
            topic.stop();
        }
    }

    /// Writes what is not written.
    pub(crate) fn save(&self) {
        for topic in self.topics() {
            topic.save();
        }
    }

    /// Lets another broker have the data directory.
    pub(crate) fn release(&self) {
        if let Some(store) = &self.store {
            store.release();
        }
    }
}

/// Why a dead letter was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeadLetterError {
    #[error(transparent)]
    Topic(#[from] Status),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
