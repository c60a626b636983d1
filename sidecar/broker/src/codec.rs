//! The calls that come by the thousand, without what the generated client does for each.
//!
//! It takes 8 KiB of memory for each direction of each call and stream, and wants a
//! message of its own to send. Here a message is encoded from where it is, into as much
//! memory as it needs.

use std::marker::PhantomData;

use bytes::{BufMut as _, Bytes};
use prost::Message;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::{ProstCodec, ProstDecoder};

/// What a call or an idle stream keeps for what it receives. Its buffer grows as needed.
const RECEIVING: usize = 512;
/// As the generated client has it.
const YIELD_AT: usize = 32 * 1024;
/// What gRPC puts before a message.
const HEADER: usize = 5;

/// A message that is encoded already.
pub(crate) struct Encoded(Bytes);

impl Encoded {
    pub(crate) fn of(message: &impl Message) -> Self {
        Self(message.encode_to_vec().into())
    }
}

/// Sends what is encoded, and decodes answers.
pub(crate) struct Lean<A> {
    sending: usize,
    answer: PhantomData<A>,
}

impl<A> Lean<A> {
    pub(crate) fn of(message: &Encoded) -> Self {
        Self { sending: HEADER + message.0.len(), answer: PhantomData }
    }
}

impl<A: Message + Default + Send + 'static> Codec for Lean<A> {
    type Encode = Encoded;
    type Decode = A;
    type Encoder = Copier;
    type Decoder = ProstDecoder<A>;

    fn encoder(&mut self) -> Self::Encoder {
        Copier { sending: self.sending }
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<A, A>::raw_decoder(BufferSettings::new(RECEIVING, YIELD_AT))
    }
}

/// Copies what is encoded.
pub(crate) struct Copier {
    sending: usize,
}

impl Encoder for Copier {
    type Item = Encoded;
    type Error = Status;

    fn encode(&mut self, item: Encoded, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item.0);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(self.sending, YIELD_AT)
    }
}
