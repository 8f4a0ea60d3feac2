//! Guards the service addresses that this node holds: one that somebody removes is put back and announced.
//!
//! Pure: what the kernel reports, what a look found, and what came of a try in; what is to be done out. The
//! kernel's news only causes a look: what counts is what is held and what is there when somebody looks. So a
//! removal of our own (a stop, a standby, a withdrawal) is never taken for somebody's: the group does not count
//! as held any more before its address goes.
//!
//! | Comes | Then |
//! |---|---|
//! | news of an address or an interface, lost news, the time of a regular look | look |
//! | looked: an address is there | nothing; if its absence was told: WARN, it is here again |
//! | looked: its interface is down, is up again | WARN, once; WARN and announce |
//! | looked: it is absent | try to put it back |
//! | the same, a try is under way, or the next one is not due | nothing |
//! | the same, `report` is set, its interface is down, or a script handles it and it was here before | WARN, once |
//! | looked: it is absent because its lease ran out ([`lease`](super::lease)) | WARN and a decision, once; tried when it has been away for as long as the lease says |
//! | looked: it is not held any more | it is forgotten |
//! | put back | WARN and a decision, with who removed it; from the [`MANY`]th time in a minute CRIT as well |
//! | put back more than [`TOO_MANY`] times in a minute | CRIT; its group counts as failed ([`AddressGuard::removed_again`]); if it is gone again it is put back after [`AGAIN`], then after twice that, [`LONGEST`] at most, with a CRIT each time |
//! | looked: such an address has been there for a [`WINDOW`] | WARN; nothing of that counts any more |
//! | not put back: another host has it | CRIT and a decision, once; asked again after [`AGAIN`] |
//! | not put back: the node is frozen | WARN, once; tried again after [`REFUSED`] |
//! | not put back: the kernel refuses | ERROR, once; tried again with a look after [`REFUSED`] |
//! | not put back: not held any more, or there meanwhile | nothing; tried again after [`BUSY`], should it still be gone |

pub mod links;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Severity;
use crate::protocol::group::GroupKey;

/// From so many times in a [`WINDOW`] on it is CRIT.
pub const MANY: usize = 3;

/// More often than that in a [`WINDOW`] it is not put back at once.
pub const TOO_MANY: usize = 30;

/// In which time they are counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Pause before something is tried again that was of no use.
pub const AGAIN: Duration = Duration::from_secs(5);

/// Longest pause between two tries to put back what somebody removes again and again.
pub const LONGEST: Duration = Duration::from_secs(60);

/// Pause after the kernel has refused, or the core because the node is frozen.
pub const REFUSED: Duration = Duration::from_secs(1);

/// Pause after a try that its group did not want, which may be at work on another address.
pub const BUSY: Duration = Duration::from_millis(100);

/// So long an address is remembered that no look names any more: its group may be at work on another one.
const REMEMBERED: Duration = Duration::from_secs(1);

/// A try of which nothing was heard for so long is lost.
const LOST: Duration = Duration::from_secs(30);

/// So long the news of a removal belongs to an absence.
const RECENT: Duration = Duration::from_secs(10);

/// Removals that are remembered at once.
const MAX_REMOVERS: usize = 1024;

/// A held address of a group.
pub type Held = (GroupKey, IpAddr);

/// Who removed an address, as far as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remover {
    /// A process that is there still.
    Process {
        /// Its number.
        pid: u32,
        /// Its name.
        name: String,
    },
    /// A process that has ended since: a command.
    Ended {
        /// Its number.
        pid: u32,
    },
    /// Nobody asked for it: the interface went down or away.
    Kernel,
    /// The kernel, because no heartbeat has left this host while its lifetime lasted.
    Lease,
    /// Not known. The programs on this host that manage addresses.
    Unknown {
        /// Their names.
        suspects: Vec<&'static str>,
    },
}

impl fmt::Display for Remover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, name } => write!(f, "removed by {name} (process {pid})"),
            Self::Ended { pid } => write!(
                f,
                "removed by process {pid}, which has ended: a command of a person or of a script (ip, ifupdown)"
            ),
            Self::Kernel => f.write_str(
                "removed by the kernel: its interface went down or away, or ifconfig removed it",
            ),
            Self::Lease => f.write_str(
                "its lease ran out: this node was stopped or hung, and no heartbeat left it",
            ),
            Self::Unknown { suspects } if suspects.is_empty() => {
                f.write_str("it is not known what removed it")
            }
            Self::Unknown { suspects } => write!(
                f,
                "it is not known what removed it; {} runs here",
                suspects.join(" and ")
            ),
        }
    }
}

/// Where an address was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Name of the interface.
    pub interface: String,
    /// Prefix length in bits.
    pub prefix: u8,
}

