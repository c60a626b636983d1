//! `replay --from`.

use axum::http::Method;

use super::{escaped, print, unix_ms};
use crate::admin::{
    api::{InboxReplayed, ReplayInbox},
    args::{Beginning, ReplayCommand},
    door::{CommandError, Door},
};

pub(super) async fn run(command: &ReplayCommand, door: &Door) -> Result<String, CommandError> {
    let from = match command.from {
        Beginning::Time(time) => ReplayInbox::FromMs(unix_ms(time)),
        Beginning::Sequence(sequence) => ReplayInbox::FromSeq(sequence),
    };
    let path = format!("/admin/v1/inbox/{}/replay", escaped(&command.connector));
    let replayed: InboxReplayed = door.call(Method::POST, &path, &from).await?;
    print(command.reach.output, &replayed, |replayed| {
        format!("{} records of {} are offered again\n", replayed.records, replayed.connector)
    })
}
