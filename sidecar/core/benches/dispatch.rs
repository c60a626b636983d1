//! What a record costs in the delivery rules: admitted, offered, acked, resolved.
//!
//! `cargo bench -p danube-sidecar-core` prints the time of a whole batch; divided by its
//! records it stays below 1 µs, and flat however many are in flight beside it.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use danube_sidecar_core::{
    dispatch::{
        Dispatch, Event, Limits, OnExhausted, Ordering, RetryPolicy, Settings, WorkerId,
        WorkerSettings,
    },
    outcome::Results,
    record::{Identity, Record},
};

const BATCH: u64 = 100;
const KEYS: u64 = 1000;

fn settings() -> Settings {
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
        remember: 10_000,
    }
}

fn record(offset: u64, keyed: bool) -> Record {
    Record {
        identity: Identity {
            partition: "/default/orders".into(),
            offset,
            producer: "shop".into(),
            request_id: offset,
            publish_time_ms: 1_700_000_000_000,
        },
        topic: "/default/orders".into(),
        subscription: "sink".into(),
        key: keyed.then(|| format!("key-{}", offset % KEYS).into()),
        payload: vec![b'x'; 256].into(),
        attributes: Default::default(),
        schema: None,
    }
}

/// A dispatch with so many records in flight at one worker.
struct Bench {
    dispatch: Dispatch,
    worker: WorkerId,
    now: Instant,
    next: u64,
    keyed: bool,
}

impl Bench {
    fn new(in_flight: u64, keyed: bool) -> Self {
        let mut dispatch = Dispatch::new(settings(), 1);
        let now = Instant::now();
        let limits = |records| Limits { records, bytes: usize::MAX };
        let worker = dispatch.join(
            now,
            WorkerSettings {
                window: limits(usize::MAX),
                batch: limits(BATCH as usize),
                linger: Duration::ZERO,
                probe: false,
            },
        );
        let mut bench = Self { dispatch, worker, now, next: 0, keyed };
        let records = bench.records(in_flight);
        records.into_iter().for_each(|record| _ = bench.dispatch.admit(now, record));
        while bench.dispatch.poll_batch(now, worker).is_some() {}
        bench
    }

    fn records(&mut self, count: u64) -> Vec<Record> {
        let from = self.next;
        self.next += count;
        (from..self.next).map(|offset| record(offset, self.keyed)).collect()
    }

    /// How long a batch takes, without the making of its records.
    fn timed(&mut self) -> Duration {
        let records = self.records(BATCH);
        let began = Instant::now();
        self.pass(records);
        began.elapsed()
    }

    /// A batch comes, goes out, and is acked.
    fn pass(&mut self, records: Vec<Record>) {
        for record in records {
            self.dispatch.admit(self.now, record);
        }
        let mut acked = Vec::new();
        while let Some(batch) = self.dispatch.poll_batch(self.now, self.worker) {
            acked.extend(batch.first().zip(batch.last()).map(|(a, b)| (a.delivery, b.delivery)));
        }
        let results = Results { acked, failures: Vec::new() };
        self.dispatch.results(self.now, self.worker, &results).expect("its own deliveries");
        let mut resolved = 0;
        while let Some(event) = self.dispatch.poll_event() {
            resolved += u64::from(matches!(event, Event::Resolved { .. }));
        }
        assert_eq!(resolved, BATCH);
    }
}

fn pass(criterion: &mut Criterion) {
    for (name, keyed) in [("keyed", true), ("unkeyed", false)] {
        let mut group = criterion.benchmark_group(format!("deliver and resolve, {name}"));
        group.throughput(Throughput::Elements(BATCH));
        for in_flight in [100, 1_000, 10_000, 100_000] {
            let mut bench = Bench::new(in_flight, keyed);
            group.bench_function(BenchmarkId::from_parameter(in_flight), |bencher| {
                bencher.iter_custom(|rounds| (0..rounds).map(|_| bench.timed()).sum());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, pass);
criterion_main!(benches);