/// What a look found of one held address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is where it is to be.
    Here {
        /// Where.
        spot: Spot,
        /// Whether the interface is up and has a carrier.
        up: bool,
    },
    /// It is not.
    Absent {
        /// The interface where it belongs, if that is down.
        down: Option<String>,
    },
    /// It is not, because its lease ran out.
    RanOut {
        /// How long it must be away still: another node may have it.
        wait: Duration,
    },
}

/// One held address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its group, and the address.
    pub held: Held,
    /// The daemon handles it; else a script does.
    pub native: bool,
    /// What was found.
    pub found: Found,
}

/// What came of a try to put an address back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It is put back and announced.
    PutBack,
    /// It was there, or its group is not held any more, or has an order in hand.
    NotNeeded,
    /// The node is frozen.
    Frozen,
    /// Another host has it: where.
    Taken(String),
    /// The kernel refuses: why.
    Failed(String),
}

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An address was removed.
    Removed(IpAddr, Remover),
    /// An address or an interface changed, news were lost, or it is time for a regular look.
    Changed,
    /// A look at all addresses that are held.
    Looked(Vec<Seen>),
    /// What came of [`Action::PutBack`].
    Tried(Held, Tried),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look at all addresses that are held.
    Look,
    /// Put it back and announce it, if the group is held still and no other host has it. Where it was, if it
    /// was seen.
    PutBack(Held, Option<Spot>),
    /// Announce the addresses of the group, as after a start.
    Announce(GroupKey),
    /// A line for the log.
    Say(Severity, String),
    /// For whoever asks for decisions: what the node does, and why.
    Note(String, String),
}

/// Why an absence was told, and was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Down(String),
    Script,
    Report,
    RanOut,
    Frozen,
    Taken(String),
    Failed(String),
}

/// What is known of one held address.
#[derive(Debug, Default)]
struct Entry {
    spot: Option<Spot>,
    absent: bool,
    told: Option<Told>,
    /// The interface was told to be down.
    down: bool,
    /// When a look has named it last.
    named: Option<Monotonic>,
    /// Since when a try is under way.
    trying: Option<Monotonic>,
    not_before: Option<Monotonic>,
    /// When it was put back, within the last [`WINDOW`].
    put_back: VecDeque<Monotonic>,
    /// Since when it is there, as far as was seen.
    here_since: Option<Monotonic>,
    /// Somebody removes it again and again: the pause before it is put back.
    pause: Option<Duration>,
}

impl Entry {
    /// Notes that it stays absent. Whether that is news.
    fn tell(&mut self, told: Told) -> bool {
        let news = self.told.as_ref() != Some(&told);
        self.told = Some(told);
        news
    }

    fn counted(&mut self, now: Monotonic) -> usize {
        self.put_back.retain(|at| now.since(*at) < WINDOW);
        self.put_back.len()
    }

    /// It stayed for a whole [`WINDOW`], so nobody removes it again and again any more. Whether that is news.
    fn has_stayed(&mut self, now: Monotonic) -> bool {
        let long = |at: Monotonic| now.since(at) >= WINDOW;
        self.here_since.is_some_and(long) && self.pause.take().is_some()
    }

    /// When it may be tried again; `None`: no try waits for that, or news of the kernel come first.
    fn due(&self) -> Option<Monotonic> {
        // The thaw is no news of the kernel.
        let waits = matches!(
            self.told,
            None | Some(Told::Taken(_) | Told::Frozen | Told::RanOut)
        );
        self.not_before
            .filter(|_| self.absent && self.trying.is_none() && waits)
    }
}

/// The guard of one node.
#[derive(Debug)]
pub struct AddressGuard {
    /// Only reports.
    reports: bool,
    entries: BTreeMap<Held, Entry>,
    removers: BTreeMap<IpAddr, (Monotonic, Remover)>,
}

impl AddressGuard {
    /// Nothing is held. `reports`: it puts nothing back.
    #[must_use]
    pub fn new(reports: bool) -> Self {
        Self {
            reports,
            entries: BTreeMap::new(),
            removers: BTreeMap::new(),
        }
    }

    /// The held addresses that were not there at the last look.
    pub fn absent(&self) -> impl Iterator<Item = &Held> {
        let absent = self.entries.iter().filter(|(_, entry)| entry.absent);
        absent.map(|(held, _)| held)
    }

