//! The Debian package in the place of the legacy one, and back.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use super::history::{address_changes, assert_never_two_owners, count};
use super::host::{Kind, LEGACY_DAEMON, Lab, skip, wait_until};
use super::installed::{
    Client, legacy_packages, longest_silence, package, preinst_of_this_build, repacked,
};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::web::get;

/// The files of `/etc/ha.d` but the one that the legacy package has not.
fn without_ours(configuration: &str) -> Vec<&str> {
    let ours = |line: &&str| line.ends_with(" ./resource.d/systemd");
    configuration.lines().filter(|line| !ours(line)).collect()
}

/// Our package in two versions, the older one with the maintainer scripts of the version that was
/// packed without debhelper. Made once for all tests. `None`: debhelper is not here.
fn packages() -> Option<&'static [String; 2]> {
    static MADE: OnceLock<Option<[String; 2]>> = OnceLock::new();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let made = MADE.get_or_init(|| {
        let newer = package(&place)?;
        let older = repacked(&newer, "0.0.9", Some("package-0.1.0"));
        Some([older, newer])
    });
    made.as_ref()
}

/// Debian's packages `heartbeat` and `heartbeat-dev`, and ours; else names what is missing.
fn all_packages(lab: &Lab) -> Option<([String; 2], &'static [String; 2])> {
    let Some(legacy) = legacy_packages(&lab.shared()) else {
        skip("package", "apt-get cannot fetch Debian's package heartbeat");
        return None;
    };
    let Some(ours) = packages() else {
        skip("package", NO_DEBHELPER);
        return None;
    };
    Some((legacy, ours))
}

const NO_DEBHELPER: &str = "debhelper or build-essential is not installed";

/// Does `work` on a node; no address moves and no script runs meanwhile.
fn nothing_moves<T>(pair: &Pair, what: &str, work: impl FnOnce() -> T) -> T {
    let state = || {
        let addresses = NODES.map(|node| address_changes(&pair.lab, node, ADDRESS_1));
        let calls = NODES
            .map(|node| ["start", "stop"].map(|operation| count(&pair.lab, node, operation, "a")));
        (addresses, calls)
    };
    let before = state();
    let result = work();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(state(), before, "{what}");
    result
}

fn running(lab: &Lab, node: &str) -> Option<String> {
    let pid = lab.sh(node, "cat /run/heartbeat.pid 2>/dev/null");
    let pid = pid.trim().to_owned();
    let alive = lab.exec(
        node,
        &[
            "sh",
            "-c",
            &format!("kill -0 {pid} && grep -q heartbeat /proc/{pid}/comm"),
        ],
    );
    alive.status.success().then_some(pid)
}

/// The exact steps of docs/howto/replace-a-node.md on one node, which holds everything or nothing.
fn swap(pair: &Pair, node: &str, install: impl FnOnce()) {
    let lab = &pair.lab;
    let peer = Pair::peer(node);
    if pair.has_address(node, ADDRESS_1) {
        // Legacy does not know --wait.
        let ours = lab
            .exec(node, &["test", "-e", "/usr/sbin/systole"])
            .status
            .success();
        let words = if ours { "--wait all" } else { "all" };
        let script = format!("/usr/share/heartbeat/hb_standby {words}");
        let asked = lab.exec(node, &["sh", "-c", &script]);
        assert!(asked.status.success(), "{asked:?}");
        if ours {
            assert_eq!(pair.owners(ADDRESS_1), [peer]);
        }
        pair.wait_owner(peer, ADDRESS_1, "a");
        wait_until(LONG, "the standby is over", || {
            lab.log(node)
                .lines()
                .any(|line| line.contains("Other node completed standby takeover"))
        });
    }
    let (code, said) = lab.init(node, "stop");
    assert_eq!(code, 0, "{said}");
    nothing_moves(pair, "packages", install);
    let checked = lab.exec(node, &[LEGACY_DAEMON, "-t"]);
    if lab
        .exec(node, &["test", "-e", "/usr/sbin/systole"])
        .status
        .success()
    {
        assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    }
    nothing_moves(pair, "the start", || {
        let (code, said) = lab.init(node, "start");
        assert_eq!(code, 0, "{said}");
        let settled = |node: &str| lab.sh(node, "cl_status rscstatus").trim().to_owned();
        wait_until(LONG, "both have settled", || {
            settled(peer) == "all" && settled(node) == "none"
        });
    });
}

