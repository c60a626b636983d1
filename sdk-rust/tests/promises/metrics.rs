//! What is counted.

use std::sync::{Arc, Mutex};

use danube_connector_sdk::{
    ConnectorConfig,
    testing::{SinkDriver, SinkRecordBuilder},
};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::connectors::{Journal, SingleSink};

#[test]
fn records_are_counted_under_the_guides_names() {
    let counts = Counts::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    metrics::with_local_recorder(&counts, || {
        runtime.block_on(async {
            let sink = SingleSink::new(&Journal::new());
            let driver = SinkDriver::start(sink, ConnectorConfig::default()).await;
            let record = |text: &str| SinkRecordBuilder::new("/default/t").payload(text).build();
            let batch = ["a", "bad", "retry"].map(record).to_vec();
            driver.expect("it starts").deliver(batch).await;
        });
    });

    assert_eq!(counts.of("danube_connector_messages_received_total"), 3);
    assert_eq!(counts.of("danube_connector_messages_processed_total"), 1);
    assert_eq!(counts.of("danube_connector_messages_failed_total"), 2);
    assert_eq!(counts.of("danube_connector_messages_retried_total"), 1);
}

/// Adds up counters by name.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Vec<(String, u64)>>>);

impl Counts {
    fn of(&self, name: &str) -> u64 {
        let counts = self.0.lock().expect("no panic");
        counts.iter().filter(|(counted, _)| counted == name).map(|(_, count)| count).sum()
    }
}

struct Count {
    name: String,
    counts: Counts,
}

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.counts.0.lock().expect("no panic").push((self.name.clone(), value));
    }

    fn absolute(&self, _value: u64) {}
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let count = Count { name: key.name().to_owned(), counts: self.clone() };
        Counter::from_arc(Arc::new(count))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
