//! Block 7 of the guide: reading the payload.

use danube_connect_core::{ConnectorResult, SinkRecord};
use serde::de::DeserializeOwned;

pub fn read<T: DeserializeOwned>(record: &SinkRecord) -> ConnectorResult<(&[u8], &str, T)> {
    Ok((
        // guide: record.payload()
        record.payload(),             // &[u8] - Raw bytes
        // guide: record.payload_str()?
        record.payload_str()?,        // String - UTF-8 text
        // guide: record.payload_json<T>()?
        record.payload_json::<T>()?,  // T - Deserialize JSON
    ))
}
