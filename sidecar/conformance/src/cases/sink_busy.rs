//! What a sink does while the external system takes nothing.

use std::time::Duration;

use danube_connector_proto::v1::{Outcome, SinkRecord};

use super::sink_full::{TOLD_TO, failed};
use crate::{
    finding::{Verdict, broken, ensure},
    sink::{Answer, SinkSession},
    trial::Trial,
};

/// Long enough that what is sent at once comes within it, on a slow machine too.
const PAUSE: Duration = Duration::from_millis(2700);

/// The first record is told to be busy; what follows it is handed back without a call
/// until the pause is over, and then all of it is written, in order.
pub(super) async fn busy(trial: &mut Trial) -> Verdict {
    let mut session = trial.opened_sink().await?;
    let told = format!("busy {}", PAUSE.as_millis());
    let first = session.offer(vec![record(&session, 1, &told, 1)]).await?;
    let behind = vec![record(&session, 2, "two", 1), record(&session, 3, "three", 1)];
    let behind = session.offer(behind).await?;
    let answers = session.all_answers().await?;

    let after = failed(answers.get(&first[0]), Outcome::Busy, TOLD_TO)?.retry_after;
    let after = after.and_then(|after| Duration::try_from(after).ok());
    ensure(after == Some(PAUSE), || format!("`retry_after` is {after:?}; expected {PAUSE:?}"))?;
    for id in behind {
        let failure = failed(answers.get(&id), Outcome::Busy, TOLD_TO)?;
        let left = failure.retry_after.and_then(|left| Duration::try_from(left).ok());
        let fits = left.is_some_and(|left| !left.is_zero() && left <= PAUSE);
        ensure(fits, || format!("`retry_after` is not what is left of {PAUSE:?}: {failure:?}"))?;
    }
    nothing_written(trial)?;

    tokio::time::sleep(PAUSE).await;
    let again = ["one", "two", "three"];
    let again = (1..).zip(again).map(|(number, text)| record(&session, number, text, 2)).collect();
    let again = session.offer(again).await?;
    let answers = session.all_answers().await?;
    let failed = again.iter().find(|id| answers.get(id) != Some(&Answer::Acked));
    ensure(failed.is_none(), || format!("the pause is over, and it still fails: {failed:?}"))
}

fn record(session: &SinkSession, number: u64, payload: &str, attempt: u32) -> SinkRecord {
    let key = Some("k".to_owned());
    SinkRecord { key, attempt, ..session.record(number, payload) }
}

fn nothing_written(trial: &Trial) -> Verdict {
    let journal = trial.written().unwrap_or_default();
    match journal.lines().find(|line| line.starts_with("written")) {
        Some(line) => broken(format!("it wrote while the external system was busy: {line}")),
        None => Ok(()),
    }
}
