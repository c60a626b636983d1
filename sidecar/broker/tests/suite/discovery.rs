//! Topics, their partitions, schemas and the admin API.

use std::{sync::Arc, time::Duration};

use danube_client::{DanubeClient, SchemaType};
use danube_devbroker::Config;
use danube_sidecar_broker::{
    Cluster, ClusterConfig, ClusterError, ProducerSpec, PublishTrouble, Replica, SubscriptionEvent,
    SubscriptionSpec, Trouble,
};
use danube_sidecar_store::Store;
use futures::StreamExt;

use crate::support::*;

#[tokio::test]
async fn a_topic_that_is_only_the_prefix_of_another_is_missing() {
    let broker = Broker::any_with(odd(|oddities| oddities.prefix_lookup = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &format!("{topic}ers").into(), 0).await;
    let mut reader = Reader::new(&cluster, subscription(&topic), &store);

    let missing = reader.subscription.next().await.unwrap();
    let attaches = reader
        .count_during(Duration::from_secs(1), |event| {
            matches!(event, SubscriptionEvent::Attached { .. })
        })
        .await;

    assert_eq!(missing, SubscriptionEvent::Trouble(Trouble::TopicMissing { topic }));
    assert_eq!(attaches, 0);
}

#[tokio::test]
async fn a_dead_letter_topic_is_not_mistaken_for_a_partition() {
    let broker = Broker::any_with(odd(|oddities| oddities.prefix_lookup = true)).await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 2).await;
    let dead_letters: Arc<str> = format!("{topic}-dlq").into();
    create_topic(&cluster, &dead_letters, 0).await;

    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 2).await;

    reader.drained().await;
    reader.drained().await;
    let dlq = SubscriptionEvent::Attached { partition: dead_letters };
    assert!(!reader.passed(|event| *event == dlq));
}

#[tokio::test]
async fn several_sidecars_take_a_partition_each_and_one_that_comes_later_its_own() {
    let broker = Broker::any_with(Config::for_tests()).await;
    let topic = unique_topic();
    create_topic(&broker.cluster(), &topic, 5).await;
    let mut found = Vec::new();
    for ordinal in 0..2 {
        let cluster = broker.cluster_with(|config| config.replica = Replica::new(ordinal, 2));
        let store = Store::in_memory().unwrap();
        let mut reader = Reader::new(&cluster, subscription(&topic), &store);
        let mut own = Vec::new();
        while own.len() < 3 - ordinal as usize {
            if let SubscriptionEvent::Attached { partition } =
                reader.subscription.next().await.unwrap()
            {
                own.push(partition.rsplit_once('-').unwrap().1.parse::<u32>().unwrap());
            }
        }
        own.sort_unstable();
        found.push(own);
    }
    assert_eq!(found, [vec![0, 2, 4], vec![1, 3]]);
}

#[tokio::test]
async fn new_partitions_are_found() {
    let broker = Broker::any().await;
    let cluster =
        broker.cluster_with(|config| config.discovery_interval = Duration::from_millis(200));
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 1).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;

    create_topic(&cluster, &topic, 2).await;

    let second = SubscriptionEvent::Attached { partition: format!("{topic}-part-1").into() };
    reader.wait_for(|event| *event == second).await;
}

#[tokio::test]
async fn one_partition_can_be_subscribed_by_its_name() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 2).await;
    let partition: Arc<str> = format!("{topic}-part-1").into();
    let mut reader = Reader::attached(&cluster, subscription(&partition), &store, 1).await;

    publish_numbers(&*cluster.publisher(producer(&topic, 2)), 0..2).await;

    assert_eq!(payload(&reader.record().await), "1");
}

#[tokio::test]
async fn a_missing_topic_is_created_when_asked_for() {
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    let spec = SubscriptionSpec { create_topic: true, ..subscription(&topic) };

    let mut reader = Reader::attached(&cluster, spec, &store, 1).await;

    publish(&*cluster.publisher(producer(&topic, 0)), message("first")).await;
    assert_eq!(payload(&reader.record().await), "first");
}

#[tokio::test]
async fn with_the_admin_api_a_generous_failure_policy_is_set_before_the_first_subscribe() {
    let broker = Broker::any().await;
    let Some(admin_url) = broker.admin_url() else {
        return needs_the_admin_api();
    };
    let cluster = broker.cluster_with(|config| config.admin_url = Some(admin_url.clone()));
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    let spec = SubscriptionSpec { create_topic: true, ..subscription(&topic) };

    let _reader = Reader::attached(&cluster, spec, &store, 1).await;

    let policy = failure_policy(&admin_url, &topic, "sub").await;
    assert_eq!((policy.max_redelivery_count, policy.ack_timeout_ms), (1_000_000, 30_000));
}

