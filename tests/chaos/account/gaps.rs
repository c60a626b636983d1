//! Gaps reported = gaps real.

use std::collections::HashSet;

use super::{Account, Rule, some};
use crate::evidence::Offset;

impl Account<'_> {
    pub(super) fn gaps_are_told(&mut self) {
        let told = self.told();
        let skipped = &self.evidence.skipped;
        let mut invented: Vec<Offset> = told.difference(skipped).cloned().collect();
        if !invented.is_empty() && !self.broker_forgot() {
            invented.sort_unstable();
            let detail = format!("{} told that are none: {}", invented.len(), some(&invented));
            self.complain(Rule::Gaps, detail);
        }
        let delivered: HashSet<Offset> =
            self.handled.keys().map(|(offset, ..)| offset.clone()).collect();
        let mut untold: Vec<Offset> = skipped
            .difference(&told)
            .filter(|offset| !delivered.contains(*offset))
            .cloned()
            .collect();
        self.verdict.counts.untold = untold.len() as u64;
        if !untold.is_empty() && !self.broker_forgot() && !self.sidecar_forgot() {
            untold.sort_unstable();
            let detail = format!("{} not told: {}", untold.len(), some(&untold));
            self.complain(Rule::Gaps, detail);
        }
    }

    fn told(&self) -> HashSet<Offset> {
        let gaps = self.evidence.gaps.iter();
        gaps.flat_map(|gap| (gap.first..=gap.last).map(|offset| (gap.partition.clone(), offset)))
            .filter(|offset| !self.evidence.filled.contains(offset))
            .collect()
    }
}
