//! What the sidecar knows of its Danube consumers.

use bytes::Bytes;

use crate::{
    Store, StoreError,
    backend::Space,
    faults::Call,
    keys::{Key, Table, last_number},
};

impl Store {
    /// The Danube consumer id kept under `key`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn consumer_id(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.number(Call::ReadConsumerId, Key::of(Table::Consumers).text(key).done()).await
    }

    /// Keeps a Danube consumer id under `key`, replacing the one before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_consumer_id(&self, key: &str, id: u64) -> Result<(), StoreError> {
        self.keep_number(Call::KeepConsumerId, Key::of(Table::Consumers).text(key).done(), id).await
    }

    /// The last offset of `partition` up to which nothing is missing, as
    /// `subscription` saw it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn contiguous_offset(
        &self,
        subscription: &str,
        partition: &str,
    ) -> Result<Option<u64>, StoreError> {
        self.number(Call::ReadOffset, contiguous_key(subscription, partition)).await
    }

    /// Keeps the last offset of `partition` up to which nothing is missing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep_contiguous_offset(
        &self,
        subscription: &str,
        partition: &str,
        offset: u64,
    ) -> Result<(), StoreError> {
        self.keep_number(Call::KeepOffset, contiguous_key(subscription, partition), offset).await
    }

    async fn number(&self, call: Call, key: Bytes) -> Result<Option<u64>, StoreError> {
        let stored =
            self.writer.read(call, move |session| Ok(session.tx.value(Space::State, key)?));
        Ok(stored.await?.and_then(|number| last_number(&number)))
    }

    async fn keep_number(&self, call: Call, key: Bytes, number: u64) -> Result<(), StoreError> {
        let value = number.to_be_bytes().to_vec();
        let kept = self.writer.write(call, move |session| {
            session.tx.put(Space::State, key, value);
            Ok(())
        });
        kept.await
    }
}

/// Where the last contiguous offset is kept.
pub(crate) fn contiguous_key(subscription: &str, partition: &str) -> Bytes {
    Key::of(Table::Contiguous).text(subscription).text(partition).done()
}
