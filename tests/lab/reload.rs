//! Every kind of line is changed alone, put in force by `heartbeat -r`, and has its effect: the group runs on, nobody is
//! declared dead.

use std::fs;
use std::time::{Duration, Instant};

use super::history::{address_changes, assert_never_two_owners, count};
use super::host::wait_until;
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, SYSTOLE_OWNER, run};

const ACTIVE: &str = "Local status now set to: 'active'";

/// A pair whose node1 runs the group and is edited.
struct Edited {
    pair: Pair,
    edits: u32,
}

impl Edited {
    fn begin(mut config: PairConfig) -> Self {
        config.nets = 2;
        let pair = Pair::new(config);
        pair.start_settled();
        Self { pair, edits: 0 }
    }

    fn path(&self, node: &str, file: &str) -> std::path::PathBuf {
        self.pair.lab.dir(node).join("ha.d").join(file)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path("node1", file)).expect(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.path("node1", file), text).expect(file);
    }

    /// `heartbeat -r`: its exit code and what it says.
    fn reload(&self, node: &str) -> (Option<i32>, String) {
        let output = self
            .pair
            .lab
            .exec(node, &["setsid", &self.pair.daemon(node), "-r"]);
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    /// Another ha.cf on node1, and a reload. The process replaces itself and says what has changed.
    fn change(&mut self, from: &str, to: &str, parts: &str) {
        let before = self.text("ha.cf");
        assert!(from.is_empty() || before.contains(from), "{from}: {before}");
        let after = if from.is_empty() {
            format!("{before}{to}\n")
        } else {
            before.replace(from, to)
        };
        self.write("ha.cf", &after);
        let active = self.pair.log_count("node1", ACTIVE);
        let (code, said) = self.reload("node1");
        assert_eq!(code, Some(0), "{to}: {said}");
        self.pair.wait_log_count("node1", ACTIVE, active + 1);
        self.pair
            .wait_log("node1", &format!("Configuration changed: {parts}"));
        self.pair.wait_holds("node1", "local");
        self.edits += 1;
    }

    /// Files that cannot be taken up are refused by the command and by the daemon, with the place, and nothing happens.
    fn refused(&self, file: &str, text: &str, place: &str) {
        let before = fs::read_to_string(self.path("node1", file)).ok();
        self.write(file, text);
        let active = self.pair.log_count("node1", ACTIVE);
        let (code, said) = self.reload("node1");
        assert_eq!(code, Some(1), "{text}: {said}");
        assert!(said.contains(place), "{place} in {said}");
        let refused = self.pair.log_count("node1", "NOT restarted");
        self.pair
            .lab
            .sh("node1", "kill -HUP $(cat /run/heartbeat.pid)");
        self.pair
            .wait_log_count("node1", "NOT restarted", refused + 1);
        assert_eq!(self.pair.log_count("node1", ACTIVE), active, "{text}");
        match before {
            Some(before) => self.write(file, &before),
            None => fs::remove_file(self.path("node1", file)).expect("removed"),
        }
    }

    /// The group never moved and was started once; nobody was declared dead.
    fn assert_quiet(&self) {
        let lab = &self.pair.lab;
        assert_eq!(self.pair.owners(ADDRESS_1), ["node1"]);
        assert_eq!(count(lab, "node1", "start", "a"), 1);
        assert_eq!(count(lab, "node1", "stop", "a"), 0);
        assert!(address_changes(lab, "node2", ADDRESS_1).is_empty());
        for node in NODES {
            for bad in ["is dead", "Late heartbeat"] {
                assert_eq!(self.pair.log_count(node, bad), 0, "{}", lab.log(node));
            }
        }
        assert_never_two_owners(lab);
    }
}

/// A program that a `respawn` line names.
const CHILD: &str = "#!/bin/sh\nexec sleep 7777\n";

