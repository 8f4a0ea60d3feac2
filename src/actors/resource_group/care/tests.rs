use std::net::IpAddr;

use tokio::time::sleep;

use super::*;
use crate::actors::groups::LinkUp;
use crate::actors::groups::tests::Cluster;
use crate::actors::messages::{GroupCommand, PeerStatus, ToGroups};
use crate::actors::resource_group::tests::Scripts;
use crate::net::probe::Effort;
use crate::protocol::event::{GroupOrder, GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::protocol::status::NodeStatus;

const ADDRESS: &str = "10.0.0.1";
const LINES: [&str; 2] = ["alpha 10.0.0.1 good::a", "alpha good::b"];

fn claim() -> Claim {
    Claim {
        address: IpAddr::from([10, 0, 0, 1]),
        mac: [2, 0, 0, 0, 0, 9],
    }
}

fn foreign(scripts: &Scripts, claims: &[Claim]) {
    *scripts.addresses.foreign.lock().expect("lock") = claims.to_vec();
}

fn asked(scripts: &Scripts) -> usize {
    *scripts.addresses.asked.lock().expect("lock")
}

fn announced(scripts: &Scripts) -> usize {
    scripts.addresses.announced.lock().expect("lock").len()
}

fn careful(cluster: &Cluster, number: u64, key: &str) {
    cluster.groups.do_send(GroupCommand {
        order: OrderId(number),
        group: GroupKey::new(key),
        what: GroupOrder::Start,
        careful: true,
    });
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not seen: {what}");
}

/// Long enough for everything that a message causes to be done.
async fn pass() {
    sleep(Duration::from_millis(200)).await;
}

#[actix::test]
async fn a_careful_start_is_refused_while_another_host_has_the_address() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    foreign(&scripts, &[claim()]);
    careful(&cluster, 1, ADDRESS);
    let text = "10.0.0.1 is at 02:00:00:00:00:09".to_owned();
    let taken = GroupOutcome::AddressTaken { claim: text };
    assert_eq!(cluster.outcome().await, (1, taken));
    assert!(scripts.addresses.up().is_empty());
    assert!(scripts.calls().is_empty(), "{:?}", scripts.calls());
    // Other groups are not concerned.
    careful(&cluster, 2, "good::b");
    assert_eq!(cluster.outcome().await, (2, GroupOutcome::Started));
    foreign(&scripts, &[]);
    careful(&cluster, 3, ADDRESS);
    assert_eq!(cluster.outcome().await, (3, GroupOutcome::Started));
    assert_eq!(scripts.addresses.up(), [ADDRESS]);
}

/// A daemon died in the middle of the group's start, and another host has the address by now: it
/// may use the disks of what was started here.
#[actix::test]
async fn what_runs_of_a_group_is_stopped_when_its_start_is_refused() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    cluster.order(1, ADDRESS, GroupOrder::Start);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    foreign(&scripts, &[claim()]);
    scripts.calls();
    careful(&cluster, 2, ADDRESS);
    let (_, outcome) = cluster.outcome().await;
    assert!(matches!(outcome, GroupOutcome::AddressTaken { .. }));
    assert_eq!(scripts.calls(), ["good a stop"]);
    assert!(scripts.addresses.up().is_empty());
    // Nothing of it is left, and the same answer comes every ten seconds: its scripts are not
    // called again.
    careful(&cluster, 3, ADDRESS);
    cluster.outcome().await;
    assert_eq!(scripts.all_calls(), [""; 0]);
}

#[actix::test]
async fn a_takeover_asks_nobody() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    foreign(&scripts, &[claim()]);
    cluster.order(1, ADDRESS, GroupOrder::Start);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    assert_eq!(asked(&scripts), 0);
}

#[actix::test]
async fn what_the_network_said_a_moment_ago_is_not_asked_again() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    cluster.groups.do_send(Care::Look);
    // The group without an address sends a probe as well, without effect.
    until("both have looked", || asked(&scripts) == 2).await;
    pass().await;
    careful(&cluster, 1, ADDRESS);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    assert_eq!(asked(&scripts), 2);
    // It was ordered to start: nothing is to be checked any more.
    cluster.groups.do_send(Care::Look);
    pass().await;
    assert_eq!(asked(&scripts), 3);
}

/// A legacy node runs the group when we look, and gives it to us a moment later.
#[actix::test]
async fn who_answered_a_moment_ago_is_asked_again() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    foreign(&scripts, &[claim()]);
    cluster.groups.do_send(Care::Look);
    until("both have looked", || asked(&scripts) == 2).await;
    pass().await;
    foreign(&scripts, &[]);
    careful(&cluster, 1, ADDRESS);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    assert_eq!(asked(&scripts), 3);
}

