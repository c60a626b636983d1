//! The network of a round: a TCP proxy whose connections can be cut, fall silent, or
//! become slow, and whose other end may move.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// What passes at once.
const CHUNK: usize = 16 * 1024;
/// What passes at once of a slow connection, and how long that takes.
const SLOW: (usize, Duration) = (256, Duration::from_millis(5));

/// How connections behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// They pass everything.
    Pass,
    /// They pass it slowly.
    Slow,
}

/// What happened to all connections up to a number.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    /// They are closed.
    cut: u64,
    /// They swallow everything, a close too.
    silent: u64,
}

/// A listening proxy. Dropping it closes all connections.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    mode: watch::Sender<Mode>,
    fate: watch::Sender<Fate>,
    accepted: Mutex<u64>,
}

impl Proxy {
    /// Listens on a free port; [`Proxy::aim`] says where to.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(None),
            mode: watch::channel(Mode::Pass).0,
            fate: watch::channel(Fate::default()).0,
            accepted: Mutex::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections go here from now on; existing ones stay where they are.
    pub fn aim(&self, target: SocketAddr) {
        *lock(&self.shared.target) = Some(target);
    }

    /// Connections go nowhere from now on; existing ones stay where they are. To be
    /// called before the target ends: its port may soon be that of another round's.
    pub fn aim_nowhere(&self) {
        *lock(&self.shared.target) = None;
    }

    /// Closes all connections.
    pub fn cut(&self) {
        let all = *lock(&self.shared.accepted);
        self.shared.fate.send_modify(|fate| fate.cut = all);
    }

    /// All connections of now swallow what is sent, and tell nobody; new ones pass.
    pub fn silence(&self) {
        let all = *lock(&self.shared.accepted);
        self.shared.fate.send_modify(|fate| fate.silent = all);
    }

    /// All connections become slow, or pass again.
    pub fn slow(&self, slow: bool) {
        self.shared.mode.send_replace(if slow { Mode::Slow } else { Mode::Pass });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let number = {
            let mut accepted = lock(&shared.accepted);
            *accepted += 1;
            *accepted
        };
        connections.spawn(connection(client, number, Arc::clone(&shared)));
    }
}

/// One connection, until either side or the harness ends it.
async fn connection(client: TcpStream, number: u64, shared: Arc<Shared>) {
    let target = *lock(&shared.target);
    let Some(target) = target else { return };
    let Ok(server) = TcpStream::connect(target).await else { return };
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut fate = shared.fate.subscribe();
    let there = pump(from_client, to_server, number, &shared);
    let back = pump(from_server, to_client, number, &shared);
    tokio::select! {
        _ = fate.wait_for(|fate| fate.cut >= number) => {}
        () = async { tokio::join!(there, back); } => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: u64, shared: &Shared) {
    let mut fate = shared.fate.subscribe();
    let mut buffer = vec![0; CHUNK];
    loop {
        let slow = *shared.mode.borrow() == Mode::Slow;
        let most = if slow { SLOW.0 } else { CHUNK };
        let read = from.read(&mut buffer[..most]).await;
        if fate.borrow().silent >= number {
            // Neither bytes nor a close get through any more.
            if !matches!(read, Ok(read) if read > 0) {
                let _ = fate.wait_for(|fate| fate.cut >= number).await;
                return;
            }
            continue;
        }
        let Ok(read @ 1..) = read else { break };
        if slow {
            sleep(SLOW.1).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    // The other side hears of the end as from a real peer; it may be gone already.
    let _ = to.shutdown().await;
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy before a server that sends back what it gets.
    async fn echo() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start().await.unwrap();
        proxy.aim(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        proxy
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<[u8; 4]> {
        stream.write_all(b"ping").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn bytes_pass_and_a_cut_ends_the_connection() {
        let proxy = echo().await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");
        proxy.cut();
        assert!(ask(&mut stream).await.is_err());
        let mut next = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(&ask(&mut next).await.unwrap(), b"ping");
    }

    #[tokio::test]
    async fn a_silent_connection_swallows_bytes_without_an_end() {
        let proxy = echo().await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        ask(&mut stream).await.unwrap();
        proxy.silence();
        let silent = tokio::time::timeout(Duration::from_millis(50), ask(&mut stream)).await;
        assert!(silent.is_err(), "{silent:?}");
        let mut next = TcpStream::connect(proxy.address).await.unwrap();
        assert_eq!(&ask(&mut next).await.unwrap(), b"ping");
    }
}
