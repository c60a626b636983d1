//! A process under test, and waiting for what it does.

use std::{
    future::Future,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    time::{Instant, timeout},
};

/// How long a test waits for anything before it fails. Generous: machines are slow
/// when all tests run at once, and nothing waits this long when it works.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program of this workspace, built before the tests run.
///
/// # Panics
/// When it is not built.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let path = folder.join(name);
    assert!(path.exists(), "{} is not built: run `cargo build --workspace` first", path.display());
    path
}

/// Waits until `condition` gives something.
///
/// # Panics
/// When it does not in time.
pub async fn eventually<T, F, Fut>(what: &str, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        if let Some(found) = condition().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
    }
}

/// A process under test. It is killed when the test ends.
pub struct Process {
    name: String,
    child: Child,
    output: watch::Receiver<String>,
}

impl Process {
    /// Starts it; both its outputs are collected.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let (collected, output) = watch::channel(String::new());
        collect(child.stdout.take().expect("piped"), collected.clone());
        collect(child.stderr.take().expect("piped"), collected);
        Self { name: name.to_owned(), child, output }
    }

    /// All that it has printed.
    pub fn output(&self) -> String {
        self.output.borrow().clone()
    }

    /// Waits until it prints a line with `text`, and returns the line.
    pub async fn line(&self, text: &str) -> String {
        let printed = |output: &String| output.lines().any(|line| line.contains(text));
        let mut output = self.output.clone();
        match timeout(PATIENCE, output.wait_for(printed)).await {
            Ok(Ok(output)) => {
                output.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
            }
            _ => panic!("{} never printed `{text}`; it printed:\n{}", self.name, self.output()),
        }
    }

    /// Waits until `times` of its lines contain `text`.
    pub async fn count(&self, text: &str, times: usize) {
        let printed =
            |output: &String| output.lines().filter(|line| line.contains(text)).count() >= times;
        let mut output = self.output.clone();
        if !matches!(timeout(PATIENCE, output.wait_for(printed)).await, Ok(Ok(_))) {
            panic!("{} did not print `{text}` {times} times:\n{}", self.name, self.output());
        }
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> ExitStatus {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!("{} does not end; it printed:\n{}", self.name, self.output()),
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        kill(Pid::from_raw(pid.cast_signed()), signal).expect("it is our own child");
    }

    /// SIGKILL, and its end.
    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.exit().await;
    }
}

impl Drop for Process {
    /// A test that fails shows what the process had to say.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} printed:\n{}---", self.name, self.output());
        }
    }
}

fn collect(stream: impl AsyncRead + Send + Unpin + 'static, output: watch::Sender<String>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            output.send_modify(|output| {
                output.push_str(&line);
                output.push('\n');
            });
        }
    });
}
