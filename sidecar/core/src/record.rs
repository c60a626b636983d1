//! What the sidecar moves: records and their identity.

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// What makes a Danube message the same message when it is delivered again.
///
/// The offset alone does not: after a broker crash offsets can repeat with
/// other messages behind them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The partition's own topic (`/default/orders-part-0`).
    pub partition: Arc<str>,
    /// Offset within the partition.
    pub offset: u64,
    /// Name of the producer.
    pub producer: Arc<str>,
    /// The producer's request counter.
    pub request_id: u64,
    /// When the producer published it, in milliseconds since the Unix epoch.
    pub publish_time_ms: u64,
}

impl Identity {
    /// The identity as 128 bits (XXH3 over all five parts): equal at every
    /// delivery of the same message, on every machine and version.
    pub fn fingerprint(&self) -> Fingerprint {
        let (offset, request_id) = (self.offset.to_le_bytes(), self.request_id.to_le_bytes());
        let parts = [
            self.partition.as_bytes(),
            &[0],
            self.producer.as_bytes(),
            &[0],
            &offset,
            &request_id,
            &self.publish_time_ms.to_le_bytes(),
        ];
        Fingerprint(hash(&parts))
    }
}

/// The hash of all parts, one after the other. In one piece, where they fit: that is
/// several times faster, and each record is hashed at each delivery.
fn hash(parts: &[&[u8]]) -> u128 {
    let mut piece = [0; 256];
    let mut filled = 0;
    for part in parts {
        let Some(place) = piece.get_mut(filled..filled + part.len()) else {
            let mut hash = Xxh3::new();
            parts.iter().for_each(|part| hash.update(part));
            return hash.digest128();
        };
        place.copy_from_slice(part);
        filled += part.len();
    }
    xxh3_128(&piece[..filled])
}

/// An [`Identity`] in 128 bits. Displays as the 32 hexadecimal characters that
/// connectors see as `dedup_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

const HEX: &[u8; 16] = b"0123456789abcdef";

impl Fingerprint {
    /// The 32 characters. Each offer of a record shows them: digit by digit is much
    /// faster than `{:032x}`.
    pub fn hex(&self) -> [u8; 32] {
        let mut text = [0; 32];
        for (digits, byte) in text.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            digits[0] = HEX[usize::from(byte >> 4)];
            digits[1] = HEX[usize::from(byte & 15)];
        }
        text
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.hex()).map_err(|_| fmt::Error)?)
    }
}

/// Names a schema of Danube's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SchemaRef {
    /// The registry's id of the subject.
    pub schema_id: u64,
    /// The version within the subject.
    pub version: u32,
}

/// One message of a subscribed partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What makes it the same record at every delivery.
    pub identity: Identity,
    /// The topic as subscribed (`/default/orders`).
    pub topic: Arc<str>,
    /// The subscription it came from.
    pub subscription: Arc<str>,
    /// Routing key, where the producer set one.
    pub key: Option<Arc<str>>,
    /// The message.
    pub payload: Bytes,
    /// The producer's attributes.
    pub attributes: HashMap<String, String>,
    /// The schema of the payload, where it has one.
    pub schema: Option<SchemaRef>,
}

impl Record {
    /// An upper bound of this record's size, in bytes, inside a batch frame.
    ///
    /// Windows and batches are counted with it: it needs no encoder, and a frame
    /// cut by an upper bound never exceeds its limit.
    pub fn encoded_len(&self) -> usize {
        // Tag plus length of a length-delimited field, at most.
        const FIELD: usize = 7;
        // Numbers, dedup_id (32 characters), schema, and the record's own header.
        const FIXED: usize = 128;
        let id = &self.identity;
        let texts = [
            self.topic.len(),
            self.subscription.len(),
            id.partition.len(),
            id.producer.len(),
            self.key.as_ref().map_or(0, |key| key.len()),
            self.payload.len(),
        ];
        let attributes: usize =
            self.attributes.iter().map(|(name, value)| name.len() + value.len() + 3 * FIELD).sum();
        FIXED + texts.iter().map(|len| len + FIELD).sum::<usize>() + attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            partition: "/default/orders-part-0".into(),
            offset: 7,
            producer: "shop".into(),
            request_id: 3,
            publish_time_ms: 1_700_000_000_000,
        }
    }

    #[test]
    fn the_dedup_id_is_stable_across_versions() {
        assert_eq!(identity().fingerprint().to_string(), "c14437d0e54f5a3ca47a99c7b7a9c987");
    }

    #[test]
    fn long_names_hash_as_short_ones_do() {
        let long: Vec<u8> = (0..=255).collect();
        for length in [0, 1, 100, 255, 256] {
            let parts = [&long[..length], b"x"];
            assert_eq!(hash(&parts), xxh3_128(&parts.concat()), "{length}");
        }
    }

    #[test]
    fn every_part_of_an_identity_counts() {
        let base = identity();
        let others = [
            Identity { partition: "/default/orders-part-1".into(), ..base.clone() },
            Identity { offset: 8, ..base.clone() },
            Identity { producer: "shoq".into(), ..base.clone() },
            Identity { request_id: 4, ..base.clone() },
            Identity { publish_time_ms: 1, ..base.clone() },
        ];
        for other in others {
            assert_ne!(other.fingerprint(), base.fingerprint(), "{other:?}");
        }
    }
}
