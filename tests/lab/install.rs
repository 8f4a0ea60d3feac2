//! The init script, the guarantees of the service unit, and installing without a package.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use super::history::count;
use super::host::{Kind, Lab, skip, wait_until};
use super::installed::{self, script};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};

/// Installs everything below a directory, and removes it: nothing is left.
pub fn into_a_directory() {
    let place = tempfile::tempdir().expect("directory");
    let dest = place.path().display().to_string();
    let made = script("install", &[&dest]);
    assert!(made.status.success(), "{made:?}");
    let at = |path: &str| place.path().join(path);
    for path in [
        "usr/libexec/heartbeat/heartbeat",
        "usr/lib/heartbeat/heartbeat",
        "usr/lib64/heartbeat/heartbeat",
        "usr/bin/cl_status",
        "usr/bin/cl_respawn",
        "usr/sbin/heartbeat",
        "usr/sbin/hb_standby",
        "usr/sbin/ResourceManager",
        "usr/share/heartbeat/hb_standby",
        "usr/share/heartbeat/hb_addnode",
        "usr/lib/heartbeat/ResourceManager",
        "etc/ha.d/harc",
        "etc/ha.d/rc.d/status",
        "etc/ha.d/resource.d/IPaddr",
        "etc/init.d/heartbeat",
        "lib/systemd/system/heartbeat.service",
        "lib/systemd/system/systole-web.service",
        "usr/sbin/systole-web",
        "usr/share/man/man8/systole.8.gz",
        "usr/share/man/man8/systole-web.8.gz",
        "usr/share/man/man8/systole-freeze.8.gz",
        "usr/share/bash-completion/completions/systole",
        "usr/share/zsh/vendor-completions/_systole",
        "usr/share/fish/vendor_completions.d/systole.fish",
    ] {
        let data = fs::metadata(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(data.is_file(), "{path}");
    }
    let agents = std::process::Command::new("dpkg")
        .args(["-L", "resource-agents"])
        .output()
        .expect("dpkg");
    for path in String::from_utf8_lossy(&agents.stdout).lines() {
        let here = at(path.trim_start_matches('/'));
        assert!(!here.is_file(), "{path} belongs to resource-agents");
    }
    // Files of the administrator stay, whatever they are; ours are removed.
    fs::write(at("etc/ha.d/ha.cf"), "node a b\n").expect("write");
    fs::write(at("etc/ha.d/rc.d/status"), "#!/bin/sh\n# my own\n").expect("write");
    let again = script("install", &[&dest]);
    assert!(again.status.success(), "{again:?}");
    let own = fs::read_to_string(at("etc/ha.d/rc.d/status")).expect("read");
    assert!(own.contains("my own"), "overwritten");
    let gone = script("uninstall", &[&dest]);
    assert!(gone.status.success(), "{gone:?}");
    assert_eq!(
        files(place.path()),
        ["etc/ha.d/ha.cf", "etc/ha.d/rc.d/status"]
    );
    fs::remove_dir_all(at("etc/ha.d")).expect("remove");
    script("install", &[&dest]);
    script("uninstall", &[&dest]);
    let left: Vec<_> = fs::read_dir(place.path()).expect("list").collect();
    assert!(left.is_empty(), "{left:?}");
}

fn files(root: &Path) -> Vec<String> {
    let listed = std::process::Command::new("find")
        .arg(root)
        .args(["!", "-type", "d", "-printf", "%P\n"])
        .output()
        .expect("find");
    let mut files: Vec<_> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(str::to_owned)
        .collect();
    files.sort();
    files
}

/// The part of a line before a date, `Nov 21 14:13:32`: a log line follows that went to standard
/// error in the middle of the output.
fn before_date(line: &str) -> Option<&str> {
    let shape = |window: &[u8]| {
        window
            .iter()
            .zip(b"aaa 0d dd:dd:dd")
            .all(|(byte, shape)| match shape {
                b'a' => byte.is_ascii_alphabetic(),
                b'0' => byte.is_ascii_digit() || *byte == b' ',
                b'd' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    let at = line.as_bytes().windows(15).position(shape)?;
    line.get(..at)
}

/// The result of a verb: exit code and output, without log lines, process ids and empty lines.
fn plain((code, said): (i32, String)) -> (i32, String) {
    let mut text = String::new();
    for line in said.lines().filter(|line| !line.is_empty()) {
        match before_date(line) {
            Some(words) => text.push_str(words),
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    if let Some((_, rest)) = text.split_once("[pid ")
        && let Some((pid, _)) = rest.split_once(' ')
    {
        text = text.replace(&format!("[pid {pid} "), "[pid PID ");
    }
    (code, text)
}

/// Every verb of the init script in every state, in a fixed order; one line of the table each.
fn verbs(kind: Kind) -> Vec<(&'static str, (i32, String))> {
    let lab = Lab::up(&["node1", "client"], 1);
    lab.private("node1");
    if kind == Kind::Systole {
        lab.lay("node1");
    }
    assert!(
        !lab.exec("node1", &["test", "-e", "/run/systemd"])
            .status
            .success()
    );
    let mut seen = Vec::new();
    let mut verb = |name: &'static str, verb: &str| {
        let done = plain(lab.init("node1", verb));
        seen.push((name, done));
    };
    let dir = lab.dir("node1").join("ha.d");
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("write");
    verb("start without ha.cf", "start");
    verb("status without ha.cf", "status");
    write("authkeys", "auth 1\n1 crc\n");
    lab.sh("node1", "chmod 600 /etc/ha.d/authkeys");
    write("haresources", "node1 dummy\n");
    lab.sh("node1", "mkdir -p /etc/ha.d/resource.d; printf '#!/bin/sh\\n[ $1 != status ] || echo stopped\\n' >/etc/ha.d/resource.d/dummy; chmod 755 /etc/ha.d/resource.d/dummy");
    let good = "logfile /var/log/ha-log\nlogfacility none\nrealtime off\nkeepalive 200ms\ndeadtime 1\ninitdead 3\nauto_failback on\nbcast eth0\nnode node1 node2\n";
    write("ha.cf", &format!("bogus yes\n{good}"));
    verb("start with a bad file", "start");
    write("ha.cf", good);
    verb("status before any start", "status");
    lab.sh("node1", "echo '   2147483' >/run/heartbeat.pid");
    verb("status, stale pid file", "status");
    verb("stop, stale pid file", "stop");
    verb("start, stale pid file", "start");
    verb("status, running", "status");
    wait_until(LONG, "communication is up", || {
        lab.log("node1")
            .contains("Local status now set to: 'active'")
    });
    verb("start, running", "start");
    verb("reload, running", "reload");
    verb("force-reload, running", "force-reload");
    verb("standby, running", "standby");
    verb("unknown verb", "bogus");
    verb("no verb", "");
    lab.sh(
        "node1",
        "test -e /var/lock/subsys/heartbeat || echo none >/run/no-lock",
    );
    // A legacy node that is asked to stop in the first ten seconds of a lone start may never do so.
    let settled = || {
        wait_until(LONG, "the start has ended", || {
            let status = lab.sh("node1", "cl_status rscstatus");
            ["all", "local"].contains(&status.trim())
        });
    };
    settled();
    verb("stop, running", "stop");
    verb("status, stopped", "status");
    verb("stop, stopped", "stop");
    verb("standby, stopped", "standby");
    write(
        "ha.cf",
        &good.replace("auto_failback on\n", "auto_failback legacy\n"),
    );
    verb("standby, legacy model", "standby");
    write("ha.cf", &good.replace("auto_failback on\n", ""));
    verb("standby, no model", "standby");
    write("ha.cf", good);
    verb("restart, stopped", "restart");
    verb("status after the restart", "status");
    settled();
    write("ha.cf", &format!("bogus yes\n{good}"));
    verb("restart with a bad file", "restart");
    write("ha.cf", good);
    verb("reload, stopped", "reload");
    verb("status after the reload", "status");
    if lab
        .exec("node1", &["cl_status", "hbstatus"])
        .status
        .success()
    {
        settled();
    }
    verb("stop at the end", "stop");
    // A start loads the kernel's software watchdog where the device is not there, and only there.
    let said = lab.sh(
        "node1",
        "mkdir -p /run/more; printf '#!/bin/sh\\necho \"$1\" >>/run/loaded\\n' >/run/more/modprobe; chmod 755 /run/more/modprobe
         mount -t overlay more -o lowerdir=/run/more:/usr/sbin /usr/sbin; mknod /run/dog c 11 130",
    );
    assert_eq!(said, "");
    for device in ["/dev/no-such-watchdog", "/run/dog"] {
        write("ha.cf", &format!("bogus yes\n{good}watchdog {device}\n"));
        verb("start with a bad file and a watchdog", "start");
        let loaded = lab.sh("node1", "cat /run/loaded; rm -f /run/loaded");
        assert_eq!(
            loaded.contains("softdog"),
            device != "/run/dog",
            "{device}: {loaded}"
        );
    }
    let lock = lab.exec("node1", &["test", "-e", "/run/no-lock"]);
    assert!(!lock.status.success(), "no lock file while it ran");
    seen
}

/// The intended differences of ours: docs/reference/compatibility.md.
const OTHERWISE: [(&str, i32); 7] = [
    // LSB: not configured.
    ("start without ha.cf", 6),
    ("status without ha.cf", 3),
    // An orderly stop removes the pid file.
    ("status, stopped", 3),
    // The outcome, not always 0.
    ("restart with a bad file", 6),
    // The start with the bad file has not happened yet: nothing ran before.
    ("status before any start", 3),
    ("stop, stale pid file", 0),
    // Legacy makes the device node itself, and says so when the module brought none: here udev makes it.
    ("start with a bad file and a watchdog", 6),
];

/// The init script compared with legacy's on a similar host.
pub fn init_script() {
    let (ours, legacy) = std::thread::scope(|scope| {
        let legacy = scope.spawn(|| verbs(Kind::Legacy));
        (verbs(Kind::Systole), legacy.join().expect("no panic"))
    });
    let mut different = Vec::new();
    for ((name, ours), (_, legacy)) in ours.iter().zip(&legacy) {
        match OTHERWISE.iter().find(|(other, _)| other == name) {
            Some((_, code)) => assert_eq!(ours.0, *code, "{name}: {ours:?}, legacy {legacy:?}"),
            None if ours != legacy => different.push((name, ours, legacy)),
            None => {}
        }
    }
    assert!(different.is_empty(), "{different:#?}");
    assert_eq!(ours.len(), legacy.len());
}

/// `-t` on a host with good files: one line, no warning, nothing in any log. With mistakes that
/// only this host can find: a warning each, and exit code 0, because a start would go on.
pub fn check() {
    let lab = Lab::up(&["node1"], 1);
    let dir = lab.dir("node1").join("ha.d");
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("write");
    write("authkeys", "auth 1\n1 crc\n");
    lab.sh("node1", "chmod 600 /etc/ha.d/authkeys; mkdir -p /etc/ha.d/resource.d; printf '#!/bin/sh\\n' >/etc/ha.d/resource.d/dummy; chmod 755 /etc/ha.d/resource.d/dummy");
    let good = "logfile /var/log/ha-log\ndebugfile /var/log/ha-debug\nrealtime off\nkeepalive 200ms\ndeadtime 2\ninitdead 10\nauto_failback on\nucast eth0 10.77.0.2\nnode node1 node2\n";
    let daemon = env!("CARGO_BIN_EXE_heartbeat");
    let checked = |ha_cf: &str, haresources: &str| {
        write("ha.cf", ha_cf);
        write("haresources", haresources);
        let output = lab.exec("node1", &[daemon, "-t"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let (code, said) = checked(
        good,
        "node1 10.77.0.100 dummy\nnode2 10.77.0.101/24/eth0 dummy::b\n",
    );
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.ends_with("info: Configuration validated.\n"), "{said}");

    let mistaken = good
        .replace("/var/log/ha-debug", "/var/nowhere/ha-debug")
        .replace("ucast eth0 10.77.0.2", "bcast eth0\nucast eth0 10.77.0.1");
    lab.sh("node1", "chmod 644 /etc/ha.d/resource.d/dummy");
    let (code, said) = checked(&mistaken, "node1 192.168.55.1 dummy\n");
    assert_eq!(code, Some(0), "{said}");
    for wanted in [
        "WARN: /etc/ha.d/ha.cf:2: debugfile: the directory /var/nowhere does not exist",
        "WARN: /etc/ha.d/ha.cf:9: ucast eth0 10.77.0.1: this address is on this host",
        "WARN: /etc/ha.d/haresources:1: dummy: /etc/ha.d/resource.d/dummy is not executable",
        "WARN: /etc/ha.d/haresources:1: 192.168.55.1: no route leads to it",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
    assert_eq!(lab.log("node1"), "", "a check writes to no log");
}

/// The datagrams that the service manager's socket has received so far.
fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut words = Vec::new();
    let mut bytes = [0; 200];
    while let Ok(count) = socket.recv(&mut bytes) {
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        words.extend(text.lines().map(str::to_owned));
    }
    words
}

/// What the unit relies on: readiness, the process id after a death, no message from scripts, and
/// the release of resources when daemon and guardian are gone.
pub fn service_manager() {
    let mut config = PairConfig::new([Kind::Systole, Kind::Systole]);
    config.resources.push_str("node1 environment\n");
    let pair = Pair::new(config);
    pair.install_script(
        "node1",
        "environment",
        "#!/bin/sh\nenv >@SHARED@/environment.new\nmv @SHARED@/environment.new @SHARED@/environment\n",
    );
    let place = pair.lab.shared().join("notify");
    let manager = UnixDatagram::bind(&place).expect("socket");
    manager.set_nonblocking(true).expect("nonblocking");
    let daemon = pair.daemon("node1");
    let start = format!(
        "WATCHDOG_USEC=60000000 NOTIFY_SOCKET={} setsid {daemon} -f </dev/null >/dev/null 2>&1 &",
        place.display()
    );
    pair.lab.sh("node1", &start);
    let mut words = Vec::new();
    wait_until(LONG, "READY=1", || {
        words.extend(heard(&manager));
        words.iter().any(|word| word == "READY=1")
    });
    let open = pair.lab.sh("node1", "ss -lun");
    assert!(open.contains(":694 "), "ready before its media: {open}");
    let pid = || {
        pair.lab
            .sh("node1", "cat /run/heartbeat.pid")
            .trim()
            .to_owned()
    };
    assert!(words.contains(&format!("MAINPID={}", pid())), "{words:?}");
    pair.start("node2");
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    let release = format!("(exec -a 'heartbeat: releasing resources' {daemon} orphaned)");
    let guardian = || {
        pair.lab
            .sh("node1", "pgrep -x heartbeat-guard")
            .trim()
            .to_owned()
    };
    wait_until(LONG, "a guardian", || !guardian().is_empty());

    wait_until(LONG, "the script ran", || {
        pair.lab.shared().join("environment").exists()
    });
    let environment = fs::read_to_string(pair.lab.shared().join("environment")).expect("read");
    assert!(environment.contains("HA_"), "{environment}");
    assert!(!environment.contains("NOTIFY_SOCKET"), "{environment}");
    assert!(!environment.contains("WATCHDOG"), "{environment}");
    pair.wait_holds("node1", "local");

    // The daemon is killed: the guardian starts another, and the manager learns the new number.
    let first = pid();
    pair.lab.sh("node1", &format!("kill -9 {first}; {release}"));
    wait_until(LONG, "the new daemon says its number", || {
        words.extend(heard(&manager));
        pid() != first && words.contains(&format!("MAINPID={}", pid()))
    });
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);

    // It sends signs of life, and another start is told that it runs.
    heard(&manager);
    words.clear();
    wait_until(LONG, "signs of life", || {
        words.extend(heard(&manager));
        words.iter().filter(|word| *word == "WATCHDOG=1").count() >= 2
    });
    let second = pair
        .lab
        .sh("node1", &start.replace("2>&1 &", "2>&1; echo $?"));
    assert_eq!(second.trim(), "0");
    wait_until(LONG, "the running daemon is adopted", || {
        words.extend(heard(&manager));
        words.contains(&format!("MAINPID={}", pid()))
    });

    // Both are killed: only the unit can release the resources. A stopped daemon cannot start
    // another guardian between the two kills.
    let (daemon, watcher) = (pid(), guardian());
    let script = format!("kill -STOP {daemon}; kill -9 {watcher} {daemon}");
    pair.lab.sh("node1", &script);
    wait_until(LONG, "both are gone", || guardian().is_empty());
    std::thread::sleep(Duration::from_millis(300));
    let released = pair.lab.exec("node1", &["bash", "-c", &release]);
    assert!(!pair.has_address("node1", ADDRESS_1), "{released:?}");
    assert!(!pair.runs("node1", "a"));
    // Nothing is left for a second call.
    let stops = count(&pair.lab, "node1", "stop", "a");
    let again = pair.lab.exec("node1", &["bash", "-c", &release]);
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), stops);

    // An orderly stop reports itself.
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.lab.sh("node1", &start);
    words.clear();
    wait_until(LONG, "READY=1 again", || {
        words.extend(heard(&manager));
        words.iter().any(|word| word == "READY=1")
    });
    pair.begin_stop("node1");
    wait_until(LONG, "STOPPING=1", || {
        words.extend(heard(&manager));
        words.iter().any(|word| word == "STOPPING=1")
    });
    pair.wait_log_count("node1", "Heartbeat shutdown complete", 1);
}

/// Names the reason where a package test cannot run.
pub fn skipped(name: &str) -> bool {
    match installed::obstacle() {
        Some(reason) => {
            skip(name, &reason);
            true
        }
        None => false,
    }
}
