//! Programs on the client socket: the legacy ones against our daemon and ours against a legacy
//! daemon, each compared with legacy against legacy in the same situation.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::host::{Kind, legacy_obstacle, skip, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};

const LEGACY_CL_STATUS: &str = "/usr/bin/cl_status";
const OUR_CL_STATUS: &str = env!("CARGO_BIN_EXE_cl_status");

/// The users who ask: words before the command.
const USERS: [(&str, &str); 3] = [
    ("root", ""),
    (
        "member of haclient",
        "setpriv --reuid hacluster --regid haclient --clear-groups ",
    ),
    (
        "nobody",
        "setpriv --reuid nobody --regid nogroup --clear-groups ",
    ),
];

/// Every subcommand, right and wrong.
const CALLS: &[&str] = &[
    "",
    "-h",
    "bogus",
    "--help",
    "hbstatus",
    "hbstatus -m",
    "hbstatus -v",
    "hbstatus -v -m",
    "hbstatus -x",
    "listnodes",
    "listnodes -n",
    "listnodes -p",
    "listnodes -np",
    "listnodes -m",
    "listnodes -v",
    "listnodes -x",
    "nodestatus node1",
    "nodestatus NODE2",
    "nodestatus -m node2",
    "nodestatus node2 -m",
    "nodestatus nope",
    "nodestatus",
    "nodestatus -z node2",
    "nodeweight node2",
    "nodeweight -m node2",
    "nodeweight nope",
    "nodeweight",
    "nodesite node2",
    "nodesite -m node2",
    "nodesite nope",
    "nodesite",
    "nodetype node2",
    "nodetype -m node2",
    "nodetype nope",
    "nodetype",
    "listhblinks node1",
    "listhblinks node2",
    "listhblinks -v node2",
    "listhblinks -m node2",
    "listhblinks nope",
    "listhblinks",
    "hblinkstatus node2 eth0",
    "hblinkstatus -m node2 eth0",
    "hblinkstatus node2 eth9",
    "hblinkstatus nope eth0",
    "hblinkstatus node2",
    "clientstatus node1 ipfail",
    "clientstatus node2 ipfail 3000",
    "clientstatus -m node1 ipfail 1000",
    "clientstatus node1",
    "clientstatus nope ipfail 300",
    "rscstatus",
    "rscstatus -m",
    "hbparameter -p deadtime",
    "hbparameter -m -p keepalive",
    "hbparameter -p crm",
    "hbparameter -pinitdead",
    "hbparameter -p nosuch",
    "hbparameter -p",
    "hbparameter",
    "hbparameter deadtime",
    "test",
];

/// Output of every call by every user on a host, by `user: call`.
fn transcript(pair: &Pair, node: &str, program: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    std::thread::scope(|scope| {
        let users: Vec<_> = USERS
            .iter()
            .map(|(user, prefix)| {
                let script: String = CALLS
                    .iter()
                    .map(|call| {
                        format!(
                            "echo '$ {call}'; {prefix}{program} {call} >/tmp/out.$$ 2>/tmp/err.$$; \
                             code=$?; sed 's/^/out: /' /tmp/out.$$; sed 's/^/err: /' /tmp/err.$$; \
                             echo \"code $code\"\n"
                        )
                    })
                    .collect();
                scope.spawn(move || (user, pair.lab.sh(node, &script)))
            })
            .collect();
        for handle in users {
            let (user, text) = handle.join().expect("no panic");
            for part in text.split("$ ").filter(|part| part.contains("code ")) {
                let (call, rest) = part.split_once('\n').expect("a line");
                let lines: Vec<_> = rest.lines().map(plain).collect();
                all.insert(format!("{user}: {call}"), lines.join("\n"));
            }
        }
    });
    assert_eq!(all.len(), USERS.len() * CALLS.len(), "{all:#?}");
    all
}

/// Without time, process id and the text of the version.
fn plain(line: &str) -> String {
    if let Some((_, text)) = line.split_once(" cl_status: [") {
        let text = text.split_once("]: ").map_or(text, |(_, text)| text);
        return format!("err: LOG {text}");
    }
    for word in ["version:\t", "Heartbeat version "] {
        if let Some((before, _)) = line.split_once(word) {
            return format!("{before}{word}VERSION");
        }
    }
    line.to_owned()
}

