//! Sizes of frames and records.

use danube_connector_proto::v1;

use crate::refusal::Refusal;

/// What every gRPC library accepts by default: 4 MiB.
const GRPC_DEFAULT: usize = 4 << 20;

/// Room for the frame around the records.
const MARGIN: usize = 64 << 10;

/// Largest frame that the sidecar accepts. The same as every gRPC library's
/// default, so that connectors know it.
pub(super) const INBOUND_FRAME: usize = GRPC_DEFAULT;

/// Largest `open`: it names topics, some hundreds of them. Whoever sends it may have
/// no other claim on our memory yet.
pub(super) const OPEN_FRAME: usize = 64 << 10;

/// Largest request of health and reflection: a name.
pub(super) const SMALL_REQUEST: usize = 4 << 10;

/// Largest encoded message that Danube can store: it receives at most 4 MiB and
/// delivers it a little larger.
pub(crate) const MAX_RECORD: usize = GRPC_DEFAULT - MARGIN;

/// Largest frame for a connector that accepts `accepted` bytes; 0 is its library's
/// default.
pub(super) fn outbound_frame(accepted: usize) -> usize {
    accepted.max(GRPC_DEFAULT) - MARGIN
}

/// Refuses an `opened` that its reader would not accept.
///
/// # Errors
/// With both sizes.
pub(super) fn fits(bytes: usize, limit: usize) -> Result<(), Refusal> {
    // Around it is the frame.
    if bytes + MARGIN / 2 > limit { Err(Refusal::OpenedTooLarge { bytes, limit }) } else { Ok(()) }
}

/// The limits of a session, as `opened` tells them.
pub(super) fn of_session(outbound: usize) -> v1::Limits {
    v1::Limits {
        max_inbound_frame_bytes: INBOUND_FRAME as u64,
        max_outbound_frame_bytes: outbound as u64,
        max_record_bytes: MAX_RECORD as u64,
    }
}
