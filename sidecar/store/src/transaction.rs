//! Changes that are not committed yet, above what is.

use std::ops::Bound;

use bytes::Bytes;

use crate::backend::{Backend, Changes, Entry, Failure, Space, gaps::readable_behind};

/// Reads see the changes of their own transaction.
pub(crate) struct Transaction<'b> {
    backend: &'b dyn Backend,
    changes: Changes,
    /// What the changes since the last savepoint were before it, in their order.
    undo: Vec<Undo>,
}

/// A key, and its change before; none where it had none.
type Undo = ((Space, Bytes), Option<Option<Bytes>>);

impl<'b> Transaction<'b> {
    pub(crate) fn new(backend: &'b dyn Backend) -> Self {
        Self { backend, changes: Changes::new(), undo: Vec::new() }
    }

    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }

    pub(crate) fn value(&self, space: Space, key: Bytes) -> Result<Option<Bytes>, Failure> {
        let key = (space, key);
        match self.changes.get(&key) {
            Some(changed) => Ok(changed.clone()),
            None => self.backend.value(space, &key.1),
        }
    }

    pub(crate) fn put(&mut self, space: Space, key: Bytes, value: impl Into<Bytes>) {
        self.change((space, key), Some(value.into()));
    }

    pub(crate) fn delete(&mut self, space: Space, key: Bytes) {
        self.change((space, key), None);
    }

    fn change(&mut self, key: (Space, Bytes), value: Option<Bytes>) {
        let before = self.changes.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    /// From here on changes can be taken back.
    pub(crate) fn savepoint(&mut self) {
        self.undo.clear();
    }

    /// Takes back all changes since the last savepoint.
    pub(crate) fn roll_back(&mut self) {
        for (key, before) in self.undo.drain(..).rev() {
            match before {
                Some(before) => self.changes.insert(key, before),
                None => self.changes.remove(&key),
            };
        }
    }

    /// Where reading goes on behind `from`, where it fails.
    pub(crate) fn readable_behind(&self, space: Space, from: &Bytes, end: &Bytes) -> Option<Bytes> {
        let reads = |key: &[u8]| {
            let key = Bytes::copy_from_slice(key);
            !matches!(self.range(space, &key, end).next(), Some(Err(_)))
        };
        readable_behind(reads, from, end)
    }

    /// What there is with keys from `from` on, below `to`, in order.
    pub(crate) fn range<'t>(
        &'t self,
        space: Space,
        from: &Bytes,
        to: &Bytes,
    ) -> impl Iterator<Item = Result<Entry, Failure>> + use<'t, 'b> {
        let committed = self.backend.range(space, from, to).peekable();
        let span = (Bound::Included((space, from.clone())), Bound::Excluded((space, to.clone())));
        let changed = (from < to).then(|| self.changes.range(span)).into_iter().flatten();
        Merged { committed, changed: changed.peekable() }.flatten_deletions()
    }
}

/// Two ordered sequences as one; where both have a key, the change counts.
struct Merged<A: Iterator, B: Iterator> {
    committed: std::iter::Peekable<A>,
    changed: std::iter::Peekable<B>,
}

impl<'t, A, B> Merged<A, B>
where
    A: Iterator<Item = Result<Entry, Failure>>,
    B: Iterator<Item = (&'t (Space, Bytes), &'t Option<Bytes>)>,
{
    fn flatten_deletions(self) -> impl Iterator<Item = Result<Entry, Failure>> {
        self.filter_map(|entry| match entry {
            Ok((key, Some(value))) => Some(Ok((key, value))),
            Ok((_, None)) => None,
            Err(failure) => Some(Err(failure)),
        })
    }

    fn next_change(&mut self) -> Option<Result<(Bytes, Option<Bytes>), Failure>> {
        let ((_, key), value) = self.changed.next()?;
        Some(Ok((key.clone(), value.clone())))
    }
}

impl<'t, A, B> Iterator for Merged<A, B>
where
    A: Iterator<Item = Result<Entry, Failure>>,
    B: Iterator<Item = (&'t (Space, Bytes), &'t Option<Bytes>)>,
{
    type Item = Result<(Bytes, Option<Bytes>), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let change_first = match (self.committed.peek(), self.changed.peek()) {
            (Some(Ok((committed, _))), Some(((_, changed), _))) => {
                if committed == changed {
                    self.committed.next();
                    return self.next_change();
                }
                changed < committed
            }
            (None, _) => true,
            (Some(_), _) => false,
        };
        if change_first {
            return self.next_change();
        }
        let entry = self.committed.next()?;
        Some(entry.map(|(key, value)| (key, Some(value))))
    }
}
