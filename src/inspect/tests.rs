//! Each row of the table finds its mistake and names the line; a good pair of files has no
//! findings.

mod damaged;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::*;
use crate::config::environment::{Environment, FileText, InterfaceProblem, PathKind};
use crate::net::placement::{Assigned, Interface, Route};
use crate::notice::Severity;

/// A host `alpha`, 10.0.0.1/24 on eth0; eth1 is down. User `hacluster` is number 7 and in group 8.
struct Host {
    files: BTreeMap<PathBuf, FileText>,
}

const GOOD: &str = "logfile /var/log/ha-log\nkeepalive 1\ndeadtime 10\ninitdead 20\nauto_failback on\n\
    node alpha beta\nbcast eth0\n";

impl Host {
    fn new(ha_cf: &str, haresources: &str, settings: &str) -> Self {
        let paths = Paths::default();
        let mut host = Self {
            files: BTreeMap::new(),
        };
        host.put(paths.ha_cf(), ha_cf, 0o644);
        host.put(paths.haresources(), haresources, 0o644);
        host.put(paths.authkeys(), "auth 1\n1 sha1 key\n", 0o600);
        host.put(paths.settings.clone(), settings, 0o644);
        for script in ["resource.d/web", "resource.d/OCF", "resource.d/systemd"] {
            host.put(paths.ha_dir.join(script), "#!/bin/sh\n", 0o755);
        }
        host.put(paths.ha_dir.join("resource.d/idle"), "#!/bin/sh\n", 0o644);
        host.put(paths.init_dir.join("apache2"), "#!/bin/sh\n", 0o755);
        host.put(paths.init_dir.join("smb"), "#!/bin/sh\n", 0o755);
        host.put(paths.ocf_agents.join("mysql"), "#!/bin/sh\n", 0o755);
        host.put(paths.ha_dir.join("conf/OCF/Dummy/there"), "", 0o644);
        for program in ["/usr/libexec/heartbeat/ipfail", "/opt/ipfail"] {
            host.put(program.into(), "", 0o755);
        }
        host
    }

    fn put(&mut self, path: PathBuf, text: &str, mode: u32) {
        let bytes = text.as_bytes().to_vec();
        self.files.insert(
            path,
            FileText {
                bytes,
                mode,
                owner: 0,
            },
        );
    }

    fn load(&self, purpose: Purpose) -> Result<Loaded, Box<ConfigFailure>> {
        let options = LoadOptions {
            purpose,
            ..LoadOptions::default()
        };
        load(&Paths::default(), self, &options)
    }
}

impl Environment for Host {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        let file = self.files.get(path).cloned();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn host_name(&self) -> String {
        "alpha".to_owned()
    }
    fn effective_uid(&self) -> u32 {
        0
    }
    fn has_interface(&self, name: &str) -> bool {
        matches!(name, "lo" | "eth0" | "eth1")
    }
    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem> {
        let there = self.has_interface(name);
        there.then_some(()).ok_or(InterfaceProblem::Missing)
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let address = host.parse().map_err(|_| "unknown".to_owned())?;
        Ok(vec![address])
    }
    fn user_id(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "hacluster" => Some(7),
            _ => None,
        }
    }
    fn group_id(&self, name: &str) -> Option<u32> {
        (name == "haclient").then_some(8)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
    fn path_kind(&self, path: &Path) -> PathKind {
        match path.to_str() {
            Some("/dev/ttyS0") => PathKind::CharDevice,
            Some("/var/log" | "/dev") => PathKind::Other,
            _ if self.files.contains_key(path) => PathKind::Other,
            _ => PathKind::Missing,
        }
    }
    fn is_executable(&self, path: &Path) -> bool {
        let file = self.files.get(path);
        file.is_some_and(|file| file.mode & 0o111 != 0)
    }
    fn udp_service_port(&self, _: &str) -> Option<u16> {
        None
    }
    fn udp_service_name(&self, _: u16) -> Option<String> {
        None
    }
    fn has_stonith_type(&self, _: &str) -> bool {
        true
    }
    fn has_logd(&self) -> bool {
        false
    }
    fn core_pattern(&self) -> String {
        "core".to_owned()
    }
    fn core_uses_pid(&self) -> bool {
        false
    }
}

