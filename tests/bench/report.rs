//! What a run says: a table for people, and `target/bench.json`.

use std::fmt;

use serde::{Serialize, Serializer};

/// One case.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Outcome {
    /// What we have.
    pub ours: f64,
    /// What the peer, or the limit, has.
    pub peer: f64,
    /// Ours over the peer's.
    pub ratio: f64,
    /// The ratios of single turns, from the lowest to the highest.
    pub spread: [f64; 2],
    /// Of what.
    pub unit: &'static str,
    /// What the ratio must reach, or must not exceed.
    #[serde(skip)]
    pub reach: Reach,
}

/// What is asked of a ratio.
#[derive(Clone, Copy, Debug)]
pub enum Reach {
    /// At least so much: more is better.
    AtLeast(f64),
    /// At most so much: less is better.
    AtMost(f64),
}

impl Outcome {
    /// One measurement.
    pub fn new(ours: f64, peer: f64, unit: &'static str, reach: Reach) -> Self {
        let ratio = ours / peer;
        Self { ours, peer, ratio, spread: [ratio, ratio], unit, reach }
    }

    /// The medians of several turns, ours and its peer's each, against each other.
    pub fn of_turns(turns: Vec<(f64, f64)>, unit: &'static str, reach: Reach) -> Self {
        let ratios = turns.iter().map(|(ours, peer)| ours / peer);
        let lowest = ratios.clone().fold(f64::INFINITY, f64::min);
        let highest = ratios.fold(f64::NEG_INFINITY, f64::max);
        let (ours, peer) = turns.into_iter().unzip();
        let spread = [lowest, highest];
        Self { spread, ..Self::new(median(ours), median(peer), unit, reach) }
    }

    /// Whether the reach is kept; `slack` 2 asks for half of it only.
    pub fn is_kept(&self, slack: f64) -> bool {
        match self.reach {
            Reach::AtLeast(least) => self.ratio >= least / slack,
            Reach::AtMost(most) => self.ratio <= most * slack,
        }
    }
}

/// All cases of a run.
#[derive(Debug, Default)]
pub struct Report(pub Vec<(&'static str, Outcome)>);

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Report {
    /// The cases whose reach is not kept.
    pub fn missed(&self, slack: f64) -> Vec<&'static str> {
        let missed = self.0.iter().filter(|(_, outcome)| !outcome.is_kept(slack));
        missed.map(|(case, _)| *case).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>14} {:>14} {:>8}  {:<8}", "case", "ours", "peer", "ratio", "reach")?;
        for (case, outcome) in &self.0 {
            let Outcome { ours, peer, ratio, unit, .. } = outcome;
            let mark = if outcome.is_kept(1.0) { "" } else { "  MISSED" };
            let reach = outcome.reach;
            writeln!(f, "{case:<16} {ours:>14.1} {peer:>14.1} {ratio:>8.2}  {reach} {unit}{mark}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least:<5}"),
            Self::AtMost(most) => write!(f, "≤ {most:<5}"),
        }
    }
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
