//! Our daemon is killed in the middle of a standby, and its guardian starts it again: the standby
//! continues. A legacy node waits for the next message of it for an hour, and does nothing else
//! meanwhile.

use std::time::Duration;

use super::death::{pid, wait_guardian};
use super::history::{assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};

/// The groups: owner, address and name of the script.
const GROUPS: [(&str, &str, &str); 2] = [("node1", ADDRESS_1, "a"), ("node2", ADDRESS_2, "b")];

/// How long the state must last.
const STAYS: Duration = Duration::from_secs(4);

/// The role of our node, the one that is killed, in the standby.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Gives,
    Takes,
}

/// A pair in which a Systole node (its name is returned too) is to be killed. Starts and stops of
/// the slow group take this many seconds, and its address comes up last and is removed first.
fn pair(kinds: [Kind; 2], part: Part, start: u32, stop: u32) -> (Pair, &'static str) {
    pair_with(kinds, part, start, stop, 2)
}

/// The same with another dead time, in seconds.
fn pair_with(
    kinds: [Kind; 2],
    part: Part,
    start: u32,
    stop: u32,
    deadtime: u32,
) -> (Pair, &'static str) {
    let ours = usize::from(!kinds[0].is_ours());
    let giver = if part == Part::Gives { ours } else { 1 - ours };
    let mut config = PairConfig::new(kinds);
    config.times = format!("keepalive 200ms\nwarntime 1\ndeadtime {deadtime}\ninitdead 10\n");
    config.resources = GROUPS
        .iter()
        .map(|(owner, address, name)| {
            let slow = *owner == NODES[giver];
            let (start, stop) = if slow { (start, stop) } else { (0, 0) };
            format!("{owner} dummy::{name}::{start}::{stop} {address}/24/eth0\n")
        })
        .collect();
    let pair = Pair::new(config);
    pair.start_settled();
    for (owner, address, name) in GROUPS {
        pair.wait_owner(owner, address, name);
    }
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    wait_guardian(&pair, NODES[ours], &[]);
    (pair, NODES[ours])
}

/// The script of the group that moves.
fn moving(giver: &str) -> &'static str {
    if giver == "node1" { "a" } else { "b" }
}

/// Waits until a script is called, and kills the daemon of `victim`.
fn kill(pair: &Pair, victim: &str, [host, operation, name]: [&str; 3]) {
    wait_until(LONG, "the script runs", || {
        count(&pair.lab, host, operation, name) > 0
    });
    let before = pid(pair, victim);
    pair.lab.sh(victim, &format!("kill -9 {before}"));
    pair.wait_log(victim, "started again by its guardian");
}

/// The standby has ended, `taker` has everything, and neither node waits. Two Systole nodes may end
/// the standby instead: the node that lives sees the other begin a new generation.
fn ended(pair: &Pair, giver: &str, taker: &str) {
    let legacy = NODES.iter().any(|node| !pair.kind(node).is_ours());
    if legacy {
        pair.wait_holds(taker, "all");
        pair.wait_holds(giver, "none");
    }
    let settled = || {
        NODES.iter().all(|node| pair.holds(node) != "transition")
            && GROUPS.iter().all(|(_, address, name)| {
                let owners = pair.owners(address);
                owners.len() == 1
                    && NODES
                        .iter()
                        .all(|node| pair.runs(node, name) == owners.contains(node))
            })
    };
    wait_until(LONG, "one owner each, nobody in transition", settled);
    std::thread::sleep(STAYS);
    assert!(settled());
    if legacy {
        for (_, address, name) in GROUPS {
            pair.wait_owner(taker, address, name);
        }
        assert_eq!(count(&pair.lab, taker, "start", moving(giver)), 1);
        assert_eq!(count(&pair.lab, taker, "stop", moving(giver)), 0);
    }
    assert_never_two_owners(&pair.lab);
}

/// The taker, during its start.
pub fn taker_starts(kinds: [Kind; 2]) {
    let (pair, taker) = pair(kinds, Part::Takes, 4, 0);
    let giver = Pair::peer(taker);
    pair.operator(giver, "hb_standby all");
    kill(&pair, taker, [taker, "start", moving(giver)]);
    ended(&pair, giver, taker);
}

/// The taker, while the giver stops the groups.
pub fn taker_waits(kinds: [Kind; 2]) {
    let (pair, taker) = pair(kinds, Part::Takes, 0, 4);
    let giver = Pair::peer(taker);
    pair.operator(giver, "hb_standby all");
    kill(&pair, taker, [giver, "stop", moving(giver)]);
    ended(&pair, giver, taker);
}

/// The taker, and a message that the giver sends while no daemon receives is received later.
pub fn taker_misses_the_word(kinds: [Kind; 2]) {
    // The other node waits from the last heartbeat, however late the guardian notices the death.
    let (pair, taker) = pair_with(kinds, Part::Takes, 0, 1, 6);
    let giver = Pair::peer(taker);
    pair.operator(giver, "hb_standby all");
    wait_until(LONG, "the stop script runs", || {
        count(&pair.lab, giver, "stop", moving(giver)) > 0
    });
    // The guardian's start of a successor takes until the giver is done.
    let (guardian, daemon) = (
        super::death::guardians(&pair, taker).remove(0),
        pid(&pair, taker),
    );
    pair.lab.sh(
        taker,
        &format!("kill -STOP {guardian}; kill -9 {daemon}; sleep 1.5; kill -CONT {guardian}"),
    );
    pair.wait_log(taker, "started again by its guardian");
    ended(&pair, giver, taker);
}

/// The giver, while it stops the groups.
pub fn giver_stops(kinds: [Kind; 2]) {
    let (pair, giver) = pair(kinds, Part::Gives, 0, 4);
    pair.operator(giver, "hb_standby all");
    kill(&pair, giver, [giver, "stop", moving(giver)]);
    ended(&pair, giver, Pair::peer(giver));
}

/// The giver, while the taker starts the groups: longer than nodes wait for an agreement.
pub fn giver_waits(kinds: [Kind; 2]) {
    let (pair, giver) = pair(kinds, Part::Gives, 15, 0);
    let taker = Pair::peer(giver);
    pair.operator(giver, "hb_standby all");
    kill(&pair, giver, [taker, "start", moving(giver)]);
    ended(&pair, giver, taker);
}
