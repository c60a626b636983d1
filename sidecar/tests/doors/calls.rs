//! Calls, byte by byte: what a library would not let a caller do.

use std::future::poll_fn;

use bytes::Bytes;
use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request};
use tokio::io::DuplexStream;
use tonic::{Code, Status};

pub const SINK: &str = "/danube.connector.v1.SinkService/Run";
pub const SOURCE: &str = "/danube.connector.v1.SourceService/Run";
pub const CHECK: &str = "/grpc.health.v1.Health/Check";
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";
pub const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// A connection that speaks HTTP/2.
pub struct Caller {
    pub requests: SendRequest<Bytes>,
    /// Ends with the connection.
    pub connection: tokio::task::JoinHandle<()>,
}

impl Caller {
    pub async fn new(stream: DuplexStream) -> Self {
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(async move {
            // How it ends is not looked at: that it does is the point.
            let _ = connection.await;
        });
        Self { requests, connection }
    }

    /// Begins a call to `localhost`, whose body is still to come.
    pub async fn call(&self, path: &str, headers: &[(&str, &str)]) -> Call {
        self.call_to("localhost:6670", path, headers).await
    }

    /// Begins a call to this authority.
    pub async fn call_to(&self, to: &str, path: &str, headers: &[(&str, &str)]) -> Call {
        let mut request = Request::post(format!("http://{to}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (response, body) = requests.send_request(request.body(()).unwrap(), false).unwrap();
        Call { response, body }
    }
}

/// A call that has begun.
pub struct Call {
    response: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Call {
    /// Sends what fits into the windows, until all of it is sent or the call has ended;
    /// how much that was.
    pub async fn send(&mut self, mut bytes: Bytes) -> usize {
        let length = bytes.len();
        while !bytes.is_empty() {
            self.body.reserve_capacity(bytes.len());
            let room = match poll_fn(|cx| self.body.poll_capacity(cx)).await {
                Some(Ok(room)) => room,
                Some(Err(_)) | None => break,
            };
            if self.body.send_data(bytes.split_to(room.min(bytes.len())), false).is_err() {
                break;
            }
        }
        length - bytes.len()
    }

    /// The caller has said everything.
    pub fn finish(&mut self) {
        let _ = self.body.send_data(Bytes::new(), true);
    }

    /// How it ends.
    pub async fn end(self) -> Status {
        // The half that sends stays open until then.
        let Self { response, body: _body } = self;
        let (head, mut body) = response.await.unwrap().into_parts();
        if let Some(status) = status(&head.headers) {
            return status;
        }
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            let _ = body.flow_control().release_capacity(data.len());
        }
        let trailers = body.trailers().await.unwrap().unwrap_or_default();
        status(&trailers).unwrap_or_else(|| Status::unknown("no status"))
    }
}

fn status(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers)
}

/// Flag and length of a message, before its bytes.
pub fn prefix(length: u32) -> Bytes {
    let mut prefix = vec![0];
    prefix.extend_from_slice(&length.to_be_bytes());
    prefix.into()
}

/// A message of which the last ten bytes are missing.
pub fn half_message(length: u32) -> Bytes {
    let mut half = prefix(length).to_vec();
    half.resize(half.len() + length as usize - 10, 7);
    half.into()
}

/// The status of a call that sends nothing.
pub async fn status_of(caller: &Caller, path: &str, headers: &[(&str, &str)]) -> Code {
    let mut call = caller.call(path, headers).await;
    call.send(prefix(0)).await;
    call.finish();
    call.end().await.code()
}
