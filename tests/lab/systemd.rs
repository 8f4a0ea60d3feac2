//! The service unit under a real systemd, which is PID 1 of one of the hosts.

use std::fs;
use std::path::Path;

use super::death::{guardians, pid, wait_guardian};
use super::hang::hang;
use super::history::{assert_never_two_owners, count};
use super::host::{Kind, skip, wait_until};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};

/// The resource of the group that leaves a process in the unit's control group.
const SLEEPER: &str = "#!/bin/sh
case $1 in
  start) [ -e /run/sleeper ] || { sleep 100000 </dev/null >/dev/null 2>&1 & echo $! >/run/sleeper; } ;;
  stop) [ ! -e /run/sleeper ] || kill $(cat /run/sleeper) 2>/dev/null; rm -f /run/sleeper ;;
  status) if [ -e /run/sleeper ]; then echo running; else echo stopped; fi ;;
esac
";

/// The script of the product, for the node with systemd.
const UNIT_SCRIPT: &str = include_str!("../../conf/ha.d/resource.d/systemd");

/// The same resource for the other node.
const NO_SYSTEMD: &str = "#!/bin/sh
case $2 in
  start) touch /run/thing ;;
  stop) rm -f /run/thing ;;
  status) if [ -e /run/thing ]; then echo running; else echo stopped; fi ;;
esac
";

/// The unit that is a resource of the group.
const THING: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// A pair whose first node is run by systemd.
struct Managed(Pair);

impl Managed {
    /// The exit code of `systemctl WORDS`, and its output.
    fn systemctl(&self, words: &str) -> (Option<i32>, String) {
        let script = format!("systemctl {words} 2>&1");
        let output = self.0.lab.exec("node1", &["sh", "-c", &script]);
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.code(), said)
    }

    /// A property of the unit.
    fn shows(&self, property: &str) -> String {
        self.systemctl(&format!("show -P {property} heartbeat")).1
    }

    /// Whether the unit is active, in the run that `invocation` names, and knows the daemon.
    fn goes_on(&self, invocation: &str) {
        wait_until(LONG, "the unit knows the daemon", || {
            self.shows("MainPID") == pid(&self.0, "node1")
        });
        assert_eq!(self.shows("ActiveState"), "active");
        assert_eq!(self.shows("InvocationID"), invocation);
    }

    /// Starts the unit; the group comes up, or comes back.
    fn start(&self) -> String {
        let (code, said) = self.systemctl("start heartbeat");
        assert_eq!(code, Some(0), "{said}");
        // Not before the media are open.
        let open = self.0.lab.sh("node1", "ss -lun");
        assert!(open.contains(":694 "), "{open}");
        assert_eq!(self.systemctl("is-active heartbeat").1, "active");
        self.0.wait_owner("node1", ADDRESS_1, "a");
        self.0.wait_holds("node1", "local");
        assert_eq!(self.systemctl("is-active thing").1, "active");
        wait_guardian(&self.0, "node1", &[]);
        let invocation = self.shows("InvocationID");
        self.goes_on(&invocation);
        invocation
    }

    /// The unit has ended: nothing is held here any more and the other node takes it.
    fn is_over(&self, result: &str) {
        let pair = &self.0;
        wait_until(LONG, "the unit is over", || {
            ["inactive", "failed"].contains(&self.shows("ActiveState").as_str())
        });
        assert_eq!(self.shows("Result"), result);
        assert!(!pair.has_address("node1", ADDRESS_1));
        assert!(!pair.runs("node1", "a"));
        let left = pair.lab.sh("node1", "ls /run/sleeper /run/*.held");
        assert_eq!(left.matches("No such file").count(), 2, "{left}");
        assert_eq!(self.systemctl("is-active thing").1, "inactive");
        assert!(guardians(pair, "node1").is_empty());
        pair.wait_owner("node2", ADDRESS_1, "a");
    }
}

