//! Replays the actions of a recorded run of two legacy nodes and compares the messages and scripts
//! of each node, in order. Format: `tests/vectors/timelines/README.md`.

use std::path::Path;

use systole::protocol::settings::AutoFailback;

use systole::simulator::scenario::of;

use super::scenario::Cluster;

/// The actions from outside, and what the legacy nodes did until the next ones.
#[derive(Debug, Default)]
struct Chapter {
    actions: Vec<String>,
    lasts_ms: u64,
    messages: Vec<(String, String)>,
    scripts: Vec<(String, String)>,
    status: Vec<String>,
}

/// Actions closer together than this belong to one chapter.
const SAME_MOMENT_MS: u64 = 1_000;

fn read(file: &str) -> Vec<Chapter> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors/timelines")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let mut chapters: Vec<Chapter> = Vec::new();
    let mut begun = 0;
    let mut last_ms = 0;
    let mut numbered: Vec<(u64, String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.splitn(4, '\t').collect();
        let [ms, node, kind, text] = columns[..] else {
            continue;
        };
        let ms: u64 = ms.parse().unwrap();
        last_ms = ms.max(last_ms);
        if kind == "action" {
            if chapters.is_empty() || ms > begun + SAME_MOMENT_MS {
                close(&mut chapters, &mut numbered, ms - begun);
                chapters.push(Chapter::default());
                begun = ms;
            }
            chapters.last_mut().unwrap().actions.push(text.to_owned());
            continue;
        }
        let Some(chapter) = chapters.last_mut() else {
            continue;
        };
        match kind {
            "net0" => {
                if let Some((seq, message)) = message(text) {
                    numbered.push((seq, node.to_owned(), message));
                }
            }
            "script" => {
                if let Some(script) = group_script(text) {
                    chapter.scripts.push((node.to_owned(), script));
                }
            }
            "status" => chapter.status.extend(status(node, text)),
            _ => {}
        }
    }
    close(&mut chapters, &mut numbered, last_ms - begun);
    chapters
}

/// Legacy puts a message on the wire after its consequences: the numbers have the true order.
fn close(chapters: &mut [Chapter], numbered: &mut Vec<(u64, String, String)>, lasts_ms: u64) {
    numbered.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    if let Some(chapter) = chapters.last_mut() {
        chapter.lasts_ms = lasts_ms;
        chapter.messages = numbered
            .drain(..)
            .map(|(_, node, message)| (node, message))
            .collect();
    }
    numbered.clear();
}

fn message(text: &str) -> Option<(u64, String)> {
    let mut fields = Vec::new();
    for word in text.split(' ') {
        fields.extend(word.split_once('='));
    }
    let get = |name: &str| fields.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let kind = get("t")?;
    let kinds = [
        "starting",
        "resource",
        "ask_resources",
        "hb_takeover",
        "shutdone",
        "stonith",
    ];
    if !kinds.contains(&kind) {
        return None;
    }
    let mut words = vec![kind];
    words.extend(
        ["node", "result", "rsc_hold", "isstable", "info"]
            .map(get)
            .into_iter()
            .flatten(),
    );
    let seq = u64::from_str_radix(get("seq")?, 16).ok()?;
    Some((seq, words.join(" ")))
}

/// A group is started with its first resource and stopped when that is stopped.
fn group_script(text: &str) -> Option<String> {
    let mut words = text.split(' ');
    let (resource, operation) = (words.next()?, words.next()?);
    let group = resource.strip_suffix('1')?;
    matches!(operation, "start" | "stop").then(|| format!("{operation} {group}"))
}

/// `node rscstatus: groups` as [`Cluster::holdings`] writes it; nothing when the daemon is down.
fn status(node: &str, text: &str) -> Option<String> {
    let values = text
        .split_once(": ")
        .map_or("", |(_, values)| values)
        .trim();
    let mut words = values.split_whitespace();
    let rscstatus = words.next()?;
    let groups: Vec<&str> = words
        .filter_map(|word| word.strip_prefix("run.")?.strip_suffix('1'))
        .collect();
    Some(
        format!("{node} {rscstatus}: {}", groups.join(" "))
            .trim_end()
            .to_owned(),
    )
}

/// The part that must be the same: the content of each report, without the helpers' own messages
/// and without repetitions; the first `starting`; everything else unchanged.
fn essence(messages: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut started = false;
    for message in messages {
        let message = message.trim_end_matches(" req_our_resources()");
        let increment = message.ends_with("mach_down");
        let again = message == "starting" && std::mem::replace(&mut started, true);
        if increment || again || kept.last().is_some_and(|last| last == message) {
            continue;
        }
        kept.push(message.to_owned());
    }
    kept
}

fn act(cluster: &mut Cluster, action: &str) {
    if let Some(host) = action.strip_prefix("start daemon on ") {
        return cluster.boot(host);
    }
    if let Some(host) = action.strip_prefix("kill -9 every process on ") {
        return cluster.kill(host);
    }
    let (host, command) = action.split_once(": run ").unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    match words[..] {
        ["hb_standby", "failback"] => cluster.standby(host, "foreign"),
        ["hb_standby", set] => cluster.standby(host, set),
        ["hb_takeover", set] => cluster.takeover(host, set),
        ["heartbeat", "-k", ..] => cluster.stop(host),
        _ => panic!("unknown action {action:?}"),
    }
}

/// Replays `file` and compares chapter by chapter up to the first one that `until` names.
pub(crate) fn replay(file: &str, model: AutoFailback, until: Option<&str>) {
    let mut cluster = Cluster::new(&["node1", "node2"], model);
    let mut compared = 0;
    for (number, chapter) in read(file).iter().enumerate() {
        let place = format!("{file}, chapter {number} {:?}", chapter.actions);
        if chapter
            .actions
            .iter()
            .any(|action| until.is_some_and(|until| action.contains(until)))
        {
            break;
        }
        cluster.forget();
        for action in &chapter.actions {
            act(&mut cluster, action);
            cluster.run(60);
        }
        cluster.run(chapter.lasts_ms);
        for host in ["node1", "node2"] {
            // A third `stonith` result that only legacy sends. Spec: docs/protocol/resources.md,
            // 10.4, [D].
            let mut expected = essence(&of(&chapter.messages, host));
            if chapter.actions.iter().any(|action| action.contains(" -k")) {
                expected.retain(|message| message != "ask_resources all done");
            }
            let expected = essence(&expected);
            assert_eq!(
                essence(&cluster.said_by(host)),
                expected,
                "{place}: {host} said"
            );
            assert_eq!(
                cluster.run_by(host),
                of(&chapter.scripts, host),
                "{place}: {host} ran"
            );
        }
        // A lone node needs no ten seconds to settle: legacy reports `transition`.
        if !chapter.status.is_empty() && !chapter.status.iter().any(|s| s.contains("transition")) {
            assert_eq!(cluster.holdings(), chapter.status, "{place}");
        }
        assert_eq!(cluster.doubles, [], "{place}: two owners");
        compared += 1;
    }
    assert!(compared > 0);
}
