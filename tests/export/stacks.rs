//! The programs that the files are for read them without complaint, and run the groups where Systole would.
//!
//! Used where they are: in `PATH`, or below `SYSTOLE_STACKS`, a directory into which the packages were unpacked
//! (`scripts/stacks DIR` does it). Nothing is started.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use systole::config::load::{LoadOptions, Purpose, load};
use systole::doctor::{copied, desk};
use systole::export::Target;
use systole::foresight::{Incident, Pair, foresee};
use systole::os::paths::Paths;

use super::{CASES, case, document, laid, made};

/// A program, if it is there; else says so.
fn program(test: &str, name: &str) -> Option<PathBuf> {
    let stacks = std::env::var_os("SYSTOLE_STACKS").map(|it| PathBuf::from(it).join("usr/sbin"));
    let places =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let found = stacks.into_iter().chain(places).map(|it| it.join(name));
    let found = found.into_iter().find(|it| it.is_file());
    if found.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: {name} is not installed (scripts/stacks)"
        );
    }
    found
}

fn command(program: &Path, work: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("CIB_shadow_dir", work).current_dir(work);
    if let Some(stacks) = std::env::var_os("SYSTOLE_STACKS") {
        let stacks = PathBuf::from(stacks);
        let libraries = ["usr/lib", "lib"].map(|it| {
            let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
            stacks.join(it).join(triple).display().to_string()
        });
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
        command.env("PCMK_schema_directory", stacks.join("usr/share/pacemaker"));
    }
    command
}

/// What it says, and its exit code.
fn said(command: &mut Command) -> (String, i32) {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    (text.concat(), output.status.code().unwrap_or(-1))
}

#[test]
fn pacemaker_finds_nothing_wrong() {
    let Some(verify) = program("pacemaker_finds_nothing_wrong", "crm_verify") else {
        return;
    };
    for name in CASES {
        let place = laid(&case(name));
        let exported = made(Target::Pacemaker, place.path()).unwrap();
        // A cluster that has quorum, and no nodes to fence before they were seen.
        let cib = document(&exported, "cib.xml");
        let cib = cib.replace("num_updates=\"0\"", "num_updates=\"0\" have-quorum=\"1\"");
        let file = place.path().join("cib.xml");
        fs::write(&file, cib).unwrap();
        let (text, _) = said(command(&verify, place.path()).args(["-V", "-x"]).arg(&file));
        let bad = text.lines().filter(|line| {
            let known = [
                "not fencing unseen nodes",
                "for fencing",
                "Warnings found during check",
            ];
            !known.iter().any(|it| line.contains(it))
        });
        assert_eq!(bad.collect::<Vec<_>>(), [""; 0], "{name}");
    }
}

#[test]
fn corosync_finds_nothing_wrong() {
    let test = "corosync_finds_nothing_wrong";
    let Some(corosync) = program(test, "corosync") else {
        return;
    };
    let inside = |words: &str, place: &Path| {
        let mut unshare = command(Path::new("unshare"), place);
        said(unshare.args(["-r", "-u", "-m", "sh", "-c", words]))
    };
    if inside("hostname alpha", Path::new("/")).1 != 0 {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no user namespaces here");
        return;
    }
    for name in CASES {
        let node = laid(&case(name));
        let place = node.path();
        let exported = made(Target::Corosync, place).unwrap();
        let conf = document(&exported, "corosync.conf").replace("to_stderr: no", "to_stderr: yes");
        let shown = place.display();
        let conf = conf
            + &format!("totem {{\n keyfile: {shown}/key\n}}\nsystem {{\n state_dir: {shown}\n}}\n");
        fs::write(place.join("key"), [7; 256]).unwrap();
        fs::write(place.join("corosync.conf"), conf).unwrap();
        let mut hosts = String::new();
        for (number, node) in (1..).zip(["alpha", "beta"]) {
            for (net, link) in (1..).zip(["eth0", "eth1"]) {
                let _ = writeln!(hosts, "10.9.{net}.{number} {node}-{link}");
            }
        }
        fs::write(place.join("hosts"), hosts).unwrap();
        let words = format!(
            "mount --bind hosts /etc/hosts; hostname alpha; exec {} -c {shown}/corosync.conf -t",
            corosync.display()
        );
        let (text, code) = inside(&words, place);
        assert!(
            code == 0 && !text.contains("error") && !text.contains("warning"),
            "{name} {text}"
        );
    }
}

