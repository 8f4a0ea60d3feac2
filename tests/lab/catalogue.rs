//! The catalogue of log messages that people and suites match (docs/protocol/tools.md, 6.5): each row at its moment.
//!
//! Two legacy nodes and a pair of ours go through the same story at the same time. After each step the lines of the catalogue
//! that a node of ours has logged are those that the legacy node in its place has logged, numbers apart. What differs stands in
//! a table here, with its reason; so does every row that no story reaches, with the test that has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::host::{Kind, legacy_obstacle, skip};
use super::pair::{ADDRESS_1, ADDRESS_2, NODES, Pair, PairConfig};
use super::{LEGACY_LEGACY, OURS_OURS};

/// One message: row, level, text; `%` stands for anything.
type Message = (u32, &'static str, &'static str);

const CATALOGUE: &[Message] = &[
    (
        1,
        "info",
        "Configuration validated. Starting heartbeat 3.0.6",
    ),
    (2, "info", "heartbeat: version 3.0.6"),
    (3, "info", "Heartbeat generation: %"),
    (
        4,
        "info",
        "glib: UDP Broadcast heartbeat started on port % (%) interface %",
    ),
    (5, "info", "Local status now set to: '%'"),
    (6, "info", "Link %:% up."),
    (6, "info", "Link %:% dead."),
    (7, "info", "Status update for node %: status %"),
    (8, "WARN", "node %: is dead"),
    (9, "WARN", "Late heartbeat: Node %: interval % ms"),
    (
        10,
        "CRIT",
        "Late heartbeat: Node %: interval % ms (> deadtime)",
    ),
    (11, "CRIT", "Cluster node % returning after partition."),
    (
        12,
        "info",
        "For information on cluster partitions, See URL: %",
    ),
    (13, "WARN", "Deadtime value may be too small."),
    (13, "info", "See FAQ for information on tuning deadtime."),
    (14, "info", "Heartbeat restart on node %"),
    (15, "info", "Comm_now_up(): updating status to active"),
    (16, "info", "Starting child client \"%\" (%)"),
    (16, "info", "Starting \"%\" as uid %  gid % (pid %)"),
    (17, "ERROR", "Client % exited with return code %."),
    (18, "ERROR", "Client % (pid=%) killed by signal %."),
    (19, "ERROR", "Respawning client \"%\":"),
    (20, "ERROR", "Client % \"respawning too fast\""),
    (21, "WARN", "Managed % process % exited with return code %."),
    (21, "WARN", "Managed % process % killed by signal %"),
    (22, "WARN", "No STONITH device configured."),
    (22, "WARN", "Shared disks are not protected."),
    (23, "info", "Resources being acquired from %."),
    (24, "info", "Resetting node % with [%]"),
    (25, "info", "node % now reset."),
    (26, "ERROR", "Host % not reset!"),
    (26, "ERROR", "STONITH of % failed.  Retrying..."),
    (27, "info", "Checking status of STONITH device [%]"),
    (28, "info", "Running /etc/ha.d//rc.d/status status"),
    (29, "info", "No local resources [%] to acquire."),
    (30, "info", "Local Resource acquisition completed.%"),
    (31, "info", "Initial resource acquisition complete (%)"),
    (32, "info", "remote resource transition completed."),
    (32, "info", "local resource transition completed."),
    (33, "info", "mach_down takeover complete."),
    (33, "info", "mach_down takeover complete for node %."),
    (34, "info", "Acquiring resource group: %"),
    (34, "info", "Releasing resource group: %"),
    (35, "info", "Running % start"),
    (35, "info", "Running % stop"),
    (36, "ERROR", "Return code % from %"),
    (37, "CRIT", "Giving up resources due to failure of %"),
    (39, "CRITICAL", "Resource % is active, and should not be!"),
    (38, "CRIT", "Resource STOP failure. Reboot required!"),
    (
        39,
        "CRITICAL",
        "Non-idle resources can affect data integrity!",
    ),
    (40, "info", "Going standby [%]."),
    (41, "info", "% wants to go standby [%]"),
    (41, "info", "standby: % can take our % resources"),
    (42, "info", "Standby resource acquisition done [%]."),
    (
        43,
        "WARN",
        "No reply to standby request.  Standby request cancelled.",
    ),
    (44, "WARN", "standby message [%] from % ignored.  %"),
    (45, "info", "Local standby process completed [%]."),
    (
        45,
        "info",
        "Other node completed standby takeover of % resources.",
    ),
    (46, "info", "Giving up all HA resources."),
    (46, "info", "All HA resources relinquished."),
    (47, "info", "Received shutdown notice from '%'."),
    (48, "info", "Heartbeat shutdown in progress. (%)"),
    (49, "info", "killing % process % with signal %"),
    (49, "info", "Core process % exited. % remaining"),
    (50, "info", "% Heartbeat shutdown complete."),
    (51, "WARN", "Shutdown delayed until %."),
    (
        52,
        "info",
        "Signalling heartbeat pid % to reread config files",
    ),
    (53, "info", "Configuration unchanged."),
    (53, "info", "Rereading authentication file."),
    (54, "info", "Heartbeat restart triggered."),
    (54, "info", "Restarting heartbeat."),
    (54, "info", "Performing heartbeat restart exec."),
    (55, "ERROR", "Both machines own our resources!"),
    (55, "ERROR", "Both machines own foreign resources!"),
    (55, "ERROR", "No one owns our local resources!"),
    (55, "ERROR", "No one owns foreign resources!"),
    (
        57,
        "ERROR",
        "process_status_message: bad node [%] in message",
    ),
    (
        58,
        "ERROR",
        "should_drop_message: attempted replay attack [%]%",
    ),
    (59, "WARN", "% lost packet(s) for [%] [%:%]"),
    (59, "info", "No pkts missing from %!"),
    (60, "ERROR", "Cannot rexmit pkt % for %: %"),
    (65, "info", "Clock jumped backwards. Compensating."),
    (68, "notice", "Using watchdog device: %"),
];

