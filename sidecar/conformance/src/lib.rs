//! The conformance kit: runs a connector, as a black box in its own language, against a
//! sidecar that follows a script, and says where it breaks the protocol.
//!
//! Each case starts the connector anew, next to a stage of its own.
//! What a connector of the level `full` has to do with the records that it gets or
//! gives is told in docs/conformance.md.

pub mod args;
mod cases;
mod connector;
mod finding;
mod report;
mod sink;
mod source;
mod stage;
mod trial;
mod wire;

use std::{path::PathBuf, time::Instant};

use futures::{StreamExt as _, stream};
use thiserror::Error;

pub use self::args::{ConformanceCommand, Kind};
use self::{
    args::Level,
    cases::Case,
    finding::Finding,
    report::{Report, Row},
    trial::Trial,
};

/// Why nothing could be certified.
#[derive(Debug, Error)]
pub enum ConformanceError {
    /// A name that is no case's.
    #[error("there is no case \"{name}\"; `danube-sidecar conformance --list` names them")]
    NoSuchCase {
        /// The name.
        name: String,
    },
    /// The connector dialed neither service.
    #[error("the connector did not dial the sidecar within {seconds} s: {said}")]
    NeverDialed {
        /// How long it had.
        seconds: u64,
        /// The last that it said.
        said: String,
    },
    /// The machine does not do what the kit needs.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What it failed with.
        source: std::io::Error,
    },
}

/// Runs the cases that were asked for. Tells whether the connector passed.
///
/// # Errors
/// When nothing could be certified.
pub async fn run(command: &ConformanceCommand) -> Result<bool, ConformanceError> {
    let named =
        |case: &&Case| command.only.is_empty() || command.only.iter().any(|name| name == case.name);
    if let Some(name) =
        command.only.iter().find(|name| !cases::all().any(|case| case.name == **name))
    {
        return Err(ConformanceError::NoSuchCase { name: name.clone() });
    }
    if command.list {
        print!("{}", report::list(cases::all().filter(named)));
        return Ok(true);
    }
    let kind = match command.kind {
        Some(kind) => kind,
        None => Trial::kind_of(command).await?,
    };
    let wanted = |case: &&Case| {
        case.kind == kind && (command.level == Level::Full || case.level == Level::Core)
    };
    let mut report = Report::new(command, kind);
    let cases = stream::iter(cases::all().filter(wanted).filter(named));
    let mut rows = cases.map(|case| certify(command, case)).buffered(command.jobs.max(1));
    while let Some(row) = rows.next().await {
        let row = row?;
        println!("{row}");
        report.rows.push(row);
    }
    if let Some(path) = &command.junit {
        write(path, &report.junit())?;
    }
    println!("{report}");
    Ok(report.passed())
}

async fn certify(
    command: &ConformanceCommand,
    case: &'static Case,
) -> Result<Row, ConformanceError> {
    let began = Instant::now();
    let mut trial = Trial::start(command, case.environment).await?;
    let finding = (case.run)(&mut trial).await.err();
    let said = match &finding {
        Some(Finding::Broken(_)) => trial.connector.said(),
        _ => String::new(),
    };
    trial.end().await;
    Ok(Row { case, finding, took: began.elapsed(), said })
}

fn write(path: &PathBuf, text: &str) -> Result<(), ConformanceError> {
    std::fs::write(path, text)
        .map_err(|source| ConformanceError::Io { what: path.display().to_string(), source })
}
