//! What a session tells its connector: kept here until there is a frame for it, and
//! given out in the order that the protocol promises.

use std::time::Duration;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};
use tracing::warn;

use crate::refusal::Refusal;

/// Refused records that may wait for their frame.
const REJECTED: usize = 64;

/// A connector that has not read for this long is named in the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a source is told, cumulative since its session opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records that may have been sent.
    pub demand_records: u64,
    /// Bytes that may have been sent.
    pub demand_bytes: u64,
    /// Number of the last record that is safe.
    pub committed: u64,
}

/// A record that can never be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its number in the session.
    pub number: u64,
    /// A constant: why.
    pub code: &'static str,
    /// What was wrong and what was expected.
    pub message: String,
}

/// One thing to tell a connector.
#[derive(Debug)]
pub enum Told {
    /// How far the session is; told after each rejected record that it covers.
    Progress(Progress),
    /// A record that can never be published.
    Rejected(Rejected),
    /// The sidecar stops: finish, with this much time.
    Drain(Duration),
    /// The number of a question after the external system.
    Probe(u64),
    /// The sidecar ends the session; `None` is a good end. Nothing comes after it.
    End(Option<Refusal>),
}

/// What a session has to tell its connector. Dropping it ends nothing but the telling.
pub struct News {
    progress: watch::Receiver<Progress>,
    rejected: mpsc::Receiver<Rejected>,
    end: oneshot::Receiver<Option<Refusal>>,
    drain: oneshot::Receiver<Duration>,
    drained: bool,
    probe: watch::Receiver<u64>,
    /// It waits for the rejected records that it may cover.
    due: Option<Progress>,
}

/// The session's ends of its [`News`].
pub(super) struct Outlet {
    pub(super) progress: watch::Sender<Progress>,
    pub(super) rejected: Refusals,
    pub(super) end: oneshot::Sender<Option<Refusal>>,
    pub(super) drain: oneshot::Sender<Duration>,
    pub(super) probe: watch::Sender<u64>,
}

/// Takes rejected records, a few at a time: a record is settled only when its
/// rejection is here, so a connector that does not read holds up its own records
/// and nobody's memory.
#[derive(Clone)]
pub(super) struct Refusals(mpsc::Sender<Rejected>);

/// Sees whether rejected records wait for the connector to read.
pub(super) struct Unread(mpsc::WeakSender<Rejected>);

/// The two ends.
pub(super) fn news() -> (Outlet, News) {
    let (progress, progress_out) = watch::channel(Progress::default());
    let (rejected, rejected_out) = mpsc::channel(REJECTED);
    let (end, end_out) = oneshot::channel();
    let (drain, drain_out) = oneshot::channel();
    let (probe, probe_out) = watch::channel(0);
    let outlet = Outlet { progress, rejected: Refusals(rejected), end, drain, probe };
    let news = News {
        progress: progress_out,
        rejected: rejected_out,
        end: end_out,
        drain: drain_out,
        drained: false,
        probe: probe_out,
        due: None,
    };
    (outlet, news)
}

impl News {
    /// The next thing to tell. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(progress) = self.due {
                // What it covers was rejected before it was said, so it is here.
                if let Ok(rejected) = self.rejected.try_recv() {
                    return Told::Rejected(rejected);
                }
                self.due = None;
                return Told::Progress(progress);
            }
            tokio::select! {
                // What is committed is told before the end.
                biased;
                Ok(()) = self.progress.changed() => {
                    self.due = Some(*self.progress.borrow_and_update());
                }
                Some(rejected) = self.rejected.recv() => return Told::Rejected(rejected),
                asked = &mut self.drain, if !self.drained => {
                    self.drained = true;
                    if let Ok(within) = asked {
                        return Told::Drain(within);
                    }
                }
                Ok(()) = self.probe.changed() => {
                    return Told::Probe(*self.probe.borrow_and_update());
                }
                end = &mut self.end => return Told::End(end.unwrap_or(Some(Refusal::Failed))),
            }
        }
    }
}

impl Outlet {
    pub(super) fn unread(&self) -> Unread {
        Unread(self.rejected.0.downgrade())
    }
}

impl Refusals {
    /// Comes back when there was room, or when the connector is gone.
    pub(super) async fn tell(&self, connector: &str, rejected: Rejected) {
        let room = match timeout(PATIENCE, self.0.reserve()).await {
            Ok(room) => room,
            Err(_) => {
                let number = rejected.number;
                warn!(connector, number, "{}", STANDS_STILL);
                self.0.reserve().await
            }
        };
        if let Ok(room) = room {
            room.send(rejected);
        }
    }
}

const STANDS_STILL: &str = "the connector does not read that its records are rejected: nothing \
                            behind them is committed until it reads its stream";

impl Unread {
    /// What stands still for it, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        let full = self.0.upgrade()?.capacity() == 0;
        full.then(|| STANDS_STILL.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(number: u64) -> Rejected {
        Rejected { number, code: "TOO_LARGE", message: String::new() }
    }

    fn committed(outlet: &Outlet, committed: u64) {
        outlet.progress.send_replace(Progress { committed, ..Progress::default() });
    }

    #[tokio::test]
    async fn a_rejected_record_is_told_before_the_commit_that_covers_it() {
        let (outlet, mut news) = news();
        for number in 1..=3 {
            outlet.rejected.tell("files", rejected(number)).await;
        }
        committed(&outlet, 3);

        for number in 1..=3 {
            assert!(matches!(news.next().await, Told::Rejected(told) if told.number == number));
        }
        assert!(matches!(news.next().await, Told::Progress(told) if told.committed == 3));
    }

    #[tokio::test]
    async fn what_is_rejected_while_a_commit_waits_for_its_turn_is_told_first() {
        let (outlet, mut news) = news();
        outlet.rejected.tell("files", rejected(1)).await;
        committed(&outlet, 1);
        assert!(matches!(news.next().await, Told::Rejected(told) if told.number == 1));

        outlet.rejected.tell("files", rejected(2)).await;
        committed(&outlet, 2);

        assert!(matches!(news.next().await, Told::Rejected(told) if told.number == 2));
        assert!(matches!(news.next().await, Told::Progress(told) if told.committed == 1));
        assert!(matches!(news.next().await, Told::Progress(told) if told.committed == 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connector_that_does_not_read_holds_up_its_own_rejections() {
        let (outlet, mut news) = news();
        for number in 1..=REJECTED as u64 {
            outlet.rejected.tell("files", rejected(number)).await;
        }
        let unread = outlet.unread();
        assert!(unread.trouble().is_some_and(|trouble| trouble.contains("does not read")));

        let refusals = outlet.rejected.clone();
        let waiting = tokio::spawn(async move { refusals.tell("files", rejected(65)).await });
        tokio::time::sleep(PATIENCE * 2).await;
        assert!(!waiting.is_finished());

        assert!(matches!(news.next().await, Told::Rejected(told) if told.number == 1));
        waiting.await.unwrap();
        drop(news);
        outlet.rejected.tell("files", rejected(66)).await;
    }

    #[tokio::test]
    async fn what_is_committed_is_told_before_the_end() {
        let (outlet, mut news) = news();
        committed(&outlet, 1);
        outlet.end.send(None).unwrap();

        assert!(matches!(news.next().await, Told::Progress(told) if told.committed == 1));
        assert!(matches!(news.next().await, Told::End(None)));
    }
}
