//! What a run of many rounds says at its end.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    account::{Counts, Rule},
    round::Outcome,
    schedule::{Kind, Settings},
};

/// From this many rounds on every kind of fault must have come about.
const ENOUGH: u64 = 20;

/// The sum of a run's rounds.
#[derive(Debug, Default)]
pub struct Summary {
    rounds: u64,
    failed: u64,
    counts: Counts,
    faults: BTreeMap<Kind, u64>,
    broken: BTreeMap<&'static str, u64>,
    longest: Duration,
}

impl Summary {
    /// Adds a round.
    pub fn add(&mut self, outcome: &Outcome) {
        self.rounds += 1;
        self.failed += u64::from(!outcome.is_good());
        self.longest = self.longest.max(outcome.took);
        self.counts += &outcome.verdict.counts;
        for (kind, count) in &outcome.faults {
            *self.faults.entry(*kind).or_default() += count;
        }
        for violation in &outcome.verdict.violations {
            *self.broken.entry(word(violation.rule)).or_default() += 1;
        }
    }

    /// How many rounds there were.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Kinds that this run could inject and that never came about, where there were
    /// enough rounds for all.
    pub fn absent(&self, settings: &Settings) -> Vec<Kind> {
        if self.rounds < ENOUGH {
            return Vec::new();
        }
        let possible = Settings::kinds().into_iter().filter(|kind| settings.can(*kind));
        possible.filter(|kind| !self.faults.contains_key(kind)).collect()
    }

    /// Whether no promise was broken.
    pub fn is_good(&self) -> bool {
        self.failed == 0
    }
}

fn word(rule: Rule) -> &'static str {
    match rule {
        Rule::Lost => "lost",
        Rule::PositionAhead => "positions ahead",
        Rule::Order => "order breaks",
        _ => "other",
    }
}

impl std::ops::AddAssign<&Counts> for Counts {
    fn add_assign(&mut self, other: &Counts) {
        self.records += other.records;
        self.duplicates += other.duplicates;
        self.bound += other.bound;
        self.redeliveries += other.redeliveries;
        self.skipped += other.skipped;
        self.untold += other.untold;
        self.forgotten += other.forgotten;
        self.disks_felt += other.disks_felt;
        for (class, count) in &other.letters {
            *self.letters.entry(class.clone()).or_default() += count;
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.faults {
            writeln!(f, "{count:>8}  {kind}")?;
        }
        let counts = &self.counts;
        writeln!(f, "{:>8}  redeliveries", counts.redeliveries)?;
        for (class, count) in &counts.letters {
            writeln!(f, "{count:>8}  dead letters {class}")?;
        }
        writeln!(f, "{:>8}  messages that the broker passed over", counts.skipped)?;
        writeln!(f, "{:>8}  of them not told by a sidecar that could not know", counts.untold)?;
        writeln!(f, "{:>8}  publishes that the broker confirmed and forgot", counts.forgotten)?;
        writeln!(f, "{:>8}  full disks that the store felt", counts.disks_felt)?;
        writeln!(f, "{:>8.1?}  longest round", self.longest)?;
        let broken = |word| self.broken.get(word).copied().unwrap_or_default();
        if self.failed > 0 {
            writeln!(
                f,
                "{:>8}  rounds failed, {} for other reasons",
                self.failed,
                broken("other")
            )?;
        }
        write!(
            f,
            "chaos: {} rounds, {} records, {} lost, {} positions ahead, {} order breaks, {} \
             duplicates (bound {})",
            self.rounds,
            counts.records,
            broken("lost"),
            broken("positions ahead"),
            broken("order breaks"),
            counts.duplicates,
            counts.bound
        )
    }
}
