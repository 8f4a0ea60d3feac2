//! Everything that a program inherits from the node that starts it: what a service gets from its resource script stays with it
//! for as long as it lives. A legacy node with the same files, started in the same way, is the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::death::{pid, wait_guardian};
use super::history::count;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// Writes down its surroundings. Stands for a resource script, an OCF agent, notification scripts and a client.
const PROBE: &str = include_str!("programs/surroundings.pl");

/// A caller that passes on unusual things of every kind.
const STRANGE: &str = "cd /tmp; umask 077; ulimit -n 3000; ulimit -u 5000; ulimit -s 4096; ulimit -l 64; ulimit -S -c 0
    echo 300 >/proc/self/oom_score_adj; echo 5 >/proc/self/coredump_filter; exec 7</etc/passwd 8>/tmp/open
    trap '' HUP PIPE INT QUIT ALRM USR1 USR2 TTIN TTOU TSTP WINCH XFSZ
    export TERM=vt100 LANG=de_DE.UTF-8 HA_STRANGE=1 STRANGE=1
    exec nice -n 5 ionice -c 3 taskset 1 setsid ";

/// What differs from legacy on purpose: which programs, which lines of theirs, and why. Of a `*` anything may follow.
const DELIBERATE: [(&str, &[&str], &str); 9] = [
    (
        "*",
        &["descriptor *"],
        "legacy leaves its log, its sockets and /proc/loadavg open in all that it starts; a script's output goes to our \
         output program and not into the file itself (asserted below)",
    ),
    (
        "*",
        &["parent", "leader of its group"],
        "which process of the node starts it, in a process group of its own (asserted below)",
    ),
    (
        "*",
        &["SigIgn"],
        "legacy's own settings: signals that its services then do not receive (asserted below)",
    ),
    (
        "*",
        &["timerslack*"],
        "legacy passes on that of its realtime process",
    ),
    (
        "*",
        &["env HA_NOARCHBIN", "env PATH"],
        "where our helpers are (asserted below)",
    ),
    (
        "*",
        &[
            "env HA_OSTATUS",
            "env HA_auth",
            "env HA_dest",
            "env HA_dt",
            "env HA_hg",
            "env HA_ipaddr",
            "env HA_ld",
            "env HA_node",
            "env HA_ok",
            "env HA_protocol",
            "env HA_rsc_hold",
            "env HA_seq",
            "env HA_src",
            "env HA_st",
            "env HA_systole*",
            "env HA_t",
            "env HA_ts",
            "env HA_ttl",
            "env HA_weown",
        ],
        "the fields of a message, which differ in notification scripts; in legacy a resource script has those of the message \
         that led to its call, if there was one",
    ),
    (
        "*",
        &["env PWD"],
        "a shell that is told its directory asks the disk whether that is true; it finds out and exports the same by itself",
    ),
    (
        "*stop",
        &["env HA_NICEFAILBACK"],
        "legacy gives it to a start, and not to a stop",
    ),
    (
        "probe-client",
        &["deathsignal"],
        "a client ends with its daemon, because the successor starts its own",
    ),
];

/// The same where legacy was not started by its init script, from which it gets these.
const OF_THE_INIT_SCRIPT: [(&str, &[&str]); 2] = [
    (
        "probe-client",
        &[
            "env HA_BIN",
            "env HA_DOCDIR",
            "env HA_FIFO",
            "env HA_RCDIR",
            "env HA_RESOURCEDIR",
            "env LANG",
            "env LC_ALL",
            "env OCF_AGENTS",
        ],
    ),
    ("*", &["env HA_DIR", "env HA_FUNCS"]),
];

/// By program, then by what it has seen.
type Seen = BTreeMap<String, BTreeMap<String, String>>;

fn executable(place: &Path, text: &str) {
    fs::write(place, text).expect("a script");
    fs::set_permissions(place, fs::Permissions::from_mode(0o755)).expect("mode");
}

