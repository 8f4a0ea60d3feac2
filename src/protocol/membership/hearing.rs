//! One-way links: logged on both nodes, at the latest when the wait of a start ends.
//!
//! | Observation | Meaning | Logged |
//! |---|---|---|
//! | a node that we receive does not answer, does not acknowledge, or reports that it does not receive us | it does not receive us | after the dead time, at most after initdead |
//! | nothing was received of a node since the start | it is down, or we do not receive it | at initdead |
//! | a node is received, but never over one of the media | a cable, a port, an interface or a line is missing | initdead after its first status |
//! | own messages do not come back on a medium that should return them | we receive nothing on that medium | at initdead |
//! | own messages come back on a medium that should not return them | we send to ourselves | at once, and again when they come back after a dead time without any |
//! | a node that no `node` line names is received | it expects us as a member, and we ignore it | at once |
//! | a node's list names a node that no `node` line here names | the `node` lines differ | at once |

use std::time::Duration;

use super::super::hearing;
use super::super::link::{Link, Receives};
use super::super::name::{Generation, MediumName, NodeName, Sequence};
use super::super::node_table::{Node, NodeIndex, NodeKind};
use super::super::output::Output;
use super::super::status::NodeStatus;
use super::Membership;
use super::comm::Phase;
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;

/// For at least this long a node may seem not to receive us without a log line, however short its
/// dead time is: a request for the node list is repeated each second.
const SHORTEST: Duration = Duration::from_secs(3);

/// Most remembered nodes that no `node` line names.
const MAX_STRANGERS: usize = 8;

/// What was logged about this node and about unknown nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Whether our own messages come back was checked.
    own_judged: bool,
    /// Media that bring our own messages back now and should not.
    to_itself: Vec<MediumName>,
    /// Nodes that are received and not configured.
    strangers: Vec<String>,
}

/// Who receives whom between this node and another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reception<'a> {
    /// Whether it is a Systole node; `None`: nothing was received of it.
    pub systole: Option<bool>,
    /// When its last status message came.
    pub heard: Option<Monotonic>,
    /// Whether it receives this node; `None`: not known.
    pub receives_us: Option<bool>,
    /// Its media on which it does not receive this node, by its own words.
    pub deaf_on: &'a [String],
    /// When links came up or died last.
    pub changed: Vec<(MediumName, Monotonic)>,
}

impl Membership {
    /// How long a node must seem not to receive us before a log line.
    fn told_after(&self) -> Duration {
        let timing = &self.settings.timing;
        timing.deadtime.max(SHORTEST).min(timing.initdead)
    }

    /// Since when a node that we receive seems not to receive us.
    fn deaf_since(&self, node: &Node) -> Option<Monotonic> {
        if node.kind != NodeKind::Peer || !node.heard || node.status == NodeStatus::Dead {
            return None;
        }
        let unanswered = match &self.phase {
            Phase::Asking {
                node: asked, since, ..
            } if *asked == node.name => Some(*since),
            Phase::Stopped
            | Phase::Starting
            | Phase::Waiting
            | Phase::Asking { .. }
            | Phase::Up => None,
        };
        let last = self.flow_control.then_some(self.last_seq);
        let shown = node.ears.deaf_since(last);
        [unanswered, shown].into_iter().flatten().min()
    }

    /// When to log that a node does not receive us. It must have been received for at least half of
    /// that time: a node that has died does not answer either.
    fn deaf_deadline(&self, node: &Node) -> Option<Monotonic> {
        let since = self.deaf_since(node).filter(|_| !node.ears.told)?;
        let after = self.told_after();
        node.last_status
            .filter(|heard| *heard >= since + after / 2)
            .map(|_| since + after)
    }

    /// When to check whether our own messages come back.
    fn own_deadline(&self) -> Option<Monotonic> {
        let opened = self.opened_at.filter(|_| !self.said.own_judged)?;
        Some(opened + self.settings.timing.initdead)
    }

    /// When to check which links to a node never came up.
    fn links_deadline(&self, node: &Node) -> Option<Monotonic> {
        let several = node.kind == NodeKind::Peer && node.links.len() > 1;
        let lives = several && node.status.is_living() && !node.ears.links_judged;
        let since = node.ears.since().filter(|_| lives)?;
        Some(since + self.settings.timing.initdead)
    }

