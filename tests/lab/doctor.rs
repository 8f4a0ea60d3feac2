//! The doctor and the everyday verbs of `systole` on real hosts.

use std::fs;

use serde_json::Value;

use super::host::{Lab, wait_until};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};
use super::{OURS_OURS, run};

const SYSTOLE: &str = env!("CARGO_BIN_EXE_systole");

/// A host with a good configuration, which each mistake starts from.
const GOOD: &str = r#"
cd /etc/ha.d && rm -rf ha.cf haresources authkeys resource.d && mkdir resource.d
cat >ha.cf <<'END'
logfile /var/log/ha-log
keepalive 1
warntime 5
deadtime 10
initdead 60
udpport 694
bcast eth0
bcast eth1
auto_failback off
node node1 node2
END
echo 'node1 10.77.0.100/24/eth0 web' >haresources
printf 'auth 1\n1 sha1 key\n' >authkeys; chmod 600 authkeys
printf '#!/bin/sh\n# status\n: status\n' >resource.d/web
for name in web2 Filesystem drbddisk; do cp resource.d/web resource.d/$name; done; chmod 755 resource.d/*
mkdir -p /etc/init.d; printf '#!/bin/sh\n### BEGIN INIT INFO\n# Provides: svc\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6\n### END INIT INFO\n: status\n' >/etc/init.d/svc; chmod 755 /etc/init.d/svc; rm -f /etc/rc?.d/*svc
rm -rf /etc/fstab /etc/needrestart /etc/network/interfaces /etc/drbd.conf /etc/systemd/network /etc/systemd/system/svc.service* \
  /etc/systemd/system/*.wants/svc.service
mkdir -p /etc/network /etc/needrestart/conf.d /etc/systemd/network /etc/systemd/system/multi-user.target.wants
sysctl -qw net.ipv4.conf.eth0.proxy_arp=0; : >/var/log/ha-log
if [ -e /run/networkd.pid ]; then kill "$(cat /run/networkd.pid)"; rm /run/networkd.pid; fi
"#;

/// Mistakes, in `/etc/ha.d`, and the rule that finds each.
const MISTAKES: &[(&str, &str)] = &[
    ("D01", "chmod 644 authkeys"),
    ("D04", "printf 'auth 1\\n1 crc\\n' >authkeys"),
    ("D08", "echo 'node1 10.77.0.100/24/eth0 web2' >>haresources"),
    ("D09", "sed -i 's/^node1/node11/' haresources"),
    ("D10", "chmod 644 resource.d/web"),
    ("D14", "sed -i /udpport/d ha.cf; echo 'udpport 695' >>ha.cf"),
    (
        "D20",
        "sed -i s/web/svc/ haresources; printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' \
         >/etc/systemd/system/svc.service; ln -s ../svc.service /etc/systemd/system/multi-user.target.wants/svc.service",
    ),
    (
        "D21",
        "sed -i s/web/svc/ haresources; printf '[Service]\\nExecStart=/bin/true\\nRestart=always\\n' >/etc/systemd/system/svc.service",
    ),
    (
        "D22",
        "sed -i 's#web#Filesystem::/dev/sdx1::/srv::ext4#' haresources; echo '/dev/sdx1 /srv ext4 defaults 0 2' >/etc/fstab",
    ),
    (
        "D23",
        "printf '[Match]\\nName=eth0\\n' >/etc/systemd/network/lan.network; cp /bin/sleep /run/systemd-networkd; \
         /run/systemd-networkd 60 >/dev/null 2>&1 & echo $! >/run/networkd.pid; sleep 0.2",
    ),
    (
        "D24",
        "echo \"\\$nrconf{restart} = 'a';\" >/etc/needrestart/needrestart.conf",
    ),
    ("D25", "sed -i 's/bcast eth1/bcast eth7/' ha.cf"),
    (
        "D26",
        "printf 'iface eth0:1 inet static\\n  address 10.77.0.100/24\\n' >/etc/network/interfaces",
    ),
    ("D27", "sed -i 's#/24/#/32/#' haresources"),
    ("D29", "sysctl -qw net.ipv4.conf.eth0.proxy_arp=1"),
    (
        "D31",
        "echo 'node1 heartbeat: [7]: WARN: Late heartbeat: Node node2: interval 8700 ms' >/var/log/ha-log",
    ),
    ("D32", "sed -i 's/warntime 5/warntime 15/' ha.cf"),
    ("D34", "sed -i 's/$/\\r/' haresources"),
    ("D35", "echo 'crm respawn' >>ha.cf"),
    ("D36", "sed -i /auto_failback/d ha.cf"),
    ("D39", "echo 'respawn nosuchuser /bin/true' >>ha.cf"),
    (
        "D40",
        "sed -i s#/var/log/ha-log#/var/log/nowhere/ha-log# ha.cf",
    ),
    (
        "D41",
        "sed -i 's/10/drbddisk::r0 10/' haresources; echo ' outdate-peer \"/usr/lib/heartbeat/drbd-peer-outdater\";' >/etc/drbd.conf",
    ),
    ("D42", "echo 'node1 web 10.77.0.100/24/eth0' >haresources"),
    (
        "D49",
        "sed -i 's/bcast eth1/mcast eth1 225.0.0.1 694 0 0/' ha.cf",
    ),
    (
        "D54",
        "printf 'node1 10.77.0.100/24/eth0 \\\\ \\nnode2 web\\n' >haresources",
    ),
];

fn findings(lab: &Lab) -> Vec<Value> {
    let said = lab.sh("node1", &format!("{SYSTOLE} doctor --json"));
    let report: Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    report["findings"].as_array().expect("a list").clone()
}

/// Each mistake on a real host is found by its rule alone, and the line that fixes it is carried out word by word.
#[test]
#[ignore = "lab: run by scripts/test"]
fn what_the_doctor_finds_its_own_line_fixes() {
    run("doctor::fixes", OURS_OURS, |_| {
        let lab = Lab::up(&["node1", "node2"], 2);
        lab.private("node1");
        let mut wrong = Vec::new();
        for (rule, mistake) in MISTAKES {
            lab.sh("node1", GOOD);
            let before = findings(&lab);
            assert!(before.is_empty(), "{rule}: {before:#?}");
            lab.sh("node1", &format!("cd /etc/ha.d; {mistake}"));
            let found = findings(&lab);
            let ids: Vec<&str> = found.iter().filter_map(|it| it["id"].as_str()).collect();
            if ids.is_empty() || ids.iter().any(|id| id != rule) {
                wrong.push(format!("{rule}: found {found:#?}"));
                continue;
            }
            for finding in &found {
                let fix = finding["fix"].as_str().expect("a fix");
                lab.sh("node1", fix);
            }
            let after = findings(&lab);
            if !after.is_empty() {
                wrong.push(format!("{rule}: after the fix {after:#?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(MISTAKES.len() >= 20);
    });
}

/// Five seconds after a start one line with counts, and one WARN line for each ERROR.
#[test]
#[ignore = "lab: run by scripts/test"]
fn a_start_is_followed_by_one_look() {
    run("doctor::start", OURS_OURS, |kinds| {
        let pair = Pair::new(PairConfig::new(kinds));
        let place = pair.lab.dir("node2").join("ha.d/haresources");
        let good = fs::read_to_string(&place).expect("haresources");
        fs::write(
            &place,
            format!("{good}node2 10.77.0.177/24/eth0 nosuchscript\n"),
        )
        .expect("written");
        pair.start_both();
        for (node, text) in [
            ("node1", "doctor: 0 errors, "),
            ("node2", "doctor: 1 error, "),
            (
                "node2",
                "doctor found ERROR D10 /etc/ha.d/haresources:2 nosuchscript",
            ),
        ] {
            pair.wait_log(node, text);
        }
        assert_eq!(pair.log_count("node1", "doctor found"), 0);
        assert_eq!(pair.log_count("node2", "doctor found"), 1);
        // And once more after a reload.
        fs::write(&place, good).expect("written");
        let said = pair.lab.sh(
            "node2",
            &format!("sleep 1; touch /etc/ha.d/ha.cf; {SYSTOLE} reload --wait"),
        );
        assert_eq!(said, "done: the daemon works with the files\n");
        pair.wait_log("node2", "doctor: 0 errors, ");
    });
}

/// Each verb says what happened, and its exit code tells the same.
#[test]
#[ignore = "lab: run by scripts/test"]
fn the_everyday_verbs_say_what_happened() {
    run("doctor::verbs", OURS_OURS, |kinds| {
        let pair = Pair::new(PairConfig::new(kinds).with_failback("off"));
        let systole = |node: &str, words: &str| {
            let call = format!("{SYSTOLE} {words} 2>&1; echo \"code $?\"");
            pair.lab.sh(node, &call)
        };
        let unknown = systole("node1", "check");
        assert!(
            unknown.starts_with("SYSTOLE UNKNOWN - ") && unknown.ends_with("code 3\n"),
            "{unknown}"
        );
        for words in ["standby", "takeover", "reload"] {
            assert!(systole("node1", words).ends_with("code 3\n"), "{words}");
        }
        pair.start_settled();
        let fine = systole("node1", "check");
        assert!(
            fine.starts_with("SYSTOLE OK - node1 is active, ") && fine.ends_with("code 0\n"),
            "{fine}"
        );
        assert!(
            fine.contains(" | groups=1 groups_running=1 groups_failed=0 peers=1 peers_active=1 "),
            "{fine}"
        );
        assert_eq!(
            systole("node1", "standby --wait"),
            "done: node1 holds none now\ncode 0\n"
        );
        assert_eq!(pair.owners(ADDRESS_1), ["node2"]);
        assert_eq!(
            systole("node1", "standby"),
            "nothing to give: node1 holds none already\ncode 0\n"
        );
        assert_eq!(
            systole("node1", "takeover --wait"),
            "done: node1 holds all now\ncode 0\n"
        );
        assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
        assert!(systole("node1", "freeze").ends_with("code 0\n"));
        let refused = systole("node1", "standby --wait");
        assert_eq!(
            refused,
            "systole standby: refused: this node is frozen (systole thaw)\ncode 1\n"
        );
        let frozen = systole("node1", "check");
        assert!(
            frozen.starts_with("SYSTOLE WARNING - FROZEN: ") && frozen.ends_with("code 1\n"),
            "{frozen}"
        );
        assert!(systole("node1", "thaw").ends_with("code 0\n"));
        let same = systole("node1", "reload");
        assert_eq!(
            same,
            "nothing has changed since the files were read\ncode 0\n"
        );
        let place = pair.lab.dir("node1").join("ha.d/ha.cf");
        let good = fs::read_to_string(&place).expect("ha.cf");
        fs::write(&place, format!("{good}deadtme 3\n")).expect("written");
        let refused = systole("node1", "reload --wait");
        assert!(
            refused.contains("deadtme") && refused.ends_with("nothing was changed\ncode 1\n"),
            "{refused}"
        );
        fs::write(&place, format!("{good}# a comment\n")).expect("written");
        let done = systole("node1", "reload --wait");
        assert_eq!(done, "done: the daemon works with the files\ncode 0\n");
        // A node that leaves in order has not failed, at once and after its dead time.
        pair.stop("node2");
        let left = "SYSTOLE WARNING - no standby: node2 has left in order | ";
        wait_until(LONG, "node2 has left", || {
            systole("node1", "check").starts_with(left)
        });
        pair.wait_log("node1", "node node2: is dead");
        let check = systole("node1", "check");
        assert!(
            check.starts_with(left) && check.ends_with("code 1\n"),
            "{check}"
        );
        pair.start("node2");
        wait_until(LONG, "all is well again", || {
            systole("node1", "check").starts_with("SYSTOLE OK - ")
        });
        pair.lab.power_off("node2");
        wait_until(LONG, "node2 is dead", || {
            systole("node1", "check").starts_with("SYSTOLE WARNING - no standby: node2 is dead")
        });
        let alone = systole("node1", "standby --wait");
        assert_eq!(
            alone,
            "systole standby: refused: no other node is active\ncode 1\n"
        );
    });
}
