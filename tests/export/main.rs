//! The way out: what `systole export` makes of the files of a pair.
//!
//! `cases/NAME` is a copied root directory, `cases/NAME/TARGET` what is made of it; `SYSTOLE_WRITE=1` writes those.
#![allow(
    clippy::disallowed_methods,
    reason = "a test runs the program it tests, and those that read its files"
)]

mod lines;
mod program;
mod stacks;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use systole::cli::export::make;
use systole::doctor::copied;
use systole::export::{Exported, Target};

const CASES: [&str; 3] = ["web", "addresses", "lost"];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn case(name: &str) -> PathBuf {
    root("tests/export/cases").join(name)
}

/// Copies a tree over another; only the owner may read authkeys.
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

fn laid(from: &Path) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    lay(from, place.path());
    place
}

fn made(target: Target, node: &Path) -> Result<Exported, String> {
    make(target, &copied(node)?)
}

fn document<'e>(exported: &'e Exported, name: &str) -> &'e str {
    let mut found = exported.documents.iter().filter(|it| it.name == name);
    &found.next().unwrap().text
}

#[test]
fn the_documents_of_each_case_are_these() {
    let write = std::env::var_os("SYSTOLE_WRITE").is_some();
    let mut wrong = Vec::new();
    for name in CASES {
        let place = laid(&case(name));
        for target in Target::ALL {
            let exported = made(target, place.path()).unwrap();
            let kept = case(name).join(target.word());
            for document in &exported.documents {
                let file = kept.join(&document.name);
                if write {
                    fs::create_dir_all(&kept).unwrap();
                    fs::write(&file, &document.text).unwrap();
                }
                if fs::read_to_string(&file).unwrap_or_default() != document.text {
                    wrong.push(file);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "SYSTOLE_WRITE=1 writes them: {wrong:?}");
}

#[test]
fn no_secret_is_in_a_document_that_does_not_need_it() {
    for name in CASES {
        let place = laid(&case(name));
        for target in Target::ALL {
            for document in made(target, place.path()).unwrap().documents {
                let text = document.text;
                for secret in ["a-shared-secret", "an-old-secret"] {
                    assert!(!text.contains(secret), "{name} {}", document.name);
                }
                let needs = document.name == "cib.xml";
                assert!(
                    needs || !text.contains("ipmi-secret"),
                    "{name} {}",
                    document.name
                );
            }
        }
    }
}

/// Both nodes of a pair make the same corosync.conf and cib.xml, from files that are mirror images.
#[test]
fn both_nodes_make_the_same_files() {
    let alpha = laid(&case("web"));
    let beta = laid(&case("web"));
    let host = fs::read_to_string(beta.path().join("host.json")).unwrap();
    let host = host.replace("\"alpha\"", "\"beta\"");
    let host = host
        .replace("10.0.0.1/", "10.0.0.2/")
        .replace("192.168.7.1/", "192.168.7.2/");
    fs::write(beta.path().join("host.json"), host).unwrap();
    let [one, two] = [&alpha, &beta].map(|it| made(Target::Pacemaker, it.path()).unwrap());
    for name in ["cib.xml", "corosync.conf"] {
        assert_eq!(document(&one, name), document(&two, name));
    }
}

/// k5: no line can be taken away without a trace.
#[test]
fn every_line_of_ha_cf_changes_something() {
    for name in CASES {
        let place = laid(&case(name));
        let file = place.path().join("etc/ha.d/ha.cf");
        let text = fs::read_to_string(&file).unwrap();
        for target in Target::ALL {
            let whole = made(target, place.path()).unwrap();
            for (number, line) in text.lines().enumerate() {
                if line.starts_with('#') {
                    continue;
                }
                let kept = text.lines().enumerate();
                let kept = kept.map(|(at, line)| if at == number { "#" } else { line });
                fs::write(&file, kept.collect::<Vec<_>>().join("\n") + "\n").unwrap();
                if let Ok(less) = made(target, place.path()) {
                    assert_ne!(less.documents, whole.documents, "{name} {target:?} {line}");
                }
            }
            fs::write(&file, &text).unwrap();
        }
    }
}