    fn judge_links(&mut self, index: NodeIndex, out: &mut Vec<Output>) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        node.ears.links_judged = true;
        out.extend(never_up(node).map(Output::Notice));
    }

    /// When the next line may be due.
    pub(super) fn hearing_deadline(&self) -> Option<Monotonic> {
        let nodes = self.nodes.iter().flat_map(|node| {
            let links = self.links_deadline(node);
            self.deaf_deadline(node).into_iter().chain(links)
        });
        nodes.chain(self.own_deadline()).min()
    }

    /// Logs what is due, and what has ended.
    pub(super) fn judge_hearing(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.own_deadline().is_some_and(|at| at <= now.instant) {
            self.said.own_judged = true;
            for medium in self.unheard_by_ourselves() {
                out.push(Output::Notice(Notice::OwnNotHeard {
                    medium: medium.to_string(),
                }));
            }
        }
        let mut to_itself = std::mem::take(&mut self.said.to_itself);
        to_itself.retain(|medium| self.hears_itself(medium, now.instant));
        self.said.to_itself = to_itself;
        let indexes: Vec<NodeIndex> = self.nodes.indexes().collect();
        for index in indexes {
            let Some(node) = self.nodes.get(index) else {
                continue;
            };
            let links = self
                .links_deadline(node)
                .is_some_and(|at| at <= now.instant);
            let due = self.deaf_deadline(node).is_some_and(|at| at <= now.instant);
            let over = node.ears.told && self.deaf_since(node).is_none();
            if due || over {
                self.tell_hearing(index, due, out);
            }
            if links {
                self.judge_links(index, out);
            }
        }
    }

    fn tell_hearing(&mut self, index: NodeIndex, deaf: bool, out: &mut Vec<Output>) {
        let up = self.status == NodeStatus::Active;
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        node.ears.told = deaf;
        let name = node.name.to_string();
        out.push(Output::Decided {
            what: match (deaf, up) {
                (false, _) => format!("is received by {name} again"),
                (true, true) => "goes on as it is".to_owned(),
                (true, false) => "waits, and does not become active".to_owned(),
            },
            cause: if deaf {
                format!("{name} is received here, but does not receive this node")
            } else {
                format!("{name} answers")
            },
        });
        out.push(Output::Notice(if deaf {
            Notice::NotHeard { node: name }
        } else {
            Notice::HeardAgain { node: name }
        }));
    }

    /// A node is declared dead of which nothing was ever received.
    pub(super) fn tell_never_heard(node: &NodeName, generation: Generation, out: &mut Vec<Output>) {
        if generation == Generation(0) {
            let node = node.to_string();
            out.push(Output::Notice(Notice::NeverHeard { node }));
        }
    }

    /// Media on which own messages should come back and do not.
    fn unheard_by_ourselves(&self) -> Vec<MediumName> {
        let own = self.nodes.find(self.settings.local.as_str());
        let links = own.and_then(|own| self.nodes.get(own));
        let links = links.into_iter().flat_map(|own| &own.links);
        links
            .filter(|link| !link.is_up())
            .map(|link| link.medium().clone())
            .filter(|medium| self.settings.returns.get(medium) == Some(&true))
            .collect()
    }

    /// Our own message came back.
    pub(super) fn note_return(&mut self, medium: &MediumName, out: &mut Vec<Output>) {
        let wrong = self.settings.returns.get(medium) == Some(&false);
        if wrong && !self.said.to_itself.contains(medium) {
            self.said.to_itself.push(medium.clone());
            out.push(Output::Notice(Notice::SendsToItself {
                medium: medium.to_string(),
            }));
        }
    }

    /// A node that is not configured was received. `name`: printable in a log line.
    pub(super) fn note_stranger(&mut self, name: &str, medium: &MediumName, out: &mut Vec<Output>) {
        let strangers = &mut self.said.strangers;
        if strangers.len() < MAX_STRANGERS && !strangers.iter().any(|known| known == name) {
            strangers.push(name.to_owned());
            out.push(Output::Notice(Notice::StrangerHeard {
                node: name.to_owned(),
                medium: medium.to_string(),
            }));
        }
    }

    /// The field of our status that names the nodes that we do not receive; `None`: left out.
    pub(super) fn deaf_text(&self) -> Option<String> {
        let unheard = self.nodes.iter().filter(|node| {
            node.kind == NodeKind::Peer && (!node.heard || node.status == NodeStatus::Dead)
        });
        hearing::to_text(unheard.map(|node| &node.name))
    }

    /// The field of our status that names the links over which we do not receive a node that we
    /// receive; `None`: left out.
    pub(super) fn deaf_links_text(&self) -> Option<String> {
        let living = self.nodes.iter().filter(|node| {
            node.kind == NodeKind::Peer && node.heard && node.status != NodeStatus::Dead
        });
        let links = living.flat_map(|node| node.links.iter().map(move |link| (node, link)));
        // At a start the first message comes on one medium before it comes on the next.
        let dead =
            links.filter(|(node, link)| !link.is_up() && (link.was_up() || node.ears.links_judged));
        hearing::links_to_text(dead.map(|(node, link)| (&node.name, link.medium())))
    }

    /// What is known of who receives whom between this node and another one, for people.
    #[must_use]
    pub fn reception(&self, name: &NodeName) -> Option<Reception<'_>> {
        let node = self.nodes.get(self.nodes.find(name.as_str())?)?;
        let peer = node.kind == NodeKind::Peer;
        let lives = peer && node.heard && node.status != NodeStatus::Dead;
        let shown = node.is_systole_peer() || node.acked > Sequence(0);
        let receives_us = match self.deaf_since(node) {
            Some(_) if node.ears.told => Some(false),
            Some(_) => None,
            None => (lives && shown).then_some(true),
        };
        let changed = |link: &'_ Link| Some((link.medium().clone(), link.changed()?));
        Some(Reception {
            systole: (peer && node.heard).then(|| node.is_systole_peer()),
            heard: node.last_status.filter(|_| node.heard),
            receives_us,
            deaf_on: node.ears.deaf_on(),
            changed: node.links.iter().filter_map(changed).collect(),
        })
    }

    /// What the node waits for before it is active, as text for people.
    #[must_use]
    pub fn waits_for(&self, now: Monotonic) -> Option<String> {
        match &self.phase {
            Phase::Stopped | Phase::Up => None,
            Phase::Starting => Some("waits for its media to open".to_owned()),
            Phase::Waiting => {
                let unheard = self.nodes.iter().filter(|node| {
                    node.kind != NodeKind::Own && !node.heard && node.status != NodeStatus::Dead
                });
                let names: Vec<&str> = unheard.map(|node| node.name.as_str()).collect();
                let initdead = self.opened_at? + self.settings.timing.initdead;
                let left = initdead.since(now).as_secs().saturating_add(1);
                Some(format!(
                    "waits to receive {}, at most {left} s more (initdead)",
                    names.join(", ")
                ))
            }
            Phase::Asking { node, .. } => Some(format!("waits for the node list of {node}")),
        }
    }

    /// Problems of reception in either direction, as text for people.
    #[must_use]
    pub fn hearing_troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        for node in self.nodes.iter().filter(|node| node.kind == NodeKind::Peer) {
            let name = node.name.to_string();
            if node.ears.links_judged {
                troubles.extend(never_up(node).map(|notice| notice.to_string()));
            }
            if node.ears.told {
                troubles.push(Notice::NotHeard { node: name }.to_string());
            } else if node.status == NodeStatus::Dead && node.generation == Generation(0) {
                troubles.push(Notice::NeverHeard { node: name }.to_string());
            }
        }
        if self.said.own_judged {
            for medium in self.unheard_by_ourselves() {
                let medium = medium.to_string();
                troubles.push(Notice::OwnNotHeard { medium }.to_string());
            }
        }
        for medium in &self.said.to_itself {
            let medium = medium.to_string();
            troubles.push(Notice::SendsToItself { medium }.to_string());
        }
        for node in &self.said.strangers {
            troubles.push(format!(
                "node {node} is received, but no node line here names it"
            ));
        }
        troubles
    }

    /// Whether an own message came back on a medium within a dead time. The own link does not tell: it never dies.
    fn hears_itself(&self, medium: &MediumName, now: Monotonic) -> bool {
        let own = self.nodes.find(self.settings.local.as_str());
        let links = own.and_then(|own| self.nodes.get(own));
        let mut links = links.into_iter().flat_map(|own| &own.links);
        let link = links.find(|link| link.medium() == medium);
        let heard = link.and_then(Link::heard);
        heard.is_some_and(|heard| now.since(heard) < self.settings.timing.deadtime)
    }

    /// Whose messages arrive on each medium. Own messages are no sign that it works: a broadcast comes back from the own
    /// host, and so does what is sent into a looped cable.
    pub fn receives(&self, now: Monotonic) -> impl Iterator<Item = (&MediumName, Receives)> {
        self.settings.media.iter().map(move |medium| {
            let peers = self.nodes.iter().filter(|node| node.kind == NodeKind::Peer);
            let mut links = peers.flat_map(|node| &node.links);
            let receives = if links.any(|link| link.medium() == medium && link.is_up()) {
                Receives::Others
            } else if self.hears_itself(medium, now) {
                Receives::Itself
            } else {
                Receives::Nothing
            };
            (medium, receives)
        })
    }

    /// Whether own messages come back on a medium, as far as its kind is known.
    #[must_use]
    pub fn returns(&self, medium: &MediumName) -> Option<bool> {
        self.settings.returns.get(medium).copied()
    }
}

/// Links of a node that never came up, if another one is up.
fn never_up(node: &Node) -> impl Iterator<Item = Notice> + '_ {
    let redundant = node.links.iter().any(Link::is_up);
    let never = move |link: &&Link| redundant && !link.was_up();
    node.links
        .iter()
        .filter(never)
        .map(|link| Notice::LinkNeverUp {
            node: node.name.to_string(),
            medium: link.medium().to_string(),
        })
}
