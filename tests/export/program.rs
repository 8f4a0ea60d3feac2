//! `systole export` as an administrator calls it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use systole::cli::control_commands::Answer;
use systole::cli::export::{ExportOptions, run};
use systole::cli::systole::{Command, parse};

use super::{case, laid};

fn export(target: &str, node: &Path, out: &Path, lossy: bool) -> Answer {
    run(&ExportOptions {
        target: target.to_owned(),
        out: out.to_owned(),
        lossy,
        root: Some(node.to_owned()),
    })
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn what_is_lost_is_named_and_nothing_is_written() {
    let node = laid(&case("lost"));
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("new");
    let answer = export("pacemaker", node.path(), &out, false);
    assert_eq!(answer.code, 1);
    assert_eq!(answer.stdout, "");
    for line in [
        "LOST ha.cf:1  serial /dev/ttyS0: ",
        "LOST ha.cf:4  watchdog /dev/watchdog: ",
        "LOST ha.cf:13  stonith_host * external/kdumpcheck ***: ",
        "LOST haresources:1  alpha drbddisk::r0 ",
        "LOST systole.toml:11  check = ",
    ] {
        assert!(answer.stderr.contains(line), "{line}\n{}", answer.stderr);
    }
    assert!(answer.stderr.ends_with("(--lossy writes what is left)\n"));
    assert!(names(place.path()).is_empty());
    let answer = export("pacemaker", node.path(), &out, true);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
    assert_eq!(names(&out), ["MIGRATION.txt", "cib.xml", "corosync.conf"]);
    assert_eq!(names(place.path()), ["new"]);
}

#[test]
fn files_are_for_their_owner_and_the_same_each_time() {
    let node = laid(&case("addresses"));
    let place = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|it| place.path().join(it));
    // An empty directory may be there.
    fs::create_dir(&two).unwrap();
    for out in [&one, &two] {
        let answer = export("keepalived", node.path(), out, false);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
        assert!(
            answer.stdout.contains("nothing is lost"),
            "{}",
            answer.stdout
        );
    }
    assert_eq!(
        names(&one),
        [
            "MIGRATION.txt",
            "keepalived-alpha.conf",
            "keepalived-beta.conf"
        ]
    );
    for name in names(&one) {
        let mode = fs::metadata(one.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read(one.join(&name)).unwrap(),
            fs::read(two.join(&name)).unwrap()
        );
    }
}

#[test]
fn a_directory_with_something_in_it_stays_as_it_is() {
    let node = laid(&case("addresses"));
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("mine"), "x").unwrap();
    let answer = export("keepalived", node.path(), place.path(), false);
    assert_eq!(answer.code, 1);
    assert!(
        answer.stderr.starts_with("systole: cannot write "),
        "{}",
        answer.stderr
    );
    assert_eq!(names(place.path()), ["mine"]);
    let file = place.path().join("mine");
    assert_eq!(export("keepalived", node.path(), &file, false).code, 1);
    let below = place.path().join("not/there");
    assert_eq!(export("keepalived", node.path(), &below, false).code, 1);
    assert_eq!(fs::read_to_string(file).unwrap(), "x");
}

/// Whatever the files hold: an error with the place, or files that hold it.
#[test]
fn broken_files_are_refused_with_a_line() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    for (file, text, says) in [
        ("ha.cf", "bogus 1\n", "ha.cf"),
        ("ha.cf", "", "ha.cf"),
        ("ha.cf", "node alpha b\u{7f}\u{0}c\nbcast eth0\n", "node"),
        ("haresources", "gamma 10.0.0.1\n", "gamma"),
        ("haresources", "alpha a\u{0}b\n", "haresources:1"),
        (
            "systole.toml",
            "[[monitor]]\nresource = [\n",
            "systole.toml",
        ),
        ("systole.toml", "bogus = 1\n", "bogus"),
        ("authkeys", "auth 1\n", "authkeys"),
    ] {
        let node = laid(&case("web"));
        fs::write(node.path().join("etc/ha.d").join(file), text).unwrap();
        let answer = export("pacemaker", node.path(), &out, true);
        assert_eq!(answer.code, 3, "{file} {text:?} {}", answer.stderr);
        assert!(
            answer.stderr.contains(says),
            "{file} {text:?} {}",
            answer.stderr
        );
        assert!(!out.exists());
    }
    let answer = export("pacemaker", &place.path().join("none"), &out, true);
    assert_eq!(answer.code, 3);
    assert!(answer.stderr.contains("no such directory"));
}

/// What XML, corosync and keepalived read as syntax comes out as text, or is lost; it never changes what a file means.
#[test]
fn hostile_words_stay_words() {
    let node = laid(&case("addresses"));
    let words = "alpha 10.0.0.100 \"a<b>&'c\" \u{1}x Filesystem::/dev/x::/mnt::\"/><evil/>::a&b 10.0.0.9/24/eth0}{\n";
    fs::write(node.path().join("etc/ha.d/haresources"), words).unwrap();
    let place = tempfile::tempdir().unwrap();
    for target in ["pacemaker", "keepalived"] {
        let out = place.path().join(target);
        let answer = export(target, node.path(), &out, true);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        for name in names(&out) {
            let text = fs::read_to_string(out.join(&name)).unwrap();
            assert!(!text.contains('\u{1}'), "{name}");
            if name != "MIGRATION.txt" {
                let breaks = name.starts_with("keepalived") && text.contains("}{");
                assert!(!text.contains("<evil") && !breaks, "{name} {text}");
            }
        }
    }
}

#[test]
fn the_command_line() {
    let words = |text: &str| parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let Ok(Command::Export(options)) = words("export keepalived --out /tmp/x --lossy") else {
        panic!("it is a command");
    };
    assert!(options.lossy && options.root.is_none());
    for wrong in [
        "export",
        "export keepalived",
        "export crmsh --out x",
        "export --out x",
    ] {
        assert_eq!(words(wrong).unwrap_err().code, 2, "{wrong}");
    }
}
