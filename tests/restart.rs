//! A daemon that begins anew in place, because it was told to or because its guardian started it
//! again, with whole nodes in virtual time. Spec: membership, section 9.3.

mod common;

use common::cluster::Cluster;
use systole::protocol::settings::AutoFailback;

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;

/// A group does not start; before it is moved or tried again the daemon restarts in place. What
/// kept it from starting is mended meanwhile.
#[test]
fn a_group_that_failed_is_tried_again_after_a_restart_in_place() {
    let mut cluster = Cluster::new(&["node1", "node2"], ON);
    cluster.break_group("node1", "a");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(25_000);
    assert_eq!(cluster.owners("a"), [""; 0]);
    assert_eq!(cluster.node("node1").rscstatus(), Some("local"));
    cluster.mend_group("node1", "a");
    cluster.revive("node1");
    cluster.run(30_000);
    assert_eq!(cluster.owners("a"), ["node1"], "{:?}", cluster.complaints);
}

/// One that still does not start goes to the other node as it would have without the restart.
#[test]
fn a_group_that_fails_again_after_a_restart_in_place_is_moved() {
    let mut cluster = Cluster::new(&["node1", "node2"], OFF);
    cluster.break_group("node1", "a");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(25_000);
    cluster.revive("node1");
    cluster.run(90_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
}

/// A group is added to haresources on both nodes, then each restarts in place, as documented.
#[test]
fn a_group_added_to_haresources_is_started_after_a_restart_in_place() {
    let mut cluster = Cluster::settled_pair(ON);
    let lines = [("node1", "a"), ("node2", "b"), ("node1", "new")];
    let lines = lines.map(|(owner, group)| (owner.to_owned(), group.to_owned()));
    for host in ["node1", "node2"] {
        cluster.haresources.insert(host.to_owned(), lines.to_vec());
    }
    cluster.revive("node1");
    cluster.run(30_000);
    cluster.revive("node2");
    cluster.run(30_000);
    assert_eq!(cluster.owners("new"), ["node1"]);
    assert_eq!(cluster.run_by("node1"), ["start new"]);
    assert_eq!(cluster.run_by("node2"), [""; 0]);
}
