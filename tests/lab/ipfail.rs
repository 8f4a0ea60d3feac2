//! `ipfail` of every kind beside every other: the legacy program, ours at its place, and the one
//! inside the daemon.

use std::fs;
use std::time::Duration;

use super::history::{address_changes, assert_never_two_owners};
use super::host::{Kind, legacy_obstacle, skip, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};

/// The ping node: the lab's bridge.
const GATE: &str = "10.77.0.254";
const LEGACY_IPFAIL: &str = "/usr/libexec/heartbeat/ipfail";

/// The `ipfail` on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ipfail {
    /// Debian's program, respawned.
    Legacy,
    /// Our program, respawned.
    Ours,
    /// The one inside our daemon.
    Inside,
}

/// A daemon and its ipfail.
type Side = (Kind, Ipfail);

const LEGACY: Side = (Kind::Legacy, Ipfail::Legacy);
const LEGACY_WITH_OURS: Side = (Kind::Legacy, Ipfail::Ours);
const WITH_LEGACY: Side = (Kind::Systole, Ipfail::Legacy);
const WITH_OURS: Side = (Kind::Systole, Ipfail::Ours);
const INSIDE: Side = (Kind::Systole, Ipfail::Inside);

/// A pair that pings the gate, with these programs.
fn pair(sides: [Side; 2], failback: &'static str) -> Pair {
    pair_with(
        sides,
        failback,
        "keepalive 500ms\nwarntime 1\ndeadtime 3\ndeadping 2\n",
    )
}

/// The same with other times.
fn pair_with(sides: [Side; 2], failback: &'static str, times: &str) -> Pair {
    let mut config = PairConfig::new(sides.map(|side| side.0)).with_failback(failback);
    config.media = format!("bcast eth0\nping {GATE}");
    config.times = format!("{times}initdead 10\ndebug 1\n");
    let pair = Pair::new(config);
    for (node, (_, ipfail)) in NODES.into_iter().zip(sides) {
        let dir = pair.lab.dir(node).join("ha.d");
        let respawn = match ipfail {
            Ipfail::Legacy => Some(LEGACY_IPFAIL),
            Ipfail::Ours => Some(env!("CARGO_BIN_EXE_ipfail")),
            Ipfail::Inside => None,
        };
        match respawn {
            Some(program) => {
                let mut ha_cf = fs::read_to_string(dir.join("ha.cf")).expect("ha.cf");
                ha_cf.push_str(&format!("respawn hacluster {program}\n"));
                fs::write(dir.join("ha.cf"), ha_cf).expect("ha.cf");
            }
            None => fs::write(dir.join("systole.toml"), "ipfail = \"on\"\n").expect("settings"),
        }
    }
    pair
}

/// Makes the gate answer a node, or not answer it.
fn gate_answers(pair: &Pair, node: &str, answer: bool) {
    let rule = if answer { "" } else { "ip saddr 10.77.0.254" };
    pair.lab
        .command(&["block", pair.lab.name(), node, "eth0", rule]);
}

fn wait_online(pair: &Pair) {
    for node in NODES {
        for of in NODES {
            let call = format!("cl_status clientstatus {of} ipfail 2000");
            wait_until(LONG, &format!("{node}: {call}"), || {
                pair.lab.sh(node, &call).trim() == "online"
            });
        }
    }
}

/// What the ipfail of a node logged, level and text.
fn lines(pair: &Pair, node: &str) -> Vec<String> {
    let log = pair.lab.log(node);
    let ours = log.lines().filter(|line| line.contains(" ipfail: ["));
    ours.filter_map(|line| Some(line.split_once("]: ")?.1.to_owned()))
        .collect()
}

/// Waits for a line of the ipfail of a node that comes after its first `seen` ones.
fn wait_line(pair: &Pair, node: &str, seen: usize, text: &str) {
    wait_until(LONG, &format!("ipfail of {node} says {text:?}"), || {
        lines(pair, node)
            .iter()
            .skip(seen)
            .any(|line| line.contains(text))
    });
}

