//! What the JSON files hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use crate::{
    schemas::Schemas,
    topic::{Policy, SchemaBinding},
};

/// registry.json.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedRegistry {
    pub(crate) namespaces: BTreeSet<String>,
    pub(crate) schemas: Schemas,
}

/// topic.json.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedTopic {
    pub(crate) reliable: bool,
    pub(crate) schema: Option<SchemaBinding>,
    pub(crate) subscriptions: BTreeMap<String, SavedSubscription>,
    pub(crate) policies: HashMap<String, Policy>,
}

/// A subscription of a topic.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedSubscription {
    /// Danube's number of the subscription type.
    pub(crate) kind: i32,
    /// All below is acked.
    pub(crate) cursor: u64,
}
