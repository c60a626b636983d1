//! One seeded life of a sink: what is published, what goes wrong, and the account.

use std::{sync::Arc, time::Duration};

use danube_sidecar::{
    config::{Connector, Delivery, Subscription, SubscriptionKind},
    danube::Danube,
    intake::Buffers,
    sink::{Driver, Parts, Plan, Sink},
};
use danube_sidecar_core::dispatch::Departure;
use danube_sidecar_store::{Call, InboxSettings, LetterSettings, Moment, ReplayFrom, Store};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::{
    runtime,
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    super::faults::{Chance, OFTEN, SELDOM, dropped, failed, for_polls},
    broker::{Broker, Handle, TOPIC},
    ledger::{Fate, Ledger},
    worker::{Ended, External, Settings, Worker},
};

/// How long everything may take to come to its end once nothing is wrong any more.
const PATIENCE: Duration = Duration::from_secs(120);

/// So little memory that a few records fill it.
const LITTLE: usize = 4 << 10;

const LETTERS: LetterSettings =
    LetterSettings { max_bytes: 1 << 20, max_age: Duration::from_secs(3600) };

/// Plays the schedule of this seed, and checks its account.
pub fn run(seed: u64) {
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut scene = Scene::new(seed);
        scene.play().await;
        scene.end().await;
    });
}

struct Scene {
    random: StdRng,
    ledger: Arc<Ledger>,
    broker: Arc<Broker>,
    store: Store,
    faults: Chance,
    inbox: bool,
    broker_window: usize,
    memory: usize,
    window: usize,
    external: watch::Sender<External>,
    /// Whether its workers write batches as a whole.
    whole: bool,
    sidecar: Sidecar,
    workers: Vec<CancellationToken>,
    tasks: TaskTracker,
}

