//! Success only when the media are open.

use std::process::Output;

use super::death::pid;
use super::host::{Kind, wait_until};
use super::null_modem::NullModem;
use super::pair::{LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, run};

/// The end of a start on node1 with these media lines, after `prepare` ran there.
fn start_with(kinds: [Kind; 2], media: &str, prepare: &str) -> (Pair, Output) {
    let mut config = PairConfig::new(kinds);
    config.media = media.into();
    let pair = Pair::new(config);
    let said = pair.lab.sh("node1", prepare);
    assert_eq!(said, "", "{prepare}");
    let daemon = pair.daemon("node1");
    let output = pair.lab.exec("node1", &["setsid", &daemon]);
    (pair, output)
}

/// A medium in the view of a node of ours: an object, or null.
fn medium(pair: &Pair, node: &str, name: &str, kind: &str) -> serde_json::Value {
    let view = pair.view(node);
    let media = view["media"].as_array().cloned().unwrap_or_default();
    let mut found = media.into_iter().filter(|it| {
        let kinds = it["kinds"].as_array().cloned().unwrap_or_default();
        it["name"] == name && kinds.iter().any(|it| it == kind)
    });
    found.next().unwrap_or_default()
}

fn wait_receives(pair: &Pair, node: &str, name: &str, kind: &str, whom: &str) {
    wait_until(LONG, &format!("{node}: {name} receives {whom}"), || {
        medium(pair, node, name, kind)["receives"] == whom
    });
}

