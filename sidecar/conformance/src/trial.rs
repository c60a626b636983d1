//! One case's connector and stage.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tonic::Status;

use super::{
    ConformanceError,
    args::{ConformanceCommand, Kind},
    connector::Connector,
    finding::{Finding, Verdict, broken},
    sink::SinkSession,
    source::SourceSession,
    stage::{Call, Protocol, Stage},
};

/// How long a connector may take to start and to dial: some start a virtual machine.
pub const START: Duration = Duration::from_secs(30);
/// How long it may take for anything else.
pub const ANSWER: Duration = Duration::from_secs(10);
/// How long nothing may come where nothing must.
pub const QUIET: Duration = Duration::from_millis(300);
/// How often something that only a file tells of is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A connector next to a stage.
pub struct Trial {
    /// The connector.
    pub connector: Connector,
    /// What records of sinks carry; `{n}` is their number.
    pub payload: String,
    /// The connector's own settings, as JSON.
    settings: String,
    stage: Stage,
    folder: TempDir,
    written: Option<PathBuf>,
    /// Tells its records from those of other cases, where one place has what all have
    /// written.
    salt: u64,
}

impl Trial {
    /// Starts a connector with this environment besides the usual.
    pub async fn start(
        command: &ConformanceCommand,
        environment: &[(&str, &str)],
    ) -> Result<Self, ConformanceError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |source| ConformanceError::Io { what, source }
        };
        let folder = TempDir::with_prefix("conformance-").map_err(failed("a folder"))?;
        let socket_in = command.unix.then(|| folder.path());
        let stage = Stage::open(socket_in).await.map_err(failed("the stage's listener"))?;
        let file = folder.path().join("written");
        let mut all = vec![
            ("DANUBE_SIDECAR_ADDRESS".to_owned(), stage.address.clone()),
            ("CONNECTOR_NAME".to_owned(), "conformance".to_owned()),
            ("CONFORMANCE_FILE".to_owned(), file.display().to_string()),
        ];
        all.extend(environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
        let connector = Connector::start(&command.connector, all, folder.path())
            .map_err(failed(&command.connector[0]))?;
        let (payload, written) = (command.payload.clone(), command.written.clone());
        let settings = command.settings.clone();
        let salt = RandomState::new().hash_one(file);
        Ok(Self { connector, payload, settings, stage, folder, written, salt })
    }

    /// Which protocol a connector speaks: the one it dials.
    pub async fn kind_of(command: &ConformanceCommand) -> Result<Kind, ConformanceError> {
        let mut trial = Self::start(command, &[]).await?;
        let dialed = timeout(START, async {
            tokio::select! {
                _ = trial.stage.sinks.recv() => Kind::Sink,
                _ = trial.stage.sources.recv() => Kind::Source,
            }
        });
        let kind = dialed.await.map_err(|_| ConformanceError::NeverDialed {
            seconds: START.as_secs(),
            said: trial.connector.said(),
        });
        trial.end().await;
        kind
    }

    /// Ends the connector.
    pub async fn end(mut self) {
        self.connector.kill().await;
    }

    /// The next stream of a sink, with its `open`. A connector that has ended is started
    /// again, as a supervisor would.
    pub async fn sink(&mut self) -> Verdict<SinkSession> {
        let call = dialed(&mut self.connector, &mut self.stage.sinks).await?;
        SinkSession::begin(call, self.settings.clone(), self.salt).await
    }

    /// The same, answered with `opened`.
    pub async fn opened_sink(&mut self) -> Verdict<SinkSession> {
        let mut session = self.sink().await?;
        session.opened().await?;
        Ok(session)
    }

    /// The next stream of a source, with its `open`.
    pub async fn source(&mut self) -> Verdict<SourceSession> {
        let call = dialed(&mut self.connector, &mut self.stage.sources).await?;
        SourceSession::begin(call, self.settings.clone()).await
    }

    /// Refuses every stream for so long; tells when each was opened.
    pub async fn refuse(&mut self, status: Status, time: Duration) -> Vec<Instant> {
        let (until, mut attempts) = (Instant::now() + time, Vec::new());
        loop {
            let answers = tokio::select! {
                call = self.stage.sinks.recv() => call.map(|call| call.answers),
                call = self.stage.sources.recv() => call.map(|call| call.answers),
                () = tokio::time::sleep_until(until) => return attempts,
            };
            attempts.push(Instant::now());
            if let Some(answers) = answers {
                // Who has gone by itself needs no refusal.
                let _ = answers.send(Err(status.clone())).await;
            }
        }
    }

    /// What the connector has written; none where nothing tells.
    pub fn written(&self) -> Option<String> {
        match &self.written {
            Some(path) => Some(read(path).unwrap_or_default()),
            None => read(&self.file()),
        }
    }

    /// The file that is its own.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("written")
    }

    /// Waits until it has written this line.
    pub async fn line(&self, line: &str) -> Verdict {
        let deadline = Instant::now() + ANSWER;
        loop {
            let written = self.written().unwrap_or_default();
            if written.lines().any(|written| written == line) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return broken(format!(
                    "`{line}` is not in its file after {ANSWER:?}; it has:\n{written}"
                ));
            }
            sleep(LOOK).await;
        }
    }

    /// Has its health check fail from now on.
    pub fn make_sick(&self) -> Verdict {
        let path = format!("{}.sick", self.file().display());
        fs::write(Path::new(&path), "").map_err(|error| Finding::Broken(format!("{path}: {error}")))
    }
}

/// The names in a folder, or what stands in a file and in those beside it whose names
/// begin with its name: a database has several.
fn read(path: &Path) -> Option<String> {
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    if path.is_dir() {
        return Some(names(path).join("\n"));
    }
    let (folder, name) = (path.parent()?, path.file_name()?.to_string_lossy());
    // A name alone is a file of the working folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let own = names(folder).into_iter().filter(|other| other.starts_with(&*name));
    let texts: Vec<_> = own.filter_map(|name| fs::read(folder.join(name)).ok()).collect();
    match texts.is_empty() {
        true => None,
        false => Some(String::from_utf8_lossy(&texts.concat()).into_owned()),
    }
}

async fn dialed<P: Protocol>(
    connector: &mut Connector,
    calls: &mut mpsc::Receiver<Call<P>>,
) -> Verdict<Call<P>> {
    let deadline = Instant::now() + START;
    loop {
        match timeout(LOOK, calls.recv()).await {
            Ok(Some(call)) => return Ok(call),
            Ok(None) => return broken("the stage is gone"),
            Err(_) if Instant::now() > deadline => {
                return broken(format!("it did not dial {} within {START:?}", P::SERVICE));
            }
            Err(_) => connector
                .supervise()
                .map_err(|error| Finding::Broken(format!("it cannot be started: {error}")))?,
        }
    }
}