/// A running driver.
struct Sidecar {
    sink: Sink,
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let inbox = random.random_bool(0.5);
        let ledger = Arc::new(Ledger::default());
        ledger.lock().pass_through = !inbox;
        let broker_window = *[1, 3, 10, 40].choose(&mut random).expect("there are some");
        let partitions = random.random_range(1..=3);
        let broker = Broker::new(Arc::clone(&ledger), partitions, broker_window, seed);
        let faults = Chance::new("sink", seed);
        let store = Store::in_memory_with(faults.clone()).expect("a store in memory");
        let memory = *[1 << 20, 64 << 10, LITTLE].choose(&mut random).expect("there are some");
        let window = *[1, 5, 20].choose(&mut random).expect("there are some");
        let sidecar = start(&broker, &store, inbox, broker_window, memory, random.random());
        let whole = random.random_bool(0.3);
        let mut scene = Self {
            random,
            ledger,
            broker,
            store,
            faults,
            inbox,
            broker_window,
            memory,
            window,
            external: watch::Sender::new(External::Well),
            whole,
            sidecar,
            workers: Vec::new(),
            tasks: TaskTracker::new(),
        };
        for _ in 0..scene.random.random_range(1..=3) {
            scene.add_worker();
        }
        scene
    }

    async fn play(&mut self) {
        for _ in 0..self.random.random_range(5..20) {
            self.happen().await;
            let pause = Duration::from_micros(self.random.random_range(0..30_000));
            sleep(pause).await;
        }
    }

    async fn happen(&mut self) {
        let what = self.random.random_range(0..120);
        self.ledger.lock().note(format!("at {what}"));
        match what {
            0..40 => self.publish(),
            40..50 => self.crash_worker(),
            50..55 => self.add_worker(),
            55..60 => self.broker.disconnect(false),
            60..65 => self.lag(),
            65..73 => self.kill().await,
            73..78 => self.restart().await,
            78..82 => _ = self.external.send_replace(External::Down),
            82..86 => _ = self.external.send_replace(External::Busy),
            86..92 => _ = self.external.send_replace(External::Well),
            92..95 => self.broker.away(true),
            95..98 => self.broker.away(false),
            98..103 => self.faults.set_rate(OFTEN),
            103..110 => self.faults.set_rate(SELDOM),
            110..118 => self.operate().await,
            _ => sleep(Duration::from_secs(20)).await,
        }
    }

    fn publish(&mut self) {
        for _ in 0..self.random.random_range(1..15) {
            let key = self.random.random_bool(0.8).then(|| self.random.random_range(0..5));
            let fate = match self.random.random_range(0..100) {
                0..80 => Fate::Well,
                80..90 => Fate::Flaky(self.random.random_range(1..3)),
                90..95 => Fate::Poison,
                95..99 => Fate::Dull,
                // In pass-through it can fill the broker's window: then nothing else can
                // succeed, and nobody can tell it from an outage.
                // So can its key fill a memory that is small.
                _ if self.inbox && self.memory > LITTLE => Fate::Killer,
                _ => Fate::Poison,
            };
            self.broker.publish(key, fate);
        }
    }

    fn add_worker(&mut self) {
        if self.workers.len() == 4 {
            return;
        }
        let kill = CancellationToken::new();
        self.workers.push(kill.clone());
        let settings = Settings {
            ledger: Arc::clone(&self.ledger),
            window: self.window,
            external: self.external.subscribe(),
            whole: self.whole,
        };
        let life = live(self.sidecar.sink.clone(), settings, kill, self.random.random());
        self.tasks.spawn(life);
    }

    /// Kills a worker; another is started in its place.
    fn crash_worker(&mut self) {
        if self.workers.is_empty() {
            return;
        }
        let victim = self.random.random_range(0..self.workers.len());
        self.workers.swap_remove(victim).cancel();
        self.ledger.lock().bound += self.window as u64;
        self.add_worker();
    }

    /// An operator asks for something, and mostly does not wait for the answer.
    async fn operate(&mut self) {
        let (sink, polls) = (self.sidecar.sink.clone(), self.random.random_range(0..4));
        match self.random.random_range(0..3) {
            0 => _ = for_polls("sink view", polls, sink.view()).await,
            1 => _ = for_polls("sink pause", polls, sink.pause(false)).await,
            _ => _ = for_polls("sink replay", polls, sink.replay(ReplayFrom::Seq(0))).await,
        }
    }

    /// The broker crashes, and comes back with an older cursor.
    fn lag(&mut self) {
        self.broker.disconnect(true);
        if !self.inbox {
            // A sidecar killed since then does not remember them.
            self.ledger.lock().bound += 20 * 3;
            self.ledger.lock().letters_bound += 20 * 3;
        }
    }

    /// kill -9 of the sidecar.
    async fn kill(&mut self) {
        self.sidecar.task.abort();
        self.come_back(true).await;
    }

    /// SIGTERM, and a new start.
    async fn restart(&mut self) {
        self.sidecar.shutdown.cancel();
        self.come_back(true).await;
    }

    async fn come_back(&mut self, crashed: bool) {
        // What ends now is the sidecar's doing: its result does not matter.
        let _ = (&mut self.sidecar.task).await;
        let workers = self.workers.len().max(1);
        let unresolved = match self.inbox {
            true => (workers * self.window) as u64,
            false => self.broker.in_flight(),
        };
        if crashed {
            let mut ledger = self.ledger.lock();
            ledger.bound += unresolved;
            // Any record's letter, as long as its end may not be written yet.
            ledger.letters_bound +=
                ledger.messages.values().filter(|m| m.may_have_letter()).count() as u64;
        }
        self.workers.clear();
        let seed = self.random.random();
        self.sidecar =
            start(&self.broker, &self.store, self.inbox, self.broker_window, self.memory, seed);
        for _ in 0..workers.min(3) {
            self.add_worker();
        }
    }

    /// Nothing is wrong any more: everything comes to its end.
    async fn end(mut self) {
        self.broker.away(false);
        self.external.send_replace(External::Well);
        self.faults.set_rate(0.0);
        if self.workers.is_empty() {
            self.add_worker();
        }
        let ended = timeout(PATIENCE, async {
            while !self.is_complete() {
                // Others must succeed for a record's failures to count.
                self.broker.publish(None, Fate::Well);
                sleep(Duration::from_millis(500)).await;
            }
        });
        let stuck = ended.await.is_err();
        let view = self.sidecar.sink.view().await;
        let ledger = self.ledger.lock();
        if stuck {
            let missing: Vec<_> = ledger.messages.values().filter(|m| !m.is_complete()).collect();
            panic!(
                "stuck: {} of {}\n{}\n{} in flight, {view:#?}",
                missing.len(),
                ledger.messages.len(),
                ledger.history.join("\n"),
                self.broker.in_flight()
            );
        }
        ledger.check();
    }

    fn is_complete(&self) -> bool {
        self.ledger.lock().complete() && self.broker.in_flight() == 0
    }
}

