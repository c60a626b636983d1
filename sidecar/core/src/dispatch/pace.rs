//! How much a worker is offered after its connector said BUSY.
//!
//! Nothing, until the pause that was asked for has passed. Then one record, and twice as
//! many in each *round* after one that was written: the *ramp*, until that is a whole batch.
//!
//! BUSY before that means that the external system has a rate. What it took since the
//! pause began is its *quota* from then on, a round of that in each span of that length, so
//! that it need refuse nothing any more. Now and then a round of twice the quota tries
//! whether it takes more. Where that is written, the ramp goes on from there; where it is
//! refused, the next try comes after twice as many rounds.
//!
//! A round is one batch, or several where fewer records are there, or a batch may not have
//! as many. The next one begins when all of it is answered.

use std::time::{Duration, Instant};

use super::quota::Quota;

/// A pause, where the connector does not say how long.
const PAUSE: Duration = Duration::from_secs(1);

/// Bounds of every pause, whatever the connector says.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// So many records in a round end the ramp where batches are smaller than that.
const SMALLEST_END: usize = 64;

/// How much one worker is offered.
#[derive(Debug, Default)]
pub(super) struct Pace {
    state: State,
    /// What the external system takes, where it was found to have a rate.
    quota: Option<Quota>,
    /// What was offered since the last one came to its end; none while the state is free.
    round: Option<Round>,
    /// When the last pause began.
    since: Option<Instant>,
    /// What was written since then.
    written: usize,
}

#[derive(Debug, Default)]
enum State {
    /// Whatever the worker's window admits.
    #[default]
    Free,
    /// Nothing.
    Paused { until: Instant },
    /// One round after the other.
    Ramp { most: usize },
    /// One round in each span of the quota; the next one not before this.
    Metered { next: Option<Instant> },
}

/// Records that are offered without waiting for a success between.
#[derive(Debug)]
struct Round {
    /// The first of its deliveries; all later ones are of it too.
    first: u64,
    records: usize,
    offered: usize,
    open: usize,
    written: usize,
}

impl Round {
    fn has(&self, delivery: u64) -> bool {
        delivery >= self.first
    }
}

impl Pace {
    /// Most records that the next batch may have; none may be offered at 0.
    pub(super) fn most(&self) -> usize {
        if let Some(round) = &self.round {
            return round.records - round.offered;
        }
        match self.state {
            State::Free => usize::MAX,
            State::Paused { .. } | State::Metered { next: Some(_) } => 0,
            State::Ramp { most } => most,
            State::Metered { next: None } => self.quota.map_or(1, |quota| quota.next()),
        }
    }

    /// Whether it is as if it had never said BUSY.
    pub(super) fn is_free(&self) -> bool {
        matches!(self.state, State::Free)
    }

    /// Whether it gets nothing for now, whatever it answers.
    pub(super) fn waits(&self) -> bool {
        self.most() == 0 && !matches!(self.state, State::Ramp { .. })
    }

