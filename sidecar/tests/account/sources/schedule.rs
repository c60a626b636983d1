//! One seeded life of a source: what there is to read, what goes wrong, and the account.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use danube_sidecar::{
    config::{self, DeadLetters, Delivery, OnReject},
    source::{Parts, Source},
    vitals::Vitals,
};
use danube_sidecar_store::{Call, Moment};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::{
    runtime,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    super::faults::{dropped, failed},
    broker::{Broker, Handle},
    connector::Connector,
    ledger::{Ledger, Rules},
    store::{Access, Shared, Trouble},
    upstream::{CONNECTOR, Fate, Partition},
};

/// How long everything may take to come to its end once nothing is wrong any more.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a sidecar may take to end.
const SHUTDOWN: Duration = Duration::from_secs(25);

/// What a session may take to settle, and a little less.
const SOON: Duration = Duration::from_secs(9);

/// Plays the schedule of this seed, and checks its account.
pub fn run(seed: u64) {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut scene = Scene::new(seed);
        scene.play().await;
        scene.end().await;
    });
}

/// What every run of all schedules plays.
pub fn faults() -> Vec<String> {
    let calls = [Call::BeginEpoch, Call::ReadPositions, Call::CommitPositions];
    let moments = [Moment::Before, Moment::After];
    let stored = calls.into_iter().flat_map(|call| moments.map(|moment| (call, moment)));
    let stored = stored.map(|(call, moment)| failed("source", call, moment));
    stored.chain((0..4).map(|polls| dropped("source open", polls))).collect()
}

struct Scene {
    random: StdRng,
    ledger: Arc<Ledger>,
    broker: Arc<Broker>,
    store: Arc<Shared>,
    plan: config::Connector,
    sidecar: Sidecar,
    /// Sidecars that others took over from, and that do not know it.
    stale: Vec<Sidecar>,
    started: usize,
}