/// A worker's lives: after one that a record ended, there is another.
async fn live(sink: Sink, settings: Settings, kill: CancellationToken, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for life in 0.. {
        let joining = Worker::join(sink.clone(), settings.clone(), seed + life);
        // Some are dropped while they join, and some while they work.
        let polls = if random.random_bool(0.3) { random.random_range(0..4) } else { u32::MAX };
        let mut worker = match for_polls("sink join", polls, joining).await {
            None => continue,
            Some(Ok(None)) => {
                sleep(Duration::from_millis(10)).await;
                continue;
            }
            Some(Err(_)) => return,
            Some(Ok(Some(worker))) => worker,
        };
        let polls = if random.random_bool(0.1) { random.random_range(0..8) } else { u32::MAX };
        let ended = tokio::select! {
            ended = for_polls("sink session", polls, worker.run()) => Some(ended),
            () = kill.cancelled() => None,
        };
        match ended {
            None => return worker.leave(Departure::Crashed),
            Some(Some(Ended::ByTheSidecar)) => return worker.leave(Departure::Released),
            Some(Some(Ended::Killed)) => {
                settings.ledger.lock().bound += settings.window as u64;
                worker.leave(Departure::Crashed);
            }
            // The session is dropped as it is.
            Some(None) => settings.ledger.lock().bound += settings.window as u64,
        }
    }
}

/// What every run of all schedules plays.
pub fn faults() -> Vec<String> {
    let stored = [
        Call::BeginEpoch,
        Call::OpenInbox,
        Call::ReadSeen,
        Call::Append,
        Call::Resolve,
        Call::ReadInbox,
        Call::Replay,
        Call::ReadSuspicions,
        Call::KeepSuspicion,
        Call::KeepLetter,
        Call::ChangeLetter,
    ];
    let moments = [Moment::Before, Moment::After];
    let stored = stored.into_iter().flat_map(|call| moments.map(|moment| (call, moment)));
    let stored = stored.map(|(call, moment)| failed("sink", call, moment));
    let futures = ["sink join", "sink view", "sink pause", "sink replay"];
    let dropped_at = |what: &'static str| (0..2).map(move |polls| dropped(what, polls));
    let sessions = (0..8).map(|polls| dropped("sink session", polls));
    stored.chain(futures.into_iter().flat_map(dropped_at)).chain(sessions).collect()
}

fn start(
    broker: &Arc<Broker>,
    store: &Store,
    inbox: bool,
    broker_window: usize,
    memory: usize,
    seed: u64,
) -> Sidecar {
    let shutdown = CancellationToken::new();
    let danube: Arc<dyn Danube> = Arc::new(Handle(Arc::clone(broker)));
    let settings =
        InboxSettings { fsync: false, max_bytes: 1 << 30, retain: Duration::from_secs(0) };
    let parts = Parts {
        danube,
        store: store.clone(),
        inbox: inbox.then_some(settings),
        letters: Some(store.letters("sink", LETTERS)),
        create_topics: false,
        broker_window,
        buffer: Arc::new(Buffers::new(memory).share()),
        patience: Duration::from_secs(1),
        shutdown: shutdown.clone(),
        shutdown_timeout: Duration::from_secs(5),
        seed,
    };
    let subscription = Subscription {
        topic: TOPIC.parse().expect("a topic"),
        subscription: "sub".to_owned(),
        kind: SubscriptionKind::Exclusive,
        consumer_name: "consumer".to_owned(),
        key_filters: Vec::new(),
    };
    let connector = Connector {
        name: "sink".to_owned(),
        subscriptions: vec![subscription],
        delivery: Delivery::default(),
        ..Connector::default()
    };
    let (driver, sink) = Driver::prepare(parts, Plan::of_file(connector), None);
    Sidecar { sink, task: tokio::spawn(driver.run()), shutdown }
}
