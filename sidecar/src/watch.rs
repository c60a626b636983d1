//! Looks at all connectors every few seconds: what one waits for becomes a gauge, and a
//! line in the log when it begins and when it ends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use danube_sidecar_core::dispatch::Stage;
use metrics::gauge;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    connectors::Connectors,
    sink,
    waiting::{self, STATES, State, Waiting},
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);

/// What was seen of each connector at the last look, and whether the log says so.
#[derive(Debug, Default)]
struct Seen(BTreeMap<(String, State), bool>);

/// What the log is to say.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Waits(String, Waiting),
    Ended(String, State),
}

/// Looks until `stop`.
pub async fn run(connectors: Arc<Connectors>, stop: CancellationToken) {
    let mut seen = Seen::default();
    let mut looks = tokio::time::interval(EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stop.cancelled() => return,
        }
        let all = look(&connectors).await;
        for (connector, waiting) in &all {
            show(connector, waiting);
        }
        seen.look(all).into_iter().for_each(say);
    }
}

async fn look(connectors: &Connectors) -> Vec<(String, Vec<Waiting>)> {
    let mut all = Vec::new();
    for (connector, view) in connectors.sinks().await {
        show_failing(&connector, &view);
        all.push((connector, waiting::of_sink(&view)));
    }
    for (connector, view) in connectors.sources().await {
        all.push((connector, waiting::of_source(&view)));
    }
    all
}

impl Seen {
    /// What lasts from one look to the next is said, and that it ended.
    fn look(&mut self, all: Vec<(String, Vec<Waiting>)>) -> Vec<Line> {
        let (mut lines, mut now) = (Vec::new(), BTreeMap::new());
        for (connector, waiting) in all {
            for waiting in waiting {
                let name = (connector.clone(), waiting.state);
                let before = self.0.get(&name).copied();
                let told = before.is_some();
                if before == Some(false) && !now.contains_key(&name) {
                    lines.push(Line::Waits(connector.clone(), waiting));
                }
                now.insert(name, told);
            }
        }
        for ((connector, state), told) in std::mem::take(&mut self.0) {
            if told && !now.contains_key(&(connector.clone(), state)) {
                lines.push(Line::Ended(connector, state));
            }
        }
        self.0 = now;
        lines
    }
}

fn say(line: Line) {
    match line {
        Line::Waits(connector, Waiting { state, cause, remedy }) => {
            warn!(connector, state = state.as_str(), cause, remedy, "the connector waits");
        }
        Line::Ended(connector, state) => {
            info!(connector, state = state.as_str(), "the connector waits no more for this");
        }
    }
}

fn show(connector: &str, waiting: &[Waiting]) {
    let states: BTreeSet<State> = waiting.iter().map(|waiting| waiting.state).collect();
    for state in STATES {
        let on = f64::from(u8::from(states.contains(&state)));
        let connector = connector.to_owned();
        gauge!("danube_connector_waiting", "connector" => connector, "state" => state.as_str())
            .set(on);
    }
}

/// How many records fail, and for how long one does.
fn show_failing(connector: &str, view: &sink::View) {
    let name = || connector.to_owned();
    let dispatch = &view.dispatch;
    let counts = [
        ("retry", dispatch.retries_waiting),
        ("suspended", dispatch.suspended),
        ("dead_letter", dispatch.dead_letters_pending),
        ("suspect", dispatch.suspects),
    ];
    for (state, count) in counts {
        gauge!("danube_connector_failing_records", "connector" => name(), "state" => state)
            .set(count as f64);
    }
    let unended = view.failing.iter().filter(|shown| shown.failing.stage != Stage::DeadLetter);
    let ages = unended.filter_map(|shown| SystemTime::now().duration_since(shown.since).ok());
    let oldest = ages.max().unwrap_or_default();
    gauge!("danube_connector_oldest_failure_seconds", "connector" => name())
        .set(oldest.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspended() -> Vec<(String, Vec<Waiting>)> {
        let waiting =
            Waiting { state: State::Suspended, cause: "offset 7".to_owned(), remedy: "resume" };
        vec![("orders".to_owned(), vec![waiting.clone(), waiting])]
    }

    #[test]
    fn what_lasts_is_said_once_and_that_it_ended() {
        let mut seen = Seen::default();
        assert_eq!(seen.look(suspended()), []);
        let said = seen.look(suspended());
        assert!(matches!(&said[..], [Line::Waits(..)]), "{said:?}");
        assert_eq!(seen.look(suspended()), []);
        assert_eq!(seen.look(vec![]), [Line::Ended("orders".to_owned(), State::Suspended)]);
        assert_eq!(seen.look(vec![]), []);
    }

    #[test]
    fn what_comes_and_goes_at_once_is_not_said() {
        let mut seen = Seen::default();
        assert_eq!(seen.look(suspended()), []);
        assert_eq!(seen.look(vec![]), []);
    }
}
