//! Service addresses on real interfaces, beside the legacy agents where they are installed.
//!
//! Every test makes two hosts of its own, network namespaces joined by a cable: `eth0` here is
//! 10.77.0.1/24 and fd77::1/64, `eth0` there 10.77.0.2 and fd77::2. The test binary runs itself
//! again inside the first. Needs root: `scripts/test` runs these by name.

#![allow(
    clippy::disallowed_methods,
    reason = "a test starts programs and measures time as it likes"
)]

use std::io::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use systole::actors::lease::LeaseThread;
use systole::actors::threads::Realtime;
use systole::config::types::MediumConfig;
use systole::net::address::{AddressResource, ScriptFile, parse_word};
use systole::net::address_record::AddressRecord;
use systole::net::address_script::examine;
use systole::net::own_address::{Came, Mark};
use systole::net::own_addresses::Guard;
use systole::net::service_address::{AddressError, AddressManager, Outcome, Removed};

/// Names the test whose inner part shall run, and the namespace of the other host.
const INSIDE: &str = "SYSTOLE_ADDRESS_TEST";
const PEER: &str = "SYSTOLE_ADDRESS_PEER";
const RESOURCE_D: &str = "/etc/ha.d/resource.d";

/// Two namespaces and their cable; removed when dropped, also when the test fails.
struct Network {
    here: String,
    there: String,
}

impl Network {
    fn new() -> Self {
        let id = std::process::id();
        let unique = std::thread::current().id();
        let digits: String = format!("{unique:?}")
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let network = Self {
            here: format!("systole-a-{id}-{digits}"),
            there: format!("systole-b-{id}-{digits}"),
        };
        let (here, there) = (&network.here, &network.there);
        for name in [here, there] {
            run(&format!("ip netns add {name}"));
            run(&format!("ip -n {name} link set lo up"));
        }
        run(&format!(
            "ip -n {here} link add eth0 type veth peer name eth0 netns {there}"
        ));
        for (name, host) in [(here, 1), (there, 2)] {
            run(&format!(
                "ip -n {name} addr add 10.77.0.{host}/24 brd + dev eth0"
            ));
            run(&format!(
                "ip -n {name} addr add fd77::{host}/64 dev eth0 nodad"
            ));
            run(&format!("ip -n {name} link set eth0 up"));
        }
        run(&format!(
            "ip -n {here} route add 10.78.0.0/16 via 10.77.0.2"
        ));
        run(&format!("ip -n {here} route add default via 10.77.0.2"));
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.here, &self.there] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Runs `body` inside a fresh network, in a process of its own.
fn on_a_network<F: Future<Output = ()>>(name: &str, body: impl FnOnce() -> F) {
    if std::env::var(INSIDE).as_deref() == Ok(name) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(body());
        return;
    }
    if let Some(reason) = cannot_run() {
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {reason}");
        return;
    }
    let network = Network::new();
    let output = Command::new("ip")
        .args(["netns", "exec", &network.here])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(INSIDE, name)
        .env(PEER, &network.there)
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    println!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{name} failed inside its namespace"
    );
}

fn cannot_run() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout != b"0\n" {
        return Some("needs root");
    }
    let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).status();
    if !ip.is_ok_and(|status| status.success()) {
        return Some("needs iproute2 to build the network");
    }
    let sandbox = Command::new("ip")
        .args(["netns", "list"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    (!sandbox.is_ok_and(|status| status.success())).then_some("cannot make network namespaces")
}

/// Runs a command line without quoting and returns what it printed.
fn run(command_line: &str) -> String {
    let mut words = command_line.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command_line}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn on_peer(command_line: &str) -> String {
    run(&format!(
        "ip netns exec {} {command_line}",
        std::env::var(PEER).unwrap()
    ))
}

/// The output of `ip` for an address, from the address on: one string for each interface that has
/// it.
fn shown(address: &str) -> Vec<String> {
    run("ip -o addr show")
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (interface, value) = (words.get(1)?, words.get(3)?);
            (value.split('/').next() == Some(address)).then(|| {
                let rest: Vec<&str> = words
                    .iter()
                    .skip(3)
                    .take_while(|it| !it.starts_with("valid"))
                    .copied()
                    .collect();
                format!(
                    "{interface} {}",
                    rest.join(" ").replace('\\', "").trim_end()
                )
            })
        })
        .collect()
}