/// Waits until one of them found the numbers equal, after the lines `seen`.
fn wait_balanced(pair: &Pair, seen: [usize; 2]) {
    wait_until(LONG, "balanced", || {
        NODES.into_iter().zip(seen).any(|(node, seen)| {
            let balanced = |line: &String| line.contains("Ping node count is balanced.");
            lines(pair, node).iter().skip(seen).any(balanced)
        })
    });
}

fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// The owner loses the gate: its group moves. The gate answers again: balanced; with
/// `auto_failback` the group returns. Both lose it: nothing moves.
fn owner_loses_the_gate(sides: [Side; 2], failback: &'static str) {
    let pair = pair(sides, failback);
    pair.start_settled();
    wait_online(&pair);
    // The first to sign on compared the second when that joined.
    wait_until(LONG, "the first comparison", || {
        let balanced = |line: &String| line.contains("Ping node count is balanced.");
        NODES
            .into_iter()
            .any(|node| lines(&pair, node).iter().any(balanced))
    });
    gate_answers(&pair, "node1", false);
    pair.wait_owner("node2", ADDRESS_1, "a");
    wait_line(&pair, "node1", 0, "Giving up because we were told");
    wait_line(&pair, "node1", 0, "giveup() called (timeout worked)");
    let said = "Telling other node that we have more visible ping nodes.";
    wait_line(&pair, "node2", 0, said);
    let seen = NODES.map(|node| lines(&pair, node).len());
    gate_answers(&pair, "node1", true);
    wait_line(&pair, "node1", seen[0], "A ping node just came up.");
    wait_line(&pair, "node2", seen[1], "Ping node count is balanced.");
    let home = if failback == "on" {
        wait_line(&pair, "node2", seen[1], "Giving up foreign resources");
        "node1"
    } else {
        let_pass(Duration::from_secs(3));
        "node2"
    };
    pair.wait_owner(home, ADDRESS_1, "a");
    let seen = NODES.map(|node| lines(&pair, node).len());
    // At the same time for both nodes: one that learned it two keepalives late would take the
    // groups.
    let silence = ["sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1"];
    let name = pair.lab.name();
    pair.lab
        .command(&[&["switch", name], &silence[..]].concat());
    for (node, seen) in NODES.into_iter().zip(seen) {
        wait_line(&pair, node, seen, "NS: We are dead. :<");
    }
    wait_balanced(&pair, seen);
    let_pass(Duration::from_secs(3));
    pair.wait_owner(home, ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
    for node in NODES {
        assert_eq!(pair.log_count(node, "panicked"), 0);
        let peer = Pair::peer(node);
        assert_eq!(pair.log_count(node, &format!("node {peer}: is dead")), 0);
    }
}

/// Both lose the gate at once, and receive it again at once, many times: nothing moves. Then one
/// loses it, and the group moves in time.
fn both_lose_the_gate(sides: [Side; 2], times: usize) {
    let pair = pair_with(sides, "off", "keepalive 200ms\nwarntime 1\ndeadtime 2\n");
    pair.start_settled();
    wait_online(&pair);
    let name = pair.lab.name();
    let changes = || address_changes(&pair.lab, "node1", ADDRESS_1);
    let before = changes();
    let answers = |answer: bool| {
        let word = format!("net.ipv4.icmp_echo_ignore_all={}", u8::from(!answer));
        pair.lab.command(&["switch", name, "sysctl", "-qw", &word]);
    };
    for _ in 0..times {
        for (answer, text) in [
            (false, "NS: We are dead. :<"),
            (true, "A ping node just came up."),
        ] {
            let seen = NODES.map(|node| lines(&pair, node).len());
            answers(answer);
            for (node, seen) in NODES.into_iter().zip(seen) {
                wait_line(&pair, node, seen, text);
            }
            wait_balanced(&pair, seen);
        }
        // At another place in the keepalives of both next time.
        let_pass(Duration::from_millis(70));
    }
    let_pass(Duration::from_secs(2));
    pair.wait_owner("node1", ADDRESS_1, "a");
    assert_eq!(changes(), before);
    for node in NODES {
        let gave = |line: &String| line.contains("giveup() called");
        assert!(!lines(&pair, node).iter().any(gave), "{node}");
    }
    gate_answers(&pair, "node1", false);
    pair.wait_owner("node2", ADDRESS_1, "a");
}

/// Our program with a Systole and with a legacy daemon, asked to stop, started twice, without a
/// daemon: the lines and exit codes of the legacy program in the same situation.
fn program_as_legacy(_: [Side; 2]) {
    let pair = pair([LEGACY, WITH_OURS], "off");
    pair.start_settled();
    wait_online(&pair);
    let user = "setpriv --reuid hacluster --regid haclient --clear-groups";
    let run = |node: &str, program: &str| {
        let said = pair
            .lab
            .sh(node, &format!("{user} {program} -x y 2>&1; echo code $?"));
        let bare = |line: &str| match line.split_once(" ipfail: [") {
            Some((_, rest)) => rest.split_once("]: ").map_or("", |(_, text)| text).into(),
            None => line.to_owned(),
        };
        let lines = said.lines().map(bare);
        lines
            .map(|line| {
                let number = line.find("PID=").map(|_| "debug: PID=".to_owned());
                number.unwrap_or(line)
            })
            .collect::<Vec<_>>()
    };
    let ours = env!("CARGO_BIN_EXE_ipfail");
    let duplicate = run("node1", LEGACY_IPFAIL);
    assert_eq!(duplicate.last().map(String::as_str), Some("code 1"));
    for node in NODES {
        for program in [LEGACY_IPFAIL, ours] {
            assert_eq!(run(node, program), duplicate, "{program} twice on {node}");
        }
    }
    // When asked to stop it ends with 0, and is started again.
    for node in NODES {
        pair.lab.sh(node, "kill -TERM $(pidof ipfail)");
        pair.wait_log(node, "exited with return code 0");
        pair.wait_log(node, "Respawning client");
        let call = format!("cl_status clientstatus {node} ipfail 2000");
        wait_until(LONG, &call, || pair.lab.sh(node, &call).trim() == "online");
    }
    for node in NODES {
        pair.stop(node);
    }
    let absent = run("node1", LEGACY_IPFAIL);
    assert_eq!(absent.last().map(String::as_str), Some("code 1"));
    assert_eq!(run("node1", ours), absent);
}

/// The legacy program signs on beside the built-in one and replaces it; when it ends, the built-in
/// one signs on again. The partner is told of each.
fn outside_wins(_: [Side; 2]) {
    let pair = pair([INSIDE, LEGACY], "off");
    pair.start_settled();
    wait_online(&pair);
    let joined = "Got join message from another ipfail client. (node1)";
    let joins = || {
        let debug = pair.lab.sh("node2", "cat /var/log/ha-debug");
        debug.matches(joined).count()
    };
    let before = joins();
    let script = format!(
        "HA_LOGFILE=/var/log/outside setsid setpriv --reuid hacluster --regid haclient \
         --clear-groups {LEGACY_IPFAIL} >/dev/null 2>&1 & touch /var/log/outside; \
         chmod 666 /var/log/outside"
    );
    pair.lab.sh("node1", &script);
    wait_until(LONG, "the partner hears of it", || joins() > before);
    // The program decides: the lines are its own.
    gate_answers(&pair, "node1", false);
    pair.wait_owner("node2", ADDRESS_1, "a");
    let outside = pair.lab.sh("node1", "cat /var/log/outside /var/log/ha-log");
    assert_eq!(
        lines(&pair, "node1")
            .iter()
            .filter(|line| line.contains("giveup()"))
            .count(),
        0
    );
    assert!(!outside.contains("duplicate"), "{outside}");
    gate_answers(&pair, "node1", true);
    let before = joins();
    pair.lab.sh("node1", "kill $(pidof ipfail)");
    wait_until(LONG, "the built-in one is back", || joins() > before);
    wait_online(&pair);
}

fn run(name: &str, sides: [Side; 2], scenario: impl FnOnce([Side; 2])) {
    match legacy_obstacle() {
        Some(reason) => skip(&format!("ipfail::{name}"), &reason),
        None => scenario(sides),
    }
}

macro_rules! tests {
    ($($name:ident: $one:ident $other:ident $scenario:expr;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(stringify!($name), [$one, $other], $scenario)
        }
    )* };
}

