//! Lost messages between whole nodes, and messages that wait for them.

mod common;

use common::scenario::Cluster;
use systole::protocol::field;
use systole::protocol::settings::AutoFailback;
use systole::simulator::ids::NODE1;

/// A run that begins in place sends `up` and, some milliseconds later, `active`. Both are lost
/// once, so that the other nodes know it as `init` when the first requests are due.
#[test]
fn status_messages_lost_at_the_beginning_of_a_run_are_asked_for() {
    let mut cluster = Cluster::settled_pair(AutoFailback::Off);
    // node1 is suspended for longer than its dead time: it begins a new run.
    cluster.freeze("node1");
    cluster.run(6_000);
    let mut lost = [false; 2];
    cluster.lose(move |from, _, message| {
        let place = match message.hex(field::SEQ) {
            Some(2) => 0,
            Some(4) => 1,
            _ => return false,
        };
        let status = message.kind() == Some("status");
        from == "node1" && status && !std::mem::replace(&mut lost[place], true)
    });
    cluster.thaw("node1");
    cluster.run(3_600_000);
    let paused = cluster.node("node1").membership().clients_paused();
    assert!(!paused, "clients wait after an hour");
    let node1 = cluster.node("node2").membership().node(&NODE1.node_name());
    assert_eq!(node1.unwrap().missing, 0);
}
