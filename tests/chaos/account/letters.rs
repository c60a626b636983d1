//! One dead letter for each record that deserves one, with the right words on it.

use std::collections::{HashMap, HashSet};

use super::{Account, Names, Rule};
use crate::{
    evidence::{Evidence, Letter},
    journal::{Handled, What},
    schedule::{Intake, Kind, Part},
    sink::REJECT_CODE,
};

impl Account<'_> {
    pub(super) fn letters_are_deserved_and_right(&mut self, names: &Names) {
        let evidence = self.evidence;
        let deserved = deserving(evidence);
        let mut found = HashSet::new();
        for letter in &evidence.letters {
            let class = letter.attribute("x-failure-class").to_owned();
            *self.verdict.counts.letters.entry(class).or_default() += 1;
            let id = letter.attribute("x-dedup-id");
            match deserved.get(id) {
                Some(line) => {
                    found.insert(id);
                    let wrong = self.wrong(letter, line, names);
                    wrong.into_iter().for_each(|detail| self.complain(Rule::Letters, detail));
                }
                None => self.complain(
                    Rule::Letters,
                    format!("no record deserved this one: {:?}", letter.attributes),
                ),
            }
        }
        let forgotten = &evidence.forgotten_letters;
        let missing =
            deserved.iter().filter(|(id, _)| !found.contains(*id) && !forgotten.contains(**id));
        let missing = missing.map(|(_, line)| *line);
        let missing: Vec<&Handled> = missing.filter(|line| !self.is_gone(line)).collect();
        if !missing.is_empty() {
            let detail = format!("missing for {}: {:?}", missing.len(), missing[0]);
            self.complain(Rule::Letters, detail);
        }
    }

    /// Whether nobody has the message any more: the broker forgot it, and the sidecar that
    /// had it in hand without a disk ended before its letter was confirmed.
    fn is_gone(&self, line: &Handled) -> bool {
        let message = ((line.partition.clone(), line.offset), line.place);
        let ended = self.was(Kind::Kill(Part::Sidecar)) || self.was(Kind::Restart(Part::Sidecar));
        let kept = self.round.intake == Intake::Inbox;
        ended && !kept && self.evidence.forgotten.contains(&message)
    }

    pub(super) fn letters_beyond_the_first(&self) -> u64 {
        self.evidence.letters.len() as u64 - self.distinct_letters()
    }

    /// Records that became dead letters.
    pub(super) fn distinct_letters(&self) -> u64 {
        let letters = self.evidence.letters.iter();
        letters.map(|l| l.attribute("x-dedup-id")).collect::<HashSet<_>>().len() as u64
    }

    fn wrong(&self, letter: &Letter, line: &Handled, names: &Names) -> Vec<String> {
        let (class, code) = match line.what {
            What::Reject => ("REJECT", Some(REJECT_CODE)),
            _ => ("CRASH", None),
        };
        let offset = line.offset.to_string();
        let expected = [
            ("x-failure-class", Some(class)),
            ("x-failure-code", code),
            ("x-original-topic", Some(names.topic.as_str())),
            ("x-original-subscription", Some(names.sink.as_str())),
            ("x-original-topic-offset", Some(offset.as_str())),
            ("x-connector", Some(names.sink.as_str())),
        ];
        let id = &line.dedup_id;
        let mut wrong: Vec<String> = expected
            .into_iter()
            .filter(|(name, value)| value.is_some_and(|value| value != letter.attribute(name)))
            .map(|(name, value)| {
                format!("{id} says {name} = {:?}, expected {value:?}", letter.attribute(name))
            })
            .collect();
        if letter.attribute("x-delivery-attempt").parse().is_ok_and(|attempt: u32| attempt == 0) {
            wrong.push(format!("{id} was never attempted"));
        }
        let index = self.planned.get(&line.place).map(|planned| planned.index);
        let same = letter.key == line.key
            && index.is_some_and(|index| letter.payload.starts_with(&format!("record {index} ")));
        if !same {
            wrong.push(format!("{id} is not the original: {:?} {:?}", letter.key, letter.payload));
        }
        wrong
    }
}

/// By `dedup_id`: what the sinks rejected or died of.
fn deserving(evidence: &Evidence) -> HashMap<&str, &Handled> {
    let deadly = |line: &&Handled| matches!(line.what, What::Reject | What::Death);
    let lines = evidence.handled.iter().filter(deadly);
    lines.map(|line| (line.dedup_id.as_str(), line)).collect()
}

impl Letter {
    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }
}