/// A group of each node with a script and an OCF agent, notification scripts, a client of another user.
fn pair_of(kinds: [Kind; 2], lines: &str, stop_seconds: u32) -> Pair {
    let mut config = PairConfig::new(kinds);
    config.media.push_str(&format!(
        "\nenv FOO=bar\nrespawn hacluster /etc/ha.d/probe client  'two three'\n{lines}"
    ));
    let words = "probe::x::y Delay::0::0";
    config.resources = format!(
        "node1 {ADDRESS_1}/24/eth0 dummy::a::0::{stop_seconds} {words}\nnode2 {ADDRESS_2}/24/eth0 dummy::b {words}\n"
    );
    if stop_seconds > 0 {
        // On a busy machine a successor must not be taken for one that hangs.
        config.times = "keepalive 200ms\nwarntime 5\ndeadtime 10\ninitdead 20\n".into();
    }
    let pair = Pair::new(config);
    for node in NODES {
        let place = pair.lab.dir(node).join("ha.d");
        pair.install_script(node, "probe", PROBE);
        executable(&place.join("probe"), PROBE);
        executable(&place.join("rc.d/ifstat"), PROBE);
        // In front of the shipped ones.
        for hook in ["status", "ip-request-resp"] {
            let script = place.join("rc.d").join(hook);
            fs::rename(&script, script.with_extension("shipped")).expect("the shipped script");
            executable(&script, PROBE);
        }
        pair.lab.sh(
            node,
            "mkdir -p /var/log/probes /var/log/cores/root; chmod 777 /var/log/probes
             mount --bind /etc/ha.d/probe /usr/lib/ocf/resource.d/heartbeat/Delay",
        );
        if pair.kind(node).is_ours() {
            lay(&pair, node);
        }
    }
    pair
}

/// Puts those of our files that are in play where they are when installed.
fn lay(pair: &Pair, node: &str) {
    let (conf, daemon) = (
        concat!(env!("CARGO_MANIFEST_DIR"), "/conf"),
        pair.daemon(node),
    );
    let script = format!(
        "set -e; cp {conf}/ha.d/harc /etc/ha.d/harc; cp {conf}/ha.d/ocf-wrapper /etc/ha.d/resource.d/Delay
         cp {conf}/libexec/ocf_resource /usr/libexec/systole/
         mount --bind /usr/libexec/systole /usr/share/heartbeat
         mount --bind {daemon} /usr/libexec/heartbeat/heartbeat; mount --bind {conf}/heartbeat.init /etc/init.d/heartbeat"
    );
    let laid = pair.lab.exec(node, &["sh", "-c", &script]);
    assert!(laid.status.success(), "{laid:?}");
}

/// What the programs of a node have written so far.
fn seen(pair: &Pair, node: &str) -> Seen {
    let place = pair.lab.dir(node).join("log/probes");
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().expect("text");
        let text = fs::read_to_string(entry.path()).expect("readable");
        let text = text
            .replace(node, "NODE")
            .replace(Pair::peer(node), "PEER")
            .replace("//", "/");
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        let lines = lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        (!name.starts_with('.')).then_some((name, lines))
    };
    let entries = fs::read_dir(place).expect("a directory");
    entries
        .filter_map(|entry| read(entry.expect("an entry")))
        .collect()
}

fn is(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => name.starts_with(before) && name.ends_with(after),
        None => name == pattern,
    }
}

fn signals(of: &BTreeMap<String, String>) -> BTreeSet<u32> {
    let bits = u64::from_str_radix(&of["SigIgn"], 16).expect("a number");
    // 8: perl ignores it itself. Above 31: the C library does when it starts a program.
    (1..32)
        .filter(|number| *number != 8 && bits >> (number - 1) & 1 == 1)
        .collect()
}

