//! The sidecar's token: where it comes from, and whether a caller has it.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{Extensions, HeaderValue};
use tracing::{error, warn};

use super::{Peer, Rarely};
use crate::refusal::Refusal;

/// Longest token, in bytes: a header has to carry it.
const LONGEST: u64 = 4096;

/// How long the answer to a wrong token takes.
const SLOWED: Duration = Duration::from_secs(1);

/// Others may write: then they can set the token.
const WRITABLE_BY_ALL: u32 = 0o002;

/// Others may read.
const READABLE_BY_ALL: u32 = 0o004;

/// Why a token file cannot be used: each names the file and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read token_file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds no token.
    #[error(
        "token_file {} cannot be used: {problem}; write one line of 1 to {LONGEST} letters, digits \
         and signs into it, for example with `openssl rand -hex 32`", path.display()
    )]
    NoToken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// Everybody can set the token.
    #[error(
        "token_file {} can be written by every user (mode {mode:o}): chmod o-w it", path.display()
    )]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// The token that callers must present, where the sidecar has one.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    held: Option<Arc<Held>>,
}

struct Held {
    path: PathBuf,
    /// The last one that the file had.
    token: Mutex<Arc<str>>,
    refusals: Rarely,
    spoilt: Rarely,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Auth {
    /// Callers must present the content of this file; without one, everybody is let in.
    ///
    /// # Errors
    /// When the file is missing, holds no token, or everybody can write it.
    pub fn open(token_file: Option<&Path>) -> Result<Self, TokenError> {
        let Some(path) = token_file else { return Ok(Self::default()) };
        let (token, mode) = read(path)?;
        if mode & READABLE_BY_ALL != 0 {
            warn!(
                path = %path.display(), mode = format!("{mode:o}"),
                "every user of this machine can read token_file: chmod o-r it"
            );
        }
        Ok(Self {
            held: Some(Arc::new(Held {
                path: path.to_owned(),
                token: Mutex::new(token),
                refusals: Rarely::default(),
                spoilt: Rarely::default(),
            })),
        })
    }

    /// Whether callers must present a token.
    pub fn required(&self) -> bool {
        self.held.is_some()
    }

    /// Checks an `authorization` header. The file is read for each call, so that the
    /// token can be changed while the sidecar runs.
    ///
    /// # Errors
    /// When the token is missing or wrong.
    pub async fn check(
        &self,
        peer: Option<Peer>,
        authorization: Option<&HeaderValue>,
    ) -> Result<(), Refusal> {
        let Some(held) = &self.held else { return Ok(()) };
        let expected = held.current().await;
        let problem = match authorization.and_then(presented) {
            Some(token) if same(token, expected.as_bytes()) => return Ok(()),
            Some(_) => "wrong",
            None => "missing",
        };
        held.refused(peer, problem);
        if problem == "wrong" {
            tokio::time::sleep(SLOWED).await;
        }
        Err(Refusal::Unauthenticated { problem })
    }

    /// Whether settings that may hold secrets can be sent to this caller: one that
    /// proved who it is, by token or by the kernel's word for the same user.
    pub(crate) fn trusts(&self, extensions: &Extensions) -> bool {
        self.required() || extensions.get::<Peer>().is_some_and(|peer| peer.is_ourselves())
    }
}

impl Held {
    /// The token in force: what the file has; where it has none that can be used, the
    /// last one that it had.
    async fn current(&self) -> Arc<str> {
        let path = self.path.clone();
        let found = tokio::task::spawn_blocking(move || read(&path)).await;
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(Ok((found, _))) => *token = found,
            Ok(Err(error)) => self.spoilt(&error),
            // The process ends.
            Err(_) => {}
        }
        Arc::clone(&token)
    }

    fn spoilt(&self, error: &TokenError) {
        if let Some(held_back) = self.spoilt.now() {
            error!(%error, held_back, "the token before stays in force until the file has another one");
        }
    }

    fn refused(&self, peer: Option<Peer>, problem: &str) {
        let Some(held_back) = self.refusals.now() else { return };
        let peer = peer.map(|peer| peer.to_string());
        warn!(peer, held_back, "a caller is refused: its token is {problem}");
    }
}

