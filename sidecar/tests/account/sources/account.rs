//! What is promised, checked where it can be seen: at the broker, at the store, at the
//! connector, when a session opens, and at the end.

use std::time::Duration;

use danube_sidecar_store::Position;

use super::{
    ledger::{Inner, Session},
    upstream::{Fate, Lane, Place, metadata, name, number},
};

/// How long the sidecar may wait for the records of a session that ended.
const SETTLE: Duration = Duration::from_secs(10);

/// Where the broker's messages come from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub epoch: u64,
    pub number: u64,
    pub place: Place,
}

impl Inner {
    /// The broker takes a record: first occurrences are in the order of their lane,
    /// within a session and across sessions.
    pub fn taken(&mut self, origin: Origin) {
        let Origin { epoch, number, place } = origin;
        let positioned = self.partitions[place.partition].positioned;
        let entry = self.entry(place);
        entry.taken += 1;
        let (first, lane) = (entry.taken == 1, Lane::of(entry, place.partition, positioned));
        let across = (place.partition, entry.topic, entry.key);
        self.note(format!("taken {place:?} as {epoch}#{number}"));
        if first {
            let last = self.firsts.insert(across, place.offset);
            self.require(last < Some(place.offset), || {
                format!("{place:?} came first after {last:?} of its key {across:?}")
            });
        }
        // What came before may come again, but nothing new before it.
        let session = self.session(epoch);
        let (again, last) = (!session.seen.insert(number), session.lanes.entry(lane).or_default());
        let before = std::mem::replace(last, number.max(*last));
        self.require(again || number > before, || {
            format!("{epoch}#{number} of {place:?} came after #{before} of its lane")
        });
    }

    /// A store is asked to make positions durable: all up to them are confirmed.
    pub fn committing(&mut self, epoch: u64, positions: &[Position]) {
        for position in positions {
            let Some(at) = self.place(position) else { continue };
            let settled = self.partitions[at.partition].settled();
            self.require(at.offset < settled, || {
                format!("epoch {epoch} commits {at:?}, confirmed is only all before {settled}")
            });
        }
    }

    /// A store made positions durable: by the latest epoch, and forwards.
    pub fn durable(&mut self, epoch: u64, positions: &[Position]) {
        let latest = self.epoch;
        self.note(format!("durable {epoch} {positions:?}"));
        self.require(epoch == latest, || format!("epoch {epoch} moved positions after {latest}"));
        for position in positions {
            let Some(at) = self.place(position) else { continue };
            let before = self.partitions[at.partition].committed;
            self.require(at.offset + 1 >= before, || format!("{at:?} is before {before}, durable"));
            self.partitions[at.partition].committed = at.offset + 1;
        }
    }

    /// An epoch begins; sessions of other sidecars need not settle any more.
    pub fn began(&mut self, sidecar: usize, epoch: u64) {
        let latest = std::mem::replace(&mut self.epoch, epoch);
        self.note(format!("epoch {epoch} begins at sidecar {sidecar}"));
        self.require(epoch > latest, || format!("epoch {epoch} begins after {latest}"));
        let others = self.sessions.values_mut().filter(|session| session.sidecar != sidecar);
        others.for_each(|session| session.excused = true);
    }

    /// A session opens: the one before it is settled, and it resumes where that is.
    pub fn opened(&mut self, sidecar: usize, epoch: u64, positions: &[Position]) {
        self.note(format!("opened {epoch} at sidecar {sidecar}"));
        self.settled_before(sidecar, &format!("epoch {epoch} opens"));
        if epoch == self.epoch {
            let durable: Vec<Position> = self.positions();
            self.require(durable == positions, || {
                format!("epoch {epoch} opens at {positions:?}, durable is {durable:?}")
            });
        }
        for session in self.sessions.values_mut() {
            session.told_before_next.get_or_insert(session.told);
        }
        self.sessions_of(sidecar).for_each(|session| session.excused = true);
        let superseded = epoch < self.epoch;
        self.sessions.insert(epoch, Session { excused: superseded, ..Session::of(sidecar) });
    }