fn every_kind(kinds: [super::host::Kind; 2]) {
    let mut it = Edited::begin(PairConfig::new(kinds));
    let script = it.path("node1", "child");
    fs::write(&script, CHILD).expect("child");
    it.pair.lab.sh("node1", "chmod 755 /etc/ha.d/child");
    let runs = |it: &Edited| {
        it.pair
            .lab
            .sh("node1", "pgrep -f 'sleep 777[7]' | wc -l")
            .trim()
            .to_owned()
    };

    it.change(
        "debugfile /var/log/ha-debug",
        "debugfile /var/log/other",
        "log",
    );
    let other = it.pair.lab.dir("node1").join("log/other");
    wait_until(LONG, "the other log has lines", || {
        fs::metadata(&other).is_ok_and(|file| file.len() > 0)
    });

    it.change("keepalive 200ms", "keepalive 300ms", "times");
    let ask = format!(
        "{} hbparameter -p keepalive",
        env!("CARGO_BIN_EXE_cl_status")
    );
    wait_until(LONG, "300 ms", || {
        it.pair.lab.sh("node1", &ask).contains("300")
    });

    it.change("", "ping 10.77.0.3", "ping");
    wait_until(LONG, "the ping node answers", || {
        let nodes = it.pair.view("node1")["node"]["nodes"].clone();
        let mut nodes = nodes.as_array().into_iter().flatten();
        nodes.any(|node| node["name"] == "10.77.0.3" && node["status"] == "ping")
    });

    it.change("bcast eth0", "bcast eth0 eth1", "media");
    wait_until(LONG, "two media", || {
        let media = it.pair.view("node1")["media"].clone();
        let media = media.as_array().into_iter().flatten();
        media.filter(|medium| medium["open"] == true).count() == 2
    });

    it.change("", "respawn root /etc/ha.d/child", "respawn");
    wait_until(LONG, "the child runs once", || runs(&it) == "1");
    it.change("respawn root /etc/ha.d/child", "", "respawn");
    wait_until(LONG, "the child is gone", || runs(&it) == "0");

    it.change("", "apiauth lab uid=root", "apiauth");
    it.change("node node1 node2", "node node2\nnode node1", "node");

    let ha_cf = it.text("ha.cf");
    let lines = ha_cf.lines().count() + 1;
    it.refused("ha.cf", &format!("{ha_cf}node node3\n"), "/etc/ha.d/ha.cf");
    it.refused(
        "ha.cf",
        &format!("{ha_cf}crm ccm-only\n"),
        &format!("ha.cf:{lines}: a running node cannot"),
    );
    it.refused(
        "nodeinfo",
        "node2\n",
        "the running node is node1 and would be node2",
    );
    it.refused(
        "haresources",
        &format!("node1 {ADDRESS_1}/24/eth0 dummy::a\nnode9 dummy::b\n"),
        "haresources",
    );
    it.assert_quiet();
    assert_eq!(it.edits, 8);
    // The last image still knows what it holds.
    it.pair.stop("node1");
    it.pair.wait_owner("node2", ADDRESS_1, "a");
}

