//! Cut cables, cut directions and frozen nodes: for how long the service address has two owners and
//! for how long none, and that one owner remains without a person. Each test prints its line of the
//! table in `docs/partitions.md`.

use std::process::Command;
use std::time::{Duration, Instant};

use super::history::{address_changes, assert_never_two_owners, count, seconds_of_day};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};

/// Of the pair's configuration.
const DEADTIME: Duration = Duration::from_secs(2);

/// Longest time with two owners after a heal when one of them only has to receive a heartbeat and
/// to remove its address: much longer than that takes, much shorter than legacy's two seconds and
/// restart.
const AT_ONCE_S: f64 = 1.5;

/// The fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trouble {
    /// No message gets through in either direction.
    Cut,
    /// No message of this node gets through.
    Mute(&'static str),
    /// Every process of this node is stopped for this many tenths of the dead time.
    Frozen(&'static str, u32),
}

impl Trouble {
    fn name(self) -> String {
        let role = |node| if node == NODES[0] { "owner" } else { "standby" };
        match self {
            Self::Cut => "all cables cut".into(),
            Self::Mute(node) => format!("{} not heard", role(node)),
            Self::Frozen(node, tenths) => format!(
                "{} frozen for {} deadtimes",
                role(node),
                f64::from(tenths) / 10.0
            ),
        }
    }
}

/// The present time, as `ip monitor` prints it: seconds of the day.
fn stamp() -> f64 {
    let output = Command::new("date")
        .arg("+%Y-%m-%dT%H:%M:%S.%6N")
        .output()
        .expect("date runs");
    seconds_of_day(String::from_utf8_lossy(&output.stdout).trim()).expect("a time")
}

/// Seconds in which two nodes had the address and in which none had it, between two times.
fn owned(pair: &Pair, from: f64, to: f64) -> (f64, f64) {
    let histories: Vec<Vec<(f64, bool)>> = NODES
        .iter()
        .map(|node| address_changes(&pair.lab, node, ADDRESS_1))
        .collect();
    let mut edges: Vec<f64> = histories.iter().flatten().map(|(at, _)| *at).collect();
    edges.extend([from, to]);
    edges.retain(|at| (from..=to).contains(at));
    edges.sort_by(f64::total_cmp);
    let (mut two, mut none) = (0.0, 0.0);
    for span in edges.windows(2) {
        let has = |history: &&Vec<(f64, bool)>| {
            let mut before = history.iter().filter(|(at, _)| *at <= span[0]);
            before.next_back().is_some_and(|(_, added)| *added)
        };
        match histories.iter().filter(has).count() {
            0 => none += span[1] - span[0],
            1 => {}
            _ => two += span[1] - span[0],
        }
    }
    (two, none)
}

/// Sends a signal to every process of the host, until it finds no new ones. Not to its first
/// process and not to those that came from outside: a process that waits for them would be stopped
/// too, and not be continued.
pub fn signal_all(pair: &Pair, node: &str, signal: &str) {
    pair.lab.sh(
        node,
        &format!(
            "for round in 1 2 3; do for p in /proc/[0-9]*; do \
             grep -qsE '^PPid:.0$' $p/status || kill -{signal} ${{p#/proc/}} 2>/dev/null; done; done; true"
        ),
    );
}

/// Drops messages of a node before the other receives them.
pub fn mute(pair: &Pair, node: &str, is_mute: bool) {
    let what = if is_mute { "udp dport 694" } else { "" };
    let (lab, peer) = (pair.lab.name(), Pair::peer(node));
    pair.lab.command(&["block", lab, peer, "eth0", what]);
}

fn one_owner(pair: &Pair) -> bool {
    let owners = pair.owners(ADDRESS_1);
    let scripts: Vec<_> = NODES
        .into_iter()
        .filter(|node| pair.runs(node, "a"))
        .collect();
    owners.len() == 1 && owners == scripts
}

fn settled(pair: &Pair) -> bool {
    one_owner(pair)
        && NODES
            .iter()
            .all(|node| !matches!(&*pair.holds(node), "transition" | "unknown" | ""))
}

/// Waits for one owner and no node in transition. A restart of legacy begins seconds later, so the
/// settled state must last.
fn quiet_within(pair: &Pair, limit: Duration) -> bool {
    let begin = Instant::now();
    let mut quiet = 0;
    while quiet <= 20 && begin.elapsed() < limit {
        quiet = if settled(pair) { quiet + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(200));
    }
    quiet > 20
}

/// A pair goes through one fault.
pub fn run(kinds: [Kind; 2], trouble: Trouble) {
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    let ours = |node: &str| pair.kind(node).is_ours();
    let starts = |node: &str| count(&pair.lab, node, "start", "a");
    let stops = |node: &str| count(&pair.lab, node, "stop", "a");
    let before: Vec<(usize, usize)> = NODES.iter().map(|n| (starts(n), stops(n))).collect();
    let from = stamp();
    match trouble {
        Trouble::Cut => {
            pair.lab.link("node1", "eth0", false);
            for node in NODES {
                pair.wait_log(node, &format!("node {}: is dead", Pair::peer(node)));
            }
            wait_until(LONG, "the cut-off standby serves", || {
                pair.has_address("node2", ADDRESS_1) && pair.runs("node2", "a")
            });
            pair.lab.link("node1", "eth0", true);
        }
        Trouble::Mute(node) => {
            mute(&pair, node, true);
            pair.wait_log(Pair::peer(node), &format!("node {node}: is dead"));
            if ours(node) {
                // The node learns that it was declared dead, and releases if it holds anything.
                pair.wait_log(node, "giving up everything");
                wait_until(LONG, "one owner while it lasts", || one_owner(&pair));
            } else {
                std::thread::sleep(DEADTIME);
            }
            mute(&pair, node, false);
        }
        Trouble::Frozen(node, tenths) => {
            // A node announces a longer dead time in its first five seconds.
            std::thread::sleep(Duration::from_secs(6));
            signal_all(&pair, node, "STOP");
            std::thread::sleep(DEADTIME * tenths / 10);
            signal_all(&pair, node, "CONT");
        }
    }
    let over = stamp();
    let end = quiet_within(&pair, LONG);
    // The result of the legacy pair is recorded, not judged.
    assert!(
        end || kinds == [Kind::Legacy; 2],
        "no end with one owner and nobody in transition"
    );
    let to = stamp();
    let (two_during, none_during) = owned(&pair, from, over);
    let (two_after, none_after) = owned(&pair, over, to);
    let word = |kind| match kind {
        Kind::Systole => "ours",
        Kind::Legacy => "legacy",
        Kind::Older => "ours of before",
    };
    println!(
        "| {} | {} owner, {} standby | {two_during:.2} | {two_after:.2} | {:.2} | {} |",
        trouble.name(),
        word(kinds[0]),
        word(kinds[1]),
        none_during + none_after,
        if end {
            pair.owners(ADDRESS_1).join(" ")
        } else {
            format!(
                "{} still after a minute",
                pair.owners(ADDRESS_1).join(" and ")
            )
        },
    );
    let after: Vec<(usize, usize)> = NODES.iter().map(|n| (starts(n), stops(n))).collect();
    let touched = |node: usize| before[node] != after[node];
    match trouble {
        Trouble::Cut if kinds.iter().all(|kind| kind.is_ours()) => {
            assert!(!touched(0), "the owner did something: {before:?} {after:?}");
            assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
            assert!(two_after < AT_ONCE_S, "two owners for {two_after} s");
        }
        // The Systole node yields, and the legacy node neither restarts nor stops what it runs.
        Trouble::Cut if kinds.iter().any(|kind| kind.is_ours()) => {
            let legacy = usize::from(kinds[1] == Kind::Legacy);
            let node = NODES[legacy];
            assert_eq!(
                before[legacy].1, after[legacy].1,
                "the legacy node stopped it"
            );
            assert_eq!(pair.log_count(node, "returning after partition"), 0);
            assert_eq!(pair.owners(ADDRESS_1), [node]);
            assert!(two_after < AT_ONCE_S, "two owners for {two_after} s");
        }
        Trouble::Frozen(node, tenths) if ours(node) => {
            if DEADTIME * tenths / 10 > DEADTIME {
                let cause = "cause of the delay: the process was stopped or got no processor";
                pair.wait_log(node, cause);
            }
            assert_eq!(pair.log_count(node, ": is dead"), 0, "{node} judged");
            // It may start the released groups again, when the nodes have agreed: a node that was
            // frozen for hardly more than its dead time may not have been declared dead.
            let frozen = usize::from(node == NODES[1]);
            let takeovers = pair.log_count(node, "Resources being acquired from");
            assert!(
                before[frozen].0 == after[frozen].0 || takeovers == 0,
                "{node} was frozen and began a takeover"
            );
            assert!(two_after < AT_ONCE_S, "two owners for {two_after} s");
        }
        Trouble::Cut | Trouble::Mute(_) | Trouble::Frozen(..) => {}
    }
}

/// The legacy standby, which runs nothing, is not received by our node, which runs everything,
/// including the legacy node's own group. The legacy node receives us all the time and takes
/// nothing; afterwards each group has one owner again.
pub fn standby_of_everything_not_received(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds).with_second_group());
    pair.start_settled();
    pair.operator("node2", "hb_standby all");
    pair.wait_owner("node1", ADDRESS_2, "b");
    pair.wait_holds("node1", "all");
    pair.wait_holds("node2", "none");
    let starts = |group: &str| count(&pair.lab, "node2", "start", group);
    let before = ["a", "b"].map(starts);
    mute(&pair, "node2", true);
    pair.wait_log("node1", "node node2: is dead");
    std::thread::sleep(DEADTIME * 2);
    assert_eq!(["a", "b"].map(starts), before, "it took something");
    for address in [ADDRESS_1, ADDRESS_2] {
        assert_eq!(pair.owners(address), ["node1"]);
    }
    mute(&pair, "node2", false);
    pair.wait_log_count("node1", "Status update for node node2: status active", 2);
    wait_until(LONG, "one owner of each, nobody in transition", || {
        settled(&pair) && pair.owners(ADDRESS_2).len() == 1
    });
    // It is asked and answers; the wait for groups without an owner is for other cases.
    assert_eq!(pair.log_count("node1", "nobody runs the"), 0);
    assert_eq!(["a", "b"].map(starts), before, "it took something");
    for (address, group) in [(ADDRESS_1, "a"), (ADDRESS_2, "b")] {
        let owners = pair.owners(address);
        pair.wait_owner(owners[0], address, group);
    }
    assert_never_two_owners(&pair.lab);
}