impl HostView for Host {
    fn network(&self, _: &[IpAddr]) -> Option<Network> {
        let interface = |index, name: &str, up| Interface {
            index,
            name: name.to_owned(),
            up,
            carrier: true,
            loopback: name == "lo",
            no_arp: false,
            mac: None,
        };
        Some(Network {
            interfaces: vec![
                interface(1, "lo", true),
                interface(2, "eth0", true),
                interface(3, "eth1", false),
            ],
            assigned: [(1, false), (200, true)]
                .map(|(last, secondary)| Assigned {
                    index: 2,
                    address: IpAddr::from([10, 0, 0, last]),
                    prefix: 24,
                    label: Some("eth0".to_owned()),
                    secondary,
                    unusable: false,
                    message: Default::default(),
                })
                .to_vec(),
            routes: vec![Route {
                destination: IpAddr::from([10, 0, 0, 0]),
                prefix: 24,
                index: 2,
                metric: 0,
                dead: false,
            }],
        })
    }
    fn primary_group(&self, user: &str) -> Option<u32> {
        (user == "hacluster").then_some(8)
    }
    fn own_addresses(&self, _: &Paths, _: &Config, text: &str) -> (Vec<Finding>, Vec<Finding>) {
        let found = |address: &str| {
            let finding = Finding::new("/etc/ha.d/haresources:1", format!("{address}: own"));
            text.contains(address)
                .then_some(finding)
                .into_iter()
                .collect()
        };
        (found("10.0.0.66"), found("10.0.0.77"))
    }
    fn started_at_boot(&self, name: &str) -> Option<PathBuf> {
        (name == "apache2").then(|| PathBuf::from("/etc/rc2.d/S01apache2"))
    }
}

/// Lines of `-t` above INFO, as `LEVEL: text`.
fn loud(lines: &[crate::notice::Notice]) -> Vec<String> {
    let loud = lines.iter().filter(|it| it.severity() >= Severity::Warn);
    loud.map(|line| format!("{}: {line}", line.severity().word()))
        .collect()
}

fn check(ha_cf: &str, haresources: &str, settings: &str) -> Vec<String> {
    match Host::new(ha_cf, haresources, settings).load(Purpose::Check) {
        Ok(loaded) => loud(&loaded.config.remarks),
        Err(failure) => {
            assert_eq!(failure.exit_code, 6);
            loud(&failure.lines)
        }
    }
}

#[test]
fn the_documented_table_is_the_code() {
    let page = include_str!("../../docs/reference/checks.md");
    assert!(
        page.contains(&table()),
        "docs/reference/checks.md must hold:\n{}",
        table()
    );
}

#[test]
fn a_good_pair_of_files_costs_no_line() {
    for haresources in [
        "alpha 10.0.0.100 web\nbeta IPaddr2::10.0.0.101/24/eth0:web web::b\n",
        "alpha IPv6addr::fd00::1/64/eth0 smb \\\n  OCF::Dummy::there\n",
    ] {
        assert_eq!(check(GOOD, haresources, ""), [""; 0], "{haresources}");
    }
    for lines in [
        "ping 10.0.0.254\nrespawn hacluster /usr/libexec/heartbeat/ipfail\n",
        "ping 10.0.0.254\napiauth ipfail gid=haclient\nrespawn hacluster /opt/ipfail\n",
        "udpport 694\n",
        "ucast eth0 10.0.0.1\nucast eth0 10.0.0.2\n",
        "mcast eth0 225.0.0.1 694 1 0\nudpport 694\n",
        "serial /dev/ttyS0\nstonith_host beta meatware alpha\n",
        "warntime 5\ndebugfile /dev/null\n",
    ] {
        let found = check(&format!("{GOOD}{lines}"), "alpha 10.0.0.100\n", "");
        let found: Vec<_> = found
            .iter()
            .filter(|line| !line.contains("but without effect"))
            .collect();
        assert_eq!(found, [""; 0], "{lines}");
    }
}

