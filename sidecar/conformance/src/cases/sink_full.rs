//! What a sink on an SDK must do besides, shown by its conformance connector.

use std::time::Duration;

use danube_connector_proto::v1::{
    self, Capability, Outcome, sink_service_run_request::Frame as Up,
    sink_service_run_response::Frame as Down,
};
use futures::{FutureExt as _, future::BoxFuture};
use nix::sys::signal::Signal;
use tonic::Status;

use super::{Case, gone, no_common_version, sink::drained, sink_busy};
use crate::{
    args::{Kind, Level},
    finding::{Verdict, broken, ensure},
    sink::{Answer, SinkSession},
    trial::{ANSWER, Trial},
};

/// One record at a time.
const SINGLE: &[(&str, &str)] = &[("CONFORMANCE_MODE", "single")];
/// Whole batches.
const BATCH: &[(&str, &str)] = &[("CONFORMANCE_MODE", "batch")];
/// How soon a probe is answered while the connector writes.
const AT_ONCE: Duration = Duration::from_secs(2);
/// How long a sidecar is away, and how often it may be dialed meanwhile.
const AWAY: Duration = Duration::from_secs(3);
const FEWEST_ATTEMPTS: usize = 3;
const MOST_ATTEMPTS: usize = 25;
/// How often the stream is cut while records are written.
const CUTS: u64 = 4;
/// A code that conformance connectors give.
pub(super) const TOLD_TO: &str = "TOLD_TO";

const fn full(
    name: &'static str,
    environment: &'static [(&'static str, &'static str)],
    promise: &'static str,
    run: for<'a> fn(&'a mut Trial) -> BoxFuture<'a, Verdict>,
) -> Case {
    Case { name, kind: Kind::Sink, level: Level::Full, promise, environment, run }
}

pub(super) static CASES: &[Case] = &[
    full(
        "sink-capabilities",
        BATCH,
        "probe, drain and schema are declared, and the SDK's name",
        |t| capabilities(t).boxed(),
    ),
    full("sink-refused-ends", BATCH, "a permanent refusal ends the program with an error", |t| {
        refused_ends(t).boxed()
    }),
    full(
        "sink-backoff",
        BATCH,
        "a sidecar that is away is dialed again with growing pauses, and found",
        |t| backoff(t).boxed(),
    ),
    full("sink-settings", BATCH, "the settings of `opened` reach the connector", |t| {
        settings(t).boxed()
    }),
    full("sink-outcomes", BATCH, "each record of a batch has its own outcome", |t| {
        outcomes(t).boxed()
    }),
    full(
        "sink-outcomes-single",
        SINGLE,
        "one at a time: outcomes, and an exception is a retry of its record",
        |t| outcomes_single(t).boxed(),
    ),
    full(
        "sink-exception",
        BATCH,
        "an exception of the batch function is a retry of all its records",
        |t| exception(t).boxed(),
    ),
    full("sink-held-lane", SINGLE, "what follows a retried record of its key waits", |t| {
        held_lane(t).boxed()
    }),
    full("sink-busy", BATCH, "while the external system is busy nothing is written", |t| {
        sink_busy::busy(t).boxed()
    }),
    full("sink-busy-single", SINGLE, "one at a time: the same", |t| sink_busy::busy(t).boxed()),
    full("sink-fatal", BATCH, "a fatal error is told in `fault` and ends the program", |t| {
        fatal(t).boxed()
    }),
    full("sink-schema", BATCH, "a record's schema reaches the connector", |t| schema(t).boxed()),
    full(
        "sink-probe-while-writing",
        SINGLE,
        "a probe is answered at once while a record is written",
        |t| probe_while_writing(t).boxed(),
    ),
    full("sink-unhealthy", BATCH, "the connector's own health check decides", |t| {
        unhealthy(t).boxed()
    }),
    full(
        "sink-drain-deadline",
        SINGLE,
        "what a drain's deadline cut off is not answered in the next session",
        |t| drain_deadline(t).boxed(),
    ),
    full(
        "sink-stop",
        SINGLE,
        "on SIGTERM what is in hand is answered, then `drained`, and the program ends well",
        |t| stop(t).boxed(),
    ),
    full("sink-cut", BATCH, "what is written when the stream is cut is what came first", |t| {
        cut(t).boxed()
    }),
    full("sink-cut-single", SINGLE, "one at a time: the same", |t| cut(t).boxed()),
    full("sink-epoch", BATCH, "a session of a later epoch goes on as the first did", |t| {
        epoch(t).boxed()
    }),
];

async fn offer(session: &mut SinkSession, payloads: &[&str]) -> Verdict<Vec<u64>> {
    let numbered = (1..).zip(payloads);
    let records = numbered.map(|(number, payload)| session.record(number, payload)).collect();
    session.offer(records).await
}

