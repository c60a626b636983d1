//! `store list`.

use super::{print, table::table};
use crate::admin::{
    api::{StoreEntry, StoreList},
    args::StoreAction,
    door::{CommandError, Door},
};

pub(super) async fn run(action: &StoreAction, door: &Door) -> Result<String, CommandError> {
    let StoreAction::List { reach } = action;
    let found: StoreList = door.get("/admin/v1/store").await?;
    print(reach.output, &found, for_people)
}

fn for_people(found: &StoreList) -> String {
    if found.connectors.is_empty() {
        return "nothing is held\n".to_owned();
    }
    let titles = [
        "CONNECTOR",
        "RECORDS",
        "BYTES",
        "OLDEST",
        "RETAINED",
        "DEAD LETTERS",
        "BYTES",
        "OLDEST",
        "POSITIONS",
        "SUSPICIONS",
        "STRANDED",
    ];
    table(titles, &found.connectors.iter().map(row).collect::<Vec<_>>())
}

fn row(entry: &StoreEntry) -> [String; 11] {
    [
        entry.connector.clone(),
        entry.records.to_string(),
        entry.record_bytes.to_string(),
        entry.oldest_record.clone().unwrap_or_default(),
        entry.retained_records.to_string(),
        entry.dead_letters.to_string(),
        entry.dead_letter_bytes.to_string(),
        entry.oldest_dead_letter.clone().unwrap_or_default(),
        entry.positions.to_string(),
        entry.suspicions.to_string(),
        entry.stranded.clone().unwrap_or_default(),
    ]
}