/// The start fails with 1, reports the reason on standard error and in the log, and leaves nothing
/// behind.
fn fails(media: &str, prepare: &str, why: &str) {
    let (pair, output) = start_with(OURS_OURS, media, prepare);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{why:?}: {said}");
    pair.wait_log("node1", why);
    wait_until(LONG, "no process is left", || {
        pair.lab.sh("node1", "pgrep heartbeat").is_empty()
    });
    let daemon = pair.daemon("node1");
    let status = pair.lab.exec("node1", &[&daemon, "-s"]);
    assert_ne!(status.status.code(), Some(0), "{status:?}");
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_port_that_is_taken_fails_the_start() {
    run("media::a_port_that_is_taken", OURS_OURS, |_| {
        let taken = "setsid perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0); \
             bind(S, sockaddr_in(694, INADDR_ANY)) or die; open(F, \">/run/taken\"); close F; sleep 1000' \
             </dev/null >/dev/null 2>&1 & until [ -e /run/taken ]; do sleep 0.1; done";
        for media in [
            "ucast eth0 @PEER0@",
            "bcast eth0",
            "mcast eth0 239.0.0.42 694 1 0",
        ] {
            fails(media, taken, "Address already in use");
        }
    });
}

/// Beside a medium that opens: the start is good, the log names the other one, and it is opened when it can be.
#[test]
#[ignore = "lab: run by scripts/test"]
fn one_medium_is_enough_for_a_start() {
    run("media::one_medium_is_enough", OURS_OURS, |kinds| {
        let taken = "setsid perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0); \
             bind(S, sockaddr_in(6999, INADDR_ANY)) or die; open(F, \">/run/taken\"); print F $$; close F; sleep 1000' \
             </dev/null >/dev/null 2>&1 & until [ -s /run/taken ]; do sleep 0.1; done";
        let media = "bcast eth0\nmcast eth0 239.0.0.42 6999 1 0\nbcast eth7\nserial /dev/null\nserial /dev/ttyUSB77";
        let (pair, output) = start_with(kinds, media, taken);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let without = "beginning without this medium, trying again";
        for why in [
            "mcast eth0: cannot bind",
            "interface eth7 does not exist",
            "serial /dev/null: cannot open it",
            "serial /dev/ttyUSB77: cannot open it",
        ] {
            let log = pair.lab.log("node1");
            let said = log
                .lines()
                .any(|line| line.contains(why) && line.contains(without));
            assert!(said, "{why}: {log}");
        }
        let systole = pair.program(pair.kind("node1"), "systole");
        let status = || {
            pair.lab
                .sh("node1", &format!("{} status", systole.display()))
        };
        for why in [
            "NOT OPEN: mcast eth0: cannot bind",
            "NOT OPEN: interface eth7 does not exist (trying again)",
            "NOT OPEN: serial /dev/null: cannot open it",
            "NOT OPEN: serial /dev/ttyUSB77: cannot open it",
        ] {
            wait_until(LONG, why, || status().contains(why));
        }
        assert_eq!(medium(&pair, "node1", "eth7", "bcast")["open"], false);
        assert_eq!(medium(&pair, "node1", "eth0", "bcast")["open"], true);
        pair.lab.sh("node1", "kill $(cat /run/taken)");
        pair.wait_log(
            "node1",
            "UDP multicast heartbeat started for group 239.0.0.42",
        );
        assert_eq!(medium(&pair, "node1", "eth0", "mcast")["open"], true);
        let settings = pair.lab.dir("node2").join("ha.d/systole.toml");
        std::fs::write(settings, "media_required = \"all\"\n").expect("written");
        let daemon = pair.daemon("node2");
        let output = pair.lab.exec("node2", &["setsid", &daemon]);
        assert_eq!(output.status.code(), Some(6), "{output:?}");
    });
}

/// A serial cable that is looped, and a multicast whose own messages come back: neither shows anything about the way to the
/// other node, which is received on another medium.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_medium_that_only_brings_back_own_messages_does_not_count() {
    run("media::only_own_messages", OURS_OURS, |kinds| {
        const PORT: &str = "/run/ttyS0";
        let mut config = PairConfig::new(kinds).with_two_cables();
        config.media =
            format!("baud 19200\nserial {PORT}\nmcast eth0 239.0.0.42 694 1 1\nbcast eth1");
        config.times = "keepalive 500ms\nwarntime 1500ms\ndeadtime 3\ninitdead 10\n".into();
        let pair = Pair::new(config);
        let modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
        modem.loop_back(true);
        for node in NODES {
            // Those of the other node do not arrive.
            let (lab, number) = (&pair.lab, &Pair::peer(node)[4..]);
            let rule = format!("ip saddr 10.77.0.{number} udp dport 694");
            lab.command(&["block", lab.name(), node, "eth0", &rule]);
        }
        pair.start_settled();
        for node in NODES {
            pair.wait_log(node, &format!("our own messages come back on {PORT}"));
            wait_receives(&pair, node, PORT, "serial", "itself");
            wait_receives(&pair, node, "eth0", "mcast", "itself");
            wait_receives(&pair, node, "eth1", "bcast", "others");
            let peer = Pair::peer(node);
            for link in [PORT, "eth0"] {
                assert_eq!(pair.log_count(node, &format!("Link {peer}:{link} up.")), 0);
                pair.wait_log(node, &format!("node {peer} was never received on {link}"));
            }
            let systole = pair.program(pair.kind(node), "systole");
            let status = pair.lab.sh(node, &format!("{} status", systole.display()));
            assert_eq!(
                status.matches("NO, never (only own messages)").count(),
                2,
                "{status}"
            );
        }
        modem.loop_back(false);
        for node in NODES {
            let lab = &pair.lab;
            lab.command(&["block", lab.name(), node, "eth0", ""]);
            wait_receives(&pair, node, PORT, "serial", "others");
            wait_receives(&pair, node, "eth0", "mcast", "others");
        }
    });
}

