//! What a source on an SDK must do besides, shown by its conformance connector.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, Capability, Position, source_service_run_request::Frame as Up,
    source_service_run_response::Frame as Down,
};
use futures::{FutureExt as _, future::BoxFuture};
use nix::sys::signal::Signal;
use tonic::Status;

use super::{
    Case, gone, no_common_version,
    source::{drained, opened},
};
use crate::{
    args::{Kind, Level},
    finding::{Verdict, broken, ensure},
    source::{Opening, SourceSession},
    trial::{ANSWER, Trial},
};

/// The connector is asked for records.
const POLL: &[(&str, &str)] = &[("CONFORMANCE_MODE", "poll")];
/// It pushes them.
const PUSH: &[(&str, &str)] = &[("CONFORMANCE_MODE", "push")];
/// It has no more than its records.
const FINITE: &[(&str, &str)] = &[("CONFORMANCE_MODE", "poll"), ("CONFORMANCE_END", "1")];
const FINITE_PUSH: &[(&str, &str)] = &[("CONFORMANCE_MODE", "push"), ("CONFORMANCE_END", "1")];
/// How long a stop may take when the sidecar commits nothing.
const PATIENCE: Duration = Duration::from_secs(20);

const fn full(
    name: &'static str,
    environment: &'static [(&'static str, &'static str)],
    promise: &'static str,
    run: for<'a> fn(&'a mut Trial) -> BoxFuture<'a, Verdict>,
) -> Case {
    Case { name, kind: Kind::Source, level: Level::Full, promise, environment, run }
}

pub(super) static CASES: &[Case] = &[
    full("source-capabilities", POLL, "probe and drain are declared, and the SDK's name", |t| {
        capabilities(t).boxed()
    }),
    full("source-refused-ends", POLL, "a permanent refusal ends the program with an error", |t| {
        refused_ends(t).boxed()
    }),
    full("source-takeover-ends", POLL, "a source that was superseded ends with an error", |t| {
        takeover_ends(t).boxed()
    }),
    full(
        "source-commits",
        POLL,
        "the connector is told what is committed, in order, and not before",
        |t| commits(t).boxed(),
    ),
    full(
        "source-push",
        PUSH,
        "records that are pushed respect demand, and their commits are told",
        |t| push(t).boxed(),
    ),
    full("source-rejected", POLL, "a rejected record is told, and the others go on", |t| {
        rejected(t).boxed()
    }),
    full("source-frame-limit", POLL, "frames stay below the sidecar's limit", |t| {
        frame_limit(t).boxed()
    }),
    full(
        "source-outbox",
        PUSH,
        "what was not committed comes again after a cut, and nothing that was",
        |t| outbox(t).boxed(),
    ),
    full(
        "source-same-place",
        POLL,
        "of records at the same place, those that were not committed come again after a cut",
        |t| same_place(t).boxed(),
    ),
    full("source-unhealthy", POLL, "the connector's own health check decides", |t| {
        unhealthy(t).boxed()
    }),
    full("source-finite", FINITE, "a source that ends has all committed first", |t| {
        finite(t).boxed()
    }),
    full("source-finite-push", FINITE_PUSH, "a source that pushes ends the same way", |t| {
        finite(t).boxed()
    }),
    full("source-stop", POLL, "on SIGTERM: `drained`, the last commits, and a good end", |t| {
        stop(t).boxed()
    }),
    full("source-stop-uncommitted", POLL, "it ends also when nothing is committed any more", |t| {
        stop_uncommitted(t).boxed()
    }),
];

fn text(session: &SourceSession, number: usize) -> String {
    String::from_utf8_lossy(&session.records[number - 1].payload).into_owned()
}

/// The records came in this order, from the one with this number of theirs.
fn count_from(session: &SourceSession, first: u64) -> Verdict {
    for (index, number) in (1..=session.records.len()).zip(first..) {
        let (came, expected) = (text(session, index), format!("record {number}"));
        let same = came == expected || came.starts_with(&format!("{expected}x"));
        ensure(same, || format!("expected \"{expected}\", and got \"{came:.40}\""))?;
    }
    Ok(())
}

async fn capabilities(trial: &mut Trial) -> Verdict {
    let session = opened(trial).await?;
    for capability in [Capability::Probe, Capability::Drain] {
        ensure(session.declares(capability), || {
            format!("{} is not declared", capability.as_str_name())
        })?;
    }
    let sdk = &session.open.sdk;
    ensure(sdk.contains('/'), || format!("`open.sdk` is \"{sdk}\": expected \"name/version\""))
}

async fn refused_ends(trial: &mut Trial) -> Verdict {
    trial.source().await?.end(no_common_version()).await;
    let status = trial.connector.exit(ANSWER).await?;
    ensure(!status.success(), || "it was refused for good, and ended with success".to_owned())
}

async fn takeover_ends(trial: &mut Trial) -> Verdict {
    let session = opened(trial).await?;
    session.end(Status::aborted("a newer session of this source has taken over")).await;
    let status = trial.connector.exit(ANSWER).await?;
    ensure(!status.success(), || "it was superseded, and ended with success".to_owned())
}

