//! Looks at the script that legacy would run for an address.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tracing::warn;

use crate::net::address::ScriptFile;

/// No wrapper is larger.
const MAX_SCRIPT_BYTES: u64 = 64 * 1024;

/// Classifies the executable at `path`, found by the name `name`; `None` if there is none. A file
/// that cannot be read counts as the administrator's. Blocks.
#[must_use]
pub fn examine(name: &str, path: Option<&Path>) -> ScriptFile {
    let Some(path) = path else {
        return ScriptFile::Absent;
    };
    match read(path) {
        Ok(Some(contents)) => ScriptFile::classify(name, Some(&contents)),
        Ok(None) => ScriptFile::Administrators,
        Err(error) => {
            warn!(path = %path.display(), %error, "cannot read the resource script");
            ScriptFile::Administrators
        }
    }
}

/// The contents; `None` if they are too long.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut contents = Vec::new();
    let read = File::open(path)?
        .take(MAX_SCRIPT_BYTES.saturating_add(1))
        .read_to_end(&mut contents)?;
    Ok((read as u64 <= MAX_SCRIPT_BYTES).then_some(contents))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::address::OUR_WRAPPER_MARK;

    #[test]
    fn the_contents_decide_and_only_of_a_small_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("IPaddr");
        let judge = |contents: &str| {
            std::fs::write(&path, contents).unwrap();
            examine("IPaddr", Some(&path))
        };
        let ours = format!("#!/bin/sh\n{OUR_WRAPPER_MARK}\n");
        assert_eq!(judge(&ours), ScriptFile::Ours);
        assert_eq!(
            judge("#!/bin/sh\nexec my-own-way\n"),
            ScriptFile::Administrators
        );
        let large = ours.clone() + &"#\n".repeat(40_000);
        assert_eq!(judge(&large), ScriptFile::Administrators);
        assert_eq!(examine("IPaddr", None), ScriptFile::Absent);
        assert_eq!(
            examine("IPaddr", Some(&directory.path().join("gone"))),
            ScriptFile::Administrators
        );
    }
}