/// Start, sudden death, reload, two ways of losing daemon and guardian, a main thread that hangs,
/// and an orderly stop.
pub fn unit() {
    let mut config = PairConfig::new([Kind::Systole, Kind::Systole]).with_failback("on");
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a sleeper systemd::thing\n");
    let pair = Pair::new(config);
    for node in ["node1", "node2"] {
        pair.install_script(node, "sleeper", SLEEPER);
    }
    pair.install_script("node1", "systemd", UNIT_SCRIPT);
    pair.install_script("node2", "systemd", NO_SYSTEMD);
    let lab = &pair.lab;
    lab.private("node1");
    lab.lay("node1");
    let obstacle = if Path::new("/lib/systemd/systemd").exists() {
        lab.attempt(&["systemd", lab.name(), "node1"]).err()
    } else {
        Some("Debian's package systemd is not installed".to_owned())
    };
    if let Some(reason) = obstacle {
        return skip("installation::systemd_unit", &reason);
    }
    lab.sh(
        "node1",
        &format!(
            "ln -s /lib/systemd/system/heartbeat.service /run/units/
             printf '{THING}' >/run/units/thing.service; systemctl daemon-reload"
        ),
    );
    let managed = Managed(pair);
    let pair = &managed.0;
    let lab = &pair.lab;

    // A medium that cannot be opened: the unit was never ready.
    let place = lab.dir("node1").join("ha.d/ha.cf");
    let good = fs::read_to_string(&place).expect("ha.cf");
    fs::write(&place, good.replace("bcast eth0", "bcast eth7")).expect("ha.cf");
    let (code, said) = managed.systemctl("start heartbeat");
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(managed.shows("ActiveState"), "failed");
    assert_eq!(managed.shows("Result"), "exit-code");
    fs::write(&place, &good).expect("ha.cf");

    pair.start("node2");
    let invocation = managed.start();
    assert_eq!(managed.shows("Type"), "notify");
    assert_eq!(managed.shows("WatchdogUSec"), "1min");
    assert_eq!(managed.shows("TimeoutStopUSec"), "infinity");
    assert_eq!(managed.shows("OOMPolicy"), "continue");

    // The daemon is killed: the guardian starts another, and the unit learns the new number. The
    // resource that is a unit is none of its processes.
    let thing = managed.systemctl("show -P MainPID thing").1;
    let first = pid(pair, "node1");
    lab.sh("node1", &format!("kill -9 {first}"));
    wait_until(LONG, "another daemon", || {
        let now = pid(pair, "node1");
        !now.is_empty() && now != first
    });
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    pair.wait_holds("node1", "local");
    managed.goes_on(&invocation);

    // A changed file: the daemon replaces itself, and stays the same process.
    let second = pid(pair, "node1");
    fs::write(&place, good.replace("warntime 1\n", "warntime 900ms\n")).expect("ha.cf");
    let (code, said) = managed.systemctl("reload heartbeat");
    assert_eq!(code, Some(0), "{said}");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 3);
    pair.wait_holds("node1", "local");
    managed.goes_on(&invocation);
    assert_eq!(pid(pair, "node1"), second);
    // A bad file is refused, and systemctl reports that.
    fs::write(&place, format!("bogus yes\n{good}")).expect("ha.cf");
    let (code, said) = managed.systemctl("reload heartbeat");
    assert_eq!(code, Some(1), "{said}");
    managed.goes_on(&invocation);
    fs::write(&place, &good).expect("ha.cf");
    assert_eq!(count(lab, "node1", "start", "a"), 1);
    assert_eq!(count(lab, "node1", "stop", "a"), 0);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(managed.systemctl("show -P MainPID thing").1, thing);

    // Everything in the control group is killed, including the resource's process: the unit
    // releases the rest, and shows that this was no orderly end.
    let (code, said) = managed.systemctl("kill -s KILL heartbeat");
    assert_eq!(code, Some(0), "{said}");
    managed.is_over("exit-code");
    assert_eq!(managed.shows("ActiveState"), "failed");
    assert_eq!(count(lab, "node1", "stop", "a"), 1);
    assert_never_two_owners(lab);

    // Daemon and guardian are gone, and a process of a resource lives on: the missing signs of life
    // show it. A minute is long for a test.
    lab.sh(
        "node1",
        "mkdir -p /run/units/heartbeat.service.d; printf '[Service]\\nWatchdogSec=8s\\n' >/run/units/heartbeat.service.d/lab.conf; systemctl daemon-reload",
    );
    managed.start();
    let (daemon, guardian) = (
        pid(pair, "node1"),
        wait_guardian(pair, "node1", &[]).clone(),
    );
    let kill = format!("kill -STOP {daemon}; kill -9 {guardian} {daemon}");
    lab.sh("node1", &kill);
    managed.is_over("watchdog");
    assert_eq!(count(lab, "node1", "stop", "a"), 2);

    // The main thread hangs: systemd aborts the daemon, the guardian starts another and the node
    // runs on. For systemd the unit is already ending; a stop is an orderly one all the same.
    managed.start();
    let hung = pid(pair, "node1");
    hang(pair, "root");
    wait_until(LONG, "another daemon", || {
        let now = pid(pair, "node1");
        !now.is_empty() && now != hung
    });
    pair.wait_holds("node1", "local");
    wait_guardian(pair, "node1", &[]);
    assert_eq!(managed.shows("SubState"), "stop-watchdog");
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(count(lab, "node1", "stop", "a"), 2);
    managed.systemctl("stop heartbeat");
    managed.is_over("watchdog");
    assert_eq!(count(lab, "node1", "stop", "a"), 3);

    // An orderly stop.
    managed.start();
    let (code, said) = managed.systemctl("stop heartbeat");
    assert_eq!(code, Some(0), "{said}");
    managed.is_over("success");
    assert_eq!(managed.shows("ActiveState"), "inactive");
    assert_eq!(count(lab, "node1", "stop", "a"), 4);
    pair.stop("node2");
}
