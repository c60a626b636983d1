//! The positions of a source over as many frames as they need.
//!
//! **Architecture invariant:** no frame is larger than its reader accepts.

use danube_connector_proto::v1::{Position, SourceOpened, SourcePositions};
use prost::Message as _;

use crate::{refusal::Refusal, session::Caller};

/// Most that the frame needs around its only field, and each position around itself.
const FRAME: usize = 16;
const FIELD: usize = 6;

/// `opened` with as many positions as it has room for, and the frames that follow.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) opened: SourceOpened,
    pub(super) others: Vec<SourcePositions>,
}

/// Shares `positions` out over `opened`, which has none yet, and further frames.
///
/// # Errors
/// When they do not fit into frames that the caller accepts.
pub(super) fn pages(
    caller: &Caller,
    opened: SourceOpened,
    positions: Vec<Position>,
) -> Result<Pages, Refusal> {
    let limit = caller.max_frame_bytes;
    // Its flag is not set yet.
    let opened_bytes = opened.encoded_len() + FRAME;
    if opened_bytes > limit {
        return Err(Refusal::OpenedTooLarge { bytes: opened_bytes, limit });
    }
    let sizes: Vec<usize> = positions.iter().map(|p| p.encoded_len() + FIELD).collect();
    let (bytes, largest) = (sizes.iter().sum(), sizes.iter().max().copied().unwrap_or(0));
    let pageable = caller.capabilities.position_pages && largest + FRAME <= limit;
    if opened_bytes + bytes > limit && !pageable {
        return Err(Refusal::PositionsTooLarge {
            connector: caller.connector.clone(),
            count: positions.len(),
            bytes,
            largest,
            limit,
            pages: if caller.capabilities.position_pages { "pages" } else { "no pages" },
        });
    }
    let mut frames: Vec<Vec<Position>> = vec![Vec::new()];
    let mut used = opened_bytes;
    for (position, size) in positions.into_iter().zip(sizes) {
        if used + size > limit {
            frames.push(Vec::new());
            used = FRAME;
        }
        used += size;
        if let Some(frame) = frames.last_mut() {
            frame.push(position);
        }
    }
    let mut frames = frames.into_iter();
    let opened = SourceOpened { positions: frames.next().unwrap_or_default(), ..opened };
    let count = frames.len();
    let others =
        (1..).zip(frames).map(|(n, positions)| SourcePositions { positions, more: n < count });
    Ok(Pages {
        opened: SourceOpened { more_positions: count > 0, ..opened },
        others: others.collect(),
    })
}

#[cfg(test)]
mod tests {
    use danube_connector_proto::v1::{
        SourceServiceRunResponse, source_service_run_response::Frame,
    };

    use super::*;
    use crate::session::Capabilities;

    fn caller(max_frame_bytes: usize, position_pages: bool) -> Caller {
        let capabilities = Capabilities { position_pages, ..Capabilities::default() };
        Caller { connector: "files".to_owned(), max_frame_bytes, capabilities, ..Caller::default() }
    }

    fn positions(count: u64, name: usize) -> Vec<Position> {
        let position = |offset| Position {
            source_partition: format!("{offset:0name$}"),
            offset,
            metadata: Some(String::new()),
        };
        (0..count).map(position).collect()
    }

    fn opened() -> SourceOpened {
        SourceOpened { session_id: "files/1/1".to_owned(), epoch: 1, ..SourceOpened::default() }
    }

    #[test]
    fn no_frame_is_larger_than_its_reader_accepts_and_no_position_is_left_out() {
        for limit in [100, 101, 127, 128, 300, 5000] {
            let sent = positions(500, 30);
            let Pages { opened, others } =
                pages(&caller(limit, true), opened(), sent.clone()).unwrap();
            let mut more = opened.more_positions;
            let mut came = opened.positions.clone();
            let mut frames = vec![Frame::Opened(opened)];
            for page in others {
                assert!(more && !page.positions.is_empty());
                more = page.more;
                came.extend(page.positions.clone());
                frames.push(Frame::Positions(page));
            }
            assert!(!more);
            assert_eq!(came, sent);
            for frame in frames {
                let size = SourceServiceRunResponse { frame: Some(frame) }.encoded_len();
                assert!(size <= limit, "{size} bytes, {limit} are accepted");
            }
        }
    }

    #[test]
    fn without_pages_what_does_not_fit_is_refused_with_its_size_and_the_remedy() {
        let refused = pages(&caller(1000, false), opened(), positions(500, 30)).unwrap_err();
        let text = refused.to_string();
        for part in ["`files`", "500 positions", "1000 bytes", "checkpoint reset files"] {
            assert!(text.contains(part), "{text}");
        }
        let fitting = pages(&caller(1000, false), opened(), positions(5, 30)).unwrap();
        assert_eq!((fitting.opened.positions.len(), fitting.others.len()), (5, 0));
    }

    #[test]
    fn a_position_that_no_frame_holds_is_refused() {
        let refused = pages(&caller(1000, true), opened(), positions(2, 1000)).unwrap_err();
        assert!(matches!(refused, Refusal::PositionsTooLarge { .. }), "{refused}");
    }
}
