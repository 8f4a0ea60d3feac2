use super::*;
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::question::Position;
use crate::resources::parts::work::Purpose;

fn key(text: &str) -> GroupKey {
    GroupKey::new(text)
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// The table as `node1` sees it.
fn table_of(lines: &[(&str, &str)]) -> GroupTable {
    let group = |(owner, word): &(&str, &str)| ResourceGroup {
        key: key(word),
        owner: name(owner),
        resources: vec![(*word).to_owned()],
    };
    let groups: Vec<ResourceGroup> = lines.iter().map(group).collect();
    GroupTable::new(&name("node1"), &groups, &[key("ip")].into())
}

/// A table in which `node1` owns every group.
fn table(keys: &[&str]) -> GroupTable {
    let lines: Vec<(&str, &str)> = keys.iter().map(|key| ("node1", *key)).collect();
    table_of(&lines)
}

/// The groups of both nodes; the order of their keys is not the order of the file.
fn both() -> GroupTable {
    table_of(&[
        ("node2", "z"),
        ("node1", "b"),
        ("node1", "ip"),
        ("node2", "a"),
    ])
}

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_millis(seconds * 1000)
}

fn keys<'a>(found: impl IntoIterator<Item = &'a GroupKey>) -> String {
    let found: Vec<&str> = found.into_iter().map(GroupKey::as_str).collect();
    found.join(" ")
}

#[test]
fn steps_of_a_job_go_one_after_another() {
    let mut groups = table(&["a", "b"]);
    groups.begin(
        Purpose::AcquireLocal,
        [key("a"), key("b")],
        GroupOrder::Start,
    );
    let first = groups.next_order().unwrap();
    assert_eq!(first.group, key("a"));
    assert!(
        groups.next_order().is_none(),
        "the first is still in flight"
    );
    assert!(groups.next_finished().is_none());
    assert!(groups.ended(first.id, &key("a"), &GroupOutcome::Started));
    let second = groups.next_order().unwrap();
    assert_eq!(second.group, key("b"));
    assert!(groups.ended(second.id, &key("b"), &GroupOutcome::Started));
    assert_eq!(groups.next_finished(), Some(Purpose::AcquireLocal));
    assert!(!groups.at_work());
    assert_eq!(groups.that_run().count(), 2);
}

#[test]
fn a_stop_waits_for_the_start_in_progress() {
    let mut groups = table(&["a", "b"]);
    groups.begin(Purpose::AcquireLocal, [key("a")], GroupOrder::Start);
    let start = groups.next_order().unwrap();
    groups.begin(Purpose::ReleaseAll, [key("a")], GroupOrder::Stop);
    assert!(groups.next_order().is_none());
    groups.ended(start.id, &key("a"), &GroupOutcome::Started);
    let stop = groups.next_order().unwrap();
    assert_eq!(stop.what, GroupOrder::Stop);
}

/// The start of the first group takes up to an hour: the others are stopped meanwhile.
#[test]
fn a_release_does_not_wait_behind_a_group_that_is_busy() {
    let mut groups = table(&["a", "b", "c"]);
    groups.begin(Purpose::AcquireLocal, [key("a")], GroupOrder::Start);
    let start = groups.next_order().unwrap();
    groups.cancel(|_| true);
    let all = [key("a"), key("b"), key("c")];
    groups.begin(Purpose::ReleaseAll, all, GroupOrder::Stop);
    let second = groups.next_order().unwrap();
    assert_eq!(second.group, key("b"));
    assert!(groups.next_order().is_none(), "one at a time");
    groups.ended(second.id, &key("b"), &GroupOutcome::Stopped);
    let third = groups.next_order().unwrap();
    assert_eq!(third.group, key("c"));
    groups.ended(third.id, &key("c"), &GroupOutcome::Stopped);
    assert!(groups.next_order().is_none());
    groups.ended(start.id, &key("a"), &GroupOutcome::Started);
    let last = groups.next_order().unwrap();
    assert_eq!((last.group, last.what), (key("a"), GroupOrder::Stop));
    groups.ended(last.id, &key("a"), &GroupOutcome::Stopped);
    assert_eq!(groups.next_finished(), Some(Purpose::Cancelled));
    assert_eq!(groups.next_finished(), Some(Purpose::ReleaseAll));
}

/// Groups are started in the order of the file: one may need the group before it.
#[test]
fn a_start_waits_for_the_one_before_it() {
    let mut groups = table(&["a", "b"]);
    groups.begin(Purpose::Give, [key("a")], GroupOrder::Stop);
    let stop = groups.next_order().unwrap();
    groups.begin(Purpose::Reclaim, [key("a"), key("b")], GroupOrder::Start);
    assert!(groups.next_order().is_none());
    groups.ended(stop.id, &key("a"), &GroupOutcome::Stopped);
    assert_eq!(groups.next_order().unwrap().group, key("a"));
}

