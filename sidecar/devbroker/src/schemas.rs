//! The schema registry's contents: subjects and their versions.
//!
//! Schemas are stored and numbered as Danube does. Compatibility is checked no
//! deeper than the type, and payloads are not looked into.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// All subjects, by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Schemas {
    last_id: u64,
    subjects: BTreeMap<String, Subject>,
}

/// A subject: one id, several versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) id: u64,
    pub(crate) compatibility: Compatibility,
    pub(crate) versions: Vec<Version>,
    last_version: u32,
}

/// One version of a schema.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) definition: Definition,
    pub(crate) fingerprint: String,
    /// Seconds since 1970.
    pub(crate) created_at: u64,
    pub(crate) created_by: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
}

/// A schema, in the JSON in which the broker hands it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Definition {
    Bytes,
    String,
    Number,
    Avro { raw_schema: String, fingerprint: String },
    JsonSchema { raw_schema: String, fingerprint: String },
    Protobuf { raw_proto: String, message_name: String, fingerprint: String },
}

/// What a new version must keep to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Compatibility {
    None,
    #[default]
    Backward,
    Forward,
    Full,
}

/// Who registers, and what they say about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    pub(crate) description: String,
    pub(crate) created_by: String,
    pub(crate) tags: Vec<String>,
}

/// Why a schema is not registered or found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("Unknown schema type: {0}")]
    Type(String),
    #[error("Invalid {0} schema: {1}")]
    Json(&'static str, #[source] serde_json::Error),
    #[error("Invalid UTF-8 in the schema: {0}")]
    Utf8(#[from] std::str::Utf8Error),
    #[error(
        "Schema is not compatible with subject '{subject}': it is {new}, the subject is {old}, and \
         schema types must match"
    )]
    Incompatible { subject: String, old: &'static str, new: &'static str },
    #[error("there is no subject '{0}'")]
    NoSubject(String),
    #[error("subject '{0}' has no version {1}")]
    NoVersion(String, u32),
}

impl Schemas {
    pub(crate) fn subjects(&self) -> &BTreeMap<String, Subject> {
        &self.subjects
    }

    pub(crate) fn subject(&self, name: &str) -> Result<&Subject, SchemaError> {
        self.subjects.get(name).ok_or_else(|| SchemaError::NoSubject(name.to_owned()))
    }

    pub(crate) fn subject_mut(&mut self, name: &str) -> Result<&mut Subject, SchemaError> {
        self.subjects.get_mut(name).ok_or_else(|| SchemaError::NoSubject(name.to_owned()))
    }

    /// By id, and version unless the latest is meant.
    pub(crate) fn find(&self, id: u64, version: Option<u32>) -> Option<(&str, &Subject, &Version)> {
        let (name, subject) = self.subjects.iter().find(|(_, subject)| subject.id == id)?;
        let version = match version {
            Some(number) => subject.version(number),
            None => subject.latest(),
        }?;
        Some((name, subject, version))
    }

    /// Registers a version, or finds the one that is the same. Returns the id, the
    /// version, and whether it is new.
    pub(crate) fn register(
        &mut self,
        subject: &str,
        definition: Definition,
        notes: Notes,
    ) -> Result<(u64, &Version, bool), SchemaError> {
        let fingerprint = definition.fingerprint();
        self.check(subject, &definition, None)?;
        let next_id = self.last_id + 1;
        let entry = self.subjects.entry(subject.to_owned()).or_insert_with(|| Subject {
            id: next_id,
            compatibility: Compatibility::default(),
            versions: Vec::new(),
            last_version: 0,
        });
        self.last_id = self.last_id.max(entry.id);
        let known = entry.versions.iter().position(|known| known.fingerprint == fingerprint);
        let index = known.unwrap_or_else(|| entry.add(definition, fingerprint, notes));
        Ok((entry.id, &entry.versions[index], known.is_none()))
    }

    /// Whether the subject would take the schema.
    pub(crate) fn check(
        &self,
        subject: &str,
        definition: &Definition,
        mode: Option<Compatibility>,
    ) -> Result<(), SchemaError> {
        let Some(known) = self.subjects.get(subject) else { return Ok(()) };
        let Some(latest) = known.latest() else { return Ok(()) };
        let (old, new) = (latest.definition.type_name(), definition.type_name());
        if mode.unwrap_or(known.compatibility) == Compatibility::None || old == new {
            return Ok(());
        }
        Err(SchemaError::Incompatible { subject: subject.to_owned(), old, new })
    }
}

