//! A healthy pair logs nothing above `info`, from its start to its stop: ten configurations.

use std::fs;
use std::time::Duration;

use super::host::Kind;
use super::pair::{ADDRESS_1, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// How long the pair is watched between its start and its stop.
const WATCHED: Duration = Duration::from_secs(5);

const LOUD: [&str; 5] = [
    ": WARN: ",
    ": ERROR: ",
    ": CRIT: ",
    ": EMERG: ",
    ": notice: ",
];

/// What a legacy node says at this moment too, on which test suites match: a node that has left is dead when its dead time
/// is over. `notice` lines tell of a change of state.
fn expected(line: &str) -> bool {
    line.contains(": notice: ") || line.ends_with("is dead")
}

fn loud(pair: &Pair, node: &str) -> Vec<String> {
    let log = pair.lab.log(node);
    let loud = log
        .lines()
        .filter(|line| LOUD.iter().any(|word| line.contains(word)));
    loud.filter(|line| !expected(line))
        .map(str::to_owned)
        .collect()
}

/// Starts both, lets them run, stops the standby, starts it again and stops both.
fn healthy(config: PairConfig) {
    healthy_pair(&Pair::new(config));
}

fn healthy_pair(pair: &Pair) {
    for node in NODES {
        // Not the first start in the life of the machine, which says that it has no generation yet.
        let file = pair.lab.dir(node).join("lib/hb_generation");
        fs::write(file, format!("{:>15}\n", 1_700_000_000)).expect("hb_generation");
    }
    pair.start_both();
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    std::thread::sleep(WATCHED);
    pair.stop("node2");
    pair.wait_holds("node1", "all");
    std::thread::sleep(WATCHED);
    pair.start("node2");
    pair.wait_log_count("node2", "Local status now set to: 'active'", 2);
    pair.wait_log_count("node1", "Status update for node node2: status active", 2);
    pair.wait_owner("node1", ADDRESS_1, "a");
    std::thread::sleep(WATCHED);
    pair.stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    pair.begin_stop("node2");
    pair.wait_log_count("node2", "node2 Heartbeat shutdown complete.", 2);
    for node in NODES {
        if pair.kind(node).is_ours() {
            let said = loud(pair, node);
            assert!(
                said.is_empty(),
                "{node}:\n{}\n\n{}",
                said.join("\n"),
                pair.lab.log(node)
            );
        }
    }
}

fn plain(kinds: [Kind; 2]) {
    healthy(PairConfig::new(kinds));
}

fn two_groups_and_cables(kinds: [Kind; 2]) {
    let config = PairConfig::new(kinds).with_second_group().with_two_cables();
    healthy(config.with_failback("on"));
}

fn unicast_and_ping(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.media = "ucast eth0 @PEER0@\nping 10.77.0.3".into();
    config.auth = "auth 1\n1 md5 labkey\n".into();
    healthy(config);
}

/// A legacy node reports nothing while the scripts of its start run, some seconds here. A Systole node that joins then waits.
fn joins_slow_scripts(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = config.resources.replace("dummy::a", "slow dummy::a");
    let pair = Pair::new(config);
    let slow = "#!/bin/sh\ncase $1 in start) sleep 5; touch /run/slow;; stop) rm -f /run/slow;; status) test -e /run/slow && echo running || echo stopped;; esac\n";
    for node in NODES {
        pair.install_script(node, "slow", slow);
        pair.lab.sh(
            node,
            "printf '%15s\\n' 1700000000 >/var/lib/heartbeat/hb_generation",
        );
    }
    pair.start("node1");
    pair.wait_log("node1", "/slow  start");
    pair.start("node2");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node2", "none");
    let said = loud(&pair, "node2");
    assert!(
        said.is_empty(),
        "{}\n\n{}",
        said.join("\n"),
        pair.lab.log("node2")
    );
}

/// The times that most pairs in the field have.
fn usual_times(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 1\nwarntime 5\ndeadtime 10\ninitdead 20\n".into();
    healthy(config.with_failback("on"));
}

/// Multicast, an old key that is still known, and compression.
fn multicast_and_keys(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.media = "mcast eth0 239.0.0.42 694 1 0\ncompression zlib".into();
    config.auth = "auth 2\n1 crc\n2 sha1 labkey\n".into();
    healthy(config.with_failback("on"));
}

/// The respawned `ipfail` of Debian, and a ping node that answers.
fn respawned_ipfail(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.media =
        "bcast eth0\nping 10.77.0.254\nrespawn hacluster /usr/libexec/heartbeat/ipfail".into();
    healthy(config);
}

/// Addresses as `IPaddr2` and by their number alone, with scripts between them, and a group of a script alone.
fn many_resources(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds).with_two_cables();
    config.resources = format!(
        "node1 {ADDRESS_1}/24/eth0 dummy::a IPaddr2::10.77.0.103/24/eth0 dummy::b\nnode2 dummy::alone\n"
    );
    healthy(config.with_failback("on"));
}

