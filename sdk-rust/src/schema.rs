//! How a payload is to be read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The schema that a record was published with, from Danube's registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its id.
    pub id: u64,
    /// The version of its subject.
    pub version: u32,
    /// What it is registered under.
    pub subject: String,
    /// The registry's name of its kind, like `json_schema` or `avro`.
    pub schema_type: String,
    /// The definition, as it was registered.
    pub definition: Vec<u8>,
}

/// The encoding of a payload, for [`SinkRecord::payload_deserialized`](crate::SinkRecord::payload_deserialized).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum SchemaType {
    /// Bytes without a meaning of their own.
    #[default]
    Bytes,
    /// UTF-8 text.
    String,
    /// A signed 64-bit number, big-endian.
    Int64,
    /// JSON.
    Json,
}

impl SchemaType {
    /// Whether the data has a structure (JSON).
    pub fn is_structured(&self) -> bool {
        matches!(self, Self::Json)
    }

    /// Whether the data is text (a string or JSON).
    pub fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Json)
    }

    /// Whether the data is a number.
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Int64)
    }

    /// Whether the data is plain bytes.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Bytes)
    }

    /// The type in words.
    pub fn description(&self) -> &'static str {
        match self {
            Self::Bytes => "Raw binary data",
            Self::String => "UTF-8 encoded string",
            Self::Int64 => "64-bit signed integer",
            Self::Json => "JSON-encoded structured data",
        }
    }
}

impl fmt::Display for SchemaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "Bytes",
            Self::String => "String",
            Self::Int64 => "Int64",
            Self::Json => "Json",
        })
    }
}

impl FromStr for SchemaType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_lowercase().as_str() {
            "bytes" => Ok(Self::Bytes),
            "string" => Ok(Self::String),
            "int64" => Ok(Self::Int64),
            "json" => Ok(Self::Json),
            _ => {
                Err(format!("Unknown schema type: {name} (expected Bytes, String, Int64 or Json)"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [SchemaType; 4] =
        [SchemaType::Bytes, SchemaType::String, SchemaType::Int64, SchemaType::Json];

    #[test]
    fn what_is_displayed_parses_back() {
        for kind in ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
    }

    #[test]
    fn names_are_parsed_in_any_case() {
        assert_eq!("JSON".parse(), Ok(SchemaType::Json));
        assert!("xml".parse::<SchemaType>().is_err_and(|error| error.contains("xml")));
    }
}
