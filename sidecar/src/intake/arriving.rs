//! Messages on their way into the log, with the bytes that they take.
//!
//! **Architecture invariant:** nobody else counts them, so that no way out of here can
//! leave a byte behind: what still counts keeps the broker let go of.

use std::sync::Arc;

use danube_sidecar_core::record::Record;

/// Messages that are not in the log yet, in the broker's order. Bounded by the memory
/// of their sink and the broker's windows: beyond it the subscriptions are let go of.
#[derive(Debug, Default)]
pub(super) struct Arriving {
    records: Vec<Arc<Record>>,
    bytes: usize,
}

impl Arriving {
    /// What they take, encoded.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The last one.
    pub(super) fn push(&mut self, record: Arc<Record>) {
        self.bytes += record.encoded_len();
        self.records.push(record);
    }

    /// Takes out the first ones: at most so many, and at most so many bytes, but one in
    /// any case.
    pub(super) fn take(&mut self, most: usize, room: u64) -> Vec<Arc<Record>> {
        let filled = self.records.iter().scan(0, |filled, record| {
            *filled += record.encoded_len() as u64;
            Some(*filled)
        });
        let fit = filled.take(most).take_while(|filled| *filled <= room).count().max(1);
        let later = self.records.split_off(fit.min(self.records.len()));
        self.replace(later)
    }

    /// They could not go: they are the first ones again.
    pub(super) fn put_back(&mut self, mut records: Vec<Arc<Record>>) {
        records.append(&mut self.records);
        self.replace(records);
    }

    /// Takes out those that are in the log after all.
    pub(super) fn take_logged(
        &mut self,
        is_logged: impl Fn(&Arc<Record>) -> bool,
    ) -> Vec<Arc<Record>> {
        let all = std::mem::take(&mut self.records);
        let (logged, missing) = all.into_iter().partition(is_logged);
        self.replace(missing);
        logged
    }

    fn replace(&mut self, records: Vec<Arc<Record>>) -> Vec<Arc<Record>> {
        self.bytes = records.iter().map(|record| record.encoded_len()).sum();
        std::mem::replace(&mut self.records, records)
    }
}

#[cfg(test)]
mod tests {
    use danube_sidecar_core::record::Identity;

    use super::*;

    fn record(offset: u64) -> Arc<Record> {
        let identity = Identity {
            partition: "/default/t".into(),
            offset,
            producer: "p".into(),
            request_id: offset,
            publish_time_ms: 0,
        };
        Arc::new(Record {
            identity,
            topic: "/default/t".into(),
            subscription: "sub".into(),
            key: None,
            payload: vec![0; 100].into(),
            attributes: std::collections::HashMap::new(),
            schema: None,
        })
    }

    fn arriving(records: u64) -> Arriving {
        let mut arriving = Arriving::default();
        (0..records).for_each(|offset| arriving.push(record(offset)));
        arriving
    }

    fn offsets(records: &[Arc<Record>]) -> Vec<u64> {
        records.iter().map(|record| record.identity.offset).collect()
    }

    #[test]
    fn what_is_taken_out_counts_no_longer_however_it_went() {
        let one = record(0).encoded_len();
        let mut arriving = arriving(5);
        assert_eq!(arriving.bytes(), 5 * one);
        let taken = arriving.take(2, u64::MAX);
        assert_eq!((offsets(&taken), arriving.bytes()), (vec![0, 1], 3 * one));
        arriving.put_back(taken);
        assert_eq!(arriving.bytes(), 5 * one);
        let logged = arriving.take_logged(|record| record.identity.offset < 2);
        assert_eq!((offsets(&logged), arriving.bytes()), (vec![0, 1], 3 * one));
        assert_eq!(offsets(&arriving.take(usize::MAX, u64::MAX)), [2, 3, 4]);
        assert_eq!((arriving.bytes(), arriving.is_empty()), (0, true));
    }

    #[test]
    fn what_there_is_room_for_is_taken_and_one_in_any_case() {
        let one = record(0).encoded_len() as u64;
        assert_eq!(offsets(&arriving(3).take(usize::MAX, 2 * one)), [0, 1]);
        assert_eq!(offsets(&arriving(3).take(usize::MAX, 0)), [0]);
    }
}
