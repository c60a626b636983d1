//! The chaos proof: real processes, killed, stopped, cut off and starved while
//! records are in flight, and an account of every record.
//!
//! `make chaos ROUNDS=n SEED=s` runs it. Everything about a round follows from the
//! run's seed and the round's number; a round that breaks a promise is printed with
//! the command that runs it alone, and its folder is kept. One that was a defect is
//! added to `seeds`, which every run begins with.

mod account;
mod bound;
mod clock;
mod config;
mod disk;
mod evidence;
mod faults;
mod journal;
mod patience;
mod proxy;
mod random;
mod round;
mod schedule;
mod seeds;
mod sequence;
mod sink;
mod site;
mod source;
mod summary;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::bail;
use clap::{Parser, Subcommand};
use futures::{StreamExt as _, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    round::{Outcome, folder_of},
    schedule::{Intake, Profile, Round, Settings, Wanted},
    seeds::Case,
    sink::SinkArgs,
    source::SourceArgs,
    summary::Summary,
};

/// Most violations of a round that are shown.
const SHOWN: usize = 8;
/// What a connector prints when SIGTERM does not simply end it any more.
const LISTENS: &str = "listens to SIGTERM";

/// Kills everything, and proves that nothing is lost.
#[derive(Debug, Parser)]
#[command(name = "chaos", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// How many rounds, with those that were defects once (tests/chaos/seeds), which come first
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Rounds until this time has passed, instead of a number of them, like 300s
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Chooses everything; random without
    #[arg(long)]
    seed: Option<u64>,
    /// Only this round
    #[arg(long)]
    round: Option<u64>,
    /// correct, danube-0.15, or both in turn
    #[arg(long, default_value = "both")]
    profile: Wanted<Profile>,
    /// inbox, pass-through, or both in turn
    #[arg(long, default_value = "both")]
    intake: Wanted<Intake>,
    /// Rounds side by side
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Whether some rounds have a record that kills whoever processes it
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    killers: bool,
    /// Where folders of rounds go
    #[arg(long, default_value = "target/chaos")]
    folder: PathBuf,
    /// Keep the folders of good rounds too
    #[arg(long)]
    keep: bool,
}

/// What this program also is.
#[derive(Debug, Subcommand)]
enum Role {
    /// The sink connector of a round
    #[command(hide = true)]
    Sink(SinkArgs),
    /// The source connector of a round
    #[command(hide = true)]
    Source(SourceArgs),
}

fn main() -> ExitCode {
    let done = begin(Args::parse());
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn begin(args: Args) -> anyhow::Result<bool> {
    // Before there are threads: it may start the program again elsewhere.
    let settings = if args.role.is_none() { Some(settings(&args)?) } else { None };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.role {
            Some(Role::Sink(sink)) => sink::run(sink, terminated()?).await.map(|()| true),
            Some(Role::Source(source)) => source::run(source, terminated()?).await.map(|()| true),
            None => Box::pin(chaos(&args, settings)).await,
        }
    })
}

/// Cancelled at SIGTERM.
fn terminated() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (mut terminate, cancel) = (signal(SignalKind::terminate())?, stop.clone());
    println!("{LISTENS}");
    tokio::spawn(async move {
        terminate.recv().await;
        cancel.cancel();
    });
    Ok(stop)
}

/// What this machine can do. CI must be able to do everything.
fn settings(args: &Args) -> anyhow::Result<Settings> {
    let ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let disk = disk::prepare();
    if let Err(error) = &disk {
        if ci {
            bail!("no round can have a full disk here: {error:#}");
        }
        println!("chaos: left out: disk full ({error:#})");
    }
    let clock = clock::library().is_some();
    if !clock {
        if ci {
            bail!("no clock can jump here: run `tools/setup faketime`");
        }
        println!("chaos: left out: clock jumps (run `tools/setup faketime`)");
    }
    Ok(Settings {
        profile: args.profile,
        intake: args.intake,
        disk: disk.is_ok(),
        clock,
        killers: args.killers,
    })
}

async fn chaos(args: &Args, settings: Option<Settings>) -> anyhow::Result<bool> {
    let Some(settings) = settings else { return Ok(true) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = args.seed.unwrap_or(now.as_nanos() as u64 % 1_000_000);
    println!("chaos: seed {seed}");
    let run = std::path::absolute(&args.folder)?.join(format!("{seed}-{}", std::process::id()));
    let mut summary = Summary::default();
    let known = if args.round.is_none() { seeds::all()? } else { Vec::new() };
    let rest = args.rounds.saturating_sub(known.len() as u64);
    play(args, &settings, known, &run, &mut summary).await;
    let started = Instant::now();
    let last = if args.time.is_some() { u64::MAX } else { rest };
    let numbers = args.round.map_or(0..last, |only| only..only.saturating_add(1));
    let cases = numbers
        .take_while(|_| args.time.is_none_or(|time| started.elapsed() < time))
        .map(|round| Case { seed, round, profile: args.profile, intake: args.intake });
    play(args, &settings, cases, &run, &mut summary).await;

    print!("{summary}");
    println!();
    let absent = summary.absent(&settings);
    for kind in &absent {
        eprintln!("chaos: {kind} never came about in {} rounds", summary.rounds());
    }
    Ok(summary.is_good() && absent.is_empty())
}

/// Plays rounds side by side, and tells of each that breaks a promise.
async fn play(
    args: &Args,
    settings: &Settings,
    cases: impl IntoIterator<Item = Case>,
    run: &Path,
    summary: &mut Summary,
) {
    let rounds = stream::iter(cases).map(|case| async move {
        let settings = Settings { profile: case.profile, intake: case.intake, ..*settings };
        let round = settings.round(case.seed, case.round);
        let folder = folder_of(&run.join(case.seed.to_string()), &round);
        let outcome = match fs::create_dir_all(&folder) {
            Ok(()) => Box::pin(round::run(&round, &folder)).await,
            Err(error) => Outcome::failed(format!("{}: {error}", folder.display())),
        };
        (case, round, folder, outcome)
    });
    let mut rounds = Box::pin(rounds.buffer_unordered(args.jobs.max(1)));
    while let Some((case, round, folder, outcome)) = rounds.next().await {
        summary.add(&outcome);
        tell(&case, &round, &folder, &outcome);
        if outcome.is_good() && !args.keep {
            // It would only have been for people.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

fn tell(case: &Case, round: &Round, folder: &Path, outcome: &Outcome) {
    let faults: Vec<String> = round.faults.iter().map(|fault| fault.kind.to_string()).collect();
    println!(
        "{} round {:>3}  {:>5.2?}  {}, {}: {}",
        if outcome.is_good() { "ok    " } else { "FAILED" },
        round.number,
        outcome.took,
        round.profile,
        round.intake,
        faults.join(", ")
    );
    if outcome.is_good() {
        return;
    }
    let violations = &outcome.verdict.violations;
    for violation in violations.iter().take(SHOWN) {
        println!("  {violation}");
    }
    if violations.len() > SHOWN {
        println!("  and {} more", violations.len() - SHOWN);
    }
    println!("  kept in {}", folder.display());
    println!("  again: make chaos {case}");
}
