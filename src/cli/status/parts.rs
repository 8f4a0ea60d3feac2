//! What is said of a node, part by part: the one source of the words of `systole status`, of `systole top` and of the
//! page of `systole-web`.

use super::super::screen::Tone;
use super::super::{check, monitor};
use super::{full_time, tone_of};
use crate::cli::check::{State, name_of};
use crate::clients::control::{
    DecisionReport, GroupAnswer, GroupView, MediumView, NodeReport, PeerReport, Place, Receives,
    View,
};
use crate::os::sys;

/// A word with its tone.
pub type Word = (Tone, String);

/// Most lines about what is waited for.
const MAX_WAITS: usize = 3;

/// Everything that is said of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// What `systole check` says, the worst first.
    pub verdict: Vec<(State, String)>,
    /// What follows a freeze.
    pub thaw: Option<String>,
    /// What people have to know.
    pub remarks: Vec<String>,
    /// What is waited for.
    pub waits: Vec<String>,
    /// With which keys the nodes sign; may be empty.
    pub keys: String,
    /// All nodes.
    pub nodes: Vec<NodeRow>,
    /// Who hears whom.
    pub links: Links,
    /// In the order of haresources.
    pub groups: Vec<GroupRow>,
    /// The last move of this node; absent where it does not manage resources, or does not answer.
    pub last_move: Option<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// It is dead, or has left in order.
    pub gone: bool,
    /// Its status.
    pub state: Word,
    /// What is known beside it.
    pub facts: Vec<String>,
}

/// Who hears whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Links {
    /// No medium.
    None,
    /// This node has no other one to hear.
    Alone(Vec<(String, Option<Fault>)>),
    /// Both ways between the nodes of a pair.
    Pair(PairLinks),
    /// What this node hears of several.
    Many(ManyLinks),
}

/// Why a medium does not work: a loud word, and the reason.
pub type Fault = (&'static str, String);

/// Both ways between the nodes of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairLinks {
    /// `alpha hears beta`.
    pub here: String,
    /// `beta hears alpha`.
    pub there: String,
    /// One for each medium.
    pub rows: Vec<LinkRow>,
    /// Media of the other node, by its names, on which it does not hear this one.
    pub elsewhere: Vec<String>,
}

/// One medium of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// Its name and kind.
    pub name: String,
    /// Whether this node hears the other one, and the other way round; absent: it is not open.
    pub both: Option<(Word, Word)>,
    /// Why it does not work.
    pub fault: Option<Fault>,
}

/// What this node hears of several others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyLinks {
    /// `alpha hears`.
    pub here: String,
    /// The other nodes.
    pub rows: Vec<HeardNode>,
    /// Media that do not work.
    pub faults: Vec<(String, Fault)>,
}

/// What this node hears of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardNode {
    /// Its name.
    pub name: String,
    /// On each medium.
    pub media: Vec<(String, Word)>,
    /// That it does not hear this one.
    pub deaf: Option<String>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its key.
    pub key: String,
    /// Where it runs, or why it does not.
    pub state: Word,
    /// Since when, and what else follows at once; begins with a blank or a comma, or is empty.
    pub since: String,
    /// Its further resources.
    pub then: Vec<String>,
    /// What is wrong with its resources.
    pub troubles: Vec<Word>,
    /// The last words of a script that failed.
    pub said: Option<String>,
}

impl Parts {
    /// What is said of this view. `now_unix_s`: seconds since 1970.
    #[must_use]
    pub fn of(view: &View, now_unix_s: u64) -> Self {
        let shown = Shown { now_unix_s };
        let mut parts = Self {
            verdict: check::findings(view),
            thaw: None,
            remarks: Vec::new(),
            waits: Vec::new(),
            keys: String::new(),
            nodes: Vec::new(),
            links: Links::None,
            groups: Vec::new(),
            last_move: None,
        };
        let Some(node) = &view.node else {
            return parts;
        };
        if node.frozen && !node.waiting.is_empty() {
            let gone = node.waiting.join(", ");
            let text = format!("at the thaw the resources of {gone} are taken");
            parts.thaw = Some(text);
        }
        parts.remarks.clone_from(&node.remarks);
        parts.waits = node.waits.iter().take(MAX_WAITS).cloned().collect();
        parts.keys = keys_of(node);
        let rows = node.nodes.iter();
        parts.nodes = rows
            .map(|peer| shown.node(node, peer, &view.groups))
            .collect();
        parts.links = shown.links(node, &view.media);
        let rows = view.groups.iter();
        parts.groups = rows.map(|group| shown.group(node, group)).collect();
        parts.last_move = node.rscstatus.as_ref().map(|_| shown.last_move(node));
        parts
    }
}

