//! Programs of the legacy package, and clients of every right and wrong kind, on the client socket
//! of our daemon: each sends and receives the same as with a legacy daemon beside the same peer.

use super::host::{Kind, wait_until};
use super::pair::{LONG, NODES, Pair, PairConfig};
use super::{LEGACY_LEGACY, SYSTOLE_OWNER, run};

const AS_MEMBER: &str = "setpriv --reuid hacluster --regid haclient --clear-groups";

const RULES: &str = "apiauth dopd gid=haclient uid=hacluster\napiauth users uid=root,daemon\n\
                     apiauth both uid=hacluster gid=games\napiauth named gid=games,nogroup\n\
                     apiauth numbers uid=1 gid=65534\napiauth pytest uid=root\n";

/// A pair of legacy nodes and one of ours beside a legacy node, of the same configuration.
struct Sides {
    legacy: Pair,
    ours: Pair,
}

impl Sides {
    fn new(clients: &str) -> Self {
        let pair = |kinds: [Kind; 2]| {
            let mut config = PairConfig::new(kinds);
            config.times.push_str(clients);
            Pair::new(config)
        };
        let sides = Self {
            legacy: pair(LEGACY_LEGACY),
            ours: pair(SYSTOLE_OWNER),
        };
        for pair in [&sides.legacy, &sides.ours] {
            pair.start_both();
        }
        for pair in [&sides.legacy, &sides.ours] {
            pair.wait_active();
            for node in NODES {
                pair.wait_holds(node, "local");
            }
        }
        sides
    }

    /// The output of a script on node1 of each pair, legacy first.
    fn both(&self, script: &str) -> [String; 2] {
        std::thread::scope(|scope| {
            let sides = [&self.legacy, &self.ours];
            let runs = sides.map(|pair| scope.spawn(move || pair.lab.sh("node1", script)));
            runs.map(|run| run.join().expect("no panic"))
        })
    }

    /// The same for a Python script of ours.
    fn both_python(&self, name: &str, text: &str, words: &str) -> [String; 2] {
        for pair in [&self.legacy, &self.ours] {
            std::fs::write(pair.lab.shared().join(name), text).expect("script");
        }
        let runs = [&self.legacy, &self.ours].map(|pair| pair.lab.shared().join(name));
        std::thread::scope(|scope| {
            let [one, two] = &runs;
            let call = |path: &std::path::Path| {
                format!("timeout 60 python3 -u {} {words}", path.display())
            };
            let one = scope.spawn(move || self.legacy.lab.sh("node1", &call(one)));
            let two = scope.spawn(move || self.ours.lab.sh("node1", &call(two)));
            [one, two].map(|run| run.join().expect("no panic"))
        })
    }
}

/// Without time, host and process id in front, the numbers of messages, and the version.
fn plain(line: &str) -> String {
    let text = line.split_once("]: ").map_or(line, |(_, text)| text);
    let text = text
        .split_once("[3.0.6 (")
        .map_or(text, |(before, _)| before);
    if let Some((_, rest)) = text
        .strip_prefix("notice: Got message ")
        .and_then(|rest| rest.split_once(' '))
    {
        return format!("Got message N {rest}");
    }
    if text.starts_with("info: PID=") {
        return "info: PID=N".to_owned();
    }
    text.to_owned()
}

fn assert_same_lines(what: &str, [legacy, ours]: &[String; 2]) {
    let lines = |text: &str| text.lines().map(plain).collect::<Vec<_>>();
    let (wanted, got) = (lines(legacy), lines(ours));
    let missing: Vec<_> = wanted.iter().filter(|line| !got.contains(line)).collect();
    let foreign: Vec<_> = got.iter().filter(|line| !wanted.contains(line)).collect();
    assert!(
        missing.is_empty() && foreign.is_empty(),
        "{what}: legacy alone: {missing:#?}\nours alone: {foreign:#?}"
    );
    assert!(wanted.len() > 3, "{what}: {legacy}");
}

