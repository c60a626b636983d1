//! What happens to messages that are failed on again and again.

use danube_client::SubType;
use danube_core::admin_proto::{
    GetSubscriptionFailurePolicyRequest, SetSubscriptionFailurePolicyRequest,
    SubscriptionFailurePolicy, SubscriptionPoisonPolicy,
};

use crate::support::{Fixture, Reader, send, text, topic};

fn policy(poison: SubscriptionPoisonPolicy) -> SubscriptionFailurePolicy {
    SubscriptionFailurePolicy {
        max_redelivery_count: 1,
        ack_timeout_ms: 1000,
        base_redelivery_delay_ms: 10,
        max_redelivery_delay_ms: 10,
        poison_policy: poison.into(),
        ..Default::default()
    }
}

/// A topic whose subscription has the policy; nothing without an admin API.
async fn reader(
    fixture: &Fixture,
    topic: &str,
    policy: SubscriptionFailurePolicy,
) -> Option<Reader> {
    let request = SetSubscriptionFailurePolicyRequest {
        topic: topic.to_owned(),
        subscription: "subscription".into(),
        failure_policy: Some(policy),
    };
    fixture.admin().await?.set_subscription_failure_policy(request).await.unwrap();
    Some(fixture.consumer(topic, "reader", SubType::Exclusive).await)
}

async fn nack_next(reader: &mut Reader) -> String {
    let message = reader.next().await;
    reader.consumer.nack(&message, None, Some("bad".into())).await.unwrap();
    text(&message)
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_passes_over_a_message_whose_redeliveries_are_used_up() {
    let fixture = Fixture::start().await;
    let topic = topic("drop");
    let producer = fixture.producer(&topic).await;
    let Some(mut reader) = reader(&fixture, &topic, policy(SubscriptionPoisonPolicy::Drop)).await
    else {
        return;
    };
    send(&producer, "bad").await;
    assert_eq!(nack_next(&mut reader).await, "bad");
    assert_eq!(nack_next(&mut reader).await, "bad");
    send(&producer, "good").await;
    assert_eq!(reader.next_acked().await, "good");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letter_publishes_it_with_where_it_comes_from() {
    let fixture = Fixture::start().await;
    let topic = topic("dead");
    let dead_topic = crate::support::topic("letters");
    let producer = fixture.producer(&topic).await;
    fixture.producer(&dead_topic).await;
    let mut dead = fixture.consumer(&dead_topic, "undertaker", SubType::Exclusive).await;
    let mut wanted = policy(SubscriptionPoisonPolicy::DeadLetter);
    wanted.dead_letter_topic = Some(dead_topic);
    let Some(mut reader) = reader(&fixture, &topic, wanted).await else { return };

    send(&producer, "bad").await;
    assert_eq!(nack_next(&mut reader).await, "bad");
    assert_eq!(nack_next(&mut reader).await, "bad");
    let letter = dead.next().await;
    assert_eq!(text(&letter), "bad");
    assert_eq!(letter.attributes["x-original-topic"], topic);
    assert_eq!(letter.attributes["x-original-subscription"], "subscription");
    assert_eq!(letter.attributes["x-original-topic-offset"], "0");
    assert_eq!(letter.attributes["x-delivery-attempt"], "2");
    assert_eq!(letter.attributes["x-failure-reason"], "bad");
    assert_eq!(letter.attributes["x-poison-policy"], "dead_letter");
    send(&producer, "good").await;
    assert_eq!(reader.next_acked().await, "good");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn block_lets_nothing_new_through() {
    let fixture = Fixture::start().await;
    let topic = topic("block");
    let producer = fixture.producer(&topic).await;
    let Some(mut reader) = reader(&fixture, &topic, policy(SubscriptionPoisonPolicy::Block)).await
    else {
        return;
    };
    send(&producer, "bad").await;
    assert_eq!(nack_next(&mut reader).await, "bad");
    assert_eq!(nack_next(&mut reader).await, "bad");
    send(&producer, "good").await;
    assert!(reader.stays_quiet().await);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_held_too_long_is_delivered_again() {
    let fixture = Fixture::start().await;
    let topic = topic("timeout");
    let producer = fixture.producer(&topic).await;
    let Some(mut reader) = reader(&fixture, &topic, policy(SubscriptionPoisonPolicy::Drop)).await
    else {
        return;
    };
    send(&producer, "slow").await;
    assert_eq!(reader.next_text().await, "slow");
    assert_eq!(reader.next_acked().await, "slow");
    assert!(reader.next_within(std::time::Duration::from_secs(2)).await.is_none());
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_times_out_while_nobody_is_attached() {
    let fixture = Fixture::start().await;
    let topic = topic("detached-timeout");
    let Some(mut admin) = fixture.admin().await else { return };
    let raw = fixture.raw(&topic).await;
    let producer = raw.producer().await;
    let request = SetSubscriptionFailurePolicyRequest {
        topic: topic.clone(),
        subscription: "subscription".into(),
        failure_policy: Some(policy(SubscriptionPoisonPolicy::Drop)),
    };
    admin.set_subscription_failure_policy(request).await.unwrap();
    let consumer = raw.subscribe("reader").await;
    let mut stream = consumer.receive().await;
    producer.send_numbers(0..3).await;
    stream.offsets(3).await;
    consumer.close(stream).await;
    // Three timeouts; two would drop them.
    let away = tokio::time::Instant::now() + std::time::Duration::from_secs(3);
    tokio::time::sleep_until(away).await;

    let mut stream = consumer.receive().await;
    assert_eq!(stream.offsets(3).await, [0, 1, 2]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_that_was_set_is_told_and_a_new_subscription_has_it() {
    let fixture = Fixture::start().await;
    let topic = topic("policy");
    fixture.producer(&topic).await;
    let wanted = policy(SubscriptionPoisonPolicy::Drop);
    let Some(_reader) = reader(&fixture, &topic, wanted.clone()).await else { return };
    let request =
        GetSubscriptionFailurePolicyRequest { topic, subscription: "subscription".into() };
    let mut admin = fixture.admin().await.unwrap();
    let told = admin.get_subscription_failure_policy(request).await.unwrap().into_inner();
    assert_eq!(told.failure_policy, Some(wanted));
    assert_eq!(told.subscription_type, 0);
    fixture.stop().await;
}
