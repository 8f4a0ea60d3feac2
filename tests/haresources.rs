//! Two nodes whose haresources differ.

mod common;

use common::scenario::Cluster;
use systole::protocol::settings::AutoFailback;
use systole::simulator::ids::{NODE1, NODE2};

/// A pair whose files name some of these groups.
fn pair(model: AutoFailback) -> Cluster {
    let groups = [
        (NODE1, "a"),
        (NODE2, "b"),
        (NODE1, "c"),
        (NODE1, ADDRESS),
        (NODE1, "new"),
    ];
    let mut cluster = Cluster::with_groups(groups, model);
    rewrite(
        &mut cluster,
        &["node1", "node2"],
        &[("node1", "a"), ("node2", "b")],
    );
    cluster
}

fn told(cluster: &Cluster, node: &str) -> usize {
    let complaints = cluster.complaints.iter();
    complaints
        .filter(|line| line.starts_with(node) && line.contains("differ: "))
        .count()
}

#[test]
fn files_that_name_different_owners_are_logged_on_both_nodes_once() {
    let mut cluster = pair(AutoFailback::On);
    rewrite(&mut cluster, &["node1"], &[("node1", "a")]);
    rewrite(&mut cluster, &["node2"], &[("node2", "a")]);
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(45_000);
    for node in ["node1", "node2"] {
        assert_eq!(told(&cluster, node), 1, "{:?}", cluster.complaints);
    }
}

#[test]
fn files_that_agree_are_not_logged_in_any_order() {
    let mut cluster = pair(AutoFailback::On);
    rewrite(&mut cluster, &["node1"], &[("node2", "b"), ("node1", "a")]);
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(60_000);
    assert_eq!(told(&cluster, "node1") + told(&cluster, "node2"), 0);
}

const ON: AutoFailback = AutoFailback::On;
const OFF: AutoFailback = AutoFailback::Off;
/// An address, so that the network can be asked for it.
const ADDRESS: &str = "10.0.0.9";

fn rewrite(cluster: &mut Cluster, hosts: &[&str], file: &[(&str, &str)]) {
    for host in hosts {
        cluster.write_haresources(host, file);
    }
}

/// `file` was in force on both nodes, and they are settled.
fn settled(model: AutoFailback, file: &[(&str, &str)]) -> Cluster {
    let mut cluster = pair(model);
    rewrite(&mut cluster, &["node1", "node2"], file);
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(20_000);
    cluster.forget();
    cluster
}

/// How the changed file is put in force.
#[derive(Debug, Clone, Copy)]
enum Cure {
    ReloadBoth,
    ReloadBothAtOnce,
    ReloadNew,
    ReloadOld,
    RestartNew,
    KillNew,
}

const CURES: [Cure; 6] = [
    Cure::ReloadBoth,
    Cure::ReloadBothAtOnce,
    Cure::ReloadNew,
    Cure::ReloadOld,
    Cure::RestartNew,
    Cure::KillNew,
];

fn cure(cluster: &mut Cluster, cure: Cure) {
    match cure {
        Cure::ReloadBoth => {
            cluster.revive("node1");
            cluster.run(20_000);
            cluster.revive("node2");
        }
        Cure::ReloadBothAtOnce => {
            cluster.revive("node1");
            cluster.revive("node2");
        }
        Cure::ReloadNew | Cure::KillNew => cluster.revive("node2"),
        Cure::ReloadOld => cluster.revive("node1"),
        Cure::RestartNew => {
            cluster.stop("node2");
            cluster.run(10_000);
            cluster.boot("node2");
        }
    }
}

/// The only group goes from node1 to node2, however the file is put in force.
#[test]
fn a_group_that_changes_its_owner_has_one_owner_all_the_time() {
    for model in [ON, OFF] {
        for way in CURES {
            let mut cluster = settled(model, &[("node1", ADDRESS)]);
            rewrite(&mut cluster, &["node1", "node2"], &[("node2", ADDRESS)]);
            cure(&mut cluster, way);
            cluster.run(45_000);
            let seen = (cluster.holdings(), &cluster.complaints);
            assert_eq!(cluster.doubles, [], "{model:?} {way:?}: {seen:?}");
            let owners = cluster.owners(ADDRESS);
            assert_eq!(owners.len(), 1, "{model:?} {way:?}: {seen:?}");
            let both = matches!(way, Cure::ReloadBoth | Cure::ReloadBothAtOnce);
            let expected = if both && model == ON {
                "node2"
            } else {
                "node1"
            };
            assert_eq!(owners, [expected], "{model:?} {way:?}: {seen:?}");
            // When either node dies, the other takes over.
            let (dead, left) = match owners[0].as_str() {
                "node1" => ("node1", "node2"),
                _ => ("node2", "node1"),
            };
            cluster.kill(dead);
            cluster.run(30_000);
            assert_eq!(cluster.owners(ADDRESS), [left], "{model:?} {way:?}");
        }
    }
}

