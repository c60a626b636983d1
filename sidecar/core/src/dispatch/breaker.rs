//! Stops offering while nothing succeeds, and tries one record now and then.
//!
//! Closed, everything flows. Open, nothing is offered until a pause has passed.
//! Half-open, one record is on trial: what becomes of it closes or opens again.

use std::time::{Duration, Instant};

use crate::{retry::SplitMix, slab::Key};

/// RETRY results in a row that open it (contract §3).
const MOST_RETRIES: u32 = 20;

/// The first pause; doubled at each further opening without an answer between.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Upper bound of every pause: after a recovery the flow resumes within 5 s.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long a half-open breaker waits for the worker of its first choice, before
/// any other worker's record will do.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whether records flow to the connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Breaker {
    /// Everything flows.
    #[default]
    Closed,
    /// Nothing is offered: everything failed, so a pause is made.
    Open,
    /// One real record is offered, and what becomes of it decides. Where none is
    /// in hand, the next one that is admitted.
    HalfOpen,
}

/// The breaker's state machine.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    state: State,
    /// RETRY results since the last answer of another kind.
    retries: u32,
    /// How often it opened since it was last closed.
    openings: u32,
    /// What the current frame of results has brought.
    answered: bool,
    trial_failed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        /// The record that was offered.
        trial: Option<Key>,
        /// While this is set, only the record of first choice may be offered.
        choosy_until: Option<Instant>,
    },
}

/// What may be offered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Everything.
    All,
    /// One record: the one of first choice, if `choosy`.
    One { choosy: bool },
    /// Nothing.
    Nothing,
}

impl Circuit {
    pub(super) fn breaker(&self) -> Breaker {
        match self.state {
            State::Closed => Breaker::Closed,
            State::Open { .. } => Breaker::Open,
            State::HalfOpen { .. } => Breaker::HalfOpen,
        }
    }

    pub(super) fn allowance(&self) -> Allowance {
        match self.state {
            State::Closed => Allowance::All,
            State::HalfOpen { trial: None, choosy_until } => {
                Allowance::One { choosy: choosy_until.is_some() }
            }
            State::HalfOpen { .. } | State::Open { .. } => Allowance::Nothing,
        }
    }

    /// The record on trial, while it is in a worker's hands.
    pub(super) fn trial(&self) -> Option<Key> {
        match self.state {
            State::HalfOpen { trial, .. } => trial,
            State::Closed | State::Open { .. } => None,
        }
    }

