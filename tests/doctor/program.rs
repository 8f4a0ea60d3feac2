//! `systole doctor` as a program: what it prints, its exit codes, and that it changes nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::pair;

/// Standard output, standard error, exit code.
fn doctor(words: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_systole"))
        .arg("doctor")
        .args(words)
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
    (out, err, output.status.code().unwrap())
}

fn of(place: &Path, more: &[&str]) -> (String, String, i32) {
    let [alpha, beta] = ["alpha", "beta"].map(|it| place.join(it).display().to_string());
    let words = [&["--root", alpha.as_str(), "--peer", beta.as_str()], more].concat();
    doctor(&words)
}

#[test]
fn two_lines_a_finding_and_the_worst_level_as_exit_code() {
    let (out, err, code) = of(pair(None).path(), &[]);
    assert_eq!((err.as_str(), code), ("", 0), "{out}");
    assert!(out.ends_with("0 errors, 0 warnings, 0 remarks\n"), "{out}");
    let place = pair(Some("D07/bad"));
    let (out, _, code) = of(place.path(), &[]);
    assert_eq!(code, 2);
    let wanted = "ERROR D07 /etc/ha.d/haresources:1 here `alpha 10.0.0.100/24/eth0 web`, on beta `alpha 10.0.0.100/24/eth0`\n  \
                  fix: scp -p /etc/ha.d/haresources beta:/etc/ha.d/haresources\n";
    assert!(out.starts_with(wanted), "{out}");
    assert!(out.ends_with("1 error, 0 warnings, 0 remarks\n"), "{out}");
    let (out, _, code) = of(pair(Some("D21/bad")).path(), &[]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("WARN D21 beta:/etc/ha.d/haresources:1 "),
        "{out}"
    );
    let (out, _, code) = of(pair(Some("D18/bad")).path(), &[]);
    assert_eq!(code, 0, "{out}");
    assert_eq!(of(place.path(), &["--only", "d08"]).2, 0);
}

#[test]
fn the_same_as_one_json_object() {
    let place = pair(Some("D26/bad"));
    let (out, err, code) = of(place.path(), &["--json"]);
    assert_eq!((err.as_str(), code), ("", 2));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["schema"], 1);
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["findings", "schema"]);
    let finding = &report["findings"][0];
    assert_eq!(finding["id"], "D26");
    assert_eq!(finding["severity"], "ERROR");
    assert_eq!(finding["file"], "/etc/network/interfaces");
    assert_eq!(finding["line"], 7);
    for key in ["text", "fix"] {
        assert!(finding[key].is_string());
    }
}

#[test]
fn what_cannot_be_read_is_3_and_said() {
    let empty = tempfile::tempdir().unwrap();
    let root = empty.path().display().to_string();
    let (out, _, code) = doctor(&["--root", &root]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("could not look at "), "{out}");
    let (_, err, code) = doctor(&["--peer", "/no/such/place"]);
    assert_eq!(
        (err.as_str(), code),
        ("systole: /no/such/place: no such directory\n", 3)
    );
}

/// No key is printed, whatever is wrong with the file that holds it.
/// A pipe in a copied tree: nobody writes to it.
#[test]
fn a_file_that_is_no_file_is_not_waited_for() {
    let place = pair(None);
    for name in ["host.json", "etc/hostname"] {
        let pipe = place.path().join("alpha").join(name);
        let _ = fs::remove_file(&pipe);
        fs::create_dir_all(pipe.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (_, _, code) = of(place.path(), &[]);
        assert!((0..=3).contains(&code), "{name}: {code}");
        fs::remove_file(&pipe).unwrap();
    }
}

#[test]
fn secrets_are_not_printed() {
    for case in ["D01/bad", "D02/bad", "D04/bad"] {
        for more in [&[][..], &["--json"]] {
            let (out, err, _) = of(pair(Some(case)).path(), more);
            for secret in ["a-shared-secret", "another"] {
                let said = out.replace("another one", "");
                assert!(!said.contains(secret) && !err.contains(secret), "{out}");
            }
        }
    }
}

/// This machine, whatever it is: it answers, it is quick to understand, and --facts prints what `host.json` is to hold.
#[test]
fn this_machine_can_be_looked_at_without_a_daemon() {
    let (out, err, code) = doctor(&[]);
    assert!((0..=3).contains(&code), "{code} {out}");
    assert_eq!(err, "");
    assert!(
        out.ends_with(" remarks\n") || out.ends_with(" remark\n"),
        "{out}"
    );
    let (facts, err, code) = doctor(&["--facts"]);
    assert_eq!((err.as_str(), code), ("", 0));
    let place = pair(None);
    fs::write(place.path().join("alpha/host.json"), &facts).unwrap();
    assert!((0..=2).contains(&of(place.path(), &[]).2));
    let host: Value = serde_json::from_str(&facts).unwrap();
    assert!(
        host["cards"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["loopback"] == true)
    );
}
