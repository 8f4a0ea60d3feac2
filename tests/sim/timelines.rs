//! The legacy model compared with recordings of the real program: the same actions are applied to
//! two models as to two legacy nodes, and their messages and scripts must be the same, chapter by
//! chapter. A chapter is the consequence of one action. Format:
//! `tests/vectors/timelines/README.md`.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use systole::protocol::event::{Action, GroupOrder};
use systole::protocol::settings::AutoFailback;
use systole::simulator::act::{Act, SETS};
use systole::simulator::ids::{GroupId, HostId, NODE1, NODE2};
use systole::simulator::observer::Observer;
use systole::simulator::plan::{Plan, Program};
use systole::simulator::world::{Micros, SECOND, World};

/// Actions closer together than this belong to one chapter.
const SAME_MOMENT: Micros = SECOND;

/// The actions from outside, and what the nodes did until the next ones.
#[derive(Debug, Default)]
struct Chapter {
    actions: Vec<(Micros, String)>,
    ends: Micros,
    /// Number, node, message.
    said: Vec<(u64, HostId, String)>,
    ran: Vec<(HostId, String)>,
}

/// What the models say and run.
#[derive(Debug, Default)]
struct Heard {
    said: RefCell<Vec<(HostId, String)>>,
    ran: RefCell<Vec<(HostId, String)>>,
}

impl Observer for Heard {
    fn action(&self, _: Micros, host: HostId, action: &Action) {
        if let Action::Transmit(message) = action {
            let essence = essence(|name| message.text(name));
            self.said
                .borrow_mut()
                .extend(essence.map(|essence| (host, essence)));
        }
    }

    fn script(&self, _: Micros, host: HostId, group: GroupId, what: GroupOrder) {
        let what = match what {
            GroupOrder::Start | GroupOrder::Restart => "start",
            GroupOrder::Stop => "stop",
        };
        self.ran
            .borrow_mut()
            .push((host, format!("{what} {group}")));
    }
}

fn host_of(node: &str) -> Option<HostId> {
    [NODE1, NODE2]
        .into_iter()
        .find(|host| host.to_string() == node)
}

/// The chapters of a recording, and whether groups return by themselves.
fn read(file: &str) -> (Vec<Chapter>, AutoFailback) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/timelines");
    let text = std::fs::read_to_string(folder.join(file)).expect("a recording");
    let failback = if text.contains("auto_failback off") {
        AutoFailback::Off
    } else {
        AutoFailback::On
    };
    let mut chapters: Vec<Chapter> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.splitn(4, '\t').collect();
        let [ms, node, kind, text] = columns[..] else {
            continue;
        };
        let when: Micros = ms.parse::<Micros>().expect("a number") * 1_000;
        if kind == "action" {
            let begun = chapters.last().and_then(|chapter| chapter.actions.first());
            if begun.is_none_or(|(begun, _)| when > begun + SAME_MOMENT) {
                chapters.push(Chapter::default());
            }
            if let Some(chapter) = chapters.last_mut() {
                chapter.actions.push((when, text.to_owned()));
            }
        }
        let (Some(chapter), Some(host)) = (chapters.last_mut(), host_of(node)) else {
            continue;
        };
        if kind == "net0" && essence_of(text).is_some() || kind == "script" {
            chapter.ends = when;
        }
        match kind {
            "net0" => chapter.said.extend(said(host, text)),
            "script" => chapter.ran.extend(ran(text).map(|ran| (host, ran))),
            _ => {}
        }
    }
    // Legacy puts a message on the wire after its consequences: the numbers have the true order.
    for chapter in &mut chapters {
        chapter
            .said
            .sort_by_key(|(number, host, _)| (*host, *number));
    }
    (chapters, failback)
}

fn said(host: HostId, text: &str) -> Option<(u64, HostId, String)> {
    let (number, essence) = essence_of(text)?;
    Some((number, host, essence))
}

fn essence_of(text: &str) -> Option<(u64, String)> {
    let words = text.split(' ').filter_map(|word| word.split_once('='));
    let fields: Vec<(&str, &str)> = words.collect();
    let get = |name: &str| {
        fields
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| *value)
    };
    let number = u64::from_str_radix(get("seq")?, 16).ok()?;
    Some((number, essence(get)?))
}

/// The part of a message that concerns resources, if there is one.
fn essence<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let kinds = [
        "starting",
        "resource",
        "ask_resources",
        "hb_takeover",
        "shutdone",
        "stonith",
    ];
    let kind = get("t").filter(|kind| kinds.contains(kind))?;
    let more = ["node", "result", "rsc_hold", "isstable", "info"];
    let words = std::iter::once(kind).chain(more.into_iter().filter_map(get));
    Some(words.collect::<Vec<_>>().join(" "))
}

