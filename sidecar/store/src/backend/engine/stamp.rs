//! A number in every commit: without a gap, so that one that is missing is missed.

/// Where the last one stands, in the space of small things. No table begins with it.
pub(super) const KEY: &[u8] = &[0];

/// What each commit carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// From 1, without a gap, for as long as the store lives.
    pub(super) number: u64,
    /// The engine's own number of this batch is not below; that of the one before it
    /// is. No checksum of the engine's covers it.
    pub(super) floor: u64,
}

impl Stamp {
    pub(super) fn encode(self) -> Vec<u8> {
        [self.number.to_be_bytes(), self.floor.to_be_bytes()].concat()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, floor) = bytes.split_first_chunk()?;
        let floor = floor.try_into().ok()?;
        Some(Self { number: u64::from_be_bytes(*number), floor: u64::from_be_bytes(floor) })
    }
}
