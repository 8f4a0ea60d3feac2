//! One host's clocks jump while the pair runs: its wall clock is set an hour ahead or back, or the
//! host was suspended. The machine's own clocks are not changed: a library that is loaded before
//! the daemon answers instead of them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::history::{address_changes, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::partition::signal_all;
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// In the pair's configuration.
const DEADTIME: Duration = Duration::from_secs(2);
/// By how many seconds the clock is set.
const STEP: i64 = 3_600;
/// No lateness in these tests is as long as this, except one caused by a stepped clock.
const LATE_MS: u64 = 60_000;
/// Debian's libfaketime: at every question it reads from a file what to add to the wall clock.
const LIBRARY: &str = "/usr/lib/*/faketime/libfaketimeMT.so.1";

/// Starts the pair so that the test controls the clock of `node`.
fn start(pair: &Pair, node: &str, library: &str, more: &[&str]) {
    for name in NODES {
        if name != node {
            pair.start(name);
            continue;
        }
        // The library keeps files there, named after process ids, which other hosts use too.
        pair.lab.sh(name, "mount -t tmpfs shm /dev/shm");
        let preload = format!("LD_PRELOAD={library}");
        let daemon = pair.daemon(name);
        let words = [&["env", &preload], more, &["setsid", &daemon]].concat();
        let output = pair.lab.exec(name, &words);
        assert!(output.status.success(), "start on {name}: {output:?}");
    }
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    let daemons = pair.lab.sh(
        node,
        "cd /proc; for p in [0-9]*; do grep -q '^heartbeat: ' $p/cmdline && \
         echo $p $(grep -c -e faketime -e suspend $p/maps); done; true",
    );
    // Our daemon and its guardian; the legacy program has more processes.
    assert!(daemons.lines().count() >= 2, "{daemons}");
    let missed = daemons.lines().filter(|line| line.ends_with(" 0")).count();
    assert_eq!(missed, 0, "the library is not loaded by all: {daemons}");
}

fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_secs()).expect("a time")
}

/// By how many seconds the time in a node's status messages differs from the real one, as a third
/// host receives them.
fn offset_on_the_wire(pair: &Pair, node: &str) -> i64 {
    let from = if node == NODES[0] {
        "10.77.0.1"
    } else {
        "10.77.0.2"
    };
    let command = format!(
        "timeout 20 tcpdump -i eth0 -l -A -c 1 udp port 694 and src host {from} 2>/dev/null"
    );
    let packet = pair.lab.sh("client", &command);
    let stamp = packet.split_once("(0)ts=").map(|(_, rest)| rest);
    let stamp = stamp.and_then(|rest| rest.split(',').next());
    let stamp = stamp.unwrap_or_else(|| panic!("no time stamp: {packet}"));
    i64::from_str_radix(stamp, 16).expect("hex") - wall()
}

/// Logged lateness of a node of that many milliseconds or more.
fn late(pair: &Pair, node: &str, least_ms: u64) -> Vec<String> {
    let log = pair.lab.log(node);
    let lines = log.lines().filter(|line| {
        (line.contains("Late heartbeat") || line.contains("was delayed"))
            && line
                .split_whitespace()
                .filter_map(|word| word.parse::<u64>().ok())
                .any(|ms| ms >= least_ms)
    });
    lines.map(str::to_owned).collect()
}

/// The clock of `node` is an hour ahead, then correct, then an hour behind.
fn stepped(kinds: [Kind; 2], node: &str) {
    let pair = Pair::new(PairConfig::new(kinds));
    let ours = |node: &&str| pair.kind(node).is_ours();
    for node in NODES.into_iter().filter(ours) {
        let settings =
            "[[monitor]]\nresource = \"dummy::a\"\ncheck = \"/bin/true\"\ninterval_s = 1\n";
        let file = pair.lab.dir(node).join("ha.d/systole.toml");
        fs::write(file, settings).expect("settings");
    }
    let library = pair.lab.sh("client", &format!("echo {LIBRARY}"));
    let library = library.trim();
    assert!(Path::new(library).exists(), "libfaketime is not installed");
    let file = pair.lab.dir(node).join("wall-clock");
    let set = |offset: i64| {
        // Replaced as a whole: it may be read at any moment.
        let new = file.with_extension("new");
        fs::write(&new, format!("{offset:+}\n")).expect("the offset");
        fs::rename(new, &file).expect("the offset");
    };
    set(0);
    let place = format!("FAKETIME_TIMESTAMP_FILE={}", file.display());
    let words = [
        place.as_str(),
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        // The library breaks their sleeping.
        "FAKETIME_SKIP_CMDS=sleep,bash,sh,date",
    ];
    start(&pair, node, library, &words);
    let calls = |node: &str| ["start", "stop"].map(|what| count(&pair.lab, node, what, "a"));
    let before = NODES.map(|node| (calls(node), address_changes(&pair.lab, node, ADDRESS_1)));
    for offset in [STEP, 0, -STEP] {
        set(offset);
        // Long enough to declare a node dead whose messages do not count.
        std::thread::sleep(DEADTIME * 2);
        let seen = offset_on_the_wire(&pair, node);
        assert!((seen - offset).abs() < 60, "{seen} s, not {offset} s");
        let peer = offset_on_the_wire(&pair, Pair::peer(node));
        assert!(peer.abs() < 60, "the other host is {peer} s off");
        if ours(&"node1") {
            let monitor = pair.view("node1")["groups"][0]["monitors"][0].clone();
            assert_eq!(monitor["state"], "good");
            let ago = monitor["checked_ms_ago"].as_u64();
            assert!(ago.is_some_and(|ms| ms < LATE_MS), "{monitor}");
        }
    }
    let after = NODES.map(|node| (calls(node), address_changes(&pair.lab, node, ADDRESS_1)));
    assert_eq!(before, after, "something moved");
    for node in NODES {
        let log = || pair.lab.log(node);
        assert_eq!(pair.log_count(node, ": is dead"), 0, "{}", log());
        assert_eq!(pair.log_count(node, "after partition"), 0, "{}", log());
        assert_eq!(late(&pair, node, LATE_MS), [""; 0]);
        assert_eq!(pair.holds(node), "local");
    }
    // The nodes still receive each other's other messages, not only heartbeats.
    pair.operator("node1", "hb_standby all");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    pair.wait_holds("node1", "none");
}

