//! The daemon, its guardian and single actors die suddenly: nothing may move.

use std::time::Duration;

use super::history::{address_changes, assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, run};

/// The daemon that the pid file names.
pub(super) fn pid(pair: &Pair, node: &str) -> String {
    let pid = pair.lab.sh(node, "cat /run/heartbeat.pid");
    pid.trim().to_owned()
}

/// The guardians that live.
pub(super) fn guardians(pair: &Pair, node: &str) -> Vec<String> {
    let pids = pair.lab.sh(node, "pgrep -x heartbeat-guard");
    pids.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn wait_guardian(pair: &Pair, node: &str, not: &[String]) -> String {
    let mut found = Vec::new();
    wait_until(LONG, &format!("a new guardian on {node}"), || {
        found = guardians(pair, node);
        found.len() == 1 && !not.contains(&found[0])
    });
    found.remove(0)
}

/// A pair whose first node is Systole and owns the address, with the values that must not change.
pub(super) struct Watched {
    pub(super) pair: Pair,
    pub(super) restarts: usize,
    /// A third host asks for the address all the time.
    asked: Asked,
    addresses: Vec<(f64, bool)>,
    starts: usize,
}

pub(super) fn watched(config: PairConfig) -> Watched {
    watched_with(config, |_| {})
}

/// `before` is done on the hosts before the start.
pub(super) fn watched_with(config: PairConfig, before: impl FnOnce(&Pair)) -> Watched {
    let pair = Pair::new(config);
    before(&pair);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    Watched::of(pair)
}

impl Watched {
    fn of(pair: Pair) -> Self {
        Self {
            asked: Asked::begin(&pair, ADDRESS_1),
            addresses: address_changes(&pair.lab, "node1", ADDRESS_1),
            starts: count(&pair.lab, "node1", "start", "a"),
            restarts: pair.log_count("node2", "Heartbeat restart on node node1"),
            pair,
        }
    }

    /// Ends the daemon of node1 with `signal`; another one runs and the peer logged a restart.
    pub(super) fn kill_daemon(&mut self, signal: &str) {
        self.daemon_dies(|pair, pid| {
            pair.lab.sh("node1", &format!("kill -{signal} {pid}"));
        });
    }

    /// `death` ends the daemon with that process id.
    pub(super) fn daemon_dies(&mut self, death: impl FnOnce(&Pair, &str)) {
        let pair = &self.pair;
        let before = pid(pair, "node1");
        let active = pair.log_count("node1", "Local status now set to: 'active'");
        death(pair, &before);
        wait_until(LONG, "another daemon", || {
            let now = pid(pair, "node1");
            !now.is_empty() && now != before
        });
        pair.wait_log_count("node1", "Local status now set to: 'active'", active + 1);
        self.restarts += 1;
        pair.wait_log_count("node2", "Heartbeat restart on node node1", self.restarts);
    }

    /// Everything that clients and the peer can see is as at the beginning.
    pub(super) fn nothing_moved(&mut self) {
        let pair = &self.pair;
        for node in NODES {
            pair.wait_holds(node, "local");
        }
        // Longer than the dead time: a late consequence would show now.
        std::thread::sleep(Duration::from_secs(4));
        self.asked.never_without_answer(pair);
        assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
        assert_eq!(
            address_changes(&pair.lab, "node1", ADDRESS_1),
            self.addresses
        );
        assert!(address_changes(&pair.lab, "node2", ADDRESS_1).is_empty());
        assert_eq!(count(&pair.lab, "node1", "start", "a"), self.starts);
        assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
        assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
        for node in NODES {
            assert_eq!(pair.log_count(node, "is dead"), 0, "{}", pair.lab.log(node));
            assert_eq!(pair.log_count(node, "Both machines own"), 0);
            pair.wait_holds(node, "local");
        }
        assert_eq!(pair.log_count("node2", "Resources being acquired"), 0);
        assert_eq!(guardians(pair, "node1").len(), 1);
    }

    /// It still works: an orderly stop hands over, and its guardian ends with it.
    pub(super) fn stops_in_order(&self) {
        let pair = &self.pair;
        pair.stop("node1");
        pair.wait_owner("node2", ADDRESS_1, "a");
        wait_until(LONG, "no guardian", || guardians(pair, "node1").is_empty());
        assert_eq!(pair.lab.sh("node1", "ls /run/*.held 2>/dev/null"), "");
        assert_never_two_owners(&pair.lab);
    }
}

/// A third host that asks for an address ten times a second.
struct Asked {
    pid: String,
}

impl Asked {
    fn begin(pair: &Pair, address: &str) -> Self {
        let script = format!(
            "ping -n -i 0.1 {address} >{}/asked 2>&1 & echo $!",
            pair.lab.shared().display()
        );
        Self {
            pid: pair.lab.sh("client", &script).trim().to_owned(),
        }
    }

    /// Ends it: each question was answered. The answer to the last may still have been on its way.
    fn never_without_answer(&self, pair: &Pair) {
        pair.lab.sh("client", &format!("kill -INT {}", self.pid));
        let file = pair.lab.shared().join("asked");
        let mut counts = Vec::new();
        wait_until(LONG, "the summary of the questions", || {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let summary = text.lines().find(|line| line.contains("transmitted"));
            let words = summary.unwrap_or_default().split_whitespace();
            counts = words.filter_map(|word| word.parse::<u32>().ok()).collect();
            counts.len() >= 2
        });
        let (asked, answered) = (counts[0], counts[1]);
        assert!(asked >= 20, "{asked} questions");
        assert!(answered + 1 >= asked, "{answered} of {asked} answered");
    }
}

/// Memory of a program that is resident, in kB.
fn resident_kb(pair: &Pair, node: &str, pid: &str) -> u64 {
    let status = pair.lab.sh(node, &format!("cat /proc/{pid}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("VmRSS")
}

/// `kill -9`, which is also what the kernel does when it has no memory left.
pub fn killed(kinds: [Kind; 2]) {
    let mut watched = watched(PairConfig::new(kinds));
    watched.kill_daemon("KILL");
    watched.nothing_moved();
    let guardian = guardians(&watched.pair, "node1").remove(0);
    let resident = resident_kb(&watched.pair, "node1", &guardian);
    // 1.5 MB. A program without optimisation has larger and more scattered code, of which the kernel maps 64 kB at each
    // access: it varies with every change of the program.
    let limit = if cfg!(debug_assertions) { 6144 } else { 1536 };
    assert!(resident <= limit, "the guardian has {resident} kB");
    watched.stops_in_order();
}

/// A crash of our own.
pub fn aborted(kinds: [Kind; 2]) {
    let mut watched = watched(PairConfig::new(kinds));
    watched.kill_daemon("ABRT");
    watched.nothing_moved();
    watched.stops_in_order();
}

/// The guardian, then the daemon, then the guardian again.
pub fn in_turns(kinds: [Kind; 2]) {
    let mut watched = watched(PairConfig::new(kinds));
    for signal in ["KILL", "ABRT"] {
        let old = guardians(&watched.pair, "node1");
        let kill = format!("kill -{signal} {}", old.join(" "));
        watched.pair.lab.sh("node1", &kill);
        wait_guardian(&watched.pair, "node1", &old);
        watched.kill_daemon("ILL");
    }
    watched.nothing_moved();
    watched.stops_in_order();
}

/// A restart in place keeps the guardian, and the new image is guarded by it.
pub fn after_reload(kinds: [Kind; 2]) {
    let mut watched = watched(PairConfig::new(kinds));
    let (guardian, before) = (
        guardians(&watched.pair, "node1"),
        pid(&watched.pair, "node1"),
    );
    let pair = &watched.pair;
    let daemon = pair.daemon("node1");
    let script = format!("touch /etc/ha.d/ha.cf; setsid {daemon} -r");
    pair.lab.sh("node1", &script);
    pair.wait_log("node1", "Performing heartbeat restart exec.");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    pair.wait_log("node2", "Heartbeat restart on node node1");
    watched.restarts += 1;
    assert_eq!(pid(&watched.pair, "node1"), before);
    assert_eq!(guardians(&watched.pair, "node1"), guardian);
    watched.kill_daemon("KILL");
    watched.nothing_moved();
    watched.stops_in_order();
}

/// At the third death within a minute everything is released; the peer serves after the dead time.
pub fn too_often(kinds: [Kind; 2]) {
    let mut watched = watched(PairConfig::new(kinds));
    watched.kill_daemon("KILL");
    watched.kill_daemon("KILL");
    let pair = &watched.pair;
    let last = pid(pair, "node1");
    pair.lab.sh("node1", &format!("kill -9 {last}"));
    pair.wait_log("node1", "guardian: all resources are released");
    assert!(!pair.has_address("node1", ADDRESS_1));
    assert!(!pair.runs("node1", "a"));
    pair.wait_owner("node2", ADDRESS_1, "a");
    wait_until(LONG, "no guardian", || guardians(pair, "node1").is_empty());
    let daemon = pair.daemon("node1");
    let status = pair.lab.exec("node1", &[&daemon, "-s"]);
    assert_eq!(status.status.code(), Some(1), "{status:?}");
    assert_never_two_owners(&pair.lab);
    // And it can be started again.
    pair.start("node1");
    pair.wait_holds("node2", "all");
}

/// A release that does not know all resources reports that, and leaves to the next start what to
/// do.
pub fn release_without_haresources(kinds: [Kind; 2]) {
    let mut watched = watched(PairConfig::new(kinds));
    watched.kill_daemon("KILL");
    watched.kill_daemon("KILL");
    let pair = &watched.pair;
    let (last, daemon) = (pid(pair, "node1"), pair.daemon("node1"));
    // Neither the file nor its content at the daemon's start.
    let script =
        format!("rm /run/heartbeat.good; mv /etc/ha.d/haresources /etc/ha.d/away; kill -9 {last}");
    pair.lab.sh("node1", &script);
    pair.wait_log("node1", "guardian: not released, and may still run here: ");
    let all = "guardian: all resources are released";
    assert_eq!(pair.log_count("node1", all), 0);
    assert_eq!(pair.log_count("node1", "died again, in the middle of"), 1);
    // The key of the group is its address.
    assert!(!pair.has_address("node1", ADDRESS_1));
    assert!(pair.runs("node1", "a"));
    wait_until(LONG, "no guardian", || guardians(pair, "node1").is_empty());
    assert!(!pair.lab.sh("node1", "ls /run/*.held").is_empty());
    let again = format!(
        "mv /etc/ha.d/away /etc/ha.d/haresources
        (exec -a 'heartbeat: releasing resources' {daemon} orphaned)"
    );
    pair.lab.sh("node1", &again);
    pair.wait_log("node1", all);
    assert!(!pair.runs("node1", "a"));
    assert_eq!(pair.lab.sh("node1", "ls /run/*.held 2>/dev/null"), "");
    pair.wait_owner("node2", ADDRESS_1, "a");
}

/// A daemon that dies while it stops in order: its successor goes on stopping.
pub fn while_stopping(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::2\n");
    let pair = Pair::new(config);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    let before = pid(&pair, "node1");
    // The caller of the stop waits for its end, not for the death.
    let (daemon, file) = (pair.daemon("node1"), pair.lab.shared().join("stopped"));
    let ask = format!(
        "(setsid {daemon} -k; echo $? >{}) </dev/null >/dev/null 2>&1 &",
        file.display()
    );
    pair.lab.sh("node1", &ask);
    wait_until(LONG, "the stop script runs", || {
        count(&pair.lab, "node1", "stop", "a") == 1
    });
    pair.lab.sh("node1", &format!("kill -9 {before}"));
    let code = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_until(LONG, "an exit code of -k", || !code().is_empty());
    assert!(!pair.runs("node1", "a"), "-k ended before the stop");
    assert_eq!(code(), "0\n");
    pair.wait_stopped("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(pair.log_count("node2", "node node1: is dead"), 0);
    wait_until(LONG, "no guardian", || guardians(&pair, "node1").is_empty());
}

/// With `-f` as well: the new daemon is in the background and obeys as the old one did.
pub fn in_foreground(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    let daemon = pair.daemon("node1");
    let script = format!("setsid {daemon} -f </dev/null >/dev/null 2>&1 &");
    pair.lab.sh("node1", &script);
    pair.start("node2");
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    wait_guardian(&pair, "node1", &[]);
    let mut watched = Watched::of(pair);
    for node in NODES {
        watched.pair.wait_holds(node, "local");
    }
    watched.kill_daemon("KILL");
    watched.nothing_moved();
    // Another start beside the new daemon finds it running.
    let again = watched.pair.lab.exec("node1", &[&daemon, "-f"]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    watched.stops_in_order();
}

/// A daemon that dies in the middle of a start: the script runs to its end, and the successor
/// continues after it.
pub fn while_starting(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::4 dummy::z\n");
    let pair = Pair::new(config);
    pair.start_both();
    wait_until(LONG, "the start script runs", || {
        count(&pair.lab, "node1", "start", "a") == 1
    });
    let before = pid(&pair, "node1");
    wait_guardian(&pair, "node1", &[]);
    pair.lab.sh("node1", &format!("kill -9 {before}"));
    pair.wait_log("node1", "a script of an earlier daemon still runs");
    assert!(!pair.runs("node1", "a"), "the script was not waited for");
    pair.wait_owner("node1", ADDRESS_1, "z");
    assert!(pair.runs("node1", "a"));
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    // No script ran twice, and nothing moved.
    for (node, resource, starts) in [("node1", "a", 1), ("node1", "z", 1), ("node2", "a", 0)] {
        assert_eq!(
            count(&pair.lab, node, "start", resource),
            starts,
            "{node} {resource}"
        );
    }
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    assert_eq!(address_changes(&pair.lab, "node1", ADDRESS_1).len(), 1);
    assert!(address_changes(&pair.lab, "node2", ADDRESS_1).is_empty());
}

/// The process beside a start script is killed alone: the script must not go on, because the group
/// is stopped and started on the other node.
fn without_the_process_beside_it(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::4\n");
    let pair = Pair::new(config);
    pair.start_both();
    wait_until(LONG, "the start script runs", || {
        count(&pair.lab, "node1", "start", "a") == 1
    });
    pair.lab.sh("node1", "kill -9 $(pgrep -x hb-script)");
    wait_until(LONG, "the group is stopped", || {
        count(&pair.lab, "node1", "stop", "a") == 1
    });
    // Longer than the script would have run.
    std::thread::sleep(Duration::from_secs(5));
    assert!(!pair.runs("node1", "a"), "the script went on");
    let all = "the process beside a script was killed";
    assert_eq!(pair.log_count("node1", all), 1);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_script_does_not_outlive_the_process_beside_it() {
    run(
        "death::a_script_does_not_outlive_the_process_beside_it",
        OURS_OURS,
        without_the_process_beside_it,
    );
}

/// A daemon that dies while it gives a group away: one owner at the end, and never two.
pub fn while_giving(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::4\n");
    let pair = Pair::new(config);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    let before = pid(&pair, "node1");
    pair.operator("node1", "hb_standby all");
    wait_until(LONG, "the stop script runs", || {
        count(&pair.lab, "node1", "stop", "a") == 1
    });
    pair.lab.sh("node1", &format!("kill -9 {before}"));
    pair.wait_log("node1", "a script of an earlier daemon still runs");
    wait_until(LONG, "the group is stopped", || !pair.runs("node1", "a"));
    let mut owner = "";
    wait_until(LONG, "one owner, and nobody in transition", || {
        let settled = NODES.iter().all(|node| pair.holds(node) != "transition");
        if let [only] = pair.owners(ADDRESS_1)[..] {
            owner = only;
        }
        settled && pair.owners(ADDRESS_1) == [owner] && pair.runs(owner, "a")
    });
    // The state must last.
    std::thread::sleep(Duration::from_secs(4));
    pair.wait_owner(owner, ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// A taker that dies in the middle of a start keeps what the script starts: the group is neither
/// stopped nor started a second time, and does not go back.
pub fn while_taking(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources =
        format!("node1 {ADDRESS_1}/24/eth0 dummy::a::4\nnode1 {ADDRESS_2}/24/eth0 dummy::b\n");
    let pair = Pair::new(config);
    pair.start_settled();
    wait_guardian(&pair, "node1", &[]);
    pair.operator("node1", "hb_standby all");
    pair.wait_owner("node2", ADDRESS_2, "b");
    pair.wait_holds("node1", "none");
    pair.wait_holds("node2", "all");
    let called = |operation, name| count(&pair.lab, "node1", operation, name);
    let stops = called("stop", "a");
    pair.operator("node2", "hb_standby all");
    wait_until(LONG, "the start script runs", || called("start", "a") == 2);
    let before = pid(&pair, "node1");
    pair.lab.sh("node1", &format!("kill -9 {before}"));
    pair.wait_log("node1", "a script of an earlier daemon still runs");
    for (address, name) in [(ADDRESS_1, "a"), (ADDRESS_2, "b")] {
        pair.wait_owner("node1", address, name);
    }
    // The state must last.
    std::thread::sleep(Duration::from_secs(4));
    for (address, name) in [(ADDRESS_1, "a"), (ADDRESS_2, "b")] {
        pair.wait_owner("node1", address, name);
    }
    assert_eq!((called("start", "a"), called("stop", "a")), (2, stops));
    pair.wait_holds("node1", "all");
    pair.wait_holds("node2", "none");
    assert_never_two_owners(&pair.lab);
}