/// Who says a line that the other does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Ours,
    Legacy,
}
use Only::{Legacy, Ours};

/// A difference: in which step (empty: any), who says it, row, a part of the line, why.
type Difference = (&'static str, Only, u32, &'static str, &'static str);

const DIFFERENT: &[Difference] = &[
    (
        "",
        Ours,
        18,
        "killed by signal",
        "legacy says it only with debug 1 or more",
    ),
    (
        "",
        Ours,
        32,
        "local resource transition",
        "legacy leaves it out when the other node has settled before",
    ),
    (
        "",
        Legacy,
        35,
        "IPaddr",
        "the daemon handles addresses itself",
    ),
    (
        "",
        Legacy,
        24,
        "[NULL STONITH device]",
        "legacy names a device as its plugin describes it, ours as ha.cf does",
    ),
    ("", Ours, 24, "[null]", "as above"),
    ("", Legacy, 27, "[NULL STONITH device]", "as above"),
    ("", Ours, 27, "[null]", "as above"),
    (
        "cut",
        Ours,
        34,
        "Acquiring",
        "at a death ours looks again whether its own groups run",
    ),
    ("power loss of node1", Ours, 34, "Acquiring", "as above"),
    ("", Legacy, 49, "killing HB", "there is one process"),
    ("", Legacy, 49, "Core process", "as above"),
    (
        "restart in place",
        Legacy,
        50,
        "shutdown complete",
        "the process begins anew, nothing is shut down",
    ),
    (
        "stop of node1",
        Legacy,
        42,
        "[foreign]",
        "legacy takes the takeover for the end of a standby",
    ),
    (
        "a group fails",
        Ours,
        34,
        "",
        "legacy lets a group lie that does not start; ours gives the half back",
    ),
    ("a group fails", Ours, 35, "", "as above"),
    ("a group fails", Ours, 41, "", "as above"),
    ("a group fails", Ours, 42, "", "as above"),
    ("a group fails", Ours, 45, "", "as above"),
];

/// What depends on the moment in which two messages cross.
fn by_chance(row: u32, text: &str) -> bool {
    row == 59 || row == 7 && (text.ends_with("status up") || text.ends_with("status init"))
}

/// Rows that no story reaches: a test that has the text, or why no line of ours says it.
const ELSEWHERE: &[(u32, Result<&str, &str>)] = &[
    (9, Ok("src/protocol/membership/tests/liveness.rs")),
    (10, Ok("src/protocol/membership/tests/liveness.rs")),
    (17, Ok("tests/lab/respawn.rs")),
    (20, Ok("tests/lab/respawn.rs")),
    (26, Ok("tests/lab/fencing_recorded.rs")),
    (29, Ok("tests/ha_log.rs")),
    (38, Ok("tests/lab/hang.rs")),
    (39, Ok("src/helper/tests.rs")),
    (43, Ok("tests/lab/freeze.rs")),
    (44, Ok("tests/ha_log.rs")),
    (40, Err("hb_standby prints it")),
    (51, Ok("tests/ha_log.rs")),
    (55, Ok("tests/lab/fencing_recorded.rs")),
    (
        56,
        Err("a file that cannot be read keeps the keys in force"),
    ),
    (57, Ok("src/protocol/membership/tests/numbers.rs")),
    (58, Ok("src/protocol/membership/tests/numbers.rs")),
    (59, Ok("src/protocol/membership/tests/numbers.rs")),
    (60, Ok("src/protocol/membership/tests/numbers.rs")),
    (61, Err("a medium is an actor, not a process")),
    (62, Err("there is one process")),
    (
        63,
        Err("there is one process; its guardian has lines of its own"),
    ),
    (64, Err("no loop in the daemon waits for another one")),
    (65, Ok("src/protocol/membership/tests/liveness.rs")),
    (
        66,
        Err("the daemon is restarted by its guardian, with a line of its own"),
    ),
    (
        67,
        Err("memory that cannot be locked is told in a line of its own"),
    ),
    (68, Ok("tests/lab/watchdog.rs")),
    (69, Err("the length is set and not logged")),
    (70, Err("`systole why` tells it")),
];

/// Whether `text` is what `pattern` says.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('%');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Level and text of a line of either form.
fn told(line: &str) -> Option<(&str, &str)> {
    let levels = [
        "info", "WARN", "ERROR", "CRIT", "CRITICAL", "notice", "debug",
    ];
    let begins = levels.iter().filter_map(|level| {
        let mark = format!(" {level}: ");
        Some((line.find(&mark)?, *level, mark.len()))
    });
    let (at, level, length) = begins.min()?;
    Some((level, line[at + length..].trim_end()))
}

/// The row and the line, numbers apart.
fn row(line: &str) -> Option<(u32, String)> {
    let (level, text) = told(line)?;
    let (number, ..) = CATALOGUE
        .iter()
        .find(|(_, of, pattern)| *of == level && matches(pattern, text))?;
    let text = text.replace("/etc/ha.d//", "/etc/ha.d/");
    let mut plain = String::new();
    for letter in text.chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if !(letter == '#' && plain.ends_with('#')) {
            plain.push(letter);
        }
    }
    Some((*number, format!("{level}: {plain}")))
}

