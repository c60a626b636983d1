//! When one partition's attachment must be renewed, so that the broker's ack
//! timeout never passes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Halving goes no further than this: the broker looks for passed ack timeouts
/// every 500 ms (Danube 0.15), and renewals must stay rarer than that.
const SHORTEST_HALVED: Duration = Duration::from_secs(1);

/// A repeat that comes so soon after its delivery is no timeout: a broker that looks
/// for those every 500 ms has sent what is un-acked twice, for the old stream's end and
/// for the new stream.
const SOONEST_TIMEOUT: Duration = Duration::from_millis(400);

/// The attachment of one partition.
///
/// A broker ack timeout uses up the subscription's redelivery budget, and in the
/// end blocks it for good. Closing the stream and opening it again restarts all
/// its clocks. That is due when the oldest delivery has been un-acked for half
/// the ack timeout: the other half is for what the clock here cannot see (the
/// broker's earlier start, the way of the acks, the reopening itself).
#[derive(Debug)]
pub struct Lease {
    ack_timeout: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nobody is attached, and no clock runs at the broker.
    Detached,
    /// Attached since then.
    Attached(Instant, Clocks),
}

/// The broker's clocks of un-acked deliveries, as far as seen from here.
#[derive(Debug, Default)]
struct Clocks {
    started: BTreeMap<u64, Instant>,
    oldest: BTreeSet<(Instant, u64)>,
}

impl Lease {
    /// Not attached yet; the broker redelivers after `ack_timeout`.
    pub fn new(ack_timeout: Duration) -> Self {
        Self { ack_timeout, state: State::Detached }
    }

    /// The stream is open (again): all clocks begin anew, at the repeats.
    pub fn attached(&mut self, now: Instant) {
        self.state = State::Attached(now, Clocks::default());
    }

    /// The stream ended: no clock runs.
    pub fn detached(&mut self) {
        self.state = State::Detached;
    }

    /// The broker delivered the offset. Tells whether that was a repeat nobody
    /// asked for: then the ack timeout is shorter than believed, and is halved.
    pub fn delivered(&mut self, now: Instant, offset: u64) -> bool {
        let State::Attached(_, clocks) = &mut self.state else { return false };
        let soonest = SOONEST_TIMEOUT.min(self.ack_timeout / 4);
        let unasked = clocks.start(now, offset).is_some_and(|since| now >= since + soonest);
        if unasked {
            let halved = (self.ack_timeout / 2).max(SHORTEST_HALVED);
            self.ack_timeout = halved.min(self.ack_timeout);
        }
        unasked
    }

    /// The broker answered the offset's ack.
    pub fn acked(&mut self, offset: u64) {
        if let State::Attached(_, clocks) = &mut self.state {
            _ = clocks.stop(offset);
        }
    }

    /// When the stream must be closed and opened again, as things stand.
    pub fn next_deadline(&self) -> Option<Instant> {
        let State::Attached(_, clocks) = &self.state else { return None };
        let (oldest, _) = clocks.oldest.first()?;
        oldest.checked_add(self.ack_timeout / 2)
    }

    /// When the stream must be closed whatever that costs: nearly at the ack timeout.
    pub fn latest(&self) -> Option<Instant> {
        let State::Attached(_, clocks) = &self.state else { return None };
        let (oldest, _) = clocks.oldest.first()?;
        oldest.checked_add(self.ack_timeout * 9 / 10)
    }

    /// Since when it is attached, if it is.
    pub fn attached_since(&self) -> Option<Instant> {
        match self.state {
            State::Detached => None,
            State::Attached(since, _) => Some(since),
        }
    }

    /// The broker's ack timeout, as far as known.
    pub fn ack_timeout(&self) -> Duration {
        self.ack_timeout
    }
}

impl Clocks {
    /// Tells since when the clock was running, if it was.
    fn start(&mut self, now: Instant, offset: u64) -> Option<Instant> {
        let running = self.stop(offset);
        self.started.insert(offset, now);
        self.oldest.insert((now, offset));
        running
    }

    fn stop(&mut self, offset: u64) -> Option<Instant> {
        let started = self.started.remove(&offset)?;
        self.oldest.remove(&(started, offset));
        Some(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn attached() -> (Lease, Instant) {
        let mut lease = Lease::new(TIMEOUT);
        let start = Instant::now();
        lease.attached(start);
        (lease, start)
    }

    #[test]
    fn the_oldest_unacked_delivery_decides() {
        let (mut lease, start) = attached();
        lease.delivered(start, 1);
        lease.delivered(start + Duration::from_secs(5), 2);
        assert_eq!(lease.next_deadline(), Some(start + TIMEOUT / 2));
        lease.acked(1);
        assert_eq!(lease.next_deadline(), Some(start + Duration::from_secs(5) + TIMEOUT / 2));
        lease.acked(2);
        assert_eq!(lease.next_deadline(), None);
    }

    #[test]
    fn a_stream_that_cannot_be_renewed_has_nearly_the_whole_ack_timeout() {
        let (mut lease, start) = attached();
        assert_eq!(lease.latest(), None);
        lease.delivered(start, 1);
        assert_eq!(lease.latest(), Some(start + Duration::from_secs(27)));
    }

    #[test]
    fn nothing_is_due_while_detached() {
        let (mut lease, start) = attached();
        lease.delivered(start, 1);
        lease.detached();
        assert!(!lease.delivered(start, 1));
        assert_eq!((lease.next_deadline(), lease.attached_since()), (None, None));
    }

    #[test]
    fn repeats_after_an_attach_are_asked_for() {
        let (mut lease, start) = attached();
        lease.delivered(start, 1);
        lease.attached(start + TIMEOUT);
        assert_eq!(lease.next_deadline(), None);
        assert!(!lease.delivered(start + TIMEOUT, 1));
        assert_eq!(lease.ack_timeout(), TIMEOUT);
    }

    #[test]
    fn an_unasked_repeat_halves_the_ack_timeout_down_to_a_second() {
        let (mut lease, start) = attached();
        lease.delivered(start, 1);
        assert!(lease.delivered(start + TIMEOUT / 4, 1));
        assert_eq!(lease.ack_timeout(), TIMEOUT / 2);
        assert_eq!(lease.next_deadline(), Some(start + TIMEOUT / 4 + TIMEOUT / 4));
        for repeat in 1..20 {
            lease.delivered(start + repeat * TIMEOUT, 1);
        }
        assert_eq!(lease.ack_timeout(), Duration::from_secs(1));
    }

    #[test]
    fn what_a_broker_sends_twice_at_an_attach_is_no_timeout() {
        let (mut lease, start) = attached();
        lease.delivered(start, 1);
        assert!(!lease.delivered(start + Duration::from_millis(20), 1));
        assert_eq!(lease.ack_timeout(), TIMEOUT);
    }
}
