//! What goes wrong with a store in memory, where a test wants it to: each call may take
//! its time, fail before it is done, and fail though it was done.

use async_trait::async_trait;

use crate::StoreError;

/// Decides what goes wrong. Its futures may wait: then callers can be dropped meanwhile.
#[async_trait]
pub trait Faults: Send + Sync {
    /// Comes before and after each call.
    ///
    /// # Errors
    /// What the caller is told: before it the call is not done, after it it was.
    async fn meet(&self, call: Call, moment: Moment) -> Result<(), StoreError>;
}

/// On which side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// Nothing has happened.
    Before,
    /// It has happened.
    After,
}

macro_rules! calls {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a store can be asked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Call {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Call {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];
        }
    };
}

calls! {
    /// A new epoch.
    BeginEpoch,
    /// The latest epoch.
    ReadEpoch,
    /// Other positions, by an operator.
    ReplacePositions,
    /// The positions.
    ReadPositions,
    /// Positions of a session.
    CommitPositions,
    /// A consumer's id.
    ReadConsumerId,
    /// The same, to be kept.
    KeepConsumerId,
    /// The last contiguous offset.
    ReadOffset,
    /// The same, to be kept.
    KeepOffset,
    /// All suspicions of a connector.
    ReadSuspicions,
    /// A suspicion.
    KeepSuspicion,
    /// An inbox, with what is in it.
    OpenInbox,
    /// Records into an inbox.
    Append,
    /// Records that are resolved.
    Resolve,
    /// Records that wait.
    ReadInbox,
    /// The fingerprints that an inbox remembers.
    ReadSeen,
    /// Retained records, to be offered again.
    Replay,
    /// Copies of dead letters.
    ReadLetters,
    /// A copy of a dead letter.
    KeepLetter,
    /// What became of a dead letter.
    ChangeLetter,
    /// Copies that go.
    PurgeLetters,
    /// What is held, by name.
    ReadHoldings,
    /// What a name has left, to another one.
    Adopt,
    /// What a name has left, thrown away.
    Discard,
}