/// What each node has said in each step.
type Said = BTreeMap<(&'static str, &'static str), BTreeSet<(u32, String)>>;

struct Story {
    pair: Pair,
    read: BTreeMap<&'static str, usize>,
    said: Said,
}

impl Story {
    fn new(kinds: [Kind; 2], more: &str) -> Self {
        let mut config = PairConfig::new(kinds).with_second_group();
        config.times = "keepalive 200ms\nwarntime 1\ndeadtime 2\ninitdead 4\n".into();
        config.times += "respawn root /etc/ha.d/client\n";
        config.times += more;
        config.resources += "node1 dummy::c\n";
        let pair = Pair::new(config);
        for node in NODES {
            let client = pair.lab.dir(node).join("ha.d/client");
            let text = "#!/bin/sh\necho $$ >/run/client.pid\nexec sleep 1000\n";
            fs::write(&client, text).expect("client");
            fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).expect("mode");
        }
        Self {
            pair,
            read: BTreeMap::new(),
            said: Said::new(),
        }
    }

    /// What happens and is waited for; the lines that are logged until a moment after it belong to it.
    fn step(&mut self, name: &'static str, happens: impl FnOnce(&Pair)) {
        happens(&self.pair);
        sleep(Duration::from_millis(1500));
        for node in NODES {
            let log = self.pair.lab.log(node);
            let from = self.read.insert(node, log.len()).unwrap_or(0);
            let rows = log[from..].lines().filter_map(row).collect();
            self.said.insert((name, node), rows);
        }
    }

    fn start(&mut self) {
        self.step("start of both", |pair| {
            pair.start_both();
            pair.wait_active();
            for (node, address, dummy) in [("node1", ADDRESS_1, "a"), ("node2", ADDRESS_2, "b")] {
                pair.wait_owner(node, address, dummy);
                pair.wait_holds(node, "local");
            }
        });
    }
}