/// The token in a file, and the file's permissions.
fn read(path: &Path) -> Result<(Arc<str>, u32), TokenError> {
    let unreadable = |source| TokenError::Read { path: path.to_owned(), source };
    let no_token = |problem| TokenError::NoToken { path: path.to_owned(), problem };
    // Through links: the file of a Secret that is mounted is one.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(no_token("it is not a file"));
    }
    if metadata.len() > LONGEST {
        return Err(no_token("it is too long"));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & WRITABLE_BY_ALL != 0 {
        return Err(TokenError::Writable { path: path.to_owned(), mode });
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| no_token("it is not text (UTF-8)"))?;
    match text.trim() {
        "" => Err(no_token("it is empty")),
        token if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(no_token("it holds more than one word, or what no header can carry"))
        }
        token => Ok((token.into(), mode)),
    }
}

/// The token of `Bearer <token>`, whose first word may be written in any case (RFC 9110).
fn presented(authorization: &HeaderValue) -> Option<&[u8]> {
    let value = authorization.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Compares without telling by its duration where the difference is.
fn same(presented: &[u8], expected: &[u8]) -> bool {
    let differs = presented.iter().enumerate().fold(0, |differs, (index, byte)| {
        differs | (byte ^ expected.get(index).copied().unwrap_or_default())
    });
    std::hint::black_box(differs) == 0 && presented.len() == expected.len()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct File(TempDir);

    impl File {
        fn with(content: &[u8]) -> Self {
            let file = Self(tempfile::tempdir().unwrap());
            file.write(content);
            file
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("token")
        }

        fn write(&self, content: &[u8]) {
            fs::write(self.path(), content).unwrap();
            self.permit(0o600);
        }

        fn permit(&self, mode: u32) {
            fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).unwrap();
        }

        fn auth(&self) -> Result<Auth, TokenError> {
            Auth::open(Some(&self.path()))
        }
    }

    async fn lets_in(auth: &Auth, header: &str) -> bool {
        auth.check(None, Some(&header.parse().unwrap())).await.is_ok()
    }

    #[test]
    fn a_file_without_a_token_is_refused_at_the_start() {
        for content in
            [&b""[..], b" \n", b"\xff\xfe", b"two words", "schlüssel".as_bytes(), &[b'x'; 5000]]
        {
            let refused = File::with(content).auth().unwrap_err();
            assert!(matches!(refused, TokenError::NoToken { .. }), "{refused}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Auth::open(Some(folder.path())), Err(TokenError::NoToken { .. })));
        let missing = folder.path().join("missing");
        assert!(matches!(Auth::open(Some(&missing)), Err(TokenError::Read { .. })));
    }

    #[test]
    fn a_file_that_everybody_can_write_is_refused() {
        let file = File::with(b"secret");
        file.permit(0o666);
        assert!(matches!(file.auth(), Err(TokenError::Writable { mode: 0o666, .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn the_scheme_may_be_written_in_any_case_and_the_token_may_not() {
        let auth = File::with(b"Secret\n").auth().unwrap();
        for header in ["Bearer Secret", "bearer Secret", "BEARER  Secret "] {
            assert!(lets_in(&auth, header).await, "{header}");
        }
        for header in [
            "Bearer secret",
            "Bearer ",
            "Bearer",
            "",
            "Secret",
            "Basic Secret",
            "Bearer Secret2",
            "Bearer Secre",
        ] {
            assert!(!lets_in(&auth, header).await, "{header:?}");
        }
        assert!(auth.check(None, None).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_the_token_and_a_spoilt_one_leaves_the_last() {
        let file = File::with(b"first");
        let auth = file.auth().unwrap();
        file.write(b"second");
        assert!(lets_in(&auth, "Bearer second").await && !lets_in(&auth, "Bearer first").await);
        for spoilt in [&b""[..], b"\xff"] {
            file.write(spoilt);
            assert!(lets_in(&auth, "Bearer second").await && !lets_in(&auth, "Bearer ").await);
        }
        fs::remove_file(file.path()).unwrap();
        assert!(lets_in(&auth, "Bearer second").await);
        file.write(b"third");
        assert!(lets_in(&auth, "Bearer third").await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_token_is_answered_slowly_and_the_right_one_at_once() {
        let auth = File::with(b"secret").auth().unwrap();
        let begun = tokio::time::Instant::now();
        assert!(lets_in(&auth, "Bearer secret").await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(!lets_in(&auth, "Bearer guess").await);
        assert!(begun.elapsed() >= SLOWED);
    }
}
