//! What can happen, as small numbers that always mean something.

use std::time::Duration;

use danube_sidecar_core::dispatch::{Health, OnExhausted, Order, Ordering, RetryPolicy, Settings};
use proptest::prelude::*;

use crate::support;

/// Numbers of workers, partitions and deliveries are taken modulo what is there.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A message is published; `key` 0 is none, `size` picks the payload's.
    Publish {
        partition: usize,
        key: usize,
        size: usize,
    },
    /// An attached partition delivers a few of what is due.
    Deliver {
        partition: usize,
        count: usize,
    },
    /// The broker repeats something unasked.
    Repeat {
        partition: usize,
        offset: usize,
    },
    /// Acks sent so far reach the broker.
    AnswerAcks {
        partition: usize,
    },
    Detach {
        partition: usize,
        forget: bool,
    },
    Attach {
        partition: usize,
    },
    /// `linger` in milliseconds; an odd window is that of a worker that answers probes.
    Join {
        window: usize,
        bytes: usize,
        linger: u64,
    },
    Resize {
        worker: usize,
        window: usize,
    },
    Drain {
        worker: usize,
    },
    Leave {
        worker: usize,
        crashed: bool,
    },
    Poll {
        worker: usize,
    },
    PollAll,
    Flush,
    /// One frame of results; ids are taken from what the worker was issued.
    Results {
        worker: usize,
        acked: Vec<(usize, usize)>,
        failed: Vec<(usize, Answer)>,
    },
    /// The external system is down: all that a worker holds fails.
    Outage {
        worker: usize,
    },
    /// The external system is busy: that is what it says of all that it holds.
    Busy {
        worker: usize,
    },
    /// A worker says how its external system is.
    Health {
        worker: usize,
        health: Health,
    },
    /// A worker acks all that it holds.
    Work {
        worker: usize,
    },
    /// Workers that hold a record of this size crash.
    Kill {
        size: usize,
    },
    Pass {
        millis: u64,
    },
    ConfirmLetter,
    Resume,
    /// An operator decides on one of the records that fail.
    Operate {
        record: usize,
        order: Order,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Retry,
    RetryAfter(u64),
    Busy(Option<u64>),
    Reject,
    Filtered,
}

pub(crate) fn plain_rules() -> Settings {
    Settings {
        retry: RetryPolicy {
            max_retries: 1,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            max_age: Duration::from_secs(60),
            max_age_alone: Duration::from_secs(20),
        },
        result_timeout: None,
        max_record_bytes: 2000,
        ..support::settings()
    }
}

pub(crate) fn rules() -> impl Strategy<Value = Settings> {
    let ordering = prop_oneof![
        4 => Just(Ordering::Key),
        2 => Just(Ordering::Partition),
        1 => Just(Ordering::None),
    ];
    let on_exhausted = prop_oneof![
        Just(OnExhausted::DeadLetter),
        Just(OnExhausted::Skip),
        Just(OnExhausted::Suspend),
    ];
    let timeout = prop_oneof![Just(None), Just(Some(Duration::from_secs(5)))];
    (ordering, on_exhausted, any::<bool>(), 0..3_u32, timeout).prop_map(
        |(ordering, on_exhausted, dead_letters, max_retries, result_timeout)| {
            let plain = plain_rules();
            let retry = RetryPolicy { max_retries, ..plain.retry };
            Settings { ordering, on_exhausted, dead_letters, retry, result_timeout, ..plain }
        },
    )
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let small = || 0..4_usize;
    prop_oneof![
        20 => (small(), 0..4_usize, 0..12_usize)
            .prop_map(|(partition, key, size)| Step::Publish { partition, key, size }),
        6 => (small(), 1..6_usize).prop_map(|(partition, count)| Step::Deliver { partition, count }),
        2 => (small(), any::<usize>())
            .prop_map(|(partition, offset)| Step::Repeat { partition, offset }),
        3 => small().prop_map(|partition| Step::AnswerAcks { partition }),
        2 => (small(), any::<bool>())
            .prop_map(|(partition, forget)| Step::Detach { partition, forget }),
        3 => small().prop_map(|partition| Step::Attach { partition }),
        3 => (0..7_usize, 0..10_usize, prop_oneof![Just(0), Just(500)])
            .prop_map(|(window, bytes, linger)| Step::Join { window, bytes, linger }),
        2 => (small(), 0..7_usize).prop_map(|(worker, window)| Step::Resize { worker, window }),
        1 => small().prop_map(|worker| Step::Drain { worker }),
        2 => (small(), any::<bool>()).prop_map(|(worker, crashed)| Step::Leave { worker, crashed }),
        6 => small().prop_map(|worker| Step::Poll { worker }),
        10 => Just(Step::PollAll),
        1 => Just(Step::Flush),
        14 => results(),
        4 => small().prop_map(|worker| Step::Outage { worker }),
        2 => small().prop_map(|worker| Step::Busy { worker }),
        6 => (0..3_usize).prop_map(|size| Step::Kill { size }),
        6 => prop_oneof![1..300_u64, 300..3000_u64, 3000..70_000_u64]
            .prop_map(|millis| Step::Pass { millis }),
        3 => Just(Step::ConfirmLetter),
        1 => Just(Step::Resume),
        3 => (small(), healths()).prop_map(|(worker, health)| Step::Health { worker, health }),
        3 => (any::<usize>(), orders()).prop_map(|(record, order)| Step::Operate { record, order }),
    ]
}

/// The external system is down now and then, and some records kill their workers.
pub(crate) fn troubled_step() -> impl Strategy<Value = Step> {
    let small = || 0..3_usize;
    prop_oneof![
        16 => (small(), 0..4_usize, 0..4_usize)
            .prop_map(|(partition, key, size)| Step::Publish { partition, key, size }),
        22 => Just(Step::PollAll),
        9 => small().prop_map(|worker| Step::Outage { worker }),
        2 => small().prop_map(|worker| Step::Busy { worker }),
        9 => Just(Step::Kill { size: 0 }),
        9 => small().prop_map(|worker| Step::Work { worker }),
        9 => (small(), healths()).prop_map(|(worker, health)| Step::Health { worker, health }),
        12 => (200..5000_u64).prop_map(|millis| Step::Pass { millis }),
        8 => small().prop_map(|partition| Step::Deliver { partition, count: 20 }),
        4 => Just(Step::Join { window: 30, bytes: 20, linger: 0 }),
        4 => step(),
    ]
}

fn healths() -> impl Strategy<Value = Health> {
    prop_oneof![3 => Just(Health::Well), 1 => Just(Health::Unwell), 1 => Just(Health::Unknown)]
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Resume), Just(Order::Skip), Just(Order::DeadLetter)]
}

fn results() -> impl Strategy<Value = Step> {
    let answer = prop_oneof![
        4 => Just(Answer::Retry),
        1 => (1..3000_u64).prop_map(Answer::RetryAfter),
        1 => prop::option::of(0..3000_u64).prop_map(Answer::Busy),
        1 => Just(Answer::Reject),
        1 => Just(Answer::Filtered),
    ];
    let acked = prop::collection::vec((any::<usize>(), 0..5_usize), 0..3);
    let failed = prop::collection::vec((any::<usize>(), answer), 0..3);
    (0..4_usize, acked, failed).prop_map(|(worker, acked, failed)| Step::Results {
        worker,
        acked,
        failed,
    })
}