/// A running sidecar.
struct Sidecar {
    number: usize,
    source: Arc<Source>,
    sessions: TaskTracker,
    shutdown: CancellationToken,
    /// After this nothing of it happens any more; its connectors end too.
    life: CancellationToken,
    /// The connector that was started last.
    connector: CancellationToken,
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.life.cancel();
    }
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(1..=3);
        let partitions = (0..count).map(|_| Partition::new(random.random_bool(0.8)));
        let partitions = partitions.collect();
        let rules = Rules {
            letters: random.random_bool(0.8),
            on_reject: if random.random_bool(0.15) { OnReject::Fail } else { OnReject::DeadLetter },
            window: *[1, 4, 16, 1000].choose(&mut random).expect("there are some"),
        };
        let ledger = Arc::new(Ledger::new(rules, partitions));
        let broker = Broker::new(Arc::clone(&ledger), random.random());
        let store = Arc::new(Shared::new(random.random()));
        let window_bytes = *[1000, 16 << 20].choose(&mut random).expect("there are some");
        let plan = plan(rules, window_bytes);
        let sidecar = start(0, &ledger, &broker, &store, &plan);
        let mut scene =
            Self { random, ledger, broker, store, plan, sidecar, stale: Vec::new(), started: 0 };
        scene.start_connector();
        scene
    }

    async fn play(&mut self) {
        for _ in 0..self.random.random_range(5..25) {
            self.happen().await;
            let most = if self.random.random_bool(0.1) { 1_000_000 } else { 30_000 };
            sleep(Duration::from_micros(self.random.random_range(0..most))).await;
        }
    }

    async fn happen(&mut self) {
        let what = self.random.random_range(0..100);
        self.ledger.lock().note(format!("at {what}"));
        match what {
            0..38 => self.produce(),
            38..46 => self.kill_connector(),
            46..51 => self.start_connector(),
            51..60 => self.kill(),
            60..65 => self.restart().await,
            65..71 => self.take_over(),
            71..76 => self.broker.away.send_modify(|away| *away = !*away),
            76..82 => self.broker.slow.send_modify(|slow| *slow = !*slow),
            82..88 => self.trouble(|trouble| trouble.failing = !trouble.failing),
            88..92 => self.trouble(|trouble| trouble.slow = !trouble.slow),
            92..94 => self.mend(),
            94..97 => self.stale.clear(),
            _ => sleep(Duration::from_secs(20)).await,
        }
    }

    fn produce(&mut self) {
        let mut ledger = self.ledger.lock();
        for _ in 0..self.random.random_range(1..20) {
            let partition = self.random.random_range(0..ledger.partitions.len());
            let key = self.random.random_bool(0.6).then(|| self.random.random_range(0..4));
            let bad = if ledger.fails() { 1 } else { 8 };
            let fate = match self.random.random_range(0..100) {
                at if at >= bad => Fate::Well,
                0..4 => Fate::Refused,
                4..6 => Fate::Oversize,
                _ => Fate::Undeclared,
            };
            let topic = if fate == Fate::Undeclared { 2 } else { self.random.random_range(0..2) };
            ledger.produce(partition, key, topic, fate);
        }
        drop(ledger);
        self.ledger.changed();
    }

    /// A connector that did not die before is superseded.
    fn start_connector(&mut self) {
        let connector = Connector {
            ledger: Arc::clone(&self.ledger),
            source: Arc::clone(&self.sidecar.source),
            sidecar: self.sidecar.number,
            random: StdRng::seed_from_u64(self.random.random()),
        };
        let kill = self.sidecar.life.child_token();
        self.sidecar.connector = kill.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = kill.cancelled() => {}
                () = connector.live() => {}
            }
        });
    }

    /// Kills the connector; another is started in its place.
    fn kill_connector(&mut self) {
        self.sidecar.connector.cancel();
        self.ledger.lock().left(self.sidecar.number);
        self.start_connector();
    }

    /// kill -9 of the sidecar.
    fn kill(&mut self) {
        self.sidecar.life.cancel();
        self.start();
    }

    /// SIGTERM, and a new start.
    async fn restart(&mut self) {
        let asked = Instant::now();
        let number = self.sidecar.number;
        self.ledger.lock().left(number);
        self.sidecar.shutdown.cancel();
        self.sidecar.sessions.close();
        let _ = timeout(SHUTDOWN, self.sidecar.sessions.wait()).await;
        if asked.elapsed() < SOON {
            self.ledger.lock().settled_before(number, "the sidecar ends");
        }
        self.kill();
    }

    /// Another sidecar starts, and the one before does not end.
    fn take_over(&mut self) {
        self.started += 1;
        let Self { ledger, broker, store, plan, .. } = self;
        let sidecar = start(self.started, ledger, broker, store, plan);
        self.stale.push(std::mem::replace(&mut self.sidecar, sidecar));
        self.start_connector();
    }

    fn start(&mut self) {
        self.take_over();
        self.stale.pop();
    }

    fn trouble(&self, change: impl FnOnce(&mut Trouble)) {
        change(&mut self.store.trouble.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was wrong with entries is so no more.
    fn mend(&self) {
        self.ledger.lock().mended = true;
    }

    /// Nothing is wrong any more: everything comes to its end.
    async fn end(mut self) {
        self.stale.clear();
        self.broker.away.send_replace(false);
        self.broker.slow.send_replace(false);
        self.trouble(|trouble| *trouble = Trouble::default());
        self.mend();
        self.start_connector();
        let ended = timeout(PATIENCE, async {
            while !self.is_over() {
                sleep(Duration::from_millis(100)).await;
            }
        });
        let stuck = ended.await.is_err();
        let view = self.sidecar.source.view().await;
        let mut ledger = self.ledger.lock();
        if stuck {
            let open = ledger.partitions.iter().filter(|partition| !partition.is_complete());
            let open: Vec<_> = open.map(|p| (p.committed, p.entries.len())).collect();
            ledger.violated(format!("stuck: {open:?} {view:?}"));
        } else if ledger.violations.is_empty() {
            ledger.check_end();
        }
        let history = ledger.history.join("\n");
        assert!(ledger.violations.is_empty(), "{history}\n{:#?}", ledger.violations);
    }

    fn is_over(&self) -> bool {
        let ledger = self.ledger.lock();
        ledger.is_complete() || !ledger.violations.is_empty()
    }
}

fn plan(rules: Rules, window_bytes: usize) -> config::Connector {
    config::Connector {
        name: CONNECTOR.to_owned(),
        delivery: Delivery {
            window_records: Some(rules.window),
            window_bytes: Some(window_bytes),
            ..Delivery::default()
        },
        dead_letters: DeadLetters {
            enabled: rules.letters,
            on_reject: rules.on_reject,
            ..DeadLetters::default()
        },
        ..config::Connector::default()
    }
}

fn start(
    number: usize,
    ledger: &Arc<Ledger>,
    broker: &Arc<Broker>,
    store: &Arc<Shared>,
    plan: &config::Connector,
) -> Sidecar {
    let life = CancellationToken::new();
    let (shutdown, sessions) = (CancellationToken::new(), TaskTracker::new());
    let checkpoints = Access {
        shared: Arc::clone(store),
        ledger: Arc::clone(ledger),
        sidecar: number,
        life: life.clone(),
    };
    let parts = Parts {
        danube: Arc::new(Handle { broker: Arc::clone(broker), life: life.clone() }),
        checkpoints: Arc::new(checkpoints),
        letters: None,
        shutdown: shutdown.clone(),
        shutdown_timeout: SHUTDOWN,
        tasks: sessions.clone(),
        vitals: Vitals::default(),
    };
    let source = Arc::new(Source::new(parts, plan.clone()));
    let connector = life.child_token();
    Sidecar { number, source, sessions, shutdown, life, connector }
}