#[actix::test]
async fn what_is_left_here_goes_at_once_when_another_host_has_it_else_when_it_is_not_held() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    scripts.addresses.put(ADDRESS);
    cluster.groups.do_send(Care::Look);
    pass().await;
    assert_eq!(scripts.addresses.up(), [ADDRESS]);
    foreign(&scripts, &[claim()]);
    cluster.groups.do_send(Care::Look);
    until("it is removed", || scripts.addresses.up().is_empty()).await;
    foreign(&scripts, &[]);
    scripts.addresses.put(ADDRESS);
    cluster.groups.do_send(Care::Tidy);
    until("it is removed", || scripts.addresses.up().is_empty()).await;
    // What is held stays.
    cluster.order(1, ADDRESS, GroupOrder::Start);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    cluster.groups.do_send(Care::Tidy);
    pass().await;
    assert_eq!(scripts.addresses.up(), [ADDRESS]);
    // And what was stopped and comes back is removed.
    cluster.order(2, ADDRESS, GroupOrder::Stop);
    assert_eq!(cluster.outcome().await, (2, GroupOutcome::Stopped));
    scripts.addresses.put(ADDRESS);
    cluster.groups.do_send(Care::Tidy);
    until("it is removed", || scripts.addresses.up().is_empty()).await;
}

#[actix::test]
async fn reporting_leaves_it_where_it_is() {
    let mut scripts = Scripts::new();
    scripts.stray = StrayAddresses::Report;
    let cluster = Cluster::new(&scripts, &LINES);
    scripts.addresses.put(ADDRESS);
    cluster.groups.do_send(Care::Tidy);
    pass().await;
    assert_eq!(scripts.addresses.up(), [ADDRESS]);
}

#[actix::test]
async fn a_rival_is_answered_when_it_comes_and_when_it_goes() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    cluster.order(1, ADDRESS, GroupOrder::Start);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    for (claims, expected) in [
        (vec![], 0),
        (vec![claim()], 1),
        (vec![claim()], 1),
        (vec![], 2),
    ] {
        foreign(&scripts, &claims);
        let before = asked(&scripts);
        cluster.groups.do_send(Care::Check(Effort::Routine));
        until("it has asked", || asked(&scripts) > before).await;
        pass().await;
        assert_eq!(announced(&scripts), expected, "{claims:?}");
    }
    cluster.groups.do_send(Care::Announce);
    until("it is announced", || announced(&scripts) == 3).await;
}

/// The group whose interface was down is announced, as after a start, and no other.
#[actix::test]
async fn what_is_up_again_is_announced_for_a_while_and_the_rest_is_not() {
    let scripts = Scripts::new();
    let lines = ["alpha 10.0.0.1 good::a", "alpha 10.0.0.2 good::b"];
    let mut cluster = Cluster::new(&scripts, &lines);
    cluster.groups.do_send(LinkUp(GroupKey::new(ADDRESS)));
    for (number, key) in [(1, ADDRESS), (2, "10.0.0.2")] {
        cluster.order(number, key, GroupOrder::Start);
        assert_eq!(cluster.outcome().await, (number, GroupOutcome::Started));
    }
    assert_eq!(announced(&scripts), 0, "it did not run yet");
    cluster.groups.do_send(LinkUp(GroupKey::new(ADDRESS)));
    until("it is announced", || announced(&scripts) > 0).await;
    pass().await;
    let said = scripts.addresses.announced.lock().expect("lock").clone();
    assert_eq!(said, [(ADDRESS.to_owned(), Again::LinkUp)]);
}

/// The node that had the address is dead by now: nothing may delay the takeover.
#[actix::test]
async fn a_refused_group_is_asked_about_until_the_other_node_dies() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &LINES);
    foreign(&scripts, &[claim()]);
    let refused =
        |outcome: (u64, GroupOutcome)| matches!(outcome.1, GroupOutcome::AddressTaken { .. });
    careful(&cluster, 1, ADDRESS);
    assert!(refused(cluster.outcome().await));
    cluster.order(2, ADDRESS, GroupOrder::Start);
    assert!(refused(cluster.outcome().await), "asked again by itself");
    cluster.groups.do_send(ToGroups::Peer(PeerStatus {
        node: NodeName::new("beta").expect("name"),
        status: NodeStatus::Dead,
    }));
    cluster.order(3, ADDRESS, GroupOrder::Start);
    assert_eq!(cluster.outcome().await, (3, GroupOutcome::Started));
}