    /// When [`advance`](Self::advance) changes something.
    pub(super) fn wakeup(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::HalfOpen { trial: None, choosy_until } => choosy_until,
            State::HalfOpen { .. } | State::Closed => None,
        }
    }

    /// Ends a pause that has passed.
    pub(super) fn advance(&mut self, now: Instant) {
        match self.state {
            State::Open { until } if until <= now => self.try_one(now),
            State::HalfOpen { trial, choosy_until: Some(until) } if until <= now => {
                self.state = State::HalfOpen { trial, choosy_until: None };
            }
            State::Open { .. } | State::HalfOpen { .. } | State::Closed => {}
        }
    }

    /// A worker came: it deserves a try.
    pub(super) fn worker_joined(&mut self, now: Instant) {
        if matches!(self.state, State::Open { .. }) {
            self.try_one(now);
        }
    }

    /// A record was offered.
    pub(super) fn offered(&mut self, record: Key) {
        if let State::HalfOpen { trial, .. } = &mut self.state {
            *trial = Some(record);
        }
    }

    /// The connector answered a record with RETRY, or this one and others together.
    pub(super) fn retried(&mut self, record: Key) {
        self.retries = self.retries.saturating_add(1);
        self.trial_failed |= self.trial() == Some(record);
    }

    /// The record was not tried, because of another one.
    pub(super) fn held_back(&mut self, record: Key) {
        self.trial_failed |= self.trial() == Some(record);
    }

    /// The connector acked, filtered or rejected a record.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// A frame of results ends. One with any other answer than RETRY shows that
    /// the external system works, whatever stands beside it.
    pub(super) fn end_of_frame(&mut self, now: Instant, random: &mut SplitMix) {
        let answered = std::mem::take(&mut self.answered);
        let trial_failed = std::mem::take(&mut self.trial_failed);
        if answered {
            *self = Self::default();
        } else if trial_failed || (self.state == State::Closed && self.retries >= MOST_RETRIES) {
            self.open(now, random);
        }
    }

    /// The record crashed its worker, or got no result in time.
    pub(super) fn trial_failed(&mut self, now: Instant, record: Key, random: &mut SplitMix) {
        if self.trial() == Some(record) {
            self.open(now, random);
        }
    }

    /// The record came back without fault of anybody: another trial follows.
    pub(super) fn trial_released(&mut self, now: Instant, record: Key) {
        if self.trial() == Some(record) {
            self.try_one(now);
        }
    }

    /// Stops the flow.
    pub(super) fn open(&mut self, now: Instant, random: &mut SplitMix) {
        let doubled = 1_u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let longest = SHORTEST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open { until: now + longest - random.up_to(longest / 2) };
    }

    fn try_one(&mut self, now: Instant) {
        self.state = State::HalfOpen { trial: None, choosy_until: Some(now + PATIENCE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    /// A circuit with its own time, and two records.
    struct Bench {
        circuit: Circuit,
        now: Instant,
        random: SplitMix,
        records: [Key; 2],
    }

    impl Bench {
        fn new() -> Self {
            let mut slab = Slab::default();
            let records = [slab.insert(()), slab.insert(())];
            let circuit = Circuit::default();
            Self { circuit, now: Instant::now(), random: SplitMix::new(3), records }
        }

        fn retry(&mut self, times: u32) {
            for _ in 0..times {
                self.circuit.retried(self.records[0]);
                self.circuit.end_of_frame(self.now, &mut self.random);
            }
        }

        fn answer(&mut self) {
            self.circuit.answered();
            self.circuit.end_of_frame(self.now, &mut self.random);
        }

        /// Lets the pause pass; tells how long it was.
        fn end_pause(&mut self) -> Duration {
            let until = self.circuit.wakeup().expect("a pause");
            let pause = until - self.now;
            self.now = until;
            self.circuit.advance(self.now);
            pause
        }

        fn half_open() -> Self {
            let mut bench = Self::new();
            bench.retry(MOST_RETRIES);
            bench.end_pause();
            bench.circuit.offered(bench.records[0]);
            bench
        }
    }

    #[test]
    fn twenty_retries_in_a_row_open_it() {
        let mut bench = Bench::new();
        bench.retry(19);
        assert_eq!(bench.circuit.breaker(), Breaker::Closed);
        bench.answer();
        bench.retry(19);
        assert_eq!(bench.circuit.breaker(), Breaker::Closed);
        bench.retry(1);
        assert_eq!(bench.circuit.breaker(), Breaker::Open);
        assert_eq!(bench.circuit.allowance(), Allowance::Nothing);
    }

    #[test]
    fn a_frame_with_an_answer_beside_its_retries_does_not_open_it() {
        let mut bench = Bench::new();
        for _ in 0..100 {
            bench.circuit.retried(bench.records[0]);
        }
        bench.answer();
        assert_eq!((bench.circuit.breaker(), bench.circuit.retries), (Breaker::Closed, 0));
    }

    #[test]
    fn half_open_allows_one_record() {
        let mut bench = Bench::new();
        bench.retry(MOST_RETRIES);
        bench.end_pause();
        assert_eq!(bench.circuit.allowance(), Allowance::One { choosy: true });
        bench.circuit.offered(bench.records[0]);
        assert_eq!(bench.circuit.allowance(), Allowance::Nothing);
        assert_eq!(bench.circuit.wakeup(), None);
    }

    #[test]
    fn half_open_is_choosy_for_a_while_only() {
        let mut bench = Bench::new();
        bench.retry(MOST_RETRIES);
        bench.end_pause();
        bench.end_pause();
        assert_eq!(bench.circuit.allowance(), Allowance::One { choosy: false });
        assert_eq!(bench.circuit.wakeup(), None);
    }

    #[test]
    fn an_answer_closes_it_whatever_its_state() {
        let mut open = Bench::new();
        open.retry(MOST_RETRIES);
        for mut bench in [open, Bench::half_open()] {
            bench.answer();
            assert_eq!(bench.circuit.allowance(), Allowance::All);
        }
    }

    #[test]
    fn only_the_record_on_trial_opens_it_again() {
        let mut bench = Bench::half_open();
        bench.circuit.retried(bench.records[1]);
        bench.circuit.end_of_frame(bench.now, &mut bench.random);
        bench.circuit.trial_failed(bench.now, bench.records[1], &mut bench.random);
        assert_eq!(bench.circuit.breaker(), Breaker::HalfOpen);
        bench.retry(1);
        assert_eq!(bench.circuit.breaker(), Breaker::Open);
    }

    #[test]
    fn a_released_trial_is_followed_by_another() {
        let mut bench = Bench::half_open();
        bench.circuit.trial_released(bench.now, bench.records[0]);
        assert_eq!(bench.circuit.allowance(), Allowance::One { choosy: true });
    }

    #[test]
    fn pauses_double_up_to_four_seconds_and_begin_anew_when_it_closed() {
        let mut bench = Bench::new();
        bench.retry(MOST_RETRIES);
        for longest in [500, 1000, 2000, 4000, 4000].map(Duration::from_millis) {
            let pause = bench.end_pause();
            assert!(pause <= longest && pause >= longest / 2, "{pause:?}");
            bench.circuit.offered(bench.records[0]);
            bench.retry(1);
        }
        bench.answer();
        bench.retry(MOST_RETRIES);
        assert!(bench.end_pause() <= SHORTEST_PAUSE);
    }

    #[test]
    fn a_worker_that_joins_ends_the_pause() {
        let mut bench = Bench::new();
        bench.circuit.worker_joined(bench.now);
        assert_eq!(bench.circuit.breaker(), Breaker::Closed);
        bench.retry(MOST_RETRIES);
        bench.circuit.worker_joined(bench.now);
        assert_eq!(bench.circuit.breaker(), Breaker::HalfOpen);
    }
}
