//! `dlq list|show|replay|purge`.

use std::time::Duration;

use axum::http::Method;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use danube_sidecar_text::{Foreign, block};

use super::{escaped, print, table::table};
use crate::admin::{
    api::{
        Content, Letter, LetterList, LetterQuery, LettersPurged, LettersReplayed, PurgeLetters,
        ReplayLetters,
    },
    args::{DlqAction, DlqReplay, Which},
    door::{CommandError, Door},
};

const PATH: &str = "/admin/v1/dead-letters";

/// Most letters in one call of a replay.
const AT_ONCE: usize = 100;

/// Longest reason in a table, in characters.
const REASON: usize = 60;

pub(super) async fn run(action: &DlqAction, door: &Door) -> Result<String, CommandError> {
    match action {
        DlqAction::List { reach, which, limit } => {
            let query = LetterQuery { limit: Some(*limit), ..query(which) };
            let found: LetterList = door.get(&format!("{PATH}?{}", encoded(&query))).await?;
            print(reach.output, &found, listed)
        }
        DlqAction::Show { reach, connector, id } => {
            let query = LetterQuery { connector: connector.clone(), ..LetterQuery::default() };
            let found: Letter = door.get(&format!("{PATH}/{id}?{}", encoded(&query))).await?;
            print(reach.output, &found, shown)
        }
        DlqAction::Replay(command) => replay(command, door).await,
        DlqAction::Purge { reach, which, limit, all, dry_run } => {
            let letters = LetterQuery { limit: *limit, ..query(which) };
            let body = PurgeLetters { letters, all: *all, dry_run: *dry_run };
            let path = format!("{PATH}/purge");
            let purged: LettersPurged = door.call(Method::POST, &path, &body).await?;
            print(reach.output, &purged, |purged| {
                let would = if *dry_run { "would delete" } else { "deleted" };
                format!("{would} {} dead letters of {}\n", purged.letters, purged.connector)
            })
        }
    }
}

/// Some letters in each call, at the rate asked for, until none is left.
async fn replay(command: &DlqReplay, door: &Door) -> Result<String, CommandError> {
    let mut done = LettersReplayed::default();
    let mut after_id = None;
    let mut left = command.limit.unwrap_or(usize::MAX);
    let at_once = command.rate.map_or(AT_ONCE, |rate| AT_ONCE.min(rate as usize));
    // One call after the other takes at least the time that its letters may need.
    let mut pace = command.rate.map(|rate| {
        let span = Duration::from_secs_f64(at_once as f64 / f64::from(rate));
        tokio::time::interval(span)
    });
    while left > 0 {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let limit = Some(left.min(at_once));
        let body = ReplayLetters {
            letters: LetterQuery { limit, after_id, ..query(&command.which) },
            to: command.to.as_ref().map(ToString::to_string),
            again: command.again,
            dry_run: command.dry_run,
        };
        let path = format!("{PATH}/replay");
        let some: LettersReplayed = door.call(Method::POST, &path, &body).await?;
        left = left.saturating_sub(some.replayed.len() + some.refused.len());
        after_id = some.next_after;
        done.replayed.extend(some.replayed);
        done.refused.extend(some.refused);
        done.stopped = some.stopped;
        if after_id.is_none() || done.stopped.is_some() {
            break;
        }
    }
    done.next_after = after_id;
    if let Some(stopped) = &done.stopped {
        let (id, replayed) = (stopped.id, done.replayed.len());
        let message = stopped.message.clone();
        return Err(CommandError::Stopped { id, replayed, message });
    }
    let dry_run = command.dry_run;
    print(command.reach.output, &done, |done| replayed(done, dry_run))
}

fn replayed(done: &LettersReplayed, dry_run: bool) -> String {
    let would = if dry_run { "would replay" } else { "replayed" };
    let mut topics: Vec<(&str, usize)> = vec![];
    for letter in &done.replayed {
        match topics.iter_mut().find(|(topic, _)| *topic == letter.topic) {
            Some((_, count)) => *count += 1,
            None => topics.push((&letter.topic, 1)),
        }
    }
    let mut text = format!("{would} {} dead letters\n", done.replayed.len());
    for (topic, count) in topics {
        text += &format!("  {count} to {}\n", Foreign(topic));
    }
    for refused in &done.refused {
        text += &format!("  not {}: {}\n", refused.id, Foreign(&refused.message));
    }
    text
}

fn query(which: &Which) -> LetterQuery {
    LetterQuery {
        connector: which.connector.clone(),
        class: which.class.clone(),
        code: which.code.clone(),
        key: which.key.clone(),
        since_ms: which.since.map(super::unix_ms),
        after_id: None,
        limit: None,
    }
}