/// Lines after [`GOOD`], and the output of `-t`.
const MISTAKES_OF_HA_CF: &[(&str, &str)] = &[
    (
        "node 10.0.0.7\n",
        "/etc/ha.d/ha.cf:8: node 10.0.0.7: this is an address",
    ),
    (
        "udpport 695\n",
        "/etc/ha.d/ha.cf:8: udpport 695 comes after the bcast line (/etc/ha.d/ha.cf:7), which uses port 694: move it up",
    ),
    (
        "mcast eth0 225.0.0.1 694 0 0\n",
        "/etc/ha.d/ha.cf:8: mcast: a ttl of 0 never leaves this host",
    ),
    (
        "mcast6 eth0 ff02::5 694 0 0\n",
        "/etc/ha.d/ha.cf:8: mcast6: a ttl of 0",
    ),
    (
        "ucast eth1 10.0.0.2\n",
        "/etc/ha.d/ha.cf:8: ucast eth1: the interface is down",
    ),
    (
        "ucast eth7 10.0.0.2\n",
        "/etc/ha.d/ha.cf:8: ucast eth7: no such interface (there are eth0, eth1)",
    ),
    (
        "ucast eth0 10.0.0.1\n",
        "/etc/ha.d/ha.cf:8: ucast eth0 10.0.0.1: this address is on this host",
    ),
    (
        "ucast eth0 10.0.0.2\nping 10.0.0.2\n",
        "/etc/ha.d/ha.cf:9: ping 10.0.0.2: 10.0.0.2 is an address of the other node",
    ),
    (
        "ping 10.0.0.1\n",
        "/etc/ha.d/ha.cf:8: ping 10.0.0.1: 10.0.0.1 is on this host",
    ),
    (
        "ping_group g 10.0.0.254 10.0.0.100\n",
        "/etc/ha.d/ha.cf:8: ping_group g: 10.0.0.100 is a service address",
    ),
    (
        "warntime 15\n",
        "/etc/ha.d/ha.cf:8: warntime: 15000 ms is not below deadtime (10000 ms)",
    ),
    (
        "auto_failback legacy\n",
        "/etc/ha.d/ha.cf:8: auto_failback legacy is obsolete",
    ),
    (
        "logfile /var/log/heartbeat/ha-log\n",
        "/etc/ha.d/ha.cf:8: logfile: the directory /var/log/heartbeat does not exist",
    ),
    (
        "debugfile /nowhere/debug\n",
        "/etc/ha.d/ha.cf:8: debugfile: the directory /nowhere does not exist",
    ),
    (
        "respawn hacluster /opt/ipfail\n",
        "/etc/ha.d/ha.cf:8: ipfail: ha.cf names no ping node",
    ),
    (
        "ping 10.0.0.254\nrespawn root /opt/ipfail\n",
        "/etc/ha.d/ha.cf:9: respawn: root may not sign on as ipfail without an apiauth line for it",
    ),
    (
        "apiauth ipfail uid=root\nping 10.0.0.254\nrespawn hacluster /opt/ipfail -v\n",
        "/etc/ha.d/ha.cf:10: respawn: hacluster may not sign on as ipfail by the apiauth line (/etc/ha.d/ha.cf:8)",
    ),
];

#[test]
fn each_mistake_of_ha_cf_is_one_warning_with_its_line() {
    for (lines, wanted) in MISTAKES_OF_HA_CF {
        let haresources = if lines.contains("node") {
            // The file contains two mistakes.
            "\n"
        } else {
            "alpha 10.0.0.100\n"
        };
        let mut found = check(&format!("{GOOD}{lines}"), haresources, "");
        found.retain(|line| !line.contains("no resource group"));
        assert_eq!(found.len(), 1, "{lines}: {found:#?}");
        let wanted = format!("WARN: {wanted}");
        assert!(found[0].starts_with(&wanted), "{lines}: {found:#?}");
    }
}

