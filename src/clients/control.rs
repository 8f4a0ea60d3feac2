//! Root's way to ask the running daemon: what our helper programs and `systole` use.
//!
//! One connection carries one request and one reply, each a line of JSON. The daemon's side is
//! [`crate::actors::control`]. Nothing here starts or stops a resource by itself: a request about
//! a group gets the outcome of what the daemon does anyway, so that the daemon's groups stay the
//! only ones who run resource scripts.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde::{Deserialize, Serialize};

use crate::clock::Monotonic;
use crate::node::Node;
use crate::protocol::decisions::Decision;
use crate::protocol::link;

/// Longest request line, newline included: a verb and a resource word, and ha.cf lines end at 5119.
pub const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// Longest reply line: a view of some hundred groups with long words.
pub const MAX_REPLY_BYTES: u64 = 4 * 1024 * 1024;

/// A question to the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Everything the daemon knows now.
    View,
    /// The last decisions. Over the client socket others than root may ask, but that one is open
    /// only when the node is active.
    Why,
    /// The outcome of the start of a group that this node holds; waits for it.
    GroupStart {
        /// Key of the group.
        key: String,
    },
    /// The outcome of the stop of a group; waits for it.
    GroupStop {
        /// Key of the group.
        key: String,
    },
    /// What is known of a group; does not wait.
    GroupStatus {
        /// Key of the group.
        key: String,
    },
    /// What is known of the fencing devices.
    Fence,
    /// The same, after each device was asked now; and what a reset of this node would run.
    FenceTest {
        /// The node.
        node: String,
    },
    /// A person says that this node is off: its takeover waits for no device any more.
    FenceConfirm {
        /// The node.
        node: String,
        /// The person.
        by: String,
    },
    /// A panic in one supervised actor, for tests: not in the program that is delivered.
    #[cfg(debug_assertions)]
    Panic {
        /// Its name; absent: only say which there are. The reply, [`Reply::Refused`], has the names
        /// of all, one a line.
        actor: Option<String>,
    },
    /// One supervised actor never comes back, and its thread with it: for tests, likewise.
    #[cfg(debug_assertions)]
    Hang {
        /// Its name.
        actor: String,
    },
}

/// The daemon's answer.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on its way to a socket"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// To [`Request::View`].
    View(View),
    /// To [`Request::Why`], the oldest first.
    Decisions {
        /// They.
        decisions: Vec<DecisionReport>,
    },
    /// To the requests about a group.
    Group(GroupAnswer),
    /// To [`Request::Fence`] and [`Request::FenceTest`].
    Fence(FenceReport),
    /// To [`Request::FenceConfirm`].
    Confirmed,
    /// The request was not understood or cannot be answered.
    Refused {
        /// Why.
        reason: String,
    },
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionReport {
    /// When, in seconds since 1970.
    pub unix_s: u64,
    /// What the node does, or does not do.
    pub what: String,
    /// Why.
    pub cause: String,
}

impl From<Decision> for DecisionReport {
    fn from(decision: Decision) -> Self {
        let Decision {
            unix_s,
            what,
            cause,
        } = decision;
        Self {
            unix_s,
            what,
            cause,
        }
    }
}

/// What comes of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "group", rename_all = "snake_case")]
pub enum GroupAnswer {
    /// Every resource was started or found running.
    Started,
    /// A start failed; the group was stopped again.
    StartFailed {
        /// The resource word that failed.
        resource: String,
        /// Its exit code.
        code: i32,
    },
    /// Another host has one of its addresses: it was not started.
    AddressTaken {
        /// Which address, and where it is.
        claim: String,
    },
    /// Nothing of it runs, or this node was never told to run it.
    Stopped,
    /// A resource could not be stopped.
    StopFailed {
        /// The resource word that still runs.
        resource: String,
    },
    /// Work on it is under way; only as an answer about its status.
    Busy,
    /// A start was asked for, but this node is not to run the group.
    NotHeld,
    /// A stop was asked for, but this node is to run the group.
    Held,
    /// No such key was in haresources when the daemon read it.
    Unknown,
}

/// The state of the node and its groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// From membership; absent while it does not answer.
    pub node: Option<NodeReport>,
    /// In the order of haresources.
    pub groups: Vec<GroupView>,
    /// The media between nodes that ha.cf names: networks, then serial lines.
    #[serde(default)]
    pub media: Vec<MediumView>,
    /// The fencing devices; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fencing: Option<FenceReport>,
    /// Absent where ha.cf names no watchdog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<WatchdogReport>,
}

