use super::*;

fn key(text: &str) -> GroupKey {
    GroupKey::new(text)
}

fn jobs() -> Jobs {
    Jobs::new(["a", "b"].iter().map(|k| key(k)))
}

#[test]
fn steps_of_a_job_go_one_after_another() {
    let mut jobs = jobs();
    jobs.add(
        Purpose::AcquireLocal,
        [key("a"), key("b")],
        GroupOrder::Start,
    );
    let first = jobs.next_order().unwrap();
    assert_eq!(first.group, key("a"));
    assert!(jobs.next_order().is_none(), "the first is still in flight");
    assert!(jobs.next_finished().is_none());
    assert!(jobs.done(first.id, &key("a"), &GroupOutcome::Started));
    let second = jobs.next_order().unwrap();
    assert_eq!(second.group, key("b"));
    assert!(jobs.done(second.id, &key("b"), &GroupOutcome::Started));
    assert_eq!(jobs.next_finished(), Some(Purpose::AcquireLocal));
    assert!(!jobs.running());
    assert_eq!(jobs.held().count(), 2);
}

#[test]
fn a_stop_waits_for_the_start_in_progress() {
    let mut jobs = jobs();
    jobs.add(Purpose::AcquireLocal, [key("a")], GroupOrder::Start);
    let start = jobs.next_order().unwrap();
    jobs.add(Purpose::ReleaseAll, [key("a")], GroupOrder::Stop);
    assert!(jobs.next_order().is_none());
    jobs.done(start.id, &key("a"), &GroupOutcome::Started);
    let stop = jobs.next_order().unwrap();
    assert_eq!(stop.what, GroupOrder::Stop);
}

/// Its first group is still being started, which can take an hour: the others are stopped meanwhile.
#[test]
fn a_release_does_not_wait_behind_a_group_that_is_busy() {
    let mut jobs = Jobs::new(["a", "b", "c"].iter().map(|k| key(k)));
    jobs.add(Purpose::AcquireLocal, [key("a")], GroupOrder::Start);
    let start = jobs.next_order().unwrap();
    jobs.cancel(|_| true);
    let all = [key("a"), key("b"), key("c")];
    jobs.add(Purpose::ReleaseAll, all, GroupOrder::Stop);
    let second = jobs.next_order().unwrap();
    assert_eq!(second.group, key("b"));
    assert!(jobs.next_order().is_none(), "one at a time");
    jobs.done(second.id, &key("b"), &GroupOutcome::Stopped);
    let third = jobs.next_order().unwrap();
    assert_eq!(third.group, key("c"));
    jobs.done(third.id, &key("c"), &GroupOutcome::Stopped);
    assert!(jobs.next_order().is_none());
    jobs.done(start.id, &key("a"), &GroupOutcome::Started);
    let last = jobs.next_order().unwrap();
    assert_eq!((last.group, last.what), (key("a"), GroupOrder::Stop));
    jobs.done(last.id, &key("a"), &GroupOutcome::Stopped);
    assert_eq!(jobs.next_finished(), Some(Purpose::Cancelled));
    assert_eq!(jobs.next_finished(), Some(Purpose::ReleaseAll));
}

/// The order of the file is kept where groups are started: one may need the one before it.
#[test]
fn a_start_waits_for_the_one_before_it() {
    let mut jobs = jobs();
    jobs.add(Purpose::Give, [key("a")], GroupOrder::Stop);
    let stop = jobs.next_order().unwrap();
    jobs.add(Purpose::Reclaim, [key("a"), key("b")], GroupOrder::Start);
    assert!(jobs.next_order().is_none());
    jobs.done(stop.id, &key("a"), &GroupOutcome::Stopped);
    assert_eq!(jobs.next_order().unwrap().group, key("a"));
}

#[test]
fn two_jobs_run_beside_each_other_on_different_groups() {
    let mut jobs = jobs();
    jobs.add(Purpose::AcquireLocal, [key("a")], GroupOrder::Start);
    jobs.add(Purpose::Reclaim, [key("b")], GroupOrder::Start);
    assert_eq!(jobs.next_order().unwrap().group, key("a"));
    assert_eq!(jobs.next_order().unwrap().group, key("b"));
}

#[test]
fn a_cancelled_job_ends_with_what_is_in_flight() {
    let mut jobs = jobs();
    jobs.add(Purpose::Give, [key("a"), key("b")], GroupOrder::Stop);
    let stop = jobs.next_order().unwrap();
    jobs.cancel(|purpose| *purpose == Purpose::Give);
    assert!(jobs.running());
    jobs.done(stop.id, &key("a"), &GroupOutcome::Stopped);
    assert!(jobs.next_order().is_none());
    assert_eq!(jobs.next_finished(), Some(Purpose::Cancelled));
}

#[test]
fn an_unknown_order_counts_for_nothing() {
    let mut jobs = jobs();
    assert!(!jobs.done(OrderId(9), &key("a"), &GroupOutcome::Started));
    assert!(!jobs.done(OrderId(9), &key("zzz"), &GroupOutcome::Started));
    assert_eq!(jobs.held().count(), 0);
}

#[test]
fn nothing_follows_a_failed_stop() {
    let mut jobs = jobs();
    jobs.add(Purpose::ReleaseAll, [key("a"), key("b")], GroupOrder::Stop);
    let stop = jobs.next_order().unwrap();
    let failed = GroupOutcome::StopFailed {
        resource: "x".to_owned(),
    };
    assert!(jobs.done(stop.id, &key("a"), &failed));
    assert!(jobs.next_order().is_none());
    assert!(jobs.next_finished().is_none());
    assert!(jobs.running());
}

/// What follows a job that lost its starts follows at once; a stop is given as ever.
#[test]
fn no_start_is_begun_any_more_after_a_refusal() {
    let keys = ["a", "b"].map(GroupKey::new);
    let mut jobs = Jobs::new(keys.iter().cloned());
    jobs.add(Purpose::AcquireLocal, keys.clone(), GroupOrder::Start);
    let first = jobs.next_order().unwrap();
    jobs.refuse_starts();
    assert_eq!(jobs.next_order(), None);
    assert!(jobs.done(first.id, &first.group, &GroupOutcome::Started));
    assert_eq!(jobs.next_finished(), Some(Purpose::AcquireLocal));
    jobs.add(Purpose::Take, keys.clone(), GroupOrder::Start);
    assert_eq!(jobs.next_finished(), Some(Purpose::Take));
    jobs.add(Purpose::ReleaseAll, keys, GroupOrder::Stop);
    assert_eq!(jobs.next_order().unwrap().what, GroupOrder::Stop);
}
