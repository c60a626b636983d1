//! What an operator looks at: health, reflection, metrics, status, validate.

use danube_sidecar_tests::{
    Broker, Process, Sidecar, SidecarBuilder, SinkWorker, binary, eventually, open, publish, unique,
};
use tokio::process::Command;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

#[tokio::test(flavor = "multi_thread")]
async fn grpc_health_says_serving_for_both_services() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let mut health = HealthClient::new(sidecar.channel().await);
    for service in ["danube.connector.v1.SinkService", "danube.connector.v1.SourceService", ""] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let mut reflection = ServerReflectionClient::new(sidecar.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = reflection.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        panic!("no list: {answer:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"danube.connector.v1.SinkService".to_owned()), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health".to_owned()), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_broker_and_liveness_does_not() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    eventually("readiness", || async { (sidecar.page("/readyz").await.0 == 200).then_some(()) })
        .await;
    assert_eq!(sidecar.page("/livez").await, (200, "ok\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_was_resolved() {
    let broker = Broker::start().await;
    let config = "[danube]\ncreate_topics = true\n";
    let sidecar = SidecarBuilder::new(broker.url()).config(config).start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &["a".to_owned(), "b".to_owned()]).await;
    worker.write(2).await;
    sidecar.settled(&name).await;

    let (code, text) = sidecar.page("/metrics").await;
    assert_eq!(code, 200);
    let line = format!(
        "danube_connector_messages_processed_total{{connector=\"{name}\",outcome=\"acked\"}} 2"
    );
    assert!(text.contains(&line), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_says_what_a_file_means() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    let text = "danube_service_url = \"http://broker:6650\"\n[connectors.out]\n\
                subscriptions = [{ topic = \"/default/orders\" }]\n";
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(binary("danube-sidecar"));
    command.args(["validate", "--config"]).arg(&path).env_remove("DANUBE_SERVICE_URL");
    let mut process = Process::start("validate", &mut command);
    assert!(process.exit().await.success());
    process.line("configuration is valid").await;
    process.line("consumes /default/orders").await;
    process.line("dead letters: /default/dlq-out").await;
}
