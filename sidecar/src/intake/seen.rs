//! Which messages are in the log already, so that their repeats are acked again
//! and not logged again.

use std::{collections::VecDeque, sync::Arc};

use danube_sidecar_core::{hash::FastMap, record::Fingerprint};

/// Identities that are remembered per partition: the largest window that a Danube
/// broker can be given (`max_unacked_messages`), so all that it can repeat.
pub(super) const REMEMBER: usize = 10_000;

/// Where a message stands that came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is on its way into the log.
    Arriving,
    /// It is in the log, or was.
    Logged,
}

/// The messages seen lately.
#[derive(Debug, Default)]
pub(super) struct Seen {
    known: FastMap<Fingerprint, Standing>,
    logged: FastMap<Arc<str>, VecDeque<Fingerprint>>,
}

impl Seen {
    /// What the log remembers, the oldest of each partition first.
    pub(super) fn new(remembered: Vec<(Arc<str>, Vec<Fingerprint>)>) -> Self {
        let mut seen = Self::default();
        for (partition, fingerprints) in remembered {
            for fingerprint in fingerprints {
                seen.logged(&partition, fingerprint);
            }
        }
        seen
    }

    pub(super) fn standing(&self, fingerprint: Fingerprint) -> Option<Standing> {
        self.known.get(&fingerprint).copied()
    }

    pub(super) fn arriving(&mut self, fingerprint: Fingerprint) {
        self.known.insert(fingerprint, Standing::Arriving);
    }

    pub(super) fn logged(&mut self, partition: &Arc<str>, fingerprint: Fingerprint) {
        if self.known.insert(fingerprint, Standing::Logged) == Some(Standing::Logged) {
            return;
        }
        let ring = self.logged.entry(Arc::clone(partition)).or_default();
        ring.push_back(fingerprint);
        if ring.len() > REMEMBER {
            self.known.remove(&ring.pop_front().unwrap_or(fingerprint));
        }
    }
}

#[cfg(test)]
mod tests {
    use danube_sidecar_core::record::Identity;

    use super::*;

    fn message(offset: u64) -> Fingerprint {
        let identity = Identity {
            partition: "/default/t".into(),
            offset,
            producer: "p".into(),
            request_id: offset,
            publish_time_ms: 0,
        };
        identity.fingerprint()
    }

    #[test]
    fn a_message_is_known_from_its_arrival_on() {
        let mut seen = Seen::default();
        assert_eq!(seen.standing(message(1)), None);
        seen.arriving(message(1));
        assert_eq!(seen.standing(message(1)), Some(Standing::Arriving));
        seen.logged(&"/default/t".into(), message(1));
        assert_eq!(seen.standing(message(1)), Some(Standing::Logged));
    }

    #[test]
    fn what_the_log_remembers_is_known() {
        let seen = Seen::new(vec![("/default/t".into(), vec![message(1), message(2)])]);
        assert_eq!(seen.standing(message(2)), Some(Standing::Logged));
    }

    #[test]
    fn the_oldest_of_a_partition_are_forgotten() {
        let (mut seen, partition) = (Seen::default(), "/default/t".into());
        for offset in 0..=REMEMBER as u64 {
            seen.logged(&partition, message(offset));
        }
        assert_eq!(seen.standing(message(0)), None);
        assert_eq!(seen.standing(message(1)), Some(Standing::Logged));
    }
}
