//! What is known of one partition's messages: which are in hand and which are finished,
//! so that a repeat is recognised.
//!
//! Only newer ones push a finished identity out, never an attach that seems to have repeated
//! everything: a broker repeats what timed out only after a backoff (up to 60 s,
//! Danube 0.15), and after a crash what was acked since it last wrote its cursor (up
//! to 10 s).

use std::collections::{VecDeque, hash_map::Entry as MapEntry};

use crate::{dispatch::Admission, hash::PrehashedMap, record::Fingerprint};

/// The identities of one partition.
///
/// Almost always messages come in the order of their offsets. Those stand in a *run*, one
/// behind the other: the next one goes to its end, and nothing is looked up in a table that
/// does not fit in the processor's cache. The others are *strays*, found by their hash: what
/// comes behind a higher offset, and what stayed in hand while the run moved on.
#[derive(Debug)]
pub(crate) struct Identities {
    /// Ascending by offset.
    run: VecDeque<Known>,
    /// The ticket of the run's front.
    front: u64,
    /// How many of the run are in hand.
    in_hand: usize,
    /// The highest offset that was ever in the run.
    newest: Option<u64>,
    strays: PrehashedMap<Fingerprint, Stray>,
    /// Finished strays, oldest first.
    finished: VecDeque<Fingerprint>,
    /// The place of the oldest among all that were ever finished.
    oldest: u64,
    /// Most finished ones that are remembered, in the run and of the strays.
    remember: usize,
}

/// Where an identity in hand is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// A stray's ticket, and one that is older than any run.
const STRAY: Ticket = Ticket(0);

#[derive(Debug)]
struct Known {
    offset: u64,
    fingerprint: [u64; 2],
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    InHand,
    Finished,
    /// As if it had never been delivered.
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stray {
    InHand,
    /// With its place among all that were ever finished.
    Finished(u64),
}

impl Identities {
    /// Remembers up to `remember` finished ones, and one at least.
    pub(crate) fn new(remember: usize) -> Self {
        Self {
            run: VecDeque::new(),
            front: STRAY.0 + 1,
            in_hand: 0,
            newest: None,
            strays: PrehashedMap::default(),
            finished: VecDeque::new(),
            oldest: 0,
            remember: remember.max(1),
        }
    }

    /// What a delivered message is. One that is not known is in hand from here on. The
    /// repeat of a finished one is going to be acked again, so its memory begins anew.
    ///
    /// # Errors
    /// A repeat, and of what.
    pub(crate) fn recognize(
        &mut self,
        offset: u64,
        fingerprint: Fingerprint,
    ) -> Result<Ticket, Admission> {
        if self.newest.is_none_or(|newest| newest < offset) {
            self.newest = Some(offset);
            self.in_hand += 1;
            let fingerprint = halves(fingerprint);
            self.run.push_back(Known { offset, fingerprint, state: State::InHand });
            return Ok(Ticket(self.front + self.run.len() as u64 - 1));
        }
        let Some(index) = self.find(offset, fingerprint) else {
            return self.recognize_stray(fingerprint);
        };
        match self.run[index].state {
            State::InHand => Err(Admission::InHand),
            State::Finished => {
                self.run[index].state = State::Forgotten;
                self.finish_stray(fingerprint);
                Err(Admission::Resolved)
            }
            State::Forgotten => self.recognize_stray(fingerprint),
        }
    }

    /// What is in hand is finished, and remembered as such.
    pub(crate) fn finish(&mut self, ticket: Ticket, fingerprint: Fingerprint) {
        if self.settle(ticket, State::Finished).is_none() {
            self.finish_stray(fingerprint);
        }
    }

    /// What is in hand is as if it had never been delivered.
    pub(crate) fn forget(&mut self, ticket: Ticket, fingerprint: Fingerprint) {
        if self.settle(ticket, State::Forgotten).is_none() {
            self.strays.remove(&fingerprint);
        }
    }

    /// What is finished is as if it had never been delivered.
    pub(crate) fn forget_finished(&mut self, offset: u64, fingerprint: Fingerprint) {
        if let Some(Stray::Finished(_)) = self.strays.get(&fingerprint) {
            self.strays.remove(&fingerprint);
        }
        if let Some(index) = self.find(offset, fingerprint)
            && self.run[index].state == State::Finished
        {
            self.run[index].state = State::Forgotten;
        }
    }

    fn find(&self, offset: u64, fingerprint: Fingerprint) -> Option<usize> {
        let index = self.run.binary_search_by_key(&offset, |known| known.offset).ok()?;
        (self.run[index].fingerprint == halves(fingerprint)).then_some(index)
    }

    fn settle(&mut self, Ticket(ticket): Ticket, state: State) -> Option<()> {
        let index = usize::try_from(ticket.checked_sub(self.front)?).ok()?;
        self.run.get_mut(index)?.state = state;
        self.in_hand -= 1;
        while self.run.len() - self.in_hand > self.remember {
            self.front += 1;
            let known = self.run.pop_front()?;
            if known.state == State::InHand {
                self.in_hand -= 1;
                self.strays.insert(whole(known.fingerprint), Stray::InHand);
            }
        }
        Some(())
    }

