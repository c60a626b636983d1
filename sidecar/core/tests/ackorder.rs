//! Generated histories of one partition's acks, against a broker that blocks, as
//! Danube's does, when the highest outstanding offset is acked while lower ones are
//! open.

use std::collections::{BTreeSet, VecDeque};

use danube_sidecar_core::ackorder::AckOrder;
use proptest::{prelude::*, test_runner::RngAlgorithm};

/// Numbers are taken modulo what is there.
#[derive(Clone, Debug)]
enum Step {
    Publish,
    Deliver,
    Resolve(usize),
    /// An ack on its way reaches the broker.
    Arrive(usize),
    /// An answer on its way reaches us; or the call fails, applied or not.
    Answer(usize, bool),
    /// The stream ends and opens again; `fresh_first` lets new messages overtake
    /// the repeats.
    Reattach {
        fresh_first: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Publish),
        8 => Just(Step::Deliver),
        8 => any::<usize>().prop_map(Step::Resolve),
        8 => any::<usize>().prop_map(Step::Arrive),
        8 => (any::<usize>(), prop::bool::weighted(0.85))
            .prop_map(|(which, answered)| Step::Answer(which, answered)),
        1 => any::<bool>().prop_map(|fresh_first| Step::Reattach { fresh_first }),
    ]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 10_000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_history_blocks_the_broker_and_everything_resolved_is_acked(
        window in 1..8_usize,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(window);
        for step in steps {
            world.take(step);
        }
        world.finish();
    }
}

/// The broker's message to us.
enum Said {
    Delivered(u64),
    Drained,
}

/// An ack call: which stream it was made on, and whether the broker has seen it.
struct Call {
    offset: u64,
    stream: u64,
    arrived: bool,
}

struct World {
    acks: AckOrder,
    window: usize,
    published: u64,
    /// In flight at the broker.
    outstanding: BTreeSet<u64>,
    acked: BTreeSet<u64>,
    stream: u64,
    said: VecDeque<Said>,
    /// Delivered to us on this stream.
    delivered: BTreeSet<u64>,
    resolved: BTreeSet<u64>,
    calls: Vec<Call>,
}

impl World {
    fn new(window: usize) -> Self {
        Self {
            acks: AckOrder::default(),
            window,
            published: 0,
            outstanding: BTreeSet::new(),
            acked: BTreeSet::new(),
            stream: 0,
            said: VecDeque::from([Said::Drained]),
            delivered: BTreeSet::new(),
            resolved: BTreeSet::new(),
            calls: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Publish => self.publish(),
            Step::Deliver => self.deliver(),
            Step::Resolve(which) => self.resolve(which),
            Step::Arrive(which) => self.arrive(which),
            Step::Answer(which, answered) => self.answer(which, answered),
            Step::Reattach { fresh_first } => self.reattach(fresh_first),
        }
        self.send();
        assert_eq!(self.acks.unanswered(), self.current_calls().count());
    }

    fn finish(&mut self) {
        for _ in 0..10_000 {
            if self.acked.len() as u64 == self.published && self.acks.outstanding() == 0 {
                return;
            }
            for step in [Step::Deliver, Step::Resolve(0), Step::Arrive(0), Step::Answer(0, true)] {
                self.take(step);
            }
        }
        panic!("never acked: {:?} at the broker, {:?}", self.outstanding, self.acks);
    }

    fn publish(&mut self) {
        if self.outstanding.len() < self.window {
            self.outstanding.insert(self.published);
            self.said.push_back(Said::Delivered(self.published));
            self.published += 1;
        }
    }

    fn deliver(&mut self) {
        match self.said.pop_front() {
            None => {}
            Some(Said::Drained) => self.acks.drained(),
            Some(Said::Delivered(offset)) => {
                self.acks.delivered(offset);
                self.delivered.insert(offset);
                if self.resolved.contains(&offset) {
                    self.acks.resolved(offset);
                }
            }
        }
    }

    fn resolve(&mut self, which: usize) {
        let open: Vec<_> = self.delivered.difference(&self.resolved).copied().collect();
        let Some(&offset) = open.get(which % open.len().max(1)) else { return };
        self.resolved.insert(offset);
        self.acks.resolved(offset);
    }

    fn send(&mut self) {
        while let Some(offset) = self.acks.poll() {
            assert!(self.resolved.contains(&offset), "{offset} is acked and not resolved");
            assert!(self.current_calls().all(|call| call.offset != offset), "sent twice");
            self.calls.push(Call { offset, stream: self.stream, arrived: false });
        }
    }

    fn arrive(&mut self, which: usize) {
        let mut under_way: Vec<_> = self.calls.iter_mut().filter(|call| !call.arrived).collect();
        let len = under_way.len().max(1);
        let Some(call) = under_way.get_mut(which % len) else { return };
        call.arrived = true;
        let offset = call.offset;
        let highest = self.outstanding.last() == Some(&offset);
        assert!(!highest || self.outstanding.len() == 1, "{offset} blocks {:?}", self.outstanding);
        if self.outstanding.remove(&offset) {
            self.acked.insert(offset);
        }
    }

    /// A failed call may have reached the broker or not.
    fn answer(&mut self, which: usize, answered: bool) {
        if !answered && !self.calls.is_empty() {
            let call = self.calls.swap_remove(which % self.calls.len());
            if call.stream == self.stream {
                self.acks.failed(call.offset);
            }
            return;
        }
        let arrived: Vec<_> = (0..self.calls.len()).filter(|&i| self.calls[i].arrived).collect();
        let Some(&at) = arrived.get(which % arrived.len().max(1)) else { return };
        let call = self.calls.swap_remove(at);
        if call.stream == self.stream {
            self.acks.answered(call.offset);
        }
    }

    fn reattach(&mut self, fresh_first: bool) {
        self.acks.detached();
        self.stream += 1;
        self.delivered.clear();
        self.said.clear();
        let repeats: Vec<_> = self.outstanding.iter().copied().collect();
        if fresh_first {
            self.publish();
        }
        self.said.extend(repeats.into_iter().map(Said::Delivered));
        self.said.push_back(Said::Drained);
    }

    fn current_calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.stream == self.stream)
    }
}