#[test]
fn two_jobs_run_beside_each_other_on_different_groups() {
    let mut groups = table(&["a", "b"]);
    groups.begin(Purpose::AcquireLocal, [key("a")], GroupOrder::Start);
    groups.begin(Purpose::Reclaim, [key("b")], GroupOrder::Start);
    assert_eq!(groups.next_order().unwrap().group, key("a"));
    assert_eq!(groups.next_order().unwrap().group, key("b"));
}

#[test]
fn a_cancelled_job_ends_with_what_is_in_flight() {
    let mut groups = table(&["a", "b"]);
    groups.begin(Purpose::Give, [key("a"), key("b")], GroupOrder::Stop);
    let stop = groups.next_order().unwrap();
    groups.cancel(|purpose| *purpose == Purpose::Give);
    assert!(groups.at_work());
    groups.ended(stop.id, &key("a"), &GroupOutcome::Stopped);
    assert!(groups.next_order().is_none());
    assert_eq!(groups.next_finished(), Some(Purpose::Cancelled));
}

#[test]
fn an_unknown_order_counts_for_nothing() {
    let mut groups = table(&["a", "b"]);
    assert!(!groups.ended(OrderId(9), &key("a"), &GroupOutcome::Started));
    assert!(!groups.ended(OrderId(9), &key("zzz"), &GroupOutcome::Started));
    assert_eq!(groups.that_run().count(), 0);
}

#[test]
fn nothing_follows_a_failed_stop() {
    let mut groups = table(&["a", "b"]);
    groups.begin(Purpose::ReleaseAll, [key("a"), key("b")], GroupOrder::Stop);
    let stop = groups.next_order().unwrap();
    let failed = GroupOutcome::StopFailed {
        resource: "x".to_owned(),
    };
    assert!(groups.ended(stop.id, &key("a"), &failed));
    assert!(groups.next_order().is_none());
    assert!(groups.next_finished().is_none());
    assert!(groups.at_work());
}

/// A job that loses its starts is done at once; a stop is ordered as before.
#[test]
fn no_start_is_begun_any_more_after_a_refusal() {
    let keys = ["a", "b"].map(GroupKey::new);
    let mut groups = table(&["a", "b"]);
    groups.begin(Purpose::AcquireLocal, keys.clone(), GroupOrder::Start);
    let first = groups.next_order().unwrap();
    groups.refuse_starts();
    assert_eq!(groups.next_order(), None);
    assert!(groups.ended(first.id, &first.group, &GroupOutcome::Started));
    assert_eq!(groups.next_finished(), Some(Purpose::AcquireLocal));
    groups.begin(Purpose::Take, keys.clone(), GroupOrder::Start);
    assert_eq!(groups.next_finished(), Some(Purpose::Take));
    groups.begin(Purpose::ReleaseAll, keys, GroupOrder::Stop);
    assert_eq!(groups.next_order().unwrap().what, GroupOrder::Stop);
}

#[test]
fn a_job_goes_in_the_order_of_the_file_and_names_go_by_their_keys() {
    let mut groups = both();
    assert_eq!(keys(groups.of(HoldingSet::ALL)), "z b ip a");
    assert_eq!(keys(groups.of(HoldingSet::LOCAL)), "b ip");
    assert_eq!(keys(&groups.keys_owned_by(&name("node2"))), "z a");
    for word in ["z", "b", "a"] {
        groups.note_running(&key(word));
    }
    groups.note_running(&key("of no line"));
    assert_eq!(keys(groups.that_run()), "a b z");
    assert_eq!(keys(groups.that_may_run()), "z b a");
    assert_eq!(groups.running_halves(), HoldingSet::ALL);
}

#[test]
fn a_start_takes_a_group_before_it_runs() {
    let mut groups = both();
    let all = groups.keys_of(HoldingSet::LOCAL);
    groups.begin(Purpose::AcquireLocal, all, GroupOrder::Start);
    assert_eq!(keys(groups.taken()), "b ip");
    assert_eq!(keys(groups.that_may_run()), "");
    let order = groups.next_order().unwrap();
    assert_eq!(keys(groups.that_may_run()), "b");
    assert_eq!(keys(groups.that_run()), "");
    assert!(groups.ended(order.id, &order.group, &GroupOutcome::Started));
    assert_eq!(keys(groups.that_run()), "b");
}

#[test]
fn a_start_ends_every_doubt_of_a_group() {
    let mut groups = both();
    let group = key("b");
    groups.owners_changed(&[].into(), &[group.clone()].into());
    groups.did_not_start(&group, false, at(0));
    groups.given_up(&group, at(0));
    groups.address_is_taken(&group, at(1));
    groups.give_by_key(&group);
    assert!(groups.started(&group), "another host had its address");
    assert!(groups.trouble(&group).is_none() && !groups.is_passed_on(&group));
    assert!(!groups.is_given_by_key(&group));
    assert_eq!(keys(groups.came()), "");
    assert!(!groups.started(&group));
}