async fn commits(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(6).await?;
    session.until(6).await?;
    count_from(&session, 1)?;
    session.stays_quiet().await?;
    let early = trial.written().unwrap_or_default();
    ensure(!early.contains("committed"), || {
        format!("it took for committed what was not: {early}")
    })?;
    session.committed(2).await?;
    trial.line("committed 2").await?;
    session.committed(6).await?;
    trial.line("committed 6").await?;
    let written = trial.written().unwrap_or_default();
    let told: Vec<&str> = written.lines().filter(|line| line.starts_with("committed")).collect();
    let expected: Vec<String> = (1..=6).map(|n| format!("committed {n}")).collect();
    ensure(told == expected, || format!("expected {expected:?}, and got {told:?}"))
}

async fn push(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.stays_quiet().await?;
    session.demand(4).await?;
    session.until(4).await?;
    session.stays_quiet().await?;
    session.committed(4).await?;
    session.demand(8).await?;
    session.until(8).await?;
    count_from(&session, 1)?;
    trial.line("committed 4").await
}

async fn rejected(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(3).await?;
    session.until(3).await?;
    let (code, message) = ("TOO_LARGE".to_owned(), "it has 5 MiB".to_owned());
    session.send(Down::Rejected(v1::SourceRejected { number: 2, code, message })).await?;
    session.committed(3).await?;
    trial.line("rejected 2 TOO_LARGE").await?;
    trial.line("committed 3").await?;
    session.demand(5).await?;
    session.until(5).await
}

async fn frame_limit(trial: &mut Trial) -> Verdict {
    let mut session = trial.source().await?;
    let settings = Some(r#"{"conformance":{"size":3000,"records":200}}"#);
    session.opened(Opening { settings, frame_limit: 8 << 10, ..Opening::default() }).await?;
    session.demand(60).await?;
    session.until(60).await?;
    count_from(&session, 1)?;
    let size = session.records[0].payload.len();
    ensure(size == 3000, || format!("the settings did not reach it: its records have {size} bytes"))
}

async fn outbox(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(6).await?;
    session.until(6).await?;
    let position = session.position(4)?;
    // Committed, and the cut comes before the word of it.
    session.end(gone()).await;

    let mut session = trial.source().await?;
    session.opened(Opening { positions: &[position], epoch: 2, ..Opening::default() }).await?;
    trial.line("committed 4").await?;
    session.demand(5).await?;
    session.until(5).await?;
    count_from(&session, 5)?;
    ensure(trial.connector.ended().is_none(), || "it has ended".to_owned())
}

async fn same_place(trial: &mut Trial) -> Verdict {
    let settings = Some(r#"{"conformance":{"offset":1}}"#);
    let mut session = trial.source().await?;
    session.opened(Opening { settings, ..Opening::default() }).await?;
    session.demand(4).await?;
    session.until(4).await?;
    session.committed(2).await?;
    trial.line("committed 1").await?;
    let position = session.position(4)?;
    session.end(gone()).await;

    // It says nothing new: two records at this place are known to be committed.
    let mut session = trial.source().await?;
    let positions = &[position][..];
    session.opened(Opening { settings, positions, epoch: 2, ..Opening::default() }).await?;
    session.demand(2).await?;
    session.until(2).await?;
    count_from(&session, 3)
}

async fn unhealthy(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    // Before it is open there is nothing that could be wrong.
    trial.line("restored 0").await?;
    trial.make_sick()?;
    session.send(Down::Probe(v1::Probe { probe_id: 5 })).await?;
    match session.next("`health`", ANSWER).await? {
        Up::Health(health) => {
            let sick = health.status() == v1::health::Status::Unhealthy;
            ensure(sick && health.message.contains("told to be"), || {
                format!("it is sick and does not say so: {health:?}")
            })
        }
        other => broken(format!("expected `health`, and got {other:?}")),
    }
}

async fn finite(trial: &mut Trial) -> Verdict {
    let mut session = trial.source().await?;
    let settings = Some(r#"{"conformance":{"records":25}}"#);
    let position = Position {
        source_partition: "numbers".to_owned(),
        offset: 5,
        metadata: Some("m5".to_owned()),
    };
    session.opened(Opening { positions: &[position], settings, ..Opening::default() }).await?;
    session.demand(100).await?;
    drained(&mut session).await?;
    ensure(session.records.len() == 20, || {
        format!("{} records came of 20", session.records.len())
    })?;
    count_from(&session, 6)?;
    session.committed(20).await?;
    session.closed(ANSWER).await?;
    session.end(Status::ok("")).await;
    let status = trial.connector.exit(ANSWER).await?;
    ensure(status.success(), || format!("it ended with {status}"))?;
    trial.line("restored 5").await?;
    trial.line("committed 25").await?;
    trial.line("closed").await
}

async fn stop(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(5).await?;
    session.until(5).await?;
    trial.connector.signal(Signal::SIGTERM);
    // What it had read already may still go.
    session.demand(100).await?;
    drained(&mut session).await?;
    let sent = session.records.len() as u64;
    session.committed(sent).await?;
    session.closed(ANSWER).await?;
    session.end(Status::ok("")).await;
    let status = trial.connector.exit(ANSWER).await?;
    ensure(status.success(), || format!("it ended with {status}"))?;
    trial.line(&format!("committed {sent}")).await?;
    trial.line("closed").await
}

async fn stop_uncommitted(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(5).await?;
    session.until(5).await?;
    trial.connector.signal(Signal::SIGTERM);
    session.closed(PATIENCE).await?;
    trial.connector.exit(PATIENCE).await.map(drop)
}