#[tokio::test]
async fn a_schema_rides_on_the_messages_and_is_read_as_its_author_wrote_it() {
    const DEFINITION: &str = r#"{"type":"object"}"#;
    let broker = Broker::any().await;
    let (cluster, store, topic) = (broker.cluster(), Store::in_memory().unwrap(), unique_topic());
    let subject = format!("subject-{}", topic.trim_start_matches("/default/"));
    let client = DanubeClient::builder().service_url(&broker.url).build().await.unwrap();
    let registry = client.schema();
    let registration = registry
        .register_schema(&subject)
        .with_type(SchemaType::JsonSchema)
        .with_schema_data(DEFINITION);
    registration.execute().await.unwrap();
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let spec = ProducerSpec { schema_subject: Some(subject.clone()), ..producer(&topic, 0) };

    publish(&*cluster.publisher(spec), message("{}")).await;

    let reference = reader.record().await.schema.expect("the message names its schema");
    let schema = cluster.schema(reference).await.unwrap();
    assert_eq!((schema.subject, schema.schema_type), (subject, "json_schema".to_owned()));
    assert_eq!(schema.definition, DEFINITION);
}

#[tokio::test]
async fn a_topic_whose_name_is_taken_is_named_and_published_to_once_it_is_free() {
    let broker = Broker::any_with(odd(|oddities| oddities.prefix_lookup = true)).await;
    let Some(admin_url) = broker.admin_url() else {
        return needs_the_admin_api();
    };
    let (cluster, topic) = (broker.cluster(), unique_topic());
    let longer: Arc<str> = format!("{topic}ers").into();
    create_topic(&cluster, &longer, 0).await;
    let publisher = cluster.publisher(producer(&topic, 0));
    let publishing = {
        let publisher = Arc::clone(&publisher);
        tokio::spawn(async move { publish(&*publisher, message("first")).await })
    };

    let trouble = trouble_of(&*publisher).await;
    assert!(matches!(trouble, PublishTrouble::NameTaken { .. }), "{trouble}");
    assert!(trouble.to_string().contains("another name"), "{trouble}");

    delete_topic(&admin_url, &longer).await;
    publishing.await.unwrap();
    assert_eq!(publisher.trouble(), None);
}

#[tokio::test]
async fn a_wrong_url_is_named_with_an_example() {
    for url in ["127.0.0.1:6650", "danube", "", "ftp://broker:6650"] {
        let config = ClusterConfig { service_url: url.to_owned(), ..Default::default() };
        let message = Cluster::new(config).unwrap_err().to_string();
        assert!(message.contains(&format!("{url:?}")), "{message}");
        assert!(message.contains("http://127.0.0.1:6650"), "{message}");
    }
}

#[tokio::test]
async fn a_token_does_not_travel_in_the_clear() {
    let token = tempfile::NamedTempFile::new().unwrap();
    let config = ClusterConfig { token_file: Some(token.path().to_owned()), ..Default::default() };
    assert!(matches!(Cluster::new(config), Err(ClusterError::TokenInTheClear { .. })));
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told_with_url_and_reason() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cluster = cluster_at(&format!("http://{unused}"), |_| {});
    let mut health = cluster.health();
    let down = tokio::time::timeout(
        PATIENCE,
        health
            .wait_for(|health| matches!(health, danube_sidecar_broker::BrokerHealth::Down { .. })),
    );
    let message = format!("{:?}", *down.await.unwrap().unwrap());
    assert!(message.contains(&unused.to_string()), "{message}");
    assert!(message.contains("refused"), "{message}");
}

/// A server on hyper or tonic serves 200 streams of a connection at a time.
#[tokio::test]
async fn more_partitions_than_a_connection_has_streams_are_attached() {
    const PARTITIONS: u32 = 230;
    let broker = Broker::embedded(Config::for_tests()).await;
    // A call that waits for a free stream is not saved by its timeout.
    let cluster = broker.cluster_with(|config| config.rpc_timeout = Duration::from_secs(600));
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, PARTITIONS).await;

    let mut reader =
        Reader::attached(&cluster, subscription(&topic), &store, PARTITIONS as usize).await;

    // None had to wait until another one let go of its stream.
    let let_go = |event: &SubscriptionEvent| matches!(event, SubscriptionEvent::Detached { .. });
    assert!(!reader.passed(let_go));
    publish_numbers(&*cluster.publisher(producer(&topic, PARTITIONS)), 0..230).await;
    for _ in 0..PARTITIONS {
        let record = reader.record().await;
        reader.ack(&record);
    }
}
