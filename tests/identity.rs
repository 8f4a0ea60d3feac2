//! Nodes whose machines were copied: one `hb_uuid` on both.

mod common;

use common::scenario::Cluster;
use systole::protocol::settings::AutoFailback;

#[test]
fn nodes_with_one_uuid_hear_each_other_and_settle() {
    let mut cluster = Cluster::new(&["node1", "node2"], AutoFailback::On);
    cluster.with_one_uuid();
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(120_000);
    assert_eq!(cluster.doubles, []);
    assert_eq!(cluster.holdings(), ["node1 local: a", "node2 local: b"]);
    for node in ["node1", "node2"] {
        let told = cluster
            .complaints
            .iter()
            .any(|line| line.starts_with(node) && line.contains("was hb_uuid copied"));
        assert!(told, "{:?}", cluster.complaints);
    }
}

#[test]
fn a_node_that_joins_with_the_uuid_of_a_settled_one_takes_nothing_from_it() {
    for failback in [AutoFailback::On, AutoFailback::Off] {
        let mut cluster = Cluster::new(&["node1", "node2"], failback);
        cluster.with_one_uuid();
        cluster.boot("node1");
        cluster.run(30_000);
        cluster.boot("node2");
        cluster.run(60_000);
        assert_eq!(cluster.doubles, [], "{failback:?}");
        assert_eq!(cluster.owners("a"), ["node1"], "{failback:?}");
        // A message to one of them reaches that node, and only that one.
        cluster.standby("node1", "all");
        cluster.run(30_000);
        assert_eq!(cluster.owners("a"), ["node2"], "{failback:?}");
        assert_eq!(cluster.doubles, [], "{failback:?}");
    }
}