/// `beta` and nodes like it: other members.
fn peers(node: &NodeReport) -> impl Iterator<Item = &PeerReport> {
    let others = node.nodes.iter();
    others.filter(|peer| !peer.ping && peer.name != node.name)
}

/// With which keys the nodes sign, as far as that is known.
fn keys_of(node: &NodeReport) -> String {
    let known = node.nodes.iter();
    let mut known = known.filter_map(|it| Some((it.name.as_str(), it.key?)));
    let Some((first, number)) = known.next() else {
        return String::new();
    };
    let others: Vec<_> = known.collect();
    if !others.is_empty() && others.iter().all(|(_, other)| *other == number) {
        return format!("  all sign with key {number}");
    }
    let others = others
        .iter()
        .map(|(name, key)| format!(", {name} with key {key}"));
    format!(
        "  {first} signs with key {number}{}",
        others.collect::<String>()
    )
}

/// A decision on one line. `now_unix_s`: seconds since 1970.
#[must_use]
pub fn decision(it: &DecisionReport, now_unix_s: u64) -> String {
    let at = Shown { now_unix_s }.when(it.unix_s);
    format!("{at}  {}: {}", it.what, it.cause)
}

/// Times are said as seen from now.
pub(super) struct Shown {
    pub(super) now_unix_s: u64,
}

impl Shown {
    /// A time of today without its date.
    pub(super) fn when(&self, unix_s: u64) -> String {
        let (today, then) = (sys::local_time(self.now_unix_s), sys::local_time(unix_s));
        if (today.year, today.month, today.day) == (then.year, then.month, then.day) {
            format!("{:02}:{:02}:{:02}", then.hour, then.minute, then.second)
        } else {
            let time = full_time(unix_s);
            time.get(..16).unwrap_or(&time).to_owned()
        }
    }

    fn node(&self, node: &NodeReport, peer: &PeerReport, groups: &[GroupView]) -> NodeRow {
        let (tone, word) = match peer.status.as_str() {
            _ if peer.left => (Tone::Warn, "left"),
            "active" => (Tone::Good, "active"),
            "ping" => (Tone::Good, "answers"),
            "dead" if peer.ping => (Tone::Bad, "silent"),
            "dead" => (Tone::Bad, "dead"),
            other => (Tone::Warn, other),
        };
        let facts = if peer.name == node.name {
            self.about_this_node(node, peer, groups)
        } else {
            self.about(peer, groups)
        };
        NodeRow {
            name: peer.name.clone(),
            gone: peer.left || peer.status == "dead",
            state: (tone, word.to_owned()),
            facts,
        }
    }

    fn about_this_node(
        &self,
        node: &NodeReport,
        own: &PeerReport,
        groups: &[GroupView],
    ) -> Vec<String> {
        let mut facts = vec!["this node".to_owned()];
        match node.rscstatus.as_deref() {
            None => facts.push("resources are not managed".to_owned()),
            Some("transition") => facts.push("in transition".to_owned()),
            Some(_) => {}
        }
        if !groups.is_empty() {
            let runs = groups.iter().filter(|group| group.place == Place::Here);
            facts.push(runs_groups(runs.count()));
        }
        facts.extend(self.since(own));
        facts.push(format!("pid {}", node.pid));
        facts
    }

    fn about(&self, peer: &PeerReport, groups: &[GroupView]) -> Vec<String> {
        let mut facts = Vec::new();
        match peer.program.as_deref() {
            Some("systole") => facts.push("Systole".to_owned()),
            Some("legacy") => facts.push("legacy Heartbeat".to_owned()),
            Some(_) | None => {}
        }
        if peer.ping {
            facts.push("ping node".to_owned());
        }
        if peer.left {
            facts.push("released everything in order".to_owned());
        }
        let there = groups.iter();
        let there = there.filter(|group| group.runs_on.as_deref() == Some(&peer.name));
        let count = there.count();
        let unknown = |group: &GroupView| group.place == Place::Unknown && !group.busy;
        let told = peer.status == "active" && !groups.iter().any(unknown);
        if count > 0 || (told && !peer.ping && !peer.left && !groups.is_empty()) {
            facts.push(runs_groups(count));
        }
        facts.extend(self.since(peer));
        if let Some(ms) = peer.heard_ms_ago.filter(|_| peer.status != "dead") {
            facts.push(format!("heard {}.{} s ago", ms / 1000, ms / 100 % 10));
        }
        facts
    }

