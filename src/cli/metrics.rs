//! `systole metrics`: what a Prometheus server scrapes, made from the same view as `systole status`.
//!
//! One table, [`TABLE`], is the source of both text forms and of `docs/reference/metrics.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::check;
use crate::clients::control::{
    GroupAnswer, GroupView, MediumCounts, MonitorState, MonitorView, NodeReport, PeerReport, Place,
    View,
};
use crate::process::files;

mod process;

pub use process::Process;

/// Prefix of all names but those of the process.
const PREFIX: &str = "systole_";

/// The two text forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus, version 0.0.4.
    Text,
    /// OpenMetrics, version 1.0.0.
    Open,
}

/// How values of a metric behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only rises, until the daemon begins anew. Its samples end with `_total`.
    Counter,
    /// Always 1: the labels tell. Its samples end with `_info`.
    Info,
}

impl Kind {
    /// Its word in the page.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
        }
    }
}

/// What the samples are made from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What the daemon reports; `None`: it does not answer.
    pub view: Option<&'a View>,
    /// The daemon's process, as the kernel reports it.
    pub process: Option<&'a Process>,
    /// Seconds since 1970.
    pub now_unix_s: u64,
}

impl<'a> Source<'a> {
    fn node(&self) -> Option<&'a NodeReport> {
        self.view?.node.as_ref()
    }

    fn groups(&self) -> &'a [GroupView] {
        self.view.map_or(&[], |view| view.groups.as_slice())
    }

    /// Other members.
    fn peers(&self) -> impl Iterator<Item = &'a PeerReport> {
        let others = self.nodes().filter(|peer| !peer.ping);
        let own = self.node().map(|node| node.name.as_str());
        others.filter(move |peer| own != Some(peer.name.as_str()))
    }

    fn nodes(&self) -> impl Iterator<Item = &'a PeerReport> {
        self.node().into_iter().flat_map(|node| &node.nodes)
    }
}

/// Label values in the order of the metric's labels, and the value.
type Sample = (Vec<String>, f64);

/// One metric.
pub struct Metric {
    /// Name without its prefix, and without `_total` or `_info`.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, for people.
    pub help: &'static str,
    /// It is one of the process, whose names have no prefix in any program.
    pub of_process: bool,
    samples: fn(Source<'_>) -> Vec<Sample>,
}

impl Metric {
    /// Name of the family.
    #[must_use]
    pub fn family(&self) -> String {
        let prefix = if self.of_process { "" } else { PREFIX };
        format!("{prefix}{}", self.name)
    }

    /// Name of its samples.
    #[must_use]
    pub fn sample_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Gauge => "",
            Kind::Counter => "_total",
            Kind::Info => "_info",
        };
        self.family() + suffix
    }

    fn write(&self, source: Source<'_>, form: Form, text: &mut String) {
        let samples = (self.samples)(source);
        if samples.is_empty() {
            return;
        }
        let (family, kind) = match (form, self.kind) {
            (Form::Open, kind) => (self.family(), kind.word()),
            (Form::Text, Kind::Info) => (self.sample_name(), "gauge"),
            (Form::Text, kind) => (self.sample_name(), kind.word()),
        };
        let _ = writeln!(text, "# HELP {family} {}", escaped(self.help));
        let _ = writeln!(text, "# TYPE {family} {kind}");
        for (values, value) in samples {
            let labels = self.labels.iter().zip(&values);
            let labels: Vec<String> = labels
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
                .collect();
            let labels = match labels.as_slice() {
                [] => String::new(),
                labels => format!("{{{}}}", labels.join(",")),
            };
            let _ = writeln!(text, "{}{labels} {value}", self.sample_name());
        }
    }
}

/// For a label value. The help texts have nothing to escape.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\");
    text.replace('"', "\\\"").replace('\n', "\\n")
}

/// All metrics in one of the text forms.
#[must_use]
pub fn text(source: Source<'_>, form: Form) -> String {
    let mut text = String::new();
    for metric in TABLE {
        metric.write(source, form, &mut text);
    }
    if form == Form::Open {
        text.push_str("# EOF\n");
    }
    text
}