fn assert_same(what: &str, wanted: &BTreeMap<String, String>, got: &BTreeMap<String, String>) {
    let different: Vec<_> = wanted
        .iter()
        .filter(|(call, text)| got.get(*call) != Some(text))
        .map(|(call, text)| format!("{call}\n  wanted: {text}\n  got: {:?}", got.get(call)))
        .collect();
    assert!(different.is_empty(), "{what}:\n{}", different.join("\n"));
}

fn ready() -> bool {
    let reason = legacy_obstacle();
    if let Some(reason) = &reason {
        skip("clients", reason);
    }
    reason.is_none()
}

/// Legacy `cl_status` against our daemon, ours against a legacy daemon and against ours: all as
/// legacy against legacy, running and stopped.
#[test]
#[ignore = "lab: run by scripts/test"]
fn clients_cl_status_as_legacy() {
    if !ready() {
        return;
    }
    let legacy = Pair::new(PairConfig::new([Kind::Legacy, Kind::Legacy]));
    let ours = Pair::new(PairConfig::new([Kind::Systole, Kind::Legacy]));
    let mixed = Pair::new(PairConfig::new([Kind::Systole, Kind::Systole]));
    for pair in [&legacy, &ours, &mixed] {
        pair.start_settled();
    }
    for running in ["running", "stopped"] {
        let wanted = transcript(&legacy, "node1", LEGACY_CL_STATUS);
        let code = &wanted["root: hbstatus"];
        assert!(code.ends_with(if running == "running" {
            "code 0"
        } else {
            "code 1"
        }));
        for (what, pair, program) in [
            (
                "legacy cl_status, our daemon beside legacy",
                &ours,
                LEGACY_CL_STATUS,
            ),
            ("legacy cl_status, our daemons", &mixed, LEGACY_CL_STATUS),
        ] {
            assert_same(
                &format!("{what}, {running}"),
                &wanted,
                &transcript(pair, "node1", program),
            );
        }
        // Ours is installed setgid like the legacy one.
        for (what, pair) in [("legacy daemon", &legacy), ("our daemon", &ours)] {
            let program = install_setgid(pair);
            let got = transcript(pair, "node1", &program);
            assert_same(&format!("our cl_status, {what}, {running}"), &wanted, &got);
        }
        if running == "running" {
            for pair in [&legacy, &ours, &mixed] {
                pair.stop("node1");
            }
        }
    }
    assert!(
        !ours.lab.dir("node1").join("run/register").exists(),
        "a clean stop takes the socket away"
    );
}

fn install_setgid(pair: &Pair) -> String {
    let place = "/run/cl_status";
    let script = format!(
        "install -g haclient -m 2755 {OUR_CL_STATUS} {place}.new && mv {place}.new {place} && \
         echo done"
    );
    let said = pair.lab.sh("node1", &script);
    assert!(said.contains("done"), "{said}");
    place.to_owned()
}

