//! Ours and its peer in turn, on a machine that gives what it has.
//!
//! The cores of a virtual machine are shared with others': for seconds at a time both
//! together may do half as much as before, which costs what runs in several processes
//! more than a loop that waits. A turn with such a moment at its ends is taken again.

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::Effort;
use crate::{
    report::{Outcome, Reach},
    site::Site,
};

/// What is counted to see how fast the cores are: some milliseconds.
const ROUNDS: u64 = 4_000_000;
/// How much slower than at their best they may be.
const SLOWER: f64 = 1.25;
/// How long they are waited for before a turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often they are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// Takes turns: `turn` gives what ours and its peer have.
pub async fn turns(
    effort: Effort,
    site: &mut Site,
    unit: &'static str,
    reach: Reach,
    mut turn: impl AsyncFnMut(&mut Site) -> anyhow::Result<(f64, f64)>,
) -> anyhow::Result<Outcome> {
    let mut cores = Cores::default();
    let (mut taken, mut disturbed) = (Vec::new(), Vec::new());
    while taken.len() < effort.turns && taken.len() + disturbed.len() < 2 * effort.turns {
        cores.settle().await;
        let measured = turn(site).await?;
        match cores.are_steady() {
            true => taken.push(measured),
            false => disturbed.push(measured),
        }
    }
    if !disturbed.is_empty() {
        println!("  the machine was slower during {} turns more", disturbed.len());
    }
    disturbed.truncate(effort.turns - taken.len());
    taken.append(&mut disturbed);
    Ok(Outcome::of_turns(taken, unit, reach))
}

/// How fast all cores are together.
#[derive(Default)]
struct Cores {
    best: Option<Duration>,
}

impl Cores {
    /// Waits until they are as fast as they were, but not for ever.
    async fn settle(&mut self) {
        let since = Instant::now();
        while !self.are_steady() && since.elapsed() < PATIENCE {
            sleep(LOOK).await;
        }
    }

    fn are_steady(&mut self) -> bool {
        let took = count_on_all();
        let best = self.best.map_or(took, |best| best.min(took));
        self.best = Some(best);
        took.as_secs_f64() <= best.as_secs_f64() * SLOWER
    }
}

/// The same work on each core at once: the better of two tries, for a thread may be
/// interrupted once.
fn count_on_all() -> Duration {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let all = || {
        let threads: Vec<_> = (0..cores).map(|_| thread::spawn(count)).collect();
        let took = threads.into_iter().filter_map(|thread| thread.join().ok());
        took.max().unwrap_or_default()
    };
    all().min(all())
}

fn count() -> Duration {
    let began = Instant::now();
    let sum = (0..ROUNDS).fold(0u64, |sum, round| black_box(sum.wrapping_mul(31) ^ round));
    black_box(sum);
    began.elapsed()
}