/// Each line that differs and is not listed.
fn differences(ours: &Seen, legacy: &Seen, by_init: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut compared = BTreeSet::new();
    for (program, ours) in ours {
        let Some(legacy) = legacy.get(program) else {
            continue;
        };
        let role = program.split('.').next().unwrap_or_default();
        compared.insert(role.to_owned());
        let listed = |line: &str| {
            let here = |(who, lines): (&str, &[&str])| {
                is(who, role) && lines.iter().any(|pattern| is(pattern, line))
            };
            DELIBERATE.iter().any(|(who, lines, _)| here((who, lines)))
                || !by_init
                    && OF_THE_INIT_SCRIPT
                        .iter()
                        .any(|(who, lines)| here((who, lines)))
        };
        let lines: BTreeSet<&String> = ours.keys().chain(legacy.keys()).collect();
        for line in lines {
            let (ours, legacy) = (ours.get(line), legacy.get(line));
            // More than legacy gives harms nobody.
            let more = line == "env OCF_RESOURCE_TYPE";
            if ours != legacy && !listed(line) && !more {
                found.push(format!("{program}: {line}: {ours:?}, legacy {legacy:?}"));
            }
        }
        plain(program, role, ours, legacy);
    }
    let all = [
        "Delay-monitor",
        "Delay-stop",
        "ifstat",
        "ip-request-resp",
        "probe-client",
        "probe-start",
        "probe-status",
        "probe-stop",
        "status-status",
    ];
    for role in all {
        let either = role == "ip-request-resp";
        assert!(
            either || compared.contains(role),
            "{role} not among {compared:?}"
        );
    }
    found
}

/// What is asserted of the lines that differ.
fn plain(
    program: &str,
    role: &str,
    ours: &BTreeMap<String, String>,
    legacy: &BTreeMap<String, String>,
) {
    let open: Vec<&str> = ours
        .keys()
        .filter_map(|line| line.strip_prefix("descriptor "))
        .collect();
    assert_eq!(open, ["0", "1", "2"], "{program}");
    assert_eq!(ours["descriptor 0"], legacy["descriptor 0"], "{program}");
    let client = role == "probe-client";
    let to = if client {
        "/dev/null both"
    } else {
        "pipe write"
    };
    assert!(client || ours["descriptor 2"] == to, "{program}: {ours:#?}");
    let leader = &ours["leader of its group"];
    assert!(
        leader == "itself"
            || leader.starts_with("heartbeat: resource script|")
            || leader.contains("/harc")
            || leader.contains("ocf_resource"),
        "{program}: {leader}"
    );
    let (own, reference) = (signals(ours), signals(legacy));
    assert!(
        own.is_subset(&reference),
        "{program}: {own:?}, legacy {reference:?}"
    );
    // A service that has never died by SIGPIPE (13) must not begin to.
    let starts_services = client || role.ends_with("-start") || role.ends_with("-stop");
    assert!(!starts_services || own.contains(&13), "{program}: {own:?}");
    // INT, ALRM, TTIN, TTOU, in a stop TERM: received, unless the caller ignores what legacy passes on as well.
    for number in [2, 14, 15, 21, 22] {
        assert!(
            !own.contains(&number) || client && number == 14,
            "{program}: {own:?}"
        );
    }
    let of = |of: &BTreeMap<String, String>| -> BTreeSet<String> {
        of["env PATH"].split(':').map(str::to_owned).collect()
    };
    let (mut reference, own) = (of(legacy), of(ours));
    reference.remove("/usr/share/heartbeat");
    assert!(
        reference.is_subset(&own),
        "{program}: {own:?}, legacy {reference:?}"
    );
}