tests! {
    program_as_legacy_everywhere: LEGACY WITH_OURS program_as_legacy;
    outside_wins_over_inside: INSIDE LEGACY outside_wins;
    both_lose_the_gate_inside_beside_legacy: INSIDE LEGACY |sides| both_lose_the_gate(sides, 3);
    long_both_lose_the_gate_inside_beside_legacy: INSIDE LEGACY |sides| both_lose_the_gate(sides, 50);
    long_both_lose_the_gate_legacy_beside_ours: LEGACY WITH_OURS |sides| both_lose_the_gate(sides, 50);
    inside_beside_legacy: INSIDE LEGACY |sides| owner_loses_the_gate(sides, "on");
    legacy_beside_ours: LEGACY WITH_OURS |sides| owner_loses_the_gate(sides, "off");
    ours_on_legacy_beside_inside: LEGACY_WITH_OURS INSIDE |sides| owner_loses_the_gate(sides, "on");
}

/// The full product, by `auto_failback`.
macro_rules! product {
    ($($name:ident: $one:ident $other:ident;)*) => { $(
        mod $name {
            use super::*;
            #[test]
            #[ignore = "lab: long tier"]
            fn long_failback_on() {
                run(stringify!($name), [$one, $other], |sides| owner_loses_the_gate(sides, "on"))
            }
            #[test]
            #[ignore = "lab: long tier"]
            fn long_failback_off() {
                run(stringify!($name), [$one, $other], |sides| owner_loses_the_gate(sides, "off"))
            }
        }
    )* };
}

