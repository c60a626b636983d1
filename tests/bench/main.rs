//! The benchmark: everything is started by this program and measured side by side with
//! what it is compared with, in one run.
//!
//! `make bench` runs it. Each case is told in BENCHMARKS.md.

mod cases;
mod plot;
mod report;
mod roles;
mod site;
mod sweeps;

use std::{fs, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    cases::Effort,
    report::Report,
    roles::{consume, flood, hop, pace, produce, sink, source, topics},
    site::Site,
};

/// Measures the sidecar beside what it replaces.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// One short turn each, and only ratios that are far off fail
    #[arg(long)]
    short: bool,
    /// Only these cases
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    only: Vec<String>,
    /// No cases, but how the cost grows with payload, partitions, workers and topics: its
    /// plots go into this folder
    #[arg(long, value_name = "FOLDER")]
    sweep: Option<PathBuf>,
    /// Where the numbers go
    #[arg(long, default_value = "target/bench.json", value_name = "FILE")]
    out: PathBuf,
}

/// What this program also is.
#[derive(Debug, Subcommand)]
#[command(rename_all = "kebab-case")]
enum Role {
    #[command(hide = true)]
    Sink(sink::SinkArgs),
    #[command(hide = true)]
    Source(source::SourceArgs),
    #[command(hide = true)]
    Consume(consume::ConsumeArgs),
    #[command(hide = true)]
    Produce(produce::ProduceArgs),
    #[command(hide = true)]
    Flood(flood::FloodArgs),
    #[command(hide = true)]
    Pace(pace::PaceArgs),
    #[command(hide = true)]
    Topics(topics::TopicsArgs),
    #[command(hide = true)]
    HopSidecar(hop::ServerArgs),
    #[command(hide = true)]
    BareServer(hop::ServerArgs),
    #[command(hide = true)]
    BareClient(hop::BareArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.role {
        Some(role) => play(role).await.map(|()| true),
        None => bench(&args).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(role: Role) -> anyhow::Result<()> {
    match role {
        Role::Sink(args) => sink::run(args).await,
        Role::Source(args) => source::run(args).await,
        Role::Consume(args) => consume::run(args).await,
        Role::Produce(args) => produce::run(args).await,
        Role::Flood(args) => flood::run(args).await,
        Role::Pace(args) => pace::run(args).await,
        Role::Topics(args) => topics::run(args).await,
        Role::HopSidecar(args) => hop::sidecar(args).await,
        Role::BareServer(args) => hop::bare_server(args).await,
        Role::BareClient(args) => hop::bare_client(args).await,
    }
}

async fn bench(args: &Args) -> anyhow::Result<bool> {
    let effort = match args.short {
        // On a slow machine the loop is slow, too: only ratios count in the short form.
        true => Effort { turns: 1, records: 20_000, seconds: 3, slowest_peer: 0.0 },
        false => Effort { turns: 5, records: 100_000, seconds: 60, slowest_peer: 3000.0 },
    };
    let folder = std::env::temp_dir().join(format!("danube-bench-{}", std::process::id()));
    if let Some(plots) = &args.sweep {
        sweeps::run(&folder, plots).await?;
        fs::remove_dir_all(&folder)?;
        return Ok(true);
    }
    let mut report = Report::default();
    let wanted = |name: &&str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    for name in cases::NAMES.into_iter().filter(wanted) {
        let outcomes = cases::run(name, effort, Site::new(&folder.join(name))?).await;
        let outcomes = outcomes.map_err(|error| {
            error.context(format!("{name} failed; its logs are in {}", folder.display()))
        })?;
        for (row, outcome) in outcomes {
            println!("{row}: {:.1} {}, ratio {:.2}", outcome.ours, outcome.unit, outcome.ratio);
            report.0.push((row, outcome));
        }
    }
    fs::remove_dir_all(&folder)?;
    print!("\n{report}");
    if let Some(parent) = args.out.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&args.out, serde_json::to_string_pretty(&report)?)?;
    let slack = if args.short { 2.0 } else { 1.0 };
    let missed = report.missed(slack);
    if !missed.is_empty() {
        println!("bench: not reached: {}", missed.join(", "));
    }
    Ok(missed.is_empty())
}
