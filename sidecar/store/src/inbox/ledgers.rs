//! All inboxes that are in use, and what others see of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{InboxSettings, InboxUsage, ledger::Ledger};
use crate::{
    backend::{Backend, Failure},
    commit::{Refusal, Session},
    transaction::Transaction,
};

/// One connector's inbox, as its owner sees it.
pub(crate) struct Account {
    pub(super) connector: Arc<str>,
    pub(super) settings: InboxSettings,
    usage: Mutex<InboxUsage>,
}

impl Account {
    pub(crate) fn new(connector: &str, settings: InboxSettings) -> Self {
        Self { connector: connector.into(), settings, usage: Mutex::default() }
    }

    pub(crate) fn connector(&self) -> &str {
        &self.connector
    }

    pub(super) fn usage(&self) -> InboxUsage {
        *self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledgers that were used since the last failure, by connector.
#[derive(Default)]
pub(crate) struct Ledgers(HashMap<Arc<str>, Ledger>);

impl Ledgers {
    /// Works on the ledger of `account`, which is read first where it has to be.
    pub(crate) fn with<T>(
        account: &Arc<Account>,
        session: &mut Session<'_, '_>,
        work: impl FnOnce(&mut Ledger, &mut Session<'_, '_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut ledger = match session.memory.inboxes.0.remove(&account.connector) {
            Some(ledger) => ledger.of(account),
            None => Ledger::load(account, &session.tx)?,
        };
        let done = work(&mut ledger, session);
        session.memory.inboxes.0.insert(Arc::clone(&account.connector), ledger);
        done
    }

    pub(crate) fn publish(&self) {
        for ledger in self.0.values() {
            let usage = ledger.usage();
            *ledger.account().usage.lock().unwrap_or_else(PoisonError::into_inner) = usage;
        }
    }

    /// Bytes of the records that are still there.
    pub(crate) fn bytes(&self) -> u64 {
        let usages = self.0.values().map(Ledger::usage);
        usages.map(|usage| usage.bytes + usage.retained_bytes).sum()
    }

    pub(crate) fn need_sweep(&self) -> bool {
        self.0.values().any(Ledger::needs_sweep)
    }

    pub(crate) fn sweep(&mut self, tx: &mut Transaction<'_>, now_ms: i64) -> Result<(), Failure> {
        for ledger in self.0.values_mut() {
            ledger.sweep(tx, now_ms)?;
            ledger.settle(tx)?;
        }
        Ok(())
    }

    /// Gives the room of what was deleted back to the disk.
    pub(crate) fn reclaim(&mut self, backend: &mut dyn Backend) -> Result<(), Failure> {
        self.0.values_mut().try_for_each(|ledger| ledger.reclaim(backend))
    }
}
