//! Which node has which uuid, and what happens when two nodes have the same. Spec:
//! docs/protocol/wire.md, 11.2.

use super::super::identity::uuid_of_node_name;
use super::super::node_table::{NodeIndex, NodeKind};
use super::super::output::Output;
use super::receive::Heard;
use super::{Membership, NodeUuid};
use crate::clock::Now;
use crate::notice::Notice;

impl Membership {
    /// A uuid that no other node has. Spec: docs/protocol/wire.md, 11.2.
    pub(super) fn learn_uuid(
        &mut self,
        heard: &Heard,
        uuid: NodeUuid,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return;
        };
        if node.uuid == Some(uuid) {
            return;
        }
        node.uuid_is_shared = false;
        if node.uuid.replace(uuid).is_some() {
            self.limited("uuid changed", now, out, || Notice::UuidChanged {
                node: heard.name.to_string(),
                uuid: uuid.to_string(),
            });
        }
    }

    /// Two nodes have one uuid, as after copying a disk: then names count, and no message is
    /// addressed to that uuid.
    ///
    /// When it is ours we use the uuid made of our name, which no other node can have. A legacy
    /// node looks its senders up by uuid first: if it has our uuid, it treats our messages as its
    /// own, no longer receives us and takes what we hold.
    pub(super) fn note_shared_uuid(
        &mut self,
        heard: &Heard,
        uuid: NodeUuid,
        holder: NodeIndex,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if let Some(node) = self.nodes.get_mut(heard.index) {
            node.uuid = None;
        }
        let Some(other) = self.nodes.get_mut(holder) else {
            return;
        };
        let known = other.name.to_string();
        let own = other.kind == NodeKind::Own;
        other.uuid_is_shared = !own;
        self.limited("shared uuid", now, out, || Notice::UuidShared {
            uuid: uuid.to_string(),
            known,
            node: heard.name.to_string(),
        });
        if own {
            self.replace_uuid(holder, now, out);
        }
    }

    /// Uses the uuid made of our name and announces it at once: a node that takes us for itself
    /// must learn the new uuid before we send anything else.
    fn replace_uuid(&mut self, own: NodeIndex, now: Now, out: &mut Vec<Output>) {
        let made_of_name = uuid_of_node_name(&self.settings.local);
        if self.uuid == made_of_name || self.next_beat.is_none() {
            return;
        }
        self.former_uuid = Some(std::mem::replace(&mut self.uuid, made_of_name));
        if let Some(own) = self.nodes.get_mut(own) {
            own.uuid = Some(made_of_name);
        }
        out.push(Output::Notice(Notice::UuidReplaced {
            uuid: made_of_name.to_string(),
        }));
        self.emit_status(now, out);
    }
}
