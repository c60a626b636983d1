//! The admin API.

use danube_client::SubType;
use danube_core::{
    admin_proto::{
        DescribeTopicRequest, DispatchStrategy, NamespaceRequest, NewTopicRequest,
        PartitionedTopicRequest, SubscriptionRequest, TopicRequest,
        namespace_admin_client::NamespaceAdminClient,
    },
    proto::TopicLookupRequest,
};
use tonic::Code;

use crate::support::{Fixture, topic};

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_described_listed_and_deleted() {
    let fixture = Fixture::start().await;
    let Some(mut admin) = fixture.admin().await else { return };
    let topic = topic("admin");
    let request = NewTopicRequest {
        name: topic.clone(),
        schema_subject: None,
        dispatch_strategy: DispatchStrategy::Reliable.into(),
    };
    admin.create_topic(request.clone()).await.unwrap();
    assert_eq!(admin.create_topic(request).await.unwrap_err().code(), Code::NotFound);

    let request = DescribeTopicRequest { name: topic.clone() };
    let described = admin.describe_topic(request).await.unwrap().into_inner();
    assert_eq!((described.name, described.delivery), (topic.clone(), "Reliable".to_owned()));

    let request = NamespaceRequest { name: "default".into() };
    let listed = admin.list_namespace_topics(request).await.unwrap().into_inner();
    assert!(listed.topics.iter().any(|known| known.name == topic));

    fixture.producer(&topic).await;
    admin.delete_topic(TopicRequest { name: topic.clone() }).await.unwrap();
    let request = TopicLookupRequest { request_id: 0, topic: topic.clone() };
    let raw = fixture.raw(&topic).await;
    let left = raw.discovery().topic_partitions(request).await.unwrap().into_inner();
    assert!(left.partitions.is_empty());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partitioned_topic_is_made_and_deleted_as_a_whole() {
    let fixture = Fixture::start().await;
    let Some(mut admin) = fixture.admin().await else { return };
    let topic = topic("admin-partitions");
    let request = PartitionedTopicRequest {
        base_name: topic.clone(),
        partitions: 3,
        schema_subject: None,
        dispatch_strategy: DispatchStrategy::Reliable.into(),
    };
    admin.create_partitioned_topic(request).await.unwrap();
    let raw = fixture.raw(&topic).await;
    let request = TopicLookupRequest { request_id: 0, topic: topic.clone() };
    let mut found =
        raw.discovery().topic_partitions(request.clone()).await.unwrap().into_inner().partitions;
    found.sort();
    assert_eq!(found, [0, 1, 2].map(|number| format!("{topic}-part-{number}")));

    admin.delete_topic(TopicRequest { name: topic }).await.unwrap();
    let left = raw.discovery().topic_partitions(request).await.unwrap().into_inner();
    assert!(left.partitions.is_empty());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_listed_and_goes_when_nobody_uses_it() {
    let fixture = Fixture::start().await;
    let Some(mut admin) = fixture.admin().await else { return };
    let topic = topic("unsubscribe");
    fixture.producer(&topic).await;
    let reader = fixture.consumer(&topic, "reader", SubType::Exclusive).await;
    let list = TopicRequest { name: topic.clone() };
    let mut listed = admin.list_subscriptions(list.clone()).await.unwrap().into_inner();
    // A real broker names a subscription once per thing it keeps about it.
    listed.subscriptions.dedup();
    assert_eq!(listed.subscriptions, ["subscription"]);

    let remove = SubscriptionRequest { topic: topic.clone(), subscription: "subscription".into() };
    assert_eq!(admin.unsubscribe(remove.clone()).await.unwrap_err().code(), Code::NotFound);
    reader.close().await;
    while admin.unsubscribe(remove.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
    let listed = admin.list_subscriptions(list).await.unwrap().into_inner();
    assert!(listed.subscriptions.is_empty());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_made_used_and_deleted_when_empty() {
    let fixture = Fixture::start().await;
    let Some(mut admin) = fixture.admin().await else { return };
    let url = fixture.admin_url.clone().unwrap();
    let mut namespaces = NamespaceAdminClient::connect(url).await.unwrap();
    let name = topic("namespace").replace("/default/", "");
    let request = NamespaceRequest { name: name.clone() };
    namespaces.create_namespace(request.clone()).await.unwrap();
    let again = namespaces.create_namespace(request.clone()).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);

    let topic = format!("/{name}/topic");
    fixture.producer(&topic).await;
    let listed = namespaces.get_namespace_topics(request.clone()).await.unwrap().into_inner();
    assert_eq!(listed.topics, [topic.trim_start_matches('/')]);
    assert!(namespaces.delete_namespace(request.clone()).await.is_err());
    admin.delete_topic(TopicRequest { name: topic }).await.unwrap();
    while namespaces.delete_namespace(request.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(namespaces.get_namespace_policies(request).await.is_err());
    fixture.stop().await;
}
