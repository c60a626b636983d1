//! What happens in a round: everything follows from the run's seed and the round's
//! number, so that one round can be run again alone.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::bail;

use crate::{random::Random, sequence::Sequence};

/// A fault that a round injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// SIGKILL, and a new start.
    Kill(Part),
    /// SIGSTOP, and SIGCONT soon after.
    Stop(Part),
    /// SIGSTOP, and SIGCONT when the broker's ack timeout has passed.
    LongStop(Part),
    /// SIGTERM, and a new start.
    Restart(Part),
    /// Another sink worker.
    Join,
    /// A sink worker goes, and none comes instead.
    Leave,
    /// All connections are closed.
    Cut(Link),
    /// All connections swallow what is sent, without an end.
    HalfOpen(Link),
    /// The connectors read slowly.
    SlowReader,
    /// The sidecar's disk is full.
    DiskFull,
    /// The sidecar's wall clock jumps an hour forwards.
    ClockForwards,
    /// The sidecar's wall clock jumps an hour back.
    ClockBack,
    /// A record kills whoever processes it.
    Killer,
}

/// A program of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The embedded broker.
    Broker,
    /// The sidecar.
    Sidecar,
    /// A sink worker.
    Sink,
    /// The source.
    Source,
}

/// A connection of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Link {
    /// Sidecar to broker.
    Broker,
    /// Connectors to sidecar.
    Connectors,
}

/// Whose oddities the broker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// None's.
    Correct,
    /// Danube's.
    Danube015,
}

/// How the sidecar takes records in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Store and forward.
    Inbox,
    /// The broker's ack waits for the outcome.
    PassThrough,
}

/// A choice between two that take turns, where both are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<T> {
    /// This one.
    Only(T),
    /// In turn.
    Both,
}

/// A fault and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: Kind,
    /// When so many records have come to their end at the sink.
    pub at: u64,
    /// How long it lasts, where it does.
    pub lasts: Duration,
}

/// A round.
#[derive(Clone, Debug)]
pub struct Round {
    /// Which one of the run.
    pub number: u64,
    /// Whose oddities the broker has.
    pub profile: Profile,
    /// How the sidecar takes records in.
    pub intake: Intake,
    /// The records.
    pub sequence: Sequence,
    /// Partitions of the topic; 0: a topic without.
    pub partitions: u64,
    /// Un-acked messages that the broker allows.
    pub broker_window: u64,
    /// How long the broker waits for an ack.
    pub ack_timeout: Duration,
    /// Sink workers at the start.
    pub workers: u64,
    /// What happens, in order.
    pub faults: Vec<Fault>,
}

/// What a run wants of its rounds.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whose oddities.
    pub profile: Wanted<Profile>,
    /// Which intake.
    pub intake: Wanted<Intake>,
    /// Whether this machine can fill a disk.
    pub disk: bool,
    /// Whether this machine can fake a clock.
    pub clock: bool,
    /// Whether the sidecar has the crash quarantine.
    pub killers: bool,
}

impl Settings {
    /// All kinds of faults, whether this machine can inject them or not: a seed means
    /// the same round everywhere.
    pub fn kinds() -> Vec<Kind> {
        use {Kind::*, Part::*};
        let mut kinds = vec![Join, Leave, SlowReader, DiskFull, ClockForwards, ClockBack, Killer];
        kinds.extend([Broker, Sidecar, Sink, Source].map(Kill));
        kinds.extend([Broker, Sidecar, Sink, Source].map(Stop));
        kinds.extend([Sidecar, Sink].map(LongStop));
        kinds.extend([Sidecar, Sink].map(Restart));
        kinds.extend([Link::Broker, Link::Connectors].map(Cut));
        kinds.extend([Link::Broker, Link::Connectors].map(HalfOpen));
        kinds
    }

    /// Whether this machine and this version can inject it.
    pub fn can(&self, kind: Kind) -> bool {
        match kind {
            Kind::DiskFull => self.disk,
            Kind::ClockForwards | Kind::ClockBack => self.clock,
            Kind::Killer => self.killers,
            _ => true,
        }
    }

