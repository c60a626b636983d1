//! The schema registry, and schemas on messages.

use danube_client::{CompatibilityMode, SchemaType, SubType};

use crate::support::{Fixture, send, topic};

const FIRST: &str = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#;
const SECOND: &str =
    r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}"#;

/// A subject that no other run uses.
fn subject(what: &str) -> String {
    topic(what).replace('/', "-")
}

async fn register(fixture: &Fixture, subject: &str, schema: &str) -> u64 {
    let client = fixture.client.schema();
    let registration = client.register_schema(subject).with_type(SchemaType::JsonSchema);
    registration.with_schema_data(schema.as_bytes()).execute().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_schema_is_found_by_subject_and_by_id() {
    let fixture = Fixture::start().await;
    let subject = subject("registered");
    let id = register(&fixture, &subject, FIRST).await;

    let client = fixture.client.schema();
    for found in [
        client.get_latest_schema(&subject).await.unwrap(),
        client.get_schema_by_id(id).await.unwrap(),
    ] {
        assert_eq!((found.schema_id, found.version), (id, 1));
        assert_eq!(found.subject, subject);
        assert_eq!(found.schema_type, "json_schema");
        let definition: serde_json::Value =
            serde_json::from_slice(&found.schema_definition).unwrap();
        let raw = definition["JsonSchema"]["raw_schema"].as_str().unwrap();
        let raw: serde_json::Value = serde_json::from_str(raw).unwrap();
        assert_eq!(raw, serde_json::from_str::<serde_json::Value>(FIRST).unwrap());
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_schema_is_the_same_version_and_another_the_next() {
    let fixture = Fixture::start().await;
    let subject = subject("versions");
    let client = fixture.client.schema();
    let id = register(&fixture, &subject, FIRST).await;
    assert_eq!(register(&fixture, &subject, FIRST).await, id);
    client.set_compatibility_mode(&subject, CompatibilityMode::None).await.unwrap();
    assert_eq!(register(&fixture, &subject, SECOND).await, id);
    assert_eq!(client.list_versions(&subject).await.unwrap(), [1, 2]);
    assert_eq!(client.get_schema_version(id, Some(1)).await.unwrap().version, 1);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_or_id_that_is_not_there_is_not_found() {
    let fixture = Fixture::start().await;
    let client = fixture.client.schema();
    assert!(client.get_latest_schema(subject("nothing")).await.is_err());
    assert!(client.get_schema_by_id(u64::MAX).await.is_err());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_type_is_not_compatible() {
    let fixture = Fixture::start().await;
    let subject = subject("types");
    register(&fixture, &subject, FIRST).await;
    let client = fixture.client.schema();
    let answer = client.check_compatibility(&subject, vec![], SchemaType::String, None).await;
    assert!(!answer.unwrap().is_compatible);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_carry_the_schema_of_their_producer() {
    let fixture = Fixture::start().await;
    let (topic, subject) = (topic("schema"), subject("schema"));
    let id = register(&fixture, &subject, FIRST).await;
    let builder = fixture.client.new_producer().with_topic(&topic).with_name("producer");
    let builder = builder.with_reliable_dispatch().with_schema_subject(&subject);
    let mut producer = builder.build().unwrap();
    producer.create().await.unwrap();
    let mut reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;

    send(&producer, r#"{"a":"x"}"#).await;
    let message = reader.next().await;
    assert_eq!((message.schema_id, message.schema_version), (Some(id), Some(1)));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_keeps_the_subject_of_its_first_producer() {
    let fixture = Fixture::start().await;
    let (topic, first, second) = (topic("bound"), subject("first"), subject("second"));
    register(&fixture, &first, FIRST).await;
    register(&fixture, &second, SECOND).await;
    let create = async |name: &str, subject: &str| {
        let builder = fixture.client.new_producer().with_topic(&topic).with_name(name);
        let mut producer = builder.with_schema_subject(subject).build().unwrap();
        producer.create().await
    };
    create("one", &first).await.unwrap();
    create("two", &first).await.unwrap();
    assert!(create("three", &second).await.is_err());
    fixture.stop().await;
}