/// One medium between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediumView {
    /// Name that its links carry: the interface or the device path. Two media of one interface share it.
    pub name: String,
    /// Its directives in ha.cf.
    pub kinds: Vec<String>,
    /// Whether it is open.
    pub open: bool,
    /// Why it is not open, as far as that is known. It is tried again.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whose messages arrive on it; absent while membership does not answer.
    #[serde(default)]
    pub receives: Option<Receives>,
}

/// Whose messages arrive on a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receives {
    /// Those of another node: it works.
    Others,
    /// Only our own. That shows nothing about the way to another node, so it does not count as working.
    Itself,
    /// None.
    Nothing,
}

impl From<link::Receives> for Receives {
    fn from(receives: link::Receives) -> Self {
        match receives {
            link::Receives::Others => Self::Others,
            link::Receives::Itself => Self::Itself,
            link::Receives::Nothing => Self::Nothing,
        }
    }
}

impl MediumView {
    /// `closed`: why it is not open; may be empty.
    #[must_use]
    pub fn new(name: String, kinds: Vec<String>, closed: Option<String>) -> Self {
        Self {
            name,
            kinds,
            open: closed.is_none(),
            reason: closed.filter(|reason| !reason.is_empty()),
            receives: None,
        }
    }
}

/// The fencing devices of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FenceReport {
    /// In the order in which they are tried.
    pub devices: Vec<FenceDeviceReport>,
    /// Longest run of one call, in seconds.
    pub time_limit_s: u64,
    /// The longest time that a device took for a good answer, in milliseconds.
    pub longest_answer_ms: u64,
    /// Nodes that are being reset now.
    #[serde(default)]
    pub resetting: Vec<String>,
    /// The dead nodes; absent: membership did not answer.
    #[serde(default)]
    pub waiting: Option<FencesReport>,
}

/// The dead nodes that are to be fenced.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FencesReport {
    /// How much longer than another one this node waits before it fences when it serves nothing, in
    /// milliseconds.
    pub delay_ms: u64,
    /// `fence_by_watchdog` in seconds, if it is on.
    #[serde(default)]
    pub by_watchdog_s: Option<u64>,
    /// One after the other.
    pub nodes: Vec<FenceWait>,
}

/// A dead node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceWait {
    /// The node.
    pub node: String,
    /// `waits`, `fencing`, `failed`, `fenced`; `earlier`, `earlier, done` and `earlier, lost` while an
    /// earlier process has left it, and it was not declared dead anew.
    pub state: String,
    /// In how many milliseconds the next order is given, if nothing is in the way.
    #[serde(default)]
    pub next_ms: Option<u64>,
    /// In how many milliseconds it counts as reset by its watchdog.
    #[serde(default)]
    pub counts_ms: Option<u64>,
    /// Orders so far.
    pub attempts: u32,
    /// The device's words at the last failure.
    #[serde(default)]
    pub words: Option<String>,
}

impl FencesReport {
    /// What `node` waits for now.
    #[must_use]
    pub fn of(node: &Node, now: Monotonic) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let nodes = node.fences().map(|it| FenceWait {
            node: it.node.to_string(),
            state: it.state.to_owned(),
            next_ms: it.next.map(|at| millis(at.since(now))),
            counts_ms: it.counts.map(|at| millis(at.since(now))),
            attempts: it.attempts,
            words: it.words.map(str::to_owned),
        });
        Self {
            delay_ms: millis(node.fence_delay().unwrap_or_default()),
            by_watchdog_s: node.fence_by_watchdog().map(|time| time.as_secs()),
            nodes: nodes.collect(),
        }
    }
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FenceDeviceReport {
    /// Its type.
    pub kind: String,
    /// The line that names it: `file:line`.
    pub place: String,
    /// Nodes that it can reset; absent: it has not said so.
    pub hosts: Option<Vec<String>>,
    /// Whether it works; absent: it was not asked yet.
    pub works: Option<bool>,
    /// When it was asked last, in seconds since 1970.
    pub asked_unix_s: Option<u64>,
    /// How long it took then, in milliseconds.
    pub answer_ms: Option<u64>,
    /// What is wrong, in its own words.
    pub trouble: Option<String>,
    /// Of a test: the command that would reset the node, and its input in lines with a `<`. Secrets
    /// are hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_run: Vec<String>,
}

