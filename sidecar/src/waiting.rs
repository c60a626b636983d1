//! What a connector waits for: nothing stands still in silence. Each state has a cause,
//! a remedy, a place in `status`, a gauge and a line in the log ([`watch`](crate::watch)).

use std::time::Duration;

use danube_sidecar_core::dispatch::{Breaker, Stage};
use humantime::{format_duration, format_rfc3339_seconds};

use crate::{sink, source};

/// A worker that holds a record for so long without a result is shown.
const LONG_IN_HAND: Duration = Duration::from_secs(60);

/// Every state, for metrics.
pub const STATES: [State; 20] = [
    State::Unread,
    State::Paused,
    State::NoWorker,
    State::Failed,
    State::Unwell,
    State::Busy,
    State::BreakerOpen,
    State::Failing,
    State::Suspended,
    State::Suspects,
    State::DeadLetters,
    State::WorkerPaused,
    State::NoResult,
    State::WindowExhausted,
    State::BufferFull,
    State::Detached,
    State::Inbox,
    State::Subscription,
    State::Publish,
    State::Store,
];

/// Why a connector waits; the names are those of metrics and `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// An operator paused it.
    Paused,
    /// Records wait, and no worker is there.
    NoWorker,
    /// The connector gave up.
    Failed,
    /// The connector says that its external system is not well.
    Unwell,
    /// The external system takes nothing, or only so much in a time.
    Busy,
    /// Nothing succeeds.
    BreakerOpen,
    /// A record is offered again and again.
    Failing,
    /// A record waits for an operator.
    Suspended,
    /// Records may be what crashed their workers.
    Suspects,
    /// Dead letters are not confirmed.
    DeadLetters,
    /// A worker asked for nothing more.
    WorkerPaused,
    /// A worker does not say what became of its records.
    NoResult,
    /// The broker gives no more of a partition.
    WindowExhausted,
    /// There is no memory for more.
    BufferFull,
    /// The subscriptions are let go of.
    Detached,
    /// The inbox takes nothing.
    Inbox,
    /// A subscription does not run.
    Subscription,
    /// A source's records are not published.
    Publish,
    /// A source does not read what it is told.
    Unread,
    /// The store cannot be read or written.
    Store,
}

/// Something that a connector waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What kind it is.
    pub state: State,
    /// What is the matter.
    pub cause: String,
    /// What to do; empty where the cause says it.
    pub remedy: &'static str,
}

impl State {
    /// The name in `status` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::NoWorker => "no_worker",
            Self::Failed => "failed",
            Self::Unwell => "unwell",
            Self::Busy => "busy",
            Self::BreakerOpen => "breaker_open",
            Self::Failing => "failing",
            Self::Suspended => "suspended",
            Self::Suspects => "suspects",
            Self::DeadLetters => "dead_letters",
            Self::WorkerPaused => "worker_paused",
            Self::NoResult => "no_result",
            Self::WindowExhausted => "window_exhausted",
            Self::BufferFull => "buffer_full",
            Self::Detached => "detached",
            Self::Inbox => "inbox",
            Self::Subscription => "subscription",
            Self::Publish => "publish",
            Self::Unread => "unread",
            Self::Store => "store",
        }
    }

    fn because(self, cause: impl Into<String>, remedy: &'static str) -> Waiting {
        Waiting { state: self, cause: cause.into(), remedy }
    }
}

/// All that a sink waits for.
pub fn of_sink(view: &sink::View) -> Vec<Waiting> {
    let paused = view.paused.map(|since| {
        let cause = format!("an operator paused it at {}", format_rfc3339_seconds(since));
        State::Paused.because(cause, "`danube-sidecar resume` has it go on")
    });
    let mut waiting: Vec<_> = paused.into_iter().chain(of_workers(view)).collect();
    waiting.extend(of_records(view));
    waiting.extend(of_intake(view));
    waiting
}

/// All that a source waits for.
pub fn of_source(view: &source::View) -> Vec<Waiting> {
    let Some(session) = &view.session else { return Vec::new() };
    let publishing = session.publishing.as_ref().map(|cause| {
        let remedy = "it is published when the broker takes it; the source is asked for no more \
                      than its window meanwhile";
        State::Publish.because(cause, remedy)
    });
    let storing = session
        .storing
        .as_ref()
        .map(|cause| State::Store.because(cause, "positions are committed when the store is back"));
    let unwell = session.unwell.as_ref().map(|cause| State::Unwell.because(cause, MEND));
    let unread = session.unread.as_ref().map(|cause| State::Unread.because(cause, ""));
    [publishing, storing, unread, unwell].into_iter().flatten().collect()
}

