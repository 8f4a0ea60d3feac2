//! Two nodes whose haresources differ.

mod common;

use common::cluster::Cluster;
use systole::protocol::settings::AutoFailback;

fn lines(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines
        .iter()
        .map(|(owner, key)| ((*owner).to_owned(), (*key).to_owned()))
        .collect()
}

fn told(cluster: &Cluster, node: &str) -> usize {
    let complaints = cluster.complaints.iter();
    complaints
        .filter(|line| line.starts_with(node) && line.contains("name different groups or owners"))
        .count()
}

#[test]
fn files_that_name_different_owners_are_told_of_on_both_nodes_once() {
    let mut cluster = Cluster::new(&["node1", "node2"], AutoFailback::On);
    cluster
        .haresources
        .insert("node1".to_owned(), lines(&[("node1", "a")]));
    cluster
        .haresources
        .insert("node2".to_owned(), lines(&[("node2", "a")]));
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(120_000);
    for node in ["node1", "node2"] {
        assert_eq!(told(&cluster, node), 1, "{:?}", cluster.complaints);
    }
}

#[test]
fn files_that_agree_are_not_told_of_whatever_their_order() {
    let mut cluster = Cluster::new(&["node1", "node2"], AutoFailback::On);
    cluster
        .haresources
        .insert("node1".to_owned(), lines(&[("node2", "b"), ("node1", "a")]));
    cluster.boot("node1");
    cluster.boot("node2");
    cluster.run(60_000);
    assert_eq!(told(&cluster, "node1") + told(&cluster, "node2"), 0);
}
