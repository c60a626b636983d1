//! SIGTERM: what is in hand is finished, then the sidecar exits with 0.

use danube_connector_proto::v1::{
    Capability, Drained, SinkOpen, sink_service_run_request::Frame,
    sink_service_run_response::Frame as In,
};
use danube_sidecar_tests::{Broker, SidecarBuilder, SinkWorker, open, publish, unique};
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;

const CONFIG: &str = "[danube]\ncreate_topics = true\n[sidecar]\nshutdown_timeout = \"5s\"\n";

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("record {n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_asked_to_finish_and_nothing_comes_again() {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let start = || SidecarBuilder::new(broker.url()).config(CONFIG).data_dir(data.path()).start();
    let mut sidecar = start().await;
    let capabilities = vec![Capability::Drain.into()];
    let (mut worker, _) =
        SinkWorker::open(&sidecar, SinkOpen { capabilities, ..open(&name, &topic) }).await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &payloads(5)).await;
    let records = worker.take(5).await;

    sidecar.process().signal(Signal::SIGTERM);
    let asked = worker.next().await;
    assert!(matches!(asked, Ok(Some(In::Drain(_)))), "{asked:?}");
    worker.ack(&records).await;
    worker.send(Frame::Drained(Drained {})).await;
    assert!(sidecar.process().exit().await.success());

    let sidecar = start().await;
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &["after".to_owned()]).await;
    assert_eq!(worker.write(1).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_never_answers_does_not_hold_the_exit() {
    let broker = Broker::start().await;
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let mut sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let (mut worker, _) = SinkWorker::open(&sidecar, open(&name, &topic)).await;
    sidecar.attached(&name).await;
    publish(broker.url(), &topic, &payloads(1)).await;
    worker.take(1).await;

    let asked = std::time::Instant::now();
    assert!(sidecar.terminate().await.success());
    assert!(asked.elapsed().as_secs_f32() < 6.0, "{:?}", asked.elapsed());
    let status = worker.refusal().await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_never_closes_does_not_hold_the_exit() {
    let broker = Broker::start().await;
    let mut sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let address = sidecar.address().trim_start_matches("http://").to_owned();
    let mut silent = TcpStream::connect(address).await.unwrap();
    // HTTP/2's first words and empty settings, and nothing more for ever.
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // The sidecar's own settings: it is served.
    silent.read_exact(&mut [0; 9]).await.unwrap();

    let asked = std::time::Instant::now();
    assert!(sidecar.terminate().await.success());
    assert!(asked.elapsed().as_secs_f32() < 6.0, "{:?}", asked.elapsed());
}

/// Writes until the sidecar ends the session, as a connector does that finishes what
/// it holds when it is asked to.
async fn write_until_drained(worker: &mut SinkWorker, effects: &mut Vec<String>) {
    loop {
        match worker.next().await {
            Ok(Some(In::Batch(batch))) => {
                effects.extend(
                    batch.records.iter().map(|r| String::from_utf8_lossy(&r.payload).into()),
                );
                worker.ack(&batch.records).await;
            }
            Ok(Some(In::Drain(_))) => worker.send(Frame::Drained(Drained {})).await,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

/// SIGTERM while records flow, with the data directory or without an inbox.
async fn nothing_comes_twice_after_a_drain_under_load(inbox: bool) {
    let broker = Broker::start().await;
    let data = tempfile::tempdir().unwrap();
    let (topic, name) = (unique("/default/in"), unique("sink"));
    let config = format!(
        "{CONFIG}[inbox]\nenabled = {inbox}\n[connectors.{name}]\n\
         subscriptions = [{{ topic = \"{topic}\", subscription = \"sub\" }}]\n"
    );
    let start = || SidecarBuilder::new(broker.url()).config(&config).data_dir(data.path()).start();
    let mut sidecar = start().await;
    let open = || SinkOpen { capabilities: vec![Capability::Drain.into()], ..open(&name, &topic) };
    let (mut worker, _) = SinkWorker::open(&sidecar, open()).await;
    sidecar.attached(&name).await;
    let mut effects: Vec<String> = Vec::new();
    let expected = payloads(2000);

    let publishing = publish(broker.url(), &topic, &expected);
    let draining = async {
        effects.extend(worker.write(300).await);
        sidecar.process().signal(Signal::SIGTERM);
        write_until_drained(&mut worker, &mut effects).await;
        assert!(sidecar.process().exit().await.success());
        sidecar = start().await;
        worker = SinkWorker::open(&sidecar, open()).await.0;
        while effects.len() < expected.len() {
            effects.extend(worker.write(1).await);
        }
    };
    tokio::join!(publishing, draining);

    assert_eq!(effects, expected);
    sidecar.settled(&name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_load_delivers_nothing_twice_in_pass_through() {
    nothing_comes_twice_after_a_drain_under_load(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_load_delivers_nothing_twice_with_an_inbox() {
    nothing_comes_twice_after_a_drain_under_load(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_sidecar_exits_at_once() {
    let broker = Broker::start().await;
    let mut sidecar = SidecarBuilder::new(broker.url()).config(CONFIG).start().await;
    let asked = std::time::Instant::now();
    assert!(sidecar.terminate().await.success());
    assert!(asked.elapsed().as_secs_f32() < 4.0, "{:?}", asked.elapsed());
}
