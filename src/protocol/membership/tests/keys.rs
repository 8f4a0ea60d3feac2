//! Keys that are changed while the nodes run.

use std::cell::Cell;
use std::rc::Rc;

use super::super::{Identity, Membership};
use super::harness::{Cluster, eth0, identity, name, settings};
use crate::notice::Notice;
use crate::protocol::auth::{KeyRing, Method};
use crate::protocol::keys::KeyNumbers;
use crate::protocol::message::Message;
use crate::protocol::status::NodeStatus;

fn file(sign_with: u8, held: &[u8]) -> KeyNumbers {
    let key = |number: &u8| (*number, Method::Sha1, vec![b'k', *number]);
    KeyNumbers::of(&KeyRing::new(sign_with, held.iter().map(key).collect()).unwrap())
}

/// What a legacy node refuses, and what it hears.
#[derive(Clone, Default)]
struct Ear {
    key: Rc<Cell<u8>>,
    refused: Rc<Cell<usize>>,
}

/// alpha is a Systole node with keys 1 and 2, of which 1 signs; beta is a legacy node with the same file.
fn mixed() -> (Cluster, Ear) {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    systole(&mut cluster, "alpha");
    let ear = Ear::default();
    let heard = ear.clone();
    cluster.carries = Box::new(move |_, to, message, _| {
        let taken = to != "beta" || message.key() == Some(heard.key.get());
        heard.refused.set(heard.refused.get() + usize::from(!taken));
        taken
    });
    ear.switch(&mut cluster, 1);
    cluster.host("alpha").key = Some(1);
    cluster.start_all();
    cluster.run_for(3_000);
    assert_eq!(cluster.host("alpha").status_of("beta"), NodeStatus::Active);
    (cluster, ear)
}

impl Ear {
    /// The legacy node signs and verifies with another key from now on.
    fn switch(&self, cluster: &mut Cluster, key: u8) {
        self.key.set(key);
        cluster.host("beta").key = Some(key);
    }
}

fn systole(cluster: &mut Cluster, node: &str) {
    let number = node.bytes().next().unwrap();
    let identity = Identity {
        capabilities: vec!["v1".to_owned()],
        ..identity(number, 1000)
    };
    let mut core = Membership::new(&settings(node, &["alpha", "beta"]), identity, 1);
    core.keys_are(file(1, &[1, 2]));
    cluster.host(node).core = core;
}

fn read(cluster: &mut Cluster, node: &str, file: KeyNumbers) {
    cluster.with_core(node, |core, now, out| core.keys_read(file, now, out));
}

fn warnings(cluster: &mut Cluster, node: &str) -> usize {
    let warns = |notice: &Notice| matches!(notice, Notice::OtherWarn { .. });
    cluster.host(node).when_notice(warns).len()
}

/// Nobody was declared dead, and nothing is missing.
fn assert_whole(cluster: &mut Cluster) {
    for (node, other) in [("alpha", "beta"), ("beta", "alpha")] {
        let host = cluster.host(node);
        assert_eq!(host.status_of(other), NodeStatus::Active, "{node}");
        let dead = |notice: &Notice| matches!(notice, Notice::NodeDead { .. });
        assert!(host.when_notice(dead).is_empty(), "{node}");
        assert_eq!(host.core.node(&name(other)).unwrap().missing, 0, "{node}");
    }
}

#[test]
fn our_file_is_changed_first() {
    let (mut cluster, ear) = mixed();
    read(&mut cluster, "alpha", file(2, &[1, 2]));
    cluster.run_for(20_000);
    assert_eq!(ear.refused.get(), 0);
    assert_eq!(cluster.host("alpha").key, Some(1));
    assert_eq!(warnings(&mut cluster, "alpha"), 1);
    ear.switch(&mut cluster, 2);
    cluster.run_for(20_000);
    assert!(ear.refused.get() <= 2, "{}", ear.refused.get());
    assert_eq!(cluster.host("alpha").key, Some(2));
    assert_whole(&mut cluster);
    let refused = ear.refused.get();
    read(&mut cluster, "alpha", file(2, &[2]));
    cluster.run_for(20_000);
    assert_eq!(ear.refused.get(), refused);
    assert_eq!(warnings(&mut cluster, "alpha"), 1);
    assert_whole(&mut cluster);
}

