//! Synthetic rounds, each with one thing wrong: the account catches it.

use super::*;
use crate::{
    evidence::{Gap, Letter},
    journal::Seen,
    schedule::{Link, Settings, Wanted},
    sequence::Sequence,
    sink::REJECT_CODE,
};

const TOPIC: &str = "/default/chaos";

/// A round without faults on this broker.
fn round(profile: Profile) -> Round {
    let settings = Settings {
        profile: Wanted::Only(profile),
        intake: Wanted::Only(Intake::PassThrough),
        disk: false,
        clock: false,
        killers: true,
    };
    let sequence =
        Sequence { seed: 3, records: 300, source_partitions: 2, keys: 5, killer: Some(150) };
    Round { sequence, partitions: 0, broker_window: 10, workers: 1, ..settings.round(1, 1) }
}

/// What is known of such a round when all went well.
fn good(round: &Round) -> Evidence {
    let mut evidence = Evidence::default();
    let mut positions = BTreeMap::new();
    evidence.seen.push(Seen::Opened { epoch: 1, positions: positions.clone() });
    for planned in round.sequence.all() {
        positions.insert(planned.place.0, planned.place.1);
        evidence.add(&planned);
    }
    let number = round.sequence.records;
    evidence.seen.push(Seen::Committed { epoch: 1, number, positions });
    evidence
}

impl Evidence {
    /// A record is published and comes to its end.
    fn add(&mut self, planned: &Planned) {
        let message = Message {
            partition: TOPIC.to_owned(),
            offset: self.messages.len() as u64,
            publish_time_ms: 1_000 + planned.index,
            place: planned.place,
            key: planned.key.clone(),
        };
        let what = match planned.fate {
            Fate::Written { .. } => What::Effect,
            Fate::Rejected => What::Reject,
            Fate::Filtered => What::Filter,
            Fate::Kills => What::Death,
        };
        let line = Handled {
            what,
            dedup_id: format!("dedup-{}", message.offset),
            partition: message.partition.clone(),
            offset: message.offset,
            publish_time_ms: message.publish_time_ms,
            place: message.place,
            key: message.key.clone(),
            attempt: 1,
            epoch: 1,
            session: "session".to_owned(),
            worker: "worker".to_owned(),
        };
        match what {
            What::Reject => self.letters.push(letter(&line, planned.index, "REJECT")),
            What::Death => self.letters.push(letter(&line, planned.index, "CRASH")),
            _ => {}
        }
        self.messages.push(message);
        self.handled.push(line);
    }

    /// Where the sinks did this for the nth time.
    fn nth(&self, what: What, nth: usize) -> usize {
        let lines = self.handled.iter().enumerate();
        lines.filter(|(_, line)| line.what == what).nth(nth).unwrap().0
    }
}

