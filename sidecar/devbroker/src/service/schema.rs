//! The schema registry.

use danube_core::proto::danube_schema::{
    CheckCompatibilityRequest, CheckCompatibilityResponse, ConfigureTopicSchemaRequest,
    ConfigureTopicSchemaResponse, DeleteSchemaVersionRequest, DeleteSchemaVersionResponse,
    GetLatestSchemaRequest, GetSchemaRequest, GetSchemaResponse, GetTopicSchemaConfigRequest,
    GetTopicSchemaConfigResponse, ListSubjectsRequest, ListSubjectsResponse, ListVersionsRequest,
    ListVersionsResponse, RegisterSchemaRequest, RegisterSchemaResponse, SchemaVersionInfo,
    SetCompatibilityModeRequest, SetCompatibilityModeResponse, SubjectSummary,
    UpdateTopicValidationPolicyRequest, UpdateTopicValidationPolicyResponse,
    schema_registry_server::SchemaRegistry,
};
use tonic::{Request, Response, Status};

use super::Service;
use crate::{
    schemas::{Compatibility, Definition, Notes, Subject, Version},
    topic::{SchemaBinding, Validation},
};

#[tonic::async_trait]
impl SchemaRegistry for Service {
    async fn register_schema(
        &self,
        request: Request<RegisterSchemaRequest>,
    ) -> Result<Response<RegisterSchemaResponse>, Status> {
        let request = request.into_inner();
        let failed = |error| Status::internal(format!("Failed to register schema: {error}"));
        let definition =
            Definition::parse(&request.schema_type, &request.schema_definition).map_err(failed)?;
        let notes = Notes {
            description: request.description,
            created_by: request.created_by,
            tags: request.tags,
        };
        let mut schemas = self.broker.schemas();
        let (schema_id, version, is_new_version) =
            schemas.register(&request.subject, definition, notes).map_err(failed)?;
        let response = RegisterSchemaResponse {
            schema_id,
            version: version.number,
            is_new_version,
            fingerprint: version.fingerprint.clone(),
        };
        drop(schemas);
        self.broker.save_registry()?;
        Ok(Response::new(response))
    }

    async fn get_schema(
        &self,
        request: Request<GetSchemaRequest>,
    ) -> Result<Response<GetSchemaResponse>, Status> {
        let request = request.into_inner();
        let schemas = self.broker.schemas();
        let (name, subject, version) =
            schemas.find(request.schema_id, request.version).ok_or_else(|| {
                Status::not_found(format!("Schema not found for ID: {}", request.schema_id))
            })?;
        Ok(Response::new(describe(name, subject, version)?))
    }

    async fn get_latest_schema(
        &self,
        request: Request<GetLatestSchemaRequest>,
    ) -> Result<Response<GetSchemaResponse>, Status> {
        let name = request.into_inner().subject;
        let missing = || Status::not_found(format!("Schema not found for subject: {name}"));
        let schemas = self.broker.schemas();
        let subject = schemas.subject(&name).map_err(|_| missing())?;
        let version = subject.latest().ok_or_else(missing)?;
        Ok(Response::new(describe(&name, subject, version)?))
    }

    async fn list_versions(
        &self,
        request: Request<ListVersionsRequest>,
    ) -> Result<Response<ListVersionsResponse>, Status> {
        let name = request.into_inner().subject;
        let schemas = self.broker.schemas();
        let subject = schemas
            .subject(&name)
            .map_err(|_| Status::not_found(format!("Subject not found: {name}")))?;
        let versions = subject.versions.iter().map(|version| SchemaVersionInfo {
            version: version.number,
            created_at: version.created_at,
            created_by: version.created_by.clone(),
            description: version.description.clone(),
            fingerprint: version.fingerprint.clone(),
            schema_id: subject.id,
        });
        Ok(Response::new(ListVersionsResponse { versions: versions.collect() }))
    }

    async fn check_compatibility(
        &self,
        request: Request<CheckCompatibilityRequest>,
    ) -> Result<Response<CheckCompatibilityResponse>, Status> {
        let request = request.into_inner();
        let mode = request.compatibility_mode.as_deref().map(parse_mode).transpose()?;
        let checked = Definition::parse(&request.schema_type, &request.new_schema_definition)
            .and_then(|definition| {
                self.broker.schemas().check(&request.subject, &definition, mode)
            });
        let errors: Vec<_> = checked.err().iter().map(ToString::to_string).collect();
        Ok(Response::new(CheckCompatibilityResponse { is_compatible: errors.is_empty(), errors }))
    }

    async fn delete_schema_version(
        &self,
        request: Request<DeleteSchemaVersionRequest>,
    ) -> Result<Response<DeleteSchemaVersionResponse>, Status> {
        let DeleteSchemaVersionRequest { subject, version } = request.into_inner();
        self.broker
            .schemas()
            .subject_mut(&subject)
            .and_then(|known| known.remove(&subject, version))
            .map_err(|error| {
                Status::internal(format!("Failed to delete schema version: {error}"))
            })?;
        self.broker.save_registry()?;
        Ok(Response::new(DeleteSchemaVersionResponse {
            success: true,
            message: format!("Deleted version {version} for subject {subject}"),
        }))
    }

