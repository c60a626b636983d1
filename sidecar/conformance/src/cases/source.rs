//! What every source must do. It needs a few dozen records to give whenever it starts
//! anew, the same ones in the same order each time.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, Capability, source_service_run_request::Frame as Up,
    source_service_run_response::Frame as Down,
};
use futures::{FutureExt as _, future::BoxFuture};
use nix::sys::signal::Signal;
use tokio::time::sleep;

use super::{Case, frame_of_the_future, gone, no_common_version};
use crate::{
    args::{Kind, Level},
    finding::{Finding, Verdict, broken, ensure},
    source::{Opening, SourceSession},
    trial::{ANSWER, Trial},
};

/// How long a sidecar may read nothing: it is busy.
const BUSY: Duration = Duration::from_secs(2);
/// How soon the external system's health must be told.
const HEALTH: Duration = Duration::from_secs(5);
/// How long a refused connector is watched, and how often it may dial again meanwhile.
const WATCHED: Duration = Duration::from_secs(2);
const MOST_ATTEMPTS: usize = 20;

const fn core(
    name: &'static str,
    promise: &'static str,
    run: for<'a> fn(&'a mut Trial) -> BoxFuture<'a, Verdict>,
) -> Case {
    Case { name, kind: Kind::Source, level: Level::Core, promise, environment: &[], run }
}

pub(super) static CASES: &[Case] = &[
    core("source-handshake", "`open` comes first, once, and makes sense", |t| handshake(t).boxed()),
    core("source-version-refused", "a refusal is no reason to dial again and again", |t| {
        version_refused(t).boxed()
    }),
    core("source-demand", "nothing comes without demand, and no more than it allows", |t| {
        demand(t).boxed()
    }),
    core("source-demand-bytes", "the record that reaches the byte count is the last", |t| {
        demand_bytes(t).boxed()
    }),
    core(
        "source-numbers",
        "records are numbered by one, without holes, over demand that comes bit by bit",
        |t| numbers(t).boxed(),
    ),
    core("source-resume", "after a kill it goes on behind the committed position", |t| {
        resume(t).boxed()
    }),
    core("source-reconnect", "after a cut it is back, and numbers from one", |t| {
        reconnect(t).boxed()
    }),
    core("source-unknown", "unknown frames and fields are ignored", |t| unknown(t).boxed()),
    core("source-slow-sidecar", "a sidecar that is busy loses no record", |t| {
        slow_sidecar(t).boxed()
    }),
    core("source-takeover", "a source that was superseded does not fight", |t| takeover(t).boxed()),
    core("source-probe", "a probe is answered once (if declared)", |t| probe(t).boxed()),
    core("source-drain", "after `drain` come no records, but `drained` (if declared)", |t| {
        drain(t).boxed()
    }),
];

pub(super) async fn opened(trial: &mut Trial) -> Verdict<SourceSession> {
    let mut session = trial.source().await?;
    session.opened(Opening::default()).await?;
    Ok(session)
}

async fn handshake(trial: &mut Trial) -> Verdict {
    let mut session = trial.source().await?;
    let open = &session.open;
    let (least, most) = (open.min_protocol_version.max(1), open.max_protocol_version.max(1));
    ensure(!open.connector.is_empty(), || "`open.connector` is empty".to_owned())?;
    ensure(least <= most, || format!("it speaks protocol versions {least} to {most}"))?;
    ensure(!open.capabilities.contains(&0), || "a capability is UNSPECIFIED".to_owned())?;
    for producer in &open.producers {
        ensure(producer.topic.starts_with('/'), || {
            format!("\"{}\" is no topic: expected /namespace/topic", producer.topic)
        })?;
    }
    session.opened(Opening::default()).await?;
    session.stays_quiet().await
}