/// Makes one test of a stepped clock per line.
macro_rules! steps {
    ($($name:ident: $kinds:ident $node:literal;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("clock::", stringify!($name)), $kinds, |kinds| stepped(kinds, $node));
        }
    )* };
}

steps! {
    our_owner_beside_legacy_is_set: SYSTOLE_OWNER "node1";
    our_standby_beside_ours_is_set: OURS_OURS "node2";
    long_our_owner_beside_ours_is_set: OURS_OURS "node1";
    long_our_standby_beside_legacy_is_set: LEGACY_OWNER "node2";
    long_legacy_owner_beside_ours_is_set: LEGACY_OWNER "node1";
    long_legacy_standby_beside_ours_is_set: SYSTOLE_OWNER "node2";
}

/// A host is suspended for five dead times: its processes are stopped, and afterwards their
/// monotonic clock is behind while the boot clock is not.
fn suspended(kinds: [Kind; 2], node: &str) {
    let pair = Pair::new(PairConfig::new(kinds));
    let peer = Pair::peer(node);
    let library = pair.lab.shared().join("suspend.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/suspend.c");
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .status();
    assert!(made.is_ok_and(|made| made.success()), "cc {source}");
    let file = pair.lab.dir(node).join("suspended");
    let place = format!("SUSPENDED_FILE={}", file.display());
    start(&pair, node, &library.display().to_string(), &[&place]);
    // A node announces a longer dead time for its first five seconds.
    std::thread::sleep(Duration::from_secs(6));
    let starts = count(&pair.lab, node, "start", "a");
    let time = DEADTIME * 5;
    signal_all(&pair, node, "STOP");
    std::thread::sleep(time);
    fs::write(&file, time.as_secs().to_string()).expect("the time");
    signal_all(&pair, node, "CONT");
    // `the machine was suspended`, unless the signal stopped the thread between its readings of the
    // two clocks: then it logs the stop as the cause.
    pair.wait_log(node, "cause of the delay: ");
    // It was declared dead, whatever it held.
    pair.wait_log(node, "giving up everything");
    pair.wait_owner(peer, ADDRESS_1, "a");
    for name in NODES {
        wait_until(LONG, &format!("{name} is settled"), || {
            !matches!(&*pair.holds(name), "transition" | "unknown" | "")
        });
    }
    assert_eq!(
        pair.log_count(node, ": is dead"),
        0,
        "{}",
        pair.lab.log(node)
    );
    assert_eq!(
        count(&pair.lab, node, "start", "a"),
        starts,
        "it took something"
    );
    // The whole time counts, except the moments at its ends.
    let most = u64::try_from(time.as_millis()).expect("ms") * 9 / 10;
    assert!(!late(&pair, node, most).is_empty());
}

/// Makes one test of a suspended host per line.
macro_rules! suspends {
    ($($name:ident: $kinds:ident $node:literal;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("clock::", stringify!($name)), $kinds, |kinds| suspended(kinds, $node));
        }
    )* };
}

suspends! {
    our_owner_beside_ours_is_suspended: OURS_OURS "node1";
    long_our_standby_beside_ours_is_suspended: OURS_OURS "node2";
    long_our_owner_beside_legacy_is_suspended: SYSTOLE_OWNER "node1";
    long_our_standby_beside_legacy_is_suspended: LEGACY_OWNER "node2";
}