    async fn set_compatibility_mode(
        &self,
        request: Request<SetCompatibilityModeRequest>,
    ) -> Result<Response<SetCompatibilityModeResponse>, Status> {
        let request = request.into_inner();
        let mode = parse_mode(&request.compatibility_mode)?;
        let mut schemas = self.broker.schemas();
        let subject = schemas.subject_mut(&request.subject).map_err(|error| {
            Status::internal(format!("Failed to set compatibility mode: {error}"))
        })?;
        subject.compatibility = mode;
        drop(schemas);
        self.broker.save_registry()?;
        Ok(Response::new(SetCompatibilityModeResponse {
            success: true,
            message: format!(
                "Set compatibility mode to {} for subject {}",
                request.compatibility_mode, request.subject
            ),
        }))
    }

    async fn configure_topic_schema(
        &self,
        request: Request<ConfigureTopicSchemaRequest>,
    ) -> Result<Response<ConfigureTopicSchemaResponse>, Status> {
        let request = request.into_inner();
        let validation = parse_validation(&request.validation_policy)?;
        let subject = request.schema_subject;
        let id = self.broker.subject_id(&subject).ok_or_else(|| {
            Status::not_found(format!("Schema subject '{subject}' not found in registry"))
        })?;
        let topic = self.known_topic(&request.topic_name)?;
        topic.set_schema(SchemaBinding { subject: subject.clone(), id, validation })?;
        Ok(Response::new(ConfigureTopicSchemaResponse {
            success: true,
            message: format!(
                "Topic '{}' configured with schema '{subject}', validation policy '{}'",
                request.topic_name, request.validation_policy
            ),
        }))
    }

    async fn update_topic_validation_policy(
        &self,
        request: Request<UpdateTopicValidationPolicyRequest>,
    ) -> Result<Response<UpdateTopicValidationPolicyResponse>, Status> {
        let request = request.into_inner();
        let validation = parse_validation(&request.validation_policy)?;
        let topic = self.known_topic(&request.topic_name)?;
        let schema = topic.schema().ok_or_else(|| {
            Status::failed_precondition(format!(
                "Topic '{}' has no schema subject configured. Use ConfigureTopicSchema first.",
                request.topic_name
            ))
        })?;
        topic.set_schema(SchemaBinding { validation, ..schema })?;
        Ok(Response::new(UpdateTopicValidationPolicyResponse {
            success: true,
            message: format!("Validation policy updated to '{}'", request.validation_policy),
        }))
    }

    async fn get_topic_schema_config(
        &self,
        request: Request<GetTopicSchemaConfigRequest>,
    ) -> Result<Response<GetTopicSchemaConfigResponse>, Status> {
        let topic = self.known_topic(&request.into_inner().topic_name)?;
        let mut response = GetTopicSchemaConfigResponse {
            validation_policy: Validation::None.name().to_owned(),
            ..Default::default()
        };
        if let Some(schema) = topic.schema() {
            response.schema_id = schema.id;
            response.validation_policy = schema.validation.name().to_owned();
            response.schema_subject = schema.subject;
        }
        Ok(Response::new(response))
    }

    async fn list_subjects(
        &self,
        _request: Request<ListSubjectsRequest>,
    ) -> Result<Response<ListSubjectsResponse>, Status> {
        let schemas = self.broker.schemas();
        let subjects = schemas.subjects().iter().map(|(name, subject)| {
            let latest = subject.latest();
            SubjectSummary {
                subject: name.clone(),
                schema_type: latest.map_or("bytes", |v| v.definition.type_name()).to_owned(),
                latest_version: latest.map_or(0, |version| version.number),
                compatibility_mode: subject.compatibility.name().to_owned(),
                schema_id: subject.id,
                tags: latest.map(|version| version.tags.clone()).unwrap_or_default(),
            }
        });
        Ok(Response::new(ListSubjectsResponse { subjects: subjects.collect() }))
    }
}

fn describe(name: &str, subject: &Subject, version: &Version) -> Result<GetSchemaResponse, Status> {
    let schema_definition = serde_json::to_vec(&version.definition)
        .map_err(|error| Status::internal(format!("Failed to serialize schema: {error}")))?;
    Ok(GetSchemaResponse {
        schema_id: subject.id,
        version: version.number,
        subject: name.to_owned(),
        schema_type: version.definition.type_name().to_owned(),
        schema_definition,
        description: version.description.clone(),
        created_at: version.created_at,
        created_by: version.created_by.clone(),
        tags: version.tags.clone(),
        fingerprint: version.fingerprint.clone(),
        compatibility_mode: subject.compatibility.name().to_owned(),
    })
}

fn parse_mode(name: &str) -> Result<Compatibility, Status> {
    Compatibility::parse(name)
        .ok_or_else(|| Status::invalid_argument(format!("Invalid compatibility mode: {name}")))
}

fn parse_validation(name: &str) -> Result<Validation, Status> {
    Validation::parse(name).ok_or_else(|| {
        Status::invalid_argument(format!(
            "Invalid validation policy: '{name}'. Must be 'none', 'warn', or 'enforce'"
        ))
    })
}
