//! What connectors and operators say has a bound, and so has what they are told.

use danube_connector_proto::v1::{
    Capability, Position, SinkOpen, SourceRecord, SourceRecords, Subscription,
    sink_service_run_request::Frame as SinkFrame, source_service_run_request::Frame,
    source_service_run_response::Frame as In,
};
use danube_sidecar_store::{Position as Stored, Store};
use danube_sidecar_tests::{
    Broker, Sidecar, SidecarBuilder, SinkWorker, SourceSession, open, unique,
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    (status.code(), info.map(|info| info.reason).unwrap_or_default())
}

/// A source gets what it needs from the store.
async fn the_store_goes_on(sidecar: &Sidecar) {
    let (name, topic) = (unique("probe"), unique("/default/probe"));
    let (mut source, _) = SourceSession::open(sidecar, &name, &topic).await;
    source.records(1, &["x".to_owned()]).await;
    source.committed(1).await;
}

async fn refused_sink(sidecar: &Sidecar, subscription: Subscription) -> Status {
    let mut worker = SinkWorker::dial(sidecar).await;
    let open = SinkOpen { subscriptions: vec![subscription], ..open(&unique("sink"), "") };
    worker.send(SinkFrame::Open(open)).await;
    worker.refusal().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_beyond_its_bound_is_refused_and_the_store_goes_on() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let sidecar = SidecarBuilder::new(broker.url()).data_dir(data.path()).start().await;
    let topic = || unique("/default/in");

    let long =
        Subscription { topic: topic(), subscription: "s".repeat(5_000), ..Default::default() };
    let status = refused_sink(&sidecar, long).await;
    assert_eq!(reason(&status), (Code::InvalidArgument, "FIELD_TOO_LONG".to_owned()));
    let text = status.message();
    assert!(text.contains("open.subscriptions.subscription") && text.contains("256"), "{text}");
    let long =
        Subscription { topic: format!("/default/{}", "t".repeat(5_000)), ..Default::default() };
    assert_eq!(refused_sink(&sidecar, long).await.code(), Code::InvalidArgument);
    the_store_goes_on(&sidecar).await;

    let (mut source, _) = SourceSession::open(&sidecar, &unique("source"), &topic()).await;
    let position = Position { source_partition: "p".repeat(70_000), offset: 1, metadata: None };
    let record = SourceRecord { position: Some(position), ..SourceRecord::default() };
    source.send(Frame::Records(SourceRecords { first_number: 1, records: vec![record] })).await;
    let status = loop {
        match source.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ends without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&status), (Code::InvalidArgument, "FIELD_TOO_LONG".to_owned()));
    the_store_goes_on(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_refuses_names_that_are_none_and_the_store_goes_on() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let sidecar = SidecarBuilder::new(broker.url()).data_dir(data.path()).start().await;
    let long = "a".repeat(5_000);
    let client = reqwest::Client::new();
    let url = |path: String| format!("{}{path}", sidecar.http_address());

    for path in [
        format!("/admin/v1/checkpoints/{long}"),
        format!("/admin/v1/dead-letters?connector={long}"),
        format!("/admin/v1/dead-letters/1?connector={long}"),
    ] {
        let (status, text) = sidecar.page(&path).await;
        assert_eq!(status, 400, "{text}");
    }
    let longer = "a".repeat(60_000);
    let (status, text) = sidecar.page(&format!("/admin/v1/checkpoints/{longer}")).await;
    assert_eq!(status, 431, "{text}");
    for position in [
        json!({ "source_partition": long, "offset": 1 }),
        json!({ "source_partition": "p", "offset": 1, "metadata": "m".repeat(70_000) }),
    ] {
        let body = json!({ "positions": [position] }).to_string();
        let put = client.put(url("/admin/v1/checkpoints/foo".to_owned()));
        let put = put.header("content-type", "application/json").body(body);
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 400, "{}", answer.text().await.unwrap());
    }
    the_store_goes_on(&sidecar).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_need_several_frames_come_in_pages_or_are_refused() {
    const COUNT: u64 = 50_000;
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let (name, topic) = (unique("source"), unique("/default/out"));
    let position =
        |offset: u64| Stored { source_partition: format!("{offset:0100}"), offset, metadata: None };
    let positions: Vec<_> = (0..COUNT).map(position).collect();
    let store = Store::open(data.path()).unwrap();
    store.replace_positions(&format!("source/{name}"), &positions).await.unwrap();
    drop(store);
    let sidecar = SidecarBuilder::new(broker.url()).data_dir(data.path()).start().await;

    let Err(refused) = SourceSession::try_open(&sidecar, &name, &topic, &[]).await else {
        panic!("what no frame holds was sent");
    };
    assert_eq!(reason(&refused), (Code::FailedPrecondition, "POSITIONS_TOO_LARGE".to_owned()));
    assert!(refused.message().contains("50000 positions"), "{}", refused.message());

    let pages = [Capability::PositionPages];
    let (mut source, opened) = SourceSession::open_with(&sidecar, &name, &topic, &pages).await;
    let (mut came, mut more) = (opened.positions, opened.more_positions);
    assert!(more);
    while more {
        match source.next().await {
            Ok(Some(In::Positions(page))) => {
                came.extend(page.positions);
                more = page.more;
            }
            other => panic!("expected positions, got {other:?}"),
        }
    }
    let offsets: Vec<u64> = came.iter().map(|position| position.offset).collect();
    assert_eq!(offsets, (0..COUNT).collect::<Vec<_>>());
    source.records(1, &["x".to_owned()]).await;
    source.committed(1).await;
}