/// haresources, and the output of `-t`.
const MISTAKES_OF_HARESOURCES: &[(&str, &str)] = &[
    ("# nothing\n", "/etc/ha.d/haresources: no resource group"),
    (
        "\nalpha 10.0.0.100 nosuch::a\n",
        "/etc/ha.d/haresources:2: nosuch::a: no script nosuch in /etc/ha.d/resource.d or /etc/init.d",
    ),
    (
        "alpha idle\n",
        "/etc/ha.d/haresources:1: idle: /etc/ha.d/resource.d/idle is not executable: chmod 755",
    ),
    (
        "alpha IPaddr:10.0.0.100\n",
        "/etc/ha.d/haresources:1: IPaddr:10.0.0.100: one colon: script and argument are separated by two: IPaddr::10.0.0.100",
    ),
    (
        "alpha fd00:0::100/64\n",
        "/etc/ha.d/haresources:1: fd00:0::100/64: an IPv6 address is written IPv6addr::fd00:0::100/64",
    ),
    (
        "alpha fd00::100\n",
        "/etc/ha.d/haresources:1: fd00::100: an IPv6 address is written IPv6addr::fd00::100",
    ),
    (
        "alpha 10.0.0.256\n",
        "/etc/ha.d/haresources:1: 10.0.0.256: \"10.0.0.256\" is not an IP address",
    ),
    (
        "alpha 192.168.55.1\n",
        "/etc/ha.d/haresources:1: 192.168.55.1: no route leads to it: name an interface",
    ),
    (
        "alpha 10.0.0.100/24/eth9\n",
        "/etc/ha.d/haresources:1: 10.0.0.100/24/eth9: interface eth9 does not exist (there are eth0, eth1)",
    ),
    (
        "alpha 10.0.0.100 web\nbeta smb IPaddr::10.0.0.100\n",
        "/etc/ha.d/haresources:2: IPaddr::10.0.0.100: the address is in /etc/ha.d/haresources:1 as well",
    ),
    (
        "alpha OCF::Dummy::gone\n",
        "/etc/ha.d/haresources:1: OCF::Dummy::gone: /etc/ha.d/conf/OCF/Dummy/gone cannot be read",
    ),
    (
        "alpha OCF::Dummy\n",
        "/etc/ha.d/haresources:1: OCF::Dummy: the form is OCF::TYPE::INSTANCE",
    ),
    (
        "alpha apache2\n",
        "/etc/ha.d/haresources:1: apache2: /etc/rc2.d/S01apache2 starts it at boot, on the standby as well",
    ),
    (
        "alpha mysql::config=/etc/my.cnf systemd::apache2.service\n",
        "/etc/ha.d/haresources:1: systemd::apache2.service: /etc/rc2.d/S01apache2 starts it at boot, on the standby as well: systemctl disable apache2",
    ),
    (
        "alpha mysql::/etc/my.cnf systemd::nginx\n",
        "/etc/ha.d/haresources:1: mysql: /usr/lib/ocf/resource.d/heartbeat/mysql is an OCF agent, and its parameters are written name=value: /etc/my.cnf",
    ),
    (
        "alpha 10.0.0.100\nbeta 10.0.0.100 web\n",
        "/etc/ha.d/haresources:2: 10.0.0.100 already is the first resource of a line of alpha; this line is not used",
    ),
    (
        "alpha\nbeta 10.0.0.100 web\n",
        "/etc/ha.d/haresources:1: no resource behind node alpha",
    ),
];

#[test]
fn each_mistake_of_haresources_is_one_warning_with_its_line() {
    for (haresources, wanted) in MISTAKES_OF_HARESOURCES {
        let found = check(GOOD, haresources, "");
        assert_eq!(found.len(), 1, "{haresources}: {found:#?}");
        let wanted = format!("WARN: {wanted}");
        assert!(found[0].starts_with(&wanted), "{haresources}: {found:#?}");
    }
    let pinged = format!("{GOOD}ping 10.0.0.254\n");
    let found = check(&pinged, "alpha 10.0.0.100\n10.0.0.254 web\n", "");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("haresources:2: 10.0.0.254 is a ping node"));
}

#[test]
fn a_backslash_with_blanks_behind_it_is_blamed_not_the_next_line() {
    let found = check(GOOD, "alpha 10.0.0.100 \\ \n  web\n", "");
    let wanted = "ERROR: Bad nodename in /etc/ha.d//haresources [web] \
                  (/etc/ha.d/haresources:1: blanks behind the backslash: the line does not continue)";
    assert_eq!(found[0], wanted);
    // Where the next line could begin a group, the file is accepted, as by legacy.
    let found = check(GOOD, "alpha 10.0.0.100 \\\t\nbeta web\n", "");
    assert!(
        found[0].starts_with("WARN: /etc/ha.d/haresources:1: blanks behind the backslash"),
        "{found:#?}"
    );
}

#[test]
fn a_byte_order_mark_is_named() {
    for (ha_cf, haresources) in [
        (format!("\u{feff}{GOOD}"), "alpha 10.0.0.100\n".to_owned()),
        (GOOD.to_owned(), "\u{feff}alpha 10.0.0.100\n".to_owned()),
    ] {
        let found = check(&ha_cf, &haresources, "");
        assert!(found[0].contains("byte order mark"), "{found:#?}");
    }
    let mut host = Host::new(GOOD, "alpha 10.0.0.100\n", "");
    host.put(
        Paths::default().authkeys(),
        "\u{feff}auth 1\n1 crc\n",
        0o600,
    );
    let failure = host.load(Purpose::Check).expect_err("refused");
    assert!(failure.lines[0].to_string().contains("byte order mark"));
}