fn compare(kinds: [Kind; 2], lines: &str, caller: &str, by_init: bool) {
    let pair = pair_of(kinds, lines, 0);
    for node in NODES {
        let program = if by_init {
            "/etc/init.d/heartbeat start".to_owned()
        } else {
            pair.daemon(node)
        };
        let began = pair
            .lab
            .exec(node, &["bash", "-c", &format!("{caller}{program}")]);
        assert!(began.status.success(), "{node}: {began:?}");
    }
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_owner("node2", ADDRESS_2, "b");
    for node in NODES {
        pair.wait_holds(node, "local");
        wait_until(LONG, "the client has written", || {
            seen(&pair, node).contains_key("probe-client.1")
        });
    }
    // Each stops a group of its own and one of the other node.
    pair.stop("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.stop("node2");
    let [one, two] = NODES.map(|node| seen(&pair, node));
    let (ours, legacy) = if pair.kind("node1").is_ours() {
        (one, two)
    } else {
        (two, one)
    };
    let found = differences(&ours, &legacy, by_init);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn what_is_inherited_as_from_legacy_systole_owner() {
    run("surroundings::systole_owner", SYSTOLE_OWNER, |kinds| {
        let lines = "realtime on\ncoreroot /var/log/cores\nlogfacility local3\ncompression bz2";
        compare(kinds, lines, STRANGE, true);
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn what_is_inherited_as_from_legacy_legacy_owner() {
    run("surroundings::legacy_owner", LEGACY_OWNER, |kinds| {
        let caller = "cd /tmp; ulimit -c unlimited; exec env TERM=vt100 setsid ";
        compare(kinds, "coredumps false", caller, false);
    });
}

/// Lines of those that [`STRANGE`] makes, and others that differ in a release without daemon and guardian.
const OF_THE_CALLER: [&str; 16] = [
    "limit Max open files",
    "limit Max processes",
    "limit Max stack size",
    "limit Max locked memory",
    "oom_score_adj",
    "coredump_filter",
    "SigIgn",
    "env TERM",
    "env LANG",
    "env STRANGE",
    "env HA_STRANGE",
    "env PATH",
    "nice",
    "ioprio",
    "Cpus_allowed",
    "leader of its session",
];

/// By the first process, after a restart in place, by a successor, by a daemon that only releases, by the guardian and by the
/// service manager: a program gets the same.
fn same_from_every_process(kinds: [Kind; 2]) {
    let pair = pair_of(kinds, "coredumps false\nenv STOPRETRYMAX=0", 1);
    let daemon = pair.daemon("node1");
    let begin = |caller: &str, words: &str| {
        let begun = pair
            .lab
            .exec("node1", &["bash", "-c", &format!("{caller}{words}")]);
        assert!(begun.status.success(), "{begun:?}");
    };
    begin(STRANGE, &daemon);
    pair.start("node2");
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    wait_guardian(&pair, "node1", &[]);
    let active = "Local status now set to: 'active'";
    let moves = || {
        pair.obeys("hb_standby local", ADDRESS_1, "node2");
        pair.wait_holds("node1", "none");
        pair.wait_holds("node2", "all");
        pair.obeys("hb_takeover local", ADDRESS_1, "node1");
        pair.wait_holds("node1", "local");
    };
    moves();
    // In place.
    begin(
        "touch -d '10 seconds' /etc/ha.d/ha.cf; ",
        &format!("exec env -i {daemon} -r"),
    );
    pair.wait_log_count("node1", active, 2);
    pair.wait_holds("node1", "local");
    moves();
    // The output program of the service that was started before, and stopped now.
    wait_until(LONG, "no ended process is left", || {
        pair.lab
            .sh("node1", "ps axo stat=,args= | grep '^Z'")
            .is_empty()
    });
    // By a successor.
    let kill = || {
        pair.lab
            .sh("node1", &format!("kill -9 {}", pid(&pair, "node1")))
    };
    // A client that is killed before it has written is not there to be compared.
    let wait_client = |time: usize| {
        wait_until(LONG, "the client has written", || {
            seen(&pair, "node1").contains_key(&format!("probe-client.{time}"))
        });
    };
    kill();
    pair.wait_log_count("node1", active, 3);
    pair.wait_holds("node1", "local");
    moves();
    wait_client(3);
    kill();
    pair.wait_log_count("node1", active, 4);
    pair.wait_holds("node1", "local");
    wait_client(4);
    // By a daemon that only releases, and then by the guardian.
    let stops = || count(&pair.lab, "node1", "stop", "a");
    let before = stops();
    kill();
    wait_until(LONG, "the release has begun", || stops() > before);
    kill();
    let all = "guardian: all resources are released";
    pair.wait_log("node1", all);
    pair.wait_owner("node2", ADDRESS_1, "a");
    // By the service manager.
    begin(STRANGE, &daemon);
    pair.wait_holds("node1", "none");
    pair.wait_holds("node2", "all");
    pair.obeys("hb_takeover local", ADDRESS_1, "node1");
    pair.wait_holds("node1", "local");
    wait_client(5);
    let guardian = wait_guardian(&pair, "node1", &[]);
    pair.lab.sh(
        "node1",
        &format!(
            "kill -STOP {guardian}; kill -9 {} {guardian}",
            pid(&pair, "node1")
        ),
    );
    // Ends with 1, as a daemon that was released.
    pair.lab.sh(
        "node1",
        &format!("umask 000; (exec -a 'heartbeat: releasing resources' {daemon} orphaned)"),
    );
    pair.wait_log_count("node1", all, 2);

    let seen = seen(&pair, "node1");
    for (role, times) in [
        ("probe-start", 5),
        ("probe-stop", 6),
        ("probe-client", 5),
        ("Delay-stop", 6),
    ] {
        let first = &seen[&format!("{role}.1")];
        for time in 2..=times {
            let program = format!("{role}.{time}");
            let this = seen
                .get(&program)
                .unwrap_or_else(|| panic!("no {program} in {:?}", seen.keys()));
            let orphaned = role.ends_with("stop") && time == times;
            let lines: BTreeSet<&String> = first.keys().chain(this.keys()).collect();
            for line in lines {
                let whose = matches!(
                    line.as_str(),
                    "parent" | "leader of its group" | "leader of its session" | "SigIgn"
                );
                if !(whose || orphaned && OF_THE_CALLER.contains(&line.as_str())) {
                    assert_eq!(this.get(line), first.get(line), "{program}: {line}");
                }
            }
        }
    }
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn what_is_inherited_is_the_same_from_every_process_of_a_node() {
    run(
        "surroundings::every_process",
        OURS_OURS,
        same_from_every_process,
    );
}

/// The disk of `coreroot` answers nothing: a file system of which no program serves the requests.
const SILENT_DISK: &str = "exec 3<>/dev/fuse || exit 1
    mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 silent /var/log/cores || exit 1
    sleep 1000 </dev/null >/dev/null 2>&1 & echo $!";

/// Nothing that a node starts waits for the disk of `coreroot`: neither when it begins to hang under a node that runs,
/// nor when the node begins beside it.
#[test]
#[ignore = "lab: run by scripts/test"]
fn no_script_waits_for_the_disk_of_coreroot() {
    run("surroundings::coreroot", OURS_OURS, |kinds| {
        let mut config = PairConfig::new(kinds);
        config.media.push_str("\ncoreroot /var/log/cores");
        let pair = Pair::new(config);
        for node in NODES {
            pair.lab.sh(node, "mkdir -p /var/log/cores/root");
        }
        pair.start_settled();
        let silent = || {
            let holder = pair.lab.exec("node1", &["bash", "-c", SILENT_DISK]);
            assert!(holder.status.success(), "{holder:?}");
            String::from_utf8(holder.stdout).expect("a number")
        };
        let holder = silent();
        // Scripts of a stop, and of the start that follows it.
        pair.operator("node2", "hb_takeover foreign");
        pair.wait_owner("node2", ADDRESS_1, "a");
        pair.operator("node1", "hb_takeover local");
        pair.wait_owner("node1", ADDRESS_1, "a");
        pair.stop("node1");
        pair.wait_owner("node2", ADDRESS_1, "a");
        pair.start("node1");
        pair.wait_log("node1", "the disk of coreroot does not answer");
        pair.wait_holds("node1", "none");
        pair.operator("node1", "hb_takeover local");
        pair.wait_owner("node1", ADDRESS_1, "a");
        pair.lab.sh("node1", &format!("kill {}", holder.trim()));
    });
}
