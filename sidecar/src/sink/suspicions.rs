//! What the delivery rules suspect of records, on its way into the store.

use std::collections::VecDeque;

use bytes::Bytes;
use danube_sidecar_core::{dispatch::Suspicion, record::Fingerprint};
use danube_sidecar_store::{Store, StoreError};
use futures::future::BoxFuture;
use tracing::warn;

/// The changes that are not kept yet, one at a time, the oldest first. Bounded by
/// the records that workers had in hand when they crashed.
pub(super) struct Suspicions {
    store: Store,
    connector: String,
    waiting: VecDeque<(Fingerprint, Option<Suspicion>)>,
    underway: Option<BoxFuture<'static, Result<(), StoreError>>>,
}

impl Suspicions {
    pub(super) fn new(store: Store, connector: String) -> Self {
        Self { store, connector, waiting: VecDeque::new(), underway: None }
    }

    /// Keeps what is suspected of a record now.
    pub(super) fn keep(&mut self, record: Fingerprint, suspicion: Option<Suspicion>) {
        self.waiting.push_back((record, suspicion));
    }

    /// Writes the next change. Cancel-safe; never ends while there is none.
    pub(super) async fn write(&mut self) {
        if self.underway.is_none() {
            let Some((record, suspicion)) = self.waiting.pop_front() else {
                return std::future::pending().await;
            };
            let (store, connector) = (self.store.clone(), self.connector.clone());
            let suspicion = suspicion.map(encode);
            self.underway =
                Some(Box::pin(
                    async move { store.keep_suspicion(&connector, record, suspicion).await },
                ));
        }
        if let Some(underway) = &mut self.underway {
            let kept = underway.await;
            self.underway = None;
            if let Err(error) = kept {
                // Nothing is lost: it only takes more crashes after the next start.
                warn!(connector = self.connector, %error, "a suspicion is not kept");
            }
        }
    }
}

/// What an earlier start suspected.
///
/// # Errors
/// When the store fails.
pub(super) async fn recall(
    store: &Store,
    connector: &str,
) -> Result<Vec<(Fingerprint, Suspicion)>, StoreError> {
    let kept = store.suspicions(connector).await?;
    let known = |(record, bytes): (Fingerprint, Bytes)| Some((record, decode(&bytes)?));
    Ok(kept.into_iter().filter_map(known).collect())
}

/// Three numbers of four bytes, big-endian.
fn encode(suspicion: Suspicion) -> Bytes {
    let Suspicion { crashes, alone, in_a_row } = suspicion;
    [crashes, alone, in_a_row].iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn decode(bytes: &[u8]) -> Option<Suspicion> {
    let number = |index: usize| {
        let bytes = bytes.get(index * 4..index * 4 + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    Some(Suspicion { crashes: number(0)?, alone: number(1)?, in_a_row: number(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspicion_is_read_as_it_was_kept() {
        let suspicion = Suspicion { crashes: 3, alone: 2, in_a_row: 1 };
        assert_eq!(decode(&encode(suspicion)), Some(suspicion));
    }

    #[test]
    fn what_another_version_kept_is_passed_over() {
        assert_eq!(decode(b"short"), None);
    }
}
