//! An inbox does what a naive one does, also when it is opened again in between.

use std::{collections::BTreeMap, ops::Range, path::Path, sync::Arc, time::Duration};

use danube_sidecar_core::record::Record;
use danube_sidecar_store::{Inbox, InboxSettings, ReplayFrom, Store};
use proptest::prelude::*;

use crate::support::{records, waiting};

const RETAINING: InboxSettings =
    InboxSettings { fsync: false, max_bytes: 1 << 30, retain: Duration::from_secs(3600) };

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    /// Of those that wait: every one whose place divided by the first leaves less
    /// than the second.
    Resolve(usize, usize),
    Replay(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..40).prop_map(Step::Append),
        4 => (1usize..5, 0usize..5).prop_map(|(of, less)| Step::Resolve(of, less)),
        1 => (0u64..200).prop_map(Step::Replay),
        2 => Just(Step::Reopen),
    ]
}

/// What waits, and what is retained, by number.
#[derive(Default)]
struct Naive {
    next: u64,
    waiting: BTreeMap<u64, (Arc<Record>, bool)>,
    retained: BTreeMap<u64, Arc<Record>>,
}

impl Naive {
    fn append(&mut self, record: Arc<Record>, replayed: bool) {
        self.next += 1;
        self.waiting.insert(self.next, (record, replayed));
    }

    fn resolve(&mut self, seqs: &[u64], retain: bool) {
        for seq in seqs {
            let Some((record, _)) = self.waiting.remove(seq) else { continue };
            if retain {
                self.retained.insert(*seq, record);
            }
        }
    }

    fn replay(&mut self, from: u64) -> u64 {
        let again = self.retained.split_off(&from);
        let count = again.len() as u64;
        again.into_values().for_each(|record| self.append(record, true));
        count
    }
}

async fn open(dir: &Path, settings: InboxSettings) -> Inbox {
    Store::open(dir).unwrap().inbox("sink", settings).await.unwrap()
}

async fn follow(steps: Vec<Step>, settings: InboxSettings) {
    let dir = tempfile::tempdir().unwrap();
    let mut inbox = open(dir.path(), settings).await;
    let (mut naive, mut offsets) = (Naive::default(), 0..0);
    for step in steps {
        match step {
            Step::Append(count) => append(&inbox, &mut naive, &mut offsets, count).await,
            Step::Resolve(of, less) => {
                let seqs = naive.waiting.keys().enumerate();
                let seqs: Vec<u64> =
                    seqs.filter(|(place, _)| place % of < less).map(|(_, seq)| *seq).collect();
                inbox.resolve(seqs.clone()).await.unwrap();
                naive.resolve(&seqs, !settings.retain.is_zero());
            }
            Step::Replay(from) => {
                let moved = inbox.replay(ReplayFrom::Seq(from)).await.unwrap();
                assert_eq!(moved, naive.replay(from));
            }
            Step::Reopen => {
                drop(inbox);
                inbox = open(dir.path(), settings).await;
            }
        }
        compare(&inbox, &naive).await;
    }
}

async fn append(inbox: &Inbox, naive: &mut Naive, offsets: &mut Range<u64>, count: u64) {
    *offsets = offsets.end..offsets.end + count;
    let batch = records(offsets.clone(), 100);
    let at = inbox.append(batch.clone()).await.unwrap();
    assert_eq!(at.first_seq, naive.next + 1);
    batch.into_iter().for_each(|record| naive.append(record, false));
}

async fn compare(inbox: &Inbox, naive: &Naive) {
    let usage = inbox.usage();
    assert_eq!(usage.records, naive.waiting.len() as u64);
    assert_eq!(usage.retained_records, naive.retained.len() as u64);
    assert_eq!(usage.bytes == 0, naive.waiting.is_empty());
    assert_eq!(usage.oldest_ms.is_some(), !naive.waiting.is_empty());
    let waiting = waiting(inbox).await;
    assert_eq!(waiting.len(), naive.waiting.len());
    for (entry, (seq, (record, replayed))) in waiting.iter().zip(&naive.waiting) {
        assert_eq!((entry.seq, entry.replayed), (*seq, *replayed));
        assert_eq!(entry.record, **record);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_inbox_does_what_a_naive_one_does(
        steps in prop::collection::vec(step(), 1..30),
        retaining in any::<bool>(),
    ) {
        let settings = if retaining {
            RETAINING
        } else {
            InboxSettings { retain: Duration::ZERO, ..RETAINING }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(steps, settings));
    }
}
