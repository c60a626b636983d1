//! Reaching the sidecar.

use std::{io, sync::Arc};

use danube_connector_sdk::{ConnectorError, SinkRuntime};
use tokio::sync::watch;
use tonic::{Code, Status};
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    connectors::{Journal, SingleSink, config, run_sink},
    sidecar::{ScriptedSidecar, record, within},
};

#[tokio::test]
async fn a_sink_works_over_a_unix_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sidecar = ScriptedSidecar::on_unix(directory.path()).await;
    let _running = run_sink(SingleSink::new(&Journal::new()), &sidecar.address).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, None, "a")]).await;

    assert_eq!(session.outcomes(1).await.0, [1]);
}

#[tokio::test]
async fn a_connector_may_start_before_its_sidecar() {
    let directory = tempfile::tempdir().expect("a directory");
    let journal = Journal::new();
    let address = ScriptedSidecar::unix_address(directory.path());
    let _running = run_sink(SingleSink::new(&journal), &address).await;
    journal.until("consumer_configs").await;
    let mut sidecar = ScriptedSidecar::on_unix(directory.path()).await;
    let mut session = sidecar.sink().await;
    session.opened().await;
    session.batch(vec![record(1, None, "a")]).await;

    assert_eq!(session.outcomes(1).await.0, [1]);
}

#[tokio::test]
async fn permanent_statuses_end_the_run_with_the_sidecars_words() {
    for code in [
        Code::InvalidArgument,
        Code::FailedPrecondition,
        Code::PermissionDenied,
        Code::Unauthenticated,
    ] {
        let mut sidecar = ScriptedSidecar::on_tcp().await;
        let running = run_sink(SingleSink::new(&Journal::new()), &sidecar.address).await;
        sidecar.sink().await.fail(Status::new(code, "because of this")).await;
        let error = running.end().await.expect_err("refused");

        assert!(error.is_fatal(), "{code:?}");
        assert!(error.to_string().contains("because of this"), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_with_the_expected_form() {
    let runtime = SinkRuntime::new(SingleSink::new(&Journal::new()), config()).await;
    let refused = runtime.expect("a configuration").with_sidecar_address("localhost:6670");

    assert!(matches!(
        refused,
        Err(ConnectorError::Configuration(message)) if message.contains("http://HOST:PORT")
    ));
}

#[tokio::test]
async fn the_log_names_a_sidecar_that_is_not_there_and_the_remedy() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = SinkRuntime::new(SingleSink::new(&Journal::new()), config()).await;
    let runtime = runtime.expect("a configuration").with_sidecar_address("unix:///nowhere/s.sock");
    let mut runtime = runtime.expect("an address");
    let stop = runtime.stop_handle();
    let mut lines = log.0.subscribe();
    let complaint = async {
        within(lines.wait_for(|log| log.contains("no sidecar answers"))).await.expect("a log");
        stop.stop();
    };
    let (ended, ()) = tokio::join!(runtime.run(), complaint);

    ended.expect("a clean end");
    let log = log.0.borrow().clone();
    assert!(log.contains("unix:///nowhere/s.sock"), "{log}");
    assert!(log.contains("DANUBE_SIDECAR_ADDRESS"), "{log}");
    assert_eq!(log.matches("no sidecar answers").count(), 1, "{log}");
}

/// A log that can be waited for.
#[derive(Clone)]
struct Log(Arc<watch::Sender<String>>);

impl Default for Log {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(String::new())))
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_modify(|log| log.push_str(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