    fn since(&self, peer: &PeerReport) -> Option<String> {
        let since = peer.since_unix_s?;
        Some(format!("since {}", self.when(since)))
    }

    fn links(&self, node: &NodeReport, media: &[MediumView]) -> Links {
        if media.is_empty() {
            return Links::None;
        }
        let mut others = peers(node);
        match (others.next(), others.next()) {
            (Some(peer), None) => Links::Pair(self.both_ways(node, peer, media)),
            (None, _) => {
                let media = media.iter();
                Links::Alone(media.map(|it| (name_of(it), fault_of(it))).collect())
            }
            (Some(_), Some(_)) => Links::Many(self.many(node, media)),
        }
    }

    fn both_ways(&self, node: &NodeReport, peer: &PeerReport, media: &[MediumView]) -> PairLinks {
        let row = |medium: &MediumView| LinkRow {
            name: name_of(medium),
            both: medium
                .open
                .then(|| (self.hears(peer, medium), is_heard(peer, medium, media))),
            fault: fault_of(medium),
        };
        let known = |name: &&String| !media.iter().any(|medium| medium.name == **name);
        PairLinks {
            here: format!("{} hears {}", node.name, peer.name),
            there: format!("{} hears {}", peer.name, node.name),
            rows: media.iter().map(row).collect(),
            elsewhere: peer.deaf_on.iter().filter(known).cloned().collect(),
        }
    }

    /// Whether this node hears another one on a medium.
    fn hears(&self, peer: &PeerReport, medium: &MediumView) -> (Tone, String) {
        let link = peer.links.iter().find(|(name, _)| *name == medium.name);
        let Some((_, up)) = link else {
            return (Tone::Plain, "-".to_owned());
        };
        // Media of one interface share their link: this one may bring nothing while another works.
        if let Some(why) = check::is_deaf(medium, *up) {
            return (Tone::Bad, format!("NO ({why})"));
        }
        if *up {
            return (Tone::Good, "yes".to_owned());
        }
        // The node is gone, not the cable.
        let gone = peer.left || peer.status == "dead";
        let (tone, no) = if gone {
            (Tone::Plain, "no")
        } else {
            (Tone::Bad, "NO")
        };
        let since = match peer.links_changed_unix_s.get(&medium.name) {
            Some(at) => format!(", since {}", self.when(*at)),
            None if gone => String::new(),
            None => ", never".to_owned(),
        };
        let own = medium.receives == Some(Receives::Itself) && !gone;
        let own = if own { " (only own messages)" } else { "" };
        (tone, format!("{no}{since}{own}"))
    }

    fn many(&self, node: &NodeReport, media: &[MediumView]) -> ManyLinks {
        let row = |peer: &PeerReport| {
            let heard = media.iter();
            let heard = heard.map(|it| (it.name.clone(), self.hears(peer, it)));
            let deaf = peer.receives_this_node == Some(false);
            HeardNode {
                name: peer.name.clone(),
                media: heard.collect(),
                deaf: deaf.then(|| format!("does NOT hear {}", node.name)),
            }
        };
        let faults = media.iter();
        let faults = faults.filter_map(|it| Some((name_of(it), fault_of(it)?)));
        ManyLinks {
            here: format!("{} hears", node.name),
            rows: peers(node).map(row).collect(),
            faults: faults.collect(),
        }
    }

    fn group(&self, node: &NodeReport, group: &GroupView) -> GroupRow {
        let checked = monitor::all_checked(group).unwrap_or_default();
        let troubles = monitor::troubles(group).into_iter();
        let troubles = troubles.map(|(state, text)| (tone_of(state.max(State::Warning)), text));
        GroupRow {
            key: group.key.clone(),
            state: state_of(node, group),
            since: self.since_when(node, group) + &checked,
            then: group.resources.iter().skip(1).cloned().collect(),
            troubles: troubles.collect(),
            said: group.said.clone().filter(|_| !group.busy),
        }
    }

    /// Since when it is so, and its owner if it runs elsewhere.
    fn since_when(&self, node: &NodeReport, group: &GroupView) -> String {
        let runs = group.runs_on.as_deref();
        let mut text = match (group.place, group.changed_unix_s, &group.last) {
            (Place::Here, Some(at), Some(GroupAnswer::Started)) => {
                format!(" since {}", self.when(at))
            }
            (Place::Here, None, _) => match node.began_unix_s {
                0 => String::new(),
                began => format!(" since before {}", self.when(began)),
            },
            (Place::Other, Some(at), Some(GroupAnswer::Stopped)) => {
                format!(", stopped on {} at {}", node.name, self.when(at))
            }
            (_, Some(at), Some(last)) if is_failure(last) => format!(", at {}", self.when(at)),
            _ => String::new(),
        };
        if runs.is_some_and(|name| name != group.owner) {
            text.push_str(&format!("; its owner is {}", group.owner));
        }
        text
    }

