//! A sink of records in few words.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_core::{
    dispatch::{
        Admission, Breaker, DeadLetter, Dispatch, Event, Limits, Offer, OnExhausted, Ordering,
        RetryPolicy, Settings, WorkerId, WorkerSettings,
    },
    outcome::{DeliveryId, Failure, Outcome, Resolution, Results},
    record::{Identity, Record},
};

pub(crate) const TOPIC: &str = "/default/orders";
pub(crate) const PARTITION: &str = "/default/orders-part-0";

pub(crate) fn settings() -> Settings {
    Settings {
        ordering: Ordering::Key,
        retry: RetryPolicy {
            max_retries: 3,
            initial_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            max_age: Duration::from_secs(24 * 3600),
            max_age_alone: Duration::from_secs(600),
        },
        on_exhausted: OnExhausted::DeadLetter,
        dead_letters: true,
        result_timeout: Some(Duration::from_secs(600)),
        max_record_bytes: 1 << 20,
        remember: 1000,
    }
}

pub(crate) fn worker() -> WorkerSettings {
    WorkerSettings {
        window: Limits { records: 1000, bytes: 16 << 20 },
        batch: Limits { records: 1000, bytes: 1 << 20 },
        linger: Duration::ZERO,
        probe: false,
    }
}

/// The same under a name that no variable hides.
pub(crate) fn worker_settings() -> WorkerSettings {
    worker()
}

/// Each record in a batch of its own.
pub(crate) fn singly() -> WorkerSettings {
    WorkerSettings { batch: Limits { records: 1, bytes: 1 << 20 }, ..worker() }
}

pub(crate) fn window(records: usize) -> WorkerSettings {
    WorkerSettings { window: Limits { records, bytes: 16 << 20 }, ..worker() }
}

pub(crate) fn record(offset: u64, key: Option<&str>) -> Record {
    record_of(PARTITION, offset, key, 10)
}

pub(crate) fn record_of(partition: &str, offset: u64, key: Option<&str>, payload: usize) -> Record {
    Record {
        identity: Identity {
            partition: partition.into(),
            offset,
            producer: "shop".into(),
            request_id: offset,
            publish_time_ms: 1_700_000_000_000,
        },
        topic: TOPIC.into(),
        subscription: "sink".into(),
        key: key.map(Into::into),
        payload: vec![b'x'; payload].into(),
        attributes: Default::default(),
        schema: None,
    }
}

/// Longer than any backoff of [`settings`].
pub(crate) const LONG: Duration = Duration::from_secs(31);

pub(crate) fn letter(event: &Event) -> Option<&DeadLetter> {
    match event {
        Event::DeadLetter(letter) => Some(letter),
        _ => None,
    }
}

pub(crate) fn retry_after(seconds: u64) -> Outcome {
    Outcome::Retry { after: Some(Duration::from_secs(seconds)) }
}

/// A dispatch with its own time.
pub(crate) struct Bench {
    pub(crate) dispatch: Dispatch,
    pub(crate) now: Instant,
}

/// An offer as tests look at it: offset and attempt.
pub(crate) type Seen = (u64, u32);

impl Bench {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { dispatch: Dispatch::new(settings, 42), now: Instant::now() }
    }

    pub(crate) fn join(&mut self, settings: WorkerSettings) -> WorkerId {
        self.dispatch.join(self.now, settings)
    }

    /// Admits records of one key, all new.
    pub(crate) fn admit(&mut self, key: Option<&str>, offsets: impl IntoIterator<Item = u64>) {
        for offset in offsets {
            let admission = self.dispatch.admit(self.now, record(offset, key));
            assert_eq!(admission, Admission::Taken, "offset {offset}");
        }
    }

    pub(crate) fn poll(&mut self, worker: WorkerId) -> Vec<Offer> {
        let mut offers = Vec::new();
        while let Some(batch) = self.dispatch.poll_batch(self.now, worker) {
            assert!(!batch.is_empty());
            offers.extend(batch);
        }
        offers
    }

    pub(crate) fn offered(&mut self, worker: WorkerId) -> Vec<Seen> {
        let offers = self.poll(worker);
        offers.iter().map(|offer| (offer.record.identity.offset, offer.attempt)).collect()
    }

    pub(crate) fn results(&mut self, worker: WorkerId, results: Results) {
        self.dispatch.results(self.now, worker, &results).expect("valid results");
    }

    pub(crate) fn ack(&mut self, worker: WorkerId, delivery: u64) {
        self.results(worker, acked(delivery, delivery));
    }

    pub(crate) fn fail(&mut self, worker: WorkerId, delivery: u64, outcome: Outcome) {
        self.results(worker, failed(delivery, outcome));
    }

    pub(crate) fn retry(&mut self, worker: WorkerId, delivery: u64) {
        self.fail(worker, delivery, Outcome::Retry { after: None });
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.dispatch.advance(self.now);
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.dispatch.poll_event()).collect()
    }

    /// How the breaker changed since the last look.
    pub(crate) fn breakers(&mut self) -> Vec<Breaker> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Breaker(breaker) => Some(breaker),
                _ => None,
            })
            .collect()
    }

    /// Offsets resolved since the last look, and how.
    pub(crate) fn resolved(&mut self) -> Vec<(u64, Resolution)> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Resolved { offset, how, .. } => Some((offset, how)),
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn acked(first: u64, last: u64) -> Results {
    Results { acked: vec![(DeliveryId(first), DeliveryId(last))], failures: vec![] }
}

pub(crate) fn failed(delivery: u64, outcome: Outcome) -> Results {
    Results { acked: vec![], failures: vec![failure(delivery, outcome)] }
}

pub(crate) fn failure(delivery: u64, outcome: Outcome) -> Failure {
    Failure {
        delivery: DeliveryId(delivery),
        outcome,
        code: "DOWN".into(),
        message: "connection refused".into(),
    }
}

pub(crate) fn partition() -> Arc<str> {
    PARTITION.into()
}