    /// The groups of which somebody removed an address more than [`TOO_MANY`] times in a [`WINDOW`], and of which it
    /// has not stayed for a [`WINDOW`] since.
    pub fn removed_again(&self) -> BTreeSet<GroupKey> {
        let often = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.pause.is_some());
        often.map(|((group, _), _)| group.clone()).collect()
    }

    /// When an address that is gone may be tried again: somebody has to look then.
    pub fn next_try(&self, now: Monotonic) -> Option<Monotonic> {
        let due = self.entries.values().filter_map(Entry::due);
        due.filter(|at| *at > now).min()
    }

    /// Where each held address was last seen.
    pub fn spots(&self) -> impl Iterator<Item = (Held, Spot)> {
        let spots = self.entries.iter();
        spots.filter_map(|(held, entry)| Some((held.clone(), entry.spot.clone()?)))
    }

    /// Nobody will tell what came of the tries under way.
    pub fn forget_tries(&mut self) {
        for entry in self.entries.values_mut() {
            entry.trying = None;
        }
    }

    /// Whether the address is one that is held.
    pub fn holds(&self, address: IpAddr) -> bool {
        self.entries.keys().any(|(_, held)| *held == address)
    }

    /// Takes one event in.
    pub fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Action> {
        match event {
            Event::Removed(address, remover) => {
                self.remove_by(address, remover, now);
                vec![Action::Look]
            }
            Event::Changed => vec![Action::Look],
            Event::Looked(seen) => self.looked(seen, now),
            Event::Tried(held, tried) => self.tried(&held, tried, now),
        }
    }

    fn looked(&mut self, seen: Vec<Seen>, now: Monotonic) -> Vec<Action> {
        // What is being put back is forgotten when that is over.
        self.entries.retain(|held, entry| {
            if seen.iter().any(|it| it.held == *held) {
                entry.named = Some(now);
                return true;
            }
            let tries = entry.trying.is_some_and(|at| now.since(at) < LOST);
            entry.absent &= tries;
            tries || entry.named.is_some_and(|at| now.since(at) < REMEMBERED)
        });
        let mut actions = Vec::new();
        for Seen {
            held,
            native,
            found,
        } in seen
        {
            match found {
                Found::Here { spot, up } => self.is_here(held, spot, up, now, &mut actions),
                Found::Absent { down } => self.is_absent(held, native, down, now, &mut actions),
                Found::RanOut { wait } => {
                    self.has_run_out(&held, wait, now, &mut actions);
                    self.is_absent(held, native, None, now, &mut actions);
                }
            }
        }
        actions
    }

    fn is_here(
        &mut self,
        held: Held,
        spot: Spot,
        up: bool,
        now: Monotonic,
        actions: &mut Vec<Action>,
    ) {
        let (group, address) = held.clone();
        let entry = self.entries.entry(held).or_default();
        entry.absent = false;
        entry.here_since.get_or_insert(now);
        if entry.has_stayed(now) {
            let text = format!(
                "address {address} of group {group} was not removed for a minute: the group no longer counts as failed"
            );
            actions.push(Action::Say(Severity::Warn, text));
        }
        let interface = spot.interface.clone();
        entry.spot = Some(spot);
        if entry.told.take().is_some() {
            let text = format!("address {address} of group {group} is here again");
            actions.push(Action::Say(Severity::Warn, text));
        }
        if entry.down == up {
            entry.down = !up;
            let text = if up {
                let announce = Action::Announce(group.clone());
                if !actions.contains(&announce) {
                    actions.push(announce);
                }
                format!("interface {interface} of address {address} of group {group} is up again")
            } else {
                format!("interface {interface} of address {address} of group {group} is down")
            };
            actions.push(Action::Say(Severity::Warn, text));
        }
    }

    /// Before it counts as absent: it is said, and not tried before its time.
    fn has_run_out(
        &mut self,
        held: &Held,
        wait: Duration,
        now: Monotonic,
        actions: &mut Vec<Action>,
    ) {
        self.remove_by(held.1, Remover::Lease, now);
        let entry = self.entries.entry(held.clone()).or_default();
        let first = !entry.absent;
        if first || entry.told == Some(Told::RanOut) {
            entry.not_before = Some(now + wait);
        }
        if first && entry.tell(Told::RanOut) {
            let (text, by) = (gone(held), Remover::Lease);
            let seconds = wait.as_secs_f32();
            let then = format!(
                "it is put back in {seconds:.1} s or earlier, if its group is held and no other host has it then"
            );
            let then = match wait.is_zero() {
                true => "it is put back if its group is held and no other host has it",
                false => &then,
            };
            let cause = format!("{by}; {then}");
            actions.push(Action::Say(Severity::Warn, format!("{text}: {cause}")));
            actions.push(Action::Note(format!("misses it: {text}"), cause));
        }
    }

    fn remove_by(&mut self, address: IpAddr, remover: Remover, now: Monotonic) {
        self.removers.retain(|_, (at, _)| now.since(*at) < RECENT);
        if self.removers.len() < MAX_REMOVERS {
            self.removers.insert(address, (now, remover));
        }
    }

    fn is_absent(
        &mut self,
        held: Held,
        native: bool,
        down: Option<String>,
        now: Monotonic,
        actions: &mut Vec<Action>,
    ) {
        let by = self.remover(held.1, now);
        let reports = self.reports;
        let entry = self.entries.entry(held.clone()).or_default();
        if !native && entry.spot.is_none() {
            // A script may put it where nobody looks, or not on this host at all.
            return;
        }
        entry.absent = true;
        entry.has_stayed(now);
        entry.here_since = None;
        if entry.trying.is_some_and(|at| now.since(at) < LOST) {
            return;
        }
        let left = match down {
            _ if !native => Some(Told::Script),
            _ if reports => Some(Told::Report),
            Some(interface) => Some(Told::Down(interface)),
            None => None,
        };
        let Some(left) = left else {
            if entry.not_before.is_none_or(|at| at <= now) {
                entry.trying = Some(now);
                let spot = entry.spot.clone();
                actions.push(Action::PutBack(held, spot));
            }
            return;
        };
        let why = match &left {
            Told::Script => "its script handles it, so it is not put back".to_owned(),
            Told::Down(interface) => {
                format!("it is put back when interface {interface} is up")
            }
            _ => "it is only reported, by the settings".to_owned(),
        };
        if entry.tell(left) {
            let text = gone(&held);
            actions.push(Action::Note(
                format!("leaves it: {text}"),
                format!("{by}; {why}"),
            ));
            actions.push(Action::Say(Severity::Warn, format!("{text}: {by}; {why}")));
        }
    }

    fn tried(&mut self, held: &Held, tried: Tried, now: Monotonic) -> Vec<Action> {
        let by = self.remover(held.1, now);
        let Some(entry) = self.entries.get_mut(held) else {
            return Vec::new();
        };
        entry.trying = None;
        let text = gone(held);
        let (severity, cause) = match &tried {
            Tried::NotNeeded => {
                let soon = now + BUSY;
                entry.not_before = Some(entry.not_before.map_or(soon, |at| at.max(soon)));
                return Vec::new();
            }
            Tried::PutBack => return put_back(held, entry, &by, now),
            Tried::Frozen => (
                Severity::Warn,
                format!("{by}; the node is frozen, so it is not put back"),
            ),
            Tried::Taken(claim) => (
                Severity::Crit,
                format!("{by}; another host has it, so it is not put back: {claim}"),
            ),
            Tried::Failed(why) => (
                Severity::Error,
                format!("{by}; it cannot be put back: {why}"),
            ),
        };
        let told = match tried {
            Tried::Taken(claim) => Told::Taken(claim),
            Tried::Failed(why) => Told::Failed(why),
            _ => Told::Frozen,
        };
        // Another host is asked about on the network: not too often.
        let asks = matches!(told, Told::Taken(_));
        entry.not_before = Some(now + if asks { AGAIN } else { REFUSED });
        if !entry.tell(told) {
            return Vec::new();
        }
        vec![
            Action::Say(severity, format!("{text}: {cause}")),
            Action::Note(format!("leaves it: {text}"), cause),
        ]
    }

    fn remover(&self, address: IpAddr, now: Monotonic) -> Remover {
        let known = self.removers.get(&address);
        let known = known.filter(|(at, _)| now.since(*at) < RECENT);
        known.map_or(
            Remover::Unknown {
                suspects: Vec::new(),
            },
            |(_, remover)| remover.clone(),
        )
    }
}