/// The state of the watchdog device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogReport {
    /// The device.
    pub device: String,
    /// It is open, and restarts the machine when it is not fed.
    pub armed: bool,
    /// After so many seconds; absent where the device knows none.
    #[serde(default)]
    pub interval_s: Option<u64>,
    /// Why it does not watch over this node, or is about to restart the machine.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// What membership knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Own name.
    pub name: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Own status word.
    pub status: String,
    /// `none`, `local`, `foreign`, `all` or `transition`; absent where resources are not managed.
    pub rscstatus: Option<String>,
    /// Generation we run under.
    pub generation: u64,
    /// Whether a stop is under way.
    pub stopping: bool,
    /// Whether nothing is started or stopped, for maintenance.
    #[serde(default)]
    pub frozen: bool,
    /// While frozen: nodes that are gone and whose groups are taken at the thaw.
    #[serde(default)]
    pub waiting: Vec<String>,
    /// What it waits for before it is active.
    #[serde(default)]
    pub waits_for: Option<String>,
    /// What it wants to begin, and what holds that back.
    #[serde(default)]
    pub waits: Vec<String>,
    /// What is wrong with who hears whom.
    #[serde(default)]
    pub troubles: Vec<String>,
    /// What people have to know of groups that are not where they belong.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Groups that a legacy node says it holds, and that node.
    #[serde(default)]
    pub held_by_legacy: Vec<(String, String)>,
    /// All nodes in table order.
    pub nodes: Vec<PeerReport>,
    /// Whose messages arrive on each medium; shown with the media.
    #[serde(skip)]
    pub receives: BTreeMap<String, Receives>,
}

/// One node as seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReport {
    /// Name.
    pub name: String,
    /// Whether it is a ping node or ping group.
    pub ping: bool,
    /// Status word.
    pub status: String,
    /// Media and whether each is up. Of the own node only those that bring back what it sends.
    pub links: Vec<(String, bool)>,
}

/// One group as its actor reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Key.
    pub key: String,
    /// Preferred node.
    pub owner: String,
    /// Whether the last order was to start it.
    pub wanted: bool,
    /// Whether an order is being carried out or waits.
    pub busy: bool,
    /// Outcome of the last finished order.
    pub last: Option<GroupAnswer>,
    /// The last words of a script that failed in it, and which.
    #[serde(default)]
    pub said: Option<String>,
    /// A legacy node says that it holds it, and nobody on the network answers for its addresses.
    #[serde(default)]
    pub unanswered: bool,
    /// Its addresses that are not on this host although it runs here.
    #[serde(default)]
    pub absent: Vec<String>,
}

#[cfg(test)]
impl NodeReport {
    /// A node that is alone and active, for tests.
    pub(crate) fn example() -> Self {
        Self {
            name: "alpha".to_owned(),
            pid: 7,
            status: "active".to_owned(),
            rscstatus: Some("local".to_owned()),
            generation: 3,
            stopping: false,
            frozen: false,
            waiting: Vec::new(),
            waits_for: None,
            waits: Vec::new(),
            troubles: Vec::new(),
            remarks: Vec::new(),
            held_by_legacy: Vec::new(),
            nodes: Vec::new(),
            receives: BTreeMap::new(),
        }
    }
}

impl NodeReport {
    /// What `node` knows now.
    #[must_use]
    pub fn of(node: &Node, now: Monotonic) -> Self {
        let membership = node.membership();
        let peers = node.nodes().map(|peer| PeerReport {
            name: peer.name.to_string(),
            ping: peer.ping,
            status: peer.status.to_string(),
            links: peer
                .links
                .iter()
                .filter(|(medium, up)| {
                    *up || !peer.own || membership.returns(medium) != Some(false)
                })
                .map(|(medium, up)| (medium.to_string(), *up))
                .collect(),
        });
        Self {
            name: node.local().to_string(),
            pid: std::process::id(),
            status: node.status().to_string(),
            rscstatus: node.rscstatus().map(str::to_owned),
            generation: node.generation().0,
            stopping: node.stopping(),
            frozen: node.frozen(),
            waiting: node.waits_for_thaw().map(ToString::to_string).collect(),
            waits_for: membership.waits_for(now),
            waits: node.waits(),
            troubles: membership.hearing_troubles(),
            remarks: node.remarks(),
            held_by_legacy: node
                .held_by_legacy()
                .map(|(key, node)| (key.to_string(), node.to_string()))
                .collect(),
            nodes: peers.collect(),
            receives: membership
                .receives(now)
                .map(|(medium, receives)| (medium.to_string(), receives.into()))
                .collect(),
        }
    }
}