fn letter(line: &Handled, index: u64, class: &str) -> Letter {
    let names = Names::default();
    let code = if class == "REJECT" { REJECT_CODE } else { "" };
    let attributes = [
        ("x-failure-class", class.to_owned()),
        ("x-failure-code", code.to_owned()),
        ("x-original-topic", names.topic),
        ("x-original-subscription", names.sink.clone()),
        ("x-original-topic-offset", line.offset.to_string()),
        ("x-connector", names.sink),
        ("x-delivery-attempt", "1".to_owned()),
        ("x-dedup-id", line.dedup_id.clone()),
    ];
    Letter {
        key: line.key.clone(),
        payload: format!("record {index} of the external system"),
        attributes: attributes.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// The rules that are broken once `wrong` was done to a good round.
fn caught(profile: Profile, injected: &[Kind], wrong: impl FnOnce(&mut Evidence)) -> Vec<Rule> {
    let round = round(profile);
    let mut evidence = good(&round);
    wrong(&mut evidence);
    let verdict = account(&round, &evidence, injected, &Names::default());
    verdict.violations.iter().map(|violation| violation.rule).collect()
}

fn caught_on_correct(wrong: impl FnOnce(&mut Evidence)) -> Vec<Rule> {
    caught(Profile::Correct, &[], wrong)
}

#[test]
fn a_good_round_breaks_nothing() {
    assert_eq!(caught_on_correct(|_| {}), []);
    assert_eq!(caught(Profile::Danube015, &[], |_| {}), []);
}

#[test]
fn a_message_without_an_effect_is_lost() {
    let wrong = |evidence: &mut Evidence| {
        let at = evidence.nth(What::Effect, 20);
        evidence.handled.remove(at);
    };
    assert_eq!(caught_on_correct(wrong), [Rule::Lost]);
}

#[test]
fn a_record_that_was_committed_and_not_published_is_lost_and_its_position_ahead() {
    let wrong = |evidence: &mut Evidence| {
        let at = evidence.nth(What::Effect, 20);
        evidence.handled.remove(at);
        evidence.messages.remove(at);
    };
    assert_eq!(caught_on_correct(wrong), [Rule::Lost, Rule::PositionAhead]);
}

/// Takes the nth effect away, and its message; tells which message it was.
fn lose(evidence: &mut Evidence, nth: usize) -> Message {
    let at = evidence.nth(What::Effect, nth);
    evidence.handled.remove(at);
    evidence.messages.remove(at)
}

#[test]
fn what_the_broker_forgot_is_not_our_loss() {
    let forgotten = |evidence: &mut Evidence| {
        let lost = lose(evidence, 20);
        evidence.forgotten.insert(((lost.partition, lost.offset), lost.place));
    };
    assert_eq!(caught(Profile::Danube015, &[Kind::Kill(Part::Broker)], forgotten), []);
}

#[test]
fn a_letter_is_owed_unless_both_broker_and_sidecar_forgot_its_record() {
    let forgotten = |evidence: &mut Evidence| {
        let line = &evidence.handled[evidence.nth(What::Death, 0)];
        let message = ((line.partition.clone(), line.offset), line.place);
        let crash = |letter: &Letter| letter.attributes["x-failure-class"] == "CRASH";
        evidence.letters.retain(|letter| !crash(letter));
        evidence.messages.retain(|m| m.place != message.1);
        evidence.forgotten.insert(message);
    };
    let broker = Kind::Kill(Part::Broker);
    let caught = |faults: &[Kind]| caught(Profile::Danube015, faults, forgotten);
    assert_eq!(caught(&[broker, Kind::Restart(Part::Sidecar)]), []);
    assert_eq!(caught(&[broker]), [Rule::Letters]);
}

#[test]
fn what_the_broker_forgot_excuses_no_other_loss() {
    let wrong = |evidence: &mut Evidence| {
        let other = evidence.messages[evidence.nth(What::Effect, 30)].clone();
        lose(evidence, 20);
        evidence.forgotten.insert(((other.partition, other.offset), other.place));
    };
    let broken = caught(Profile::Danube015, &[Kind::Kill(Part::Broker)], wrong);
    assert_eq!(broken, [Rule::Lost, Rule::PositionAhead]);
}

#[test]
fn an_effect_of_what_nobody_published_is_caught() {
    let wrong = |evidence: &mut Evidence| {
        let mut line = evidence.handled[evidence.nth(What::Effect, 20)].clone();
        line.offset = 100_000;
        evidence.handled.push(line);
    };
    assert_eq!(caught_on_correct(wrong), [Rule::Unpublished]);
}

#[test]
fn effects_of_a_key_in_another_order_are_caught() {
    let wrong = |evidence: &mut Evidence| {
        let first = evidence.nth(What::Effect, 20);
        let key = evidence.handled[first].key.clone();
        let same = |line: &Handled| line.what == What::Effect && line.key == key;
        let behind = evidence.handled[first + 1..].iter().position(same).unwrap();
        evidence.handled.swap(first, first + 1 + behind);
    };
    assert_eq!(caught_on_correct(wrong)[0], Rule::Order);
}

#[test]
fn messages_of_a_source_partition_in_another_order_are_caught() {
    let wrong = |evidence: &mut Evidence| {
        let messages = evidence.messages.iter().enumerate();
        let without_key = messages.filter(|(_, m)| m.key.is_none() && m.place.0 == 0);
        let places: Vec<usize> = without_key.map(|(at, _)| at).collect();
        evidence.messages.swap(places[3], places[4]);
    };
    assert_eq!(caught_on_correct(wrong), [Rule::Order]);
}

#[test]
fn duplicates_without_a_cause_are_caught_and_those_of_a_kill_are_not() {
    let twice = |evidence: &mut Evidence| {
        let line = evidence.handled[evidence.nth(What::Effect, 20)].clone();
        evidence.handled.push(Handled { attempt: 2, ..line });
    };
    assert_eq!(caught_on_correct(twice), [Rule::Duplicates]);
    assert_eq!(caught(Profile::Correct, &[Kind::Cut(Link::Broker)], twice), [Rule::Duplicates]);
    assert_eq!(caught(Profile::Correct, &[Kind::Kill(Part::Sink)], twice), []);
}

#[test]
fn a_record_published_twice_needs_a_cause_too() {
    let round = round(Profile::Correct);
    let planned = round.sequence.all().into_iter().find(|p| p.fate == Fate::Filtered).unwrap();
    let twice = |evidence: &mut Evidence| evidence.add(&planned);
    assert_eq!(caught_on_correct(twice), [Rule::Duplicates]);
    assert_eq!(caught(Profile::Correct, &[Kind::Kill(Part::Source)], twice), []);
}

#[test]
fn more_duplicates_than_a_kill_explains_are_caught() {
    let often = |evidence: &mut Evidence| {
        let line = evidence.handled[evidence.nth(What::Effect, 20)].clone();
        evidence.handled.extend(std::iter::repeat_n(line, 51));
    };
    let kill = [Kind::Kill(Part::Sink)];
    assert_eq!(caught(Profile::Correct, &kill, often), [Rule::Duplicates]);
}

#[test]
fn a_position_ahead_of_what_is_published_is_caught() {
    let wrong = |evidence: &mut Evidence| {
        let positions = BTreeMap::from([(0, 10_000)]);
        evidence.seen.push(Seen::Opened { epoch: 2, positions });
    };
    assert_eq!(caught_on_correct(wrong), [Rule::PositionAhead]);
}

#[test]
fn a_missing_dead_letter_is_caught() {
    let wrong = |evidence: &mut Evidence| _ = evidence.letters.remove(0);
    assert_eq!(caught_on_correct(wrong), [Rule::Letters]);
}

#[test]
fn a_crash_letter_for_a_record_that_kills_nobody_is_caught() {
    let wrong = |evidence: &mut Evidence| {
        let line = evidence.handled[evidence.nth(What::Effect, 20)].clone();
        evidence.letters.push(letter(&line, 0, "CRASH"));
    };
    assert_eq!(caught_on_correct(wrong), [Rule::Letters]);
}

#[test]
fn a_second_letter_for_a_record_needs_a_cause() {
    let wrong = |evidence: &mut Evidence| {
        let letter = evidence.letters[0].clone();
        evidence.letters.push(letter);
    };
    assert_eq!(caught_on_correct(wrong), [Rule::Duplicates]);
}

#[test]
fn a_letter_with_a_wrong_word_is_caught() {
    for (name, value) in [
        ("x-failure-class", "EXHAUSTED"),
        ("x-failure-code", "OTHER"),
        ("x-original-topic", "/default/other"),
        ("x-original-topic-offset", "100000"),
        ("x-delivery-attempt", "0"),
    ] {
        let wrong = |evidence: &mut Evidence| {
            let reject = |letter: &&mut Letter| letter.attributes["x-failure-class"] == "REJECT";
            let letter = evidence.letters.iter_mut().find(reject).unwrap();
            letter.attributes.insert(name.to_owned(), value.to_owned());
        };
        assert_eq!(caught_on_correct(wrong), [Rule::Letters], "{name}");
    }
}

/// The broker passes over the message of some effect.
fn skip(evidence: &mut Evidence) -> u64 {
    let at = evidence.nth(What::Effect, 20);
    let line = evidence.handled.remove(at);
    evidence.skipped.insert((TOPIC.to_owned(), line.offset));
    line.offset
}

#[test]
fn a_gap_that_is_told_is_not_our_loss() {
    let told = |evidence: &mut Evidence| {
        let offset = skip(evidence);
        evidence.gaps.push(Gap { partition: TOPIC.to_owned(), first: offset, last: offset });
    };
    assert_eq!(caught(Profile::Danube015, &[], told), []);
}

#[test]
fn a_record_that_was_passed_over_may_come_late() {
    let late = |evidence: &mut Evidence, over: bool| {
        let first = evidence.nth(What::Effect, 20);
        let key = evidence.handled[first].key.clone();
        let next = evidence.handled.iter().skip(first + 1).position(|line| line.key == key);
        let (earlier, later) = (first, first + 1 + next.unwrap());
        evidence.handled.swap(earlier, later);
        let line = &evidence.handled[later];
        let offset = (TOPIC.to_owned(), line.offset);
        if over {
            // The message that was written is another one, of the same record.
            let message = evidence.messages.iter_mut().find(|m| m.offset == line.offset).unwrap();
            let again = Message { offset: 100_000, ..message.clone() };
            evidence.messages.push(again);
            evidence.handled[later].offset = 100_000;
            evidence.skipped.insert(offset.clone());
            evidence.gaps.push(Gap { partition: offset.0, first: offset.1, last: offset.1 });
        }
    };
    let caught = |over| {
        let faults = [Kind::Kill(Part::Source)];
        caught(Profile::Danube015, &faults, |evidence| late(evidence, over))
    };
    assert_eq!(caught(false), [Rule::Order]);
    assert_eq!(caught(true), []);
}

#[test]
fn a_gap_that_is_not_told_is_caught_unless_the_sidecar_could_not_know() {
    let untold = |evidence: &mut Evidence| _ = skip(evidence);
    assert_eq!(caught(Profile::Danube015, &[], untold), [Rule::Gaps]);
    assert_eq!(caught(Profile::Danube015, &[Kind::Kill(Part::Sidecar)], untold), []);
}

#[test]
fn a_gap_that_is_none_is_caught() {
    let invented = |evidence: &mut Evidence| {
        evidence.gaps.push(Gap { partition: TOPIC.to_owned(), first: 5, last: 9 });
    };
    assert_eq!(caught(Profile::Danube015, &[], invented), [Rule::Gaps]);
}