#[test]
fn core_files_are_a_matter_for_those_who_ask_for_them() {
    let found = |line: &str| check(&format!("{GOOD}{line}\n"), "alpha 10.0.0.100\n", "");
    assert!(found("coredumps on")[0].contains("Core dumps could be lost"));
    let off = found("coredumps off");
    assert!(
        !off.iter().any(|line| line.contains("Core dumps")),
        "{off:#?}"
    );
}

#[test]
fn requirements_of_ipfail_apply_to_the_built_in_one_too() {
    let found = check(
        GOOD,
        "alpha web\n",
        "ipfail = \"on\"\nisolation_release = \"on\"\n",
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("WARN: /etc/ha.d/systole.toml: ipfail = \"on\": ha.cf names no"));
    let legacy = GOOD.replace("auto_failback on\n", "") + "ping 10.0.0.254\n";
    let found = check(&legacy, "alpha web\n", "ipfail = \"on\"\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("WARN: /etc/ha.d/ha.cf: auto_failback: no line"));
    assert!(found[1].contains("does not work with auto_failback legacy"));
}

#[test]
fn a_lease_that_is_not_given_is_one_warning() {
    let lease = |haresources: &str, settings: &str| check(GOOD, haresources, settings);
    let service = "alpha 10.0.0.100 web\n";
    assert_eq!(lease(service, "address_lease = \"auto\"\n"), [""; 0]);
    assert_eq!(lease(service, "address_lease = 9\n"), [""; 0]);
    let one = |haresources: &str, settings: &str, wanted: &str| {
        let found = lease(haresources, settings);
        assert_eq!(found.len(), 1, "{settings}: {found:#?}");
        assert!(found[0].starts_with(wanted), "{settings}: {found:#?}");
    };
    let none = "WARN: /etc/ha.d/systole.toml: address_lease: service addresses get no lease: ";
    let long =
        format!("{none}a lease of 10 s does not fit keepalive 1000 ms and deadtime 10000 ms");
    one(service, "address_lease = 10\n", &long);
    let unguarded = format!("{none}address_guard is neither");
    let settings = "address_lease = \"auto\"\naddress_guard = \"report\"\n";
    one(service, settings, &unguarded);
    let settings = "address_lease = \"auto\"\nnative_addresses = \"never\"\n";
    let found = lease("alpha 10.0.0.100\n", settings);
    let by_script = "10.0.0.100: its script handles it, so it gets no lease";
    assert!(
        found.iter().any(|line| line.contains(by_script)),
        "{found:#?}"
    );
    // The first of its network on this host, with another address that would go with it.
    let auto = "address_lease = \"auto\"\n";
    let first = "WARN: /etc/ha.d/haresources:1: 10.0.0.1: the address is the first of its network /24 on this host, and \
                 the kernel would remove 10.0.0.200";
    one("alpha 10.0.0.1\n", auto, first);
    assert_eq!(
        lease("alpha 10.0.0.1 10.0.0.200\n", auto),
        [""; 0],
        "it goes too"
    );
    let mut promotes = Host::new(GOOD, "alpha 10.0.0.1\n", auto);
    let path = "/proc/sys/net/ipv4/conf/all/promote_secondaries";
    promotes.put(path.into(), "1\n", 0o644);
    let loaded = promotes.load(Purpose::Check).expect("good");
    assert_eq!(loud(&loaded.config.remarks), [""; 0]);
}

#[test]
fn a_file_with_fencing_is_accepted() {
    for line in [
        "stonith meatware /etc/ha.d/ha.cf",
        "stonith_host * meatware beta",
        "stonith_host ALPHA null beta",
    ] {
        let ha_cf = format!("{GOOD}{line}\n");
        assert_eq!(check(&ha_cf, "alpha 10.0.0.100\n", ""), [""; 0], "{line}");
    }
}

/// A name that is wrong by a letter: the node would be taken over without a reset.
#[test]
fn a_device_that_reaches_no_other_node_is_said() {
    let with = |line: &str, settings: &str| {
        let ha_cf = format!("{GOOD}{line}\n");
        check(&ha_cf, "alpha 10.0.0.100\n", settings)
    };
    let agent = "stonith_host * fence_x ip=10.0.0.9";
    for fine in ["hosts=beta:3", "hosts=ALPHA:1,Beta:2"] {
        assert_eq!(with(&format!("{agent} {fine}"), ""), [""; 0], "{fine}");
    }
    let found = with(&format!("{agent} hosts=alpha:3,bteta:4"), "");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("fence_x: hosts names bteta, and no node line does"),
        "{found:#?}"
    );
    assert!(found[1].contains("no device resets beta"), "{found:#?}");
    // Another device may reach it.
    let found = with(
        &format!("{agent} hosts=alpha:3\nstonith_host * meatware beta"),
        "",
    );
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_watchdog_that_is_counted_on_and_not_there_is_said() {
    let check = |line: &str, settings: &str| {
        let ha_cf = format!("{GOOD}{line}");
        let found = check(&ha_cf, "alpha 10.0.0.100\n", settings);
        found
            .into_iter()
            .filter(|line| {
                line.contains("fence_by_watchdog:") || line.contains("watchdog_required:")
            })
            .count()
    };
    let watchdog = "watchdog /dev/watchdog\n";
    let isolation = "isolation_release = \"on\"\n";
    let by = "fence_by_watchdog = 60\n";
    assert_eq!(check("", by), 2);
    assert_eq!(check(watchdog, by), 1);
    assert_eq!(check(watchdog, &format!("{by}{isolation}")), 0);
    assert_eq!(check("", "watchdog_required = \"on\"\n"), 1);
    assert_eq!(check(watchdog, "watchdog_required = \"on\"\n"), 0);
}

#[test]
fn a_serial_line_alone_is_a_medium_if_it_is_fast_enough() {
    let ha_cf = GOOD.replace("bcast eth0", "serial /dev/ttyS0");
    assert_eq!(
        check(&ha_cf, "alpha 10.0.0.100\n", ""),
        Vec::<String>::new()
    );
    let fast = ha_cf.replace("keepalive 1", "baud 9600\nkeepalive 250ms");
    assert_ne!(fast, ha_cf);
    let found = check(&fast, "alpha 10.0.0.100\n", "");
    let wanted = "ERROR: /etc/ha.d/ha.cf:8: serial: a heartbeat has 245 bytes of 10 bits and takes \
                  255 ms at 9600 baud, and keepalive is 250 ms";
    assert!(found.iter().any(|l| l.starts_with(wanted)), "{found:#?}");
    let faster = fast.replace("9600", "19200");
    assert_eq!(
        check(&faster, "alpha 10.0.0.100\n", ""),
        Vec::<String>::new()
    );
    // Beside another medium, which carries each heartbeat, a file that started so far starts.
    let beside = GOOD.replace("keepalive 1", "baud 9600\nkeepalive 250ms");
    let beside = beside.replace("bcast eth0", "bcast eth0\nserial /dev/ttyS0");
    let found = check(&beside, "alpha 10.0.0.100\n", "");
    assert!(
        !found.iter().any(|line| line.starts_with("ERROR")),
        "{found:#?}"
    );
    let slow = found
        .iter()
        .any(|line| line.starts_with("WARN") && line.contains("255 ms"));
    assert!(slow, "{found:#?}");
}

/// Beside a medium that can be opened another one is opened when its interface or device is there.
#[test]
fn a_medium_that_is_not_there_is_refused_only_alone() {
    let all = "media_required = \"all\"\n";
    for (line, refusal, warning) in [
        (
            "bcast eth7",
            "Illegal bcast",
            "bcast eth7: no such interface",
        ),
        (
            "mcast eth7 239.0.0.1 694 1 0",
            "mcast device [eth7]",
            "mcast eth7: no such interface",
        ),
        (
            "serial /dev/ttyS77",
            "Nonexistent serial port",
            "serial /dev/ttyS77: no such device",
        ),
    ] {
        let alone = GOOD.replace("bcast eth0", line);
        let beside = format!("{GOOD}{line}\n");
        for (ha_cf, settings) in [(&alone, ""), (&alone, all), (&beside, all)] {
            let found = check(ha_cf, "alpha 10.0.0.100\n", settings);
            let refused = |l: &String| l.starts_with("ERROR: ") && l.contains(refusal);
            assert!(found.iter().any(refused), "{line}: {found:#?}");
        }
        let found = check(&beside, "alpha 10.0.0.100\n", "");
        assert_eq!(found.len(), 1, "{found:#?}");
        let wanted = format!("WARN: /etc/ha.d/ha.cf:8: {warning}");
        assert!(found[0].starts_with(&wanted), "{found:#?}");
    }
}

#[test]
fn a_node_with_ping_nodes_alone_is_refused() {
    let ha_cf = GOOD.replace("bcast eth0", "ping 10.0.0.254");
    let found = check(&ha_cf, "alpha 10.0.0.100\n", "");
    let wanted = "ERROR: /etc/ha.d/ha.cf:7: no line names a medium between the nodes";
    assert!(found.iter().any(|l| l.starts_with(wanted)), "{found:#?}");
}

/// Where a node receives only itself it would take everything.
#[test]
fn media_on_the_loop_back_interface_alone_are_refused() {
    let wanted = "ERROR: /etc/ha.d/ha.cf:7: every medium is on the loop-back interface";
    let refused = |ha_cf: &str| {
        let found = check(ha_cf, "alpha 10.0.0.100\n", "");
        found.iter().any(|line| line.starts_with(wanted))
    };
    let all = GOOD.replace("bcast eth0", "bcast lo\nmcast lo 239.0.0.1 694 1 1");
    assert!(
        refused(&all),
        "{:#?}",
        check(&all, "alpha 10.0.0.100\n", "")
    );
    assert!(!refused(&format!("{GOOD}bcast lo\n")), "eth0 is beside it");
    assert!(
        !refused(&all.replace("node alpha beta", "node alpha")),
        "alone"
    );
}

/// A multicast that no wire carries, and an address of this host: as deaf as the loop-back interface, or as dumb.
#[test]
fn media_that_reach_this_host_alone_are_refused() {
    let wanted = "ERROR: /etc/ha.d/ha.cf:7: every medium reaches this host alone";
    let refused = |media: &str| {
        let ha_cf = GOOD.replace("bcast eth0", media);
        let found = check(&ha_cf, "alpha 10.0.0.100\n", "");
        let refused = found.iter().any(|line| line.starts_with(wanted));
        assert!(
            refused || !found.iter().any(|line| line.starts_with("ERROR")),
            "{found:#?}"
        );
        refused
    };
    for own in [
        "mcast eth0 239.0.0.1 694 0 0",
        "mcast6 eth0 ff02::5 694 0 0",
        "ucast eth0 10.0.0.1",
        "mcast eth0 239.0.0.1 694 0 1\nucast eth0 10.0.0.1\nbcast lo",
    ] {
        assert!(refused(own), "{own}");
        assert!(!refused(&format!("{own}\nserial /dev/ttyS0")), "{own}");
        assert!(!refused(&format!("{own}\nbcast eth0")), "{own}");
    }
    // BasicSanityCheck, on one host.
    let of_a_test = "mcast eth0 239.0.0.1 694 0 0\nstonith_host * null alpha beta";
    assert!(!refused(of_a_test));
    let found = check(
        &GOOD.replace("bcast eth0", of_a_test),
        "alpha 10.0.0.100\n",
        "",
    );
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("WARN: /etc/ha.d/ha.cf:7: every medium")),
        "{found:#?}"
    );
    assert!(refused(
        "mcast eth0 239.0.0.1 694 0 0\nstonith_host * meatware beta"
    ));
    assert!(refused(&format!(
        "{of_a_test}\nstonith_host * meatware beta"
    )));
    // The addresses of both nodes, in a file that is the same on both.
    assert!(!refused("ucast eth0 10.0.0.1\nucast eth0 10.0.0.2"));
}

