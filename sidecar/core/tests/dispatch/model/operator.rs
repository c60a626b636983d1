//! The naive model of what an operator sees of records that fail and does with them, and
//! of what else is decided from outside.

use danube_sidecar_core::{
    dispatch::{Failing, Order, RecordId, Stage, Unfit},
    outcome::{FailureClass, Resolution},
    record::Record,
};

use super::naive::{Entry, Model, State};

impl Model {
    /// All that fails is shown, with what is known of it.
    pub(crate) fn failing_agree(&self, failing: &[Failing]) {
        let fails = |entry: &&Entry| {
            let parked = matches!(entry.state, State::Letter(_) | State::Suspended);
            entry.is_unresolved() && (entry.holds() || parked)
        };
        assert_eq!(failing.len(), self.entries.iter().filter(fails).count());
        for shown in failing {
            let at = self.of(&shown.record);
            let entry = &self.entries[at];
            let known = (entry.attempt, entry.counted, entry.crashes);
            assert_eq!((shown.attempt, shown.counted, shown.crashes), known);
            assert_eq!(stage(entry.state), std::mem::discriminant(&shown.stage));
            // What is too large for a frame is in no lane.
            let lined_up = |of: &Entry| of.bytes <= self.rules.max_record_bytes;
            let behind = |of: &&Entry| {
                of.lane.is_some() && of.lane == entry.lane && of.is_unresolved() && lined_up(of)
            };
            let lane = self.entries.iter().filter(behind).count();
            let waits = if lined_up(entry) { lane.saturating_sub(1) } else { 0 };
            assert_eq!(shown.behind, waits);
        }
        assert!(failing.is_sorted_by_key(|shown| shown.since), "the longest first");
    }

    /// An operator decided on a record.
    pub(crate) fn operate(&mut self, record: &Record, order: Order, refused: Option<Unfit>) {
        let at = self.of(record);
        let entry = &self.entries[at];
        let unfit = match entry.state {
            State::InHand { .. } => Some(Unfit::AtWorker),
            State::Letter(_) => Some(Unfit::Lettered),
            _ if entry.attempt == 0 => Some(Unfit::Untried),
            _ if order == Order::DeadLetter && !self.rules.dead_letters => Some(Unfit::NoLetters),
            _ => None,
        };
        assert_eq!(refused, unfit);
        if unfit.is_some() {
            return;
        }
        match order {
            Order::Resume => self.resume_one(at),
            Order::Skip => self.resolve(at, Resolution::Skipped),
            Order::DeadLetter => {
                let suspect = self.entries[at].suspect;
                let class = if suspect { FailureClass::Crash } else { FailureClass::Exhausted };
                self.happens(at, class.as_str(), State::Letter(None));
            }
        }
    }

    pub(crate) fn resume(&mut self) {
        for at in 0..self.entries.len() {
            if self.entries[at].state == State::Suspended {
                self.resume_one(at);
            }
        }
    }

    pub(super) fn resume_one(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        entry.state = State::Waiting { not_before: None };
        (entry.counted, entry.charged_later) = (0, 0);
        (entry.tried, entry.first_failure) = (self.history.len(), None);
        entry.resumed = true;
    }

    pub(crate) fn lettered(&mut self, record: &Record, id: RecordId) {
        let entry = self.entries.iter_mut().rfind(|entry| entry.is(record)).expect("known");
        if entry.state == State::Letter(None) {
            entry.state = State::Letter(Some(id));
        }
    }

    pub(crate) fn dead_lettered(&mut self, id: RecordId) {
        let lettered = |entry: &Entry| entry.state == State::Letter(Some(id));
        if let Some(at) = self.entries.iter().position(lettered) {
            self.resolve(at, Resolution::DeadLettered);
        }
    }

    pub(super) fn of(&self, record: &Record) -> usize {
        self.entries.iter().rposition(|entry| entry.is(record)).expect("admitted")
    }
}

fn stage(state: State) -> std::mem::Discriminant<Stage> {
    std::mem::discriminant(&match state {
        State::Waiting { .. } => Stage::Retry(None),
        State::InHand { worker, .. } => Stage::AtWorker(worker),
        State::Suspended => Stage::Suspended,
        _ => Stage::DeadLetter,
    })
}
