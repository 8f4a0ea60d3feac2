//! What a finding says that fixes it is carried out word by word in the copied tree, and the finding is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Finding, RULES, ids, judge, pair, shown};

/// Rules whose fix line is no command, or one that a copied tree cannot carry out.
const BY_HAND: [&str; 16] = [
    "D12", "D13", "D15", "D16", "D17", "D18", "D19", "D28", "D43", "D44", "D45", "D46", "D47",
    "D48", "D50", "D51",
];
const BY_HAND_TOO: [&str; 7] = ["D03", "D30", "D52", "D53", "D55", "D56", "D57"];

/// Programs that act on the machine: here they act on the tree of the node.
const STAND_INS: [(&str, &str); 6] = [
    (
        "scp",
        "[ \"$1\" = -p ] && shift; to=${2#*:}; mkdir -p \"$(dirname \"$PEER$to\")\"; cp -p \"$1\" \"$PEER$to\"",
    ),
    (
        "systemctl",
        "case $1 in disable) rm -f \"$ROOT\"/etc/systemd/system/*.wants/\"$2.service\";; mask) sed -i 's/ttyS0/-/g; s#\"/dev/-\"#\"/dev/ttyS0\"#' \"$ROOT/host.json\";; esac; true",
    ),
    (
        "hostnamectl",
        "sed -i 's/\"name\": \"alpha.example.org\"/\"name\": \"'\"$2\"'\"/' \"$ROOT/host.json\"",
    ),
    (
        "sysctl",
        "key=${2%%=*}; echo \"${2#*=}\" >\"$ROOT/proc/sys/$(echo \"$key\" | tr . /)\"",
    ),
    ("networkctl", "true"),
    ("od", "echo 0123456789abcdef"),
];

/// The command with the paths of the node's tree instead of the machine's.
fn inside(fix: &str, root: &Path) -> String {
    let root = root.display().to_string();
    let mut out = fix.to_owned();
    for directory in ["/etc/", "/var/", "/usr/", "/lib/"] {
        for before in [" ", ">"] {
            out = out.replace(
                &format!("{before}{directory}"),
                &format!("{before}{root}{directory}"),
            );
        }
    }
    out
}

fn carry_out(finding: &Finding, place: &Path) -> bool {
    let of_beta = finding
        .file
        .as_deref()
        .is_some_and(|file| file.starts_with("beta:"));
    let names = if of_beta {
        ["beta", "alpha"]
    } else {
        ["alpha", "beta"]
    };
    let [root, peer] = names.map(|name| place.join(name));
    let stand_ins = place.join("bin");
    fs::create_dir_all(&stand_ins).unwrap();
    for (name, script) in STAND_INS {
        use std::os::unix::fs::PermissionsExt;
        let path = stand_ins.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("sh")
        .args(["-c", &inside(&finding.fix, &root)])
        .env("PATH", format!("{}:/usr/bin:/bin", stand_ins.display()))
        .env("ROOT", &root)
        .env("PEER", &peer)
        .output()
        .unwrap();
    output.status.success()
}

#[test]
fn the_fix_line_fixes_it() {
    let mut wrong = String::new();
    let mut fixed = BTreeMap::new();
    for rule in RULES {
        if BY_HAND.contains(&rule.id) || BY_HAND_TOO.contains(&rule.id) {
            continue;
        }
        let place = pair(Some(&format!("{}/bad", rule.id)));
        // One finding may be of both nodes, and one command may fix what the next finding tells.
        for _ in 0..4 {
            let report = judge(place.path());
            let mut of_rule = report.findings.iter().filter(|it| it.id == rule.id);
            let Some(finding) = of_rule.next() else {
                break;
            };
            if !carry_out(finding, place.path()) {
                wrong += &format!("{}: failed: {}\n", rule.id, finding.fix);
                break;
            }
        }
        let after = judge(place.path());
        // A longer dead time has to be written on the other node too.
        let rest: BTreeSet<&str> = if rule.id == "D31" {
            BTreeSet::from(["D32"])
        } else {
            BTreeSet::new()
        };
        if ids(&after) == rest {
            fixed.insert(rule.id, ());
        } else {
            wrong += &format!("{}: {}\n", rule.id, shown(&after.findings));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(fixed.len() >= 20, "{}", fixed.len());
}
