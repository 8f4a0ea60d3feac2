//! Which key signs, by the newest message of each node. Only a verified message comes here, and only one with the highest
//! number of its run counts: neither a forged nor a recorded datagram changes the choice.

use super::super::keys::{KeyNumbers, Signs};
use super::super::name::{Generation, NodeName, Sequence};
use super::super::node_table::{Node, NodeIndex, NodeKind};
use super::super::output::Output;
use super::Membership;
use crate::clock::Now;
use crate::notice::Notice;

/// A node that is not a Systole node, by its status, and the key with which it signs.
fn legacy(node: &Node) -> Option<Signs<'_>> {
    let told = node.kind == NodeKind::Peer && node.status_seq > Sequence(0);
    let legacy = told && node.capabilities.is_empty();
    node.key.filter(|_| legacy).map(|key| (&node.name, key))
}

impl Membership {
    /// The keys of the keys file, before the start.
    pub const fn keys_are(&mut self, file: KeyNumbers) {
        self.signing.read(file);
    }

    /// The keys file was read again.
    pub fn keys_read(&mut self, file: KeyNumbers, now: Now, out: &mut Vec<Output>) {
        self.signing.read(file);
        let lacks = |node: &&Node| node.kind == NodeKind::Peer;
        for node in self.nodes.iter().filter(lacks) {
            if let Some(number) = node.key.filter(|number| !file.has(*number)) {
                let text = format!(
                    "authkeys has no key {number}, with which {} signs: its messages are refused from now on",
                    node.name
                );
                out.push(Output::Notice(Notice::OtherWarn { text }));
            }
        }
        let step = self
            .signing
            .choose(self.nodes.iter().filter_map(legacy), now.instant);
        // Whatever was chosen before, the owner of this core has new keys.
        out.extend(self.signing.number().map(Output::SignWith));
        out.extend(step.line.map(Output::Notice));
    }

    /// Notes which key verified a message, if it is the newest of the node.
    pub(super) fn note_key(
        &mut self,
        index: NodeIndex,
        run: Generation,
        seq: Sequence,
        key: Option<u8>,
    ) -> bool {
        let Some(node) = self.nodes.get_mut(index) else {
            return false;
        };
        let newest = run == node.generation && node.window.last() == Some(seq);
        let changed = newest && key.is_some() && node.key != key;
        if changed {
            node.key = key;
        }
        changed
    }

    /// Chooses the key that signs.
    pub(super) fn choose_key(&mut self, now: Now, out: &mut Vec<Output>) {
        let step = self
            .signing
            .choose(self.nodes.iter().filter_map(legacy), now.instant);
        out.extend(step.sign_with.map(Output::SignWith));
        out.extend(step.line.map(Output::Notice));
    }

    /// Number of the key with which a node signs; `None`: not known.
    #[must_use]
    pub fn key_of(&self, name: &NodeName) -> Option<u8> {
        if *name == self.settings.local {
            return self.signing.number();
        }
        let index = self.nodes.find(name.as_str())?;
        self.nodes.get(index)?.key
    }

    /// What people have to know while the key that signs is not the one that the file names.
    #[must_use]
    pub fn key_remark(&self) -> Option<String> {
        self.signing.remark()
    }
}