#[test]
fn an_acceptance_that_is_not_needed_costs_one_info_line() {
    let settings = "accept_without = [\"stonith\", \"serial\"]\n";
    let host = Host::new(GOOD, "alpha 10.0.0.100\n", settings);
    let loaded = host.load(Purpose::Start).expect("accepted");
    let said: Vec<String> = loaded
        .config
        .remarks
        .iter()
        .filter(|line| line.to_string().contains("accept_without"))
        .map(|line| format!("{}: {line}", line.severity().word()))
        .collect();
    let wanted = ["stonith", "serial"].map(|word| {
        format!("info: /etc/ha.d/systole.toml: accept_without = [\"{word}\"] is not needed")
    });
    assert_eq!(said, wanted);
}

#[test]
fn groups_are_for_two_nodes_and_messages_for_any_number() {
    let ha_cf = format!("{GOOD}node gamma\n");
    let host = Host::new(&ha_cf, "alpha 10.0.0.100\n", "");
    for (purpose, code) in [
        (Purpose::Start, 6),
        (Purpose::Check, 6),
        (Purpose::Reload, 1),
    ] {
        let failure = host.load(purpose).expect_err("refused");
        let said = loud(&failure.lines);
        assert_eq!(failure.exit_code, code, "{purpose:?}");
        let wanted = "ERROR: /etc/ha.d/ha.cf:8: node: 3 nodes (alpha, beta, gamma): groups of";
        assert!(said.iter().any(|l| l.starts_with(wanted)), "{said:#?}");
        for word in ["Pacemaker", "-M"] {
            assert!(said.iter().any(|line| line.contains(word)), "{said:#?}");
        }
    }
    let options = LoadOptions {
        manage_resources: false,
        ..LoadOptions::default()
    };
    load(&Paths::default(), &host, &options).expect("a messaging layer");
    let host = Host::new(&ha_cf, "# none\n", "");
    host.load(Purpose::Start).expect("no group to lose");
}

