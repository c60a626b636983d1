//! The room that is left on the disk: intake waits before there is none.
//!
//! A disk that is full to the last byte cannot be drained: a resolution is a write, and so
//! is what opens a session. So an eighth of the disk, within bounds, is not for records
//! that come in; and for the time when others fill the disk a file holds some room, which
//! is given back to the store when it needs it.
//!
//! **Architecture invariant:** only appends to inboxes ask here.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::StoreError;

/// What intake leaves: a share of the disk, but no less and no more than this.
const SHARE: u64 = 8;
const LEAST: u64 = 1 << 20;
const MOST: u64 = 256 << 20;
/// Most that the file holds.
const HELD: u64 = 8 << 20;

/// Bytes of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) free: u64,
    pub(crate) total: u64,
}

/// The disk that a store is on.
pub(crate) trait Disk: Send {
    fn space(&self) -> io::Result<Space>;
    /// Holds so many bytes in a file.
    fn hold(&self, bytes: u64) -> io::Result<()>;
    /// Whether that file is there.
    fn holds(&self) -> bool;
    /// Gives them back.
    fn let_go(&self) -> io::Result<()>;
}

/// What there is room for.
pub(crate) struct Room {
    data_dir: PathBuf,
    /// `None` where nothing is written.
    disk: Option<Box<dyn Disk>>,
    /// What intake leaves.
    reserve: u64,
    /// What is left of the disk when all has been written that was taken in.
    left: u64,
    low: bool,
    holds: bool,
    may_hold: bool,
}

impl Room {
    pub(crate) fn new(data_dir: &Path, disk: Option<Box<dyn Disk>>) -> Self {
        let holds = disk.as_ref().is_some_and(|disk| disk.holds());
        let data_dir = data_dir.to_owned();
        let (low, may_hold) = (false, false);
        let mut room =
            Self { data_dir, disk, reserve: LEAST, left: u64::MAX, low, holds, may_hold };
        room.look(0);
        room
    }

    /// Looks at the disk, on which `unwritten` bytes of what it has in its log are to be
    /// written once more.
    pub(crate) fn look(&mut self, unwritten: u64) {
        let Some(Ok(Space { free, total })) = self.disk.as_ref().map(|disk| disk.space()) else {
            return;
        };
        self.reserve = (total / SHARE).clamp(LEAST, MOST);
        self.may_hold = !self.holds && free >= 2 * self.reserve + self.to_hold();
        if self.holds && free < self.reserve / 4 {
            self.let_go();
        }
        self.left = free.saturating_sub(unwritten);
        if self.left < self.reserve {
            self.get_low();
        } else if self.low && self.left >= self.resume() {
            self.low = false;
            tracing::info!(data_dir = %self.data_dir.display(), free, "the disk has room again");
        }
    }

    fn get_low(&mut self) {
        if !std::mem::replace(&mut self.low, true) {
            tracing::warn!(
                data_dir = %self.data_dir.display(), left = self.left, reserve = self.reserve,
                "the disk is nearly full: inboxes take no records until there is room again; what \
                 they hold is delivered meanwhile; make room, or let the connectors catch up"
            );
        }
    }

    /// Now and then, between commits.
    pub(crate) fn tend(&mut self) {
        let Some(disk) = self.disk.as_ref().filter(|_| self.may_hold) else { return };
        self.may_hold = false;
        match disk.hold(self.to_hold()) {
            Ok(()) => self.holds = true,
            Err(error) => tracing::debug!(%error, "no room is held"),
        }
    }

    fn let_go(&mut self) {
        let Some(disk) = &self.disk else { return };
        match disk.let_go() {
            Ok(()) => {
                self.holds = false;
                tracing::warn!(
                    data_dir = %self.data_dir.display(),
                    "others fill the disk: the store takes the room that it had kept for itself"
                );
            }
            Err(error) => tracing::warn!(%error, "the store cannot take the room that it holds"),
        }
    }

