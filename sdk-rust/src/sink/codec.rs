//! How a sink's frames are read.

use danube_connector_proto::v1::SinkServiceRunRequest;
use prost::bytes::Buf as _;
use tokio_stream::Stream;
use tonic::{
    Request, Response, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};
use tonic_prost::ProstEncoder;

use super::frame::{self, Received, Schemas};

/// The generated codec where it writes, and a [`frame`] where it reads.
#[derive(Clone, Copy, Debug, Default)]
struct SinkCodec;

/// The half that reads, of one stream.
#[derive(Debug, Default)]
struct SinkDecoder {
    schemas: Schemas,
}

impl Codec for SinkCodec {
    type Encode = SinkServiceRunRequest;
    type Decode = Received;
    type Encoder = ProstEncoder<SinkServiceRunRequest>;
    type Decoder = SinkDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        SinkDecoder::default()
    }
}

impl Decoder for SinkDecoder {
    type Item = Received;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let frame = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(frame::read(&frame, &mut self.schemas)?))
    }
}

/// The sink service's one method.
const RUN: &str = "/danube.connector.v1.SinkService/Run";

/// Calls it.
pub(super) async fn run<S>(
    channel: Channel,
    request: Request<S>,
) -> Result<Response<Streaming<Received>>, Status>
where
    S: Stream<Item = SinkServiceRunRequest> + Send + 'static,
{
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    grpc.streaming(request, PathAndQuery::from_static(RUN), SinkCodec).await
}