/// Monitors, the kernel's lease and a node of its own settings.
fn monitors_and_lease(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    let settings = "address_lease = 1\n[[monitor]]\nresource = \"dummy::a\"\ninterval_s = 1\n";
    for node in NODES.into_iter().filter(|node| pair.kind(node).is_ours()) {
        let file = pair.lab.dir(node).join("ha.d/systole.toml");
        fs::write(file, settings).expect("settings");
    }
    healthy_pair(&pair);
}

/// A file for debug lines.
fn debug_lines(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.media = "bcast eth0\ndebugfile /var/log/ha-debug\ndebug 1".into();
    healthy(config.with_second_group());
}

macro_rules! tests {
    ($($name:ident $kinds:ident $scenario:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("quiet::", stringify!($name)), $kinds, $scenario);
        }
    )* };
}

tests! {
    two_systole_nodes OURS_OURS plain;
    beside_a_legacy_standby SYSTOLE_OWNER plain;
    beside_a_legacy_owner LEGACY_OWNER plain;
    two_groups_beside_a_legacy_owner LEGACY_OWNER two_groups_and_cables;
    two_systole_nodes_with_two_groups OURS_OURS two_groups_and_cables;
    two_groups_beside_a_legacy_node SYSTOLE_OWNER two_groups_and_cables;
    joins_a_legacy_node_whose_scripts_run LEGACY_OWNER joins_slow_scripts;
    unicast_beside_a_legacy_node LEGACY_OWNER unicast_and_ping;
    long_unicast_of_two_systole_nodes OURS_OURS unicast_and_ping;
    usual_times_beside_a_legacy_standby SYSTOLE_OWNER usual_times;
    long_usual_times_beside_a_legacy_owner LEGACY_OWNER usual_times;
    long_usual_times_of_two_systole_nodes OURS_OURS usual_times;
    multicast_beside_a_legacy_standby SYSTOLE_OWNER multicast_and_keys;
    long_multicast_beside_a_legacy_owner LEGACY_OWNER multicast_and_keys;
    long_multicast_of_two_systole_nodes OURS_OURS multicast_and_keys;
    ipfail_beside_a_legacy_owner LEGACY_OWNER respawned_ipfail;
    long_ipfail_beside_a_legacy_standby SYSTOLE_OWNER respawned_ipfail;
    long_ipfail_of_two_systole_nodes OURS_OURS respawned_ipfail;
    many_resources_beside_a_legacy_standby SYSTOLE_OWNER many_resources;
    long_many_resources_beside_a_legacy_owner LEGACY_OWNER many_resources;
    many_resources_of_two_systole_nodes OURS_OURS many_resources;
    monitors_of_two_systole_nodes OURS_OURS monitors_and_lease;
    monitors_beside_a_legacy_standby SYSTOLE_OWNER monitors_and_lease;
    debug_lines_beside_a_legacy_owner LEGACY_OWNER debug_lines;
    long_debug_lines_of_two_systole_nodes OURS_OURS debug_lines;
}