/// Clients that break every rule: heartbeats go on, other clients are served, the log stays small.
#[test]
#[ignore = "lab: run by scripts/test"]
fn clients_hostile() {
    if !ready() {
        return;
    }
    let mut config = PairConfig::new([Kind::Systole, Kind::Legacy]);
    config.times.push_str("apiauth default uid=root\n");
    let pair = Pair::new(config);
    pair.start_settled();
    let script = r#"
import os, random, socket, struct, time
PATH = '/run/heartbeat/register'
def connect():
    s = socket.socket(socket.AF_UNIX); s.connect(PATH); s.settimeout(2); return s
def frame(body, n=None, magic=0xabcd):
    return struct.pack('=iI', len(body) if n is None else n, magic) + body
def request(kind, **more):
    fields = dict(t='hbapi-req', reqtype=kind, pid=os.getpid(), from_id=os.getpid(), **more)
    return frame(b'>>>\n' + b''.join(b'%s=%s\n' % (k.encode(), str(v).encode()) for k, v in fields.items()) + b'<<<\n\0')
on = request('signon', uid=0, gid=0)
random.seed(7)
def send(s, data):
    try: s.sendall(data); return True
    except OSError: return False
# Connections that never speak, more than there is room for.
idle = []
for i in range(1000):
    try: idle.append(connect())
    except OSError: break
for s in idle: s.close()
time.sleep(0.5)
# One that asks and never reads.
deaf = connect(); deaf.settimeout(0.5); send(deaf, on)
for i in range(5000):
    if not send(deaf, request('nodelist')): break
# One that says half of something.
half = connect(); send(half, on[:11])
# Lengths, magic numbers, a sign-on without pid, random and mutated frames.
for data in (frame(b'', n=-1), frame(b'', n=262145), frame(b'', n=2**31 - 1), frame(b'x', magic=1),
             frame(b'>>>\nt=hbapi-req\nreqtype=signon\nfrom_id=foo\n<<<\n\0')):
    s = connect(); send(s, data); s.close()
s = None
for i in range(10000):
    if s is None: s = connect(); send(s, on)
    data = bytearray(random.choice([on, request('nodelist'), request('iflist', node='node2'), request('setfilter', fmask=1)]))
    for j in range(random.randrange(5)):
        data[random.randrange(len(data))] = random.randrange(256)
    if random.randrange(6) == 0: data = os.urandom(random.randrange(300))
    if not send(s, data) or random.randrange(20) == 0: s.close(); s = None
print('survived')
"#;
    two_hundred_clients(&pair);
    let daemon = pair.lab.sh("node1", "cat /run/heartbeat.pid");
    let resident = || {
        let call = format!("ps -o rss= -p {}", daemon.trim());
        pair.lab
            .sh("node1", &call)
            .trim()
            .parse::<u64>()
            .expect("kB")
    };
    let before = resident();
    let file = pair.lab.shared().join("hostile.py");
    std::fs::write(&file, script).expect("script");
    let said = pair.lab.sh("node1", &format!("python3 {}", file.display()));
    assert!(said.contains("survived"), "{said}");
    let began = Instant::now();
    let status = pair.lab.sh("node1", "cl_status nodestatus node2");
    assert_eq!(status.trim(), "active");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "others are served at once"
    );
    assert_eq!(pair.holds("node1"), "local");
    let log = pair.lab.log("node1");
    for bad in ["is dead", "late", "restarted", "panicked"] {
        assert!(!log.contains(bad), "{bad}:\n{log}");
    }
    let peer = pair.lab.log("node2");
    assert!(
        !peer.contains("is dead") && !peer.contains("Late heartbeat"),
        "{peer}"
    );
    let after = resident();
    println!("resident: {before} kB before, {after} kB after");
    assert!(after < before + 32 * 1024, "{before} kB grew to {after} kB");
    let said = pair.log_count("node1", "cut off");
    assert!(
        (1..100).contains(&said),
        "said why, and not each time: {said}"
    );
    assert!(log.len() < 200_000, "the log grew to {} bytes", log.len());
}

/// As many clients at once, each reading every heartbeat and asking a question now and then: no
/// heartbeat of ours is late, here or there, and every client gets its answers.
fn two_hundred_clients(pair: &Pair) {
    let file = pair.lab.shared().join("many.py");
    std::fs::write(&file, include_str!("programs/many.py")).expect("script");
    let said = pair.lab.sh("node1", &format!("python3 {}", file.display()));
    assert_eq!(said, "answers True beats True 200\n");
    for node in NODES {
        let log = pair.lab.log(node);
        for bad in ["is dead", "Late heartbeat", "was late", "cut off"] {
            assert!(!log.contains(bad), "{node}: {bad}:\n{log}");
        }
    }
}

/// Legacy `ipfail`, `ccm` and `dopd`, respawned by our daemon beside a legacy node, find each
/// other; `ipfail` moves the group when the owner loses the ping node.
#[test]
#[ignore = "lab: run by scripts/test"]
fn clients_legacy_programs() {
    if !ready() {
        return;
    }
    let mut config = PairConfig::new([Kind::Systole, Kind::Legacy]);
    let programs = ["ipfail", "ccm", "dopd"];
    config.times.push_str("ping 10.77.0.254\ndeadping 2\n");
    for program in programs {
        config.times.push_str(&format!(
            "respawn hacluster /usr/libexec/heartbeat/{program}\n"
        ));
    }
    config
        .times
        .push_str("apiauth dopd gid=haclient uid=hacluster\n");
    let pair = Pair::new(config);
    pair.start_settled();
    for node in NODES {
        for of in NODES {
            for program in programs {
                let call = format!("cl_status clientstatus {of} {program} 2000");
                wait_until(LONG, &format!("{node}: {call}"), || {
                    pair.lab.sh(node, &call).trim() == "online"
                });
            }
        }
        let call = "timeout 3 setpriv --reuid hacluster --regid haclient --clear-groups \
                    /usr/libexec/heartbeat/ccm_testclient 2>&1";
        let said = pair.lab.sh(node, call);
        assert!(said.contains("ttl members=2"), "{node}: {said}");
    }
    pair.lab.command(&[
        "block",
        pair.lab.name(),
        "node1",
        "eth0",
        "ip saddr 10.77.0.254",
    ]);
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node1", "giveup() called (timeout worked)");
}
