//! Positions are never ahead of what is published.

use std::collections::BTreeMap;

use super::{Account, Rule, some};
use crate::{journal::Seen, sequence::Place};

impl Account<'_> {
    /// A source resumes behind a position, so what is missing below one is lost.
    pub(super) fn positions_are_not_ahead(&mut self) {
        let published = self.published_once();
        let mut ahead: Vec<Place> = self
            .highest_positions()
            .into_iter()
            .flat_map(|(partition, offset)| (0..=offset).map(move |offset| (partition, offset)))
            .filter(|place| !published.contains(place))
            .collect();
        if ahead.is_empty() {
            return;
        }
        ahead.sort_unstable();
        let detail = format!("{} records below positions: {}", ahead.len(), some(&ahead));
        self.complain(Rule::PositionAhead, detail);
    }

    fn highest_positions(&self) -> BTreeMap<u64, u64> {
        let mut highest = BTreeMap::new();
        for seen in &self.evidence.seen {
            let (Seen::Opened { positions, .. } | Seen::Committed { positions, .. }) = seen;
            for (partition, offset) in positions {
                let known = highest.entry(*partition).or_insert(*offset);
                *known = (*known).max(*offset);
            }
        }
        highest
    }

    /// How many sessions the source had.
    pub(super) fn source_sessions(&self) -> u64 {
        let opened = |seen: &&Seen| matches!(seen, Seen::Opened { .. });
        self.evidence.seen.iter().filter(opened).count() as u64
    }
}