/// One of several groups goes to the other node, one stays, and the other node has one of its own:
/// those that stay have no outage.
#[test]
fn one_group_of_several_goes_to_its_new_owner_and_the_others_run_on() {
    let before = [("node1", "a"), ("node1", "c"), ("node2", "b")];
    let after = [("node2", "a"), ("node1", "c"), ("node2", "b")];
    for model in [ON, OFF] {
        for way in CURES {
            let mut cluster = settled(model, &before);
            rewrite(&mut cluster, &["node1", "node2"], &after);
            cure(&mut cluster, way);
            cluster.run(45_000);
            let seen = (cluster.holdings(), &cluster.complaints);
            assert_eq!(cluster.doubles, [], "{model:?} {way:?}: {seen:?}");
            assert_eq!(cluster.owners("c"), ["node1"], "{model:?} {way:?}");
            // Groups that were taken over meanwhile go back when both nodes use the same owners.
            let b = if matches!(way, Cure::RestartNew) {
                "node1"
            } else {
                "node2"
            };
            assert_eq!(cluster.owners("b"), [b], "{model:?} {way:?}: {seen:?}");
            let both = matches!(way, Cure::ReloadBoth | Cure::ReloadBothAtOnce);
            let expected = if both { "node2" } else { "node1" };
            assert_eq!(
                cluster.owners("a"),
                [expected],
                "{model:?} {way:?}: {seen:?}"
            );
            let stopped = cluster.run_by("node1");
            assert!(!stopped.contains(&"stop c".to_owned()), "{stopped:?}");
            if !matches!(way, Cure::RestartNew) {
                let stopped = cluster.run_by("node2");
                assert!(!stopped.contains(&"stop b".to_owned()), "{stopped:?}");
            }
        }
    }
}

/// A group that is left to its owner is still left to it after another restart in place, and after
/// a death of the daemon.
#[test]
fn a_group_that_is_left_to_its_owner_is_kept_through_another_restart() {
    let mut cluster = settled(ON, &[("node1", "a"), ("node1", "c"), ("node2", "b")]);
    let after = [("node2", "a"), ("node1", "c"), ("node2", "b")];
    rewrite(&mut cluster, &["node1", "node2"], &after);
    cluster.revive("node1");
    cluster.run(20_000);
    cluster.revive("node1");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node1"], "{:?}", cluster.complaints);
    cluster.revive("node2");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
    assert_eq!(cluster.doubles, []);
}

/// The owners of two groups are exchanged.
#[test]
fn two_groups_that_change_places_have_one_owner_each() {
    for model in [ON, OFF] {
        for way in CURES {
            let mut cluster = settled(model, &[("node1", "a"), ("node2", "b")]);
            let after = [("node2", "a"), ("node1", "b")];
            rewrite(&mut cluster, &["node1", "node2"], &after);
            cure(&mut cluster, way);
            cluster.run(60_000);
            let seen = (cluster.holdings(), &cluster.complaints);
            assert_eq!(cluster.doubles, [], "{model:?} {way:?}: {seen:?}");
            for group in ["a", "b"] {
                assert_eq!(
                    cluster.owners(group).len(),
                    1,
                    "{model:?} {way:?}: {seen:?}"
                );
            }
        }
    }
}

