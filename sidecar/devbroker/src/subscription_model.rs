//! Any history of publishes, consumers coming and going, acks, nacks and time
//! ends with every message acked, and keeps the promises on the way.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use danube_core::proto::{StreamMessage, consumer_request::SubscriptionType};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{
    config::{Config, FailurePolicy},
    consumer::Session,
    log::Log,
    stall::Command,
    subscription::{Rules, Subscription},
};

const CONSUMERS: u64 = 3;
const WINDOW: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Publish { key: u8 },
    Subscribe { consumer: u64 },
    Attach { consumer: u64 },
    Detach { consumer: u64 },
    Take { consumer: u64 },
    Ack { which: usize },
    Nack { which: usize },
    Wait { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let consumer = 0..CONSUMERS;
    prop_oneof![
        4 => (0..4_u8).prop_map(|key| Step::Publish { key }),
        1 => consumer.clone().prop_map(|consumer| Step::Subscribe { consumer }),
        2 => consumer.clone().prop_map(|consumer| Step::Attach { consumer }),
        1 => consumer.clone().prop_map(|consumer| Step::Detach { consumer }),
        4 => consumer.prop_map(|consumer| Step::Take { consumer }),
        3 => (0..8_usize).prop_map(|which| Step::Ack { which }),
        1 => (0..8_usize).prop_map(|which| Step::Nack { which }),
        1 => (0..40_000_u64).prop_map(|millis| Step::Wait { millis }),
    ]
}

/// A subscription, and what its consumers saw of it.
struct World {
    kind: SubscriptionType,
    log: Log,
    subscription: Subscription,
    sessions: HashMap<u64, Arc<Session>>,
    now: Instant,
    /// What was taken and not acked; an ack may come late and twice.
    held: Vec<u64>,
    acked: BTreeSet<u64>,
    /// The last offset first seen of each key.
    newest: HashMap<String, u64>,
}

impl World {
    fn new(kind: SubscriptionType) -> Self {
        let failure_policy = FailurePolicy { max_redeliveries: u32::MAX, ..Default::default() };
        let config = Config { failure_policy, max_unacked_messages: WINDOW, ..Config::for_tests() };
        Self {
            kind,
            log: Log::default(),
            subscription: Subscription::new(Rules::new(&config, kind, None), 0),
            sessions: HashMap::new(),
            now: Instant::now(),
            held: Vec::new(),
            acked: BTreeSet::new(),
            newest: HashMap::new(),
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Publish { key } => self.publish(key),
            Step::Subscribe { consumer } => self.subscribe(consumer),
            Step::Attach { consumer } => self.attach(consumer),
            Step::Detach { consumer } => self.detach(consumer),
            Step::Take { consumer } => self.take(consumer),
            Step::Ack { which } => {
                if let Some(offset) = self.held(which) {
                    self.submit(Command::Ack { offset });
                    self.acked.insert(offset);
                }
            }
            Step::Nack { which } => {
                if let Some(offset) = self.held(which) {
                    let reason = "no".to_owned();
                    self.submit(Command::Nack { offset, delay: Duration::ZERO, reason });
                }
            }
            Step::Wait { millis } => {
                self.now += Duration::from_millis(millis);
                self.subscription.tick(self.now);
                self.subscription.dispatch(&self.log);
            }
        }
        self.log.trim(self.subscription.floor());
        self.check();
    }

    fn held(&self, which: usize) -> Option<u64> {
        self.held.get(which % self.held.len().max(1)).copied()
    }

    fn submit(&mut self, command: Command) {
        self.subscription.submit(command, &self.log, self.now).expect("nothing stalls");
    }

    fn publish(&mut self, key: u8) {
        let routing_key = Some(format!("key-{key}"));
        let message =
            StreamMessage { msg_id: Some(Default::default()), routing_key, ..Default::default() };
        self.log.append(message).expect("no disk");
        self.subscription.published(&self.log, self.now);
        self.submit(Command::Wake);
    }

    fn subscribe(&mut self, consumer: u64) {
        let name = format!("consumer-{consumer}");
        let Ok(joined) = self.subscription.join(consumer, &name, vec![], self.now) else { return };
        if joined.takeover {
            self.submit(Command::Release { consumer });
        }
    }

    fn attach(&mut self, consumer: u64) {
        let session = Arc::<Session>::default();
        if self.subscription.attach(consumer, Arc::clone(&session), &self.log) {
            self.sessions.insert(consumer, session);
        }
    }

    fn detach(&mut self, consumer: u64) {
        let Some(session) = self.sessions.remove(&consumer) else { return };
        if self.subscription.detach(consumer, &session) {
            self.submit(Command::Release { consumer });
        }
    }

    fn take(&mut self, consumer: u64) {
        let Some(session) = self.sessions.get(&consumer) else { return };
        if !self.subscription.consumer(consumer).is_some_and(|known| known.is_session(session)) {
            return;
        }
        let mut taken = Vec::new();
        self.subscription.take(consumer, 2, &self.log, self.now, &mut |message| {
            let offset = message.msg_id.as_ref().expect("an id").topic_offset;
            taken.push((message.routing_key.clone().expect("a key"), offset));
        });
        for (key, offset) in taken {
            assert!(!self.acked.contains(&offset), "{offset} was acked");
            self.check_order(key, offset);
            self.held.push(offset);
        }
    }

    /// First occurrences of a key come in order.
    fn check_order(&mut self, key: String, offset: u64) {
        if self.kind == SubscriptionType::KeyShared && !self.held.contains(&offset) {
            let newest = self.newest.insert(key, offset);
            assert!(newest.is_none_or(|newest| newest < offset));
        }
    }

    fn check(&self) {
        assert!(self.subscription.in_flight.len() <= WINDOW);
        if self.kind != SubscriptionType::KeyShared {
            return;
        }
        let mut out = BTreeSet::new();
        for delivery in self.subscription.in_flight.values().filter(|delivery| delivery.is_out()) {
            assert!(out.insert(delivery.key.clone()), "one of a key is out at a time");
        }
    }

    /// One consumer stays and acks all it gets.
    fn drain(&mut self) {
        for consumer in 0..CONSUMERS {
            self.detach(consumer);
        }
        self.apply(Step::Wait { millis: 60_000 });
        self.subscribe(0);
        self.attach(0);
        for _ in 0..4 * self.log.end() + 8 {
            self.take(0);
            for offset in std::mem::take(&mut self.held) {
                self.submit(Command::Ack { offset });
                self.acked.insert(offset);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_message_is_lost_and_none_comes_after_its_ack(
        kind in prop_oneof![
            Just(SubscriptionType::Exclusive),
            Just(SubscriptionType::Shared),
            Just(SubscriptionType::Failover),
            Just(SubscriptionType::KeyShared),
        ],
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(kind);
        for step in steps {
            world.apply(step);
        }
        world.drain();
        prop_assert_eq!(world.acked, (0..world.log.end()).collect::<BTreeSet<_>>());
        prop_assert_eq!(world.subscription.floor(), world.log.end());
    }
}
