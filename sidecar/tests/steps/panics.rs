//! What follows when a part of the sidecar panics.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use danube_sidecar::{
    config::{self, Config, Overrides},
    connectors::{Connectors, Parts},
    session::{Caller, SinkOpen, ToSink},
    sink::Seat,
    vitals::{Part, State, Vitals},
};
use danube_sidecar_store::Store;
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::danube::{Script, TOPIC};

const NAME: &str = "orders";

fn config() -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    let text = format!(
        "danube_service_url = \"http://127.0.0.1:1\"\n[sidecar]\ndata_dir = \"unused\"\n\
         [connectors.{NAME}]\n[[connectors.{NAME}.subscriptions]]\ntopic = \"{TOPIC}\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let overrides = Overrides { config: Some(path), ..Overrides::default() };
    config::load(&overrides, &config::Environment::new()).unwrap()
}

struct Bench {
    connectors: Connectors,
    script: Script,
    vitals: Vitals,
    _store: Store,
}

impl Bench {
    async fn new() -> Self {
        let (script, vitals) = (Script::default(), Vitals::default());
        let store = Store::in_memory().unwrap();
        let parts = Parts {
            danube: Arc::new(script.clone()),
            checkpoints: Arc::new(store.clone()),
            store: store.clone(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            vitals: vitals.clone(),
            delivery: Handle::current(),
        };
        let connectors = Connectors::start(config(), parts, Vec::new()).await.unwrap();
        Self { connectors, script, vitals, _store: store }
    }

    /// Dials until there is a seat, as a connector does.
    async fn join(&self) -> Seat {
        let caller =
            Caller { connector: NAME.to_owned(), max_frame_bytes: 4 << 20, ..Caller::default() };
        let open = SinkOpen { caller, ..SinkOpen::default() };
        for _ in 0..100 {
            let sink = self.connectors.sink(&open).await.unwrap();
            match sink.join(open.clone()).await {
                Ok(seat) => return seat,
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
        panic!("nobody gives a seat");
    }
}

async fn offsets(seat: &mut Seat, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        match timeout(Duration::from_secs(60), seat.frames.recv()).await {
            Ok(Some(ToSink::Batch(offers))) => {
                offsets.extend(offers.iter().map(|offer| offer.record.identity.offset));
            }
            other => panic!("a batch comes: {other:?}"),
        }
    }
    offsets
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_is_started_again_and_delivers_what_it_held() {
    let bench = Bench::new().await;
    bench.script.attach();
    bench.script.panic_at(2);
    let mut first = bench.join().await;

    bench.script.deliver(0..3);
    let ended = timeout(Duration::from_secs(60), &mut first.end).await.unwrap();

    assert!(ended.is_err(), "its session is ended without a word: {ended:?}");
    let trouble = bench.vitals.trouble().unwrap();
    assert_eq!(trouble, "sink orders is restarting: a fault at offset 2");
    bench.script.attach();
    let mut second = bench.join().await;
    assert_eq!(offsets(&mut second, 3).await, [0, 1, 2]);
    assert_eq!((bench.vitals.trouble(), bench.vitals.death()), (None, None));
    let seen: BTreeMap<_, _> =
        bench.vitals.view().into_iter().map(|(part, _, record)| (part, record)).collect();
    assert_eq!((seen[&Part::Sink].panics, seen[&Part::Sink].state), (1, State::Well));
}
