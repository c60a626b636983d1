//! The first bytes of a connection: whether it speaks HTTP/2, and what else.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// What every HTTP/2 connection begins with (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What begins a TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    /// HTTP/2, as gRPC does.
    Http2,
    /// TLS, which this port does not speak.
    Tls,
    /// Something else: HTTP/1.1, mostly.
    Other,
    /// It ended before it said anything.
    Nothing,
}

/// Reads as much as is needed to tell.
pub(super) async fn listen<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Spoken> {
    let mut said = [0; PREFACE.len()];
    let mut read = 0;
    while read < said.len() {
        match stream.read(&mut said[read..]).await? {
            0 if read == 0 => return Ok(Spoken::Nothing),
            0 => return Ok(Spoken::Other),
            more => read += more,
        }
        if said[..read] != PREFACE[..read] {
            return Ok(if said[0] == TLS_HANDSHAKE { Spoken::Tls } else { Spoken::Other });
        }
    }
    Ok(Spoken::Http2)
}

/// A connection whose preface is read: it is given once more.
pub(super) struct AfterPreface<S> {
    stream: S,
    given: usize,
}

impl<S> AfterPreface<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, given: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AfterPreface<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &PREFACE[self.given..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let given = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..given]);
        self.given += given;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AfterPreface<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_connection_speaks_is_told_by_its_first_bytes() {
        for (said, spoken) in [
            (&PREFACE[..], Spoken::Http2),
            (b"GET / HTTP/1.1\r\n", Spoken::Other),
            (b"PRI * HTTP/1.1\r\n", Spoken::Other),
            (b"\x16\x03\x01", Spoken::Tls),
            (b"PRI", Spoken::Other),
            (b"", Spoken::Nothing),
        ] {
            assert_eq!(listen(&mut &said[..]).await.unwrap(), spoken, "{said:?}");
        }
    }

    #[tokio::test]
    async fn what_was_read_is_given_once_more() {
        let mut stream = &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand the rest"[..];
        assert_eq!(listen(&mut stream).await.unwrap(), Spoken::Http2);
        let mut all = String::new();
        AfterPreface::new(stream).read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand the rest");
    }
}
