//! What `scripts/layout.sh` lays where.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Source of each file, by its place.
#[expect(clippy::disallowed_methods, reason = "a test runs the script")]
fn files() -> BTreeMap<PathBuf, PathBuf> {
    let print = r#". scripts/layout.sh; for entry in "${FILES[@]}"; do echo "${entry#* }"; done"#;
    let output = Command::new("bash")
        .args(["-eu", "-c", print])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let pair = |line: &str| {
        let (source, place) = line.split_once(' ').expect("a source and a place");
        (PathBuf::from(place), PathBuf::from(source))
    };
    text.lines().map(pair).collect()
}

/// `a/b/../c` without the dots.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

#[test]
fn links_between_the_installed_documents_lead_somewhere() {
    let files = files();
    let mut links = 0;
    for (place, source) in &files {
        if place.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        let text = std::fs::read_to_string(&source).expect("it is there");
        for link in text.split("](").skip(1) {
            let target = link.split(['#', ')']).next().expect("a part");
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let target = plain(&place.parent().expect("a directory").join(target));
            assert!(files.contains_key(&target), "{place:?} leads to {target:?}");
            links += 1;
        }
    }
    assert!(links > 10, "{links}");
}