#[test]
fn an_own_address_is_refused_at_a_start_and_left_alone_later() {
    let own = Host::new(GOOD, "alpha 10.0.0.66\n", "");
    let text = "ERROR: /etc/ha.d/haresources:1: 10.0.0.66: own";
    for purpose in [Purpose::Start, Purpose::Reload, Purpose::Check] {
        let failure = own.load(purpose).expect_err("refused");
        assert!(loud(&failure.lines).iter().any(|line| line == text));
    }
    own.load(Purpose::Resume).expect("what runs goes on");
    let doubtful = Host::new(GOOD, "alpha 10.0.0.77\n", "");
    for (purpose, wanted) in [
        (Purpose::Start, Some("ERROR")),
        (Purpose::Check, Some("WARN")),
        (Purpose::Resume, None),
    ] {
        let loaded = doubtful.load(purpose).expect("accepted");
        let said = loud(&loaded.config.remarks);
        let level = said.iter().find_map(|line| {
            let (level, text) = line.split_once(": ")?;
            text.ends_with("10.0.0.77: own").then_some(level)
        });
        assert_eq!(level, wanted, "{purpose:?}: {said:?}");
    }
}

/// The groups run already: after a refusal they would run on unmanaged.
#[test]
fn a_restart_in_place_says_it_and_goes_on() {
    let ha_cf = format!("{GOOD}node gamma\n");
    let host = Host::new(&ha_cf, "alpha 10.0.0.100\n", "");
    let loaded = host.load(Purpose::Resume).expect("it goes on");
    let said = loud(&loaded.config.remarks);
    assert!(
        said.iter()
            .any(|l| l.starts_with("ERROR: ") && l.contains("Pacemaker")),
        "{said:#?}"
    );
}

