//! Random trouble for a pair of two groups with slow scripts on two cables: one to four faults at
//! once, then peace, and each group must have one owner again. The acts are drawn from a printed
//! seed (`CHAOS_SEED`); the times are those of real processes, so a seed repeats the plan, not the
//! run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::host::Kind;
use super::pair::{ADDRESS_1, ADDRESS_2, NODES, Pair, PairConfig};
use super::partition::signal_all;

/// The groups: address and name of the script.
const GROUPS: [(&str, &str); 2] = [(ADDRESS_1, "a"), (ADDRESS_2, "b")];
const CABLES: [&str; 2] = ["eth0", "eth1"];
/// In the configuration, in milliseconds.
const DEADTIME_MS: u64 = 2_000;
/// A new start takes initdead and ten seconds of agreement; a hand-over after it takes the time of
/// the scripts.
const PEACE: Duration = Duration::from_secs(75);
/// How long a settled state must last: a restart of a legacy node begins seconds later.
const CALM: Duration = Duration::from_secs(4);
/// A stop that takes longer than this hangs: a person would cut the power.
const STOP: Duration = Duration::from_secs(60);
/// After the third death within a minute a Systole node releases everything and stays down, as
/// documented.
const DEATHS_APART: Duration = Duration::from_secs(35);

/// One fault, or one act of a person.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    /// One cable of a node is unplugged until the peace.
    Unplugged(usize, usize),
    /// Every cable of a node is unplugged.
    CutOff(usize),
    /// Messages that a node sends over one cable are lost.
    MuteOn(usize, usize),
    /// Messages that a node sends are lost.
    Mute(usize),
    /// A share of the messages that a node sends is lost, in percent.
    Loss(usize, u32),
    /// All processes of a node are suspended, in milliseconds.
    Frozen(usize, u64),
    /// An interface goes down and comes back, in milliseconds.
    Flaps(usize, usize, u64),
    /// `hb_standby SET`.
    Standby(usize, &'static str),
    /// `hb_takeover SET`.
    Takeover(usize, &'static str),
    /// Stopped in order and started.
    Restarted(usize),
    /// `heartbeat -r` after a change of `ha.cf`.
    Reloaded(usize),
    /// Power is cut, and returns with the peace.
    PowerCut(usize),
    /// The daemon alone is killed.
    Killed(usize),
    /// A node gives everything away, and one daemon is killed this many milliseconds later.
    KilledInHandOver(usize, usize, u64),
}

/// Draws one. Only our daemon is killed alone: when the main process of a legacy node dies, its
/// resources run on unguarded, and no other node can help.
fn draw(rng: &mut StdRng, kinds: [Kind; 2]) -> Act {
    let node = rng.random_range(0..2);
    let cable = rng.random_range(0..2);
    let set = *["all", "local", "foreign"].choose(rng).expect("not empty");
    let victim = rng.random_range(0..2);
    match rng.random_range(0..15) {
        0 => Act::Unplugged(node, cable),
        1 | 2 => Act::CutOff(node),
        3 => Act::MuteOn(node, cable),
        4 => Act::Mute(node),
        5 => Act::Loss(node, rng.random_range(10..60)),
        6 => Act::Frozen(node, rng.random_range(DEADTIME_MS / 4..DEADTIME_MS * 3)),
        7 => Act::Flaps(node, cable, rng.random_range(300..3_000)),
        8 => Act::Standby(node, set),
        9 => Act::Takeover(node, set),
        10 => Act::Restarted(node),
        11 => Act::Reloaded(node),
        12 if kinds[node] == Kind::Systole => Act::Killed(node),
        13 if kinds[victim] == Kind::Systole => {
            Act::KilledInHandOver(node, victim, rng.random_range(100..2_500))
        }
        _ => Act::PowerCut(node),
    }
}

impl Act {
    /// The node whose daemon it kills.
    fn kills(self) -> Option<usize> {
        match self {
            Self::Killed(node) | Self::KilledInHandOver(_, node, _) => Some(node),
            _ => None,
        }
    }

    /// Carries it out. [`make_peace`] undoes effects that last until then.
    fn carry_out(self, pair: &Pair) {
        let lab = &pair.lab;
        let silence = |node: usize, cable: usize| {
            let peer = Pair::peer(NODES[node]);
            lab.command(&["block", lab.name(), peer, CABLES[cable], "udp dport 694"]);
        };
        match self {
            Self::Unplugged(node, cable) => lab.link(NODES[node], CABLES[cable], false),
            Self::CutOff(node) => CABLES
                .iter()
                .for_each(|cable| lab.link(NODES[node], cable, false)),
            Self::MuteOn(node, cable) => silence(node, cable),
            Self::Mute(node) => (0..CABLES.len()).for_each(|cable| silence(node, cable)),
            Self::Loss(node, percent) => CABLES
                .iter()
                .for_each(|cable| lab.loss(Pair::peer(NODES[node]), cable, percent)),
            Self::Frozen(node, millis) => {
                signal_all(pair, NODES[node], "STOP");
                pass(millis);
                signal_all(pair, NODES[node], "CONT");
            }
            Self::Flaps(node, cable, millis) => {
                let device = CABLES[cable];
                lab.sh(NODES[node], &format!("ip link set {device} down"));
                pass(millis);
                lab.sh(NODES[node], &format!("ip link set {device} up"));
            }
            Self::Standby(node, set) => ask(pair, NODES[node], &format!("hb_standby {set}")),
            Self::Takeover(node, set) => ask(pair, NODES[node], &format!("hb_takeover {set}")),
            Self::Restarted(node) => {
                pair.begin_stop(NODES[node]);
                wait_gone(pair, NODES[node]);
            }
            Self::Reloaded(node) => {
                let node = NODES[node];
                lab.sh(node, "touch -d '10 seconds' /etc/ha.d/ha.cf");
                lab.exec(node, &["setsid", &pair.daemon(node), "-r"]);
            }
            Self::PowerCut(node) => lab.power_off(NODES[node]),
            Self::Killed(node) => kill(pair, NODES[node]),
            Self::KilledInHandOver(giver, victim, millis) => {
                ask(pair, NODES[giver], "hb_standby all");
                pass(millis);
                kill(pair, NODES[victim]);
            }
        }
    }
}

fn pass(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// A command of a person. A node that is down or suspended refuses it, which is no fault.
fn ask(pair: &Pair, node: &str, command: &str) {
    let script = format!("timeout 10 /usr/share/heartbeat/{command}");
    pair.lab.sh(node, &script);
}

fn kill(pair: &Pair, node: &str) {
    pair.lab.sh(node, "kill -9 $(cat /run/heartbeat.pid)");
}

fn is_up(pair: &Pair, node: &str) -> bool {
    !pair.lab.sh(node, "pgrep -x heartbeat").is_empty()
}

/// Waits for the end of a stop; a stop that hangs is ended as a person would.
fn wait_gone(pair: &Pair, node: &str) {
    let begin = Instant::now();
    while is_up(pair, node) {
        if begin.elapsed() > STOP {
            pair.lab.power_off(node);
        }
        pass(200);
    }
}

/// Every fault is ended and both nodes run.
fn make_peace(pair: &Pair) {
    let lab = &pair.lab;
    for node in NODES {
        signal_all(pair, node, "CONT");
        for cable in CABLES {
            lab.link(node, cable, true);
            lab.loss(node, cable, 0);
            lab.command(&["block", lab.name(), node, cable, ""]);
        }
        lab.power_on(node);
    }
    for node in NODES {
        if !is_up(pair, node) {
            pair.start(node);
        }
    }
}

/// The present fault, if there is one.
fn complaint(pair: &Pair) -> Option<String> {
    let mut owned: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (address, script) in GROUPS {
        let owners = pair.owners(address);
        let running: Vec<&str> = NODES
            .into_iter()
            .filter(|node| pair.runs(node, script))
            .collect();
        if owners.len() != 1 || owners != running {
            return Some(format!("{address} on {owners:?}, {script} on {running:?}"));
        }
        owned.entry(owners[0]).or_default().push(script);
    }
    for (node, own) in NODES.into_iter().zip(["a", "b"]) {
        let runs = owned.get(node).map(Vec::as_slice).unwrap_or_default();
        let word = match runs {
            [] => "none",
            [one] if *one == own => "local",
            [_] => "foreign",
            _ => "all",
        };
        let said = pair.holds(node);
        if said != word {
            return Some(format!("{node} runs {word} and says {said}"));
        }
    }
    None
}

/// Waits until there is no fault and none follows.
fn calm(pair: &Pair) -> Result<(), String> {
    let begin = Instant::now();
    let mut since = None;
    loop {
        match complaint(pair) {
            None => {
                let since = *since.get_or_insert_with(Instant::now);
                if since.elapsed() > CALM {
                    return Ok(());
                }
            }
            Some(wrong) if begin.elapsed() > PEACE => return Err(wrong),
            Some(_) => since = None,
        }
        pass(200);
    }
}

/// A legacy node may be blocked so that only a person can help: within a minute our node's log
/// names the command, and that must help. `None`: no line was logged, or both nodes are Systole.
fn as_told(pair: &Pair) -> Option<String> {
    let node = |kind: Kind| NODES.into_iter().find(|node| pair.kind(node) == kind);
    let (ours, legacy) = (node(Kind::Systole)?, node(Kind::Legacy)?);
    let systole = env!("CARGO_BIN_EXE_systole");
    let why = pair.lab.sh(ours, &format!("{systole} why"));
    let status = pair.lab.sh(ours, &format!("{systole} status"));
    if status.contains("NOBODY ANSWERS") {
        let line = why
            .lines()
            .rev()
            .find(|line| line.contains("hb_takeover "))?;
        let words = line.split_once("hb_takeover ")?.1;
        let set: String = words
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        ask(pair, ours, &format!("hb_takeover {set}"));
        return Some(format!("hb_takeover {set} on {ours}"));
    }
    let stays = why.lines().any(|line| {
        line.contains("leaves ")
            && line.contains(&format!(" to {legacy}"))
            && line.contains("may not report it")
    });
    if stays && pair.holds(ours) == "none" {
        // It runs groups that it does not report. The line in our log names the command.
        ask(pair, ours, "hb_takeover");
        return Some(format!("hb_takeover on {ours}"));
    }
    if pair.holds(legacy) != "transition" {
        return None;
    }
    // It waits for the end of a standby that the other node's new run does not know.
    Act::Reloaded(usize::from(legacy == NODES[1])).carry_out(pair);
    Some(format!("heartbeat -r on {legacy}"))
}

/// How often the other node has seen each of our nodes begin a new generation; a legacy node also
/// begins them for its own reasons.
fn generations(pair: &Pair) -> [usize; 2] {
    NODES.map(|node| {
        let seen = format!("Heartbeat restart on node {node}");
        let ours = pair.kind(node).is_ours();
        if ours {
            pair.log_count(Pair::peer(node), &seen)
        } else {
            0
        }
    })
}

/// Each fault may cost a node one generation when it begins and one when it ends.
fn assert_few_generations(before: [usize; 2], after: [usize; 2], acts: usize) {
    let allowed = 2 * acts + 2;
    for (before, after) in before.into_iter().zip(after) {
        let begun = after.saturating_sub(before);
        assert!(begun <= allowed, "{begun} generations for {acts} troubles");
    }
}

/// How long the faults go on: `CHAOS_SECONDS`, or the time of the tier.
fn length(default: u64) -> Duration {
    let seconds = std::env::var("CHAOS_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(default))
}

fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| {
        super::poll::now() as u64 * 1_000 + u64::from(std::process::id()) % 1_000
    })
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "chaos: {text}");
}

