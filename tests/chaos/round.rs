//! One round, from the start of its programs to its account.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use danube_devbroker::inspect::{self, Audited};
use tokio::time::sleep;

use crate::{
    account::{Rule, Verdict, Violation, account},
    evidence::{Evidence, Offset, place_of},
    journal::{self, Handled, Tail, What, last_lines},
    schedule::{Fault, Kind, Part, Profile, Round},
    sequence::{Fate, Place},
    site::Site,
};

/// How long everything may take to be resolved when the faults are over.
const QUIESCE: Duration = Duration::from_secs(20);
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// After so long without progress nothing more comes of a broker that forgot.
const STILL: Duration = Duration::from_millis(1500);
/// Most offsets that a report names.
const MOST_SHOWN: usize = 10;
/// How long a gap may take to be told: it has a grace of 2 s.
const GAPS_TOLD: Duration = Duration::from_secs(4);

/// What came of a round.
pub struct Outcome {
    /// Its account.
    pub verdict: Verdict,
    /// Faults by kind, of those that came about while records were in flight.
    pub faults: BTreeMap<Kind, u64>,
    /// How long it took.
    pub took: Duration,
}

/// Runs a round in a folder of its own.
pub async fn run(round: &Round, folder: &Path) -> Outcome {
    let started = Instant::now();
    let mut run = Run::new(round, folder);
    let mut verdict = run.play().await.unwrap_or_else(|error| stuck(format!("{error:#}")));
    let faults = run.in_flight();
    if faults.values().sum::<u64>() < 2 && verdict.violations.is_empty() {
        let detail = format!("only {faults:?} came about while records were in flight");
        verdict.violations.push(Violation { rule: Rule::Proof, detail });
    }
    Outcome { verdict, faults, took: started.elapsed() }
}

impl Outcome {
    /// A round that could not even begin.
    pub fn failed(detail: String) -> Self {
        Self { verdict: stuck(detail), faults: BTreeMap::new(), took: Duration::ZERO }
    }

    /// Whether no promise was broken.
    pub fn is_good(&self) -> bool {
        self.verdict.violations.is_empty()
    }
}

fn stuck(detail: String) -> Verdict {
    let violation = Violation { rule: Rule::Stuck, detail };
    Verdict { violations: vec![violation], ..Verdict::default() }
}

struct Run<'a> {
    round: &'a Round,
    folder: &'a Path,
    progress: Progress,
    /// What happened, and whether records were in flight.
    injected: Vec<(Kind, bool)>,
    faults_are_over: bool,
}

/// What the sinks have come to the end of.
struct Progress {
    tail: Tail<Handled>,
    audit: Tail<Audited>,
    /// The record that kills sinks.
    killer: Option<Place>,
    /// Its messages, and those that became dead letters since the last
    /// fault, by `x-dedup-id`.
    killers: usize,
    convicted: HashSet<String>,
    places: HashSet<Place>,
    offsets: HashSet<Offset>,
    died: bool,
    moved: Instant,
}

impl<'a> Run<'a> {
    fn new(round: &'a Round, folder: &'a Path) -> Self {
        let mut records = round.sequence.all().into_iter();
        let killer = records.find(|record| record.fate == Fate::Kills).map(|record| record.place);
        let progress = Progress {
            killer,
            tail: Tail::new(Path::new("")),
            audit: Tail::new(Path::new("")),
            killers: 0,
            convicted: HashSet::new(),
            places: HashSet::new(),
            offsets: HashSet::new(),
            died: false,
            moved: Instant::now(),
        };
        Self { round, folder, progress, injected: Vec::new(), faults_are_over: false }
    }

    async fn play(&mut self) -> anyhow::Result<Verdict> {
        let mut site = Site::start(self.round, self.folder).await?;
        self.progress.tail = Tail::new(&site.effects());
        self.progress.audit = Tail::new(&inspect::audit_file(&site.broker_data()));
        for fault in &self.round.faults {
            self.wait_for(fault, &mut site).await?;
            let flying = self.is_in_flight(fault.kind, &mut site)?;
            site.inject(fault).await.with_context(|| fault.kind.to_string())?;
            // What it held up has time to go on.
            self.progress.moved = Instant::now();
            self.injected.push((fault.kind, flying));
        }
        self.progress.found_killers()?;
        // A letter from before the last fault may have been without effect.
        self.progress.convicted.clear();
        self.faults_are_over = true;
        self.quiesce(&mut site).await?;
        site.aim_nowhere(Part::Sidecar);
        site.sidecar.terminate().await?;
        site.aim_nowhere(Part::Broker);
        site.broker.terminate().await?;
        let injected: Vec<Kind> = self.injected.iter().map(|(kind, _)| *kind).collect();
        Ok(account(self.round, &evidence(&site)?, &injected, &site.names))
    }

