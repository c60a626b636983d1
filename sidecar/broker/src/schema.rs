//! Schemas out of the cluster's registry.

use bytes::Bytes;
use danube_client::{SchemaInfo as RegistrySchema, SchemaRegistryClient, errors::DanubeError};
use danube_sidecar_core::record::SchemaRef;
use serde_json::{Map, Value};

use crate::{
    cluster::Cluster,
    error::{CallError, Cause},
};

/// A schema as the registry keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaInfo {
    /// What messages name it by.
    pub reference: SchemaRef,
    /// The subject it belongs to.
    pub subject: String,
    /// `bytes`, `string`, `number`, `avro`, `json_schema` or `protobuf`.
    pub schema_type: String,
    /// The definition as its author wrote it; empty for types that need none.
    pub definition: Bytes,
}

impl Cluster {
    /// Reads a schema.
    ///
    /// # Errors
    /// When the registry does not know it, does not answer, or does not allow it (in
    /// TLS mode reading needs the permission `ManageSchema`).
    pub async fn schema(&self, reference: SchemaRef) -> Result<SchemaInfo, CallError> {
        let SchemaRef { schema_id, version } = reference;
        self.read_schema(|registry| async move {
            registry.get_schema_version(schema_id, Some(version)).await
        })
        .await
    }

    /// The latest version of a subject.
    pub(crate) async fn latest_schema(&self, subject: &str) -> Result<SchemaInfo, CallError> {
        let subject = subject.to_owned();
        self.read_schema(|registry| async move { registry.get_latest_schema(subject).await }).await
    }

    async fn read_schema<F>(
        &self,
        read: impl FnOnce(SchemaRegistryClient) -> F,
    ) -> Result<SchemaInfo, CallError>
    where
        F: Future<Output = Result<RegistrySchema, DanubeError>>,
    {
        const CALL: &str = "GetSchema";
        let limit = self.config().rpc_timeout;
        let dialed = self.dialed().await?;
        let read = tokio::time::timeout(limit, read(dialed.client.schema()))
            .await
            .map_err(|_| CallError::new(CALL, Cause::Timeout(limit)))
            .and_then(|read| read.map_err(|error| CallError::new(CALL, error)));
        if let Err(error) = &read {
            self.note_failure(&dialed, error).await;
        }
        read.map(SchemaInfo::from)
    }
}

impl From<RegistrySchema> for SchemaInfo {
    fn from(schema: RegistrySchema) -> Self {
        Self {
            reference: SchemaRef { schema_id: schema.schema_id, version: schema.version },
            subject: schema.subject,
            schema_type: schema.schema_type,
            definition: unwrapped(schema.schema_definition),
        }
    }
}

/// The registry answers with its own enum as JSON:
/// `{"JsonSchema":{"raw_schema":"…"}}` where there is a definition, `"Bytes"` where
/// the type says all. Anything else is passed on as it is.
fn unwrapped(definition: Vec<u8>) -> Bytes {
    match serde_json::from_slice(&definition) {
        Ok(Value::String(_)) => Bytes::new(),
        Ok(Value::Object(variant)) => match raw_schema(&variant) {
            Some(raw) => raw.to_owned().into(),
            None => definition.into(),
        },
        _ => definition.into(),
    }
}

fn raw_schema(variant: &Map<String, Value>) -> Option<&str> {
    let (_, fields) = variant.iter().next().filter(|_| variant.len() == 1)?;
    fields.get("raw_schema")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_comes_as_its_author_wrote_it() {
        let wrapped = br#"{"JsonSchema":{"raw_schema":"{\"type\":\"object\"}","fingerprint":"x"}}"#;
        assert_eq!(unwrapped(wrapped.to_vec()), r#"{"type":"object"}"#);
    }

    #[test]
    fn a_type_that_says_all_has_no_definition() {
        assert_eq!(unwrapped(br#""Bytes""#.to_vec()), "");
    }

    #[test]
    fn what_is_not_known_is_passed_on() {
        for definition in [r#"{"type":"record"}"#, "syntax = \"proto3\";", "[1]"] {
            assert_eq!(unwrapped(definition.into()), definition);
        }
    }
}
