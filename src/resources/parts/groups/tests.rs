use super::*;
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::resources::parts::work::Purpose;

fn key(text: &str) -> GroupKey {
    GroupKey::new(text)
}

fn table(keys: &[&str]) -> GroupTable {
    let owner = NodeName::new("node1").unwrap();
    let group = |word: &&str| ResourceGroup {
        key: key(word),
        owner: owner.clone(),
        resources: vec![(*word).to_owned()],
    };
    let groups: Vec<ResourceGroup> = keys.iter().map(group).collect();
    GroupTable::new(&owner, &groups, &BTreeSet::new())
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

/// Its first group is still being started, which can take an hour: the others are stopped meanwhile.
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

/// The order of the file is kept where groups are started: one may need the one before it.
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

/// What follows a job that lost its starts follows at once; a stop is given as ever.
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