/// Each file assigns the group to its own node. It is not decided which file is right, but the
/// group runs once; making the files alike repairs it.
#[test]
fn files_that_give_a_group_to_both_end_with_one_owner_and_are_cured() {
    for (right, wrong) in [("node1", "node2"), ("node2", "node1")] {
        for model in [ON, OFF] {
            let mut cluster = pair(model);
            rewrite(&mut cluster, &["node1"], &[("node1", ADDRESS)]);
            rewrite(&mut cluster, &["node2"], &[("node2", ADDRESS)]);
            cluster.boot("node1");
            cluster.boot("node2");
            cluster.run(60_000);
            let seen = (cluster.holdings(), &cluster.complaints);
            assert_eq!(cluster.owners(ADDRESS), ["node1"], "{seen:?}");
            rewrite(&mut cluster, &[wrong], &[(right, ADDRESS)]);
            cluster.forget();
            cluster.revive("node1");
            cluster.revive("node2");
            cluster.run(60_000);
            let seen = (cluster.holdings(), &cluster.complaints);
            assert_eq!(cluster.doubles, [], "{right} {model:?}: {seen:?}");
            assert_eq!(
                cluster.owners(ADDRESS).len(),
                1,
                "{right} {model:?}: {seen:?}"
            );
            if model == ON {
                assert_eq!(cluster.owners(ADDRESS), [right], "{seen:?}");
            }
        }
    }
}

/// The other node does not report which groups it runs, as a legacy node and the version before.
#[test]
fn a_group_is_not_started_beside_a_node_that_does_not_tell_while_the_network_has_its_address() {
    for way in [Cure::ReloadNew, Cure::KillNew] {
        let mut cluster = settled(OFF, &[("node1", ADDRESS)]);
        cluster.is_older("node1");
        cluster.revive("node2");
        cluster.run(20_000);
        cluster.forget();
        rewrite(&mut cluster, &["node2"], &[("node2", ADDRESS)]);
        cure(&mut cluster, way);
        cluster.run(60_000);
        let seen = (cluster.holdings(), &cluster.complaints);
        assert_eq!(cluster.owners(ADDRESS), ["node1"], "{way:?}: {seen:?}");
        assert_eq!(cluster.doubles, [], "{way:?}: {seen:?}");
        // When it dies, the group is taken over.
        cluster.kill("node1");
        cluster.run(30_000);
        assert_eq!(cluster.owners(ADDRESS), ["node2"], "{way:?}");
    }
}

/// The same, and the group has no address that could be asked for.
#[test]
fn a_group_without_an_address_waits_for_a_person_beside_a_node_that_does_not_tell() {
    let mut cluster = settled(OFF, &[("node1", "a")]);
    cluster.is_older("node1");
    cluster.revive("node2");
    cluster.run(20_000);
    cluster.forget();
    rewrite(&mut cluster, &["node1", "node2"], &[("node2", "a")]);
    cluster.revive("node2");
    cluster.run(60_000);
    let seen = (cluster.holdings(), &cluster.complaints);
    assert_eq!(cluster.owners("a"), ["node1"], "{seen:?}");
    assert_eq!(cluster.doubles, [], "{seen:?}");
    let remarks = cluster.node("node2").remarks();
    assert!(
        remarks.iter().any(|it| it.contains("hb_takeover local")),
        "{remarks:?}"
    );
    // It begins a new generation: what it ran has ended.
    cluster.stop("node1");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
}

/// The file on disk is alike on both nodes, but in force on one only: no alarm.
#[test]
fn no_alarm_where_the_files_on_disk_are_alike() {
    for way in CURES {
        let mut cluster = settled(OFF, &[("node1", ADDRESS)]);
        rewrite(&mut cluster, &["node1", "node2"], &[("node2", ADDRESS)]);
        cluster.look_at_haresources();
        cure(&mut cluster, way);
        cluster.look_at_haresources();
        cluster.run(45_000);
        let told = (told(&cluster, "node1"), told(&cluster, "node2"));
        assert_eq!(told, (0, 0), "{way:?}: {:?}", cluster.complaints);
    }
}

/// One file is changed some seconds before the other.
#[test]
fn no_alarm_while_both_files_are_being_changed() {
    let mut cluster = settled(OFF, &[("node1", ADDRESS)]);
    for host in ["node1", "node2"] {
        rewrite(&mut cluster, &[host], &[("node2", ADDRESS)]);
        cluster.look_at_haresources();
        cluster.run(8_000);
    }
    cure(&mut cluster, Cure::ReloadBoth);
    cluster.run(60_000);
    assert_eq!(
        told(&cluster, "node1") + told(&cluster, "node2"),
        0,
        "{:?}",
        cluster.complaints
    );
}

