//! Acts of administrators on a pair, and the required results. Order and state are asserted, never
//! durations.

use std::fs;
use std::time::Duration;

use super::history::{address_changes, assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};

/// Both hold their own group, then keep it for a few keepalives.
fn settled(config: PairConfig) -> Pair {
    let pair = Pair::new(config);
    pair.start_settled();
    pair
}

/// Waits for some keepalives: the only way to see that something does *not* happen.
fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

fn no_conflict_logged(pair: &Pair) {
    for node in NODES {
        assert_eq!(
            pair.log_count(node, "Both machines own"),
            0,
            "{}",
            pair.lab.log(node)
        );
    }
}

/// The other node serves the dead owner's group, after the owner was declared dead and not before.
pub fn power_loss_of_the_owner(kinds: [Kind; 2]) {
    let pair = settled(PairConfig::new(kinds));
    assert!(address_changes(&pair.lab, "node2", ADDRESS_1).is_empty());
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    let log = pair.lab.log("node2");
    let dead = log.find("node node1: is dead").expect("death is logged");
    let taken = log
        .find("Resources being acquired from node1")
        .expect("takeover is logged");
    assert!(
        dead < taken,
        "taken over before the death was declared:\n{log}"
    );
    pair.wait_holds("node2", "all");
    assert_never_two_owners(&pair.lab);
}

/// A stop hands over at once: the other serves while the stopping node still sends heartbeats.
pub fn graceful_stop(kinds: [Kind; 2]) {
    let pair = settled(PairConfig::new(kinds));
    pair.begin_stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(
        pair.log_count("node2", "node node1: is dead"),
        0,
        "waited for the dead time"
    );
    pair.wait_log("node2", "Received shutdown notice from 'node1'.");
    pair.wait_stopped("node1");
    pair.wait_holds("node2", "all");
    assert_never_two_owners(&pair.lab);
    no_conflict_logged(&pair);
}