product! {
    legacy_legacy: LEGACY LEGACY;
    legacy_ours_on_legacy: LEGACY LEGACY_WITH_OURS;
    legacy_with_legacy: LEGACY WITH_LEGACY;
    legacy_with_ours: LEGACY WITH_OURS;
    legacy_inside: LEGACY INSIDE;
    ours_on_legacy_legacy: LEGACY_WITH_OURS LEGACY;
    ours_on_legacy_ours_on_legacy: LEGACY_WITH_OURS LEGACY_WITH_OURS;
    ours_on_legacy_with_legacy: LEGACY_WITH_OURS WITH_LEGACY;
    ours_on_legacy_with_ours: LEGACY_WITH_OURS WITH_OURS;
    ours_on_legacy_inside: LEGACY_WITH_OURS INSIDE;
    with_legacy_legacy: WITH_LEGACY LEGACY;
    with_legacy_ours_on_legacy: WITH_LEGACY LEGACY_WITH_OURS;
    with_legacy_with_legacy: WITH_LEGACY WITH_LEGACY;
    with_legacy_with_ours: WITH_LEGACY WITH_OURS;
    with_legacy_inside: WITH_LEGACY INSIDE;
    with_ours_legacy: WITH_OURS LEGACY;
    with_ours_ours_on_legacy: WITH_OURS LEGACY_WITH_OURS;
    with_ours_with_legacy: WITH_OURS WITH_LEGACY;
    with_ours_with_ours: WITH_OURS WITH_OURS;
    with_ours_inside: WITH_OURS INSIDE;
    inside_legacy: INSIDE LEGACY;
    inside_ours_on_legacy: INSIDE LEGACY_WITH_OURS;
    inside_with_legacy: INSIDE WITH_LEGACY;
    inside_with_ours: INSIDE WITH_OURS;
    inside_inside: INSIDE INSIDE;
}
