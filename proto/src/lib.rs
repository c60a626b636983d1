//! The protocol between the Danube sidecar and its connectors.
//!
//! The `.proto` files beside this crate are the specification: their comments
//! state the duties of both sides. This crate is what `prost` and `tonic`
//! generate from them, for the sidecar (servers) and the Rust SDK (clients).

/// `danube.connector.v1`.
pub mod v1 {
    #![allow(missing_docs, clippy::all)]
    tonic::include_proto!("danube.connector.v1");
}

/// The encoded `FileDescriptorSet` of the protocol, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/danube.connector.v1.binpb"));

/// The protocol version that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;