    /// What the sessions of this sidecar published is settled and committed, unless
    /// that took too long.
    pub fn settled_before(&mut self, sidecar: usize, what: &str) {
        let mut broken = Vec::new();
        for (epoch, session) in &self.sessions {
            let patient = session.left.is_some_and(|left| left.elapsed() < SETTLE);
            if session.sidecar != sidecar || session.excused || !patient {
                continue;
            }
            let in_flight = session.in_flight;
            if in_flight > 0 {
                broken.push(format!("{what} with {in_flight} of epoch {epoch} in flight"));
            }
            let published = session.sent.iter().take(session.published as usize);
            let mut places = published.filter(|place| self.partitions[place.partition].positioned);
            let open = places.find(|place| !self.is_committed(place));
            broken.extend(open.map(|at| format!("{what}, {at:?} of epoch {epoch} uncommitted")));
        }
        broken.into_iter().for_each(|what| self.violated(what));
    }

    /// The connector is told that all up to this number is committed: it is.
    pub fn told(&mut self, epoch: u64, number: u64) {
        let session = self.session(epoch);
        let before = std::mem::replace(&mut session.told, number);
        let last = session.sent.len() as u64;
        self.require(before <= number && number <= last, || {
            format!("epoch {epoch} is told {number} after {before}, it sent {last}")
        });
        for at in before..number.min(last) {
            let place = self.session(epoch).sent[at as usize];
            let (settled, well) = (self.entry(place).settled, self.entry(place).fate == Fate::Well);
            let knows = well || self.fails() || self.session(epoch).rejected.contains(&(at + 1));
            self.require(knows, || format!("{place:?} is told to be committed before rejected"));
            self.require(settled, || format!("{place:?} is told to be committed, unconfirmed"));
            let partition = &mut self.partitions[place.partition];
            if !partition.positioned {
                partition.committed = partition.committed.max(place.offset + 1);
            }
            let committed = self.is_committed(&place);
            self.require(committed, || format!("{place:?} is told to be committed, not durable"));
        }
    }

    /// What the promises say at the end.
    pub fn check_end(&mut self) {
        let (mut twice, mut wrong) = (0, Vec::new());
        let excused = self.fails();
        for (index, partition) in self.partitions.iter().enumerate() {
            for (offset, entry) in (0..).zip(&partition.entries) {
                let place = Place { partition: index, offset };
                let (well, letters) = match (entry.fate, self.rules.letters) {
                    (Fate::Well, _) => (true, false),
                    _ if excused => (true, false),
                    (_, letters) => (false, letters),
                };
                if (entry.taken > 0, entry.letters > 0) != (well, letters) {
                    wrong.push(format!("lost, or not what it should be: {place:?} {entry:?}"));
                }
                twice += u64::from((entry.taken + entry.letters).saturating_sub(1));
            }
        }
        wrong.into_iter().for_each(|what| self.violated(what));
        let bound = self.sessions.values().map(Session::uncommitted).sum::<u64>() + self.repeats;
        self.require(twice <= bound, || format!("{twice} duplicates, {bound} are allowed"));
    }

    /// What is durable, as the store tells it.
    pub fn positions(&self) -> Vec<Position> {
        let moved = self.partitions.iter().enumerate();
        let moved = moved.filter(|(_, p)| p.positioned && p.committed > 0);
        let position = |partition: usize, offset| Position {
            source_partition: name(partition),
            offset,
            metadata: metadata(offset),
        };
        moved.map(|(at, partition)| position(at, partition.committed - 1)).collect()
    }

    fn is_committed(&self, place: &Place) -> bool {
        place.offset < self.partitions[place.partition].committed
    }

    fn place(&mut self, position: &Position) -> Option<Place> {
        let Position { source_partition, offset, metadata: stored } = position;
        let found = number(source_partition).map(|partition| Place { partition, offset: *offset });
        let known = found.filter(|at| {
            self.partitions.get(at.partition).is_some_and(|p| p.positioned)
                && *stored == metadata(*offset)
        });
        self.require(known.is_some(), || format!("nobody sent the position {position:?}"));
        known
    }
}