impl Subject {
    pub(crate) fn version(&self, number: u32) -> Option<&Version> {
        self.versions.iter().find(|version| version.number == number)
    }

    pub(crate) fn latest(&self) -> Option<&Version> {
        self.versions.last()
    }

    fn add(&mut self, definition: Definition, fingerprint: String, notes: Notes) -> usize {
        let Notes { description, created_by, tags } = notes;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_version += 1;
        self.versions.push(Version {
            number: self.last_version,
            definition,
            fingerprint,
            created_at: since.as_secs(),
            created_by,
            description,
            tags,
        });
        self.versions.len() - 1
    }

    pub(crate) fn remove(&mut self, name: &str, number: u32) -> Result<(), SchemaError> {
        let index = self.versions.iter().position(|version| version.number == number);
        let index = index.ok_or_else(|| SchemaError::NoVersion(name.to_owned(), number))?;
        self.versions.remove(index);
        Ok(())
    }
}

impl Definition {
    pub(crate) fn parse(kind: &str, raw: &[u8]) -> Result<Self, SchemaError> {
        let text = || std::str::from_utf8(raw).map(str::to_owned);
        let json = |kind| {
            serde_json::from_slice::<serde::de::IgnoredAny>(raw)
                .map_err(|error| SchemaError::Json(kind, error))
        };
        let fingerprint = format!("xxh3:{:032x}", xxh3_128(raw));
        Ok(match kind.to_lowercase().as_str() {
            "bytes" => Self::Bytes,
            "string" => Self::String,
            "number" | "int64" | "int" | "float" | "double" => Self::Number,
            "avro" => {
                json("Avro")?;
                Self::Avro { raw_schema: text()?, fingerprint }
            }
            "json_schema" | "json" => {
                json("JSON")?;
                Self::JsonSchema { raw_schema: text()?, fingerprint }
            }
            "protobuf" | "proto" => Self::Protobuf {
                raw_proto: text()?,
                message_name: "DefaultMessage".to_owned(),
                fingerprint,
            },
            _ => return Err(SchemaError::Type(kind.to_owned())),
        })
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Number => "number",
            Self::Avro { .. } => "avro",
            Self::JsonSchema { .. } => "json_schema",
            Self::Protobuf { .. } => "protobuf",
        }
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Bytes | Self::String | Self::Number => self.type_name().to_owned(),
            Self::Avro { fingerprint, .. }
            | Self::JsonSchema { fingerprint, .. }
            | Self::Protobuf { fingerprint, .. } => fingerprint.clone(),
        }
    }
}

impl Compatibility {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "none" => Some(Self::None),
            "backward" => Some(Self::Backward),
            "forward" => Some(Self::Forward),
            "full" => Some(Self::Full),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Backward => "backward",
            Self::Forward => "forward",
            Self::Full => "full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(raw: &str) -> Definition {
        Definition::parse("json_schema", raw.as_bytes()).unwrap()
    }

    #[test]
    fn the_same_schema_keeps_its_version_and_another_gets_the_next() {
        let mut schemas = Schemas::default();
        let mut register = |raw| {
            let (id, version, new) = schemas.register("s", json(raw), Notes::default()).unwrap();
            (id, version.number, new)
        };
        assert_eq!(register("{}"), (1, 1, true));
        assert_eq!(register("{}"), (1, 1, false));
        assert_eq!(register(r#"{"type":"object"}"#), (1, 2, true));
    }

    #[test]
    fn another_type_is_not_compatible_unless_the_mode_is_none() {
        let mut schemas = Schemas::default();
        schemas.register("s", json("{}"), Notes::default()).unwrap();
        assert!(schemas.register("s", Definition::Bytes, Notes::default()).is_err());
        schemas.subject_mut("s").unwrap().compatibility = Compatibility::None;
        assert!(schemas.register("s", Definition::Bytes, Notes::default()).is_ok());
    }

    #[test]
    fn definitions_are_handed_out_in_the_json_of_danube() {
        let out = serde_json::to_value(json("{}")).unwrap();
        assert_eq!(out["JsonSchema"]["raw_schema"], "{}");
        assert_eq!(serde_json::to_value(Definition::Bytes).unwrap(), "Bytes");
    }

    #[test]
    fn what_is_not_json_is_no_json_schema() {
        assert!(Definition::parse("json_schema", b"{").is_err());
        assert!(Definition::parse("cobol", b"{}").is_err());
    }
}
