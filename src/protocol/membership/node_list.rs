//! Node lists: exchange, operator commands, weights and sites. Spec: docs/protocol/wire.md, 17;
//! docs/protocol/membership.md, 8.

use super::super::field::{self, kind};
use super::super::message::Message;
use super::super::name::NodeName;
use super::super::node_table::{MAX_NODES, MAX_SITE_BYTES, NodeKind};
use super::super::output::{Output, ResourceEvent, Treatment};
use super::super::settings::GROUPS_NEED_A_PAIR;
use super::super::status::NodeStatus;
use super::Membership;
use super::receive::Heard;
use crate::clock::Now;
use crate::notice::Notice;

/// Names of a list in a message; `None` if one is no node name or there are more than a table
/// holds.
fn names(text: &str) -> Option<Vec<NodeName>> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.len() > MAX_NODES {
        return None;
    }
    words
        .into_iter()
        .map(|word| NodeName::new(word).ok())
        .collect()
}

impl Membership {
    /// `reqnodes`: answered in any state, else a legacy peer stays `up` for ever. A legacy node hears
    /// first that we are active: with the answer it becomes active, and with `auto_failback legacy` it
    /// asks for its groups only if it knows of an active node then.
    pub(super) fn take_list_request(&mut self, heard: &Heard, now: Now, out: &mut Vec<Output>) {
        if heard.own {
            return;
        }
        let asker = self.nodes.get(heard.index);
        if self.status == NodeStatus::Active && !asker.is_some_and(super::Node::is_systole_peer) {
            self.emit_status(now, out);
        }
        let list: String = self
            .nodes
            .iter()
            .filter(|node| node.is_member())
            .flat_map(|node| [node.name.as_str(), " "])
            .collect();
        let deleted: String = self
            .deleted
            .iter()
            .flat_map(|name| [name.as_str(), " "])
            .collect();
        let deleted = if deleted.is_empty() { " " } else { &deleted };
        let answer = Message::empty()
            .with(field::DEST, heard.name.as_str())
            .with(field::T, kind::REP_NODES)
            .with(field::NODE_LIST, &list)
            .with(field::DEL_NODE_LIST, deleted);
        self.emit(answer, now, out);
    }

    /// `repnodes`, requested or not: the list of the answering node wins.
    pub(super) fn take_list(
        &mut self,
        heard: &Heard,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        if heard.own {
            return;
        }
        match message.text(field::NODE_LIST).map(names) {
            Some(Some(list)) => self.adopt(&list, &heard.name, now, out),
            Some(None) => self.refuse_list(heard, now, out),
            None => {}
        }
        match message.text(field::DEL_NODE_LIST).map(names) {
            Some(Some(list)) => self.deleted = list,
            Some(None) => self.refuse_list(heard, now, out),
            None => {}
        }
        // The node has answered, also if its list is unusable.
        self.list_arrived(now, out);
    }

    fn refuse_list(&mut self, heard: &Heard, now: Now, out: &mut Vec<Output>) {
        let node = heard.name.to_string();
        self.limited("bad node list", now, out, || Notice::OtherError {
            text: format!("node list from {node} refused: a name in it is not valid"),
        });
    }

    /// Makes our table contain exactly these members, as far as that is safe.
    fn adopt(&mut self, list: &[NodeName], by: &NodeName, now: Now, out: &mut Vec<Output>) {
        for name in list {
            if self.nodes.find(name.as_str()).is_none() {
                self.add_peer(name, by, now, out);
            }
        }
        let absent: Vec<(NodeName, NodeStatus)> = self
            .nodes
            .iter()
            .filter(|node| node.kind == NodeKind::Peer && !list.contains(&node.name))
            .map(|node| (node.name.clone(), node.status))
            .collect();
        for (name, status) in absent {
            if status.is_living() {
                self.limited("cannot remove", now, out, || Notice::CannotRemoveAlive {
                    node: name.to_string(),
                });
            } else {
                self.remove_peer(&name, out);
            }
        }
    }

    /// Whether one more member is allowed: groups run on two nodes.
    pub(super) fn has_room(&self) -> bool {
        let members = self.nodes.iter().filter(|node| node.is_member()).count();
        self.settings.allows_members(members.saturating_add(1))
    }