    /// Waits for the fault's moment, or until it cannot come any more.
    async fn wait_for(&mut self, fault: &Fault, site: &mut Site) -> anyhow::Result<()> {
        let deadline = Instant::now() + QUIESCE;
        while (self.progress.places.len() as u64) < fault.at {
            self.look(site).await?;
            if site.source_ended()? && self.progress.moved.elapsed() > STILL {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("no progress towards {}: {}", fault.kind, self.report(site).await);
            }
        }
        Ok(())
    }

    fn is_in_flight(&self, kind: Kind, site: &mut Site) -> anyhow::Result<bool> {
        let of_source = matches!(kind, Kind::Kill(Part::Source) | Kind::Stop(Part::Source));
        let left = (self.progress.places.len() as u64) < self.round.sequence.records;
        Ok(left && !(of_source && site.source_ended()?) && (kind != Kind::Killer))
    }

    /// Faults by kind, of those that came about while records were in flight.
    fn in_flight(&self) -> BTreeMap<Kind, u64> {
        let mut faults = BTreeMap::new();
        for (kind, _) in self.injected.iter().filter(|(_, flying)| *flying) {
            *faults.entry(*kind).or_default() += 1;
        }
        if self.progress.died {
            faults.insert(Kind::Killer, 1);
        }
        faults
    }

    /// Takes in what is new, and starts sinks anew that a record has killed.
    async fn look(&mut self, site: &mut Site) -> anyhow::Result<()> {
        sleep(LOOK).await;
        self.progress.take_news()?;
        if self.faults_are_over && self.progress.died && self.progress.found_killers()? {
            site.killer_is_found()?;
        }
        for index in (0..site.sinks.len()).rev() {
            let Some(status) = site.sinks[index].ended()? else { continue };
            // It wrote what it died of before it died.
            self.progress.take_news()?;
            if !self.progress.died {
                let last = last_lines(site.sinks[index].log(), 1);
                bail!("a sink ended by itself with {status}:\n{last}");
            }
            site.sinks.remove(index);
            site.start_sink()?;
        }
        Ok(())
    }

    /// Waits until everything is resolved.
    async fn quiesce(&mut self, site: &mut Site) -> anyhow::Result<()> {
        let deadline = Instant::now() + QUIESCE;
        while !self.is_over(site).await? {
            self.look(site).await?;
            if Instant::now() > deadline {
                bail!("not resolved after {QUIESCE:?}: {}", self.report(site).await);
            }
            sleep(10 * LOOK).await;
        }
        let deadline = Instant::now() + GAPS_TOLD;
        while !untold(site, &self.progress.offsets)?.is_empty() && Instant::now() < deadline {
            sleep(10 * LOOK).await;
        }
        Ok(())
    }

    async fn is_over(&mut self, site: &mut Site) -> anyhow::Result<bool> {
        if !site.source_ended()? || !is_settled(site).await {
            return Ok(false);
        }
        let waiting = outstanding(site, &self.progress.offsets)?;
        let forgot = self.round.profile == Profile::Danube015
            && self.injected.iter().any(|(kind, _)| *kind == Kind::Kill(Part::Broker));
        let still = self.progress.moved.elapsed() > STILL;
        // Offsets that a broker forgot, or gave twice, tell nothing.
        Ok(if forgot { still } else { waiting.is_empty() })
    }

    /// What a person wants to see of a round that is stuck.
    async fn report(&self, site: &Site) -> String {
        let done = self.progress.places.len();
        let mut report =
            format!("{done} of {} records came to their end\n", self.round.sequence.records);
        let status = site.status().await.unwrap_or_default();
        let waiting = outstanding(site, &self.progress.offsets).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(report, "  status: {status}");
        let first = &waiting[..waiting.len().min(MOST_SHOWN)];
        let _ = writeln!(report, "  {} offsets wait: {first:?}…", waiting.len());
        let _ = write!(report, "  sidecar's log ends:\n{}", last_lines(site.sidecar.log(), 12));
        report
    }
}

