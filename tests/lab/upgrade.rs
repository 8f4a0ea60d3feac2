//! Rolling upgrade: a legacy pair becomes a Systole pair node by node, and a legacy pair again,
//! while a third host asks for the address.

use std::fs;
use std::time::Duration;

use super::history::assert_never_two_owners;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::poll::{Poll, now};
use super::{LEGACY_LEGACY, run};

/// A pair during its upgrade, and the values that must not change or decrease.
struct Roll {
    pair: Pair,
    poll: Poll,
    /// The longest silence of a planned hand-over on request so far, in seconds.
    measured: f64,
    generations: [u64; 2],
    uuids: [Vec<u8>; 2],
}

/// The state of the node on its disk: generation and uuid.
fn kept(pair: &Pair, node: &str) -> (u64, Vec<u8>) {
    let lib = pair.lab.dir(node).join("lib");
    let text = fs::read_to_string(lib.join("hb_generation")).expect("hb_generation");
    assert_eq!(text.len(), 16, "as legacy writes it: {text:?}");
    let generation = text.trim().parse().expect("a decimal number");
    (generation, fs::read(lib.join("hb_uuid")).expect("hb_uuid"))
}

fn place(node: &str) -> usize {
    usize::from(node == NODES[1])
}

impl Roll {
    fn begin(mut config: PairConfig) -> Self {
        // Longer than any hand-over, so that a wait for a death would show.
        config.times = "keepalive 200ms\nwarntime 2\ndeadtime 5\ninitdead 15\n".into();
        let pair = Pair::new(config);
        for node in NODES {
            if pair.kind(node) == Kind::Legacy {
                pair.install_helpers(node);
            }
        }
        pair.start_settled();
        let poll = Poll::begin(&pair, ADDRESS_1);
        let kept = NODES.map(|node| kept(&pair, node));
        Self {
            poll,
            measured: 0.0,
            generations: [kept[0].0, kept[1].0],
            uuids: kept.map(|(_, uuid)| uuid),
            pair,
        }
    }

    /// `hb_standby all` on the owner, and how long no host answered.
    fn hand_over(&mut self, from: &'static str) {
        let to = Pair::peer(from);
        let begun = now();
        self.pair.operator(from, "hb_standby all");
        self.pair.wait_owner(to, ADDRESS_1, "a");
        self.pair.wait_holds(to, "all");
        self.pair.wait_holds(from, "none");
        let silence = self.poll.longest_silence(begun, now());
        let kinds = self.pair.config.kinds;
        self.report(&format!(
            "hb_standby on {from} of {kinds:?}: {silence:.3} s"
        ));
        self.measured = self.measured.max(silence);
    }

    /// Stops a node, exchanges its program and starts it again.
    fn exchange(&mut self, node: &'static str, kind: Kind) {
        let begun = now();
        let peer = Pair::peer(node);
        let active = "Local status now set to: 'active'";
        let seen = format!("Status update for node {node}: status active");
        let before = [
            self.pair.log_count(node, active),
            self.pair.log_count(peer, &seen),
        ];
        let complete = format!("{node} Heartbeat shutdown complete.");
        let stops = self.pair.log_count(node, &complete);
        self.pair.begin_stop(node);
        self.pair.wait_log_count(node, &complete, stops + 1);
        wait_until(LONG, "the old program is gone", || {
            self.pair.lab.sh(node, "pgrep heartbeat").is_empty()
        });
        self.pair.wait_owner(peer, ADDRESS_1, "a");
        self.pair.wait_holds(peer, "all");
        self.pair.config.kinds[place(node)] = kind;
        self.pair.start(node);
        self.pair.wait_log_count(node, active, before[0] + 1);
        self.pair.wait_log_count(peer, &seen, before[1] + 1);
        self.pair.wait_holds(node, "none");
        self.pair.wait_holds(peer, "all");
        assert_eq!(self.pair.owners(ADDRESS_1), [peer]);
        let silence = self.poll.longest_silence(begun, now());
        self.report(&format!("{node} becomes {kind:?}: {silence:.3} s"));
        // One planned hand-over, and the delay that a busy machine adds.
        let allowed = self.measured * 3.0 + 1.0;
        assert!(
            silence <= allowed,
            "{node} becomes {kind:?}: {silence} s without an answer, {allowed} s allowed"
        );
        let (generation, uuid) = kept(&self.pair, node);
        assert!(
            generation > self.generations[place(node)],
            "{node}: {generation} after {}",
            self.generations[place(node)]
        );
        self.generations[place(node)] = generation;
        assert_eq!(uuid, self.uuids[place(node)], "the uuid of {node}");
        for side in NODES {
            for complaint in ["replay attack", "Both machines own"] {
                assert_eq!(self.pair.log_count(side, complaint), 0, "{complaint}");
            }
        }
    }

    fn report(&self, text: &str) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "upgrade: {text}");
    }
}

fn there_and_back(config: PairConfig) {
    let mut roll = Roll::begin(config);
    roll.hand_over("node1");
    roll.hand_over("node2");
    // Upgrade: the node that holds nothing first, then the other.
    roll.exchange("node2", Kind::Systole);
    roll.exchange("node1", Kind::Systole);
    roll.hand_over("node2");
    roll.hand_over("node1");
    // And back.
    roll.exchange("node1", Kind::Legacy);
    roll.exchange("node2", Kind::Legacy);
    roll.hand_over("node1");
    // The legacy pair works as before.
    roll.pair.lab.power_off("node2");
    roll.pair.wait_owner("node1", ADDRESS_1, "a");
    assert_never_two_owners(&roll.pair.lab);
    std::thread::sleep(Duration::from_millis(200));
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn legacy_to_ours_and_back() {
    run("upgrade::legacy_to_ours_and_back", LEGACY_LEGACY, |kinds| {
        there_and_back(PairConfig::new(kinds));
    });
}

#[test]
#[ignore = "lab: long tier"]
fn long_by_unicast_and_md5() {
    run("upgrade::long_by_unicast_and_md5", LEGACY_LEGACY, |kinds| {
        let mut config = PairConfig::new(kinds);
        config.media = "ucast eth0 @PEER0@".into();
        config.auth = "auth 1\n1 md5 labkey\n".into();
        there_and_back(config);
    });
}

#[test]
#[ignore = "lab: long tier"]
fn long_on_two_cables_by_multicast() {
    run(
        "upgrade::long_on_two_cables_by_multicast",
        LEGACY_LEGACY,
        |kinds| {
            let mut config = PairConfig::new(kinds).with_two_cables();
            config.media = "mcast eth0 239.0.0.42 694 1 0\nbcast eth1".into();
            config.auth = "auth 1\n1 crc\n".into();
            there_and_back(config);
        },
    );
}