    /// The round of this number.
    pub fn round(&self, seed: u64, number: u64) -> Round {
        let mut random = Random::new(seed, number);
        let mut kinds = dealt(seed, number);
        if random.chance(400) {
            kinds.push(random.pick(&Self::kinds()));
        }
        // There is one record that kills.
        let mut killers = 0;
        for kind in kinds.iter_mut().filter(|kind| **kind == Kind::Killer) {
            killers += 1;
            if killers > 1 {
                *kind = Kind::Kill(Part::Sink);
            }
        }
        // One that the broker passes over kills nobody.
        if kinds.contains(&Kind::Killer) && kinds.len() == 2 {
            kinds.push(Kind::Cut(Link::Connectors));
        }
        let instead = [Kind::Kill(Part::Sink), Kind::Cut(Link::Broker)];
        for (index, kind) in kinds.iter_mut().enumerate().filter(|(_, kind)| !self.can(**kind)) {
            *kind = instead[index % 2];
        }
        random.shuffle(&mut kinds);
        // The source is done before the sinks are.
        kinds.sort_by_key(|kind| {
            !matches!(kind, Kind::Kill(Part::Source) | Kind::Stop(Part::Source))
        });
        let records = random.within(1000..1300);
        let killer = kinds.contains(&Kind::Killer).then(|| random.within(200..records / 2));
        let sequence = Sequence {
            seed: random.next(),
            records,
            source_partitions: random.within(1..5),
            keys: random.within(5..60),
            killer,
        };
        let patient = kinds.iter().all(|kind| !matches!(kind, Kind::LongStop(_)));
        let ack_timeout = Duration::from_millis(if patient { 2000 } else { 1500 });
        let intake = match self.intake {
            Wanted::Only(intake) => intake,
            Wanted::Both if (number / 2).is_multiple_of(2) => Intake::Inbox,
            Wanted::Both => Intake::PassThrough,
        };
        // In pass-through a killer whose key fills the broker's window stops its
        // subscription, because nothing else can succeed: a limit that is documented.
        let room_for_killers = killer.is_some() && intake == Intake::PassThrough;
        let windows: &[u64] = if room_for_killers { &[400] } else { &[10, 10, 50, 400] };
        Round {
            number,
            profile: match self.profile {
                Wanted::Only(profile) => profile,
                Wanted::Both if number.is_multiple_of(2) => Profile::Correct,
                Wanted::Both => Profile::Danube015,
            },
            intake,
            partitions: random.pick(&[0, 0, 2, 3]),
            broker_window: random.pick(windows),
            workers: random.pick(&[1, 1, 2, 3]),
            faults: moments(&mut random, &kinds, records, ack_timeout),
            ack_timeout,
            sequence,
        }
    }
}

/// Two kinds for a round: all kinds are dealt before one comes again.
fn dealt(seed: u64, number: u64) -> Vec<Kind> {
    let deck = Settings::kinds();
    let size = deck.len() as u64;
    let card = |nth: u64| {
        let mut deck = deck.clone();
        Random::new(seed, u64::MAX - nth / size).shuffle(&mut deck);
        deck[(nth % size) as usize]
    };
    vec![card(2 * number), card(2 * number + 1)]
}

/// Gives each fault its moment: while records are in flight, in order.
fn moments(random: &mut Random, kinds: &[Kind], records: u64, ack_timeout: Duration) -> Vec<Fault> {
    let mut moment = |kind: &Kind| match kind {
        Kind::Kill(Part::Source) | Kind::Stop(Part::Source) => random.within(50..records / 5),
        _ => random.within(records / 10..records * 7 / 10),
    };
    let mut at: Vec<u64> = kinds.iter().map(&mut moment).collect();
    at.sort_unstable();
    let fault = |(kind, at): (&Kind, u64)| Fault {
        kind: *kind,
        at,
        lasts: match kind {
            Kind::LongStop(_) => ack_timeout + Duration::from_millis(random.within(150..400)),
            Kind::Kill(_) | Kind::Restart(_) => Duration::from_millis(random.within(0..150)),
            _ => Duration::from_millis(random.within(100..350)),
        },
    };
    kinds.iter().zip(at).map(fault).collect()
}