impl Progress {
    /// Whether each message that kills sinks is a dead letter by now. One may have
    /// been published twice.
    fn found_killers(&mut self) -> anyhow::Result<bool> {
        for line in self.audit.news()? {
            let Audited::Published(message) = line else { continue };
            let said = |name: &str| message.attributes.get(name).map(String::as_str);
            if said("x-failure-class") == Some("CRASH") {
                self.convicted.extend(said("x-dedup-id").map(str::to_owned));
            } else if self.killer.is_some() && place_of(&message.attributes).ok() == self.killer {
                self.killers += 1;
            }
        }
        Ok(self.convicted.len() >= self.killers)
    }

    fn take_news(&mut self) -> anyhow::Result<()> {
        let news = self.tail.news()?;
        if !news.is_empty() {
            self.moved = Instant::now();
        }
        for line in news {
            match line.what {
                What::Retry => continue,
                What::Death => self.died = true,
                _ => _ = self.places.insert(line.place),
            }
            self.offsets.insert((line.partition, line.offset));
        }
        Ok(())
    }
}

impl Site {
    /// Whether the source has committed everything.
    fn source_ended(&mut self) -> anyhow::Result<bool> {
        let Some(source) = &mut self.source else { return Ok(false) };
        match source.ended()? {
            Some(status) if !status.success() => {
                bail!("the source ended with {status}:\n{}", last_lines(source.log(), 1))
            }
            ended => Ok(ended.is_some()),
        }
    }
}

/// Whether the sidecar holds nothing unresolved.
async fn is_settled(site: &Site) -> bool {
    let Some(status) = site.status().await else { return false };
    let sink = &status["sinks"][0];
    sink["unresolved"]["records"] == 0 && sink["dead_letters_pending"] == 0
}

/// What the broker confirmed, did not pass over, and the sinks have not seen.
fn outstanding(site: &Site, handled: &HashSet<Offset>) -> anyhow::Result<Vec<Offset>> {
    let mut waiting: HashSet<Offset> = HashSet::new();
    for line in inspect::audited(&site.broker_data())? {
        match line {
            Audited::Published(message) => waiting.insert((message.topic, message.offset)),
            Audited::Skipped { message, .. } => waiting.remove(&(message.topic, message.offset)),
            _ => false,
        };
    }
    waiting.retain(|(topic, offset)| {
        topic.starts_with(&site.names.topic) && !handled.contains(&(topic.clone(), *offset))
    });
    let mut waiting: Vec<Offset> = waiting.into_iter().collect();
    waiting.sort_unstable();
    Ok(waiting)
}

/// What the broker passed over and the sidecar has not told.
fn untold(site: &Site, handled: &HashSet<Offset>) -> anyhow::Result<HashSet<Offset>> {
    let mut evidence = Evidence::default();
    read_logs(site, &mut evidence)?;
    let mut skipped = HashSet::new();
    for line in inspect::audited(&site.broker_data())? {
        if let Audited::Skipped { message, .. } = line {
            skipped.insert((message.topic, message.offset));
        }
    }
    skipped.retain(|offset| {
        let (partition, offset) = (&offset.0, offset.1);
        let told = evidence
            .gaps
            .iter()
            .any(|gap| gap.partition == *partition && (gap.first..=gap.last).contains(&offset));
        !told && !handled.contains(&(partition.clone(), offset))
    });
    Ok(skipped)
}

fn read_logs(site: &Site, evidence: &mut Evidence) -> anyhow::Result<()> {
    for log in &site.sidecar_logs {
        evidence.of_sidecar(&std::fs::read_to_string(log)?);
    }
    Ok(())
}

fn evidence(site: &Site) -> anyhow::Result<Evidence> {
    let mut evidence = Evidence {
        handled: journal::read(&site.effects())?,
        seen: journal::read(&site.positions())?,
        ..Evidence::default()
    };
    let names = &site.names;
    evidence.of_broker(&site.broker_data(), &names.topic, &names.letters)?;
    read_logs(site, &mut evidence)?;
    Ok(evidence)
}

/// The folder of a round within a run's.
pub fn folder_of(run: &Path, round: &Round) -> PathBuf {
    run.join(format!("round-{}", round.number))
}
