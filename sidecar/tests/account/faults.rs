//! What is dropped half way, and which calls of a store fail: by chance, and counted.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use danube_sidecar_store::{Call, Faults, Moment, StoreError};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;
use tonic::async_trait;

/// How likely it is that a call fails, in good times and in bad ones.
pub const SELDOM: f64 = 0.02;
pub const OFTEN: f64 = 0.4;

/// How often each was played, over all schedules of this run.
static PLAYED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

fn tally() -> MutexGuard<'static, BTreeMap<String, u64>> {
    PLAYED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One more of that.
pub fn played(what: String) {
    *tally().entry(what).or_default() += 1;
}

/// Tells what was played whose name begins so, and that nothing `wanted` is missing.
pub fn summarise(prefix: &str, wanted: &[String]) {
    let tally = tally();
    let all = tally.iter().filter(|(what, _)| what.starts_with(prefix));
    for (what, times) in all {
        println!("{what}: {times}");
    }
    let missing: Vec<_> = wanted.iter().filter(|what| !tally.contains_key(*what)).collect();
    assert!(missing.is_empty(), "never played: {missing:?}");
}

/// Polls a future so often, and drops it when it would be polled once more: at its next
/// step, whatever that is. None where it was dropped.
pub async fn for_polls<F: Future>(what: &str, polls: u32, future: F) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| {
        if left == 0 {
            played(dropped(what, polls));
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// How a future that was dropped is counted.
pub fn dropped(what: &str, polls: u32) -> String {
    format!("{what} dropped after {polls} polls")
}

/// How a call that failed is counted.
pub fn failed(prefix: &str, call: Call, moment: Moment) -> String {
    format!("{prefix} store {call:?} failed {moment:?}")
}

/// A store's faults: each call may take some time, and fail on either side. The store has
/// one clone of it, and who decides another.
#[derive(Clone)]
pub struct Chance {
    prefix: &'static str,
    random: Arc<Mutex<StdRng>>,
    rate: Arc<Mutex<f64>>,
}

impl Chance {
    pub fn new(prefix: &'static str, seed: u64) -> Self {
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        Self { prefix, random, rate: Arc::new(Mutex::new(SELDOM)) }
    }

    fn random(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How likely it is from now on that a call fails.
    pub fn set_rate(&self, rate: f64) {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = rate;
    }

    fn fails(&self) -> bool {
        let rate = *self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        self.random().random_bool(rate)
    }
}

#[async_trait]
impl Faults for Chance {
    async fn meet(&self, call: Call, moment: Moment) -> Result<(), StoreError> {
        let time = Duration::from_micros(self.random().random_range(0..1000));
        if self.random().random_bool(0.3) {
            sleep(time).await;
        }
        if !self.fails() {
            return Ok(());
        }
        played(failed(self.prefix, call, moment));
        Err(StoreError::Gone { path: "/disk".into() })
    }
}
