//! The doctor: a case for each rule that it finds, and one that looks alike and is fine; good pairs; what it prints.
//!
//! `cases/base` is a good pair, `alpha` and `beta`, each as a copied root directory. `cases/DNN/bad` and `fine` hold the
//! files that differ from it. `modes` in such a directory gives files other permissions.
#![allow(
    clippy::disallowed_methods,
    reason = "a test runs the program it tests"
)]

mod fixed;
mod good;
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use systole::doctor::{Finding, Level, RULES, Report, collect, copied, examine, table};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/cases")
}

/// Copies a tree over another.
fn lay(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            lay(&entry.path(), &target);
        } else {
            let _ = fs::remove_file(&target);
            fs::copy(entry.path(), &target).unwrap();
            if entry.file_name() == "authkeys" {
                fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
            }
        }
    }
}

/// A pair: the good one with the files of `case` over it.
fn pair(case: Option<&str>) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    lay(&cases().join("base"), place.path());
    if let Some(case) = case {
        let case = cases().join(case);
        lay(&case, place.path());
        let modes = fs::read_to_string(case.join("modes")).unwrap_or_default();
        for line in modes.lines() {
            let (file, mode) = line.split_once(' ').unwrap();
            let mode = u32::from_str_radix(mode, 8).unwrap();
            fs::set_permissions(place.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    place
}

fn judge(place: &Path) -> Report {
    let [alpha, beta] = ["alpha", "beta"].map(|name| copied(&place.join(name)).unwrap());
    let (here, there) = collect(&alpha, Some(&beta));
    examine(&here, there.as_ref())
}

fn shown(findings: &[Finding]) -> String {
    let lines = findings
        .iter()
        .map(|it| format!("{it}\n  fix: {}\n", it.fix));
    lines.collect()
}

fn ids(report: &Report) -> BTreeSet<&str> {
    report.findings.iter().map(|it| it.id.as_str()).collect()
}

#[test]
fn each_rule_finds_its_case_and_nothing_else() {
    let mut wrong = String::new();
    for rule in RULES {
        let place = pair(Some(&format!("{}/bad", rule.id)));
        let report = judge(place.path());
        if ids(&report) != BTreeSet::from([rule.id]) {
            wrong += &format!("{}: {}\n", rule.id, shown(&report.findings));
        }
        for finding in &report.findings {
            assert!(
                !finding.text.trim().is_empty() && !finding.fix.is_empty(),
                "{finding:?}"
            );
            assert!(!finding.to_string().contains('\n'), "{finding}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn what_looks_alike_is_fine() {
    let mut wrong = String::new();
    for rule in RULES {
        let place = pair(Some(&format!("{}/fine", rule.id)));
        let mut report = judge(place.path());
        let of_rule = |it: &Finding| it.id == rule.id || it.severity > Level::Info;
        report.findings.retain(of_rule);
        if !report.findings.is_empty() {
            wrong += &format!("{}: {}\n", rule.id, shown(&report.findings));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_rule_has_a_case_and_every_case_a_rule() {
    let rules: BTreeSet<String> = RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(rules.len(), RULES.len(), "no number twice");
    let cases = fs::read_dir(cases()).unwrap();
    let cases: BTreeSet<String> = cases
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "base")
        .collect();
    assert_eq!(cases, rules);
}

#[test]
fn the_documented_table_is_the_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/doctor.md");
    let page = fs::read_to_string(page).unwrap();
    let table = table();
    assert!(
        page.contains(&table),
        "docs/reference/doctor.md must hold:\n{table}"
    );
}
