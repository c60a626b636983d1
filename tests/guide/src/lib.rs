//! Every code block of Danube's connector guide, each in a module of its own,
//! compiled against the SDK under the name that the guide uses. `README.md` says
//! what had to be completed. Blocks 22 and 23 are main functions, in `src/bin`.

#![allow(
    missing_docs,
    dead_code,
    clippy::all,
    reason = "the guide's code, as printed; what it leaves out is as short as can be"
)]

mod connectors;
pub mod external;

#[rustfmt::skip]
pub mod block_01_configuration;
#[rustfmt::skip]
pub mod block_02_loading;
#[rustfmt::skip]
pub mod block_03_sink_trait;
#[rustfmt::skip]
pub mod block_04_sink_initialize;
#[rustfmt::skip]
pub mod block_05_consumer_configs;
#[rustfmt::skip]
pub mod block_06_consumer_configs_of_many_topics;
#[rustfmt::skip]
pub mod block_07_payload;
#[rustfmt::skip]
pub mod block_08_metadata;
#[rustfmt::skip]
pub mod block_09_process_batch;
#[rustfmt::skip]
pub mod block_10_batching_with_timeout;
#[rustfmt::skip]
pub mod block_11_attribute_based_routing;
#[rustfmt::skip]
pub mod block_12_source_trait;
#[rustfmt::skip]
pub mod block_13_source_initialize;
#[rustfmt::skip]
pub mod block_14_producer_configs;
#[rustfmt::skip]
pub mod block_15_producer_configs_of_many_topics;
#[rustfmt::skip]
pub mod block_16_poll;
#[rustfmt::skip]
pub mod block_17_source_record_builders;
#[rustfmt::skip]
pub mod block_18_commit;
#[rustfmt::skip]
pub mod block_19_event_loop;
#[rustfmt::skip]
pub mod block_20_polling;
#[rustfmt::skip]
pub mod block_21_multi_topic_routing;
#[rustfmt::skip]
pub mod block_24_errors;
#[rustfmt::skip]
pub mod block_25_error_pattern;
#[rustfmt::skip]
pub mod block_26_unit_test;

pub use block_01_configuration::{MyConnectorConfig, MySettings};
pub use connectors::{MySinkConnector, MySourceConnector};
