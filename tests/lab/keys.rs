//! Keys that are changed while the pair serves: two Systole nodes by the documented procedure, and
//! beside a legacy node, whichever is changed first.

use std::time::Duration;

use super::history::assert_never_two_owners;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

fn let_pass(time: Duration) {
    std::thread::sleep(time);
}

/// A keys file: the number that signs, and all numbers in it.
fn keys(sign_with: u8, held: &[u8]) -> String {
    let mut text = format!("auth {sign_with}\n");
    for number in held {
        text.push_str(&format!("{number} sha1 key-of-{number}\n"));
    }
    text
}

/// A running pair, and how often its files were changed.
struct Rotation {
    pair: Pair,
    changes: u32,
    /// Warnings of the start.
    warned: [usize; 2],
}

impl Rotation {
    fn begin(kinds: [Kind; 2]) -> Self {
        let mut config = PairConfig::new(kinds);
        config.auth = keys(1, &[1]);
        let pair = Pair::new(config);
        pair.start_settled();
        let warned = NODES.map(|node| pair.log_count(node, "WARN"));
        Self {
            pair,
            changes: 0,
            warned,
        }
    }

    /// Another keys file on one node, and a reload there.
    fn change(&mut self, node: &str, sign_with: u8, held: &[u8]) {
        // Legacy compares whole seconds.
        self.changes += 10;
        let text = keys(sign_with, held);
        let ahead = self.changes;
        self.pair.lab.sh(
            node,
            &format!(
                "printf '{text}' >/etc/ha.d/authkeys; touch -d '{ahead} seconds' /etc/ha.d/authkeys"
            ),
        );
        let daemon = self.pair.daemon(node);
        let output = self.pair.lab.exec(node, &["setsid", &daemon, "-r"]);
        assert!(output.status.success(), "reload on {node}: {output:?}");
        let_pass(Duration::from_secs(2));
    }

    /// With which key a node of ours says that a node signs.
    fn key(&self, node: &str, of: &str) -> u64 {
        let view = self.pair.view(node);
        let nodes = view["node"]["nodes"].as_array().cloned();
        let nodes = nodes.unwrap_or_default();
        let it = nodes.iter().find(|it| it["name"] == of);
        it.and_then(|it| it["key"].as_u64()).unwrap_or(99)
    }

    /// Waits until our node says that both sign with this key.
    fn wait_keys(&self, node: &str, own: u64, peer: u64) {
        wait_until(LONG, &format!("{node}: keys {own} and {peer}"), || {
            (self.key(node, node), self.key(node, Pair::peer(node))) == (own, peer)
        });
    }

    fn refused(&self, node: &str) -> u64 {
        let view = self.pair.view(node);
        view["media"][0]["counts"]["not_authentic"]
            .as_u64()
            .expect("a count")
    }

    /// Nobody was declared dead or late, nothing moved, and our nodes have refused nothing.
    fn assert_whole(&self) {
        for node in NODES {
            for bad in ["is dead", "Late heartbeat", "authkeys has no key"] {
                let count = self.pair.log_count(node, bad);
                assert_eq!(count, 0, "{bad:?} on {node}:\n{}", self.pair.lab.log(node));
            }
            if self.pair.kind(node).is_ours() {
                assert_eq!(self.refused(node), 0, "refused on {node}");
            }
        }
        assert_eq!(self.pair.owners(ADDRESS_1), ["node1"]);
        assert_never_two_owners(&self.pair.lab);
    }
}