#[test]
fn keepalived_finds_nothing_wrong() {
    let test = "keepalived_finds_nothing_wrong";
    let Some(keepalived) = program(test, "keepalived") else {
        return;
    };
    for name in CASES {
        let node = laid(&case(name));
        let place = node.path();
        let exported = made(Target::Keepalived, place).unwrap();
        for node in ["alpha", "beta"] {
            let file = format!("keepalived-{node}.conf");
            fs::write(place.join(&file), document(&exported, &file)).unwrap();
            // It looks whether the interfaces are there.
            let words = format!(
                "ip link add eth0 type veth peer name eth1 && exec {} -t -f {}/{file}",
                keepalived.display(),
                place.display()
            );
            let mut unshare = command(Path::new("unshare"), place);
            let (text, code) = said(unshare.args(["-r", "-n", "sh", "-c", &words]));
            if text.contains("Operation not permitted") || text.contains("Unknown device type") {
                let _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED {test}: no network namespace with interfaces: {text}"
                );
                return;
            }
            assert_eq!((text.as_str(), code), ("", 0), "{name} {node}");
        }
    }
}

/// Where each group runs.
type Owners = BTreeMap<String, String>;

/// The CIB after what follows from `change`, and where each resource runs then.
fn simulate(program: &Path, place: &Path, change: &[&str]) -> Owners {
    let file = place.join("cib.xml");
    let mut text = String::new();
    // A transition may lead to another.
    for change in [change, &[], &[]] {
        let mut simulate = command(program, place);
        let simulate = simulate
            .args(["-q", "1", "-S", "-x"])
            .arg(&file)
            .args(change);
        let (said, code) = said(simulate.arg("-O").arg(&file));
        assert_eq!(code, 0, "{said}");
        text = said;
    }
    let end = text.rsplit("Revised Cluster Status:").next().unwrap();
    let mut owners = Owners::new();
    for line in end.lines() {
        let mut words = line.trim().trim_start_matches("* ").split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let mut words = words.skip_while(|word| *word != "Started");
        if let (Some(_), Some(node)) = (words.next(), words.next()) {
            owners.insert(name, node.to_owned());
        }
    }
    owners
}

/// Where Systole would run each group in the end.
fn planned(node: &Path, incident: &str) -> (Owners, Owners) {
    let source = copied(node).unwrap();
    let check = LoadOptions {
        purpose: Purpose::Check,
        ..LoadOptions::default()
    };
    let loaded = load(&Paths::default(), &desk(&source), &check).unwrap();
    let pair = Pair::of(&loaded.config, None, Duration::from_secs(1)).unwrap();
    let incident = Incident::read(incident, &pair).unwrap();
    let forecast = foresee(&pair, incident);
    let of = |which: fn(&systole::foresight::Outcome) -> &Vec<String>| {
        let groups = forecast.groups.iter();
        groups
            .map(|it| (it.group.clone(), which(it).join(" ")))
            .collect()
    };
    (of(|it| &it.before), of(|it| &it.after))
}

/// k2: after a start, a death, a return and a stop.
#[test]
fn pacemaker_would_run_groups_where_systole_does() {
    let Some(program) = program(
        "pacemaker_would_run_groups_where_systole_does",
        "crm_simulate",
    ) else {
        return;
    };
    let lines = [
        "alpha 10.0.0.100/24/eth0\nbeta 10.0.0.101/24/eth0\n",
        "alpha 10.0.0.100/24/eth0 web\nalpha 10.0.0.101/24/eth0 mysql web2\n",
        "beta 10.0.0.101/24/eth0 a b c d e f g\n",
    ];
    for (haresources, failback) in lines.iter().flat_map(|it| [(it, "on"), (it, "off")]) {
        let node = laid(&case("addresses"));
        let directory = node.path().join("etc/ha.d");
        fs::write(directory.join("haresources"), haresources).unwrap();
        let ha_cf = format!(
            "keepalive 1\ndeadtime 10\ninitdead 30\nbcast eth0\nauto_failback {failback}\nnode alpha beta\n"
        );
        fs::write(directory.join("ha.cf"), ha_cf).unwrap();
        fs::write(directory.join("systole.toml"), "").unwrap();
        for (dies, incident) in [
            ("alpha", "alpha dies"),
            ("beta", "beta dies"),
            ("alpha", "alpha stops"),
        ] {
            let exported = made(Target::Pacemaker, node.path()).unwrap();
            fs::write(node.path().join("cib.xml"), document(&exported, "cib.xml")).unwrap();
            let place = node.path();
            let start = simulate(&program, place, &["-u", "alpha", "-u", "beta"]);
            let death = simulate(&program, place, &["-d", dies]);
            let back = simulate(&program, place, &["-u", dies]);
            let (before, after) = planned(place, incident);
            let name = |group: &str| {
                let address = group.split('/').next().unwrap_or_default();
                format!("ip_{}", address.replace('.', "_"))
            };
            for (group, owner) in &before {
                let id = name(group);
                let about = format!("{haresources} {failback} {incident} {id}");
                assert_eq!(start.get(&id), Some(owner), "start {about}");
                assert_eq!(death.get(&id), after.get(group), "after {about}");
                let wanted = if failback == "on" {
                    owner
                } else {
                    &after[group]
                };
                assert_eq!(back.get(&id), Some(wanted), "return {about}");
            }
        }
    }
}
