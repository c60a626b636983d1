//! What every sink must do.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, Capability, sink_service_run_request::Frame as Up,
    sink_service_run_response::Frame as Down,
};
use futures::FutureExt as _;
use nix::sys::signal::Signal;
use prost::Message as _;
use tokio::time::sleep;

use super::{Case, frame_of_the_future, gone, no_common_version};
use crate::{
    args::{Kind, Level},
    finding::{Finding, Verdict, broken, ensure},
    sink::SinkSession,
    trial::{ANSWER, START, Trial},
    wire::OUTBOUND,
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
    run: for<'a> fn(&'a mut Trial) -> futures::future::BoxFuture<'a, Verdict>,
) -> Case {
    Case { name, kind: Kind::Sink, level: Level::Core, promise, environment: &[], run }
}

pub(super) static CASES: &[Case] = &[
    core("sink-handshake", "`open` comes first, once, and makes sense", |t| handshake(t).boxed()),
    core("sink-version-refused", "a refusal is no reason to dial again and again", |t| {
        version_refused(t).boxed()
    }),
    core("sink-batches", "every record of every batch is answered", |t| batches(t).boxed()),
    core("sink-answers-once", "each delivery is answered once", |t| answers_once(t).boxed()),
    core(
        "sink-acks-after-write",
        "what is acked is written, also when the connector is killed right then",
        |t| acks_after_write(t).boxed(),
    ),
    core("sink-window", "no more than the window is needed to get answers", |t| window(t).boxed()),
    core("sink-ids-of-others", "ranges begin and end at deliveries of this worker", |t| {
        ids_of_others(t).boxed()
    }),
    core("sink-duplicate", "a record that is offered again is answered again", |t| {
        duplicate(t).boxed()
    }),
    core("sink-largest-frame", "a frame of 4 MiB less 64 KiB is read", |t| {
        largest_frame(t).boxed()
    }),
    core("sink-unknown", "unknown frames and fields are ignored", |t| unknown(t).boxed()),
    core("sink-pause", "a stream on which nothing happens stays open", |t| pause(t).boxed()),
    core("sink-slow-sidecar", "a sidecar that is busy loses no answer", |t| {
        slow_sidecar(t).boxed()
    }),
    core("sink-reconnect", "after a cut it is back, and answers for the new session only", |t| {
        reconnect(t).boxed()
    }),
    core("sink-probe", "a probe is answered once (if declared)", |t| probe(t).boxed()),
    core("sink-drain", "what is in hand is answered, then comes `drained` (if declared)", |t| {
        drain(t).boxed()
    }),
    core("sink-drain-idle", "with nothing in hand, `drained` comes at once (if declared)", |t| {
        drain_idle(t).boxed()
    }),
];

/// Records with numbers from `first`, with the payload that was asked for.
fn records(trial: &Trial, session: &SinkSession, first: u64, count: usize) -> Vec<v1::SinkRecord> {
    let numbers = first..first + count as u64;
    numbers.map(|n| session.record(n, &trial.payload.replace("{n}", &n.to_string()))).collect()
}

async fn handshake(trial: &mut Trial) -> Verdict {
    let mut session = trial.sink().await?;
    let open = &session.open;
    let (least, most) = (open.min_protocol_version.max(1), open.max_protocol_version.max(1));
    ensure(!open.connector.is_empty(), || "`open.connector` is empty".to_owned())?;
    ensure(least <= most, || format!("it speaks protocol versions {least} to {most}"))?;
    ensure(!open.capabilities.contains(&0), || "a capability is UNSPECIFIED".to_owned())?;
    ensure(open.ordering != Some(0), || "`open.ordering` is UNSPECIFIED".to_owned())?;
    for subscription in &open.subscriptions {
        ensure(subscription.topic.starts_with('/'), || {
            format!("\"{}\" is no topic: expected /namespace/topic", subscription.topic)
        })?;
        ensure(subscription.r#type != Some(0), || {
            "a subscription's type is UNSPECIFIED".to_owned()
        })?;
    }
    session.opened().await?;
    session.stays_quiet().await
}

async fn version_refused(trial: &mut Trial) -> Verdict {
    trial.sink().await?.end(no_common_version()).await;
    let attempts = trial.refuse(no_common_version(), WATCHED).await.len();
    ensure(attempts <= MOST_ATTEMPTS, || {
        format!("it was refused and dialed {attempts} times more within {WATCHED:?}")
    })
}

async fn batches(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let mut first = 1;
    for count in [1, 10, 100] {
        let count = count.min(session.batch_size()).min(session.window());
        let batch = records(trial, &session, first, count);
        first += count as u64;
        session.offer(batch).await?;
        session.all_written().await?;
    }
    Ok(())
}

async fn answers_once(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    for first in [1, 11, 21] {
        let batch = records(trial, &session, first, session.batch_size().min(10));
        session.offer(batch).await?;
        session.all_answers().await?;
    }
    session.stays_quiet().await
}

async fn acks_after_write(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let batch = records(trial, &session, 1, session.batch_size().min(10));
    session.offer(batch.clone()).await?;
    session.all_written().await?;
    trial.connector.signal(Signal::SIGKILL);
    trial.connector.exit(ANSWER).await?;
    let Some(written) = trial.written() else {
        return Err(Finding::NotApplicable(
            "nothing tells what it has written: name a file with --written".to_owned(),
        ));
    };
    for record in &batch {
        let payload = String::from_utf8_lossy(&record.payload);
        let found = written.contains(&record.dedup_id) || written.contains(&*payload);
        ensure(found, || format!("record {payload} was acked and is not written"))?;
    }
    Ok(())
}

