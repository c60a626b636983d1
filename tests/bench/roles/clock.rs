//! One clock for all processes, and what it measured.

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Nanoseconds since the machine started.
pub fn now() -> u64 {
    let now =
        clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or(nix::sys::time::TimeSpec::new(0, 0));
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// How long records took, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latencies {
    /// Half took at most so long.
    pub p50: f64,
    /// Of a hundred, 99 did.
    pub p99: f64,
}

/// Collects latencies, and knows when it has all.
#[derive(Debug)]
pub struct Stopwatch {
    total: usize,
    took: Vec<u64>,
}

impl Stopwatch {
    /// For so many records.
    pub fn new(total: u64) -> Self {
        Self { total: usize::try_from(total).unwrap_or(usize::MAX), took: Vec::new() }
    }

    /// A record has arrived whose payload begins with the time when it was sent. Tells
    /// the latencies when it is the last one; the first tenth does not count.
    pub fn arrived(&mut self, payload: &[u8]) -> Option<Latencies> {
        let sent = payload.first_chunk().copied().map_or(0, u64::from_le_bytes);
        self.took.push(now().saturating_sub(sent));
        (self.took.len() == self.total).then(|| {
            let mut counted = self.took.split_off(self.total / 10);
            counted.sort_unstable();
            let at = |share: f64| {
                let index = (counted.len() as f64 * share) as usize;
                counted.get(index).map_or(f64::NAN, |took| *took as f64 / 1000.0)
            };
            Latencies { p50: at(0.5), p99: at(0.99) }
        })
    }
}