/// A touched `ha.cf` and `heartbeat -r`: the daemon replaces itself, its group runs on, the other
/// node sees a restart and moves nothing.
pub fn reload_in_place(kinds: [Kind; 2]) {
    let pair = settled(PairConfig::new(kinds));
    let pid = pair.lab.sh("node1", "cat /run/heartbeat.pid");
    let before = address_changes(&pair.lab, "node1", ADDRESS_1);
    // Legacy compares whole seconds, and the file may have been written within this one.
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    let daemon = pair.daemon("node1");
    let output = pair.lab.exec("node1", &["setsid", &daemon, "-r"]);
    assert!(output.status.success(), "reload: {output:?}");
    pair.wait_log("node1", "Performing heartbeat restart exec.");
    pair.wait_log("node2", "Heartbeat restart on node node1");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    assert_eq!(address_changes(&pair.lab, "node1", ADDRESS_1), before);
    assert!(address_changes(&pair.lab, "node2", ADDRESS_1).is_empty());
    assert_eq!(pair.log_count("node2", "node node1: is dead"), 0);
    assert_eq!(pair.lab.sh("node1", "cat /run/heartbeat.pid"), pid);
    no_conflict_logged(&pair);
    // The new image works, and still knows what it holds.
    pair.stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// Whatever is written into the files of a running Systole node, it goes on unchanged.
pub fn bad_files_stop_nothing(kinds: [Kind; 2]) {
    let Some(node) = NODES
        .into_iter()
        .zip(kinds)
        .find(|(_, k)| *k == Kind::Systole)
    else {
        return;
    };
    let node = node.0;
    let pair = settled(PairConfig::new(kinds));
    let hangup = "kill -HUP $(cat /run/heartbeat.pid)";
    let files = "mkdir /run/kept; cp -p /etc/ha.d/authkeys /etc/ha.d/ha.cf /run/kept";
    pair.lab.sh(node, files);
    pair.lab.sh(
        node,
        &format!("echo nonsense >/etc/ha.d/authkeys; {hangup}"),
    );
    pair.wait_log(node, "the old keys stay in use");
    pair.lab
        .sh(node, &format!("echo nonsense >>/etc/ha.d/ha.cf; {hangup}"));
    pair.wait_log(node, "NOT restarted");
    let daemon = pair.daemon(node);
    assert_eq!(pair.lab.exec(node, &[&daemon, "-r"]).status.code(), Some(1));
    assert_eq!(pair.lab.exec(node, &[&daemon, "-t"]).status.code(), Some(6));
    assert_eq!(pair.lab.exec(node, &[&daemon, "-s"]).status.code(), Some(0));
    pair.lab.sh(node, "cp -p /run/kept/* /etc/ha.d");
    let_pass(Duration::from_secs(3));
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    for side in NODES {
        assert_eq!(pair.log_count(side, "is dead"), 0);
    }
}

fn stop_and_come_back(config: PairConfig) -> Pair {
    let pair = settled(config);
    pair.stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    pair.start("node1");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    pair
}

/// With `auto_failback on` the group returns to its owner.
pub fn restart_with_failback_on(kinds: [Kind; 2]) {
    let pair = stop_and_come_back(PairConfig::new(kinds).with_failback("on"));
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    assert_never_two_owners(&pair.lab);
    no_conflict_logged(&pair);
}

/// With `auto_failback off` it stays where it is.
pub fn restart_with_failback_off(kinds: [Kind; 2]) {
    let pair = stop_and_come_back(PairConfig::new(kinds));
    pair.wait_holds("node1", "none");
    pair.wait_holds("node2", "all");
    let_pass(Duration::from_secs(3));
    assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
    assert_eq!(
        count(&pair.lab, "node1", "start", "a"),
        1,
        "started again on its owner"
    );
    assert_never_two_owners(&pair.lab);
    no_conflict_logged(&pair);
}

/// With the old model the owner asks for its groups at every start.
pub fn legacy_model_returns(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_failback("legacy"));
    pair.start_both();
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.start("node1");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// Waits until the two groups are where they should be and nobody is in transition.
fn wait_groups(pair: &Pair, first: &'static str, second: &'static str) {
    pair.wait_owner(first, ADDRESS_1, "a");
    pair.wait_owner(second, ADDRESS_2, "b");
    for node in NODES {
        let own = if node == "node1" { first } else { second };
        let other = if node == "node1" { second } else { first };
        let set = match (own == node, other == node) {
            (true, true) => "all",
            (true, false) => "local",
            (false, true) => "foreign",
            (false, false) => "none",
        };
        pair.wait_holds(node, set);
    }
}

fn settled_with_two_groups(kinds: [Kind; 2]) -> Pair {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start_both();
    pair.wait_active();
    wait_groups(&pair, "node1", "node2");
    pair
}

/// Orders to one node each, in turn, and who serves the first and the second group after each.
fn obeys(kinds: [Kind; 2], orders: &[(&str, &str, [&'static str; 2])]) {
    let pair = settled_with_two_groups(kinds);
    for (node, order, [first, second]) in orders {
        pair.operator(node, order);
        wait_groups(&pair, first, second);
    }
    assert_never_two_owners(&pair.lab);
    no_conflict_logged(&pair);
}

/// Every word of `hb_standby`, by the unmodified legacy script, on either node.
pub fn standby(kinds: [Kind; 2]) {
    let orders = [
        ("node1", "hb_standby local", ["node2", "node2"]),
        ("node2", "hb_standby foreign", ["node1", "node2"]),
        ("node2", "hb_standby local", ["node1", "node1"]),
        ("node1", "hb_standby all", ["node2", "node2"]),
        ("node2", "hb_standby all", ["node1", "node1"]),
        ("node1", "hb_standby foreign", ["node1", "node2"]),
    ];
    obeys(kinds, &orders);
}

/// `hb_takeover`, by the unmodified legacy script, on either node.
pub fn takeover_command(kinds: [Kind; 2]) {
    let orders = [
        ("node2", "hb_takeover all", ["node2", "node2"]),
        ("node1", "hb_takeover local", ["node1", "node2"]),
        ("node1", "hb_takeover foreign", ["node1", "node1"]),
        ("node2", "hb_takeover local", ["node1", "node2"]),
    ];
    obeys(kinds, &orders);
}

/// Both stop at once: in order, and no node keeps or takes anything.
pub fn both_stop_at_once(kinds: [Kind; 2]) {
    let pair = settled_with_two_groups(kinds);
    for node in NODES {
        pair.begin_stop(node);
    }
    for node in NODES {
        pair.wait_stopped(node);
    }
    for (address, dummy) in [(ADDRESS_1, "a"), (ADDRESS_2, "b")] {
        assert!(pair.owners(address).is_empty(), "{address} left behind");
        assert!(
            NODES.iter().all(|node| !pair.runs(node, dummy)),
            "dummy::{dummy} left behind"
        );
    }
    // The signals cannot arrive at the same instant: groups taken before the own signal are
    // allowed.
    for node in NODES {
        let log = pair.lab.log(node);
        let told = ["Shutdown delayed", "Heartbeat shutdown in progress"];
        let told = told.iter().filter_map(|line| log.find(line)).min();
        let after = log.split_at(told.expect("the stop is logged")).1;
        assert!(
            !after.contains("Resources being acquired from"),
            "taken by a stopping node:\n{log}"
        );
    }
    assert_never_two_owners(&pair.lab);
}

/// Both start at once: each ends with its own group, and no script is called twice.
pub fn both_start_at_once(kinds: [Kind; 2]) {
    let pair = settled_with_two_groups(kinds);
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node2", "start", "b"), 1);
    assert_eq!(count(&pair.lab, "node1", "start", "b"), 0);
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
    assert_never_two_owners(&pair.lab);
    no_conflict_logged(&pair);
}

/// A lone start waits for initdead and then serves everything; the late peer joins, and nothing
/// moves.
pub fn lone_start(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start("node1");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_owner("node1", ADDRESS_2, "b");
    let log = pair.lab.log("node1");
    let dead = log
        .find("node node2: is dead")
        .expect("the silent node is declared dead");
    let active = log
        .find("Local status now set to: 'active'")
        .expect("active");
    assert!(dead < active, "active before initdead was over:\n{log}");
    pair.wait_holds("node1", "all");
    pair.start("node2");
    pair.wait_log("node2", "Local status now set to: 'active'");
    wait_groups(&pair, "node1", "node1");
    pair.operator("node1", "hb_standby foreign");
    wait_groups(&pair, "node1", "node2");
    assert_never_two_owners(&pair.lab);
    no_conflict_logged(&pair);
}

/// The second group's owner dies: the first serves both, and gives it back when the owner returns.
pub fn second_group_of_the_other_node(kinds: [Kind; 2]) {
    let pair = Pair::new(
        PairConfig::new(kinds)
            .with_second_group()
            .with_failback("on"),
    );
    pair.start_both();
    pair.wait_active();
    wait_groups(&pair, "node1", "node2");
    pair.lab.power_off("node2");
    pair.wait_owner("node1", ADDRESS_2, "b");
    pair.wait_holds("node1", "all");
    assert_eq!(
        count(&pair.lab, "node1", "start", "a"),
        1,
        "own group disturbed"
    );
    pair.lab.power_on("node2");
    pair.start("node2");
    wait_groups(&pair, "node1", "node2");
    assert_eq!(
        count(&pair.lab, "node1", "start", "a"),
        1,
        "own group disturbed"
    );
    assert_never_two_owners(&pair.lab);
    no_conflict_logged(&pair);
}

/// One of two cables: link lines, and nothing else.
pub fn one_of_two_cables(kinds: [Kind; 2]) {
    let pair = settled(PairConfig::new(kinds).with_two_cables());
    pair.wait_log("node1", "Link node2:eth1 up.");
    pair.wait_log("node2", "Link node1:eth1 up.");
    pair.lab.link("node1", "eth1", false);
    pair.wait_log("node1", "Link node2:eth1 dead.");
    pair.wait_log("node2", "Link node1:eth1 dead.");
    let_pass(Duration::from_secs(4));
    pair.lab.link("node1", "eth1", true);
    pair.wait_log_count("node1", "Link node2:eth1 up.", 2);
    pair.wait_log_count("node2", "Link node1:eth1 up.", 2);
    for node in NODES {
        assert_eq!(
            pair.log_count(node, "is dead"),
            0,
            "a death with one cable left"
        );
    }
    assert_eq!(
        count(&pair.lab, "node2", "start", "a"),
        0,
        "a takeover with one cable left"
    );
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_never_two_owners(&pair.lab);
}

/// Every cable unplugged and connected again: one owner at the end, without a person.
pub fn all_cables(kinds: [Kind; 2]) {
    let pair = settled(PairConfig::new(kinds).with_two_cables());
    for device in ["eth0", "eth1"] {
        pair.lab.link("node1", device, false);
    }
    for node in NODES {
        pair.wait_log(node, &format!("node {}: is dead", Pair::peer(node)));
    }
    wait_until(LONG, "the cut-off standby serves", || {
        pair.has_address("node2", ADDRESS_1)
    });
    for device in ["eth0", "eth1"] {
        pair.lab.link("node1", device, true);
    }
    wait_until(LONG, "one owner, nobody in transition", || {
        let owners = pair.owners(ADDRESS_1);
        let scripts = NODES
            .into_iter()
            .filter(|n| pair.runs(n, "a"))
            .collect::<Vec<_>>();
        owners.len() == 1
            && owners == scripts
            && NODES
                .iter()
                .all(|n| !matches!(pair.holds(n).as_str(), "transition" | "unknown" | ""))
            && NODES
                .iter()
                .filter(|n| matches!(pair.holds(n).as_str(), "local" | "all"))
                .count()
                >= 1
    });
    let_pass(Duration::from_secs(4));
    assert_eq!(pair.owners(ADDRESS_1).len(), 1, "it did not last");
}

/// A notification script that records which node received which mark.
const MARK_HOOK: &str = "#!/bin/sh\necho \"$(uname -n) $HA_src $HA_mark\" >>@SHARED@/marks\n";

/// 30 % loss on both sides for 20 s at deadtime = 12 x keepalive: no node is declared dead, every
/// message arrives, each once.
pub fn thirty_percent_loss(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2400ms\ninitdead 10\n".into();
    let pair = Pair::new(config);
    for node in NODES {
        let place = pair.lab.dir(node).join("ha.d/rc.d");
        fs::create_dir_all(&place).expect("rc.d");
        pair.install_script(node, "../rc.d/labmark", MARK_HOOK);
    }
    pair.start_settled();
    for node in NODES {
        pair.lab.loss(node, "eth0", 30);
    }
    let mut expected = Vec::new();
    for mark in 0..40 {
        for node in NODES {
            let text = format!(">>>\\nt=labmark\\nmark={mark}\\n<<<\\n");
            pair.lab
                .sh(node, &format!("printf '{text}' >/var/lib/heartbeat/fifo"));
            for hearer in NODES {
                expected.push(format!("{hearer} {node} {mark}"));
            }
        }
        let_pass(Duration::from_millis(500));
    }
    for node in NODES {
        pair.lab.loss(node, "eth0", 0);
    }
    expected.sort();
    let marks = || {
        let text = fs::read_to_string(pair.lab.shared().join("marks")).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    wait_until(LONG, "every mark was heard", || {
        marks().len() >= expected.len()
    });
    let_pass(Duration::from_secs(1));
    assert_eq!(marks(), expected, "a message is missing or came twice");
    for node in NODES {
        assert_eq!(pair.log_count(node, "is dead"), 0, "{}", pair.lab.log(node));
        let lost = pair.log_count(node, "lost packet(s) for");
        assert!(lost > 0, "the loss was not felt on {node}");
        assert_eq!(pair.log_count(node, "Irretrievably lost"), 0);
    }
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_never_two_owners(&pair.lab);
}

/// Unmodified legacy `/etc/ha.d`, a start script of three seconds, the owner dies: each script is
/// called once, by one of the two.
pub fn slow_start_is_called_once(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::3 dummy::c\n");
    let pair = Pair::new(config);
    for script in ["status", "ip-request", "ip-request-resp", "hb_takeover"] {
        let place = pair.lab.dir("node2").join("ha.d/rc.d").join(script);
        let original = std::path::Path::new("/etc/ha.d/rc.d").join(script);
        assert_eq!(
            fs::read(place).ok(),
            fs::read(original).ok(),
            "rc.d/{script} is unmodified"
        );
    }
    pair.start_settled();
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    wait_until(LONG, "the last resource of the group runs", || {
        pair.runs("node2", "c")
    });
    pair.wait_holds("node2", "all");
    let_pass(Duration::from_secs(4));
    for dummy in ["a", "c"] {
        assert_eq!(
            count(&pair.lab, "node2", "start", dummy),
            1,
            "start of {dummy}"
        );
        assert_eq!(
            count(&pair.lab, "node2", "stop", dummy),
            0,
            "stop of {dummy}"
        );
    }
    assert_never_two_owners(&pair.lab);
}

/// A start that floods its output, ignores TERM and never ends.
const HANG: &str = r#"#!/bin/sh
case $2$1 in
  *status) echo stopped ;;
  *start) trap '' TERM; echo begin >>@SHARED@/hangs
    i=0; while :; do echo "flood $i ........................................................................"; i=$((i + 1)); done ;;
  *) exit 0 ;;
esac
"#;

/// A script hangs, floods its output and ignores TERM: no heartbeat is late, the peer notices
/// nothing, and after the limit the script is killed and the group is released.
pub fn heartbeats_while_scripts_misbehave(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    // A legacy node reads its input only every keepalive, so it sometimes sees two intervals.
    let warntime = if kinds[1] == Kind::Legacy {
        "900ms"
    } else {
        "400ms"
    };
    config.times = format!("keepalive 200ms\nwarntime {warntime}\ndeadtime 2\ninitdead 10\n");
    config.resources = "node1 dummy::a hang\n".into();
    let pair = Pair::new(config);
    pair.install_script("node1", "hang", HANG);
    fs::write(
        pair.lab.dir("node1").join("ha.d/systole.toml"),
        "script_time_limit_s = 6\nscript_kill_after_s = 2\n",
    )
    .expect("settings");
    pair.start_both();
    pair.wait_active();
    let hangs = pair.lab.shared().join("hangs");
    wait_until(LONG, "the script hangs", || hangs.exists());
    wait_until(LONG, "the script was killed and its group stopped", || {
        count(&pair.lab, "node1", "stop", "a") > 0
    });
    assert_eq!(
        pair.log_count("node2", "Late heartbeat"),
        0,
        "{}",
        pair.lab.log("node2")
    );
    assert_eq!(pair.log_count("node2", "is dead"), 0);
    assert!(
        !pair.lab.sh("node1", "ps ax").contains("resource.d/hang"),
        "left behind"
    );
    let log = fs::metadata(pair.lab.dir("node1").join("log/ha-log"))
        .expect("log")
        .len();
    assert!(log < 4_000_000, "the flood went to the log: {log} bytes");
}

/// 100 000 hostile datagrams: limited log lines, nothing else.
pub fn hostile_datagrams(kinds: [Kind; 2]) {
    let pair = settled(PairConfig::new(kinds));
    let node = if kinds[0] == Kind::Systole {
        "node1"
    } else {
        "node2"
    };
    let ip = if node == "node1" {
        "10.77.0.1"
    } else {
        "10.77.0.2"
    };
    let lines_before = pair.lab.log(node).lines().count();
    let hostile = std::env::current_exe().expect("own path");
    let hostile = hostile
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target directory");
    let hostile = hostile.join("examples/hostile").display().to_string();
    for (seed, key) in [("1", "wrong"), ("2", "labkey")] {
        let output = pair
            .lab
            .exec("client", &[&hostile, ip, "694", "50000", seed, key]);
        assert!(output.status.success(), "{output:?}");
        let sent: u64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .expect("a number");
        assert!(sent > 45_000, "only {sent} were sent");
    }
    // The hand-made vectors, well signed: of unknown nodes here, whatever they request.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/wire");
    let output = pair
        .lab
        .exec("client", &[&hostile, ip, "694", folder, "made_"]);
    let sent = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let files = fs::read_dir(folder).expect("vectors");
    let made = files
        .filter_map(Result::ok)
        .filter(|file| file.file_name().to_string_lossy().starts_with("made_"))
        .count();
    assert_eq!(sent, made.to_string(), "{output:?}");
    let_pass(Duration::from_secs(3));
    for node in NODES {
        assert_eq!(pair.log_count(node, "is dead"), 0, "{}", pair.lab.log(node));
        assert_eq!(pair.log_count(node, "panicked"), 0);
    }
    assert_eq!(pair.log_count(Pair::peer(node), "Late heartbeat"), 0);
    for stranger in ["alpha", "beta", "gamma", "delta"] {
        let view = pair
            .lab
            .sh(node, &format!("{} view", env!("CARGO_BIN_EXE_systole")));
        let view: serde_json::Value = serde_json::from_str(&view).expect("a view");
        let nodes = view["node"]["nodes"].to_string();
        assert!(
            nodes.contains("node1") && !nodes.contains(stranger),
            "{nodes}"
        );
    }
    let lines = pair.lab.log(node).lines().count() - lines_before;
    assert!(
        (1..500).contains(&lines),
        "{lines} log lines:\n{}",
        pair.lab.log(node)
    );
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    pair.operator("node1", "hb_standby all");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// A host without the legacy package and without resource agents serves and moves an address.
pub fn bare_hosts(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds).with_second_group();
    config.resources = format!("node1 {ADDRESS_1}\nnode2 IPaddr2::{ADDRESS_2}/24/eth0\n");
    let pair = Pair::new_bare(config);
    pair.start_both();
    pair.wait_active();
    let at = |address: &str, node: &'static str| {
        wait_until(LONG, &format!("{node} has {address}"), || {
            pair.owners(address) == [node]
        });
    };
    at(ADDRESS_1, "node1");
    at(ADDRESS_2, "node2");
    let reached = pair.lab.exec("client", &["ping", "-c1", "-W2", ADDRESS_1]);
    assert!(
        reached.status.success(),
        "the client cannot reach the address"
    );
    pair.lab.power_off("node1");
    at(ADDRESS_1, "node2");
    let reached = pair.lab.exec("client", &["ping", "-c1", "-W2", ADDRESS_1]);
    assert!(
        reached.status.success(),
        "the client was not told that the address moved"
    );
}