async fn window(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let (window, size) = (session.window(), session.batch_size());
    let all = records(trial, &session, 1, window);
    for batch in all.chunks(size) {
        session.offer(batch.to_vec()).await?;
    }
    session
        .all_answers()
        .await
        .map(drop)
        .or_else(|finding| broken(format!("its window of {window} records is used up: {finding}")))
}

async fn ids_of_others(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let all = records(trial, &session, 1, 4);
    for record in all {
        session.offer(vec![record]).await?;
        session.skip_ids(3);
    }
    session.all_written().await
}

async fn duplicate(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let mut batch = records(trial, &session, 1, 3);
    session.offer(batch.clone()).await?;
    session.all_written().await?;
    batch.iter_mut().for_each(|record| record.attempt = 2);
    session.offer(batch).await?;
    session.all_written().await
}

async fn largest_frame(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let limit = match session.open.max_frame_bytes {
        0 => OUTBOUND,
        bytes => (bytes as usize).min(OUTBOUND),
    };
    let payload = trial.payload.replace("{n}", "1");
    let mut record = session.record(1, &payload);
    record.attributes.insert("filler".to_owned(), "x".repeat(limit - 1000));
    let room = limit - frame(&record).encoded_len();
    record.attributes.insert("filler".to_owned(), "x".repeat(limit - 1000 + room));
    session.offer(vec![record]).await?;
    session.all_answers().await.map(drop)
}

fn frame(record: &v1::SinkRecord) -> v1::SinkServiceRunResponse {
    let batch = v1::SinkBatch { records: vec![record.clone()], epoch: 1 };
    v1::SinkServiceRunResponse { frame: Some(Down::Batch(batch)) }
}

async fn unknown(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    session.send_raw(frame_of_the_future()).await?;
    let batch = records(trial, &session, 1, 1);
    session.offer(batch).await?;
    session.all_written().await?;
    // `opened` again would be an error: what is not known stands beside what is.
    let probe = v1::SinkServiceRunResponse { frame: Some(Down::Probe(v1::Probe { probe_id: 9 })) };
    let mut known = probe.encode_to_vec();
    known.extend(frame_of_the_future());
    if session.declares(Capability::Probe) {
        session.send_raw(known).await?;
        session.next("`health`", HEALTH).await?;
    }
    session.stays_quiet().await
}

async fn pause(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    sleep(BUSY).await;
    session.stays_quiet().await?;
    let batch = records(trial, &session, 1, 1);
    session.offer(batch).await?;
    session.all_written().await
}

async fn slow_sidecar(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let window = session.window().min(1000);
    let all = records(trial, &session, 1, window);
    for batch in all.chunks(session.batch_size().min(10)) {
        session.offer(batch.to_vec()).await?;
    }
    sleep(BUSY).await;
    session.all_written().await
}

async fn reconnect(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let batch = records(trial, &session, 1, session.batch_size().min(10));
    session.offer(batch).await?;
    session.end(gone()).await;

    let mut session = trial.sink().await?;
    session.skip_ids(1_000_000);
    session.opened_in(2).await?;
    let mut batch = records(trial, &session, 1, session.batch_size().min(10));
    batch.iter_mut().for_each(|record| record.attempt = 2);
    session.offer(batch).await?;
    session.all_written().await?;
    session.stays_quiet().await
}

async fn probe(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    declared(&session, Capability::Probe)?;
    for probe_id in [7, 8] {
        session.send(Down::Probe(v1::Probe { probe_id })).await?;
        match session.next("`health`", HEALTH).await? {
            Up::Health(health) if health.probe_id == probe_id => {
                let status = health.status();
                ensure(status == v1::health::Status::Healthy, || {
                    format!("it is not well: {health:?}")
                })?;
            }
            other => return broken(format!("expected the health for probe {probe_id}: {other:?}")),
        }
    }
    session.stays_quiet().await
}

async fn drain(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    declared(&session, Capability::Drain)?;
    let batch = records(trial, &session, 1, session.batch_size().min(100));
    session.offer(batch).await?;
    let timeout = prost_types::Duration { seconds: 10, nanos: 0 };
    session.send(Down::Drain(v1::Drain { timeout: Some(timeout) })).await?;
    drained(&mut session).await?;
    ensure(session.is_settled(), || {
        "it sent `drained` before it had answered everything".to_owned()
    })
}

async fn drain_idle(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    declared(&session, Capability::Drain)?;
    session.send(Down::Drain(v1::Drain { timeout: None })).await?;
    drained(&mut session).await?;
    // The sidecar ends the stream: until then nothing more may come, but an end.
    session.end(gone()).await;
    trial.sink().await.map(drop).or_else(|_| {
        broken(format!("after the drained sidecar had gone it did not dial again within {START:?}"))
    })
}

pub(super) async fn drained(session: &mut SinkSession) -> Verdict {
    match session.next("`drained`", ANSWER).await? {
        Up::Drained(_) => Ok(()),
        other => broken(format!("expected `drained`, and got {other:?}")),
    }
}

pub(super) fn declared(session: &SinkSession, capability: Capability) -> Verdict {
    match session.declares(capability) {
        true => Ok(()),
        false => {
            Err(Finding::NotApplicable(format!("{} is not declared", capability.as_str_name())))
        }
    }
}
