//! Which records are suspected of killing their workers.

use bytes::Bytes;
use danube_sidecar_core::record::Fingerprint;

use crate::{
    Store, StoreError,
    backend::{Durability, Space},
    commit::Kind,
    faults::Call,
    keys::{Key, Table},
};

impl Store {
    /// Everything that is suspected in `connector`, as it was kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn suspicions(
        &self,
        connector: &str,
    ) -> Result<Vec<(Fingerprint, Bytes)>, StoreError> {
        let prefix = Key::of(Table::Suspicions).text(connector);
        let stored = self.writer.read(Call::ReadSuspicions, move |session| {
            let stored = session.tx.range(Space::State, &prefix.clone().done(), &prefix.end());
            Ok(stored.collect::<Result<Vec<_>, _>>()?)
        });
        let suspicion = |(key, value): (Bytes, Bytes)| {
            let fingerprint = u128::from_be_bytes(*key.last_chunk()?);
            Some((Fingerprint(fingerprint), value))
        };
        Ok(stored.await?.into_iter().filter_map(suspicion).collect())
    }

    /// Keeps a suspicion, replacing the one before; `None` clears it. Written to
    /// the operating system when it returns.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_suspicion(
        &self,
        connector: &str,
        fingerprint: Fingerprint,
        suspicion: Option<Bytes>,
    ) -> Result<(), StoreError> {
        let key = Key::of(Table::Suspicions).text(connector).wide_number(fingerprint.0).done();
        let kept = self.writer.submit(
            Call::KeepSuspicion,
            Kind::Write(Durability::Process),
            0,
            move |session| {
                match suspicion {
                    Some(suspicion) => session.tx.put(Space::State, key, suspicion),
                    None => session.tx.delete(Space::State, key),
                }
                Ok(())
            },
        );
        kept.await
    }
}
