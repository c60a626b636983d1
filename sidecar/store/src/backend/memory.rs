//! A backend that forgets everything: no files, no threads.

use std::ops::Bound;

use bytes::Bytes;

use super::{Backend, Changes, Durability, Entry, Failure, Open, Space};
use crate::StoreError;

/// An ordered map.
#[derive(Default)]
pub(crate) struct Memory {
    entries: std::collections::BTreeMap<(Space, Bytes), Bytes>,
}

impl Backend for Memory {
    fn value(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        Ok(self.entries.get(&(space, Bytes::copy_from_slice(key))).cloned())
    }

    fn range<'a>(
        &'a self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Entry, Failure>> + 'a> {
        if from >= to {
            return Box::new(std::iter::empty());
        }
        let from = Bound::Included((space, Bytes::copy_from_slice(from)));
        let to = Bound::Excluded((space, Bytes::copy_from_slice(to)));
        let entries = self.entries.range((from, to));
        Box::new(entries.map(|((_, key), value)| Ok((key.clone(), value.clone()))))
    }

    fn commit(&mut self, changes: Changes, _: Durability) -> Result<(), Failure> {
        for (key, value) in changes {
            match value {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn reclaim(&mut self, _: Space, _: &[u8], _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

/// Opens an empty one.
pub(crate) struct OpenMemory;

impl Open for OpenMemory {
    fn open(&self) -> Result<Box<dyn Backend>, StoreError> {
        Ok(Box::new(Memory::default()))
    }

    /// A second one would be another store.
    fn worth_trying(&self) -> bool {
        false
    }
}