/// Add, switch, drop: each step on one node after the other.
fn by_the_procedure(kinds: [Kind; 2]) {
    let mut it = Rotation::begin(kinds);
    it.wait_keys("node1", 1, 1);
    for node in NODES {
        it.change(node, 1, &[1, 2]);
    }
    it.change("node1", 2, &[1, 2]);
    it.wait_keys("node1", 2, 1);
    it.wait_keys("node2", 1, 2);
    it.change("node2", 2, &[1, 2]);
    it.wait_keys("node1", 2, 2);
    for node in NODES {
        it.change(node, 2, &[2]);
    }
    it.wait_keys("node1", 2, 2);
    it.assert_whole();
    let status = format!("{} status", env!("CARGO_BIN_EXE_systole"));
    let screen = it.pair.lab.sh("node1", &status);
    assert!(screen.contains("all sign with key 2"), "{screen}");
    let warned = NODES.map(|node| it.pair.log_count(node, "WARN"));
    assert_eq!(warned, it.warned, "{}", it.pair.lab.log("node1"));
}

/// Our node first, then back from the other side. A legacy node refuses what was signed before it changed; it asks for that again.
fn beside_a_legacy_node(kinds: [Kind; 2]) {
    let mut it = Rotation::begin(kinds);
    let ours = NODES[usize::from(kinds[1].is_ours())];
    let legacy = Pair::peer(ours);
    it.wait_keys(ours, 1, 1);
    for node in NODES {
        it.change(node, 1, &[1, 2]);
    }
    it.change(ours, 2, &[1, 2]);
    it.wait_keys(ours, 1, 1);
    it.pair.wait_log(ours, "signs with key 1 as");
    assert_eq!(it.refusals_of(legacy), 0, "{}", it.pair.lab.log(legacy));
    it.change(legacy, 2, &[1, 2]);
    it.wait_keys(ours, 2, 2);
    it.pair.wait_log(ours, "signs with key 2 again");
    let first = it.refusals_of(legacy);
    // And the other way round.
    it.change(legacy, 1, &[1, 2]);
    it.wait_keys(ours, 1, 1);
    it.pair.wait_log_count(ours, "signs with key 1 as", 2);
    let second = it.refusals_of(legacy);
    it.change(ours, 1, &[1]);
    it.wait_keys(ours, 1, 1);
    it.pair.wait_log(ours, "signs with key 1 again");
    it.change(legacy, 1, &[1]);
    // Some heartbeats of this node, until it has received one of the legacy node.
    assert!(first <= 5 && second <= first + 5, "{first}, {second}");
    assert_eq!(it.pair.log_count(ours, "lost packet"), 0);
    it.assert_whole();
    it.forged(ours, legacy);
}

impl Rotation {
    /// Datagrams that a legacy node says it refused.
    fn refusals_of(&self, node: &str) -> usize {
        self.pair.log_count(node, "authtoken does not match")
            + self.pair.log_count(node, "failed authentication")
    }

    /// Neither a key that is not in the file any more nor a wrong signature changes the choice.
    fn forged(&self, ours: &str, legacy: &str) {
        let hostile = std::env::current_exe().expect("own path");
        let target = hostile.parent().and_then(|deps| deps.parent());
        let hostile = target.expect("target directory").join("examples/hostile");
        let ip = format!("10.77.0.{}", usize::from(ours == NODES[1]) + 1);
        let before = self.refused(ours);
        for key in ["wrong", "key-of-2"] {
            let words = [&hostile.display().to_string(), &ip, "694", "2000", "7", key];
            let output = self.pair.lab.exec("client", &words);
            assert!(output.status.success(), "{output:?}");
        }
        let_pass(Duration::from_secs(1));
        assert!(self.refused(ours) > before);
        assert_eq!((self.key(ours, ours), self.key(ours, legacy)), (1, 1));
        assert_eq!(self.pair.log_count(ours, "is dead"), 0);
    }
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn keys_by_the_procedure() {
    run("keys_by_the_procedure", OURS_OURS, by_the_procedure);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn keys_beside_a_legacy_standby() {
    run(
        "keys_beside_a_legacy_standby",
        SYSTOLE_OWNER,
        beside_a_legacy_node,
    );
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn keys_beside_a_legacy_owner() {
    run(
        "keys_beside_a_legacy_owner",
        LEGACY_OWNER,
        beside_a_legacy_node,
    );
}
