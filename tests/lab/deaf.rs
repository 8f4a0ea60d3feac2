//! Beside a node that receives nothing or has a wrong view of itself: one owner all the same, and
//! the log of the other node says what is wrong.

use std::io::Write as _;
use std::time::Duration;

use super::death::{guardians, wait_guardian};
use super::history::{assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::partition::mute;
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

const OLDER_OLDER: [Kind; 2] = [Kind::Older, Kind::Older];

/// Waits: the only way to see that something does *not* happen.
fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// An address that is removed by hand stays away, as with the version before.
fn without_guard(pair: &Pair) {
    for node in NODES {
        if pair.kind(node) == Kind::Systole {
            let settings = pair.lab.dir(node).join("ha.d/systole.toml");
            std::fs::write(settings, "address_guard = \"off\"\n").expect("settings");
        }
    }
}

/// Both groups, each with one owner.
fn owners(pair: &Pair) -> [Vec<&'static str>; 2] {
    [ADDRESS_1, ADDRESS_2].map(|address| pair.owners(address))
}

/// Everything is cut, both take everything; then ours (node1) receives the legacy node, which does
/// not receive it yet; then that receives as well.
fn heals_in_one_direction_first(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start_settled();
    pair.lab.link("node1", "eth0", false);
    for (node, address, group) in [("node1", ADDRESS_2, "b"), ("node2", ADDRESS_1, "a")] {
        wait_until(LONG, "both serve everything", || {
            pair.has_address(node, address) && pair.runs(node, group)
        });
    }
    mute(&pair, "node1", true);
    pair.lab.link("node1", "eth0", true);
    pair.wait_log("node1", "giving up everything");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node1", "may run our resources and does not answer");
    let_pass(Duration::from_secs(12));
    assert_eq!(owners(&pair), [["node2"], ["node2"]], "while node2 is deaf");
    mute(&pair, "node1", false);
    pair.wait_holds("node1", "none");
    pair.wait_holds("node2", "all");
    let_pass(Duration::from_secs(15));
    assert_eq!(owners(&pair), [["node2"], ["node2"]]);
}

/// Ours (node2) does not receive the owner for a dead time and takes its group, and its daemon dies just when it would
/// receive the owner again, which has noticed nothing: the next process does not know whose group it runs.
fn takes_from_a_mute_owner_and_dies(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start_settled();
    mute(&pair, "node1", true);
    wait_until(LONG, "node2 serves everything", || {
        pair.has_address("node2", ADDRESS_1) && pair.runs("node2", "a")
    });
    pair.wait_holds("node2", "all");
    pair.lab.sh("node2", "kill -9 $(cat /run/heartbeat.pid)");
    mute(&pair, "node1", false);
    let at_home = || owners(&pair) == [["node1"], ["node2"]] && !pair.runs("node2", "a");
    wait_until(LONG, "each has its own", at_home);
    let_pass(Duration::from_secs(8));
    assert!(at_home() && pair.runs("node1", "a") && pair.runs("node2", "b"));
}

/// A legacy giver is asked for everything while it gives back what it had taken: it forwards the
/// request and ignores it itself.
fn asked_for_all_while_it_gives_back(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.resources =
        format!("node1 {ADDRESS_1}/24/eth0 dummy::a\nnode2 {ADDRESS_2}/24/eth0 dummy::b::0::3\n");
    let pair = Pair::new(config);
    pair.start_settled();
    pair.stop("node2");
    pair.wait_owner("node1", ADDRESS_2, "b");
    pair.wait_holds("node1", "all");
    pair.start("node2");
    pair.wait_log("node1", "give up foreign HA resources (standby).");
    pair.says("node1", "hb_standby all", "new request from node1 ignored");
    pair.wait_owner("node2", ADDRESS_2, "b");
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    let_pass(Duration::from_secs(5));
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_owner("node2", ADDRESS_2, "b");
    assert_never_two_owners(&pair.lab);
}

/// The legacy node takes everything and is restarted in place while its script starts it: its new
/// process does not report what the script goes on to start.
fn begins_anew_while_it_takes(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources =
        format!("node1 {ADDRESS_1}/24/eth0 dummy::a\nnode2 dummy::b::8 {ADDRESS_2}/24/eth0\n");
    let pair = Pair::new(config);
    pair.start_settled();
    pair.wait_owner("node2", ADDRESS_2, "b");
    pair.operator("node2", "hb_standby all");
    wait_until(LONG, "node1 starts it", || {
        count(&pair.lab, "node1", "start", "b") == 1
    });
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    let daemon = pair.daemon("node1");
    pair.lab.exec("node1", &["setsid", &daemon, "-r"]);
    pair.wait_log("node2", "Heartbeat restart on node node1");
    pair.wait_log("node2", "may not report it");
    pair.wait_owner("node1", ADDRESS_2, "b");
    let_pass(Duration::from_secs(20));
    pair.wait_owner("node1", ADDRESS_2, "b");
    assert_never_two_owners(&pair.lab);
    pair.operator("node2", "hb_takeover local");
    pair.wait_owner("node2", ADDRESS_2, "b");
    pair.wait_owner("node1", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// Our daemon is killed while it gives to the legacy node, and its successor does not know the
/// standby: the legacy node then waits for an hour, and ignores the commands of its operator and of
/// our node.
fn hangs_in_a_standby(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources =
        format!("node1 {ADDRESS_1}/24/eth0 dummy::a\nnode2 {ADDRESS_2}/24/eth0 dummy::b::0::4\n");
    let pair = Pair::new(config);
    pair.start_settled();
    wait_guardian(&pair, "node2", &[]);
    pair.operator("node2", "hb_standby local");
    wait_until(LONG, "node2 stops it", || {
        count(&pair.lab, "node2", "stop", "b") == 1
    });
    let guardian = guardians(&pair, "node2").remove(0);
    let script = format!(
        "kill -STOP {guardian}; kill -9 $(cat /run/heartbeat.pid)
        sed -i '/systole: standby/d; /systole: state/d' /run/heartbeat.held; kill -CONT {guardian}"
    );
    pair.lab.sh("node2", &script);
    pair.wait_log("node1", "Heartbeat restart on node node2");
    pair.wait_owner("node2", ADDRESS_2, "b");
    pair.says("node1", "hb_standby all", "new request from node1 ignored");
    pair.wait_log("node2", "it may be stuck in an earlier one");
    let program = pair.program(pair.kind("node2"), "systole");
    let why = pair.lab.sh("node2", &format!("{} why", program.display()));
    assert!(why.contains("stuck in an earlier standby"), "{why}");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_owner("node2", ADDRESS_2, "b");
    // The command that the line names.
    let daemon = pair.daemon("node1");
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    pair.lab.exec("node1", &["setsid", &daemon, "-r"]);
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    pair.operator("node1", "hb_standby local");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// The legacy node stops for half a minute the groups that it gives us, and we lose our power
/// meanwhile: we are back within its dead time, and it reports that it holds nothing.
fn back_at_once_while_it_gives(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources =
        format!("node1 dummy::a::0::30 {ADDRESS_1}/24/eth0\nnode2 {ADDRESS_2}/24/eth0 dummy::b\n");
    config.times = "keepalive 1\nwarntime 5\ndeadtime 20\ninitdead 30\n".into();
    let pair = Pair::new(config);
    pair.start_settled();
    pair.operator("node1", "hb_standby local");
    wait_until(LONG, "node1 stops it", || {
        count(&pair.lab, "node1", "stop", "a") == 1
    });
    pair.lab.power_off("node2");
    pair.lab.power_on("node2");
    pair.start("node2");
    pair.wait_log("node1", "Heartbeat restart on node node2");
    pair.wait_owner("node2", ADDRESS_2, "b");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
    pair.wait_holds("node2", "all");
    pair.wait_holds("node1", "none");
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 1);
}

/// The legacy node is restarted in place while it is cut off, and goes on holding its own groups,
/// which we have taken meanwhile.
fn begins_anew_in_a_cut(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start_settled();
    pair.lab.link("node1", "eth0", false);
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    let daemon = pair.daemon("node1");
    pair.lab.exec("node1", &["setsid", &daemon, "-r"]);
    pair.wait_log("node1", "Performing heartbeat restart exec");
    wait_until(LONG, "node2 has taken it", || {
        pair.has_address("node2", ADDRESS_1) && pair.runs("node2", "a")
    });
    pair.lab.link("node1", "eth0", true);
    // It may take everything just before it receives us again.
    let settled = || {
        let groups = [(ADDRESS_1, "a"), (ADDRESS_2, "b")];
        let one = groups.into_iter().all(|(address, name)| {
            let owners = pair.owners(address);
            owners.len() == 1
                && NODES
                    .iter()
                    .all(|node| pair.runs(node, name) == owners.contains(node))
        });
        one && NODES.iter().all(|node| pair.holds(node) != "transition")
    };
    wait_until(LONG, "one owner each", settled);
    let_pass(Duration::from_secs(5));
    assert!(settled());
    if owners(&pair) == [["node1"], ["node2"]] {
        // Groups that ran on their owner were not touched.
        assert_eq!(count(&pair.lab, "node2", "stop", "b"), 0);
    }
}

/// A message that begins with `###`, `11:(0)t=stat`: as much as a filter of the host can match.
const STATUS: &str = "udp dport 694 @th,64,128 0x2323230a31313a283029743d73746174";

/// Both hold everything, and node1's report about it comes before its next status: to node2 it
/// still counts as dead. Returns how many generations node2 has begun.
fn reports_before_a_status(kinds: [Kind; 2]) -> usize {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.times = "keepalive 200ms\nwarntime 500ms\ndeadtime 1\ninitdead 10\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::4\n");
    let pair = Pair::new(config);
    without_guard(&pair);
    pair.start_settled();
    pair.wait_owner("node1", ADDRESS_1, "a");
    let acquired = "Local Resource acquisition completed";
    let acquisitions = pair.log_count("node1", acquired);
    let begun = || pair.log_count("node2", "info: Heartbeat generation:");
    let before = begun();
    // Its resource is removed, so that it starts it again when it is alone.
    pair.lab.sh(
        "node1",
        &format!("ip addr del {ADDRESS_1}/24 dev eth0; rm /run/dummy-a"),
    );
    pair.lab.link("node1", "eth0", false);
    pair.wait_log("node1", "node node2: is dead");
    pair.wait_log("node2", "node node1: is dead");
    let lab = &pair.lab;
    lab.command(&["block", lab.name(), "node2", "eth0", STATUS]);
    let_pass(Duration::from_millis(3_400));
    lab.link("node1", "eth0", true);
    pair.wait_log_count("node1", acquired, acquisitions + 1);
    let_pass(Duration::from_millis(300));
    lab.command(&["block", lab.name(), "node2", "eth0", ""]);
    wait_until(LONG, "one owner, nobody in transition", || {
        let holds = NODES.map(|node| pair.holds(node));
        !holds.iter().any(|word| word == "transition") && pair.owners(ADDRESS_1).len() == 1
    });
    begun() - before
}

fn a_report_before_a_status(kinds: [Kind; 2]) {
    let begun = reports_before_a_status(kinds);
    assert!(begun <= 1, "{begun} generations");
}

fn a_report_before_a_status_often(kinds: [Kind; 2]) {
    for time in 0..20 {
        let begun = reports_before_a_status(kinds);
        assert!(begun <= 1, "run {time}: {begun} generations");
    }
}

/// The behaviour of the version before is counted, not judged: it releases and takes at every
/// message.
fn a_report_before_a_status_counted(kinds: [Kind; 2]) {
    let begun: Vec<usize> = (0..5).map(|_| reports_before_a_status(kinds)).collect();
    let _ = writeln!(std::io::stderr(), "{kinds:?}: generations begun {begun:?}");
}

/// Its own address is gone, and it still holds the group: no host answers.
fn claims_and_runs_nothing(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start_settled();
    pair.lab
        .sh("node1", &format!("ip addr del {ADDRESS_1}/24 dev eth0"));
    pair.wait_log("node2", "nobody answers for");
    assert_eq!(pair.owners(ADDRESS_1), [""; 0], "it is not taken unasked");
    let program = pair.program(pair.kind("node2"), "systole");
    let ask = |word: &str| {
        let command = format!("{} {word}", program.display());
        pair.lab.sh("node2", &command)
    };
    let (status, why) = (ask("status"), ask("why"));
    assert!(status.contains("NOBODY ANSWERS"), "{status}");
    assert!(why.contains("hb_takeover foreign"), "{why}");
    pair.operator("node2", "hb_takeover foreign");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert!(!ask("status").contains("NOBODY ANSWERS"));
}

/// The legacy node has the address of our group, which it does not claim: left by an earlier run.
fn has_what_it_does_not_claim(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    let address = format!("{ADDRESS_2}/24 dev eth0");
    pair.start_both();
    pair.lab.sh("node1", &format!("ip addr add {address}"));
    pair.wait_log("node2", "is not started: another host has its address");
    let_pass(Duration::from_secs(5));
    assert_eq!(pair.owners(ADDRESS_2), ["node1"]);
    assert!(!pair.runs("node2", "b"));
    pair.lab.sh("node1", &format!("ip addr del {address}"));
    pair.wait_owner("node2", ADDRESS_2, "b");
    for node in NODES {
        pair.wait_holds(node, "local");
    }
}

/// The owner's address was removed by hand, then its interface goes down for about a dead time: it
/// comes back at the moment when it is declared dead.
fn flapping_interface(kinds: [Kind; 2]) {
    begin_anew_once_at_most(kinds, 2, CALM_MS);
}

fn flapping_interface_often(kinds: [Kind; 2]) {
    begin_anew_once_at_most(kinds, 20, 6 * CALM_MS);
}

fn begin_anew_once_at_most(kinds: [Kind; 2], times: u32, calm: u32) {
    for (time, begun) in flaps(kinds, times, calm).into_iter().enumerate() {
        assert!(begun <= 1, "flap {time}: {begun} generations");
    }
}

/// The behaviour of the version before is counted, not judged: more than one generation of a node
/// shows that the heal came at the moment when nodes that answer every message release and take in
/// turn.
fn flapping_interface_counted(kinds: [Kind; 2]) {
    let flaps_wanted = std::env::var("FLAPS")
        .ok()
        .and_then(|text| text.parse().ok());
    let begun = flaps(kinds, flaps_wanted.unwrap_or(20), 6 * CALM_MS);
    let storms = begun.iter().filter(|begun| **begun > 1).count();
    let _ = writeln!(
        std::io::stderr(),
        "{kinds:?}: generations begun per heal {begun:?}: {storms} storms"
    );
}

/// Shortest time for which the interface is down.
const DOWN_MS: u32 = 700;
/// Shortest time between the removal of the address and that.
const CALM_MS: u32 = 2_000;

/// The most generations that a node has begun, for each flap.
fn flaps(kinds: [Kind; 2], times: u32, calm: u32) -> Vec<usize> {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.times = "keepalive 200ms\nwarntime 500ms\ndeadtime 1\ninitdead 10\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0\n");
    let pair = Pair::new(config);
    without_guard(&pair);
    pair.start_both();
    pair.wait_active();
    let one_owner = || {
        wait_until(LONG, "one owner, nobody in transition", || {
            let holds = NODES.map(|node| pair.holds(node));
            !holds.iter().any(|word| word == "transition") && pair.owners(ADDRESS_1).len() == 1
        });
    };
    one_owner();
    let mut most = Vec::new();
    for time in 0..times {
        let begun = || NODES.map(|node| pair.log_count(node, "info: Heartbeat generation:"));
        let before = begun();
        let owner = pair.owners(ADDRESS_1)[0];
        // The moments of the two heartbeats shift against each other, and the length against the
        // dead time, which is counted from the last heartbeat.
        let (calm, down) = (calm + 37 * time, DOWN_MS + 47 * time % 700);
        let script = format!(
            "ip addr del {ADDRESS_1}/24 dev eth0; sleep {}; ip link set eth0 down; sleep {}; ip link set eth0 up",
            f64::from(calm) / 1e3,
            f64::from(down) / 1e3
        );
        pair.lab.sh(owner, &script);
        let_pass(Duration::from_secs(8));
        let after = begun();
        let new = after
            .iter()
            .zip(before)
            .map(|(after, before)| after - before);
        most.extend(new.max());
        // An address that was removed by hand is not restored; a takeover brings it back.
        pair.operator(Pair::peer(owner), "hb_takeover all");
        one_owner();
    }
    most
}

macro_rules! tests {
    ($($name:ident: $kinds:ident $what:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("deaf::", stringify!($name)), $kinds, $what)
        }
    )* };
}