const MEND: &str = "mend the external system: all goes on by itself";

fn of_workers(view: &sink::View) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    let records = view.dispatch.held.records;
    if view.workers.is_empty() && records > 0 {
        let cause = format!("{records} records wait, and no worker of the connector is there");
        waiting.push(State::NoWorker.because(cause, "start the connector"));
    }
    if let Some(message) = &view.failed {
        let remedy = "mend it and start the connector again: a new session clears it";
        waiting.push(State::Failed.because(message, remedy));
    }
    for unwell in &view.unwell {
        let cause = format!("{}: {}", unwell.worker, unwell.message);
        waiting.push(State::Unwell.because(cause, MEND));
    }
    for busy in &view.busy {
        let remedy = "it goes on by itself; a worker that ends its session hands its records on";
        waiting.push(State::Busy.because(pauses(busy), remedy));
    }
    if view.dispatch.workers_paused > 0 {
        let cause = format!("{} paused: a window of 0", view.dispatch.workers_paused);
        waiting.push(State::WorkerPaused.because(cause, "the connector resumes it"));
    }
    let late = view.longest_in_hand.as_ref().filter(|(_, held)| *held >= LONG_IN_HAND);
    if let Some((worker, held)) = late {
        let cause = format!("{worker} has had a record for {} without a result", short(*held));
        let remedy = "look at that worker; its session is ended after [processing] result_timeout, \
                      and its records are offered again";
        waiting.push(State::NoResult.because(cause, remedy));
    }
    waiting
}

fn of_records(view: &sink::View) -> Vec<Waiting> {
    let (mut waiting, dispatch) = (Vec::new(), &view.dispatch);
    if dispatch.breaker != Breaker::Closed {
        let last = view.failing.iter().find(|shown| !shown.failing.reason.is_empty());
        let words = last.map(said).unwrap_or_default();
        let cause = format!("nothing succeeds at the connector{words}");
        let remedy = "one record is tried every few seconds; all flow again when one succeeds";
        waiting.push(State::BreakerOpen.because(cause, remedy));
    }
    let of_stage =
        |are: fn(Stage) -> bool| view.failing.iter().find(|shown| are(shown.failing.stage));
    if let Some(worst) = of_stage(|stage| matches!(stage, Stage::Retry(_) | Stage::AtWorker(_))) {
        let remedy = "if it can never be written: `danube-sidecar failing dead-letter` or `failing \
                      skip`; `failing list` shows all";
        waiting.push(State::Failing.because(described(worst), remedy));
    }
    if dispatch.suspended > 0 {
        let worst = of_stage(|stage| stage == Stage::Suspended).map(described);
        let cause = format!("{} suspended: {}", dispatch.suspended, worst.unwrap_or_default());
        let remedy = "mend the cause, then `danube-sidecar failing resume --suspended`, or `failing \
                      dead-letter`, `failing skip`";
        waiting.push(State::Suspended.because(cause, remedy));
    }
    if dispatch.suspects > 0 {
        let cause = format!(
            "{} records may be what crashed their workers: they are tried one by one",
            dispatch.suspects
        );
        let remedy = "look at why workers crash; `danube-sidecar failing list` shows the records";
        waiting.push(State::Suspects.because(cause, remedy));
    }
    if dispatch.dead_letters_pending > 0 {
        let cause = format!(
            "{} dead letters wait until the broker confirms them",
            dispatch.dead_letters_pending
        );
        waiting.push(State::DeadLetters.because(cause, "is the broker well?"));
    }
    waiting
}

fn of_intake(view: &sink::View) -> Vec<Waiting> {
    let (mut waiting, intake) = (Vec::new(), &view.intake);
    for partition in &intake.window_exhausted {
        let held = view.dispatch.held_lane.as_ref().filter(|lane| lane.partition == *partition);
        let by = held.map(|lane| format!(", held by offset {}", lane.offset)).unwrap_or_default();
        let cause = format!("the broker gives no more of {partition} until some is resolved{by}");
        let remedy = "[sidecar] data_dir gives the connector an inbox that takes the rest";
        waiting.push(State::WindowExhausted.because(cause, remedy));
    }
    if intake.overflowed {
        let cause = "what waits for the connector leaves no room in [sidecar] max_buffer_bytes";
        let remedy = "more is fetched when half of it is free: add workers, or mend what is slow";
        waiting.push(State::BufferFull.because(cause, remedy));
    } else if intake.detached && intake.inbox.is_none() && view.dispatch.held.records == 0 {
        let cause = "the broker keeps the records: nobody could be offered any";
        waiting.push(State::Detached.because(cause, "it ends with the cause: see the others"));
    }
    if let Some(cause) = &intake.trouble {
        let remedy = "the broker keeps what comes; it is taken in when this ends";
        waiting.push(State::Inbox.because(cause, remedy));
    }
    for subscription in &intake.subscriptions {
        if let Some(trouble) = &subscription.trouble {
            let cause = format!("{}: {trouble}", subscription.topic);
            waiting.push(State::Subscription.because(cause, ""));
        }
    }
    waiting
}