impl Round {
    /// Whether this kind of fault happens.
    pub fn has(&self, kind: Kind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(part) => write!(f, "SIGKILL {part}"),
            Self::Stop(part) => write!(f, "SIGSTOP {part}"),
            Self::LongStop(part) => write!(f, "SIGSTOP {part} beyond the ack timeout"),
            Self::Restart(part) => write!(f, "SIGTERM {part} and start"),
            Self::Join => f.write_str("worker joins"),
            Self::Leave => f.write_str("worker leaves"),
            Self::Cut(link) => write!(f, "cut {link}"),
            Self::HalfOpen(link) => write!(f, "half-open {link}"),
            Self::SlowReader => f.write_str("slow reader"),
            Self::DiskFull => f.write_str("disk full"),
            Self::ClockForwards => f.write_str("clock forwards"),
            Self::ClockBack => f.write_str("clock back"),
            Self::Killer => f.write_str("killer record"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "broker",
            Self::Sidecar => "sidecar",
            Self::Sink => "sink",
            Self::Source => "source",
        })
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broker => "sidecar-broker",
            Self::Connectors => "connectors-sidecar",
        })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Correct => "correct",
            Self::Danube015 => "danube-0.15",
        })
    }
}

impl fmt::Display for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inbox => "inbox",
            Self::PassThrough => "pass-through",
        })
    }
}

impl FromStr for Wanted<Profile> {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "correct" => Ok(Self::Only(Profile::Correct)),
            "danube-0.15" => Ok(Self::Only(Profile::Danube015)),
            "both" => Ok(Self::Both),
            _ => bail!("there is no profile {text}: use correct, danube-0.15 or both"),
        }
    }
}

impl FromStr for Wanted<Intake> {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "inbox" => Ok(Self::Only(Intake::Inbox)),
            "pass-through" => Ok(Self::Only(Intake::PassThrough)),
            "both" => Ok(Self::Both),
            _ => bail!("there is no intake {text}: use inbox, pass-through or both"),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Wanted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Only(one) => one.fmt(f),
            Self::Both => f.write_str("both"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SETTINGS: Settings = Settings {
        profile: Wanted::Both,
        intake: Wanted::Both,
        disk: true,
        clock: true,
        killers: true,
    };

    #[test]
    fn twenty_rounds_have_every_kind_of_fault() {
        for seed in 0..50 {
            let rounds = (0..20).map(|number| SETTINGS.round(seed, number));
            let dealt: HashSet<Kind> =
                rounds.flat_map(|round| round.faults).map(|fault| fault.kind).collect();
            assert_eq!(dealt.len(), Settings::kinds().len(), "seed {seed}");
        }
    }

    #[test]
    fn a_round_has_one_killer_at_most() {
        for number in 0..2000 {
            let faults = SETTINGS.round(7, number).faults;
            let killers = faults.iter().filter(|fault| fault.kind == Kind::Killer).count();
            assert!(killers < 2 && faults.len() >= 2, "{faults:?}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_round_again() {
        let show = |seed| format!("{:?}", SETTINGS.round(seed, 3));
        assert_eq!(show(7), show(7));
        assert_ne!(show(7), show(8));
    }

    #[test]
    fn faults_come_in_order_while_records_are_in_flight() {
        for number in 0..200 {
            let round = SETTINGS.round(7, number);
            assert!(round.faults.len() >= 2 && round.sequence.records >= 1000);
            assert!(round.faults.is_sorted_by_key(|fault| fault.at));
            assert!(round.faults.iter().all(|fault| fault.at < round.sequence.records * 7 / 10));
        }
    }
}
