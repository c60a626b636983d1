//! The programs that are measured, each a process of its own. Each prints one line of
//! JSON with what it measured, and says nothing else.

pub mod clock;
pub mod consume;
pub mod flood;
pub mod hop;
pub mod null;
pub mod pace;
pub mod produce;
pub mod publish;
pub mod sink;
pub mod source;
pub mod topics;

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// How many records passed in which time, without the first tenth of them: until then
/// connections are made and caches are cold.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Records a second.
    pub rate: f64,
    /// Records altogether.
    pub records: u64,
}

/// Counts records, and knows when it has all.
#[derive(Debug)]
pub struct Meter {
    total: u64,
    seen: u64,
    warm: Option<(u64, Instant)>,
}

impl Meter {
    /// For so many records.
    pub fn new(total: u64) -> Self {
        Self { total, seen: 0, warm: None }
    }

    /// So many more. Tells what was measured when these are the last ones.
    pub fn add(&mut self, records: u64) -> Option<Measured> {
        let before = self.seen;
        self.seen += records;
        if self.warm.is_none() && self.seen >= self.total / 10 {
            self.warm = Some((self.seen, Instant::now()));
        }
        let (warm, since) = self.warm?;
        let last = before < self.total && self.seen >= self.total;
        last.then(|| Measured {
            rate: (self.seen - warm) as f64 / since.elapsed().as_secs_f64(),
            records: self.seen,
        })
    }
}

/// Prints what was measured, for the program that waits for it.
pub fn report(measured: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(measured)?);
    Ok(())
}