/// Rounds of faults and peace for this many seconds.
pub fn run(name: &str, kinds: [Kind; 2], failback: &'static str, seconds: u64) {
    let seed = seed();
    say(&format!("{name}: seed {seed}, auto_failback {failback}"));
    let mut rng = StdRng::seed_from_u64(seed);
    let mut config = PairConfig::new(kinds)
        .with_two_cables()
        .with_failback(failback);
    config.resources = GROUPS
        .iter()
        .zip(NODES)
        .map(|((address, script), node)| {
            format!("{node} {address}/24/eth0 dummy::{script}::1::0.7\n")
        })
        .collect();
    let pair = Pair::new(config);
    pair.start_both();
    calm(&pair).unwrap_or_else(|wrong| panic!("before any trouble: {wrong}"));
    let begin = Instant::now();
    let mut last_death = [None; 2];
    let mut rounds = 0;
    let (mut acts_done, mut told) = (0, 0);
    while begin.elapsed() < length(seconds) {
        rounds += 1;
        let count = rng.random_range(1..=4);
        let mut acts: Vec<(u64, Act)> = (0..count)
            .map(|_| (rng.random_range(0..3_000), draw(&mut rng, kinds)))
            .collect();
        let lasts = rng.random_range(500..8_000);
        // One death in a round, and no other soon after.
        let mut killed = false;
        acts.retain(|(_, act)| {
            let Some(node) = act.kills() else { return true };
            let soon = last_death[node].is_some_and(|at: Instant| at.elapsed() < DEATHS_APART);
            let keep = !killed && !soon;
            if keep {
                killed = true;
                last_death[node] = Some(Instant::now());
            }
            keep
        });
        acts_done += acts.len();
        let before = generations(&pair);
        let story = format!("round {rounds}, lasts {lasts} ms: {acts:?}");
        pair.lab.remark("all", "round");
        let failed = Mutex::new(None);
        std::thread::scope(|scope| {
            for (delay, act) in &acts {
                let (pair, failed) = (&pair, &failed);
                scope.spawn(move || {
                    pass(*delay);
                    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        act.carry_out(pair);
                    }));
                    if done.is_err() {
                        *failed.lock().expect("no poison") = Some(*act);
                    }
                });
            }
        });
        let failed = failed.into_inner().expect("no poison");
        assert!(failed.is_none(), "{failed:?} was not carried out: {story}");
        pass(lasts);
        make_peace(&pair);
        if let Err(wrong) = calm(&pair) {
            let Some(command) = as_told(&pair) else {
                panic!("{name}, seed {seed}, {story}: {wrong}");
            };
            say(&format!("{name}: {story}: {wrong}: {command}"));
            told += 1;
            if let Err(wrong) = calm(&pair) {
                panic!("{name}, seed {seed}, {story}, {command} did not help: {wrong}");
            }
        }
        assert_few_generations(before, generations(&pair), acts.len());
    }
    say(&format!(
        "{name}: seed {seed}: {rounds} rounds, {acts_done} troubles, each group with one owner after each, \
         {told} times by the command that our node names"
    ));
}