async fn version_refused(trial: &mut Trial) -> Verdict {
    trial.source().await?.end(no_common_version()).await;
    let attempts = trial.refuse(no_common_version(), WATCHED).await.len();
    ensure(attempts <= MOST_ATTEMPTS, || {
        format!("it was refused and dialed {attempts} times more within {WATCHED:?}")
    })
}

async fn demand(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.stays_quiet().await?;
    session.demand(7).await?;
    session.until(7).await?;
    session.stays_quiet().await
}

async fn demand_bytes(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand_of(1000, 1).await?;
    session.until(1).await?;
    session.stays_quiet().await
}

async fn numbers(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    for records in 1..=12 {
        session.demand(records).await?;
        session.until(records as usize).await?;
        session.committed(records).await?;
    }
    Ok(())
}

async fn resume(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(12).await?;
    session.until(12).await?;
    session.committed(5).await?;
    let position = session.position(5)?;
    let next = session.records[5].payload.clone();
    trial.connector.signal(Signal::SIGKILL);
    trial.connector.exit(ANSWER).await?;
    drop(session);

    let mut session = trial.source().await?;
    let positions = [position.clone()];
    session.opened(Opening { positions: &positions, epoch: 2, ..Opening::default() }).await?;
    session.demand(1).await?;
    session.until(1).await?;
    let first = &session.records[0].payload;
    ensure(*first == next, || {
        format!(
            "it was to go on behind offset {} of \"{}\", with {:?}; it came with {:?}",
            position.offset,
            position.source_partition,
            String::from_utf8_lossy(&next),
            String::from_utf8_lossy(first),
        )
    })
}

async fn reconnect(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(5).await?;
    session.until(5).await?;
    session.committed(3).await?;
    let position = session.position(3)?;
    session.end(gone()).await;

    let mut session = trial.source().await?;
    session.opened(Opening { positions: &[position], epoch: 2, ..Opening::default() }).await?;
    session.stays_quiet().await?;
    session.demand(4).await?;
    session.until(4).await
}

async fn unknown(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.send_raw(frame_of_the_future()).await?;
    session.demand(3).await?;
    session.until(3).await
}

async fn slow_sidecar(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(20).await?;
    sleep(BUSY).await;
    session.until(20).await
}

async fn takeover(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    session.demand(3).await?;
    session.until(3).await?;
    let superseded =
        || tonic::Status::aborted("a newer session of this source, epoch 2, has taken over");
    session.end(superseded()).await;
    let attempts = trial.refuse(superseded(), WATCHED).await.len();
    ensure(attempts <= MOST_ATTEMPTS, || {
        format!("it was superseded and dialed {attempts} times more within {WATCHED:?}")
    })
}

async fn probe(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    declared(&session, Capability::Probe)?;
    session.send(Down::Probe(v1::Probe { probe_id: 7 })).await?;
    match session.next("`health`", HEALTH).await? {
        Up::Health(health) if health.probe_id == 7 => {}
        other => return broken(format!("expected the health for probe 7: {other:?}")),
    }
    session.stays_quiet().await
}

async fn drain(trial: &mut Trial) -> Verdict {
    let mut session = opened(trial).await?;
    declared(&session, Capability::Drain)?;
    session.demand(5).await?;
    session.until(5).await?;
    session.send(Down::Drain(v1::Drain { timeout: None })).await?;
    drained(&mut session).await?;
    session.demand(10).await?;
    session.committed(5).await?;
    session.end(gone()).await;
    trial.source().await.map(drop)
}

pub(super) async fn drained(session: &mut SourceSession) -> Verdict {
    match session.next("`drained`", ANSWER).await? {
        Up::Drained(_) => Ok(()),
        other => broken(format!("expected `drained`, and got {other:?}")),
    }
}

fn declared(session: &SourceSession, capability: Capability) -> Verdict {
    match session.declares(capability) {
        true => Ok(()),
        false => {
            Err(Finding::NotApplicable(format!("{} is not declared", capability.as_str_name())))
        }
    }
}