fn with_more(cluster: &mut Cluster, host: &str, more: &str) {
    cluster.append_resource(host, Some(more));
}

/// The lines have the same owner and first resource, but different further resources.
#[test]
fn a_group_with_other_further_resources_is_logged_and_not_handed_over() {
    let mut cluster = pair(ON);
    with_more(&mut cluster, "node1", "squid");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(60_000);
    for (node, line) in [("node1", "\"node1 a squid\""), ("node2", "\"node1 a\"")] {
        assert_eq!(told(&cluster, node), 1, "{:?}", cluster.complaints);
        let text = format!("{line} has other resources there");
        let complaints = &cluster.complaints;
        assert!(
            complaints
                .iter()
                .any(|it| it.starts_with(node) && it.contains(&text)),
            "{complaints:?}"
        );
    }
    // Neither its owner nor the other node moves it.
    cluster.standby("node1", "local");
    cluster.run(20_000);
    cluster.takeover("node2", "foreign");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node1"], "{:?}", cluster.complaints);
    cluster.force("node1", "ask_resources", "local");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
    // A death moves it in any case.
    cluster.kill("node2");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node1"]);
    cluster.append_resource("node1", None);
    cluster.boot("node2");
    cluster.look_at_haresources();
    cluster.run(30_000);
    cluster.takeover("node2", "foreign");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
}

/// A takeover that a person forces also takes groups that differ.
#[test]
fn a_forced_takeover_takes_a_group_that_differs() {
    let mut cluster = pair(OFF);
    with_more(&mut cluster, "node1", "squid");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(60_000);
    cluster.force("node2", "hb_takeover", "foreign");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
}

/// The version before sends its mark of owners, and no mark of further resources.
#[test]
fn a_node_of_the_version_before_raises_no_alarm() {
    let mut cluster = pair(ON);
    cluster.is_older("node2");
    with_more(&mut cluster, "node1", "squid");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(60_000);
    assert_eq!(told(&cluster, "node1"), 0, "{:?}", cluster.complaints);
    cluster.standby("node1", "local");
    cluster.run(20_000);
    assert_eq!(cluster.owners("a"), ["node2"], "{:?}", cluster.complaints);
}

/// Its owners are compared as before.
#[test]
fn a_node_of_the_version_before_with_other_owners_is_logged() {
    let mut cluster = pair(ON);
    cluster.is_older("node2");
    rewrite(&mut cluster, &["node1"], &[("node1", "a")]);
    rewrite(&mut cluster, &["node2"], &[("node2", "a")]);
    // Neither can know that the other has it as well.
    cluster.expect_two_owners("a");
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(60_000);
    assert_eq!(told(&cluster, "node1"), 1, "{:?}", cluster.complaints);
}

/// Each file assigns the group to its own node, and it does not start on the node that keeps it.
#[test]
fn a_group_that_does_not_start_where_it_is_kept_is_started_on_the_other_node() {
    let mut cluster = pair(OFF);
    rewrite(&mut cluster, &["node1"], &[("node1", ADDRESS)]);
    rewrite(&mut cluster, &["node2"], &[("node2", ADDRESS)]);
    cluster.break_group("node1", ADDRESS);
    cluster.boot("node1");
    cluster.run(20_000);
    cluster.boot("node2");
    cluster.run(60_000);
    let seen = (cluster.holdings(), &cluster.complaints);
    assert_eq!(cluster.owners(ADDRESS), ["node2"], "{seen:?}");
}

/// A group is added to haresources on both nodes, then each restarts in place, as documented.
#[test]
fn a_group_added_to_haresources_is_started_after_a_restart_in_place() {
    let mut cluster = settled(ON, &[("node1", "a"), ("node2", "b")]);
    let after = [("node1", "a"), ("node2", "b"), ("node1", "new")];
    rewrite(&mut cluster, &["node1", "node2"], &after);
    cluster.revive("node1");
    cluster.run(30_000);
    cluster.revive("node2");
    cluster.run(30_000);
    assert_eq!(cluster.owners("new"), ["node1"]);
    assert_eq!(cluster.run_by("node1"), ["start new"]);
    assert_eq!(cluster.run_by("node2"), [""; 0]);
}
