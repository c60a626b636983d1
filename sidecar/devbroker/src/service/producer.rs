//! Producers: made on demand, publishing in the order their calls arrive.

use std::{sync::Arc, time::Duration};

use danube_core::proto::{
    DispatchStrategy, MessageResponse, ProducerRequest, ProducerResponse, StreamMessage,
    producer_service_server::ProducerService,
};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::Service;
use crate::{
    arrival::Arrival,
    names::TopicName,
    stall::Command,
    topic::{PublishError, SchemaConflict, Topic},
};

/// By how much [`crate::Oddities::reordered_publishes`] holds back every other one.
const REORDER: Duration = Duration::from_millis(2);

#[tonic::async_trait]
impl ProducerService for Service {
    async fn create_producer(
        &self,
        request: Request<ProducerRequest>,
    ) -> Result<Response<ProducerResponse>, Status> {
        let request = request.into_inner();
        let name = TopicName::parse(&request.topic_name)?;
        let reliable = request.dispatch_strategy == DispatchStrategy::Reliable as i32;
        let topic = self.broker.topic_for_producer(&name, reliable)?;
        if topic.reliable != reliable {
            return Err(Status::failed_precondition(
                "Producer requested dispatch strategy does not match topic strategy",
            ));
        }
        if let Some(reference) = request.schema_ref {
            self.bind_schema(&topic, &reference.subject)?;
        }
        Ok(Response::new(ProducerResponse {
            request_id: request.request_id,
            producer_id: self.broker.add_producer(&topic, &request.producer_name),
            producer_name: request.producer_name,
        }))
    }

    async fn send_message(
        &self,
        mut request: Request<StreamMessage>,
    ) -> Result<Response<MessageResponse>, Status> {
        let arrival = request.extensions_mut().remove::<Arrival>();
        let message = request.into_inner();
        let request_id = message.request_id;
        let topic = self.topic_of(&message)?;
        if self.broker.config.oddities.reordered_publishes {
            drop(arrival);
            if request_id.is_multiple_of(2) {
                tokio::time::sleep(REORDER).await;
            }
            publish(&topic, message).await?;
        } else {
            let turn = match arrival {
                Some(arrival) => Some(arrival.turn().await),
                None => None,
            };
            let stored = topic.publish(message, Instant::now()).map_err(|error| refused(&error));
            drop(turn);
            wake(&topic, stored?).await;
        }
        Ok(Response::new(MessageResponse { request_id }))
    }
}

impl Service {
    fn topic_of(&self, message: &StreamMessage) -> Result<Arc<Topic>, Status> {
        let Some(id) = &message.msg_id else {
            return Err(Status::invalid_argument("msg_id is missing"));
        };
        let Some(topic) = self.broker.producer_topic(id.producer_id) else {
            return Err(Status::not_found(format!(
                "The producer with id {} does not exist",
                id.producer_id
            )));
        };
        if *topic.name != id.topic_name {
            return Err(Status::permission_denied(format!(
                "Unable to publish the message: the producer with id {} is not attached to topic \
                 name: {}",
                id.producer_id, id.topic_name
            )));
        }
        Ok(topic)
    }

    pub(super) fn bind_schema(&self, topic: &Topic, subject: &str) -> Result<(), Status> {
        let name = &topic.name;
        let id = self.broker.subject_id(subject).ok_or_else(|| {
            Status::failed_precondition(format!(
                "Failed to assign schema '{subject}' to topic '{name}': there is no such subject. \
                 Ensure schema is registered first."
            ))
        })?;
        topic.bind_schema(subject, id).map_err(|SchemaConflict { existing }| {
            Status::failed_precondition(format!(
                "Topic '{name}' uses schema subject '{existing}', cannot use '{subject}'. Only \
                 admin can change topic schema."
            ))
        })
    }
}

async fn publish(topic: &Topic, message: StreamMessage) -> Result<(), Status> {
    let hanging = topic.publish(message, Instant::now()).map_err(|error| refused(&error))?;
    wake(topic, hanging).await;
    Ok(())
}

/// Waits until the subscriptions that stand still take notice.
async fn wake(topic: &Topic, hanging: Vec<String>) {
    for subscription in hanging {
        super::submit(topic, &subscription, Command::Wake).await;
    }
}

fn refused(error: &PublishError) -> Status {
    match error {
        PublishError::Deleted(_) => Status::not_found(error.to_string()),
        PublishError::Full { .. } => Status::resource_exhausted(error.to_string()),
        PublishError::Stopping => Status::unavailable(error.to_string()),
        PublishError::Schema { .. } => {
            Status::permission_denied(format!("Unable to publish the message: {error}"))
        }
        PublishError::Storage(_) => Status::internal(error.to_string()),
    }
}
