//! Block 8 of the guide: reading the metadata.

use danube_connect_core::SinkRecord;

pub fn read(record: &SinkRecord) -> (&str, u64, u64, Option<&str>) {
    (
        // guide: record.topic()
        record.topic(),               // Topic name
        // guide: record.offset()
        record.offset(),              // Message offset
        // guide: record.publish_time()
        record.publish_time(),        // Timestamp
        // guide: record.get_attribute("key")
        record.get_attribute("key"),  // Custom attributes
    )
}