/// `ccm` with `ccm_testclient` and `hbstatus -v`, `api_test`, `dopd` with `drbd-peer-outdater`, the
/// Python module.
fn legacy_programs(_: [Kind; 2]) {
    let programs = ["ccm", "dopd"]
        .map(|program| format!("respawn hacluster /usr/libexec/heartbeat/{program}\n"));
    let sides = Sides::new(&(programs.concat() + RULES));
    for pair in [&sides.legacy, &sides.ours] {
        for program in ["ccm", "dopd"] {
            let call = format!("cl_status clientstatus node2 {program} 2000");
            wait_until(LONG, &call, || {
                pair.lab.sh("node1", &call).trim() == "online"
            });
        }
        wait_until(LONG, "a membership of two", || {
            let call = format!("timeout 1 {AS_MEMBER} /usr/libexec/heartbeat/ccm_testclient 2>&1");
            pair.lab.sh("node1", &call).contains("ttl members=2")
        });
    }
    let call = format!("timeout 2 {AS_MEMBER} /usr/libexec/heartbeat/ccm_testclient 2>&1");
    let mut said = sides.both(&call);
    // How often the membership changed while the daemons started does not depend on the daemon.
    for text in &mut said {
        let known: Vec<_> = text
            .lines()
            .map(|line| {
                line.split_once("nstance=")
                    .map_or(line, |(before, _)| before)
            })
            .map(|line| {
                line.split_once(", born=")
                    .map_or(line, |(before, _)| before)
            })
            .collect();
        *text = known.join("\n");
    }
    assert_same_lines("ccm_testclient", &said);

    members_of_ccm(&sides);

    let call = format!("timeout 10 {AS_MEMBER} /usr/libexec/heartbeat/api_test 2>&1");
    let said = sides.both(&call);
    // Legacy answers too late for its own client, which then finds the answer among other messages.
    let statuses = |text: &str| {
        let of = |line: &&str| line.contains("/api_test status: [");
        text.lines().filter(of).map(plain).collect::<Vec<_>>()
    };
    // Ours answers in time; the other node is legacy on both sides.
    assert_eq!(
        statuses(&said[1])[1],
        "info: node1/api_test status: [online]"
    );
    assert_eq!(statuses(&said[0]).len(), 2);
    let rest = said.map(|text| {
        let late = |line: &&str| {
            !line.contains("/api_test status: [") && !line.contains("[hbapi-resp] from [?]")
        };
        text.lines().filter(late).collect::<Vec<_>>().join("\n")
    });
    for text in &rest {
        assert!(text.contains("of type [pingreply] from [node1]"), "{text}");
    }
    assert_same_lines("api_test", &rest);

    // This dopd crashes at the question, with either daemon, which starts it again.
    for words in ["-p node2 -r r0 -t 5", "-p nope -r r0 -t 3", ""] {
        for pair in [&sides.legacy, &sides.ours] {
            let call = "cl_status clientstatus node1 dopd 2000; ls /run/heartbeat/dopd/outdater";
            wait_until(LONG, call, || {
                pair.lab.sh("node1", call).starts_with("online\n/run")
            });
        }
        let call = format!(
            "timeout 20 {AS_MEMBER} /usr/libexec/heartbeat/drbd-peer-outdater {words} 2>&1; \
             echo \"code $?\"; sleep 0.5"
        );
        let [legacy, ours] = sides.both(&call);
        assert_eq!(legacy, ours, "drbd-peer-outdater {words}");
        assert!(ours.contains("code "), "{ours}");
    }
    let text = "sending start_outdate message to the other node node1 -> node2";
    for pair in [&sides.legacy, &sides.ours] {
        pair.wait_log("node1", text);
    }

    let said = sides.both_python(
        "python_module.py",
        include_str!("programs/python_module.py"),
        "",
    );
    let said = said.map(|text| {
        let version = |line: &&str| !line.starts_with("get_hbversion()");
        text.lines().filter(version).collect::<Vec<_>>().join("\n")
    });
    assert!(
        said[1].contains("nodestatus('node2') -> active"),
        "{}",
        said[1]
    );
    assert!(
        said[1].contains("called [('called', 'pytest', 'node1'), "),
        "{}",
        said[1]
    );
    assert_eq!(said[0], said[1]);
}

