//! A fault in each kind of actor: the actor restarts in place, the process lives on, nothing moves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::death::{pid, watched};
use super::hang::{machine_goes, stuck_without_programs};
use super::history::count;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};

/// First words of the names of our supervised actors; the rest of the name tells which of that
/// kind.
const ACTORS: [&str; 15] = [
    "address guard",
    "client /",
    "client socket",
    "control",
    "fifo",
    "group 10.77.0.100",
    "groups",
    "guardian",
    "hooks",
    "medium eth0",
    "membership",
    "opener",
    "ping 10.77.0.254",
    "root",
    "views",
];

/// Asks the daemon of node1 to let an actor panic; returns the names of all actors.
pub fn fail(pair: &Pair, actor: Option<&str>) -> Option<Vec<String>> {
    let path = pair.lab.dir("node1").join("run/systole.ctl");
    let mut control = UnixStream::connect(path).ok()?;
    control
        .set_read_timeout(Some(Duration::from_secs(5)))
        .ok()?;
    let request = serde_json::json!({"request": "panic", "actor": actor});
    control.write_all(format!("{request}\n").as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(control).read_line(&mut line).ok()?;
    let reply: serde_json::Value = serde_json::from_str(&line).ok()?;
    let names = reply["reason"].as_str()?;
    Some(names.lines().map(str::to_owned).collect())
}

/// Takes some time to end.
const SLOW: &str = "#!/bin/sh\ntrap 'sleep 3; exit 0' TERM\nwhile :; do sleep 0.05; done\n";

/// The main actor restarts while it waits for a client that takes some time to end. The end was
/// lost with the waiting actor, and the stop never completed.
pub fn main_actor_panics_in_a_stop(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config
        .times
        .push_str("respawn root /etc/ha.d/resource.d/slow\n");
    let pair = Pair::new(config);
    for node in NODES {
        pair.install_script(node, "slow", SLOW);
    }
    pair.start_settled();
    pair.begin_stop("node1");
    pair.wait_log("node1", "killing /etc/ha.d/resource.d/slow process group");
    let _ = fail(&pair, Some("root"));
    pair.wait_log("node1", "actor panicked");
    assert_eq!(pair.log_count("node1", "Heartbeat shutdown complete"), 0);
    pair.wait_stopped("node1");
    pair.stop("node2");
}

/// Three faults of membership within a minute.
fn membership_gives_up(pair: &Pair) {
    for number in 1..=3 {
        let _ = fail(pair, Some("membership"));
        wait_until(LONG, "membership panics", || {
            let log = pair.lab.log("node1");
            let lines = log.lines().filter(|line| {
                line.contains("actor panicked") && line.contains("actor=membership")
            });
            lines.count() >= number
        });
    }
    pair.wait_log("node1", "membership failed too often");
}

/// The outcome of the start was taken for that of the stop after it: the daemon ended, and the
/// group ran on.
pub fn membership_gives_up_in_a_start(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::5\n");
    let pair = Pair::new(config);
    pair.start_both();
    wait_until(LONG, "the start script runs", || {
        count(&pair.lab, "node1", "start", "a") == 1
    });
    membership_gives_up(&pair);
    // Another daemon sends heartbeats meanwhile.
    pair.wait_log("node1", "guardian: all resources are released");
    assert!(!pair.runs("node1", "a"), "{}", pair.lab.log("node1"));
    assert!(!pair.has_address("node1", ADDRESS_1));
    assert_eq!(pair.lab.sh("node1", "ls /run/*.held 2>/dev/null"), "");
    pair.wait_owner("node2", ADDRESS_1, "a");
}

/// No other process would reboot the machine by then.
pub fn membership_gives_up_and_a_stop_fails(kinds: [Kind; 2]) {
    let pair = stuck_without_programs(PairConfig::new(kinds));
    pair.start_settled();
    machine_goes(&pair, || membership_gives_up(&pair));
}

/// Each in turn, and the next only when the last has restarted.
pub fn every_actor_panics(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config
        .times
        .push_str("ping 10.77.0.254\nrespawn root /bin/sleep 86400\n");
    let mut watched = watched(config);
    let pair = &watched.pair;
    let before = pid(pair, "node1");
    let names = fail(pair, None).expect("the names of all actors");
    for kind in ACTORS {
        let known = names.iter().any(|name| name.starts_with(kind));
        assert!(known, "no {kind} in {names:?}");
    }
    // A new kind of actor must be named above, so that its author thinks about its panic.
    for name in &names {
        let known = ACTORS.iter().any(|kind| name.starts_with(kind));
        assert!(known, "{name} is new");
    }
    for name in &names {
        let panicked = || {
            let log = pair.lab.log("node1");
            let lines = log.lines().filter(|line| line.contains("actor panicked"));
            // A name with blanks stands in quotes.
            let named = lines.map(|line| line.replace('"', ""));
            let end = format!("actor={name} when=running reason=injected");
            named.filter(|line| line.ends_with(&end)).count()
        };
        let seen = panicked();
        // The control actor's own panic may come before its answer.
        let _ = fail(pair, Some(name));
        wait_until(LONG, &format!("{name} panics"), || panicked() > seen);
        wait_until(LONG, "the control socket", || fail(pair, None).is_some());
    }
    pair.wait_log("node1", "membership was restarted after a fault of our own");
    watched.restarts += 1;
    pair.wait_log_count("node2", "Heartbeat restart on node node1", watched.restarts);
    assert_eq!(pid(pair, "node1"), before);
    watched.nothing_moved();
    // Orders still pass through all of them.
    watched.stops_in_order();
}