/// A group is started with its first resource and stopped when that is stopped.
fn ran(text: &str) -> Option<String> {
    let mut words = text.split(' ');
    let (resource, operation) = (words.next()?, words.next()?);
    let group = match resource {
        "a1" => 0,
        "b1" => 1,
        _ => return None,
    };
    matches!(operation, "start" | "stop").then(|| format!("{operation} g{group}"))
}

/// Without repetitions, and without the helpers' own messages.
fn told(said: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for message in said {
        let message = message.trim_end_matches(" req_our_resources()").to_owned();
        if kept.last() != Some(&message) {
            kept.push(message);
        }
    }
    kept
}

fn act(action: &str) -> Act {
    if let Some(node) = action.strip_prefix("start daemon on ") {
        return Act::Start {
            host: host_of(node).expect("a node"),
        };
    }
    if let Some(node) = action.strip_prefix("kill -9 every process on ") {
        return Act::Crash {
            host: host_of(node).expect("a node"),
        };
    }
    let (node, command) = action.split_once(": run ").expect("an action");
    let host = host_of(node).expect("a node");
    let words: Vec<&str> = command.split_whitespace().collect();
    let set = |word: &str| SETS.iter().position(|set| *set == word);
    match words[..] {
        ["hb_standby", "failback"] => Act::Standby { host, set: 2 },
        ["hb_standby", word] => Act::Standby {
            host,
            set: set(word).expect("a set"),
        },
        ["hb_takeover", word] => Act::Takeover {
            host,
            set: set(word).unwrap_or(0),
        },
        ["hb_takeover"] => Act::Takeover { host, set: 0 },
        ["heartbeat", "-k", ..] => Act::Stop { host },
        _ => panic!("unknown action {action:?}"),
    }
}

/// Replays a recording up to the first chapter with an action that `until` names.
fn replay(file: &str, until: Option<&str>) {
    let (chapters, failback) = read(file);
    let plan = Plan {
        programs: vec![Program::Legacy; 2],
        keepalives_ms: vec![500; 2],
        deadtimes_ms: vec![4_000; 2],
        initdead_ms: 12_000,
        failback,
        groups: vec![(NODE1, 2), (NODE2, 2)],
        ..Plan::quiet()
    };
    let mut world = World::new(plan, 1);
    let heard = Rc::new(Heard::default());
    world.observe(heard.clone());
    let begun = world.now;
    for (number, chapter) in chapters.iter().enumerate() {
        let ends_here =
            |(_, action): &(Micros, String)| until.is_some_and(|text| action.contains(text));
        if chapter.actions.iter().any(ends_here) {
            break;
        }
        heard.said.borrow_mut().clear();
        heard.ran.borrow_mut().clear();
        for (when, action) in &chapter.actions {
            world.run(begun + when);
            world.act(act(action));
        }
        // The recording ends with the last line of the chapter: work due at that tick is included.
        let next = chapters
            .get(number + 1)
            .and_then(|next| next.actions.first());
        let next = next.map_or(Micros::MAX, |(when, _)| *when);
        world.run(begun + next.min(chapter.ends + SECOND));
        let place = format!("{file} {:?}", chapter.actions);
        let (said, ran) = (heard.said.borrow(), heard.ran.borrow());
        for host in [NODE1, NODE2] {
            let expected = chapter.said.iter().filter(|(_, by, _)| *by == host);
            let expected = told(expected.map(|(_, _, message)| message.clone()));
            let real = said.iter().filter(|(by, _)| *by == host);
            let real = told(real.map(|(_, message)| message.clone()));
            assert_eq!(real, expected, "{place}: {host} said");
            let expected: Vec<_> = chapter.ran.iter().filter(|(by, _)| *by == host).collect();
            let real: Vec<_> = ran.iter().filter(|(by, _)| *by == host).collect();
            assert_eq!(real, expected, "{place}: {host} ran");
        }
    }
}

#[test]
fn cold_start_of_both() {
    replay("01-cold-start-both.tsv", None);
}

#[test]
fn a_second_one_joins_and_gets_its_groups_back() {
    replay("02-cold-start-one-then-second-joins.tsv", None);
}

#[test]
fn a_second_one_joins_without_failback() {
    replay("03-second-joins-auto-failback-off.tsv", None);
}

#[test]
fn a_death_and_a_return() {
    replay("05-kill9-and-return.tsv", None);
}

#[test]
fn a_stop_in_order() {
    replay("06-graceful-stop.tsv", None);
}

#[test]
fn standby_in_all_variants() {
    replay("07-standby.tsv", Some("bogus"));
}

#[test]
fn takeover_in_all_variants() {
    replay("08-takeover.tsv", Some("failback"));
}
