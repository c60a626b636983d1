//! Records that were read and are not committed yet.
//!
//! They stay here until the sidecar says that they are safe, so that a lost
//! session costs nothing: the next one gets them again, numbered from one. What
//! is here is bounded by the sidecar's demand, plus one poll.

use std::collections::{HashMap, VecDeque};

use danube_connector_proto::v1::{self, SourceDemand};
use prost::Message as _;
use thiserror::Error;

use super::{convert, demand::Demand};
use crate::{Offset, SourceRecord};

/// A frame is closed at this size, in bytes, to keep records moving.
const GOOD_FRAME: usize = 1 << 20;
/// What a frame needs around its records, and a record inside its frame, at most.
const FRAME_OVERHEAD: usize = 64;
const RECORD_OVERHEAD: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    records: VecDeque<Kept>,
    polls: VecDeque<Poll>,
    /// Polls that are complete and gone.
    completed: u64,
    /// By source partition, the last offset that is known to be safe.
    known: HashMap<String, u64>,
    demand: Demand,
    /// The number up to which the sidecar has confirmed.
    committed: u64,
}

/// A record, and which of which poll it is.
#[derive(Debug)]
struct Kept {
    record: v1::SourceRecord,
    poll: u64,
    index: usize,
}

/// The records of one poll, or one of a stream.
#[derive(Debug)]
struct Poll {
    streamed: bool,
    offsets: Vec<Offset>,
    uncommitted: usize,
}

/// A record that no frame can carry.
#[derive(Debug, Error)]
#[error(
    "a record for {topic} has {bytes} bytes, and the sidecar accepts frames of at most {limit}: \
     split it, or skip it in the connector"
)]
pub(crate) struct TooLarge {
    topic: String,
    bytes: usize,
    limit: usize,
}

impl Outbox {
    /// A new session begins: everything is sent again, but for what these positions show
    /// to be safe: the session broke before that was said. Returns the offsets of each
    /// poll that is complete now.
    pub(crate) fn reopen(&mut self, positions: &[Offset]) -> Vec<Vec<Offset>> {
        self.demand = Demand::default();
        self.committed = 0;
        let safe = self.safe(positions);
        self.known.extend(positions.iter().map(|place| (place.partition.clone(), place.value)));
        let mut records = std::mem::take(&mut self.records);
        let mut index = 0;
        records.retain(|kept| {
            let partition = kept.record.position.as_ref().map(|place| &place.source_partition[..]);
            let is_safe = partition
                .and_then(|partition| safe.get(partition))
                .is_some_and(|last| index <= *last);
            index += 1;
            if is_safe {
                self.settle(kept.poll);
            }
            !is_safe
        });
        self.records = records;
        self.complete()
    }

    /// By source partition, the record that a position names. What was read before it is safe
    /// too. Of records at the same place only the first is known to be, and none where that
    /// was known before.
    fn safe(&self, positions: &[Offset]) -> HashMap<String, usize> {
        let mut safe = HashMap::new();
        for Offset { partition, value, .. } in positions {
            if self.known.get(partition) == Some(value) {
                continue;
            }
            let named = |kept: &Kept| {
                let place = kept.record.position.as_ref();
                place.is_some_and(|at| at.source_partition == *partition && at.offset == *value)
            };
            if let Some(index) = self.records.iter().position(named) {
                safe.insert(partition.clone(), index);
            }
        }
        safe
    }

    /// Keeps the records of a poll.
    pub(crate) fn push(&mut self, records: Vec<SourceRecord>) {
        self.keep(records, false);
    }

    /// Keeps the records of a stream: each is committed by itself.
    pub(crate) fn push_streamed(&mut self, records: Vec<SourceRecord>) {
        records.into_iter().for_each(|record| self.keep(vec![record], true));
    }

    fn keep(&mut self, records: Vec<SourceRecord>, streamed: bool) {
        let offsets = convert::offsets(&records);
        let poll = self.completed + self.polls.len() as u64;
        self.polls.push_back(Poll { streamed, uncommitted: offsets.len(), offsets });
        let kept = |(index, record)| Kept { record: convert::record(record), poll, index };
        self.records.extend(records.into_iter().enumerate().map(kept));
    }

    /// The sidecar wants more.
    pub(crate) fn demand(&mut self, demand: SourceDemand) {
        self.demand.update(demand);
    }

    /// Whether nothing waits to be sent and more could be: the time to poll.
    pub(crate) fn wants_more(&self) -> bool {
        self.is_sent() && self.demand.is_open()
    }