tests! {
    takes_from_a_mute_owner_and_dies_legacy_owner: LEGACY_OWNER takes_from_a_mute_owner_and_dies;
    heals_in_one_direction_first_systole_owner: SYSTOLE_OWNER heals_in_one_direction_first;
    asked_for_all_while_it_gives_back_legacy_owner: LEGACY_OWNER asked_for_all_while_it_gives_back;
    begins_anew_while_it_takes_legacy_owner: LEGACY_OWNER begins_anew_while_it_takes;
    begins_anew_in_a_cut_legacy_owner: LEGACY_OWNER begins_anew_in_a_cut;
    hangs_in_a_standby_legacy_owner: LEGACY_OWNER hangs_in_a_standby;
    back_at_once_while_it_gives_legacy_owner: LEGACY_OWNER back_at_once_while_it_gives;
    has_what_it_does_not_claim_legacy_owner: LEGACY_OWNER has_what_it_does_not_claim;
    claims_and_runs_nothing_legacy_owner: LEGACY_OWNER claims_and_runs_nothing;
    flapping_interface_ours_ours: OURS_OURS flapping_interface;
    long_flapping_interface_often_ours_ours: OURS_OURS flapping_interface_often;
    a_report_before_a_status_ours_ours: OURS_OURS a_report_before_a_status;
    long_a_report_before_a_status_often_ours_ours: OURS_OURS a_report_before_a_status_often;
    long_a_report_before_a_status_of_the_version_before: OLDER_OLDER a_report_before_a_status_counted;
    long_flapping_interface_of_the_version_before: OLDER_OLDER flapping_interface_counted;
}

/// The legacy node started a moment before ours, at a keepalive of two seconds: its `starting`
/// comes before ours can receive, and from our question it knows that both start. Then it waits for
/// our report.
fn start_together(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds).with_second_group();
    config.times = "keepalive 2\nwarntime 5\ndeadtime 8\ninitdead 16\n".into();
    let pair = Pair::new(config);
    let legacy = if kinds[0] == Kind::Legacy { 0 } else { 1 };
    pair.start(NODES[legacy]);
    let_pass(Duration::from_millis(300));
    pair.start(NODES[1 - legacy]);
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    assert_eq!(owners(&pair), [["node1"], ["node2"]]);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_legacy_node_that_starts_a_moment_before() {
    for kinds in [LEGACY_OWNER, SYSTOLE_OWNER] {
        run(
            "deaf::a_legacy_node_that_starts_a_moment_before",
            kinds,
            start_together,
        );
    }
}