pub(super) fn failed(
    answer: Option<&Answer>,
    outcome: Outcome,
    code: &str,
) -> Verdict<v1::SinkFailure> {
    match answer {
        Some(Answer::Failed(failure)) if failure.outcome() == outcome && failure.code == code => {
            Ok(failure.clone())
        }
        other => broken(format!(
            "expected {} with code {code}, and got {other:?}",
            outcome.as_str_name()
        )),
    }
}

async fn capabilities(trial: &mut Trial) -> Verdict {
    let session = trial.opened_sink().await?;
    for capability in [Capability::Probe, Capability::Drain, Capability::Schema] {
        ensure(session.declares(capability), || {
            format!("{} is not declared", capability.as_str_name())
        })?;
    }
    let sdk = &session.open.sdk;
    ensure(sdk.contains('/'), || format!("`open.sdk` is \"{sdk}\": expected \"name/version\""))
}

async fn refused_ends(trial: &mut Trial) -> Verdict {
    trial.sink().await?.end(no_common_version()).await;
    let status = trial.connector.exit(ANSWER).await?;
    ensure(!status.success(), || "it was refused for good, and ended with success".to_owned())?;
    let said = trial.connector.log();
    ensure(said.contains("NO_COMMON_VERSION") || said.contains("version 7"), || {
        "it does not say why it was refused".to_owned()
    })
}

async fn backoff(trial: &mut Trial) -> Verdict {
    trial.sink().await?.end(gone()).await;
    let attempts = trial.refuse(gone(), AWAY).await.len();
    ensure((FEWEST_ATTEMPTS..=MOST_ATTEMPTS).contains(&attempts), || {
        format!(
            "it dialed {attempts} times within {AWAY:?}; expected {FEWEST_ATTEMPTS} to {MOST_ATTEMPTS}"
        )
    })?;
    ensure(trial.connector.ended().is_none(), || "it has ended".to_owned())?;
    let mut session = trial.opened_sink().await?;
    offer(&mut session, &["back"]).await?;
    session.all_written().await
}