/// `hbstatus -v`: the legacy program and ours on one host, with the real ccm, and with another
/// program in its place that answers differently.
fn members_of_ccm(sides: &Sides) {
    const OURS: &str = env!("CARGO_BIN_EXE_cl_status");
    for pair in [&sides.legacy, &sides.ours] {
        for words in ["hbstatus -v", "hbstatus -v -m"] {
            let ours = pair.lab.sh("node1", &format!("{OURS} {words}"));
            assert!(ours.contains("members 2"), "{ours}");
            // Legacy reads once and leaves the membership out if it came a moment later.
            wait_until(LONG, "the legacy program to say the same", || {
                pair.lab.sh("node1", &format!("/usr/bin/cl_status {words}")) == ours
            });
        }
        let place = pair.lab.shared().join("other_ccm.py");
        std::fs::write(&place, include_str!("programs/other_ccm.py")).expect("script");
        let call = |program: &str| {
            let call = format!("timeout 60 python3 {} {program}", place.display());
            pair.lab.sh("node1", &call)
        };
        let legacy = call("/usr/bin/cl_status");
        assert!(legacy.contains("NOT member of partition"), "{legacy}");
        assert!(legacy.contains("ccm membership WITHOUT quorum"), "{legacy}");
        assert_eq!(legacy, call(OURS));
    }
}

/// Every `apiauth` rule, built-in and configured, with every kind of user; forged claims and names;
/// types that a client may not send.
fn every_rule_with_every_user(_: [Kind; 2]) {
    let sides = Sides::new(RULES);
    let text = include_str!("programs/sign_on.py");
    let [legacy, ours] = sides.both_python("sign_on.py", text, "");
    assert!(legacy.lines().count() > 120, "{legacy}");
    for line in [
        "users as daemon:daemon -> OK",
        "users as games:games -> badreq client failed authorization",
        "nosuch as root:root -> badreq no default client auth",
        "users as root:None -> badreq duplicate add request",
        "request as 1 users -> silence",
        "hello users users node1 True",
    ] {
        assert!(ours.lines().any(|known| known == line), "{line}: {ours}");
    }
    let different: Vec<_> = legacy
        .lines()
        .zip(ours.lines())
        .filter(|(a, b)| a != b)
        .collect();
    assert!(different.is_empty(), "{different:#?}");
    assert_eq!(legacy, ours);

    // A legacy daemon sends them all: only ours is tested.
    let pair = &sides.ours;
    let place = pair.lab.shared().join("forged.py");
    std::fs::write(&place, include_str!("programs/forged.py")).expect("script");
    let said = pair
        .lab
        .sh("node1", &format!("timeout 60 python3 {}", place.display()));
    assert_eq!(said, "forged []\nallowed True\n");
    let known = pair.log_count("node1", "of client users refused");
    assert!((1..=20).contains(&known), "said, and not for each: {known}");
    for node in NODES {
        assert_eq!(pair.holds(node), "local");
        assert_eq!(pair.log_count(node, "forged"), 0);
        assert_eq!(pair.log_count(node, "is dead"), 0);
        assert_eq!(pair.log_count(node, "Adding new node"), 0);
    }

    // With a rule for all other names.
    for pair in [&sides.legacy, &sides.ours] {
        let script = format!(
            "sleep 1; echo 'apiauth default uid=games gid=daemon' >>/etc/ha.d/ha.cf; {} -r",
            pair.daemon("node1")
        );
        pair.lab.sh("node1", &script);
        pair.wait_log("node1", "Performing heartbeat restart exec.");
        pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
        wait_until(LONG, "the client socket", || {
            pair.lab.sh("node1", "cl_status rscstatus").trim() == "local"
        });
    }
    let [legacy, ours] = sides.both_python("sign_on.py", text, "nosuch users ipfail");
    assert!(ours.contains("nosuch as games:games -> OK"), "{ours}");
    assert!(ours.contains("nosuch as root:root -> badreq client failed authorization"));
    assert_eq!(legacy, ours);
}

macro_rules! tests {
    ($($name:ident: $scenario:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("programs::", stringify!($name)), SYSTOLE_OWNER, $scenario)
        }
    )* };
}

tests! {
    programs_as_with_legacy: legacy_programs;
    programs_who_may_what: every_rule_with_every_user;
}
