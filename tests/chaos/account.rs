//! The account of a round: every record, where it went, and what must not be.

mod gaps;
mod letters;
mod order;
mod positions;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use crate::{
    bound::{Bound, Observed},
    evidence::{Evidence, Message, Offset},
    journal::{Handled, What},
    schedule::{Intake, Kind, Part, Profile, Round},
    sequence::{Fate, Place, Planned},
};

/// What is wrong with a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise is broken.
    pub rule: Rule,
    /// How.
    pub detail: String,
}

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Every record comes to its end.
    Lost,
    /// A position is not ahead of what is published.
    PositionAhead,
    /// First occurrences are in order.
    Order,
    /// Duplicates have a cause.
    Duplicates,
    /// Only what was published has effects.
    Unpublished,
    /// A dead letter for each record that deserves one, for no other, and right.
    Letters,
    /// Gaps reported = gaps real.
    Gaps,
    /// Everything is resolved in the end.
    Stuck,
    /// The round did what it should.
    Proof,
}

/// What came of a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; nothing, where all is well.
    pub violations: Vec<Violation>,
    /// What was counted.
    pub counts: Counts,
}

/// What is counted of rounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records of the source.
    pub records: u64,
    /// Effects, dead letters and messages beyond the first.
    pub duplicates: u64,
    /// Most of them that the faults explain.
    pub bound: u64,
    /// Offers beyond a record's first.
    pub redeliveries: u64,
    /// Dead letters by class.
    pub letters: BTreeMap<String, u64>,
    /// Messages that the broker passed over.
    pub skipped: u64,
    /// Of them those that the sidecar could not know of.
    pub untold: u64,
    /// Publishes that the broker confirmed and forgot.
    pub forgotten: u64,
    /// Rounds whose store felt that its disk was full: one that writes in place may not.
    pub disks_felt: u64,
}

/// What a message is told by, whatever its offset means later.
type Identity = (Offset, u64, Place);

struct Account<'a> {
    round: &'a Round,
    evidence: &'a Evidence,
    injected: &'a [Kind],
    planned: HashMap<Place, Planned>,
    handled: HashMap<Identity, Vec<&'a Handled>>,
    verdict: Verdict,
}

/// Takes a round's account. `injected` says which faults came about.
pub fn account(round: &Round, evidence: &Evidence, injected: &[Kind], names: &Names) -> Verdict {
    let mut account = Account {
        round,
        evidence,
        injected,
        planned: round.sequence.by_place(),
        handled: HashMap::new(),
        verdict: Verdict::default(),
    };
    account.verdict.counts.records = round.sequence.records;
    account.verdict.counts.skipped = evidence.skipped.len() as u64;
    account.verdict.counts.forgotten =
        (evidence.forgotten.len() + evidence.forgotten_letters.len()) as u64;
    account.verdict.counts.disks_felt = u64::from(evidence.disk_felt);
    for line in &evidence.handled {
        account.handled.entry(identity_of(line)).or_default().push(line);
        account.verdict.counts.redeliveries += u64::from(line.attempt > 1);
    }
    account.every_record_is_published();
    account.every_message_comes_to_its_end();
    account.only_messages_have_effects();
    account.duplicates_have_a_cause();
    account.positions_are_not_ahead();
    account.first_occurrences_are_in_order();
    account.letters_are_deserved_and_right(names);
    account.gaps_are_told();
    account.verdict
}

/// How things are called in a round.
#[derive(Clone, Debug)]
pub struct Names {
    /// The topic.
    pub topic: String,
    /// The dead-letter topic.
    pub letters: String,
    /// The sink, and its subscription.
    pub sink: String,
    /// The source.
    pub source: String,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            topic: "/default/chaos".to_owned(),
            letters: "/default/dead-letters".to_owned(),
            sink: "chaos-sink".to_owned(),
            source: "chaos-source".to_owned(),
        }
    }
}

