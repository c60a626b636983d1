//! What a data directory keeps. Needs the embedded broker.

mod support;

use danube_client::{SchemaType, SubType};
use danube_core::admin_proto::{
    GetSubscriptionFailurePolicyRequest, NamespaceRequest, SetSubscriptionFailurePolicyRequest,
    SubscriptionFailurePolicy, TopicRequest, namespace_admin_client::NamespaceAdminClient,
};
use danube_devbroker::{Config, DevBroker, StartError};
use support::{Fixture, send, send_all};
use tempfile::TempDir;

async fn broker(dir: &TempDir) -> Option<Fixture> {
    let data_dir = Some(dir.path().to_owned());
    Fixture::embedded(Config { data_dir, ..Config::for_tests() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_publish_and_its_subscription_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fixture) = broker(&dir).await else { return };
    let producer = fixture.producer("/default/kept").await;
    let reader = fixture.consumer("/default/kept", "reader", SubType::Exclusive).await;
    reader.close().await;
    send_all(&producer, (0..100).map(|n| n.to_string())).await;
    fixture.kill().await;

    let Some(fixture) = broker(&dir).await else { return };
    let mut reader = fixture.consumer("/default/kept", "reader", SubType::Exclusive).await;
    assert_eq!(reader.drain(100).await, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acked_does_not_come_again_after_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fixture) = broker(&dir).await else { return };
    let producer = fixture.producer("/default/acked").await;
    let mut reader = fixture.consumer("/default/acked", "reader", SubType::Exclusive).await;
    send_all(&producer, ["acked".to_owned(), "open".to_owned()]).await;
    assert_eq!(reader.next_acked().await, "acked");
    fixture.stop().await;

    let Some(fixture) = broker(&dir).await else { return };
    let mut reader = fixture.consumer("/default/acked", "reader", SubType::Exclusive).await;
    assert_eq!(reader.next_acked().await, "open");
    assert!(reader.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_go_on_after_everything_was_acked() {
    let dir = tempfile::tempdir().unwrap();
    for first in [0, 3] {
        let Some(fixture) = broker(&dir).await else { return };
        let producer = fixture.producer("/default/offsets").await;
        let mut reader = fixture.consumer("/default/offsets", "reader", SubType::Exclusive).await;
        for offset in first..first + 3 {
            send(&producer, "x").await;
            let message = reader.next().await;
            assert_eq!(message.msg_id.topic_offset, offset);
            reader.ack(&message).await;
        }
        fixture.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_schemas_and_policies_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fixture) = broker(&dir).await else { return };
    let mut namespaces =
        NamespaceAdminClient::connect(fixture.admin_url.clone().unwrap()).await.unwrap();
    namespaces.create_namespace(NamespaceRequest { name: "team".into() }).await.unwrap();
    let schemas = fixture.client.schema();
    let registration = schemas.register_schema("subject").with_type(SchemaType::String);
    let id = registration.with_schema_data(vec![]).execute().await.unwrap();
    fixture.producer("/team/topic").await;
    let policy = SubscriptionFailurePolicy { ack_timeout_ms: 1234, ..drop_policy() };
    let request = SetSubscriptionFailurePolicyRequest {
        topic: "/team/topic".into(),
        subscription: "subscription".into(),
        failure_policy: Some(policy.clone()),
    };
    let mut admin = fixture.admin().await.unwrap();
    admin.set_subscription_failure_policy(request).await.unwrap();
    fixture.kill().await;

    let Some(fixture) = broker(&dir).await else { return };
    let found = fixture.client.schema().get_latest_schema("subject").await.unwrap();
    assert_eq!(found.schema_id, id);
    let request = GetSubscriptionFailurePolicyRequest {
        topic: "/team/topic".into(),
        subscription: "subscription".into(),
    };
    let mut admin = fixture.admin().await.unwrap();
    let told = admin.get_subscription_failure_policy(request).await.unwrap().into_inner();
    assert_eq!(told.failure_policy, Some(policy));
    fixture.stop().await;
}

fn drop_policy() -> SubscriptionFailurePolicy {
    SubscriptionFailurePolicy { poison_policy: 2, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_topic_is_gone_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fixture) = broker(&dir).await else { return };
    fixture.producer("/default/gone").await;
    let request = TopicRequest { name: "/default/gone".into() };
    fixture.admin().await.unwrap().delete_topic(request).await.unwrap();
    fixture.stop().await;

    let Some(fixture) = broker(&dir).await else { return };
    let gone = fixture.try_consumer("/default/gone", "reader", SubType::Exclusive).await;
    assert!(gone.is_err());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_and_a_port_in_use_are_named_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = Some(dir.path().to_owned());
    let config = Config { data_dir, ..Config::for_tests() };
    let broker = DevBroker::start(config.clone()).await.unwrap();

    let error = DevBroker::start(config).await.unwrap_err();
    assert!(matches!(error, StartError::DataDirLocked { .. }), "{error}");
    let listen = broker.url().trim_start_matches("http://").parse().unwrap();
    let taken = Config { listen, ..Config::for_tests() };
    let error = DevBroker::start(taken).await.unwrap_err();
    assert!(matches!(error, StartError::AddressInUse { .. }), "{error}");
    assert!(error.to_string().contains("listen elsewhere"), "{error}");
    broker.shutdown().await;
}
