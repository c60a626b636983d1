//! From the one result of a batch to a result for each record.

use std::iter::repeat_with;

use super::Desk;
use crate::{ConnectorError, ConnectorResult, SinkConnector, SinkRecord};

/// Asks `process_batch`. What it refuses as invalid is halved until the records
/// that are wrong stand alone.
///
/// That needs a copy, which costs a third of all that is done for a record here: none is
/// kept for a connector that never refused a batch. Its first one is delivered
/// once more.
pub(crate) async fn whole_batch<C: SinkConnector + ?Sized>(
    connector: &mut C,
    mut records: Vec<SinkRecord>,
) -> Vec<ConnectorResult<()>> {
    if records.iter().all(|record| record.seat.is_some()) {
        return in_parts(connector, records).await;
    }
    let desk = Desk::new(true);
    desk.seat(&mut records);
    let mut results = in_parts(connector, records).await;
    for (index, record) in desk.take() {
        results[index] = connector.process(record).await;
    }
    results
}

async fn in_parts<C: SinkConnector + ?Sized>(
    connector: &mut C,
    records: Vec<SinkRecord>,
) -> Vec<ConnectorResult<()>> {
    let total = records.len();
    let desk =
        records.first().and_then(|record| record.seat.as_ref()).map(|seat| seat.desk().clone());
    let keeps_copies = desk.as_ref().is_none_or(|desk| desk.keeps_copies);
    let mut results = Vec::with_capacity(total);
    let mut parts = vec![records];
    while let Some(part) = parts.pop() {
        let size = part.len();
        let spare = (size > 1 && keeps_copies).then(|| part.clone());
        match (connector.process_batch(part).await, spare) {
            (Ok(()), _) => results.extend(repeat_with(|| Ok(())).take(size)),
            (Err(error), Some(mut first)) if error.is_about_data() => {
                let second = first.split_off(size / 2);
                parts.extend([second, first]);
            }
            (Err(error), None) if error.is_about_data() && size > 1 => {
                desk.iter().for_each(Desk::want_again);
                results.extend(repeated(error, size));
            }
            (Err(error), _) if error.is_about_data() => results.push(Err(error)),
            // What comes after it must not overtake it.
            (Err(error), _) => {
                let rest = total - results.len();
                results.extend(repeated(error, rest));
                break;
            }
        }
    }
    results
}

/// An error for each of `count` records: errors cannot be cloned.
fn repeated(
    error: ConnectorError,
    count: usize,
) -> impl Iterator<Item = Result<(), ConnectorError>> {
    let message = error.to_string();
    let after = error.retry_after();
    let stops = error.stops();
    let copy = move || match after {
        _ if stops => ConnectorError::fatal(message.clone()),
        Some(after) => ConnectorError::retryable_after(message.clone(), after),
        None => ConnectorError::retryable(message.clone()),
    };
    std::iter::once(Err(error)).chain(repeat_with(move || Err(copy()))).take(count)
}