fn encoded(query: &LetterQuery) -> String {
    let since = query.since_ms.map(|ms| ms.to_string());
    let limit = query.limit.map(|limit| limit.to_string());
    let fields = [
        ("connector", &query.connector),
        ("class", &query.class),
        ("code", &query.code),
        ("key", &query.key),
        ("since_ms", &since),
        ("limit", &limit),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<String> = given.map(|(name, v)| format!("{name}={}", escaped(v))).collect();
    pairs.join("&")
}

fn listed(found: &LetterList) -> String {
    let titles =
        ["ID", "KEPT", "CLASS", "CODE", "PARTITION", "OFFSET", "KEY", "BYTES", "STATE", "REASON"];
    let rows: Vec<[String; 10]> = found.letters.iter().map(row).collect();
    let LetterList { connector, kept, evicted, .. } = found;
    let foot =
        format!("{connector}: {kept} dead letters kept, {evicted} given up by size or age\n");
    if rows.is_empty() { foot } else { table(titles, &rows) + &foot }
}

fn row(letter: &Letter) -> [String; 10] {
    [
        letter.id.to_string(),
        letter.kept_at.clone(),
        letter.class.clone(),
        letter.code.clone(),
        letter.partition.clone(),
        letter.offset.to_string(),
        letter.key.clone().unwrap_or_default(),
        letter.payload_bytes.to_string(),
        state(letter).to_owned(),
        letter.reason.chars().take(REASON).collect(),
    ]
}

fn state(letter: &Letter) -> &'static str {
    match letter {
        Letter { replayed_at: Some(_), .. } => "replayed",
        Letter { published: true, .. } => "published",
        _ => "kept",
    }
}

fn shown(letter: &Letter) -> String {
    let optional = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let lines = [
        ("id", letter.id.to_string()),
        ("state", state(letter).to_owned()),
        ("kept", letter.kept_at.clone()),
        ("replayed", optional(&letter.replayed_at)),
        ("class", letter.class.clone()),
        ("code", letter.code.clone()),
        ("reason", letter.reason.clone()),
        ("attempt", letter.attempt.to_string()),
        ("first failure", letter.first_failure.clone()),
        ("topic", letter.topic.clone()),
        ("subscription", optional(&letter.subscription)),
        ("partition", letter.partition.clone()),
        ("offset", letter.offset.to_string()),
        ("key", optional(&letter.key)),
        ("dead-letter topic", optional(&letter.dead_letter_topic)),
        ("dedup id", letter.dedup_id.clone()),
    ];
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let mut text: String =
        lines.iter().map(|(name, value)| format!("{name:width$}  {}\n", Foreign(value))).collect();
    if let Some(content) = &letter.content {
        text += &inside(content);
    }
    text
}

fn inside(content: &Content) -> String {
    let attributes = content.attributes.iter();
    let attributes =
        attributes.map(|(name, value)| format!("  {} = {}\n", Foreign(name), Foreign(value)));
    let payload = match BASE64_STANDARD.decode(&content.payload_base64).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        _ => format!("(base64) {}", content.payload_base64),
    };
    format!("attributes\n{}payload\n{}", attributes.collect::<String>(), block("  ", &payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "x\x1b]0;title\x07\x1b[2J\n2026-11-30T00:00:00Z ERROR forged";

    fn letter() -> Letter {
        let text = || HOSTILE.to_owned();
        Letter {
            id: 1,
            kept_at: text(),
            published: true,
            replayed_at: None,
            dedup_id: text(),
            topic: text(),
            subscription: Some(text()),
            partition: text(),
            offset: 1,
            key: Some(text()),
            class: text(),
            code: text(),
            reason: text(),
            attempt: 1,
            first_failure: text(),
            dead_letter_topic: Some(text()),
            payload_bytes: HOSTILE.len(),
            content: Some(Content {
                payload_base64: BASE64_STANDARD.encode(HOSTILE),
                attributes: vec![(text(), text())],
            }),
        }
    }

    #[test]
    fn a_letter_neither_steers_the_terminal_nor_forges_a_line_whoever_wrote_it() {
        let list =
            LetterList { connector: "c".to_owned(), letters: vec![letter()], kept: 1, evicted: 0 };
        for shown in [listed(&list), shown(&letter())] {
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            assert!(!shown.lines().any(|line| line.starts_with("2026-11-30T00:00:00Z")), "{shown}");
        }
    }

    #[test]
    fn a_payload_of_several_lines_keeps_them() {
        let content = Content {
            payload_base64: BASE64_STANDARD.encode("{\n  \"a\": 1\n}"),
            attributes: vec![],
        };
        assert_eq!(inside(&content), "attributes\npayload\n  {\n    \"a\": 1\n  }\n");
    }
}