/// Good keys beside a bad ha.cf are not taken, and are found changed when ha.cf is good again. Keys, haresources and ha.cf
/// changed at once are all taken.
fn several_at_once(kinds: [super::host::Kind; 2]) {
    let it = Edited::begin(PairConfig::new(kinds));
    let keys = "auth 1\n1 sha1 labkey\n2 sha1 other\n";
    let hangup = "kill -HUP $(cat /run/heartbeat.pid)";
    let key = || it.pair.view("node1")["node"]["nodes"][0]["key"].as_u64();
    let ha_cf = it.text("ha.cf");
    it.write("authkeys", &keys.replace("auth 1", "auth 2"));
    it.write("ha.cf", "nonsense\n");
    it.pair.lab.sh("node1", hangup);
    it.pair.wait_log("node1", "NOT restarted");
    assert_eq!(key(), Some(1));
    assert_eq!(
        it.pair.log_count("node1", "Rereading authentication file."),
        0
    );
    // Asked again it says so again.
    it.pair.lab.sh("node1", hangup);
    it.pair.wait_log_count("node1", "NOT restarted", 2);
    it.write("ha.cf", &ha_cf);
    it.write("authkeys", keys);
    let text = it.text("haresources");
    it.write("haresources", &format!("# a remark\n{text}"));
    let (code, said) = it.reload("node1");
    assert_eq!(code, Some(0), "{said}");
    it.pair.wait_log("node1", "Rereading authentication file.");
    it.pair
        .wait_log("node1", "Performing heartbeat restart exec.");
    it.pair.wait_log_count("node1", ACTIVE, 2);
    it.pair.wait_holds("node1", "local");
    // A remark alone is taken up without a restart.
    it.write("haresources", &text);
    let since = Instant::now();
    let status = format!("{} check", env!("CARGO_BIN_EXE_systole"));
    let warns = "not in force before systole reload: haresources";
    wait_until(LONG, "the check says it", || {
        it.pair.lab.sh("node1", &status).contains(warns)
    });
    assert!(since.elapsed() > Duration::from_secs(20), "told too early");
    it.pair.wait_log(
        "node1",
        "changed, and not in force before heartbeat -r: haresources",
    );
    let (code, said) = it.reload("node1");
    assert_eq!(code, Some(0), "{said}");
    wait_until(LONG, "nothing is left", || {
        !it.pair.lab.sh("node1", &status).contains("not in force")
    });
    let reload = format!("{} reload", env!("CARGO_BIN_EXE_systole"));
    wait_until(LONG, "it is in force", || {
        it.pair
            .lab
            .sh("node1", &reload)
            .contains("nothing has changed")
    });
    assert_eq!(it.pair.log_count("node1", ACTIVE), 2);
    it.assert_quiet();
}

/// Lines of haresources are added, put in another order and removed, by `heartbeat -r` on one node after the other.
fn haresources_lines(kinds: [super::host::Kind; 2]) {
    let config = PairConfig::new(kinds).with_failback("on");
    let it = Edited::begin(config);
    let first = format!("node1 {ADDRESS_1}/24/eth0 dummy::a\n");
    let more = format!("node2 {ADDRESS_2}/24/eth0 dummy::b\n");
    let take_up = |text: String| {
        for node in NODES {
            fs::write(it.path(node, "haresources"), &text).expect("haresources");
        }
        for node in NODES {
            let active = it.pair.log_count(node, ACTIVE);
            let (code, said) = it.reload(node);
            assert_eq!(code, Some(0), "{said}");
            it.pair.wait_log_count(node, ACTIVE, active + 1);
        }
    };
    take_up(format!("{first}{more}"));
    it.pair.wait_owner("node2", ADDRESS_2, "b");
    it.assert_quiet();
    take_up(format!("{more}{first}"));
    for node in NODES {
        it.pair.wait_holds(node, "local");
    }
    assert_eq!(it.pair.owners(ADDRESS_2), ["node2"]);
    assert_eq!(count(&it.pair.lab, "node2", "start", "b"), 1);
    it.assert_quiet();
    take_up(first.clone());
    it.pair.wait_log("node2", "is not in haresources any more");
    assert_eq!(count(&it.pair.lab, "node2", "stop", "b"), 0);
    it.assert_quiet();
}

macro_rules! tests {
    ($($name:ident $kinds:ident $scenario:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("reload::", stringify!($name)), $kinds, $scenario);
        }
    )* };
}

tests! {
    every_kind_of_line_by_itself OURS_OURS every_kind;
    every_kind_of_line_beside_a_legacy_node SYSTOLE_OWNER every_kind;
    several_files_at_once OURS_OURS several_at_once;
    lines_of_haresources OURS_OURS haresources_lines;
}