    /// When a pause that it is in ends.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        match self.state {
            State::Paused { until } => Some(until),
            State::Free | State::Ramp { .. } | State::Metered { .. } => None,
        }
    }

    /// What the external system was found to take.
    pub(super) fn quota(&self) -> Option<Quota> {
        self.quota
    }

    /// When [`advance`](Self::advance) changes something.
    pub(super) fn wakeup(&self) -> Option<Instant> {
        match self.state {
            State::Metered { next } => next,
            State::Paused { until } => Some(until),
            State::Free | State::Ramp { .. } => None,
        }
    }

    /// Lets time pass; tells whether a pause has ended.
    pub(super) fn advance(&mut self, now: Instant) -> bool {
        match self.state {
            State::Paused { until } if until <= now => {
                self.state = match self.quota {
                    Some(_) => State::Metered { next: None },
                    None => State::Ramp { most: 1 },
                };
                return true;
            }
            State::Metered { next: Some(next) } if next <= now => {
                self.state = State::Metered { next: None };
                self.round = self.round.take().filter(|round| round.open > 0);
            }
            State::Free | State::Paused { .. } | State::Ramp { .. } | State::Metered { .. } => {}
        }
        false
    }

    /// A batch was offered: so many records, from this delivery on.
    pub(super) fn offered(&mut self, now: Instant, first: u64, records: usize) {
        let most = self.most();
        match &mut self.state {
            State::Free | State::Paused { .. } => return,
            State::Metered { next } if self.round.is_none() => {
                *next = self.quota.and_then(|quota| now.checked_add(quota.span));
            }
            State::Ramp { .. } | State::Metered { .. } => {}
        }
        let begun = || Round { first, records: most, offered: 0, open: 0, written: 0 };
        let round = self.round.get_or_insert_with(begun);
        round.offered += records;
        round.open += records;
    }

    /// A record was written that is in hand.
    pub(super) fn written(&mut self, delivery: u64) {
        if let Some(round) = self.round.as_mut().filter(|round| round.has(delivery)) {
            round.written += 1;
        }
    }

    /// A record is in hand no more. `batch` is the most that the worker wants in one.
    pub(super) fn answered(&mut self, delivery: u64, batch: usize) {
        let round = self.round.as_mut().filter(|round| round.has(delivery));
        let Some(round) = round else { return };
        round.open -= 1;
        if round.open == 0 && round.offered >= round.records {
            self.round_ended(batch);
        }
    }

    /// The external system refused a record, for so long. Tells whether a pause begins.
    pub(super) fn busy(&mut self, now: Instant, delivery: u64, after: Option<Duration>) -> bool {
        let pause = after.unwrap_or(PAUSE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        if let State::Paused { until } = &mut self.state {
            *until = (*until).max(now + pause);
            return false;
        }
        // What was in hand since before the last pause tells nothing about what came after.
        if let Some(round) = self.round.take().filter(|round| round.has(delivery)) {
            self.learn(now, pause, &round);
        }
        (self.since, self.written) = (Some(now), 0);
        self.state = State::Paused { until: now + pause };
        true
    }

    /// A round that was offered after a pause was too much.
    fn learn(&mut self, now: Instant, pause: Duration, round: &Round) {
        let records = self.written + round.written;
        match &mut self.quota {
            Some(quota) if round.records <= quota.records => quota.shrink(),
            Some(quota) => quota.keep(),
            None if records > 0 => {
                let since = self.since.unwrap_or(now);
                let span = now.saturating_duration_since(since).max(pause).min(LONGEST_PAUSE);
                self.quota = Some(Quota::new(records, span));
            }
            None => {}
        }
    }

    fn round_ended(&mut self, batch: usize) {
        let Some(round) = self.round.take().filter(|round| round.written > 0) else { return };
        self.written += round.written;
        match (&self.state, &mut self.quota) {
            (State::Metered { .. }, Some(quota)) if round.records <= quota.records => {
                quota.written();
            }
            (State::Metered { .. }, Some(quota)) => {
                *quota = quota.grown(round.records);
                self.grow(round.records, batch);
            }
            _ => self.grow(round.records, batch),
        }
    }

    fn grow(&mut self, records: usize, batch: usize) {
        if records >= batch.max(SMALLEST_END) {
            *self = Self::default();
        } else {
            self.state = State::Ramp { most: records.saturating_mul(2) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker's pace, in its own time; it wants ten records in a batch.
    struct Bench {
        pace: Pace,
        now: Instant,
        next: u64,
    }

    const BATCH: usize = 10;
    const SECOND: Duration = Duration::from_secs(1);

    impl Bench {
        fn new() -> Self {
            Self { pace: Pace::default(), now: Instant::now(), next: 1 }
        }

        /// Whatever it is offered, the first is refused.
        fn paused() -> Self {
            let mut bench = Self::new();
            assert!(bench.pace.busy(bench.now, 1, Some(SECOND)));
            bench
        }

        /// Offers as much as it may have; so many of it are written, and the next one, if
        /// there is one, refused. Tells how many were offered.
        fn offer(&mut self, written: usize) -> usize {
            let records = self.pace.most();
            assert!(records > 0 && records < 1000, "{records} may be offered");
            self.pace.offered(self.now, self.next, records);
            for (at, delivery) in (self.next..self.next + records as u64).enumerate() {
                if at < written {
                    self.pace.written(delivery);
                } else {
                    self.pace.busy(self.now, delivery, Some(SECOND));
                }
                self.pace.answered(delivery, BATCH);
            }
            self.next += records as u64;
            records
        }

        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.pace.advance(self.now);
        }

        fn pass_until_it_may(&mut self) -> Duration {
            let wakeup = self.pace.wakeup().expect("it waits");
            let wait = wakeup - self.now;
            self.pass(wait);
            wait
        }
    }

    #[test]
    fn a_pause_lasts_as_long_as_was_asked_for_within_bounds() {
        let asked = [None, Some(Duration::ZERO), Some(90 * SECOND), Some(Duration::MAX)];
        let lasts = [SECOND, Duration::from_millis(100), 90 * SECOND, 3600 * SECOND];
        for (asked, lasts) in asked.into_iter().zip(lasts) {
            let mut bench = Bench::new();
            assert!(bench.pace.busy(bench.now, 1, asked));
            assert_eq!(bench.pace.most(), 0);
            assert_eq!(bench.pass_until_it_may(), lasts);
            assert_eq!(bench.pace.most(), 1);
        }
    }

    #[test]
    fn a_longer_pause_beats_a_shorter_one_and_is_no_new_one() {
        let mut bench = Bench::paused();
        assert!(!bench.pace.busy(bench.now, 2, Some(5 * SECOND)));
        assert!(!bench.pace.busy(bench.now, 3, None));
        assert_eq!(bench.pass_until_it_may(), 5 * SECOND);
    }

    #[test]
    fn after_a_pause_rounds_double_until_they_are_a_whole_batch() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        for expected in [1, 2, 4, 8, 16, 32, 64] {
            assert_eq!(bench.offer(1000), expected);
        }
        assert_eq!(bench.pace.most(), usize::MAX);
    }

    #[test]
    fn a_round_begins_when_all_of_the_one_before_is_answered() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        bench.offer(1000);
        bench.pace.offered(bench.now, 50, 2);
        assert_eq!(bench.pace.most(), 0);
        bench.pace.written(50);
        bench.pace.answered(50, BATCH);
        assert_eq!(bench.pace.most(), 0);
        bench.pace.answered(51, BATCH);
        assert_eq!(bench.pace.most(), 4);
    }

    #[test]
    fn a_round_may_be_several_batches() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        bench.offer(1000);
        for delivery in [2, 3] {
            assert!(bench.pace.most() > 0);
            bench.pace.offered(bench.now, delivery, 1);
            bench.pace.written(delivery);
            bench.pace.answered(delivery, BATCH);
        }
        assert_eq!(bench.pace.most(), 4);
    }

    #[test]
    fn what_was_in_hand_before_the_pause_may_extend_it_and_teaches_nothing() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        bench.pace.offered(bench.now, 50, 1);
        assert!(bench.pace.busy(bench.now, 7, Some(SECOND)));
        bench.pass(SECOND);
        assert_eq!((bench.pace.most(), bench.pace.quota()), (1, None));
    }

    #[test]
    fn what_was_taken_until_the_next_refusal_is_the_quota_of_that_time() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        bench.offer(1);
        bench.pass(SECOND);
        assert_eq!(bench.offer(1), 2);
        let quota = bench.pace.quota().expect("a quota");
        assert_eq!((quota.records, quota.span), (2, 2 * SECOND));
        bench.pass(SECOND);
        assert_eq!(bench.offer(1000), 2);
        assert_eq!(bench.pace.most(), 0);
        assert_eq!(bench.pass_until_it_may(), 2 * SECOND);
    }

    #[test]
    fn twice_the_quota_is_tried_less_often_each_time_that_it_is_refused() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        bench.offer(1);
        bench.offer(1);
        for patience in [1, 2, 4, 8, 16, 32, 64, 64] {
            bench.pass_until_it_may();
            for _ in 0..patience {
                assert_eq!(bench.offer(1000), 2);
                bench.pass_until_it_may();
            }
            assert_eq!(bench.offer(2), 4);
        }
    }

    #[test]
    fn where_twice_the_quota_is_written_rounds_grow_until_they_are_a_whole_batch() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        bench.offer(1);
        bench.offer(1);
        bench.pass_until_it_may();
        bench.offer(1000);
        bench.pass_until_it_may();
        for expected in [4, 8, 16, 32, 64] {
            assert_eq!(bench.offer(1000), expected);
        }
        assert_eq!((bench.pace.most(), bench.pace.quota()), (usize::MAX, None));
    }

    #[test]
    fn a_quota_that_is_too_much_shrinks() {
        let mut bench = Bench::paused();
        bench.pass(SECOND);
        bench.offer(1);
        bench.offer(1);
        for (records, span) in [(2, 1), (1, 1), (1, 2), (1, 4)] {
            let quota = bench.pace.quota().expect("a quota");
            assert_eq!((quota.records, quota.span), (records, span * SECOND));
            bench.pass_until_it_may();
            assert_eq!(bench.offer(0), records);
        }
    }
}
