//! Success only when the media are open.

use std::process::Output;

use super::death::pid;
use super::host::{Kind, wait_until};
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
        pair.lab.sh("node1", "kill $(cat /run/taken)");
        pair.wait_log(
            "node1",
            "UDP multicast heartbeat started for group 239.0.0.42",
        );
        let settings = pair.lab.dir("node2").join("ha.d/systole.toml");
        std::fs::write(settings, "media_required = \"all\"\n").expect("written");
        let daemon = pair.daemon("node2");
        let output = pair.lab.exec("node2", &["setsid", &daemon]);
        assert_eq!(output.status.code(), Some(6), "{output:?}");
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn without_a_medium_that_opens_nothing_starts() {
    run("media::without_a_medium", OURS_OURS, |_| {
        fails("serial /dev/null", "", "serial /dev/null: cannot open it");
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