/// A legacy pair becomes Systole node by node, is upgraded, and becomes legacy again. A client asks
/// all the time.
pub fn there_and_back() {
    let pair = Pair::new(PairConfig::new([Kind::Legacy, Kind::Legacy]));
    let lab = &pair.lab;
    let Some(([legacy, _], [first, second])) = all_packages(lab) else {
        return;
    };
    for node in NODES {
        lab.private(node);
    }
    let before = NODES.map(|node| lab.configuration(node));
    for node in NODES {
        let (code, said) = lab.init(node, "start");
        assert_eq!(code, 0, "{said}");
    }
    pair.wait_owner("node1", ADDRESS_1, "a");
    for node in NODES {
        pair.wait_holds(node, "local");
    }
    let client = Client::ask(lab, ADDRESS_1);

    // Beside a running legacy daemon the installation is refused, and the daemon runs on.
    nothing_moves(&pair, "a refused installation", || {
        let pid = running(lab, "node1");
        let (code, said) = lab.dpkg("node1", &["-i", first]);
        assert_ne!(code, 0, "{said}");
        assert!(said.contains("the legacy daemon runs here"), "{said}");
        assert_eq!(running(lab, "node1"), pid);
        let status = lab.sh("node1", "dpkg-query -W -f '${Status}' heartbeat");
        assert_eq!(status, "install ok installed");
    });

    // node2 holds its own, empty set: it has nothing to give away.
    let install = |node: &'static str, deb: &str| {
        let (code, said) = lab.dpkg(node, &["-i", deb]);
        assert_eq!(code, 0, "{said}");
        assert!(running(lab, node).is_none(), "started by its package");
    };
    swap(&pair, "node2", || install("node2", first));
    swap(&pair, "node1", || install("node1", second));
    for (node, before) in NODES.iter().zip(&before) {
        assert_eq!(
            without_ours(&lab.configuration(node)),
            without_ours(before),
            "/etc/ha.d of {node}"
        );
        assert!(running(lab, node).is_some());
    }

    // The upgrade, on the node that serves.
    let pid = running(lab, "node2").expect("it runs");
    nothing_moves(&pair, "an upgrade", || {
        let (code, said) = lab.dpkg("node2", &["-i", second]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("runs on as it was"), "{said}");
        assert_eq!(running(lab, "node2").as_ref(), Some(&pid));
        let program = format!("readlink /proc/{pid}/exe");
        assert!(
            lab.sh("node2", &program).contains("deleted"),
            "the old program"
        );
        let reload = lab.exec("node2", &["setsid", LEGACY_DAEMON, "-r"]);
        assert!(reload.status.success(), "{reload:?}");
        wait_until(LONG, "the new program", || {
            lab.sh("node2", &program).trim() == LEGACY_DAEMON
        });
        wait_until(LONG, "active again", || {
            lab.sh("node2", "cl_status rscstatus").trim() == "all"
        });
        assert_eq!(running(lab, "node2").as_ref(), Some(&pid));
    });
    // A second `-r` finds nothing new.
    lab.exec("node2", &["setsid", LEGACY_DAEMON, "-r"]);
    pair.wait_log("node2", "Configuration unchanged.");

    // A package whose daemon runs is not removed, nor replaced.
    nothing_moves(&pair, "a refused removal", || {
        let removed = lab.dpkg("node2", &["-r", "systole"]);
        let replaced = lab.apt("node2", &["install", &legacy]);
        for (code, said) in [removed, replaced] {
            assert_ne!(code, 0, "{said}");
            assert!(said.contains("the node runs here"), "{said}");
        }
        assert_eq!(running(lab, "node2").as_ref(), Some(&pid));
        let status = lab.sh("node2", "dpkg-query -W -f '${db:Status-Status}' systole");
        assert_eq!(status, "installed");
    });

    // Back, node1 first: it serves nothing. The legacy package starts its daemon by itself.
    let back = |node: &'static str| {
        let (code, said) = lab.dpkg(node, &["-r", "systole"]);
        assert_eq!(code, 0, "{said}");
        let (code, said) = lab.dpkg(node, &["-i", &legacy]);
        assert_eq!(code, 0, "{said}");
    };
    swap(&pair, "node1", || back("node1"));
    swap(&pair, "node2", || back("node2"));
    for (node, before) in NODES.iter().zip(&before) {
        assert_eq!(&lab.configuration(node), before, "/etc/ha.d of {node}");
        let found = lab.sh(
            node,
            "dpkg -V heartbeat; test -e /usr/sbin/systole && echo left",
        );
        assert_eq!(found, "", "{node}");
    }
    let answers = client.answers();
    let (silence, _) = longest_silence(&answers);
    println!("{} answers, longest silence {silence:.3} s", answers.len());
    assert!(silence < 15.0, "{silence}");
    assert_never_two_owners(lab);
}

