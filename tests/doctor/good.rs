//! Pairs of which nothing is to be said.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Level, judge, lay, pair, shown};

const KEYS: &str = "auth 1\n1 sha1 a-shared-secret\n";
const SCRIPT: &str = "#!/bin/sh\n# start, stop, status\nexec /opt/service \"$@\"\n";

/// A pair as administrators have it.
struct Good {
    name: &'static str,
    nodes: [&'static str; 2],
    /// ha.cf and haresources of the first node; in those of the second `PEER` is the first one's address.
    ha_cf: String,
    haresources: String,
    /// Interfaces with the network of each.
    cards: &'static [(&'static str, &'static str)],
    /// Scripts and programs.
    programs: &'static [&'static str],
    devices: &'static [&'static str],
    /// Rules of which a finding at WARN is known and right.
    known: &'static [&'static str],
}

fn repository(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn field(
    name: &'static str,
    nodes: [&'static str; 2],
    cards: &'static [(&'static str, &'static str)],
    programs: &'static [&'static str],
    known: &'static [&'static str],
) -> Good {
    Good {
        name,
        nodes,
        ha_cf: repository(&format!("tests/vectors/field/{name}/ha.cf")),
        haresources: repository(&format!("tests/vectors/field/{name}/haresources")),
        cards,
        programs,
        devices: &["/dev/watchdog", "/dev/ttyS0"],
        known,
    }
}

const LAN: &[(&str, &str)] = &[("eth0", "10.0.0"), ("eth1", "192.168.7")];
const PLAIN: &str = "logfile /var/log/ha-log\nkeepalive 1\ndeadtime 10\nwarntime 5\ninitdead 60\nauto_failback on\nnode alpha beta\n";

fn ours(name: &'static str, media: &str, haresources: &str) -> Good {
    Good {
        name,
        nodes: ["alpha", "beta"],
        ha_cf: format!("{PLAIN}{media}"),
        haresources: haresources.to_owned(),
        cards: LAN,
        programs: &[
            "/etc/ha.d/resource.d/web",
            "/etc/init.d/smb",
            "/usr/libexec/heartbeat/ipfail",
        ],
        devices: &["/dev/ttyS0", "/dev/watchdog"],
        known: &[],
    }
}

fn all() -> Vec<Good> {
    let example = Good {
        name: "the example of the package",
        nodes: ["alpha", "beta"],
        ha_cf: repository("conf/examples/ha.cf").replace("192.0.2.2", "PEER"),
        haresources: repository("conf/examples/haresources"),
        cards: &[("eth0", "192.0.2"), ("eth1", "192.168.7")],
        programs: &["/etc/init.d/apache"],
        devices: &[],
        known: &[],
    };
    vec![
        example,
        field(
            "bcast-ipfail-mysql",
            ["node1", "node2"],
            &[("eth0", "192.168.0"), ("eth1", "10.10.10")],
            &[
                "/etc/init.d/mysqld",
                "/usr/local/heartbeat/lib64/heartbeat/ipfail",
            ],
            &["D15"],
        ),
        field(
            "mcast-compression",
            ["web1.chinasoft.com", "web2.chinasoft.com"],
            &[("eth0", "192.168.8")],
            &["/etc/init.d/httpd"],
            &["D27", "D32"],
        ),
        field(
            "mcast-httpd",
            ["master-db", "slave-db"],
            &[("eth1", "172.16.1")],
            &["/etc/init.d/httpd"],
            &[],
        ),
        field(
            "subsecond-drbd",
            ["prmdbrw01", "prmdbbk01"],
            &[("eth2", "192.168.33"), ("eth3", "10.1.1")],
            &[
                "/etc/init.d/mysql",
                "/etc/ha.d/resource.d/mysql_umount",
                "/usr/lib64/heartbeat/ipfail",
            ],
            &["D15"],
        ),
        field(
            "serial-bcast-ccm",
            ["linuxha1.linux-ha.org", "linuxha2.linux-ha.org"],
            &[("eth0", "192.168.85"), ("eth1", "10.1.1")],
            &[
                "/etc/init.d/httpd",
                "/etc/init.d/smb",
                "/etc/ha.d/resource.d/maid",
                "/usr/lib/heartbeat/ccm",
                "/usr/lib/heartbeat/ipfail",
            ],
            &["D27"],
        ),
        ours("one medium", "bcast eth0\n", "alpha 10.0.0.100 web\n"),
        ours(
            "both media and ipfail",
            "bcast eth0 eth1\nping 10.0.0.254\nrespawn hacluster /usr/libexec/heartbeat/ipfail\n",
            "alpha 10.0.0.100/24/eth0 web\nbeta IPaddr2::10.0.0.101/24/eth0 smb\n",
        ),
        ours(
            "serial line and watchdog",
            "serial /dev/ttyS0\nucast eth0 PEER\nwatchdog /dev/watchdog\n",
            "beta web\n",
        ),
        ours(
            "multicast",
            "mcast eth0 239.0.0.43 694 1 0\nmcast eth1 239.0.0.44 695 1 0\nping_group g 10.0.0.254 10.0.0.253\n",
            "alpha IPaddr::10.0.0.100/24/eth0/10.0.0.255 \\\n  web\n",
        ),
        ours(
            "both own addresses",
            "ucast eth0 10.0.0.11\nucast eth0 10.0.0.12\nstonith_host alpha meatware beta\n",
            "alpha IPv6addr::fd00:1::5/64/eth0 web\n",
        ),
    ]
}

