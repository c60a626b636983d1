//! Everything that was answered survives the death of the process.
//!
//! The process that dies is this test binary once more, running one test that
//! tells on its output what was answered.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use danube_sidecar_store::{Inbox, Position, Store};

use crate::support::{SETTINGS, records, waiting};

const DIR: &str = "STORE_THAT_IS_KILLED";
const KILLS: u64 = 20;
const BATCH: u64 = 25;
/// The killed process resolves once per this many records.
const RESOLVES: u64 = 4 * BATCH;
/// Every seventh record is never resolved.
const STUCK: u64 = 7;

/// What the killed process was told, in its last words.
#[derive(Debug, Default)]
struct Answered {
    appended: u64,
    resolved: u64,
    position: u64,
}

#[tokio::test]
async fn what_was_answered_survives_twenty_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = Answered::default();
    for kill in 0..KILLS {
        last = kill_amid(dir.path(), kill, last);
        let store = Store::open(dir.path()).unwrap();
        let inbox = store.inbox("sink", SETTINGS).await.unwrap();
        check(&store, &inbox, &last).await;
    }
    assert!(last.appended > KILLS * BATCH && last.resolved > 0 && last.position > 0, "{last:?}");
}

/// Lets a child work until it has told some lines, and kills it.
fn kill_amid(dir: &Path, kill: u64, last: Answered) -> Answered {
    let mut child = spawn(dir);
    let (lines, told) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    let mut answered = last;
    for _ in 0..20 + kill * 7 % 60 {
        hear(&mut answered, &told.recv_timeout(Duration::from_secs(60)).unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    told.iter().for_each(|line| hear(&mut answered, &line));
    answered
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kill::the_process_that_is_killed", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn hear(answered: &mut Answered, line: &str) {
    let Some((what, number)) = line.split_once(' ') else { return };
    let Ok(number) = number.parse() else { return };
    match what {
        "appended" => answered.appended = number,
        "resolved" => answered.resolved = number,
        "position" => answered.position = number,
        _ => {}
    }
}

async fn check(store: &Store, inbox: &Inbox, answered: &Answered) {
    let waiting = waiting(inbox).await;
    let stuck = |seq: &u64| seq.is_multiple_of(STUCK);
    let mut expected = (1..=answered.appended).filter(|seq| *seq > answered.resolved || stuck(seq));
    let mut found = waiting.iter().map(|entry| entry.seq).peekable();
    // The one resolution that was not answered any more may have happened.
    let unanswered = (answered.resolved + RESOLVES).min(answered.appended);
    for seq in expected.by_ref() {
        match found.next_if_eq(&seq) {
            Some(_) => {}
            None => assert!(seq <= unanswered && !stuck(&seq), "{seq} is lost, {answered:?}"),
        }
    }
    for entry in &waiting {
        let expected = records(entry.seq - 1..entry.seq, 200);
        assert_eq!(entry.record, *expected[0]);
        assert!(entry.seq > answered.resolved || stuck(&entry.seq), "{} is back", entry.seq);
    }
    let positions = store.positions("files").await.unwrap();
    assert!(positions.iter().all(|position| position.offset >= answered.position), "{positions:?}");
    assert_eq!(positions.is_empty(), answered.position == 0);
    let seen = inbox.seen().await.unwrap();
    let newest = seen[0].1.last().copied();
    let contiguous = store.contiguous_offset("sub", "/default/orders-part-0").await.unwrap();
    let last = records(contiguous.unwrap()..contiguous.unwrap() + 1, 0);
    assert_eq!(newest, Some(last[0].identity.fingerprint()));
    assert!(contiguous.unwrap() + 1 >= answered.appended);
}

#[tokio::test]
#[ignore = "is started, and killed, by the test above"]
async fn the_process_that_is_killed() {
    let dir = std::env::var_os(DIR).expect("started by its test");
    let store = Store::open(Path::new(&dir)).unwrap();
    let inbox = store.inbox("sink", SETTINGS).await.unwrap();
    let epoch = store.next_epoch("files").await.unwrap();
    let contiguous = store.contiguous_offset("sub", "/default/orders-part-0").await.unwrap();
    let mut appended = contiguous.map_or(0, |offset| offset + 1);
    loop {
        let at = inbox.append(records(appended..appended + BATCH, 200)).await.unwrap();
        assert_eq!(at.first_seq, appended + 1);
        appended += BATCH;
        tell("appended", appended);
        if appended % RESOLVES == 0 {
            let done = appended - BATCH;
            let seqs = 1.max(done.saturating_sub(8 * BATCH))..=done;
            let seqs = seqs.filter(|seq| !seq.is_multiple_of(STUCK)).collect();
            inbox.resolve(seqs).await.unwrap();
            tell("resolved", done);
            let position =
                Position { source_partition: "a".to_owned(), offset: appended, metadata: None };
            store.commit_positions("files", epoch, &[position]).await.unwrap();
            tell("position", appended);
        }
    }
}

fn tell(what: &str, number: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {number}").unwrap();
    out.flush().unwrap();
}