/// What the package refuses, keeps and removes, on one host.
pub fn alone() {
    let lab = Lab::up(&["node1"], 1);
    let Some(([legacy, dev], [older, deb])) = all_packages(&lab) else {
        return;
    };
    lab.private("node1");
    let (code, said) = lab.dpkg("node1", &["-i", &dev]);
    assert_eq!(code, 0, "{said}");
    let status = |name: &str| {
        lab.sh(
            "node1",
            &format!("dpkg-query -W -f '${{db:Status-Status}}' {name} 2>/dev/null"),
        )
    };
    // A program that would be removed: its line is named, the legacy package stays.
    let ha_cf = "keepalive 1\n# respawn hacluster /usr/libexec/heartbeat/dopd\n\
        respawn hacluster /bin/cat\nrespawn root /usr/libexec/heartbeat/ccm -v\n\
        respawn hacluster /usr/libexec/heartbeat/ipfail\nnode node1\n";
    std::fs::write(lab.dir("node1").join("ha.d/ha.cf"), ha_cf).expect("write");
    let (code, said) = lab.dpkg("node1", &["-i", deb]);
    assert_ne!(code, 0, "{said}");
    assert!(
        said.contains("/etc/ha.d/ha.cf:4: respawn /usr/libexec/heartbeat/ccm"),
        "{said}"
    );
    assert!(
        !said.contains("ipfail") && !said.contains("dopd") && !said.contains("/bin/cat"),
        "{said}"
    );
    assert_eq!(status("heartbeat"), "installed");
    assert!(
        lab.exec("node1", &["test", "-x", LEGACY_DAEMON])
            .status
            .success()
    );
    std::fs::write(lab.dir("node1").join("ha.d/ha.cf"), "node node1\n").expect("write");

    // Instead of the legacy package: nothing in /etc/ha.d changes, and a script of ours is new.
    let before = lab.configuration("node1");
    let (code, said) = lab.dpkg("node1", &["-i", deb]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(status("systole"), "installed");
    assert_eq!(status("heartbeat"), "config-files");
    let now = lab.configuration("node1");
    assert!(now.contains("755 ./resource.d/systemd"), "{now}");
    assert_eq!(without_ours(&now), without_ours(&before));
    let mode = lab.sh("node1", "stat -c '%a %U:%G' /usr/bin/cl_status");
    assert_eq!(mode.trim(), "2555 root:haclient");
    let ours = "grep -l Systole /etc/init.d/heartbeat /lib/systemd/system/heartbeat.service";
    assert_eq!(lab.sh("node1", ours).lines().count(), 2);
    assert_eq!(
        lab.sh("node1", "ls /etc/rc2.d")
            .matches("heartbeat")
            .count(),
        1
    );
    let digests = lab.sh("node1", "wc -l </var/lib/dpkg/info/systole.md5sums");
    assert!(
        digests.trim().parse().is_ok_and(|lines: u32| lines > 40),
        "{digests}"
    );
    assert_eq!(lab.sh("node1", "dpkg -V systole"), "");
    // What depends on the exact version of the legacy package has what it needs.
    for name in ["heartbeat-dev", "libheartbeat2"] {
        assert_eq!(status(name), "installed");
    }
    let (code, said) = lab.apt("node1", &["check"]);
    assert_eq!(code, 0, "{said}");
    // The same calls as before under the old names.
    for path in [
        "/usr/lib/heartbeat/heartbeat",
        "/usr/lib64/heartbeat/heartbeat",
    ] {
        let version = lab.exec("node1", &[path, "-V"]);
        assert!(
            String::from_utf8_lossy(&version.stdout).contains("systole"),
            "{path}"
        );
    }

    // The legacy package is purged: its scripts are gone, ours are installed instead; the init
    // script is ours.
    let (code, said) = lab.dpkg("node1", &["--purge", "heartbeat"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(lab.sh("node1", ours).lines().count(), 2);
    for name in [
        "harc",
        "rc.d/status",
        "resource.d/IPaddr",
        "resource.d/Filesystem",
    ] {
        let laid = format!("grep -c systole /etc/ha.d/{name}");
        assert_ne!(lab.sh("node1", &laid).trim(), "0", "{name}");
    }
    assert!(lab.configuration("node1").contains(" ./ha.cf"));
    let cores = "stat -c '%a %U' /var/lib/heartbeat/cores/hacluster";
    assert_eq!(lab.sh("node1", cores).trim(), "700 hacluster");
    assert_eq!(
        lab.sh("node1", "ls /etc/rc2.d")
            .matches("heartbeat")
            .count(),
        1
    );

    // An upgrade renews unchanged files of ours, and nothing else; a downgrade as well.
    lab.sh("node1", "echo '# mine' >>/etc/ha.d/rc.d/status; echo '# old' | tee -a /usr/share/systole/ha.d/harc >>/etc/ha.d/harc");
    let changed = lab.sh("node1", "dpkg -V systole");
    assert_eq!(changed.trim(), "??5??????   /usr/share/systole/ha.d/harc");
    for deb in [older, deb] {
        let (code, said) = lab.dpkg("node1", &["-i", deb]);
        assert_eq!(code, 0, "{said}");
        assert!(
            lab.sh("node1", "tail -1 /etc/ha.d/rc.d/status")
                .contains("mine")
        );
        assert!(!lab.sh("node1", "tail -1 /etc/ha.d/harc").contains("old"));
    }

    // Removed: our unchanged files are removed, the administrator's stay. Then legacy again.
    let (code, said) = lab.dpkg("node1", &["-r", "heartbeat-dev", "systole"]);
    assert_eq!(code, 0, "{said}");
    let left = lab.configuration("node1");
    let left: Vec<_> = left
        .lines()
        .filter_map(|line| line.split(" ./").nth(1))
        .collect();
    assert_eq!(left, ["ha.cf", "rc.d/status", "shellfuncs"]);
    // An empty directory that belongs to no other package is removed as well.
    let empty = "find /etc/ha.d -mindepth 1 -type d -empty";
    assert_eq!(lab.sh("node1", empty), "");
    lab.sh("node1", "rm /etc/ha.d/rc.d/status /etc/ha.d/ha.cf");
    let (code, said) = lab.dpkg("node1", &["-i", &legacy, &dev]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(lab.sh("node1", "dpkg -V heartbeat"), "");
    // The purge of what is left of ours takes nothing that is the legacy package's.
    let service = "ls /etc/rc?.d/*heartbeat; readlink /etc/systemd/system/*/heartbeat.service; stat -c %a /etc/init.d/heartbeat";
    let before = lab.sh("node1", service);
    assert!(before.ends_with("\n755\n"), "{before}");
    let (code, said) = lab.dpkg("node1", &["--purge", "systole"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(lab.sh("node1", "dpkg -V heartbeat"), "");
    assert_eq!(lab.sh("node1", service), before);
}

/// With apt, beside `heartbeat-dev`, there and back; then both are purged, and nothing of ours is
/// left on the host.
pub fn with_apt() {
    let lab = Lab::up(&["node1"], 1);
    let Some(([legacy, dev], [_, deb])) = all_packages(&lab) else {
        return;
    };
    lab.private("node1");
    let done = |(code, said): (i32, String)| {
        assert_eq!(code, 0, "{said}");
        said
    };
    done(lab.dpkg("node1", &["-i", &dev]));
    // apt removes the legacy package before our preinst runs: it cannot keep it, but it says.
    let ha_cf = lab.dir("node1").join("ha.d/ha.cf");
    std::fs::write(&ha_cf, format!("{CHECKED}bogus yes\n")).expect("write");
    lab.sh(
        "node1",
        "cd /etc/ha.d && printf 'auth 1\n1 crc\n' >authkeys && chmod 600 authkeys && touch haresources",
    );
    // Nor can it save a daemon that runs.
    let daemon = "mkdir /run/legacy; cp /bin/sleep /run/legacy/heartbeat
        setsid /run/legacy/heartbeat 1000 >/dev/null 2>&1 & echo $! >/run/heartbeat.pid";
    lab.sh("node1", daemon);
    let said = done(lab.apt("node1", &["install", deb]));
    assert!(said.contains("ha.cf:9: bogus: no such directive"), "{said}");
    assert!(said.contains("the LEGACY DAEMON STILL RUNS"), "{said}");
    lab.sh("node1", "kill $(cat /run/heartbeat.pid)");
    let said = done(lab.apt("node1", &["install", &legacy]));
    assert!(said.contains("Removing systole"), "{said}");
    assert_eq!(lab.sh("node1", "dpkg -V heartbeat heartbeat-dev"), "");
    lab.sh("node1", "rm /etc/ha.d/{ha.cf,authkeys,haresources}");

    done(lab.dpkg(
        "node1",
        &["--purge", "heartbeat-dev", "heartbeat", "systole"],
    ));
    let files = "find /etc /usr /var /run -xdev ! -path '/var/lib/dpkg/*' ! -path '/var/cache/*' \
        ! -path '/var/log/*' ! -path '/var/lib/apt/*' ! -name '*.cache' ! -name 'mimeinfo*' | sort";
    let before = lab.sh("node1", files);
    done(lab.dpkg("node1", &["-i", deb]));
    let (code, said) = lab.init("node1", "status");
    assert_eq!(code, 3, "{said}");
    // As a node that has run.
    lab.sh("node1", "cd /var/lib/heartbeat && touch hb_uuid hb_generation hostcache delhostcache fifo; mkdir -p /run/heartbeat.scripts; touch /run/heartbeat.addresses /var/log/ha-log");
    done(lab.dpkg("node1", &["-r", "systole"]));
    assert!(lab.sh("node1", "ls /var/lib/heartbeat").contains("hb_uuid"));
    done(lab.dpkg("node1", &["--purge", "systole"]));
    let after = lab.sh("node1", files);
    let before: std::collections::HashSet<_> = before.lines().collect();
    let left: Vec<_> = after
        .lines()
        .filter(|line| !before.contains(line))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    // The directory for core files belongs to cluster-glue, too.
    let logs = "find /var/lib/heartbeat /var/log -not -type d | grep -E 'heartbeat|/ha-'";
    assert_eq!(lab.sh("node1", logs), "");
}

/// A node that runs as a unit of systemd: an upgrade leaves the unit as it is, the removal is refused
/// meanwhile, and the legacy package can be installed afterwards.
pub fn under_systemd() {
    let lab = Lab::up(&["node1"], 1);
    let Some(([legacy, _], [older, newer])) = all_packages(&lab) else {
        return;
    };
    lab.private("node1");
    if let Err(reason) = lab.attempt(&["systemd", lab.name(), "node1"]) {
        return skip("installation::package_under_systemd", &reason);
    }
    let done = |(code, said): (i32, String)| assert_eq!(code, 0, "{said}");
    let shows = |words: &str| lab.sh("node1", &format!("systemctl show {words} heartbeat"));
    let serves = || {
        lab.sh("node1", "ip -4 address show eth0")
            .contains(ADDRESS_1)
    };
    let files = format!(
        "cd /etc/ha.d && printf 'auth 1\\n1 crc\\n' >authkeys && chmod 600 authkeys &&
         echo 'node1 {ADDRESS_1}/24/eth0' >haresources && printf '{ONE_NODE}' >ha.cf"
    );
    assert_eq!(lab.sh("node1", &files), "");
    done(lab.dpkg("node1", &["-i", older]));
    lab.sh(
        "node1",
        "ln -s /lib/systemd/system/heartbeat.service /run/units/; systemctl daemon-reload",
    );
    assert_eq!(lab.sh("node1", "systemctl start heartbeat"), "");
    wait_until(LONG, "it serves", serves);
    let run = shows("-p MainPID -p InvocationID -p ActiveState -p ActiveEnterTimestampMonotonic");
    assert!(run.contains("ActiveState=active"), "{run}");
    let goes_on = || {
        let now =
            shows("-p MainPID -p InvocationID -p ActiveState -p ActiveEnterTimestampMonotonic");
        assert_eq!(now, run);
        assert!(serves());
        assert_eq!(shows("-P NeedDaemonReload").trim(), "no");
    };
    done(lab.dpkg("node1", &["-i", newer]));
    goes_on();
    has_a_page(&lab);
    let (code, said) = lab.dpkg("node1", &["-r", "systole"]);
    assert_ne!(code, 0, "{said}");
    goes_on();
    let page = |what: &str| {
        let said = lab.sh("node1", &format!("systemctl show -P {what} systole-web"));
        said.trim().to_owned()
    };
    let before = page("MainPID");
    done(lab.dpkg("node1", &["-i", newer]));
    goes_on();
    let after = page("MainPID");
    assert_eq!(page("ActiveState"), "active");
    assert!(after != "0" && after != before, "{before} {after}");
    assert_eq!(lab.sh("node1", "systemctl stop heartbeat"), "");
    done(lab.dpkg("node1", &["-r", "systole"]));
    assert_eq!(page("ActiveState"), "inactive");
    // The legacy preinst stops the unit that systemd makes of the init script that is left.
    let generated = lab.sh(
        "node1",
        "rm /run/units/heartbeat.service; mkdir /run/made; cd /run/made
         /lib/systemd/system-generators/systemd-sysv-generator . . . 2>&1
         cp heartbeat.service /run/units/ && systemctl daemon-reload",
    );
    assert_eq!(generated, "");
    done(lab.dpkg("node1", &["-i", &legacy]));
    assert_eq!(lab.sh("node1", "dpkg -V heartbeat"), "");
}

/// The unit of the page is there and nothing has enabled it. It runs as a user of its own, which sees the daemon.
fn has_a_page(lab: &Lab) {
    let enabled = "find /etc/systemd/system -name 'systole-web*'";
    assert_eq!(lab.sh("node1", enabled), "");
    lab.sh(
        "node1",
        // The devices of the lab are mounts of the host's, in whose place systemd cannot lay its own.
        "ln -s /lib/systemd/system/systole-web.service /run/units/
         mkdir /run/units/systole-web.service.d
         printf '[Service]\\nPrivateDevices=no\\n' >/run/units/systole-web.service.d/lab.conf
         systemctl daemon-reload",
    );
    let mode = "stat -c '%a %U:%G' /run/heartbeat.view";
    assert_eq!(lab.sh("node1", mode).trim(), "660 root:systole-view");
    let member = |words: &str| {
        let call = "setpriv --reuid=65534 --regid=65534 --groups systole-view systole";
        lab.sh("node1", &format!("{call} {words} 2>&1; echo code $?"))
    };
    // What is behind the line is measured.
    let verdict = |line: String| line.split('|').next().map(str::to_owned);
    let roots = lab.sh("node1", "systole check");
    assert_eq!(verdict(member("check")), verdict(roots));
    assert!(member("why").ends_with("code 0\n"));
    for order in ["freeze", "standby", "clear nothing", "fence test node2"] {
        let said = member(order);
        assert!(!said.ends_with("code 0\n"), "{order}: {said}");
    }
    let said = lab.sh(
        "node1",
        "systemctl start systole-web 2>&1; systemctl status systole-web 2>&1 || :",
    );
    wait_until(LONG, &format!("the page sees the daemon: {said}"), || {
        let (code, health) = get(lab, "node1", "/healthz");
        code == "200" && health == "OK: node1 serves 1 of 1 groups\n"
    });
    let user = "stat -c %u /proc/$(systemctl show -P MainPID systole-web)";
    assert_ne!(lab.sh("node1", user).trim(), "0");
}

/// The ha.cf of [`under_systemd`].
const ONE_NODE: &str = "logfile /var/log/ha-log\\nlogfacility none\\nrealtime off\\nkeepalive 200ms\\n\
    deadtime 1\\ninitdead 3\\nauto_failback on\\nbcast eth0\\nnode node1 node2\\n";

/// lintian finds no error and no warning that is not overridden with its reason.
pub fn lintian() {
    if !Path::new("/usr/bin/lintian").exists() {
        return skip("installation::package_lintian", "lintian is not installed");
    }
    let Some([_, deb]) = packages() else {
        return skip("installation::package_lintian", NO_DEBHELPER);
    };
    let checked = std::process::Command::new("lintian")
        .args(["--fail-on", "error,warning", "--tag-display-limit", "0"])
        .arg(deb)
        .output()
        .expect("lintian");
    assert!(checked.status.success(), "{checked:?}");
    let overrides = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("conf/debian")
        .join("systole.lintian-overrides");
    let text = std::fs::read_to_string(overrides).expect("read");
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek();
        assert!(
            line.starts_with('#') || next.is_none_or(|next| next.starts_with('#')),
            "an override without a reason: {next:?}"
        );
    }
}

/// The files of [`refusals`], which start on node1 as they are.
const CHECKED: &str = "logfile /var/log/ha-log\nrealtime off\nkeepalive 200ms\ndeadtime 2\ninitdead 10\n\
    auto_failback on\nbcast eth0\nnode node1 node2\n";

/// The preinst alone, with the program in it, beside Debian's installed package: files with which a
/// start would fail are refused before anything is exchanged; files that only look wrong cause a
/// message, and it goes on.
pub fn refusals() {
    let lab = Lab::up(&["node1"], 1);
    lab.private("node1");
    let place = lab.shared().join("control");
    std::fs::create_dir_all(&place).expect("directory");
    let preinst = place.join("preinst");
    std::fs::write(&preinst, preinst_of_this_build()).expect("write");
    let dir = lab.dir("node1").join("ha.d");
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("write");
    write("authkeys", "auth 1\n1 crc\n");
    lab.sh("node1", "chmod 600 /etc/ha.d/authkeys");
    let install = |ha_cf: &str, haresources: &str, settings: &str| {
        write("ha.cf", ha_cf);
        write("haresources", haresources);
        write("systole.toml", settings);
        let output = lab.exec("node1", &["sh", &preinst.display().to_string(), "install"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let left: Vec<_> = std::fs::read_dir(&place).expect("list").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        (output.status.code(), said)
    };
    let address = "node1 10.77.0.100/24/eth0\n";

    let (code, said) = install(CHECKED, address, "");
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let fenced = format!("{CHECKED}stonith_host * null node2\n");
    let (code, said) = install(&fenced, address, "accept_without = [\"stonith\"]\n");
    assert_eq!(code, Some(0), "{said}");
    for (line, word) in [
        (
            "stonith_host * fence_ipmilan ip=10.77.0.9 ip=10.77.0.8\n",
            "ha.cf:9: stonith_host",
        ),
        ("node node3\n", "ha.cf:9: node: 3 nodes"),
        ("bogus yes\n", "ha.cf:9: bogus: no such directive"),
    ] {
        let ha_cf = format!("{CHECKED}{line}");
        let (code, said) = install(&ha_cf, address, "");
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("it would not start") && said.contains(word),
            "{said}"
        );
    }
    let (code, said) = install(CHECKED, "node1 10.77.0.100/24/eth9 nosuch\n", "");
    assert_eq!(code, Some(0), "{said}");
    for word in [
        "WARN: /etc/ha.d/haresources:1: nosuch: no script nosuch",
        "WARN: /etc/ha.d/haresources:1: 10.77.0.100/24/eth9: interface eth9 does not exist",
    ] {
        assert!(said.contains(word), "{said}");
    }
    // A check leaves no trace.
    assert_eq!(lab.log("node1"), "");
    // Nothing to check: no program could have started without the file.
    std::fs::remove_file(dir.join("authkeys")).expect("remove");
    let (code, said) = install("bogus yes\n", address, "");
    assert_eq!((code, said.as_str()), (Some(0), ""));
}