    fn recognize_stray(&mut self, fingerprint: Fingerprint) -> Result<Ticket, Admission> {
        match self.strays.entry(fingerprint) {
            MapEntry::Vacant(place) => {
                place.insert(Stray::InHand);
                Ok(STRAY)
            }
            MapEntry::Occupied(stray) if *stray.get() == Stray::InHand => Err(Admission::InHand),
            MapEntry::Occupied(_) => {
                self.finish_stray(fingerprint);
                Err(Admission::Resolved)
            }
        }
    }

    fn finish_stray(&mut self, fingerprint: Fingerprint) {
        let place = self.oldest + self.finished.len() as u64;
        self.finished.push_back(fingerprint);
        self.strays.insert(fingerprint, Stray::Finished(place));
        if self.finished.len() > self.remember {
            self.push_out();
        }
    }

    /// Unless it was finished again since, or is in hand again.
    fn push_out(&mut self) {
        let Some(fingerprint) = self.finished.pop_front() else { return };
        if self.strays.get(&fingerprint) == Some(&Stray::Finished(self.oldest)) {
            self.strays.remove(&fingerprint);
        }
        self.oldest += 1;
    }
}

/// Two numbers need no alignment of sixteen.
fn halves(Fingerprint(fingerprint): Fingerprint) -> [u64; 2] {
    [fingerprint as u64, (fingerprint >> 64) as u64]
}

fn whole([low, high]: [u64; 2]) -> Fingerprint {
    Fingerprint(u128::from(high) << 64 | u128::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plain list, which forgets nothing by itself.
    #[derive(Default)]
    struct Model {
        in_hand: Vec<(Fingerprint, Ticket)>,
        finished: Vec<Fingerprint>,
    }

    fn print(offset: u64, life: u64) -> Fingerprint {
        Fingerprint(u128::from(offset) << 70 | u128::from(life + 1))
    }

    #[test]
    fn a_finished_one_is_remembered_until_newer_ones_push_it_out() {
        let mut known = Identities::new(2);
        for offset in 0..4 {
            let ticket = known.recognize(offset, print(offset, 0)).expect("it is new");
            known.finish(ticket, print(offset, 0));
        }
        assert_eq!(known.recognize(3, print(3, 0)), Err(Admission::Resolved));
        assert_eq!(known.recognize(2, print(2, 0)), Err(Admission::Resolved));
        assert_eq!(known.recognize(1, print(1, 0)), Ok(STRAY));
        assert_eq!(known.recognize(1, print(1, 0)), Err(Admission::InHand));
    }

    #[test]
    fn another_message_under_an_offset_seen_before_is_new() {
        let mut known = Identities::new(9);
        let ticket = known.recognize(5, print(5, 0)).expect("it is new");
        known.finish(ticket, print(5, 0));
        assert_eq!(known.recognize(5, print(5, 1)), Ok(STRAY));
        assert_eq!(known.recognize(5, print(5, 0)), Err(Admission::Resolved));
        known.finish(STRAY, print(5, 1));
        assert_eq!(known.recognize(5, print(5, 1)), Err(Admission::Resolved));
    }

    #[test]
    fn one_that_stays_in_hand_does_not_keep_the_others_from_being_forgotten() {
        let mut known = Identities::new(10);
        let slow = known.recognize(0, print(0, 0)).expect("it is new");
        for offset in 1..1000 {
            let ticket = known.recognize(offset, print(offset, 0)).expect("it is new");
            known.finish(ticket, print(offset, 0));
        }
        assert!(known.run.len() <= 11 && known.strays.len() <= 11, "{known:?}");
        assert_eq!(known.recognize(0, print(0, 0)), Err(Admission::InHand));
        known.finish(slow, print(0, 0));
        assert_eq!(known.recognize(0, print(0, 0)), Err(Admission::Resolved));
    }

    /// With little memory a finished one may be new again; one in hand never is.
    #[test]
    fn any_order_of_steps_leaves_what_a_plain_list_would_know() {
        let mut random = crate::retry::SplitMix::new(7);
        for round in 0..400 {
            let remember = if round % 2 == 0 { 1_000_000 } else { 3 };
            let (mut known, mut model) = (Identities::new(remember), Model::default());
            for _ in 0..300 {
                let (offset, life) = (random.next_u64() % 40, random.next_u64() % 2);
                let print = print(offset, life);
                let held = model.in_hand.iter().position(|&(other, _)| other == print);
                match (random.next_u64() % 6, held) {
                    (0, Some(held)) => {
                        let (print, ticket) = model.in_hand.swap_remove(held);
                        known.forget(ticket, print);
                    }
                    (1 | 2, Some(held)) => {
                        let (print, ticket) = model.in_hand.swap_remove(held);
                        known.finish(ticket, print);
                        model.finished.push(print);
                    }
                    (3, _) => {
                        known.forget_finished(offset, print);
                        model.finished.retain(|&other| other != print);
                    }
                    _ => match known.recognize(offset, print) {
                        Ok(ticket) => {
                            let is_known = model.finished.contains(&print);
                            assert!(held.is_none() && (!is_known || remember == 3));
                            model.finished.retain(|&other| other != print);
                            model.in_hand.push((print, ticket));
                        }
                        Err(Admission::InHand) => assert!(held.is_some()),
                        Err(_) => assert!(held.is_none() && model.finished.contains(&print)),
                    },
                }
            }
        }
    }
}