impl Account<'_> {
    fn complain(&mut self, rule: Rule, detail: String) {
        self.verdict.violations.push(Violation { rule, detail });
    }

    /// What was not published is the broker's loss only where its own audit names it.
    fn every_record_is_published(&mut self) {
        let published = self.published_once();
        let mut missing: Vec<Place> =
            self.planned.keys().copied().filter(|place| !published.contains(place)).collect();
        if missing.is_empty() {
            return;
        }
        missing.sort_unstable();
        let detail = format!("{} records were never published: {}", missing.len(), some(&missing));
        self.complain(Rule::Lost, detail);
    }

    /// Records that the broker has, and those that it confirmed and forgot.
    fn published_once(&self) -> HashSet<Place> {
        let messages = self.evidence.messages.iter().map(|message| message.place);
        messages.chain(self.evidence.forgotten.iter().map(|(_, place)| *place)).collect()
    }

    fn every_message_comes_to_its_end(&mut self) {
        let evidence = self.evidence;
        let lost: Vec<String> =
            evidence.messages.iter().filter(|m| !self.is_resolved(m)).map(describe).collect();
        if !lost.is_empty() {
            let detail = format!("{} messages came to no end: {}", lost.len(), some(&lost));
            self.complain(Rule::Lost, detail);
        }
    }

    fn is_resolved(&self, message: &Message) -> bool {
        let offset = (message.partition.clone(), message.offset);
        if self.evidence.skipped.contains(&offset) {
            return true;
        }
        let Some(planned) = self.planned.get(&message.place) else { return false };
        let identity = (offset, message.publish_time_ms, message.place);
        let lines = self.handled.get(&identity).map(Vec::as_slice).unwrap_or_default();
        let has = |what: What| lines.iter().any(|line| line.what == what);
        match planned.fate {
            Fate::Written { .. } => has(What::Effect),
            Fate::Filtered => has(What::Filter),
            // Whether it became a dead letter is asked apart.
            Fate::Rejected => has(What::Reject),
            Fate::Kills => has(What::Death),
        }
    }

    fn only_messages_have_effects(&mut self) {
        let stored = self.evidence.messages.iter();
        let stored: HashSet<Identity> =
            stored.map(|m| ((m.partition.clone(), m.offset), m.publish_time_ms, m.place)).collect();
        // What the broker forgot may have been delivered before.
        let forgotten = &self.evidence.forgotten;
        let strange = self.handled.keys().filter(|seen| {
            let (offset, _, place) = *seen;
            !stored.contains(*seen) && !forgotten.contains(&(offset.clone(), *place))
        });
        let strange: Vec<_> = strange.collect();
        if !strange.is_empty() {
            let detail =
                format!("{} messages that are not there: {}", strange.len(), some(&strange));
            self.complain(Rule::Unpublished, detail);
        }
    }

    fn duplicates_have_a_cause(&mut self) {
        let effects = self.effects_beyond_the_first();
        let letters = self.letters_beyond_the_first();
        let places: HashSet<Place> = self.evidence.messages.iter().map(|m| m.place).collect();
        let messages = (self.evidence.messages.len() - places.len()) as u64;
        let bound = Bound::of(self.round, self.injected, self.observed());
        self.verdict.counts.duplicates = effects + letters + messages;
        self.verdict.counts.bound = bound.all();
        let explained = effects <= bound.effects
            && effects + letters <= bound.effects + bound.letters
            && messages <= bound.messages;
        if !explained {
            let detail = format!(
                "{effects} effects, {letters} dead letters and {messages} messages beyond the first, \
                 but the faults explain only {}, {} and {}",
                bound.effects, bound.letters, bound.messages
            );
            self.complain(Rule::Duplicates, detail);
        }
    }

    fn observed(&self) -> Observed {
        let deaths = self.evidence.handled.iter().filter(|line| line.what == What::Death).count();
        Observed {
            source_sessions: self.source_sessions(),
            deaths: deaths as u64,
            letters: self.distinct_letters(),
        }
    }

    fn effects_beyond_the_first(&self) -> u64 {
        let effects = |lines: &Vec<&Handled>| {
            lines.iter().filter(|line| line.what == What::Effect).count().saturating_sub(1)
        };
        self.handled.values().map(|lines| effects(lines) as u64).sum()
    }

    fn was(&self, kind: Kind) -> bool {
        self.injected.contains(&kind)
    }

    /// Whether offsets can mean other messages by now, and cursors have gone back.
    fn broker_forgot(&self) -> bool {
        self.round.profile == Profile::Danube015 && self.was(Kind::Kill(Part::Broker))
    }

    /// Whether the sidecar had to begin anew without knowing what it had seen.
    fn sidecar_forgot(&self) -> bool {
        self.round.intake == Intake::PassThrough && self.was(Kind::Kill(Part::Sidecar))
    }
}

fn identity_of(line: &Handled) -> Identity {
    ((line.partition.clone(), line.offset), line.publish_time_ms, line.place)
}

fn describe(message: &Message) -> String {
    format!("{}@{} (record {:?})", message.partition, message.offset, message.place)
}

/// The first few of many.
fn some<T: fmt::Debug>(items: &[T]) -> String {
    let shown = &items[..items.len().min(5)];
    let more = if items.len() > shown.len() { ", …" } else { "" };
    format!("{shown:?}{more}")
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.rule {
            Rule::Lost => "lost",
            Rule::PositionAhead => "position ahead",
            Rule::Order => "order",
            Rule::Duplicates => "duplicates",
            Rule::Unpublished => "unpublished",
            Rule::Letters => "dead letters",
            Rule::Gaps => "gaps",
            Rule::Stuck => "stuck",
            Rule::Proof => "no proof",
        };
        write!(f, "{rule}: {}", self.detail)
    }
}