/// Writes a file that everybody may read, whole or not at all: a reader never sees a part of it, nor the
/// part beside it, whose name does not end with `.prom`.
///
/// # Errors
/// What the system says.
pub fn write_file(path: &Path, text: &str) -> io::Result<()> {
    path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    files::replace_with_mode(path, text.as_bytes(), 0o644)
}

const fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

/// Counts and times are far below the 53 bits that are exact.
#[expect(clippy::cast_precision_loss, reason = "see above")]
const fn number(value: u64) -> f64 {
    value as f64
}

fn one(value: f64) -> Vec<Sample> {
    vec![(Vec::new(), value)]
}

/// One sample for this node.
fn of_node(source: Source<'_>, value: fn(&NodeReport) -> f64) -> Vec<Sample> {
    source.node().map(value).into_iter().flat_map(one).collect()
}

/// One for each other member.
fn of_peers(source: Source<'_>, value: impl Fn(&PeerReport) -> Option<f64>) -> Vec<Sample> {
    let sample = |peer: &PeerReport| Some((vec![peer.name.clone()], value(peer)?));
    source.peers().filter_map(sample).collect()
}

/// One for each value of a second label, for each group.
fn of_groups<const N: usize>(
    source: Source<'_>,
    values: impl Fn(&GroupView) -> [(&'static str, f64); N],
) -> Vec<Sample> {
    let groups = source.groups().iter();
    let samples = groups.flat_map(|group| {
        let key = group.key.clone();
        values(group).map(move |(word, value)| (vec![key.clone(), word.to_owned()], value))
    });
    samples.collect()
}

const STATUSES: [&str; 5] = ["init", "up", "active", "dead", "ping"];

fn node_status(source: Source<'_>) -> Vec<Sample> {
    let nodes = source.nodes().flat_map(|peer| {
        STATUSES.map(|status| {
            let labels = vec![peer.name.clone(), status.to_owned()];
            (labels, flag(peer.status == status))
        })
    });
    nodes.collect()
}

fn last_heard(source: Source<'_>) -> Vec<Sample> {
    let now = number(source.now_unix_s);
    of_peers(source, |peer| {
        let ms = peer.heard_ms_ago?;
        Some(now - number(ms / 1000))
    })
}

fn link_up(source: Source<'_>) -> Vec<Sample> {
    let links = source.peers().flat_map(|peer| {
        let links = peer.links.iter();
        links.map(|(medium, up)| (vec![peer.name.clone(), medium.clone()], flag(*up)))
    });
    links.collect()
}

fn ping_up(source: Source<'_>) -> Vec<Sample> {
    let nodes = source.nodes().filter(|peer| peer.ping);
    let up = |peer: &PeerReport| (vec![peer.name.clone()], flag(peer.status == "ping"));
    nodes.map(up).collect()
}

/// Nothing while something moves: the set is not known then.
fn holding(source: Source<'_>) -> Vec<Sample> {
    let word = source.node().and_then(|node| node.rscstatus.as_deref());
    let (local, foreign) = match word {
        Some("none") => (false, false),
        Some("local") => (true, false),
        Some("foreign") => (false, true),
        Some("all") => (true, true),
        _ => return Vec::new(),
    };
    let sample = |set: &str, held| (vec![set.to_owned()], flag(held));
    vec![sample("local", local), sample("foreign", foreign)]
}

/// The state of a group on this node.
fn group_state(source: Source<'_>) -> Vec<Sample> {
    of_groups(source, |group| {
        let state = match (&group.last, group.busy, group.wanted) {
            (_, true, true) => "starting",
            (_, true, false) => "stopping",
            (Some(GroupAnswer::StartFailed { .. } | GroupAnswer::StopFailed { .. }), ..) => {
                "failed"
            }
            (Some(GroupAnswer::AddressTaken { .. }), ..) => "blocked",
            _ if group.place == Place::Here => "running",
            _ => "stopped",
        };
        [
            "running", "stopped", "starting", "stopping", "failed", "blocked",
        ]
        .map(|word| (word, flag(word == state)))
    })
}

fn group_preferred(source: Source<'_>) -> Vec<Sample> {
    let groups = source.groups().iter();
    let sample = |group: &GroupView| (vec![group.key.clone(), group.owner.clone()], 1.0);
    groups.map(sample).collect()
}

fn group_changes(source: Source<'_>) -> Vec<Sample> {
    let groups = source.groups().iter();
    let sample = |group: &GroupView| Some((vec![group.key.clone()], number(group.changed_unix_s?)));
    groups.filter_map(sample).collect()
}

fn group_starts(source: Source<'_>) -> Vec<Sample> {
    of_groups(source, |group| {
        let counts = &group.counts;
        [
            ("ok", number(counts.started)),
            ("failed", number(counts.start_failed)),
            ("address_taken", number(counts.address_taken)),
        ]
    })
}

fn group_stops(source: Source<'_>) -> Vec<Sample> {
    of_groups(source, |group| {
        let counts = &group.counts;
        [
            ("ok", number(counts.stopped)),
            ("failed", number(counts.stop_failed)),
        ]
    })
}

/// The monitors of a group that runs here.
fn of_monitors<const N: usize>(
    source: Source<'_>,
    values: fn(&MonitorView) -> [(&'static str, f64); N],
) -> Vec<Sample> {
    let here = source.groups().iter().filter(|it| it.place == Place::Here);
    let samples = here.flat_map(|group| {
        group.monitors.iter().flat_map(move |monitor| {
            values(monitor).map(|(word, value)| {
                let mut labels = vec![group.key.clone(), monitor.resource.clone()];
                labels.extend(Some(word.to_owned()).filter(|it| !it.is_empty()));
                (labels, value)
            })
        })
    });
    samples.collect()
}

fn monitor_state(source: Source<'_>) -> Vec<Sample> {
    of_monitors(source, |monitor| {
        [
            ("unchecked", MonitorState::Unchecked),
            ("good", MonitorState::Good),
            ("failing", MonitorState::Failing),
            ("unknown", MonitorState::Unknown),
            ("never_good", MonitorState::NeverGood),
            ("given_up", MonitorState::GivenUp),
        ]
        .map(|(word, state)| (word, flag(monitor.state == state)))
    })
}

fn monitor_failures(source: Source<'_>) -> Vec<Sample> {
    of_monitors(source, |monitor| [("", number(monitor.failed))])
}

fn group_ready(source: Source<'_>) -> Vec<Sample> {
    let elsewhere = source.groups().iter().filter(|it| it.place != Place::Here);
    let sample = |group: &GroupView| {
        let standby = group.standby.as_ref()?;
        Some((vec![group.key.clone()], flag(standby.ready)))
    };
    elsewhere.filter_map(sample).collect()
}

fn address_lease(source: Source<'_>) -> Vec<Sample> {
    let lease = source.view.and_then(|view| view.lease.as_ref());
    let states = lease.into_iter().flat_map(|lease| {
        [
            ("renewed", &lease.renewed),
            ("none", &lease.without),
            ("ran_out", &lease.ran_out),
        ]
    });
    let samples = states.flat_map(|(state, addresses)| {
        let sample = move |address: &String| (vec![address.clone(), state.to_owned()], 1.0);
        addresses.iter().map(sample)
    });
    samples.collect()
}

/// Media of one interface have one name and one link: each line of ha.cf is judged by itself, and lines of
/// one kind are as well as the worst of them.
fn medium_hears(source: Source<'_>) -> Vec<Sample> {
    let mut all: BTreeMap<Vec<String>, bool> = BTreeMap::new();
    for medium in source.view.into_iter().flat_map(|view| &view.media) {
        let up = source
            .peers()
            .any(|peer| check::link_is_up(peer, &medium.name));
        let hears = up && medium.open && check::is_deaf(medium, up).is_none();
        let labels = vec![medium.name.clone(), medium.kinds.join(", ")];
        let whole = all.entry(labels).or_insert(true);
        *whole = *whole && hears;
    }
    let samples = all.into_iter();
    samples
        .map(|(labels, hears)| (labels, flag(hears)))
        .collect()
}

/// What the media have counted. Those of one interface have one name, and are one.
fn counted(source: Source<'_>) -> BTreeMap<&str, MediumCounts> {
    let mut all: BTreeMap<&str, MediumCounts> = BTreeMap::new();
    for medium in source.view.into_iter().flat_map(|view| &view.media) {
        if let Some(counts) = medium.counts {
            all.entry(&medium.name).or_default().add(counts);
        }
    }
    all
}

fn of_media(source: Source<'_>, value: fn(&MediumCounts) -> u64) -> Vec<Sample> {
    let sample =
        |(name, counts): (&str, MediumCounts)| (vec![name.to_owned()], number(value(&counts)));
    counted(source).into_iter().map(sample).collect()
}

fn receive_drops(source: Source<'_>) -> Vec<Sample> {
    let samples = counted(source).into_iter().flat_map(|(name, counts)| {
        let reasons = [
            ("auth", counts.not_authentic),
            ("parse", counts.not_readable),
            ("queue", counts.queue_full),
        ];
        reasons.map(|(reason, count)| (vec![name.to_owned(), reason.to_owned()], number(count)))
    });
    samples.collect()
}

fn standby_ready(source: Source<'_>) -> Vec<Sample> {
    if source.node().is_none() {
        return Vec::new();
    }
    let ready = |peer: &PeerReport| peer.status == "active" && !peer.left;
    one(flag(source.peers().any(ready)))
}

fn build(source: Source<'_>) -> Vec<Sample> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    source
        .view
        .map(|_| (vec![version], 1.0))
        .into_iter()
        .collect()
}

fn of_process(source: Source<'_>, value: fn(&Process) -> f64) -> Vec<Sample> {
    let process = source.process.map(value);
    process.into_iter().flat_map(one).collect()
}

/// A gauge or counter of this program.
const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(Source<'_>) -> Vec<Sample>,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        of_process: false,
        samples,
    }
}

/// The same of the process.
const fn process_metric(
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(Source<'_>) -> Vec<Sample>,
) -> Metric {
    Metric {
        of_process: true,
        ..metric(name, kind, &[], help, samples)
    }
}

/// All metrics, in the order in which they are printed.
pub const TABLE: &[Metric] = &[
    metric(
        "up",
        Kind::Gauge,
        &[],
        "Whether the daemon answers.",
        |it| one(flag(it.node().is_some())),
    ),
    metric(
        "build",
        Kind::Info,
        &["version"],
        "Version of the program that prints this.",
        build,
    ),
    metric(
        "start_timestamp_seconds",
        Kind::Gauge,
        &[],
        "When the node began.",
        |it| of_node(it, |node| number(node.began_unix_s)),
    ),
    metric(
        "frozen",
        Kind::Gauge,
        &[],
        "Whether nothing is started or stopped until systole thaw.",
        |it| of_node(it, |node| flag(node.frozen)),
    ),
    metric(
        "stopping",
        Kind::Gauge,
        &[],
        "Whether a stop of the node is under way.",
        |it| of_node(it, |node| flag(node.stopping)),
    ),
    metric(
        "in_transition",
        Kind::Gauge,
        &[],
        "Whether something is being given, taken, started or stopped.",
        |it| {
            of_node(it, |node| {
                flag(node.rscstatus.as_deref() == Some("transition"))
            })
        },
    ),
    metric(
        "standby_ready",
        Kind::Gauge,
        &[],
        "Whether another node is active and has not left: it would take over.",
        standby_ready,
    ),
    metric(
        "node_status",
        Kind::Gauge,
        &["node", "status"],
        "1 for the status of a node, 0 for all others. A ping node that answers has the status ping.",
        node_status,
    ),
    metric(
        "node_left",
        Kind::Gauge,
        &["node"],
        "Whether a node has released everything and left in order.",
        |it| of_peers(it, |peer| Some(flag(peer.left))),
    ),
    metric(
        "node_last_heard_timestamp_seconds",
        Kind::Gauge,
        &["node"],
        "When the last heartbeat of a node came.",
        last_heard,
    ),
    metric(
        "node_deaths",
        Kind::Counter,
        &["node"],
        "How often a node was declared dead. A node that leaves in order does not count.",
        |it| of_peers(it, |peer| Some(number(peer.deaths))),
    ),
    metric(
        "link_up",
        Kind::Gauge,
        &["node", "medium"],
        "Whether this node hears another one on a medium.",
        link_up,
    ),
    metric(
        "medium_hears",
        Kind::Gauge,
        &["medium", "kinds"],
        "Whether another node is heard by a medium line. Lines of one interface share link_up.",
        medium_hears,
    ),
    metric(
        "ping_up",
        Kind::Gauge,
        &["ping_node"],
        "Whether a ping node answers.",
        ping_up,
    ),
    metric(
        "medium_transmit",
        Kind::Counter,
        &["medium"],
        "Messages sent on a medium, to each destination.",
        |it| of_media(it, |counts| counts.sent),
    ),
    metric(
        "medium_transmit_errors",
        Kind::Counter,
        &["medium"],
        "Messages not sent: refused, no room, the medium closed, or a serial line too slow.",
        |it| of_media(it, |counts| counts.not_sent),
    ),
    metric(
        "medium_received",
        Kind::Counter,
        &["medium"],
        "Messages received on a medium that are authentic, own ones included.",
        |it| of_media(it, |counts| counts.received),
    ),
    metric(
        "medium_receive_drops",
        Kind::Counter,
        &["medium", "reason"],
        "Messages dropped: auth not signed with our keys, parse not readable, queue no room.",
        receive_drops,
    ),
    metric(
        "holding",
        Kind::Gauge,
        &["set"],
        "Whether this node is responsible for its own groups (local) and for those of the other node (foreign). Absent in transition.",
        holding,
    ),
    metric(
        "group_state",
        Kind::Gauge,
        &["group", "state"],
        "1 for the state of a group on this node, 0 for all others. blocked: another host has its address.",
        group_state,
    ),
    metric(
        "group_preferred",
        Kind::Info,
        &["group", "node"],
        "The owner of a group in haresources.",
        group_preferred,
    ),
    metric(
        "group_last_change_timestamp_seconds",
        Kind::Gauge,
        &["group"],
        "When the last start or stop of a group on this node ended. Absent before the first.",
        group_changes,
    ),
    metric(
        "group_starts",
        Kind::Counter,
        &["group", "result"],
        "Starts of a group on this node.",
        group_starts,
    ),
    metric(
        "group_stops",
        Kind::Counter,
        &["group", "result"],
        "Stops of a group on this node.",
        group_stops,
    ),
    metric(
        "monitor_state",
        Kind::Gauge,
        &["group", "resource", "state"],
        "State of a monitored resource of a group that runs here; 1 for the one in which it is.",
        monitor_state,
    ),
    metric(
        "group_ready",
        Kind::Gauge,
        &["group"],
        "Whether this node could run a monitored group that it does not run. Absent while that is not known.",
        group_ready,
    ),
    metric(
        "monitor_failures",
        Kind::Gauge,
        &["group", "resource"],
        "Failures of a monitored resource within its restart_window_s.",
        monitor_failures,
    ),
    metric(
        "address_lease",
        Kind::Gauge,
        &["address", "state"],
        "1 for the state of the lease of a service address: renewed, none or ran_out. Absent without address_lease.",
        address_lease,
    ),
    process_metric(
        "process_cpu_seconds",
        Kind::Counter,
        "CPU time of the daemon.",
        |it| of_process(it, |process| process.cpu_s),
    ),
    process_metric(
        "process_resident_memory_bytes",
        Kind::Gauge,
        "Resident memory of the daemon.",
        |it| of_process(it, |process| number(process.resident_bytes)),
    ),
    process_metric(
        "process_open_fds",
        Kind::Gauge,
        "Open file descriptors of the daemon.",
        |it| of_process(it, |process| number(process.open_fds)),
    ),
    process_metric(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process of the daemon began.",
        |it| of_process(it, |process| process.started_unix_s),
    ),
];

#[cfg(test)]
mod tests;
