//! Misuse of the protocol: each gets its status, with reason and remedy.

use danube_connector_proto::v1::{
    Capability, DeliveryRange, Fault, Health, SinkOpen, SinkResults, Subscription,
    SubscriptionType, sink_service_run_request::Frame,
};
use danube_sidecar_tests::{Broker, Sidecar, SidecarBuilder, SinkWorker, open, unique};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

async fn refused(config: &str, frames: Vec<Frame>) -> Status {
    let broker = Broker::start().await;
    let sidecar = SidecarBuilder::new(broker.url()).config(config).start().await;
    let mut worker = SinkWorker::dial(&sidecar).await;
    for frame in frames {
        worker.send(frame).await;
    }
    worker.refusal().await
}

fn hello() -> SinkOpen {
    open(&unique("sink"), &unique("/default/in"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_frame_must_be_open() {
    let status = refused("", vec![Frame::Results(SinkResults::default())]).await;
    assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "FIRST_FRAME_NOT_OPEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn open_must_not_come_twice() {
    let status = refused("", vec![Frame::Open(hello()), Frame::Open(hello())]).await;
    assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "OPENED_TWICE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_never_issued_is_an_error() {
    let acked = vec![DeliveryRange { first: 7, last: 7 }];
    let results = SinkResults { acked, failures: vec![] };
    let status = refused("", vec![Frame::Open(hello()), Frame::Results(results)]).await;
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::InvalidArgument, "DELIVERY_ID_NEVER_ISSUED")
    );
    assert!(status.message().contains('7'), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zero_enum_is_an_error_never_success() {
    let capabilities = vec![Capability::Unspecified.into()];
    let opens = [SinkOpen { capabilities, ..hello() }, SinkOpen { ordering: Some(0), ..hello() }];
    for open in opens {
        let status = refused("", vec![Frame::Open(open)]).await;
        assert_eq!((status.code(), &*reason(&status)), (Code::InvalidArgument, "INVALID_FIELD"));
    }
    let health = Health { probe_id: 1, ..Health::default() };
    let status = refused("", vec![Frame::Open(hello()), Frame::Health(health)]).await;
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_capabilities_are_ignored() {
    let broker = Broker::start().await;
    let sidecar = Sidecar::start(broker.url()).await;
    let open = SinkOpen { capabilities: vec![99], ..hello() };
    let (_, opened) = SinkWorker::open(&sidecar, open).await;
    assert_eq!(opened.protocol_version, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_without_overlap_name_the_supported_range() {
    let open = SinkOpen { min_protocol_version: 2, max_protocol_version: 3, ..hello() };
    let status = refused("", vec![Frame::Open(open)]).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    let info = status.get_details_error_info().unwrap();
    assert_eq!((&*info.reason, &*info.metadata["supported_max"]), ("NO_COMMON_VERSION", "1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_refused_where_the_file_names_all_connectors() {
    let status =
        refused("[sidecar]\nallow_unconfigured = false\n", vec![Frame::Open(hello())]).await;
    assert_eq!((status.code(), &*reason(&status)), (Code::PermissionDenied, "UNKNOWN_CONNECTOR"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_outside_the_policy_is_refused() {
    let status =
        refused("[policy]\nallowed_topics = [\"/shop/*\"]\n", vec![Frame::Open(hello())]).await;
    assert_eq!((status.code(), &*reason(&status)), (Code::PermissionDenied, "TOPIC_FORBIDDEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn key_shared_is_refused_unless_the_operator_allows_losses() {
    let subscription = Subscription {
        topic: unique("/default/in"),
        r#type: Some(SubscriptionType::KeyShared.into()),
        ..Subscription::default()
    };
    let open = SinkOpen { subscriptions: vec![subscription], ..hello() };
    let status = refused("", vec![Frame::Open(open)]).await;
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::FailedPrecondition, "SUBSCRIPTION_REFUSED")
    );
}

/// The refusal of a Shared subscription where several sidecars run.
async fn shared_by_several(config: &str) -> Status {
    let subscription = Subscription {
        topic: unique("/default/in"),
        r#type: Some(SubscriptionType::Shared.into()),
        ..Subscription::default()
    };
    let open = SinkOpen { subscriptions: vec![subscription], ..hello() };
    let config = format!("[sidecar]\nreplica = 0\nreplicas = 2\n{config}");
    refused(&config, vec![Frame::Open(open)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sidecars_share_a_subscription_only_where_that_is_allowed_and_with_an_inbox() {
    let refusals = [("", "allow_shared = true"), ("[policy]\nallow_shared = true\n", "data_dir")];
    for (config, remedy) in refusals {
        let status = shared_by_several(config).await;
        assert_eq!(
            (status.code(), &*reason(&status)),
            (Code::FailedPrecondition, "SUBSCRIPTION_REFUSED")
        );
        assert!(status.message().contains(remedy), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_above_the_limit_names_the_limit() {
    let fault = Fault { code: String::new(), message: "x".repeat(5 << 20) };
    let status = refused("", vec![Frame::Open(hello()), Frame::Fault(fault)]).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata["limit_bytes"], (4 << 20).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_above_its_limit_names_the_limit() {
    for length in [65 << 10, 5 << 20] {
        let sdk = "x".repeat(length);
        let status = refused("", vec![Frame::Open(SinkOpen { sdk, ..hello() })]).await;
        assert_eq!(status.code(), Code::ResourceExhausted);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["limit_bytes"], (64 << 10).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_where_one_is_set() {
    let broker = Broker::start().await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret\n").unwrap();
    let config = format!("[sidecar]\ntoken_file = \"{}\"\n", token.display());
    let sidecar = SidecarBuilder::new(broker.url()).config(&config).start().await;
    let mut client = danube_connector_proto::v1::sink_service_client::SinkServiceClient::new(
        sidecar.channel().await,
    );

    let none = client.run(tokio_stream::empty()).await.unwrap_err();
    let mut wrong = tonic::Request::new(tokio_stream::empty());
    wrong.metadata_mut().insert("authorization", "Bearer guess".parse().unwrap());
    let wrong = client.run(wrong).await.unwrap_err();
    let mut right = tonic::Request::new(tokio_stream::empty());
    right.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());

    assert_eq!((none.code(), wrong.code()), (Code::Unauthenticated, Code::Unauthenticated));
    assert!(none.message().contains("missing") && wrong.message().contains("wrong"));
    assert!(client.run(right).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_session_does_not_disturb_another() {
    let broker = Broker::start().await;
    let sidecar =
        SidecarBuilder::new(broker.url()).config("[danube]\ncreate_topics = true\n").start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let (mut good, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    let (mut bad, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    bad.send(Frame::Open(hello())).await;
    assert_eq!(bad.refusal().await.code(), Code::InvalidArgument);

    danube_sidecar_tests::publish(broker.url(), &topic, &["still here".to_owned()]).await;
    assert_eq!(good.write(1).await, ["still here"]);
}