async fn settings(trial: &mut Trial) -> Verdict {
    let mut session = trial.sink().await?;
    session.opened_with(r#"{"conformance":{"word":"apple"}}"#, 1).await?;
    offer(&mut session, &["one"]).await?;
    session.all_written().await?;
    trial.line("opened apple").await
}

async fn outcomes(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let ids = offer(&mut session, &["one", "reject", "filter", "retry", "retry-after 700", "two"])
        .await?;
    let answers = session.all_answers().await?;
    let at = |index: usize| answers.get(&ids[index]);
    ensure(at(0) == Some(&Answer::Acked) && at(5) == Some(&Answer::Acked), || {
        format!("what was written is not acked: {:?}, {:?}", at(0), at(5))
    })?;
    let rejected = failed(at(1), Outcome::Reject, TOLD_TO)?;
    ensure(rejected.message.contains("told to reject"), || {
        format!("its message is lost: {rejected:?}")
    })?;
    failed(at(2), Outcome::Filtered, TOLD_TO)?;
    let retried = failed(at(3), Outcome::Retry, TOLD_TO)?;
    ensure(retried.retry_after.is_none(), || format!("nobody asked for a pause: {retried:?}"))?;
    let later = failed(at(4), Outcome::Retry, TOLD_TO)?.retry_after.unwrap_or_default();
    ensure(later == prost_types::Duration { seconds: 0, nanos: 700_000_000 }, || {
        format!("`retry_after` is {later:?}; expected 700 ms")
    })
}

async fn outcomes_single(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let ids = offer(&mut session, &["one", "error", "reject", "two"]).await?;
    let answers = session.all_answers().await?;
    let at = |index: usize| answers.get(&ids[index]);
    ensure(at(0) == Some(&Answer::Acked) && at(3) == Some(&Answer::Acked), || {
        format!("the neighbours of what failed are not acked: {:?}, {:?}", at(0), at(3))
    })?;
    let thrown = failed(at(1), Outcome::Retry, "EXCEPTION")?;
    ensure(thrown.message.contains("told to throw"), || {
        format!("the exception's text is lost: {thrown:?}")
    })?;
    failed(at(2), Outcome::Reject, TOLD_TO).map(drop)
}

async fn exception(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let ids = offer(&mut session, &["one", "error", "two"]).await?;
    let answers = session.all_answers().await?;
    for id in ids {
        failed(answers.get(&id), Outcome::Retry, "EXCEPTION")?;
    }
    Ok(())
}

async fn held_lane(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let keyed = |session: &SinkSession, number, payload: &str, key: &str, attempt| v1::SinkRecord {
        key: Some(key.to_owned()),
        attempt,
        ..session.record(number, payload)
    };
    let batch = vec![
        keyed(&session, 1, "retry", "a", 1),
        keyed(&session, 2, "second", "a", 1),
        keyed(&session, 3, "other", "b", 1),
    ];
    let ids = session.offer(batch).await?;
    let answers = session.all_answers().await?;
    failed(answers.get(&ids[0]), Outcome::Retry, TOLD_TO)?;
    failed(answers.get(&ids[1]), Outcome::Retry, "HELD")?;
    ensure(answers.get(&ids[2]) == Some(&Answer::Acked), || "another key had to wait".to_owned())?;

    let again = vec![keyed(&session, 1, "retry", "a", 2), keyed(&session, 2, "second", "a", 2)];
    let ids = session.offer(again).await?;
    let answers = session.all_answers().await?;
    for id in ids {
        ensure(answers.get(&id) == Some(&Answer::Acked), || {
            format!("what was offered again is not written: {:?}", answers.get(&id))
        })?;
    }
    Ok(())
}

async fn fatal(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    offer(&mut session, &["fatal"]).await?;
    match session.next("`fault`", ANSWER).await? {
        Up::Fault(fault) => {
            ensure(fault.code == TOLD_TO, || format!("its code is lost: {fault:?}"))?
        }
        other => return broken(format!("expected `fault`, and got {other:?}")),
    }
    drop(session);
    let status = trial.connector.exit(ANSWER).await?;
    ensure(!status.success(), || "it cannot go on, and ended with success".to_owned())
}

async fn schema(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let reference = v1::SchemaRef { schema_id: 4, version: 2 };
    session
        .send(Down::Schema(v1::Schema {
            r#ref: Some(reference),
            subject: "orders".to_owned(),
            r#type: "json_schema".to_owned(),
            definition: b"{}".to_vec().into(),
        }))
        .await?;
    let record = v1::SinkRecord { schema: Some(reference), ..session.record(1, "one") };
    let dedup_id = record.dedup_id.clone();
    session.offer(vec![record]).await?;
    session.all_written().await?;
    trial.line(&format!("written {dedup_id} 1 orders")).await
}

async fn probe_while_writing(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    offer(&mut session, &["slow 4000"]).await?;
    session.send(Down::Probe(v1::Probe { probe_id: 5 })).await?;
    match session.next("`health`", AT_ONCE).await? {
        Up::Health(health) if health.probe_id == 5 => session.all_written().await,
        other => broken(format!("expected the health for probe 5: {other:?}")),
    }
}

async fn unhealthy(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    // Before it is open there is nothing that could be wrong.
    trial.line("opened -").await?;
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

async fn drain_deadline(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    offer(&mut session, &["slow 1500"]).await?;
    let timeout = prost_types::Duration { seconds: 0, nanos: 200_000_000 };
    session.send(Down::Drain(v1::Drain { timeout: Some(timeout) })).await?;
    // The record takes longer than the drain may: only its end can come.
    session.stays_quiet().await?;
    session.end(gone()).await;

    let mut session = trial.sink().await?;
    session.skip_ids(1_000_000);
    session.opened_in(2).await?;
    offer(&mut session, &["one"]).await?;
    session.all_written().await?;
    session.stays_quiet().await
}

async fn stop(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    offer(&mut session, &["one", "slow 500", "two"]).await?;
    trial.line(&format!("written {} 1 -", session.record(1, "").dedup_id)).await?;
    trial.connector.signal(Signal::SIGTERM);
    drained(&mut session).await?;
    ensure(session.is_settled(), || "it left without answering what it had in hand".to_owned())?;
    session.closed(ANSWER).await?;
    session.end(Status::ok("")).await;
    let status = trial.connector.exit(ANSWER).await?;
    ensure(status.success(), || format!("it ended with {status}"))?;
    trial.line("closed").await
}

/// Cuts the stream while records are written, some times: what is written of them is
/// always what came first. Anything else would overtake what comes again.
async fn cut(trial: &mut Trial) -> Verdict {
    let mut cut: Vec<v1::SinkRecord> = Vec::new();
    for round in 1..=CUTS + 1 {
        let mut session = trial.sink().await?;
        session.skip_ids(round * 1_000_000);
        session.opened_in(round).await?;
        let size = session.batch_size().min(100);
        let numbers = (1..=3 * size as u64).map(|number| round * 1000 + number);
        let records: Vec<_> =
            numbers.map(|number| session.record(number, &format!("cut {number}"))).collect();
        for batch in records.chunks(size) {
            session.offer(batch.to_vec()).await?;
        }
        trial.line(&format!("written {} 1 -", records[0].dedup_id)).await?;
        // Nothing of the session before is written any more.
        let written = trial.written().unwrap_or_default();
        let mut missing = cut.iter().skip_while(|record| written.contains(&record.dedup_id));
        ensure(missing.all(|record| !written.contains(&record.dedup_id)), || {
            "a record was written whose forerunners were not, and come again".to_owned()
        })?;
        session.end(gone()).await;
        cut = records;
    }
    Ok(())
}

async fn epoch(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    offer(&mut session, &["one"]).await?;
    session.all_written().await?;
    session.end(gone()).await;
    let mut session = trial.sink().await?;
    session.opened_in(8).await?;
    offer(&mut session, &["two"]).await?;
    session.all_written().await?;
    ensure(trial.connector.ended().is_none(), || "it has ended".to_owned())
}
