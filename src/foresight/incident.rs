//! Incidents, as people write them.

use crate::simulator::act::{Act, SETS};
use crate::simulator::ids::{HostId, NODE1, NODE2};

use super::Pair;

/// One thing that happens to a healthy pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// The machine loses power.
    Dies(HostId),
    /// Heartbeat is stopped in order.
    Stops(HostId),
    /// The machine stands still, and never goes on.
    Hangs(HostId),
    /// The daemon is killed; its guardian starts another.
    DaemonDies(HostId),
    /// All cables of a node are cut.
    CutNode(HostId),
    /// A medium carries nothing.
    CutMedium(usize),
    /// No medium carries anything.
    CutAll,
    /// `hb_standby all`.
    Standby(HostId),
}

/// A text that names no incident of this pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no incident of this pair; there are: {known}")]
pub struct NotAnIncident {
    text: String,
    known: String,
}

/// How long a guardian needs, in microseconds.
const REVIVAL: u64 = 50_000;
/// Longer than anybody looks, in milliseconds.
const FOR_EVER: u64 = 100_000_000;

impl Incident {
    /// All of a pair: every single failure, and the orderly ways.
    #[must_use]
    pub fn all(pair: &Pair) -> Vec<Self> {
        let hosts = [NODE1, NODE2];
        let each = |of: fn(HostId) -> Self| hosts.map(of).to_vec();
        let mut all = each(Self::Dies);
        all.extend(each(Self::Hangs));
        all.extend(each(Self::DaemonDies));
        // Of a single medium this is the same.
        if pair.media.len() > 1 {
            all.extend((0..pair.media.len()).map(Self::CutMedium));
        }
        all.push(Self::CutAll);
        all.extend(each(Self::CutNode));
        all.extend(each(Self::Stops));
        all.extend(each(Self::Standby));
        all
    }

    /// Reads `alpha dies`, `cut eth1` and so on.
    ///
    /// # Errors
    /// The text names none; the error lists all.
    pub fn read(text: &str, pair: &Pair) -> Result<Self, NotAnIncident> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let plain = words.join(" ");
        let all = Self::all(pair);
        let found = all
            .iter()
            .find(|it| it.on(pair).eq_ignore_ascii_case(&plain));
        found.copied().ok_or_else(|| {
            let known: Vec<String> = all.iter().map(|it| it.on(pair)).collect();
            NotAnIncident {
                text: text.chars().take(80).collect(),
                known: known.join(", "),
            }
        })
    }

    /// As people write it.
    #[must_use]
    pub fn on(self, pair: &Pair) -> String {
        let name = |host| pair.name(host);
        match self {
            Self::Dies(host) => format!("{} dies", name(host)),
            Self::Stops(host) => format!("{} stops", name(host)),
            Self::Hangs(host) => format!("{} hangs", name(host)),
            Self::DaemonDies(host) => format!("daemon of {} dies", name(host)),
            Self::CutNode(host) => format!("cut {}", name(host)),
            Self::CutMedium(at) => format!("cut {}", pair.media.get(at).map_or("", String::as_str)),
            Self::CutAll => "cut all".to_owned(),
            Self::Standby(host) => format!("standby {}", name(host)),
        }
    }

    /// What happens in the simulator.
    pub(super) fn acts(self, media: usize) -> Vec<Act> {
        let both = |medium| {
            [NODE1, NODE2].map(|from| Act::Cut {
                from,
                medium,
                cut: 1,
            })
        };
        match self {
            Self::Dies(host) => vec![Act::Crash { host }],
            Self::Stops(host) => vec![Act::Stop { host }],
            Self::Hangs(host) => vec![Act::Freeze {
                host,
                ms: FOR_EVER,
                machine: 1,
            }],
            Self::DaemonDies(host) => vec![Act::Kill {
                host,
                pause: REVIVAL,
            }],
            Self::CutNode(host) => vec![Act::Cable { host, cut: 1 }],
            Self::CutMedium(medium) => both(medium).to_vec(),
            Self::CutAll => (0..media).flat_map(both).collect(),
            Self::Standby(host) => vec![Act::Standby {
                host,
                set: SETS.iter().position(|it| *it == "all").unwrap_or(0),
            }],
        }
    }

    /// The node that stands still: it serves nobody.
    pub(super) const fn hung(self) -> Option<HostId> {
        match self {
            Self::Hangs(host) => Some(host),
            _ => None,
        }
    }
}