fn pauses(busy: &sink::Busy) -> String {
    let how = match (busy.pause, busy.quota) {
        (Some(pause), _) => format!("pauses for {}", short(pause)),
        (None, Some((records, span))) => {
            let span = Duration::from_millis(span.as_millis() as u64);
            format!("is offered {records} records every {}", format_duration(span))
        }
        (None, None) => "is offered small batches after a pause".to_owned(),
    };
    let said = in_words(&busy.code, &busy.message);
    format!("{} {how}: the external system is busy{said}", busy.worker)
}

fn described(shown: &sink::Shown) -> String {
    let (failing, identity) = (&shown.failing, &shown.failing.record.identity);
    let behind = match failing.behind {
        0 => String::new(),
        behind => format!(", {behind} wait behind it"),
    };
    format!(
        "offset {} of {} fails since {}, attempt {}{}{behind}",
        identity.offset,
        identity.partition,
        format_rfc3339_seconds(shown.since),
        failing.attempt,
        said(shown),
    )
}

fn said(shown: &sink::Shown) -> String {
    in_words(&shown.failing.code, &shown.failing.reason)
}

fn in_words(code: &str, reason: &str) -> String {
    match (code, reason) {
        ("", "") => String::new(),
        ("", words) | (words, "") => format!(": {words}"),
        (code, reason) => format!(": {code}: {reason}"),
    }
}

fn short(span: Duration) -> humantime::FormattedDuration {
    format_duration(Duration::from_secs(span.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use danube_sidecar_core::dispatch::{Status, WorkerId};

    use super::*;

    fn states(view: &sink::View) -> Vec<&'static str> {
        of_sink(view).into_iter().map(|waiting| waiting.state.as_str()).collect()
    }

    #[test]
    fn every_state_has_a_name_of_its_own() {
        let names: HashSet<_> = STATES.into_iter().map(State::as_str).collect();
        assert_eq!(names.len(), STATES.len());
    }

    #[test]
    fn a_sink_at_work_waits_for_nothing() {
        let mut view = sink::View { workers: vec!["w".to_owned()], ..sink::View::default() };
        view.dispatch.held.records = 7;
        assert_eq!(states(&view), [""; 0]);
    }

    fn busy() -> sink::Busy {
        sink::Busy {
            id: WorkerId(1),
            worker: "w".to_owned(),
            pause: Some(Duration::from_secs(90)),
            quota: None,
            code: "RATE_LIMIT".to_owned(),
            message: "429".to_owned(),
        }
    }

    #[test]
    fn a_busy_worker_is_shown_with_its_pause_or_its_quota_and_what_was_said() {
        let said = ": the external system is busy: RATE_LIMIT: 429";
        assert_eq!(pauses(&busy()), format!("w pauses for 1m 30s{said}"));
        let quota = Some((2, Duration::from_millis(1500)));
        let metered = sink::Busy { pause: None, quota, ..busy() };
        let shown = format!("w is offered 2 records every 1s 500ms{said}");
        assert_eq!(pauses(&metered), shown);
    }

    #[test]
    fn every_number_that_stands_still_has_a_state() {
        let mut view = sink::View { failed: Some("no table".to_owned()), ..Default::default() };
        view.dispatch = Status {
            workers_paused: 1,
            suspended: 1,
            suspects: 1,
            dead_letters_pending: 1,
            breaker: Breaker::Open,
            ..Status::default()
        };
        view.dispatch.held.records = 1;
        view.busy = vec![busy()];
        view.longest_in_hand = Some(("w".to_owned(), LONG_IN_HAND));
        view.intake.window_exhausted = vec!["/default/in".into()];
        view.intake.overflowed = true;
        view.intake.trouble = Some("disk full".to_owned());
        view.paused = Some(std::time::UNIX_EPOCH);
        let expected = [
            "paused",
            "no_worker",
            "failed",
            "busy",
            "worker_paused",
            "no_result",
            "breaker_open",
            "suspended",
            "suspects",
            "dead_letters",
            "window_exhausted",
            "buffer_full",
            "inbox",
        ];
        assert_eq!(states(&view), expected);
    }
}