fn gone((group, address): &Held) -> String {
    format!("address {address} of group {group} is gone")
}

fn put_back(held: &Held, entry: &mut Entry, by: &Remover, now: Monotonic) -> Vec<Action> {
    let (group, address) = held;
    entry.told = None;
    entry.absent = false;
    entry.here_since = Some(now);
    entry.put_back.push_back(now);
    let times = entry.counted(now);
    let failed = times > TOO_MANY || entry.pause.is_some();
    let pause = entry.pause.map_or(AGAIN, |it| it.saturating_mul(2));
    entry.pause = failed.then(|| pause.min(LONGEST));
    entry.not_before = entry.pause.map(|pause| now + pause);
    let text = format!("address {address} of group {group} was gone and is put back: {by}");
    let mut actions = vec![Action::Say(Severity::Warn, text)];
    if times <= MANY {
        // Other decisions are to be found beside these.
        let what = format!("puts address {address} of group {group} back");
        actions.push(Action::Note(what, by.to_string()));
    }
    if times >= MANY || failed {
        let then = entry.pause.map_or_else(String::new, |pause| {
            let seconds = pause.as_secs();
            format!(": the group counts as failed, and next time it is put back after {seconds} s")
        });
        let text = format!(
            "address {address} of group {group} was removed {times} times within a minute{then}: {by}"
        );
        actions.push(Action::Say(Severity::Crit, text));
    }
    actions
}

#[cfg(test)]
mod tests;