/// A start does not log the findings that are only warnings of `-t`.
#[test]
fn a_start_leaves_warnings_to_the_check() {
    let host = Host::new(GOOD, "alpha nosuch\n", "");
    let loaded = host.load(Purpose::Start).expect("accepted");
    let said = loud(&loaded.config.remarks);
    assert!(!said.iter().any(|l| l.contains("nosuch")), "{said:#?}");
}

#[test]
fn a_monitor_that_means_no_resource_is_refused_with_its_line_and_goes_on_after_a_restart() {
    let haresources = "alpha 10.0.0.100 web::a smb\n";
    let found = |settings: &str| check(GOOD, haresources, settings);
    let block = |resource: &str| format!("[[monitor]]\nresource = \"{resource}\"\n");
    assert_eq!(found(&(block("web") + &block("smb"))), [""; 0]);
    for (settings, says) in [
        (
            block("nginx"),
            "toml:2: haresources does not name nginx: its resources are web::a, smb",
        ),
        (
            block("10.0.0.100"),
            "toml:2: 10.0.0.100 of group 10.0.0.100 is an address",
        ),
        (
            block("web") + &block("web::a"),
            "toml:4: web::a has a monitor already, in line 2",
        ),
    ] {
        let lines = found(&settings);
        assert!(
            lines[0].starts_with("ERROR: ") && lines[0].contains(says),
            "{lines:?}"
        );
        let host = Host::new(GOOD, haresources, &settings);
        assert!(host.load(Purpose::Start).is_err() && host.load(Purpose::Reload).is_err());
        assert!(host.load(Purpose::Resume).is_ok());
    }
    let lines = found(&(block("web") + "check = \"/no/such\"\n"));
    assert!(
        lines[0].contains("toml:2: /no/such is not there"),
        "{lines:?}"
    );
    let lines = found("[[monitor]]\nresource = \"web\"\nthen = \"fence\"\n");
    assert!(
        lines[0].contains("systole.toml:3: then = \"fence\""),
        "{lines:?}"
    );
}
