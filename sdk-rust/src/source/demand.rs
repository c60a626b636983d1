//! How much may be sent.

use danube_connector_proto::v1::SourceDemand;

/// What was sent in this session, against what may be.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    allowed: SourceDemand,
    pub(crate) sent_records: u64,
    sent_bytes: u64,
}

impl Demand {
    /// The sidecar's latest word. Its counts only grow.
    pub(crate) fn update(&mut self, demand: SourceDemand) {
        self.allowed.records = self.allowed.records.max(demand.records);
        self.allowed.bytes = self.allowed.bytes.max(demand.bytes);
    }

    /// Whether another record may be sent. The one that reaches the byte count
    /// may exceed it.
    pub(crate) fn is_open(&self) -> bool {
        self.sent_records < self.allowed.records && self.sent_bytes < self.allowed.bytes
    }

    /// A record is sent.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.sent_records += 1;
        self.sent_bytes += bytes as u64;
    }

    /// How many more records may be sent.
    pub(crate) fn records_left(&self) -> usize {
        let left = self.allowed.records.saturating_sub(self.sent_records);
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_that_reaches_the_byte_count_may_exceed_it() {
        let mut demand = Demand::default();
        demand.update(SourceDemand { records: 10, bytes: 100 });
        demand.spend(99);
        assert!(demand.is_open());
        demand.spend(500);

        assert!(!demand.is_open());
    }

    #[test]
    fn demand_never_shrinks() {
        let mut demand = Demand::default();
        demand.update(SourceDemand { records: 2, bytes: 1000 });
        demand.update(SourceDemand { records: 1, bytes: 1 });
        demand.spend(10);

        assert!(demand.is_open());
        assert_eq!(demand.records_left(), 1);
    }
}
