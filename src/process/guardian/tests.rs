use std::fs;
use std::io::Read as _;

use super::*;

#[test]
fn each_reason_has_a_word_of_its_own() {
    for why in Why::ALL {
        assert_eq!(Why::from_word(why.word()), Some(why));
    }
    assert_eq!(Why::from_word(""), None);
}

/// A guardian whose daemon is a program that writes down its words.
fn guard_of<'a>(own: &'a Path, program: &'a Path, paths: &'a Paths, lock: &'a File) -> Guard<'a> {
    let clock = Clock::start();
    Guard {
        own,
        program,
        paths,
        lock,
        told: Told::new(clock.now().instant),
        clock,
    }
}

#[test]
fn a_daemon_that_cannot_be_started_again_has_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::under(directory.path());
    fs::create_dir_all(paths.held().parent().unwrap()).unwrap();
    let lock = take_lock(&paths.guardian_lock()).unwrap().unwrap();
    let why = |program: &str| {
        let guard = guard_of(Path::new("/nosuch/own"), Path::new(program), &paths, &lock);
        guard.revive().err()
    };
    assert_eq!(why("/bin/true"), Some(Why::HeldUnreadable));
    fs::write(paths.held(), "-R\n-C\nall\n--\na\n").unwrap();
    assert_eq!(why("/nosuch/program"), Some(Why::NotStartable));
}

/// The daemon gets the words of a successor, and one that tells it only to release; also when what
/// was held cannot be read.
#[test]
fn a_daemon_that_only_releases_is_told_why() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::under(directory.path());
    fs::create_dir_all(paths.held().parent().unwrap()).unwrap();
    let lock = take_lock(&paths.guardian_lock()).unwrap().unwrap();
    let (program, seen) = (directory.path().join("p"), directory.path().join("seen"));
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" >{}\n", seen.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    // The program in the file may not know what it is to do.
    let guard = guard_of(&program, Path::new("/bin/true"), &paths, &lock);
    let words = || {
        let mut ward = guard.start_release(Why::DiedOften).unwrap();
        assert_eq!(ward.stage, Stage::Releasing);
        ward.child.as_mut().unwrap().wait().unwrap();
        fs::read_to_string(&seen).unwrap()
    };
    let nothing_known = "-R\n-C\nnone\nsystole: unknown\n--\nsystole: release died-often\n";
    assert_eq!(words(), nothing_known);
    fs::write(paths.held(), "-R\n-C\nall\n--\na\n").unwrap();
    assert_eq!(words(), "-R\n-C\nall\n--\na\nsystole: release died-often\n");
}

/// The disk has failed: the guardian must not end without a release while everything runs on.
#[test]
fn where_nothing_can_be_executed_the_guardian_releases_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::under(directory.path());
    fs::create_dir_all(paths.held().parent().unwrap()).unwrap();
    let lock = take_lock(&paths.guardian_lock()).unwrap().unwrap();
    let [own, program] = ["/nosuch/own", "/nosuch/program"].map(Path::new);
    let guard = guard_of(own, program, &paths, &lock);
    let words = ["not-startable", "no memory", ""].map(OsString::from);
    assert_eq!(
        guard.release_now(Why::NotStartable, "no memory"),
        Outcome::Release(words.to_vec())
    );
    // The scripts that the release calls must not inherit the lock.
    let flags = fcntl(&lock, FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags, libc::FD_CLOEXEC);
}

#[test]
fn a_link_speaks_to_its_guardian_and_hears_its_end() {
    let link = Link::default();
    let (own, mut theirs) = UnixStream::pair().unwrap();
    assert!(!link.is_there());
    link.others_wait(Some(Duration::from_millis(1800)));
    link.stopping();
    link.set(own);
    // No heartbeat was sent yet.
    link.introduce();
    link.beats();
    link.beats();
    // Another guardian.
    link.introduce();
    link.others_wait(Some(Duration::from_millis(1800)));
    link.others_wait(None);
    link.unreleased();
    let mut heard = link.listener().unwrap();
    link.dismiss();
    let mut words = String::new();
    theirs.set_nonblocking(true).unwrap();
    let _ = theirs.read_to_string(&mut words);
    assert_eq!(words, "=1800;=1800;bs=1800;bs=0;ud");
    assert!(!link.is_there());
    drop(theirs);
    assert_eq!(heard.read(&mut [0; 4]).unwrap(), 0);
}