    /// Whether nothing waits to be sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.unsent_from() == self.records.len()
    }

    /// How many records the sidecar would take now.
    pub(crate) fn room(&self) -> usize {
        self.demand.records_left()
    }

    /// Whether everything is committed.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Records that are not committed.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The next frame, if records wait and demand allows it.
    pub(crate) fn next_frame(
        &mut self,
        limit: usize,
    ) -> Result<Option<v1::SourceRecords>, TooLarge> {
        let good = GOOD_FRAME.min(limit);
        let first_number = self.demand.sent_records + 1;
        let mut size = FRAME_OVERHEAD;
        let mut records = Vec::new();
        while let Some(Kept { record, .. }) = self.records.get(self.unsent_from()) {
            let bytes = record.encoded_len();
            size += bytes + RECORD_OVERHEAD;
            if !self.demand.is_open() || (size > good && !records.is_empty()) {
                break;
            }
            if size > limit {
                return Err(TooLarge { topic: record.topic.clone(), bytes, limit });
            }
            records.push(record.clone());
            self.demand.spend(bytes);
        }
        Ok((!records.is_empty()).then_some(v1::SourceRecords { first_number, records }))
    }

    /// Everything up to `number` is safe: forgets it, and returns the offsets of
    /// each poll that is complete now. None when that number was never sent.
    pub(crate) fn commit(&mut self, number: u64) -> Option<Vec<Vec<Offset>>> {
        if number > self.demand.sent_records {
            return None;
        }
        let safe = usize::try_from(number.saturating_sub(self.committed)).ok()?;
        self.committed = self.committed.max(number);
        let gone: Vec<_> = self.records.drain(..safe).collect();
        for Kept { record, poll, .. } in gone {
            self.settle(poll);
            if let Some(place) = record.position {
                self.known.insert(place.source_partition, place.offset);
            }
        }
        Some(self.complete())
    }

    /// The offset of a record that was sent and is not committed.
    pub(crate) fn offset(&self, number: u64) -> Option<&Offset> {
        let index = number.checked_sub(self.committed + 1)?;
        let kept = self.records.get(usize::try_from(index).ok()?)?;
        self.poll(kept.poll)?.offsets.get(kept.index)
    }

    fn poll(&self, poll: u64) -> Option<&Poll> {
        self.polls.get(usize::try_from(poll - self.completed).ok()?)
    }

    /// A record of this poll is safe.
    fn settle(&mut self, poll: u64) {
        let index = usize::try_from(poll - self.completed).unwrap_or(usize::MAX);
        if let Some(poll) = self.polls.get_mut(index) {
            poll.uncommitted -= 1;
        }
    }

    /// Lets go of the polls in front that are complete: what is told of them comes in order,
    /// and what was streamed at once.
    fn complete(&mut self) -> Vec<Vec<Offset>> {
        let mut complete: Vec<Vec<Offset>> = Vec::new();
        let mut joins = false;
        while self.polls.front().is_some_and(|poll| poll.uncommitted == 0) {
            let Some(poll) = self.polls.pop_front() else { break };
            self.completed += 1;
            match complete.last_mut() {
                Some(last) if joins && poll.streamed => last.extend(poll.offsets),
                _ => complete.push(poll.offsets),
            }
            joins = poll.streamed;
        }
        complete
    }

    /// The index of the first record that this session was not sent.
    fn unsent_from(&self) -> usize {
        usize::try_from(self.demand.sent_records - self.committed).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 4 << 20;

    fn outbox(records: u64, bytes: u64) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.demand(SourceDemand { records, bytes });
        outbox
    }

    fn records(count: usize) -> Vec<SourceRecord> {
        (0..count).map(|n| SourceRecord::from_string("/default/t", n.to_string())).collect()
    }

    fn send(outbox: &mut Outbox) -> Option<(u64, usize)> {
        let frame = outbox.next_frame(LIMIT).expect("small records")?;
        Some((frame.first_number, frame.records.len()))
    }

    #[test]
    fn no_more_is_sent_than_demanded() {
        let mut outbox = outbox(2, 1000);
        outbox.push(records(5));

        assert_eq!(send(&mut outbox), Some((1, 2)));
        assert_eq!(send(&mut outbox), None);
        outbox.demand(SourceDemand { records: 4, bytes: 1000 });
        assert_eq!(send(&mut outbox), Some((3, 2)));
    }

    #[test]
    fn a_poll_is_due_only_when_all_is_sent_and_more_is_wanted() {
        let mut outbox = outbox(3, 1000);
        assert!(outbox.wants_more());
        outbox.push(records(2));
        assert!(!outbox.wants_more());
        send(&mut outbox);
        assert!(outbox.wants_more());
        outbox.push(records(1));
        send(&mut outbox);

        assert!(!outbox.wants_more());
    }

    #[test]
    fn a_poll_is_committed_when_its_last_record_is() {
        let mut outbox = outbox(10, 1000);
        outbox.push(records(2));
        outbox.push(records(1));
        send(&mut outbox);

        assert_eq!(outbox.commit(1).expect("sent"), Vec::<Vec<Offset>>::new());
        let polls = outbox.commit(3).expect("sent");
        assert_eq!(
            polls,
            [
                vec![Offset::new("/default/t", 0), Offset::new("/default/t", 1)],
                vec![Offset::new("/default/t", 0)]
            ]
        );
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_was_streamed_is_committed_as_far_as_it_is_safe() {
        let mut outbox = outbox(10, 1000);
        outbox.push_streamed(records(3));
        send(&mut outbox);

        let safe = outbox.commit(2).expect("sent");
        assert_eq!(safe.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
        assert_eq!(outbox.commit(3).expect("sent").len(), 1);
    }

    #[test]
    fn a_new_session_gets_what_was_not_committed_numbered_from_one() {
        let mut outbox = outbox(10, 1000);
        outbox.push(records(3));
        send(&mut outbox);
        outbox.commit(1).expect("sent");
        assert!(outbox.reopen(&[]).is_empty());
        assert_eq!(send(&mut outbox), None);
        outbox.demand(SourceDemand { records: 10, bytes: 1000 });

        assert_eq!(send(&mut outbox), Some((1, 2)));
        assert_eq!(outbox.commit(2).expect("sent").len(), 1);
    }

    #[test]
    fn what_the_positions_show_to_be_safe_is_not_sent_again() {
        let at = |partition: &str, value| {
            SourceRecord::from_string("/default/t", "x").with_offset(Offset::new(partition, value))
        };
        let mut outbox = outbox(10, 1000);
        outbox.push(vec![at("a", 1), at("b", 1)]);
        outbox.push(vec![at("a", 2), at("b", 2)]);
        send(&mut outbox);

        let polls = outbox.reopen(&[Offset::new("a", 2), Offset::new("c", 1)]);
        assert_eq!((polls.len(), outbox.len()), (0, 2));
        let polls = outbox.reopen(&[Offset::new("a", 2), Offset::new("b", 1)]);
        assert_eq!(polls, [vec![Offset::new("a", 1), Offset::new("b", 1)]]);
        outbox.demand(SourceDemand { records: 10, bytes: 1000 });
        assert_eq!(send(&mut outbox), Some((1, 1)));
        assert_eq!(outbox.offset(1), Some(&Offset::new("b", 2)));
        assert_eq!(outbox.commit(1).expect("sent").len(), 1);
    }

    #[test]
    fn records_at_the_same_place_are_sent_again_unless_one_is_newly_safe() {
        let here = || SourceRecord::from_string("/default/t", "x").with_offset(Offset::new("a", 0));
        let mut outbox = outbox(10, 1000);
        outbox.push_streamed(vec![here(), here(), here(), here()]);
        send(&mut outbox);

        assert_eq!(outbox.reopen(&[Offset::new("a", 0)]).len(), 1);
        assert_eq!((outbox.reopen(&[Offset::new("a", 0)]).len(), outbox.len()), (0, 3));
        outbox.demand(SourceDemand { records: 10, bytes: 1000 });
        send(&mut outbox);
        outbox.commit(1).expect("sent");
        assert_eq!((outbox.reopen(&[Offset::new("a", 0)]).len(), outbox.len()), (0, 2));
    }

    #[test]
    fn a_number_that_was_never_sent_cannot_be_committed() {
        let mut outbox = outbox(10, 1000);
        outbox.push(records(1));
        send(&mut outbox);

        assert!(outbox.commit(2).is_none());
    }

    #[test]
    fn an_old_commit_changes_nothing() {
        let mut outbox = outbox(10, 1000);
        outbox.push(records(2));
        send(&mut outbox);
        outbox.commit(1).expect("sent");

        assert_eq!(outbox.commit(1).expect("sent"), Vec::<Vec<Offset>>::new());
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn large_records_go_into_frames_of_their_own() {
        let mut outbox = outbox(10, u64::MAX);
        let large = || SourceRecord::new("/default/t", vec![0; GOOD_FRAME]);
        outbox.push(vec![large(), large()]);

        assert_eq!(send(&mut outbox), Some((1, 1)));
        assert_eq!(send(&mut outbox), Some((2, 1)));
    }

    #[test]
    fn a_record_above_the_limit_is_named() {
        let mut outbox = outbox(10, u64::MAX);
        outbox.push(vec![SourceRecord::new("/default/t", vec![0; LIMIT])]);
        let error = outbox.next_frame(LIMIT).expect_err("too large").to_string();

        assert!(error.contains("/default/t") && error.contains(&LIMIT.to_string()), "{error}");
    }
}