/// Why the daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error("no daemon listens on {path}")]
    NoDaemon {
        /// The socket.
        path: String,
    },
    /// Something listens that is neither root's nor ours.
    #[error("{path} is served by user {uid}, not by root")]
    Stranger {
        /// The socket.
        path: String,
        /// Who serves it.
        uid: u32,
    },
    /// No answer in time.
    #[error("no answer within {seconds} s")]
    Late {
        /// How long was waited.
        seconds: u64,
    },
    /// The answer makes no sense.
    #[error("the daemon's answer cannot be read: {0}")]
    Answer(#[from] serde_json::Error),
    /// Anything else.
    #[error("asking the daemon failed: {0}")]
    Io(#[source] io::Error),
}

/// Asks the daemon and waits for its reply, at most `patience`. Blocking: for programs, not actors.
///
/// # Errors
/// [`ControlError`]; [`ControlError::NoDaemon`] is the ordinary answer when none runs.
pub fn ask(path: &Path, request: &Request, patience: Duration) -> Result<Reply, ControlError> {
    let shown = || path.display().to_string();
    let mut stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NoDaemon { path: shown() }
        }
        _ => ControlError::Io(error),
    })?;
    // The directory belongs to hacluster, who could put a socket of its own in this place.
    let peer = getsockopt(&stream, PeerCredentials)
        .map_err(|errno| ControlError::Io(errno.into()))?
        .uid();
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        return Err(ControlError::Stranger {
            path: shown(),
            uid: peer,
        });
    }
    let in_time = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ControlError::Late {
            seconds: patience.as_secs(),
        },
        _ => ControlError::Io(error),
    };
    let limit = Some(patience.max(Duration::from_millis(1)));
    stream.set_read_timeout(limit).map_err(ControlError::Io)?;
    stream.set_write_timeout(limit).map_err(ControlError::Io)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(in_time)?;
    let mut reply = Vec::new();
    BufReader::new(stream.take(MAX_REPLY_BYTES))
        .read_until(b'\n', &mut reply)
        .map_err(in_time)?;
    Ok(serde_json::from_slice(&reply)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_single_lines_that_read_back() {
        let requests = [
            (Request::View, r#"{"request":"view"}"#),
            (
                Request::GroupStart {
                    key: "IPaddr::10.0.0.1".to_owned(),
                },
                r#"{"request":"group_start","key":"IPaddr::10.0.0.1"}"#,
            ),
        ];
        for (request, text) in requests {
            assert_eq!(serde_json::to_string(&request).expect("json"), text);
            assert_eq!(
                serde_json::from_str::<Request>(text).expect("json"),
                request
            );
        }
        let reply = Reply::Group(GroupAnswer::StartFailed {
            resource: "a\nb".to_owned(),
            code: 7,
        });
        let text = serde_json::to_string(&reply).expect("json");
        assert!(!text.contains('\n'));
        assert_eq!(serde_json::from_str::<Reply>(&text).expect("json"), reply);
        let view = Reply::View(View {
            node: None,
            groups: Vec::new(),
            media: vec![MediumView::new("eth0".to_owned(), Vec::new(), None)],
            fencing: None,
            watchdog: None,
        });
        let text = serde_json::to_string(&view).expect("json");
        assert_eq!(serde_json::from_str::<Reply>(&text).expect("json"), view);
        // A daemon of before does not tell of its media.
        let before = r#"{"reply":"view","node":null,"groups":[]}"#;
        assert!(serde_json::from_str::<Reply>(before).is_ok());
        for bad in [
            "",
            "{}",
            r#"{"request":"reboot"}"#,
            r#"{"request":"group_start"}"#,
        ] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_daemon_is_told_apart() {
        let directory = tempfile::TempDir::new().expect("tempdir");
        let path = directory.path().join("ctl");
        let ask = || ask(&path, &Request::View, Duration::from_secs(1));
        assert!(matches!(ask(), Err(ControlError::NoDaemon { .. })));
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bind"));
        assert!(
            matches!(ask(), Err(ControlError::NoDaemon { .. })),
            "left over"
        );
    }
}