    fn add_peer(&mut self, name: &NodeName, by: &NodeName, now: Now, out: &mut Vec<Output>) {
        if self.nodes.find(name.as_str()).is_none() && !self.has_room() {
            let (node, by) = (name.to_string(), by.to_string());
            self.limited("third node", now, out, || Notice::ThirdNode { node, by });
            return;
        }
        let added = self.add_node(name, NodeKind::Peer, now.instant).is_some();
        if added {
            self.deleted.retain(|deleted| deleted != name);
            out.push(Output::Notice(Notice::NodeAdded {
                node: name.to_string(),
            }));
        } else {
            self.limited("node not added", now, out, || Notice::OtherError {
                text: format!("node {name} not added: it is known, or there are {MAX_NODES} nodes"),
            });
        }
    }

    fn remove_peer(&mut self, name: &NodeName, out: &mut Vec<Output>) {
        self.nodes.remove(name);
        out.push(Output::Notice(Notice::NodeRemoved {
            node: name.to_string(),
        }));
        out.push(Output::Deliver {
            message: Message::new(kind::DEL_NODE).with(field::NODE, name.as_str()),
            treatment: Treatment::Keep,
        });
    }

    /// Whether `message`, of an operator here, would add a node for which resource groups leave no
    /// room. Logs it; the message is not sent to other nodes.
    pub(super) fn refuses_addition(
        &mut self,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) -> bool {
        if message.kind() != Some(kind::ADD_NODE) {
            return false;
        }
        let list = message.text(field::NODE_LIST).and_then(names);
        let mut new = list.unwrap_or_default();
        new.retain(|name| self.nodes.find(name.as_str()).is_none());
        let members = self.nodes.iter().filter(|node| node.is_member()).count();
        let Some(node) = new.first() else {
            return false;
        };
        if self
            .settings
            .allows_members(members.saturating_add(new.len()))
        {
            return false;
        }
        let text = format!("node {node} not added: {GROUPS_NEED_A_PAIR}");
        self.limited("addition refused", now, out, || Notice::OtherError { text });
        true
    }

    /// `addnode`.
    pub(super) fn take_add(
        &mut self,
        heard: &Heard,
        message: &Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let list = message.text(field::NODE_LIST).and_then(names);
        for name in list.unwrap_or_default() {
            self.add_peer(&name, &heard.name, now, out);
        }
    }

    /// `delnode`: all named nodes must be dead and all others alive.
    pub(super) fn take_delete(&mut self, message: &Message, now: Now, out: &mut Vec<Output>) {
        let list = message
            .text(field::NODE_LIST)
            .and_then(names)
            .unwrap_or_default();
        if list.contains(&self.settings.local) {
            out.push(Output::Notice(Notice::OtherError {
                text: "this node was deleted from the cluster: shutting down".to_owned(),
            }));
            out.push(Output::Resource(ResourceEvent::Deleted));
            return;
        }
        let mut refusal = None;
        for node in self.nodes.iter().filter(|node| node.kind == NodeKind::Peer) {
            let name = node.name.to_string();
            if list.contains(&node.name) {
                if node.status != NodeStatus::Dead {
                    refusal = Some(Notice::DeleteNotDead { node: name });
                    break;
                }
            } else if !node.status.is_living() && refusal.is_none() {
                refusal = Some(Notice::DeleteOthersMissing { node: name });
            }
        }
        if let Some(refusal) = refusal {
            self.limited("delete refused", now, out, || refusal);
            return;
        }
        for name in list {
            let known = self
                .nodes
                .iter()
                .any(|node| node.name == name && node.is_member());
            if !known {
                continue;
            }
            self.remove_peer(&name, out);
            if self.deleted.len() < MAX_NODES && !self.deleted.contains(&name) {
                self.deleted.push(name);
            }
        }
    }

    /// `setweight`.
    pub(super) fn take_weight(&mut self, message: &Message) {
        let weight = message
            .dec(field::WEIGHT)
            .and_then(|weight| u32::try_from(weight).ok());
        if let Some((name, weight)) = message.text(field::NODE).zip(weight)
            && let Some(index) = self.nodes.find(name)
            && let Some(node) = self.nodes.get_mut(index)
        {
            node.weight = weight;
        }
    }

    /// `setsite`.
    pub(super) fn take_site(&mut self, message: &Message) {
        let site = message
            .text(field::SITE)
            .filter(|site| site.len() <= MAX_SITE_BYTES);
        if let Some((name, site)) = message.text(field::NODE).zip(site)
            && let Some(index) = self.nodes.find(name)
            && let Some(node) = self.nodes.get_mut(index)
        {
            site.clone_into(&mut node.site);
        }
    }
}