#[test]
fn only_what_did_not_start_is_passed_on_with_its_half() {
    let mut groups = both();
    groups.did_not_start(&key("a"), false, at(0));
    for word in ["a", "z"] {
        groups.given_up(&key(word), at(5));
    }
    assert!(groups.is_passed_on(&key("a")) && !groups.is_passed_on(&key("z")));
    // The next failure of the group is the first after it was passed on.
    groups.did_not_start(&key("a"), false, at(9));
    assert_eq!(groups.in_trouble(at(100)), [(key("a"), false)]);
}

#[test]
fn what_a_node_gives_has_run_there_unless_it_says_otherwise() {
    let passed_on = || {
        let mut groups = both();
        groups.did_not_start(&key("b"), false, at(0));
        groups.given_up(&key("b"), at(0));
        groups
    };
    let said = |key: &GroupKey| key.as_str() == "ip";
    let failed_there = |groups: &GroupTable| {
        let all = groups.of(HoldingSet::ALL);
        keys(all.filter(|key| groups.is_passed_on(key)))
    };
    for (for_a_failure, when, known) in [(false, 1, "ip"), (true, 1, "b ip"), (true, 600, "ip")] {
        let mut groups = passed_on();
        groups.given_to_us(HoldingSet::LOCAL, said, for_a_failure, at(when));
        assert_eq!(failed_there(&groups), known);
    }
    let mut groups = passed_on();
    groups.given_to_us(HoldingSet::FOREIGN, said, false, at(1));
    assert_eq!(
        failed_there(&groups),
        "b ip",
        "b is not among what is given"
    );
}

#[test]
fn another_host_does_a_half_when_every_group_of_it_is_refused() {
    let mut groups = both();
    assert_eq!(table(&[]).done_by_others(), HoldingSet::NONE);
    groups.address_is_taken(&key("a"), at(0));
    assert_eq!(groups.done_by_others(), HoldingSet::NONE);
    groups.address_is_taken(&key("z"), at(0));
    assert_eq!(groups.done_by_others(), HoldingSet::FOREIGN);
    for word in ["b", "ip"] {
        groups.address_is_taken(&key(word), at(0));
    }
    assert_eq!(groups.done_by_others(), HoldingSet::ALL);
    let mut own = table(&["a"]);
    own.address_is_taken(&key("a"), at(0));
    assert_eq!(
        own.done_by_others(),
        HoldingSet::ALL,
        "there is nothing else"
    );
}

#[test]
fn what_runs_and_is_not_held_is_left_to_its_owner() {
    let mut groups = both();
    groups.owners_changed(&[key("a"), key("z")].into(), &[key("b"), key("ip")].into());
    groups.note_running(&key("a"));
    groups.forget_what_is_held(HoldingSet::LOCAL);
    assert_eq!(keys(groups.left()), "a", "z does not run");
    groups.forget_what_is_held(HoldingSet::FOREIGN);
    assert_eq!(keys(groups.left()), "", "its half is held");
    assert_eq!(keys(groups.came()), "b ip");
}

#[test]
fn a_person_is_asked_once_for_what_came_and_has_no_address() {
    let mut groups = both();
    groups.owners_changed(&[].into(), &[key("b"), key("ip")].into());
    assert!(groups.came_without_address(&key("b")));
    assert!(!groups.came_without_address(&key("ip")));
    assert!(!groups.came_without_address(&key("a")));
    assert!(groups.asks_to_confirm(&key("b")));
    assert!(!groups.asks_to_confirm(&key("b")));
    assert_eq!(keys(groups.unconfirmed()), "b");
    groups.confirmed(&key("b"));
    assert_eq!(keys(groups.unconfirmed()), "");
    groups.all_confirmed();
    assert_eq!(keys(groups.came()), "");
}

#[test]
fn what_was_given_by_its_key_is_taken_back_once() {
    let mut groups = both();
    groups.give_by_key(&key("b"));
    assert!(groups.is_given_by_key(&key("b")));
    assert!(groups.take_back_given());
    assert!(!groups.take_back_given());
}

#[test]
fn a_request_is_open_until_all_have_declined_and_is_repeated() {
    let mut groups = both();
    let (b, nodes) = (key("b"), [name("node2"), name("node3")]);
    groups.ask(&b, at(0));
    assert_eq!(groups.asked_deadline(), Some(at(10)));
    assert_eq!(keys(&groups.to_be_asked(at(9))), "");
    assert_eq!(keys(&groups.to_be_asked(at(10))), "b");
    assert!(!groups.declined(&b, &nodes[0], nodes.iter()));
    assert!(groups.declined(&b, &nodes[1], nodes.iter()));
    groups.forget_asked(&b);
    assert!(!groups.is_asked(&b) && !groups.declined(&b, &nodes[0], [].iter()));
}

#[test]
fn an_answer_counts_when_it_was_given_to_the_newest_request() {
    let mut groups = both();
    let b = key("b");
    let place = |text| Position::from_text(text).unwrap();
    groups.ask(&b, at(0));
    assert!(!groups.answers_request(&b, place("1.9")), "on its way out");
    groups.request_sent(&b, place("1.5"));
    assert!(!groups.answers_request(&b, place("1.4")));
    assert!(groups.answers_request(&b, place("1.5")));
}