fn reload(pair: &Pair, node: &str) {
    pair.lab.sh(node, &format!("{} -r", pair.daemon(node)));
}

/// What people do, and what fails.
fn every_day(kinds: [Kind; 2]) -> Said {
    let mut story = Story::new(kinds, "");
    story.start();
    story.step("standby", |pair| {
        pair.operator("node1", "hb_standby all");
        pair.wait_owner("node2", ADDRESS_1, "a");
        pair.wait_holds("node2", "all");
    });
    story.step("takeover", |pair| {
        pair.operator("node1", "hb_takeover local");
        pair.wait_owner("node1", ADDRESS_1, "a");
        pair.wait_holds("node1", "local");
    });
    story.step("a client is killed", |pair| {
        for node in NODES {
            pair.lab.sh(node, "kill -9 $(cat /run/client.pid)");
            pair.wait_log_count(node, "Starting child client", 2);
        }
    });
    story.step("reload, nothing changed", |pair| {
        for node in NODES {
            reload(pair, node);
            pair.wait_log(node, "Configuration unchanged.");
        }
    });
    story.step("reload, authkeys changed", |pair| {
        for node in NODES {
            pair.lab.sh(node, "touch /etc/ha.d/authkeys");
            reload(pair, node);
            pair.wait_log(node, "Rereading authentication file.");
        }
    });
    story.step("restart in place", |pair| {
        pair.lab.sh("node1", "touch /etc/ha.d/ha.cf");
        reload(pair, "node1");
        pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
        pair.wait_log_count("node2", "Status update for node node1: status active", 2);
        pair.wait_holds("node1", "local");
    });
    story.step("stop of node1", |pair| {
        pair.stop("node1");
        pair.wait_owner("node2", ADDRESS_1, "a");
        pair.wait_holds("node2", "all");
        pair.wait_log("node2", "node node1: is dead");
    });
    story.step("return of node1", |pair| {
        pair.start("node1");
        pair.wait_log_count("node2", "Status update for node node1: status active", 3);
        pair.wait_holds("node1", "none");
    });
    story.step("a group fails", |pair| {
        fs::write(pair.lab.shared().join("fail-c-node1"), "").expect("flag");
        pair.operator("node1", "hb_takeover local");
        pair.wait_log("node1", "Giving up resources due to failure of dummy::c");
        sleep(Duration::from_secs(2));
    });
    fs::remove_file(story.pair.lab.shared().join("fail-c-node1")).expect("flag");
    story.step("the group is taken again", |pair| {
        pair.operator("node1", "hb_takeover local");
        pair.wait_owner("node1", ADDRESS_1, "a");
    });
    story.said.remove(&("the group is taken again", "node1"));
    story.said.remove(&("the group is taken again", "node2"));
    story.step("power loss of node1", |pair| {
        let before = pair.log_count("node2", "node node1: is dead");
        pair.lab.power_off("node1");
        pair.wait_log_count("node2", "node node1: is dead", before + 1);
        pair.wait_owner("node2", ADDRESS_1, "a");
    });
    story.step("stop of the last node", |pair| pair.stop("node2"));
    story.said
}

