//! `/admin/v1/dead-letters`: the local copies of dead letters.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::{get, post},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use danube_sidecar_store::{self as store, LetterFilter, LetterSettings, Letters};

use super::{
    Desk,
    api::{Content, Letter, LetterList, LetterQuery, LettersPurged, PurgeLetters},
    error::{self, ApiError},
    replay, rfc3339,
};

/// Letters in a list where the caller does not say, and at the most.
const LISTED: usize = 100;
const MOST_LISTED: usize = 1000;

/// Letters read at once: each may hold a payload of 4 MiB.
const PAGE: usize = 16;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/admin/v1/dead-letters", get(list))
        .route("/admin/v1/dead-letters/{id}", get(show))
        .route("/admin/v1/dead-letters/replay", post(replay::letters))
        .route("/admin/v1/dead-letters/purge", post(purge))
}

async fn list(
    State(desk): State<Desk>,
    Query(query): Query<LetterQuery>,
) -> Result<Json<LetterList>, ApiError> {
    let shelf = desk.shelf(query.connector.as_deref())?;
    let limit = query.limit.unwrap_or(LISTED).min(MOST_LISTED);
    let mut letters = Vec::new();
    let mut page = Page::new(&query, false);
    while letters.len() < limit {
        let Some(found) = page.next(&shelf.letters).await? else { break };
        let room = limit - letters.len();
        letters.extend(found.into_iter().take(room).map(|letter| described(letter, false)));
    }
    let usage = shelf.letters.usage();
    let Shelf { connector, .. } = shelf;
    Ok(Json(LetterList { connector, letters, kept: usage.letters, evicted: usage.evicted }))
}

async fn show(
    State(desk): State<Desk>,
    Path(id): Path<u64>,
    Query(query): Query<LetterQuery>,
) -> Result<Json<Letter>, ApiError> {
    let shelf = desk.shelf(query.connector.as_deref())?;
    match shelf.letters.show(id).await? {
        Some(letter) => Ok(Json(described(letter, true))),
        None => Err(ApiError::NoLetter { id, connector: shelf.connector }),
    }
}

async fn purge(
    State(desk): State<Desk>,
    Json(what): Json<PurgeLetters>,
) -> Result<Json<LettersPurged>, ApiError> {
    let query = &what.letters;
    if query.since_ms.is_some() || query.after_id.is_some() {
        return Err(ApiError::PurgeSince);
    }
    let filtered = query.class.is_some() || query.code.is_some() || query.key.is_some();
    if !filtered && !what.all {
        return Err(ApiError::PurgeAll);
    }
    let Shelf { connector, letters } = desk.shelf(query.connector.as_deref())?;
    let deleted = if what.dry_run {
        let mut page = Page::new(query, false);
        let mut counted = 0;
        while let Some(found) = page.next(&letters).await? {
            counted += found.len() as u64;
        }
        counted.min(query.limit.map_or(u64::MAX, |limit| limit as u64))
    } else {
        let filter = LetterFilter { limit: query.limit, ..filter(query) };
        letters.purge(&filter).await?
    };
    Ok(Json(LettersPurged { connector, letters: deleted }))
}

/// The letters of one connector.
pub(super) struct Shelf {
    pub(super) connector: String,
    pub(super) letters: Letters,
}

impl Desk {
    /// The letters of the connector that is named, or of the only one.
    pub(super) fn shelf(&self, connector: Option<&str>) -> Result<Shelf, ApiError> {
        let store = self.store.as_ref().ok_or(ApiError::NoDataDir)?;
        let mut known = self.config.connectors.keys();
        let connector = match (connector, known.next(), known.next()) {
            (Some(connector), _, _) => error::connector(connector.to_owned())?,
            (None, Some(only), None) => only.clone(),
            (None, _, _) => {
                let known: Vec<&str> = self.config.connectors.keys().map(String::as_str).collect();
                return Err(ApiError::NoConnector { known: known.join(", ") });
            }
        };
        let kept = match self.config.connectors.get(&connector) {
            Some(known) => &known.dead_letters,
            None => &self.config.defaults.dead_letters,
        };
        let settings = LetterSettings { max_bytes: kept.max_bytes, max_age: kept.max_age };
        Ok(Shelf { letters: store.letters(&connector, settings), connector })
    }
}

/// The letters that a query means, some at a time.
pub(super) struct Page {
    filter: LetterFilter,
    since_ms: i64,
}

impl Page {
    pub(super) fn new(query: &LetterQuery, not_replayed: bool) -> Self {
        let filter = LetterFilter { limit: Some(PAGE), not_replayed, ..filter(query) };
        Self { filter, since_ms: query.since_ms.unwrap_or(i64::MIN) }
    }

    /// The next ones, perhaps none of the time asked for; `None` at the end.
    pub(super) async fn next(
        &mut self,
        letters: &Letters,
    ) -> Result<Option<Vec<store::Letter>>, ApiError> {
        let mut found = letters.list(&self.filter).await?;
        let Some(last) = found.last() else { return Ok(None) };
        self.filter.after_id = Some(last.id);
        found.retain(|letter| letter.kept_at_ms >= self.since_ms);
        Ok(Some(found))
    }
}

fn filter(query: &LetterQuery) -> LetterFilter {
    LetterFilter {
        class: query.class.clone(),
        code: query.code.clone(),
        key: query.key.clone(),
        after_id: query.after_id,
        limit: None,
        not_replayed: false,
    }
}

fn described(letter: store::Letter, in_full: bool) -> Letter {
    let store::Letter { id, kept_at_ms, published, replayed_at_ms, letter } = letter;
    let content = in_full.then(|| Content {
        payload_base64: BASE64_STANDARD.encode(&letter.payload),
        attributes: letter.attributes,
    });
    Letter {
        id,
        kept_at: rfc3339(kept_at_ms),
        published,
        replayed_at: replayed_at_ms.map(rfc3339),
        dedup_id: letter.dedup_id,
        topic: letter.topic,
        subscription: letter.subscription,
        partition: letter.partition,
        offset: letter.offset,
        key: letter.key,
        class: letter.class,
        code: letter.code,
        reason: letter.reason,
        attempt: letter.attempt,
        first_failure: rfc3339(letter.first_failure_ms),
        dead_letter_topic: letter.dead_letter_topic,
        payload_bytes: letter.payload.len(),
        content,
    }
}
