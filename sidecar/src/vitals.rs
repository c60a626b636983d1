//! Whether the parts of the sidecar live.
//!
//! **Architecture invariant:** a panic of a long task is seen: it is logged, counted
//! and shown, and the part is started again where that is safe. Where it is not, the
//! process says of itself that it is not alive, so that an orchestrator restarts it.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Waits before a part that panicked is started again, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Most parts that are remembered for their panics; beyond it they are only counted.
const REMEMBERED: usize = 1000;

/// What a part does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Moves the records of a sink.
    Sink,
    /// Publishes the records of a source.
    Source,
    /// Speaks with one connector.
    Session,
    /// Accepts connectors.
    Grpc,
    /// Serves health, metrics and the admin API.
    Http,
    /// Keeps what survives restarts.
    Store,
}

impl Part {
    /// As metrics and `/status` name it: a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Source => "source",
            Self::Session => "session",
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::Store => "store",
        }
    }
}

/// What is known of all parts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    parts: Arc<Mutex<BTreeMap<(Part, String), Record>>>,
    died: CancellationToken,
}

/// A part that panicked, or ended when it should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How often.
    pub panics: u64,
    /// What the last panic said.
    pub last: String,
    /// How it is now.
    pub state: State,
}

/// How a part is after a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works again, or something else has taken its place.
    Well,
    /// It is started again soon.
    Restarting,
    /// Only a restart of the process helps.
    Dead,
}

impl State {
    /// As `/status` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Restarting => "restarting",
            Self::Dead => "dead",
        }
    }
}

impl Vitals {
    /// Does something whose place another one takes when it panics: none then.
    pub async fn watch<T>(
        &self,
        part: Part,
        name: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        self.survive(part, name, State::Well, work).await
    }

    /// Does what `make` gives, and again, after a pause, for as long as that panics;
    /// not any more once it is to `stop`.
    pub async fn keep_alive<F: Future<Output = ()>>(
        &self,
        part: Part,
        name: &str,
        stop: &CancellationToken,
        mut make: impl FnMut() -> F,
    ) {
        let mut pause = FIRST_PAUSE;
        while self.survive(part, name, State::Restarting, make()).await.is_none() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            pause = (pause * 2).min(MAX_PAUSE);
            info!(part = part.as_str(), name, "starting it again");
            self.set(part, name, State::Well);
        }
    }

    /// Does what nothing can take the place of: when it panics, or ends before
    /// `over` says that it may, the process is not alive any more.
    pub async fn essential(
        &self,
        part: Part,
        name: &str,
        over: impl FnOnce() -> bool,
        work: impl Future<Output = ()>,
    ) {
        let ended = self.survive(part, name, State::Dead, work).await;
        if ended.is_some() && !over() {
            self.dead(part, name, "it ended");
        }
    }

    /// Tells that nothing but a restart of the process helps.
    pub fn dead(&self, part: Part, name: &str, why: &str) {
        error!(part = part.as_str(), name, why, "only a restart of the sidecar helps");
        self.note(part, name, why.to_owned(), State::Dead);
    }

    /// Comes back when the process is not alive any more.
    pub async fn died(&self) {
        self.died.cancelled().await;
    }

    /// Why the process is not alive, where it is not.
    pub fn death(&self) -> Option<String> {
        self.first(State::Dead)
    }

    /// What keeps the sidecar from being ready, if anything.
    pub fn trouble(&self) -> Option<String> {
        self.death().or_else(|| self.first(State::Restarting))
    }

    /// The parts that have panicked, by what they do and their names.
    pub fn view(&self) -> Vec<(Part, String, Record)> {
        let parts = self.lock();
        let known =
            parts.iter().map(|((part, name), record)| (*part, name.clone(), record.clone()));
        known.collect()
    }

    async fn survive<T>(
        &self,
        part: Part,
        name: &str,
        then: State,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(done) => Some(done),
            Err(panic) => {
                let said = message(&*panic);
                let (what, then_is) = (part.as_str(), then.as_str());
                error!(
                    part = what,
                    name,
                    panic = said,
                    then = then_is,
                    "a part panicked: a fault of the sidecar, report it"
                );
                self.note(part, name, said, then);
                None
            }
        }
    }

    fn note(&self, part: Part, name: &str, last: String, state: State) {
        let mut parts = self.lock();
        let key = (part, name.to_owned());
        if parts.len() >= REMEMBERED && !parts.contains_key(&key) && state == State::Well {
            return;
        }
        let panics = parts.get(&key).map_or(0, |known| known.panics) + 1;
        parts.insert(key, Record { panics, last, state });
        drop(parts);
        if state == State::Dead {
            self.died.cancel();
        }
    }

    fn set(&self, part: Part, name: &str, state: State) {
        if let Some(known) = self.lock().get_mut(&(part, name.to_owned())) {
            known.state = state;
        }
    }

    fn first(&self, state: State) -> Option<String> {
        let parts = self.lock();
        let found = parts.iter().find(|(_, record)| record.state == state);
        found.map(|((part, name), record)| {
            format!("{} {name} is {}: {}", part.as_str(), state.as_str(), record.last)
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Part, String), Record>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a panic said, as much as is kept of it.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    crate::bounds::cut(text.unwrap_or_else(|| "without a message".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_that_panics_is_started_again_and_shown() {
        let (vitals, begun) = (Vitals::default(), AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let running = vitals.keep_alive(Part::Sink, "orders", &stop, || {
            let run = begun.fetch_add(1, Ordering::SeqCst);
            async move { assert!(run >= 2, "run {run} is a fault") }
        });
        let watched = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(
                vitals.trouble().as_deref(),
                Some("sink orders is restarting: run 0 is a fault")
            );
            assert_eq!(vitals.death(), None);
        };

        tokio::join!(running, watched);

        let record = Record { panics: 2, last: "run 1 is a fault".to_owned(), state: State::Well };
        assert_eq!(vitals.view(), [(Part::Sink, "orders".to_owned(), record)]);
        assert_eq!(vitals.trouble(), None);
    }

    #[tokio::test]
    async fn a_part_that_nothing_replaces_is_the_end() {
        let vitals = Vitals::default();

        vitals.essential(Part::Grpc, "tcp", || false, async { panic!("a fault") }).await;

        assert_eq!(vitals.death().as_deref(), Some("grpc tcp is dead: a fault"));
        vitals.died().await;
    }

    #[tokio::test]
    async fn a_part_may_end_when_all_is_over_and_not_before() {
        let vitals = Vitals::default();
        vitals.essential(Part::Grpc, "tcp", || true, async {}).await;
        assert_eq!(vitals.death(), None);

        vitals.essential(Part::Http, "tcp", || false, async {}).await;
        assert_eq!(vitals.death().as_deref(), Some("http tcp is dead: it ended"));
    }
}