    fn to_hold(&self) -> u64 {
        HELD.min(self.reserve / 2)
    }

    /// With less than this intake is not taken up again: or it would end at once.
    fn resume(&self) -> u64 {
        self.reserve + self.reserve / 2
    }

    /// Gives room to so many bytes of records, which go into the log first, and into a table
    /// later.
    ///
    /// # Errors
    /// When intake has to wait, or less of it has a chance.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), StoreError> {
        let left = self.left.saturating_sub(2 * bytes);
        if !self.low && left >= self.reserve {
            self.left = left;
            return Ok(());
        }
        if self.left < self.resume() {
            self.get_low();
        }
        let (data_dir, resume) = (self.data_dir.clone(), self.resume());
        Err(StoreError::DiskLow { data_dir, reserve: self.reserve, resume })
    }

    /// Whether all that was taken in can be written where it belongs.
    pub(crate) fn suffices(&self) -> bool {
        self.left > 0
    }

    pub(crate) fn is_low(&self) -> bool {
        self.low
    }

    pub(crate) fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Whether time alone can change something.
    pub(crate) fn waits(&self) -> bool {
        self.low || self.may_hold
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Free bytes, and held ones.
    #[derive(Clone, Default)]
    struct Fake(Arc<Mutex<(u64, u64)>>);

    impl Fake {
        fn free(&self, mib: u64) {
            self.0.lock().unwrap().0 = mib * MIB;
        }

        fn held(&self) -> u64 {
            self.0.lock().unwrap().1
        }
    }

    impl Disk for Fake {
        fn space(&self) -> io::Result<Space> {
            Ok(Space { free: self.0.lock().unwrap().0, total: 800 * MIB })
        }

        fn hold(&self, bytes: u64) -> io::Result<()> {
            self.0.lock().unwrap().1 = bytes;
            Ok(())
        }

        fn holds(&self) -> bool {
            self.held() > 0
        }

        fn let_go(&self) -> io::Result<()> {
            self.hold(0)
        }
    }

    fn room(mib: u64) -> (Fake, Room) {
        let disk = Fake::default();
        disk.free(mib);
        let room = Room::new(Path::new("data"), Some(Box::new(disk.clone())));
        (disk, room)
    }

    #[test]
    fn intake_ends_at_the_reserve_and_begins_again_with_half_as_much_more() {
        let (disk, mut room) = room(400);
        for (free, takes) in [(101, true), (99, false), (149, false), (150, true), (101, true)] {
            disk.free(free);
            room.look(0);
            assert_eq!(room.take(0).is_ok(), takes, "{free} MiB free");
        }
    }

    #[test]
    fn what_is_to_be_written_again_counts_as_used() {
        let (disk, mut room) = room(400);
        disk.free(120);
        room.look(30 * MIB);
        assert!(room.take(0).is_err());
    }

    #[test]
    fn a_batch_that_is_larger_than_the_room_is_refused_and_a_smaller_one_goes_in() {
        let (disk, mut room) = room(400);
        disk.free(160);
        room.look(0);
        assert!(room.take(31 * MIB).is_err());
        assert!(room.take(10 * MIB).is_ok());
        assert!(room.take(21 * MIB).is_err(), "the first one has its room already");
        assert!(room.take(1).is_err(), "and intake waits for more");
    }

    #[test]
    fn room_is_held_and_given_back_when_others_fill_the_disk() {
        let (disk, mut room) = room(400);
        room.tend();
        assert_eq!(disk.held(), HELD);
        disk.free(30);
        room.look(0);
        assert_eq!(disk.held(), HELD, "intake has ended, and the reserve is not needed yet");
        disk.free(24);
        room.look(0);
        assert_eq!(disk.held(), 0);
        disk.free(400);
        room.look(0);
        room.tend();
        assert_eq!(disk.held(), HELD);
    }
}