/// A device that says yes, and a cut.
fn a_cut(kinds: [Kind; 2]) -> Said {
    let mut story = Story::new(kinds, "stonith_host * null node1 node2\n");
    story.start();
    story.step("cut", |pair| {
        pair.lab.link("node1", "eth0", false);
        for (node, peer) in [("node1", "node2"), ("node2", "node1")] {
            pair.wait_log(node, &format!("node {peer}: is dead"));
            pair.wait_log(node, &format!("node {peer} now reset."));
            pair.wait_log(node, "mach_down takeover complete.");
        }
    });
    // From here on a legacy node begins anew, and ours decides which one yields.
    let heal = |pair: &Pair| {
        pair.lab.link("node1", "eth0", true);
        for (node, peer) in [("node1", "node2"), ("node2", "node1")] {
            pair.wait_log(
                node,
                &format!("Cluster node {peer} returning after partition."),
            );
        }
    };
    story.step("heal", heal);
    for (_, rows) in story
        .said
        .iter_mut()
        .filter(|((step, _), _)| *step == "heal")
    {
        rows.retain(|(row, _)| [11, 12, 13].contains(row));
    }
    story.said
}

/// Tells the story with both pairs at once, and compares. Returns the rows that ours has said.
fn compare(story: fn([Kind; 2]) -> Said) -> BTreeSet<u32> {
    let ours = std::thread::Builder::new().name("catalogue-ours".into());
    let ours = ours.spawn(move || story(OURS_OURS)).expect("thread");
    let legacy = story(LEGACY_LEGACY);
    let ours = ours.join().expect("the story of ours");
    let mut wrong = Vec::new();
    for ((step, node), legacy) in &legacy {
        let ours = &ours[&(*step, *node)];
        let lines = legacy.symmetric_difference(ours);
        for (row, text) in lines.filter(|(row, text)| !by_chance(*row, text)) {
            let only = if ours.contains(&(*row, text.clone())) {
                Ours
            } else {
                Legacy
            };
            let known = DIFFERENT.iter().any(|(of, who, of_row, part, _)| {
                (of.is_empty() || of == step)
                    && *who == only
                    && of_row == row
                    && text.contains(part)
            });
            if !known {
                wrong.push(format!("{step}, {node}, {only:?} only, row {row}: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    ours.values().flatten().map(|(row, _)| *row).collect()
}

/// Whether a file has the longest words of a message of the row.
fn has_words_of(row: u32, file: &str) -> bool {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(file);
    let patterns = CATALOGUE.iter().filter(|(of, ..)| *of == row);
    let mut words =
        patterns.filter_map(|(_, _, pattern)| pattern.split('%').max_by_key(|part| part.len()));
    words.any(|words| text.contains(words.trim_matches([' ', '"'])))
}

/// Each row of the page is said at its moment, or another test has it, or there is a reason.
#[test]
#[ignore = "lab: run by scripts/test"]
fn each_row_at_its_moment() {
    if let Some(reason) = legacy_obstacle() {
        return skip("catalogue::each_row_at_its_moment", &reason);
    }
    for (row, place) in ELSEWHERE {
        if let Ok(file) = place {
            assert!(has_words_of(*row, file), "{file} has no word of row {row}");
        }
    }
    let cut = std::thread::spawn(|| compare(a_cut));
    let mut held = compare(every_day);
    held.extend(cut.join().expect("the story of a cut"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    held.extend(ELSEWHERE.iter().map(|(row, _)| *row));
    let page = fs::read_to_string(root.join("docs/protocol/tools.md")).expect("the page");
    let rows = page.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        let levels = ["info", "WARN", "ERROR", "CRIT", "notice"];
        levels
            .iter()
            .any(|level| rest.starts_with(level))
            .then(|| number.parse::<u32>().ok())?
    });
    let rows: BTreeSet<u32> = rows.collect();
    assert!(rows.len() >= 70, "{rows:?}");
    let missing: Vec<u32> = rows.difference(&held).copied().collect();
    assert!(missing.is_empty(), "rows that nothing holds: {missing:?}");
}