fn resource(word: &str) -> AddressResource {
    parse_word(word).unwrap().unwrap()
}

/// Runs a legacy agent as ResourceManager does. Its announcements go on in the background.
fn legacy(word: &str, operation: &str) -> Output {
    let (script, argument) = word.split_once("::").unwrap_or(("IPaddr", word));
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new(Path::new(RESOURCE_D).join(script))
        .args([argument, operation])
        .stdin(Stdio::null())
        .stdout(log.reopen().unwrap())
        .stderr(log.reopen().unwrap())
        .status()
        .unwrap();
    Output {
        success: status.success(),
        text: std::fs::read_to_string(log.path()).unwrap(),
    }
}

struct Output {
    success: bool,
    text: String,
}

/// Whether the agents are installed; if not, says so. Their state files become this test's own: `ip
/// netns exec` gave it a private view of the mounts, and the labels of another test must not
/// disturb it.
fn have_legacy(name: &str) -> bool {
    let there = ["IPaddr", "IPaddr2", "IPv6addr"]
        .iter()
        .all(|script| Path::new(RESOURCE_D).join(script).exists())
        && Path::new("/usr/lib/ocf/resource.d/heartbeat/IPaddr2").exists();
    if there {
        run("mkdir -p /run/resource-agents");
        run("mount -t tmpfs none /run/resource-agents");
    } else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {name}: the legacy address agents are not installed"
        );
    }
    there
}

async fn started(manager: &AddressManager, word: &str) {
    assert_eq!(
        manager.start(&resource(word)).await.unwrap(),
        Outcome::Started,
        "{word}"
    );
}