/// Three media of one interface, which are one link. Each is cut in turn, and only that one counts no more.
#[test]
#[ignore = "lab: run by scripts/test"]
fn media_of_one_interface_are_told_apart() {
    run("media::told_apart", OURS_OURS, |kinds| {
        let mut config = PairConfig::new(kinds);
        let group = "239.0.0.42";
        config.media = format!("bcast eth0\nucast eth0 @PEER0@\nmcast eth0 {group} 694 1 0");
        let pair = Pair::new(config);
        pair.start_settled();
        let receives = |whom: [&str; 3]| {
            for (kind, whom) in ["bcast", "ucast", "mcast"].into_iter().zip(whom) {
                wait_receives(&pair, "node1", "eth0", kind, whom);
            }
        };
        receives(["others"; 3]);
        let block = |rule: &str| {
            let lab = &pair.lab;
            lab.command(&["block", lab.name(), "node1", "eth0", rule]);
        };
        block("ip saddr 10.77.0.2 ip daddr 10.77.0.1 udp dport 694");
        receives(["others", "nothing", "others"]);
        block(&format!(
            "ip saddr 10.77.0.2 ip daddr != {{ 10.77.0.1, {group} }} udp dport 694"
        ));
        receives(["itself", "others", "others"]);
        block(&format!("ip daddr {group} udp dport 694"));
        receives(["others", "others", "nothing"]);
        let systole = pair.program(pair.kind("node1"), "systole");
        let asked = |verb: &str| {
            let command = format!("{} {verb} || true", systole.display());
            pair.lab.sh("node1", &command)
        };
        // The three judge alike.
        let deaf = "node1 hears nobody on eth0 (mcast): nothing arrives";
        let check = asked("check");
        let expected = format!("SYSTOLE WARNING - {deaf} | ");
        assert!(check.starts_with(&expected), "{check}");
        let metrics = asked("metrics");
        for (kind, value) in [("bcast", 1), ("ucast", 1), ("mcast", 0)] {
            let line =
                format!("systole_medium_hears{{medium=\"eth0\",kinds=\"{kind}\"}} {value}\n");
            assert!(metrics.contains(&line), "{line}: {metrics}");
        }
        let status = asked("status");
        assert!(status.contains(&format!("WARNING: {deaf}\n")), "{status}");
        for (medium, hears) in [
            ("eth0 (bcast)", " yes "),
            ("eth0 (ucast)", " yes "),
            ("eth0 (mcast)", " NO (nothing arrives) "),
        ] {
            let mut lines = status.lines().filter(|line| line.contains(medium));
            assert!(lines.any(|line| line.contains(hears)), "{medium}: {status}");
        }
        assert_eq!(pair.log_count("node1", "Link node2:eth0 dead."), 0);
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn without_a_medium_that_opens_nothing_starts() {
    run("media::without_a_medium", OURS_OURS, |_| {
        fails("serial /dev/null", "", "serial /dev/null: cannot open it");
        let (pair, output) = start_with(OURS_OURS, "bcast lo", "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("on the loop-back interface"), "{said}");
        assert_eq!(pair.lab.sh("node1", "pgrep heartbeat"), "");
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn a_start_that_says_0_has_its_media_open() {
    run("media::a_start_that_says_0", OURS_OURS, |kinds| {
        let (pair, output) = start_with(kinds, "bcast eth0", "");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        // 694 in hexadecimal, as the kernel lists its sockets.
        let sockets = pair.lab.sh("node1", "cat /proc/net/udp");
        assert!(sockets.contains(":02B6 "), "{sockets}");
    });
}

/// The daemon has no descriptor left to look at its interfaces. The open media are not affected.
#[test]
#[ignore = "lab: run by scripts/test"]
fn without_a_descriptor_the_media_stay_open() {
    run("media::without_a_descriptor", OURS_OURS, |kinds| {
        let pair = Pair::new(PairConfig::new(kinds));
        pair.start_settled();
        let daemon = pid(&pair, "node1");
        let limit = |descriptors: u32| {
            let set = format!("prlimit --pid {daemon} --nofile={descriptors}:");
            assert_eq!(pair.lab.sh("node1", &set), "");
        };
        // Fewer than are open: each further one is refused.
        limit(3);
        // Several checks, and longer than the dead time.
        std::thread::sleep(std::time::Duration::from_secs(4));
        // A client of the daemon needs one.
        limit(1024);
        assert_eq!(pair.log_count("node1", "opening it again"), 0);
        for node in NODES {
            assert_eq!(pair.log_count(node, "is dead"), 0, "{}", pair.lab.log(node));
            pair.wait_holds(node, "local");
        }
    });
}