fn host(good: &Good, index: usize) -> Value {
    let cards = good.cards.iter().map(|(name, network)| {
        json!({"name": name, "addresses": [format!("{network}.{}/24", index + 11)]})
    });
    let mut cards: Vec<Value> = cards.collect();
    cards.push(json!({"name": "lo", "loopback": true, "addresses": ["127.0.0.1/8"]}));
    json!({
        "name": good.nodes[index], "cards": cards, "processes": [], "firewall": "",
        "devices": good.devices,
        "routes": [{"to": "0.0.0.0/0", "card": good.cards[0].0}],
    })
}

fn put(place: PathBuf, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, text).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn of_a_good_pair_nothing_is_said() {
    let mut wrong = String::new();
    let all = all();
    assert!(all.len() >= 10);
    for good in &all {
        let place = tempfile::tempdir().unwrap();
        for (index, name) in ["alpha", "beta"].into_iter().enumerate() {
            let root = place.path().join(name);
            let peer = format!("{}.{}", good.cards[0].1, 12 - index);
            let file = |path: &str, text: &str, mode| put(root.join(path), text, mode);
            file("etc/ha.d/ha.cf", &good.ha_cf.replace("PEER", &peer), 0o644);
            file("etc/ha.d/haresources", &good.haresources, 0o644);
            file("etc/ha.d/authkeys", KEYS, 0o600);
            file("etc/passwd", "hacluster:x:107:108::/:/bin/false\n", 0o644);
            file("etc/group", "haclient:x:108:\n", 0o644);
            file("var/log/ha-log", "", 0o644);
            file("host.json", &host(good, index).to_string(), 0o644);
            for directory in ["etc/init.d", "etc/ha.d/resource.d"] {
                fs::create_dir_all(root.join(directory)).unwrap();
            }
            for program in good.programs {
                file(program.trim_start_matches('/'), SCRIPT, 0o755);
            }
        }
        let mut report = judge(place.path());
        let known = |id: &str| good.known.contains(&id);
        for id in good.known {
            let found = report.findings.iter().any(|it| it.id == *id);
            assert!(found, "{}: {id} is listed", good.name);
        }
        let above_info = |level| level > Level::Info;
        report
            .findings
            .retain(|it| above_info(it.severity) && !known(&it.id));
        if !report.findings.is_empty() {
            wrong += &format!("{}: {}\n", good.name, shown(&report.findings));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What was not copied is not missing.
#[test]
fn three_bare_files_are_enough_and_cause_no_alarm() {
    let place = pair(None);
    let bare = place.path().join("bare");
    for name in ["alpha", "beta"] {
        let files = place.path().join(name).join("etc/ha.d");
        fs::remove_dir_all(files.join("resource.d")).unwrap();
        lay(&files, &bare.join(name));
    }
    let report = judge(&bare);
    assert!(report.findings.is_empty(), "{}", shown(&report.findings));
    assert_eq!(report.exit_code(), 0);
    assert!(report.for_people().contains("could not look at"));
}