#[test]
fn the_legacy_file_is_changed_first() {
    let (mut cluster, ear) = mixed();
    ear.switch(&mut cluster, 2);
    cluster.run_for(20_000);
    let refused = ear.refused.get();
    assert!(refused <= 2, "{refused}");
    assert_eq!(cluster.host("alpha").key, Some(2));
    assert_eq!(cluster.host("alpha").core.key_of(&name("alpha")), Some(2));
    assert_eq!(cluster.host("alpha").core.key_of(&name("beta")), Some(2));
    assert!(cluster.host("alpha").core.key_remark().is_some());
    assert_eq!(warnings(&mut cluster, "alpha"), 1);
    read(&mut cluster, "alpha", file(2, &[1, 2]));
    cluster.run_for(20_000);
    assert_eq!(ear.refused.get(), refused);
    assert_eq!(cluster.host("alpha").core.key_remark(), None);
    assert_whole(&mut cluster);
}

#[test]
fn a_dead_legacy_node_is_not_followed() {
    let (mut cluster, ear) = mixed();
    ear.switch(&mut cluster, 2);
    cluster.run_for(2_000);
    cluster.kill("beta");
    cluster.run_for(10_000);
    assert_eq!(cluster.host("alpha").status_of("beta"), NodeStatus::Dead);
    assert_eq!(cluster.host("alpha").key, Some(1));
    assert_eq!(cluster.host("alpha").core.key_of(&name("beta")), None);
}

/// A recorded datagram is authentic; only its number gives it away.
#[test]
fn a_recorded_datagram_does_not_change_the_key() {
    let (mut cluster, ear) = mixed();
    let recorded: Rc<std::cell::RefCell<Vec<Message>>> = Rc::default();
    let kept = Rc::clone(&recorded);
    cluster.carries = Box::new(move |_, to, message, _| {
        if to == "alpha" {
            kept.borrow_mut().push(message.clone());
        }
        true
    });
    cluster.run_for(2_000);
    assert!(recorded.borrow().len() > 2);
    cluster.heal();
    ear.switch(&mut cluster, 2);
    cluster.run_for(2_000);
    for message in recorded.take() {
        assert_eq!(message.key(), Some(1));
        cluster.with_core("alpha", |core, now, out| {
            core.received(&eth0(), message, now, out);
        });
        assert_eq!(cluster.host("alpha").core.key_of(&name("beta")), Some(2));
        assert_eq!(cluster.host("alpha").key, Some(2));
    }
}

#[test]
fn two_systole_nodes_sign_as_their_files_say() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    for node in ["alpha", "beta"] {
        systole(&mut cluster, node);
        cluster.host(node).key = Some(1);
    }
    cluster.start_all();
    cluster.run_for(3_000);
    read(&mut cluster, "beta", file(2, &[1, 2]));
    cluster.run_for(10_000);
    assert_eq!(cluster.host("alpha").key, Some(1));
    assert_eq!(cluster.host("beta").key, Some(2));
    assert_eq!(cluster.host("alpha").core.key_of(&name("beta")), Some(2));
    read(&mut cluster, "alpha", file(2, &[1, 2]));
    cluster.run_for(10_000);
    read(&mut cluster, "beta", file(2, &[2]));
    cluster.run_for(10_000);
    for node in ["alpha", "beta"] {
        assert_eq!(cluster.host(node).key, Some(2));
        assert_eq!(warnings(&mut cluster, node), 0);
    }
    assert_whole(&mut cluster);
}

/// The procedure was not followed: the other node still signs with a key that is dropped here.
#[test]
fn a_key_dropped_too_early_is_told() {
    let (mut cluster, _) = mixed();
    read(&mut cluster, "alpha", file(2, &[2]));
    let said = cluster.host("alpha").notices();
    let told = |line: &&String| line.contains("no key 1, with which beta signs");
    assert_eq!(said.iter().filter(told).count(), 1, "{said:?}");
    assert_eq!(cluster.host("alpha").key, Some(2));
}
