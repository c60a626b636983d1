//! How many duplicates a round's faults explain (contract §7).

use crate::schedule::{Intake, Kind, Link, Part, Round};

/// Most unresolved records of a worker, and most uncommitted ones of a source.
pub const WINDOW: u64 = 50;

/// Most duplicates that are nobody's fault but the round's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Effects beyond the first of a message; as well dead letters.
    pub effects: u64,
    /// Dead letters beyond the first of a message, and those only.
    pub letters: u64,
    /// Messages beyond the first of a record of the source.
    pub messages: u64,
}

/// What a fault made of a round, where its kind does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Sessions that the source had.
    pub source_sessions: u64,
    /// Sinks that a record killed.
    pub deaths: u64,
    /// Records that became dead letters.
    pub letters: u64,
}

impl Bound {
    /// What these faults explain.
    pub fn of(round: &Round, injected: &[Kind], observed: Observed) -> Self {
        let mut bound = Self::default();
        for (index, kind) in injected.iter().enumerate() {
            let one = Self::of_one(round, *kind, &injected[..index], observed);
            bound.effects += one.effects;
            bound.letters += one.letters;
            bound.messages += one.messages;
        }
        bound
    }

    fn of_one(round: &Round, kind: Kind, before: &[Kind], observed: Observed) -> Self {
        let (none, window) = (0, WINDOW);
        let at_workers = WINDOW * (round.workers + joined(before));
        let unresolved = match round.intake {
            Intake::Inbox => at_workers,
            Intake::PassThrough => round.broker_window * round.partitions.max(1),
        };
        let (effects, messages) = match kind {
            // Its unresolved window.
            Kind::Kill(Part::Sink) => (window, none),
            // The same, each time until the record is found out.
            Kind::Killer => (window * observed.deaths, none),
            // What the sidecar remembers of a crashed broker's repeats is gone with it.
            Kind::Kill(Part::Sidecar) if forgets(round, before) => (round.sequence.records, window),
            Kind::Kill(Part::Sidecar) => (unresolved, window),
            Kind::Restart(Part::Sidecar) if forgets(round, before) => {
                (round.sequence.records, none)
            }
            // Nothing, where the broker is there to take the last acks.
            Kind::Restart(Part::Sidecar) if troubled(before) => (unresolved, window),
            // In pass-through acks wait for the store, which may have no room.
            Kind::Restart(Part::Sidecar)
                if round.intake == Intake::PassThrough && before.contains(&Kind::DiskFull) =>
            {
                (unresolved, window)
            }
            // Acked too early, the highest of a partition blocks it: where one below it
            // waits for its retry, it comes again.
            Kind::Restart(Part::Sidecar) if round.intake == Intake::PassThrough => {
                (round.partitions.max(1), none)
            }
            Kind::Kill(Part::Source) => (none, window),
            // It repeats what a sidecar had resolved that is no more.
            Kind::Kill(Part::Broker) if began_anew(round, before) => {
                let letters = observed.letters.min(window);
                return Self { effects: round.sequence.records, letters, messages: window };
            }
            // Confirmations that did not arrive: those publishes are tried again, dead
            // letters too.
            Kind::Kill(Part::Broker)
            | Kind::Stop(Part::Broker | Part::Sidecar)
            | Kind::LongStop(Part::Broker | Part::Sidecar)
            | Kind::Cut(Link::Broker)
            | Kind::HalfOpen(Link::Broker) => {
                let letters = observed.letters.min(window);
                return Self { letters, messages: window, ..Self::default() };
            }
            // All sessions end.
            Kind::Cut(Link::Connectors) | Kind::HalfOpen(Link::Connectors) => (at_workers, window),
            // Each session that ends because positions cannot be kept.
            Kind::DiskFull => (none, window * observed.source_sessions.saturating_sub(1)),
            _ => (none, none),
        };
        Self { effects, messages, ..Self::default() }
    }

    pub fn all(self) -> u64 {
        self.effects + self.letters + self.messages
    }
}

fn joined(before: &[Kind]) -> u64 {
    before.iter().filter(|kind| **kind == Kind::Join).count() as u64
}

/// Whether a restarted sidecar knows nothing of what a crashed broker repeats.
fn forgets(round: &Round, before: &[Kind]) -> bool {
    round.intake == Intake::PassThrough && before.contains(&Kind::Kill(Part::Broker))
}

/// Whether the sidecar knows nothing of what one before it has resolved, and a broker
/// that crashes may not know of lately.
fn began_anew(round: &Round, before: &[Kind]) -> bool {
    let anew =
        |kind: &Kind| matches!(kind, Kind::Kill(Part::Sidecar) | Kind::Restart(Part::Sidecar));
    round.intake == Intake::PassThrough && before.iter().any(anew)
}

/// Whether the broker may be out of reach.
fn troubled(before: &[Kind]) -> bool {
    let of_broker = |kind: &Kind| {
        matches!(
            kind,
            Kind::Kill(Part::Broker)
                | Kind::Stop(Part::Broker)
                | Kind::Cut(Link::Broker)
                | Kind::HalfOpen(Link::Broker)
        )
    };
    before.iter().any(of_broker)
}