    fn last_move(&self, node: &NodeReport) -> String {
        match (&node.last_move, node.began_unix_s) {
            (Some(last), _) => decision(last, self.now_unix_s),
            (None, 0) => "none since the daemon began".to_owned(),
            (None, began) => format!("none since the daemon began at {}", self.when(began)),
        }
    }
}

fn runs_groups(count: usize) -> String {
    match count {
        0 => "runs no group".to_owned(),
        1 => "runs 1 group".to_owned(),
        more => format!("runs {more} groups"),
    }
}

/// Why a medium does not work.
fn fault_of(medium: &MediumView) -> Option<Fault> {
    if !medium.open {
        let reason = medium.reason.as_deref().unwrap_or("not opened yet");
        return Some(("NOT OPEN", format!("{reason} (trying again)")));
    }
    let trouble = medium.trouble.clone();
    trouble.map(|trouble| ("CANNOT SEND", trouble))
}

/// Whether the other node hears this one on a medium, as far as it tells.
fn is_heard(peer: &PeerReport, medium: &MediumView, media: &[MediumView]) -> (Tone, String) {
    let systole = peer.program.as_deref() == Some("systole");
    let told = systole || media.len() == 1;
    match peer.receives_this_node {
        _ if peer.left || peer.status == "dead" => (Tone::Plain, "-".to_owned()),
        None => (Tone::Warn, "not known".to_owned()),
        Some(false) => (Tone::Bad, "NO".to_owned()),
        Some(true) if peer.deaf_on.contains(&medium.name) => (Tone::Bad, "NO".to_owned()),
        Some(true) if told => (Tone::Good, "yes".to_owned()),
        Some(true) => (Tone::Plain, "yes, here or on another".to_owned()),
    }
}

const fn is_failure(answer: &GroupAnswer) -> bool {
    matches!(
        answer,
        GroupAnswer::StartFailed { .. }
            | GroupAnswer::AddressTaken { .. }
            | GroupAnswer::StopFailed { .. }
    )
}

/// Where a group runs, or why it does not.
fn state_of(node: &NodeReport, group: &GroupView) -> (Tone, String) {
    if group.unanswered {
        let text =
            "NOBODY ANSWERS for its addresses, although the other node holds it: systole why";
        return (Tone::Bad, text.to_owned());
    }
    if group.busy {
        let word = if group.wanted { "started" } else { "stopped" };
        return (Tone::Warn, format!("is being {word} on {}", node.name));
    }
    if !group.absent.is_empty() {
        let addresses = group.absent.join(", ");
        let text = format!("ADDRESS GONE: {addresses} is not on this host: systole why");
        return (Tone::Bad, text);
    }
    let failed = group.last.as_ref().and_then(|last| match last {
        GroupAnswer::StartFailed { resource, code } => {
            Some(format!("FAILED: start of {resource} ended with {code}"))
        }
        GroupAnswer::AddressTaken { claim } => Some(format!(
            "NOT STARTED: another host has its address: {claim}"
        )),
        GroupAnswer::StopFailed { resource } => {
            Some(format!("FAILED: {resource} cannot be stopped"))
        }
        _ => None,
    });
    let moves = node.rscstatus.as_deref() == Some("transition");
    match (group.place, &group.runs_on, failed) {
        // A node that gives a group away says so when all of it is done.
        (Place::Other, Some(there), None) if moves => {
            (Tone::Warn, format!("runs on {there}, by its last report"))
        }
        (Place::Other, Some(there), None) => (Tone::Good, format!("runs on {there}")),
        (Place::Other, Some(there), Some(failed)) => {
            (Tone::Warn, format!("runs on {there}; here {failed}"))
        }
        (_, _, Some(failed)) => (Tone::Bad, failed),
        (Place::Here, ..) => (Tone::Good, format!("runs on {}", node.name)),
        (Place::Nowhere, ..) if check::is_settled(node) => {
            (Tone::Bad, "RUNS ON NO NODE".to_owned())
        }
        (Place::Nowhere, ..) => (Tone::Warn, "runs on no node yet".to_owned()),
        (Place::Other | Place::Unknown, ..) => {
            let text = "does not run here; not known whether it runs on the other node";
            (Tone::Warn, text.to_owned())
        }
    }
}
