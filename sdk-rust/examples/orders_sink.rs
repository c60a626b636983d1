//! Writes orders in batches, and says of each what became of it.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use danube_connector_sdk::{
    ConnectorConfig, ConnectorError, ConnectorResult, ConsumerConfig, NotWritten, SinkConnector,
    SinkRecord, SinkRuntime, SubscriptionType,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Order {
    customer: String,
    total: f64,
}

/// Stands for a database: orders by the identity of their record.
#[derive(Default)]
struct Table {
    rows: HashMap<String, Order>,
    locked: bool,
}

#[derive(Default)]
struct Orders {
    table: Table,
    test_customer: String,
}

#[async_trait]
impl SinkConnector for Orders {
    async fn initialize(&mut self, _config: ConnectorConfig) -> ConnectorResult<()> {
        Ok(())
    }

    async fn consumer_configs(&self) -> ConnectorResult<Vec<ConsumerConfig>> {
        Ok(vec![ConsumerConfig {
            topic: "/default/orders".to_owned(),
            consumer_name: "orders".to_owned(),
            subscription: "orders".to_owned(),
            subscription_type: SubscriptionType::Exclusive,
        }])
    }

    async fn configure(&mut self, settings: Value) -> ConnectorResult<()> {
        self.test_customer = settings["test_customer"].as_str().unwrap_or("nobody").to_owned();
        Ok(())
    }

    async fn process(&mut self, _record: SinkRecord) -> ConnectorResult<()> {
        Err(ConnectorError::fatal("orders are written in batches"))
    }

    async fn process_batch_outcomes(
        &mut self,
        records: Vec<SinkRecord>,
    ) -> Vec<Result<(), NotWritten>> {
        records.iter().map(|record| self.write(record)).collect()
    }
}

impl Orders {
    fn write(&mut self, record: &SinkRecord) -> Result<(), NotWritten> {
        if self.table.locked {
            let locked = NotWritten::retry("the table is locked").code("LOCKED");
            return Err(locked.after(Duration::from_secs(1)));
        }
        let order: Order = record.payload_json()?; // What is no order is rejected: a dead letter.
        if order.total < 0.0 {
            return Err(NotWritten::reject("a negative total").code("NEGATIVE_TOTAL"));
        }
        if order.customer == self.test_customer {
            return Err(NotWritten::filtered("a test order").code("TEST_ORDER"));
        }
        // A record that comes again finds its row there.
        self.table.rows.insert(record.dedup_id().to_owned(), order);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ConnectorResult<()> {
    let config = ConnectorConfig { connector_name: "orders".to_owned(), ..Default::default() };
    SinkRuntime::new(Orders::default(), config).await?.run().await
}

#[cfg(test)]
mod tests {
    use danube_connector_sdk::testing::{SinkDriver, SinkRecordBuilder};

    use super::*;

    #[tokio::test]
    async fn each_order_has_its_outcome() {
        let orders = Orders { test_customer: "test".to_owned(), ..Orders::default() };
        let mut driver =
            SinkDriver::start(orders, ConnectorConfig::default()).await.expect("it starts");
        let payloads = [
            r#"{"customer": "ada", "total": 9.5}"#,
            r#"{"customer": "test", "total": 1}"#,
            r#"{"customer": "ada", "total": -1}"#,
            "no order",
        ];
        let records =
            payloads.map(|text| SinkRecordBuilder::new("/default/orders").payload(text).build());
        let outcomes = driver.deliver_for_outcomes(records.into()).await;

        let codes: Vec<_> = outcomes
            .iter()
            .map(|outcome| outcome.as_ref().err().map_or("written", NotWritten::error_code))
            .collect();
        assert_eq!(codes, ["written", "TEST_ORDER", "NEGATIVE_TOTAL", "INVALID_DATA"]);
        assert_eq!(driver.connector().table.rows.len(), 1);

        driver.connector().table.locked = true;
        let record = SinkRecordBuilder::new("/default/orders").payload(payloads[0]).build();
        let outcomes = driver.deliver_for_outcomes(vec![record]).await;
        assert!(outcomes[0].as_ref().is_err_and(NotWritten::is_retry));
    }
}