async fn stopped(manager: &AddressManager, word: &str) {
    assert_eq!(
        manager.stop(&resource(word)).await.unwrap(),
        Outcome::Stopped,
        "{word}"
    );
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn an_address_is_started_and_stopped_once() {
    on_a_network("an_address_is_started_and_stopped_once", || async {
        let manager = AddressManager::new();
        let first = resource("10.77.0.100");
        assert!(!manager.status(&first).await.unwrap());
        assert_eq!(manager.stop(&first).await.unwrap(), Outcome::AlreadyStopped);
        assert_eq!(manager.start(&first).await.unwrap(), Outcome::Started);
        let expected = ["eth0 10.77.0.100/24 brd 10.77.0.255 scope global secondary eth0:0"];
        assert_eq!(shown("10.77.0.100"), expected);
        assert!(manager.status(&first).await.unwrap());
        assert_eq!(
            manager.start(&first).await.unwrap(),
            Outcome::AlreadyRunning
        );
        assert_eq!(shown("10.77.0.100"), expected);
        // The next address uses the next number; a number that becomes free is used again.
        started(&manager, "10.77.0.101").await;
        assert!(shown("10.77.0.101")[0].ends_with("secondary eth0:1"));
        stopped(&manager, "10.77.0.100").await;
        assert_eq!(manager.stop(&first).await.unwrap(), Outcome::AlreadyStopped);
        assert!(shown("10.77.0.100").is_empty());
        started(&manager, "IPaddr::10.77.0.102/24/eth0:7").await;
        assert!(shown("10.77.0.102")[0].ends_with("secondary eth0:0"));
        stopped(&manager, "10.77.0.101").await;
        stopped(&manager, "10.77.0.102").await;
        assert_eq!(shown("10.77.0.1").len(), 1, "the host's own address stays");
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn each_form_looks_as_the_legacy_agent_leaves_it() {
    let name = "each_form_looks_as_the_legacy_agent_leaves_it";
    on_a_network(name, || async {
        if !have_legacy(name) {
            return;
        }
        let manager = AddressManager::new();
        for word in [
            "10.77.0.100",
            "IPaddr::10.77.0.100",
            "10.77.0.100/24/eth0",
            "10.77.0.100/32/eth0",
            "10.77.0.100/255.255.255.128",
            "10.77.0.100/24/eth0:web",
            "10.77.0.100/24/eth0/10.77.0.200",
            "10.77.0.100/24/10.77.0.200",
            "10.78.0.100",
            "10.78.0.100/24",
            "192.168.5.5/24",
            "IPaddr2::10.77.0.100",
            "IPaddr2::10.77.0.100/24/eth0",
            "IPaddr2::10.77.0.100/24/eth0:web",
            "IPaddr2::10.77.0.100/24/eth0/10.77.0.200",
            "IPaddr2::10.77.0.100/255.255.255.0/eth0",
        ] {
            let address = resource(word).address.to_string();
            let outcome = legacy(word, "start");
            assert!(outcome.success, "{word}: {}", outcome.text);
            let expected = shown(&address);
            assert_eq!(expected.len(), 1, "{word}");
            assert!(legacy(word, "stop").success, "{word}");
            assert!(shown(&address).is_empty(), "{word}");
            started(&manager, word).await;
            assert_eq!(shown(&address), expected, "{word}");
            stopped(&manager, word).await;
            assert!(shown(&address).is_empty(), "{word}");
        }
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn an_address_of_the_legacy_agent_is_recognised_and_removed_and_the_reverse() {
    let name = "an_address_of_the_legacy_agent_is_recognised_and_removed_and_the_reverse";
    on_a_network(name, || async {
        if !have_legacy(name) {
            return;
        }
        let manager = AddressManager::new();
        let forms = [
            ("IPaddr::10.77.0.100", "10.77.0.100"),
            ("IPaddr2::10.77.0.100/24/eth0:web", "10.77.0.100"),
            ("IPv6addr::fd77:0:0:0:0:0:0:100/64/eth0", "fd77::100"),
        ];
        for (word, address) in forms {
            let outcome = legacy(word, "start");
            assert!(outcome.success, "{word}: {}", outcome.text);
            let left = shown(address);
            assert_eq!(left.len(), 1, "{word}");
            let here = resource(word);
            assert!(manager.status(&here).await.unwrap(), "{word}");
            assert_eq!(
                manager.start(&here).await.unwrap(),
                Outcome::AlreadyRunning,
                "{word}"
            );
            assert_eq!(shown(address), left, "{word}");
            stopped(&manager, word).await;
            assert!(shown(address).is_empty(), "{word}");
            // Back to legacy: it finds and removes what we started.
            started(&manager, word).await;
            let outcome = legacy(word, "status");
            assert!(
                outcome.text.contains("Running OK"),
                "{word}: {}",
                outcome.text
            );
            assert!(legacy(word, "stop").success, "{word}");
            assert!(shown(address).is_empty(), "{word}");
        }
        // Set by IPaddr2, stopped as IPaddr: the label does not matter.
        assert!(legacy("IPaddr2::10.77.0.100/24/eth0", "start").success);
        stopped(&manager, "10.77.0.100").await;
        assert!(shown("10.77.0.100").is_empty());
        // The scripts themselves are recognised.
        for script in ["IPaddr", "IPaddr2", "IPv6addr"] {
            let path = Path::new(RESOURCE_D).join(script);
            assert_eq!(examine(script, Some(&path)), ScriptFile::Distributed);
        }
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn ipv6_serves_at_once_without_duplicate_address_detection() {
    on_a_network(
        "ipv6_serves_at_once_without_duplicate_address_detection",
        || async {
            let manager = AddressManager::new();
            started(&manager, "IPv6addr::fd77::100/64/eth0").await;
            // A tentative address cannot be bound.
            UdpSocket::bind("[fd77::100]:0").unwrap();
            assert_eq!(shown("fd77::100"), ["eth0 fd77::100/64 scope global nodad"]);
            assert!(run("ip -o -6 addr show to fd77::100").contains("valid_lft forever"));
            stopped(&manager, "IPv6addr::fd77::100/64/eth0").await;
            assert!(shown("fd77::100").is_empty());
            // Interface and prefix from the routing table.
            started(&manager, "IPv6addr::fd77::101").await;
            assert_eq!(shown("fd77::101"), ["eth0 fd77::101/64 scope global nodad"]);
            stopped(&manager, "IPv6addr::fd77::101").await;

            // A copy that failed detection, because the old owner still answers, is replaced.
            on_peer("ip addr add fd77::102/64 dev eth0 nodad");
            run("ip addr add fd77::102/64 dev eth0");
            let deadline = Instant::now() + Duration::from_secs(10);
            while !run("ip -6 addr show dev eth0").contains("dadfailed") {
                assert!(Instant::now() < deadline, "detection does not end");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let word = "IPv6addr::fd77::102/64/eth0";
            assert!(!manager.status(&resource(word)).await.unwrap());
            started(&manager, word).await;
            assert_eq!(shown("fd77::102"), ["eth0 fd77::102/64 scope global nodad"]);
            stopped(&manager, word).await;
        },
    );
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn neighbours_learn_the_new_place_at_once() {
    on_a_network("neighbours_learn_the_new_place_at_once", || async {
        let own = run("cat /sys/class/net/eth0/address").trim().to_owned();
        let old = "02:00:00:00:00:99";
        let manager = AddressManager::new();
        for (word, address) in [
            ("10.77.0.100", "10.77.0.100"),
            ("IPv6addr::fd77::100", "fd77::100"),
        ] {
            on_peer(&format!(
                "ip neigh replace {address} lladdr {old} dev eth0 nud stale"
            ));
            assert!(on_peer(&format!("ip neigh show {address}")).contains(old));
            started(&manager, word).await;
            let deadline = Instant::now() + Duration::from_secs(10);
            while !on_peer(&format!("ip neigh show {address}")).contains(&own) {
                assert!(
                    Instant::now() < deadline,
                    "{address}: the neighbour kept the old place"
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stopped(&manager, word).await;
        }
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn announcements_are_repeated_until_the_address_is_stopped() {
    let name = "announcements_are_repeated_until_the_address_is_stopped";
    on_a_network(name, || async {
        if Command::new("tcpdump").arg("--version").output().is_err() {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED {name}: tcpdump is not installed"
            );
            return;
        }
        let log = tempfile::NamedTempFile::new().unwrap();
        let says = tempfile::NamedTempFile::new().unwrap();
        let mut tcpdump = Command::new("ip")
            .args(["netns", "exec", &std::env::var(PEER).unwrap()])
            .args([
                "tcpdump",
                "-l",
                "-n",
                "-i",
                "eth0",
                "arp or icmp6[icmp6type] == 136",
            ])
            .stdout(log.reopen().unwrap())
            .stderr(says.reopen().unwrap())
            .spawn()
            .unwrap();
        while !std::fs::read_to_string(says.path())
            .unwrap()
            .contains("listening on")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let manager = AddressManager::new();
        started(&manager, "10.77.0.100").await;
        started(&manager, "IPv6addr::fd77::100").await;
        let counted = |text: &str| {
            let heard = std::fs::read_to_string(log.path()).unwrap();
            heard.lines().filter(|line| line.contains(text)).count()
        };
        let request = "Request who-has 10.77.0.100 tell 10.77.0.100";
        let reply = "Reply 10.77.0.100 is-at";
        let advertisement = "fd77::100 > ff02::1: ICMP6, neighbor advertisement, tgt is fd77::100";
        let all = || [counted(request), counted(reply), counted(advertisement)];
        assert_ne!(all(), [5, 5, 5], "a start waits for no announcement");
        let deadline = Instant::now() + Duration::from_secs(10);
        while all().iter().any(|&count| count < 5) {
            assert!(Instant::now() < deadline, "{:?}", all());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Stopped before the round at two seconds, which must not be received any more. The other
        // address is removed by hand, which ends its announcement as well.
        stopped(&manager, "10.77.0.100").await;
        run("ip addr del fd77::100/64 dev eth0");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let heard = all();
        tokio::time::sleep(Duration::from_millis(2000)).await;
        assert_eq!(all(), heard);
        // Started again, it is announced again, also in the later round.
        started(&manager, "10.77.0.100").await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while [counted(request), counted(reply)] != [heard[0] + 6, heard[1] + 6] {
            assert!(Instant::now() < deadline, "{:?} after {heard:?}", all());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tcpdump.kill().unwrap();
        tcpdump.wait().unwrap();
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn removing_the_first_address_of_a_network_keeps_the_others() {
    on_a_network(
        "removing_the_first_address_of_a_network_keeps_the_others",
        || async {
            let manager = AddressManager::new();
            // With the host's setting, promoting or not; finally where the setting cannot be
            // changed.
            for (promote, writable) in [("1", true), ("0", true), ("0", false)] {
                if writable {
                    for scope in ["all", "eth0"] {
                        let path = format!("/proc/sys/net/ipv4/conf/{scope}/promote_secondaries");
                        std::fs::write(path, promote).unwrap();
                    }
                } else {
                    run("mount --bind /proc/sys /proc/sys");
                    run("mount -o remount,bind,ro /proc/sys");
                }
                started(&manager, "10.99.0.1/24/eth0").await;
                started(&manager, "10.99.0.2/24/eth0").await;
                started(&manager, "IPaddr2::10.99.0.3/24/eth0:web").await;
                run(
                    "ip addr add 10.99.0.4/24 brd 10.99.0.9 dev eth0 valid_lft 900 preferred_lft 800",
                );
                assert_eq!(
                    shown("10.99.0.1"),
                    ["eth0 10.99.0.1/24 brd 10.99.0.255 scope global eth0:0"]
                );
                stopped(&manager, "10.99.0.1").await;
                assert!(shown("10.99.0.1").is_empty());
                let rest: Vec<String> = ["10.99.0.2", "10.99.0.3", "10.99.0.4"]
                    .iter()
                    .flat_map(|it| shown(it))
                    .collect();
                assert_eq!(
                    rest,
                    [
                        "eth0 10.99.0.2/24 brd 10.99.0.255 scope global eth0:1",
                        "eth0 10.99.0.3/24 brd 10.99.0.255 scope global secondary eth0:web",
                        "eth0 10.99.0.4/24 brd 10.99.0.9 scope global secondary dynamic eth0",
                    ],
                    "promote_secondaries={promote}, writable: {writable}"
                );
                let setting = run("cat /proc/sys/net/ipv4/conf/eth0/promote_secondaries");
                assert_eq!(setting.trim(), promote, "the host's setting is as it was");
                let lifetime = run("ip -o addr show to 10.99.0.4");
                assert!(!lifetime.contains("forever"), "{lifetime}");
                for word in ["10.99.0.2", "10.99.0.3", "10.99.0.4"] {
                    stopped(&manager, word).await;
                }
                assert_eq!(shown("10.77.0.1").len(), 1);
            }
        },
    );
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn a_copy_parked_on_loopback_is_left_alone() {
    on_a_network("a_copy_parked_on_loopback_is_left_alone", || async {
        let manager = AddressManager::new();
        run("ip addr add 10.77.0.100/32 dev lo");
        let word = "10.77.0.100/24/eth0";
        assert!(!manager.status(&resource(word)).await.unwrap());
        assert_eq!(
            manager.stop(&resource(word)).await.unwrap(),
            Outcome::AlreadyStopped
        );
        started(&manager, word).await;
        assert_eq!(shown("10.77.0.100").len(), 2);
        stopped(&manager, word).await;
        assert_eq!(shown("10.77.0.100"), ["lo 10.77.0.100/32 scope global lo"]);
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn failures_name_address_and_interface() {
    on_a_network("failures_name_address_and_interface", || async {
        let manager = AddressManager::new();
        let failure = |word: &'static str| {
            let manager = manager.clone();
            async move {
                manager
                    .start(&resource(word))
                    .await
                    .unwrap_err()
                    .to_string()
            }
        };
        assert_eq!(
            failure("10.77.0.100/24/eth9").await,
            "10.77.0.100: interface eth9 does not exist"
        );
        assert_eq!(
            failure("192.168.5.5").await,
            "192.168.5.5: no route but the default one leads to it: give its prefix length"
        );
        run("ip route del default");
        assert_eq!(
            failure("192.168.5.5/24").await,
            "192.168.5.5: no route leads to it: name an interface"
        );
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1").unwrap();
        let refused = manager
            .start(&resource("IPv6addr::fd77::100/64/eth0"))
            .await
            .unwrap_err();
        assert!(matches!(&refused, AddressError::Change { interface, .. } if interface == "eth0"));
        assert!(
            refused
                .to_string()
                .starts_with("fd77::100 on eth0: cannot add it: "),
            "{refused}"
        );
        // After failures the manager still works.
        started(&manager, "10.77.0.100").await;
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn an_interface_that_is_down_is_set_up() {
    on_a_network("an_interface_that_is_down_is_set_up", || async {
        run("ip link set eth0 down");
        let manager = AddressManager::new();
        started(&manager, "10.77.0.100/24/eth0").await;
        assert!(
            run("ip -o link show eth0").contains(",UP"),
            "eth0 is still down"
        );
        assert!(manager.status(&resource("10.77.0.100")).await.unwrap());
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn a_group_of_256_addresses_is_quick() {
    on_a_network("a_group_of_256_addresses_is_quick", || async {
        let manager = AddressManager::new();
        let words: Vec<String> = (0..256)
            .map(|host| format!("10.78.1.{host}/16/eth0"))
            .collect();
        let mut expected: Vec<IpAddr> = Vec::new();
        let before = Instant::now();
        for word in &words {
            started(&manager, word).await;
            expected.push(resource(word).address);
        }
        let starting = before.elapsed();
        let there = run("ip -o -4 addr show dev eth0");
        let count = |label: &str| there.lines().filter(|line| line.contains(label)).count();
        assert_eq!(count("10.78.1."), 256);
        assert_eq!(
            count(" eth0:255\\"),
            1,
            "every address has a number of its own"
        );
        let before = Instant::now();
        // The worst order: each time the first address of the network, on which the others depend.
        for word in &words {
            stopped(&manager, word).await;
        }
        let stopping = before.elapsed();
        assert!(!run("ip -o -4 addr show dev eth0").contains("10.78.1."));
        println!("256 addresses: started in {starting:?}, stopped in {stopping:?}");
        // Unoptimised code on a loaded machine; a few hundred milliseconds in a release build.
        assert!(starting < Duration::from_secs(5), "{starting:?}");
        assert!(stopping < Duration::from_secs(5), "{stopping:?}");
    });
}

/// The host's own address is neither started nor removed; a service address is recorded while it is
/// up.
#[test]
#[ignore = "needs root: run by scripts/test"]
fn the_hosts_own_address_stays() {
    on_a_network("the_hosts_own_address_stays", || async {
        let state = tempfile::tempdir().expect("a directory");
        let record = Arc::new(AddressRecord::read(state.path()));
        let media = [MediumConfig::Bcast {
            interface: "eth0".into(),
            port: 694,
        }];
        run("ip addr add 10.78.1.9/32 dev eth0 label eth0:7");
        let guard = Guard::begin(Arc::clone(&record), &media, Came::Before);
        let manager = AddressManager::guarded(Arc::new(guard));
        let own = resource("10.77.0.1/24/eth0");
        let error = manager.start(&own).await.unwrap_err().to_string();
        assert!(
            error.contains("10.77.0.1/24 on eth0 is this host's own address"),
            "{error}"
        );
        let all = [
            resource("10.77.0.100"),
            own.clone(),
            resource("10.77.0.101"),
        ];
        let (place, _) = manager.start_all(&all, &|_| {}).await.unwrap_err();
        assert_eq!(place, 1);
        assert_eq!(record.mark(all[0].address), Some(Mark::Ours));
        assert_eq!(record.mark(own.address), None);
        assert_eq!(record.mark(all[2].address), None);
        assert_eq!(manager.stop(&own).await.unwrap(), Outcome::AlreadyStopped);
        let kept = manager.remove_stray(&own).await.unwrap();
        assert!(matches!(kept, Removed::Kept(Some(_))), "{kept:?}");
        let kept = manager.remove_stray(&own).await.unwrap();
        assert_eq!(kept, Removed::Kept(None), "said once");
        // With the label of its script it counts as left by an earlier run.
        let left = resource("10.78.1.9/32/eth0");
        assert_eq!(manager.remove_stray(&left).await.unwrap(), Removed::Yes);
        let there = run("ip -o addr show dev eth0");
        assert!(
            there.contains(" 10.77.0.1/24 ") && there.contains(" 10.77.0.100/24 "),
            "{there}"
        );
        assert!(
            !there.contains("10.77.0.101") && !there.contains("10.78.1.9"),
            "{there}"
        );
        assert_eq!(manager.stop(&all[0]).await.unwrap(), Outcome::Stopped);
        assert_eq!(record.mark(all[0].address), None);
    });
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn neighbours_in_a_group_are_started_after_one_look() {
    on_a_network(
        "neighbours_in_a_group_are_started_after_one_look",
        || async {
            let manager = AddressManager::new();
            started(&manager, "10.78.1.1/16/eth0").await;
            let words = [
                "10.78.1.0/16/eth0",
                "10.78.1.1/16/eth0",
                "10.78.1.2/16/eth0",
                "IPv6addr::fd77::100/64/eth0",
                "10.77.0.100",
                "10.78.1.3/16/eth9",
                "10.78.1.4/16/eth0",
            ];
            let all: Vec<AddressResource> = words.iter().map(|word| resource(word)).collect();
            let told = std::cell::RefCell::new(Vec::new());
            let each = |place: usize| told.borrow_mut().push(place);
            let (place, error) = manager.start_all(&all, &each).await.unwrap_err();
            assert_eq!(place, 5);
            let text = error.to_string();
            assert_eq!(text, "10.78.1.3: interface eth9 does not exist");
            assert_eq!(*told.borrow(), [0, 2, 3, 4, 5], "one runs already");
            let there = run("ip -o addr show dev eth0");
            for address in [
                "10.78.1.0/16",
                "10.78.1.1/16",
                "10.78.1.2/16",
                "fd77::100/64",
            ] {
                assert_eq!(there.matches(address).count(), 1, "{address} in {there}");
            }
            assert_eq!(there.matches("10.77.0.100/24").count(), 1, "{there}");
            assert!(!there.contains("10.78.1.4/"), "nothing behind the failure");
            let labels = ["eth0:0\\", "eth0:1\\", "eth0:2\\", "eth0:3\\"];
            for label in labels {
                assert_eq!(there.matches(label).count(), 1, "{label} in {there}");
            }
        },
    );
}

/// Heartbeats that leave, every tenth of a second, while this lives.
struct Heartbeats(Arc<std::sync::atomic::AtomicBool>);

impl Heartbeats {
    fn begin(lease: &LeaseThread) -> Self {
        let goes_on = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (bell, told) = (lease.bell(), Arc::clone(&goes_on));
        std::thread::spawn(move || {
            while told.load(std::sync::atomic::Ordering::Relaxed) {
                bell.heartbeat_left();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self(goes_on)
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.0.store(false, std::sync::atomic::Ordering::Relaxed);
    }
}

fn leased(seconds: u32) -> (LeaseThread, AddressManager) {
    let realtime = Realtime {
        enabled: false,
        priority: None,
        memreserve_kb: 0,
    };
    let lease = LeaseThread::start(realtime, seconds, Duration::from_secs(2)).unwrap();
    let manager = AddressManager::new().leased(Some(Arc::new(lease.clone())));
    (lease, manager)
}

/// Whether an address is here with a lifetime that ends.
fn ends(address: &str) -> bool {
    let all = run("ip -o addr show");
    let wanted = format!(" {address}/");
    let mut lines = all.lines().filter(|line| line.contains(&wanted));
    lines.any(|line| !line.contains("valid_lft forever"))
}

async fn seconds(seconds: f32) {
    tokio::time::sleep(Duration::from_secs_f32(seconds)).await;
}

const LEASED: [(&str, &str); 3] = [
    ("10.77.0.100", "10.77.0.100"),
    ("IPv6addr::fd77::100/64/eth0", "fd77::100"),
    ("IPaddr2::10.79.0.1/24/eth0", "10.79.0.1"),
];

#[test]
#[ignore = "needs root: run by scripts/test"]
fn an_address_with_a_lease_stays_while_heartbeats_leave_and_nothing_else_goes_with_it() {
    let name = "an_address_with_a_lease_stays_while_heartbeats_leave_and_nothing_else_goes_with_it";
    on_a_network(name, || async {
        run("sysctl -qw net.ipv4.conf.all.promote_secondaries=0");
        run("sysctl -qw net.ipv4.conf.eth0.promote_secondaries=0");
        let (lease, manager) = leased(1);
        let beats = Heartbeats::begin(&lease);
        let route = run("ip -6 route show fd77::/64");
        for (word, _) in LEASED {
            started(&manager, word).await;
        }
        for _ in 0..50 {
            seconds(0.05).await;
            for (_, address) in LEASED {
                assert!(ends(address), "{address}");
            }
        }
        let label = "eth0 10.77.0.100/24 brd 10.77.0.255 scope global secondary dynamic eth0:0";
        assert_eq!(shown("10.77.0.100"), [label]);
        assert_eq!(run("ip -6 route show fd77::/64"), route, "the host's own");
        // It would go with the first of its network.
        run("ip addr add 10.79.0.9/24 dev eth0");
        seconds(1.2).await;
        assert!(!ends("10.79.0.1") && ends("10.77.0.100"));
        let report = lease.report().await.unwrap();
        assert_eq!(report.renewed, ["10.77.0.100", "fd77::100"]);
        assert_eq!(report.without, ["10.79.0.1"]);
        // What somebody removes does not come back by a renewal.
        run("ip addr del 10.77.0.100/24 dev eth0");
        seconds(1.2).await;
        assert!(shown("10.77.0.100").is_empty());
        let here: IpAddr = "10.77.0.100".parse().unwrap();
        assert!(lease.ran_out(vec![here]).await.unwrap().is_empty());
        started(&manager, "10.77.0.100").await;
        seconds(1.5).await;
        assert!(ends("10.77.0.100"));
        drop(beats);
        seconds(1.6).await;
        assert!(shown("10.77.0.100").is_empty() && shown("fd77::100").is_empty());
        for stays in ["10.77.0.1", "fd77::1", "10.79.0.1", "10.79.0.9"] {
            assert_eq!(shown(stays).len(), 1, "{stays}");
        }
        run("sysctl -qw net.ipv6.route.flush=1");
        assert_eq!(run("ip -6 route show fd77::/64"), route, "the host's own");
        let _beats = Heartbeats::begin(&lease);
        seconds(0.5).await;
        assert!(shown("10.77.0.100").is_empty(), "a renewal put it back");
        assert_eq!(lease.ran_out(vec![here]).await.unwrap().len(), 1);
        started(&manager, "10.77.0.100").await;
        for _ in 0..20 {
            started_or_running(&manager, "10.77.0.100").await;
            seconds(0.02).await;
            stopped(&manager, "10.77.0.100").await;
            assert!(shown("10.77.0.100").is_empty(), "a renewal put it back");
        }
        seconds(0.6).await;
        assert!(shown("10.77.0.100").is_empty(), "a renewal put it back");
    });
}

async fn started_or_running(manager: &AddressManager, word: &str) {
    manager.start(&resource(word)).await.unwrap();
}

#[test]
#[ignore = "needs root: run by scripts/test"]
fn a_process_takes_the_leases_of_the_one_before_over_or_ends_them() {
    let name = "a_process_takes_the_leases_of_the_one_before_over_or_ends_them";
    on_a_network(name, || async {
        let resources = LEASED.map(|(word, _)| resource(word));
        let (before, manager) = leased(1);
        for (word, _) in LEASED {
            started(&manager, word).await;
        }
        // As long as the others wait while the process replaces itself.
        before.part(Some(Duration::from_secs(30))).await;
        seconds(1.6).await;
        let (after, manager) = leased(1);
        manager.adopt(&resources).await.unwrap();
        let beats = Heartbeats::begin(&after);
        seconds(1.5).await;
        for (_, address) in LEASED {
            assert!(ends(address), "{address}");
        }
        // By a program that knows of no lease.
        after.part(None).await;
        drop(beats);
        seconds(1.6).await;
        for (_, address) in LEASED {
            assert!(!shown(address).is_empty() && !ends(address), "{address}");
        }
        // It was not replaced.
        after.stay();
        let beats = Heartbeats::begin(&after);
        seconds(0.4).await;
        assert!(LEASED.iter().all(|(_, address)| ends(address)));
        drop(beats);
        // The setting was turned off.
        AddressManager::new().adopt(&resources).await.unwrap();
        seconds(1.6).await;
        for (_, address) in LEASED {
            assert!(!shown(address).is_empty() && !ends(address), "{address}");
        }
    });
}
