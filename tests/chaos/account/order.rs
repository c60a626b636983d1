//! First occurrences are in order: of a key at the topic and at the sink, of a
//! source partition at the topic.

use std::collections::{HashMap, HashSet};

use super::{Account, Rule};
use crate::{
    evidence::{Evidence, Message},
    journal::What,
    sequence::Place,
};

/// What must be in order among itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Key(String),
    SourcePartition(u64),
}

impl Account<'_> {
    pub(super) fn first_occurrences_are_in_order(&mut self) {
        let published: Vec<(Lane, Place)> = self
            .evidence
            .messages
            .iter()
            .map(|m| {
                let source_partition = Lane::SourcePartition(m.place.0);
                (m.key.clone().map_or(source_partition, Lane::Key), m.place)
            })
            .collect();
        self.check("published", published);
        // What the broker passed over may come after all, when it starts anew, or when
        // the source publishes it again.
        let late = self.passed_over();
        let effects = self.evidence.handled.iter().filter(|line| line.what == What::Effect);
        let effects = effects.filter(|line| !late.contains(&line.place));
        let effects = effects.filter_map(|line| Some((Lane::Key(line.key.clone()?), line.place)));
        self.check("written", effects.collect());
    }

    /// The records of which the broker passed over a message.
    fn passed_over(&self) -> HashSet<Place> {
        let Evidence { messages, skipped, .. } = self.evidence;
        let over = |m: &&Message| skipped.contains(&(m.partition.clone(), m.offset));
        messages.iter().filter(over).map(|message| message.place).collect()
    }

    fn check(&mut self, what: &str, occurrences: Vec<(Lane, Place)>) {
        let mut known = HashSet::new();
        let mut last: HashMap<Lane, u64> = HashMap::new();
        let mut breaks = Vec::new();
        for (lane, place) in occurrences {
            let Some(planned) = self.planned.get(&place) else { continue };
            if !known.insert(place) {
                continue;
            }
            match last.get(&lane) {
                Some(before) if planned.index < *before => breaks.push(format!(
                    "record {} of {lane:?} is {what} after record {before}",
                    planned.index
                )),
                _ => _ = last.insert(lane, planned.index),
            }
        }
        breaks.into_iter().for_each(|detail| self.complain(Rule::Order, detail));
    }
}
