//! The external system that the guide's blocks talk to: it keeps in memory what
//! it is given.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use danube_connect_core::{ConnectorError, ConnectorResult, Offset};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MyData {
    pub id: String,
}

impl MyData {
    pub fn new(id: &str) -> Self {
        Self { id: id.to_string() }
    }
}

/// The guide's `self.config`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub url: String,
    pub connector_name: String,
    pub topic: String,
    pub topics: Vec<String>,
    pub source_topics: Vec<String>,
    pub topic_mappings: Vec<TopicMapping>,
}

impl Settings {
    pub fn validate(&self) -> ConnectorResult<()> {
        if self.url.is_empty() {
            return Err(ConnectorError::config("url cannot be empty"));
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub struct TopicMapping {
    pub danube_topic: String,
    pub partitions: usize,
    pub reliable: bool,
}

#[derive(Clone, Debug, Default)]
pub struct ExternalClient {
    pub url: String,
    rows: Arc<Mutex<Vec<MyData>>>,
}

impl ExternalClient {
    pub async fn connect(url: &str) -> ConnectorResult<Self> {
        Ok(Self { url: url.to_string(), ..Self::default() })
    }

    pub async fn ping(&self) -> ConnectorResult<()> {
        Ok(())
    }

    pub async fn subscribe(&self, topics: &[String]) -> ConnectorResult<()> {
        self.rows().extend(topics.iter().map(|topic| MyData::new(topic)));
        Ok(())
    }

    pub async fn bulk_insert(&self, items: &[MyData]) -> ConnectorResult<()> {
        self.rows().extend_from_slice(items);
        Ok(())
    }

    pub async fn insert(&self, item: MyData) -> ConnectorResult<()> {
        self.rows().push(item);
        Ok(())
    }

    pub async fn write(&self, item: MyData) -> Result<(), String> {
        if item.id == "unwritable" {
            return Err("connection reset".to_string());
        }
        self.rows().push(item);
        Ok(())
    }

    pub async fn fetch_since(&self, position: u64) -> ConnectorResult<Vec<Row>> {
        let row = |(id, data): (u64, &MyData)| Row { id, name: data.id.clone() };
        let rows = self.rows();
        Ok((1..).zip(rows.iter()).map(row).filter(|row| row.id > position).collect())
    }

    pub fn read(&self) -> Vec<MyData> {
        self.rows().clone()
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, Vec<MyData>> {
        self.rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub id: u64,
    pub name: String,
}

/// Tables by name.
#[derive(Clone, Debug, Default)]
pub struct Database(Arc<Mutex<HashMap<String, ExternalClient>>>);

impl Database {
    pub fn collection(&self, table: &str) -> ExternalClient {
        let mut tables = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tables.entry(table.to_string()).or_default().clone()
    }
}

/// A system that pushes: three events, and then silence.
pub struct ExternalStream {
    events: tokio::sync::Mutex<mpsc::Receiver<MyData>>,
    _open: mpsc::Sender<MyData>,
}

impl ExternalStream {
    pub async fn connect() -> ConnectorResult<Self> {
        let (sender, events) = mpsc::channel(3);
        for id in ["1", "2", "3"] {
            sender.send(MyData::new(id)).await.map_err(|_| ConnectorError::retryable("closed"))?;
        }
        Ok(Self { events: events.into(), _open: sender })
    }

    pub async fn next_event(&self) -> Result<MyData, String> {
        self.events.lock().await.recv().await.ok_or_else(|| "closed".to_string())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Checkpoint(Arc<Mutex<Option<Offset>>>);

impl Checkpoint {
    pub async fn save(&self, offset: &Offset) -> ConnectorResult<()> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(offset.clone());
        Ok(())
    }

    pub fn saved(&self) -> Option<Offset> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

pub struct ExternalMessage {
    pub source_topic: String,
    pub payload: Vec<u8>,
}

/// Danube topics by external topic.
#[derive(Default)]
pub struct TopicMappings(pub HashMap<String, String>);

impl TopicMappings {
    pub fn get(&self, source_topic: &str) -> &str {
        self.0.get(source_topic).map_or("/default/unmapped", String::as_str)
    }
}
