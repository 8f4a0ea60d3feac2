use super::*;
fn at(seconds: u64) -> Monotonic {
    Monotonic::from_duration(Duration::from_secs(seconds))
}

#[test]
fn three_deaths_within_a_minute_are_too_many() {
    let mut deaths = Deaths::default();
    assert!(!deaths.note(at(0)));
    assert!(!deaths.note(at(40)));
    assert!(!deaths.note(at(60)), "the first is a minute old");
    assert!(deaths.note(at(99)));
}

#[test]
fn a_lock_is_had_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lock");
    assert!(!is_taken(&path) && !path.exists());
    let first = take_lock(&path).unwrap();
    assert!(first.is_some());
    assert!(is_taken(&path));
    assert!(take_lock(&path).unwrap().is_none());
    drop(first);
    assert!(take_lock(&path).unwrap().is_some());
}

#[test]
fn only_a_whole_file_of_ours_is_believed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("held");
    assert!(read_held(&path).is_err());
    fs::write(&path, "-R\n-C\nall\n--\na").unwrap();
    assert!(read_held(&path).is_err(), "cut off");
    fs::write(&path, "-R\n-C\nall\n--\na\n").unwrap();
    assert_eq!(read_held(&path).unwrap(), ["-R", "-C", "all", "--", "a"]);
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(read_held(&link).is_err());
    assert!(read_held(directory.path()).is_err());
    // A part that ends with a line is not the whole either.
    let mut long = "-R\n-C\nall\n--\n".to_owned();
    while long.len() <= MAX_HELD_BYTES {
        long.push_str("0123456\n");
    }
    fs::write(&path, &long).unwrap();
    assert_eq!(read_held(&path).unwrap_err().to_string(), "too long");
}

/// What the program that releases is told, and so what the log says.
#[test]
fn a_daemon_that_is_not_started_again_has_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let paths = Paths::under(directory.path());
    let why = |program: &str| match revive(Path::new(program), &paths) {
        Ok(_) => panic!("started"),
        Err((why, error)) => (why, error.to_string()),
    };
    fs::create_dir_all(paths.held().parent().unwrap()).unwrap();
    assert_eq!(why("/bin/true").0, Why::HeldUnreadable);
    fs::write(paths.held(), "-R\n-C\nall\n--\na\n").unwrap();
    let (reason, error) = why("/nosuch/program");
    assert_eq!(reason, Why::NotStartable);
    assert!(error.contains("No such file"), "{error}");
    for why in [reason, Why::DiedOften, Why::Unreleased, Why::Orphaned] {
        assert_eq!(Why::from_word(why.word()), Some(why));
    }
    assert_eq!(Why::from_word(""), None);
}

/// A process that waits for its standard input to end.
fn sleeper() -> (Ward, UnixStream) {
    let (own, theirs) = UnixStream::pair().unwrap();
    #[expect(clippy::disallowed_methods, reason = "stands for the daemon")]
    let child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ward = Ward {
        pid: i32::try_from(child.id()).unwrap(),
        socket: own,
        child: Some(child),
    };
    (ward, theirs)
}

#[test]
fn last_words_count_before_the_death() {
    for (words, expected) in [
        (&b"b"[..], Watch::Died),
        (&b"bsd"[..], Watch::Dismissed),
        (&b"bu"[..], Watch::Unreleased),
    ] {
        let (mut ward, mut daemon) = sleeper();
        daemon.write_all(words).unwrap();
        let child = ward.child.as_mut().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let mut stopping = false;
        assert_eq!(watch(&mut ward, &mut stopping).unwrap(), expected);
        assert_eq!(stopping, words.contains(&STOPPING));
    }
}

#[test]
fn a_successor_of_a_stopping_daemon_is_told_to_stop() {
    let (mut ward, mut daemon) = sleeper();
    daemon.write_all(b"b").unwrap();
    let mut stopping = true;
    // The signal ends it: without it this would wait for ever.
    assert_eq!(watch(&mut ward, &mut stopping).unwrap(), Watch::Died);
}

#[test]
fn a_link_speaks_to_its_guardian_and_hears_its_end() {
    let link = Link::default();
    let (own, mut theirs) = UnixStream::pair().unwrap();
    assert!(!link.is_there());
    link.stopping();
    link.set(own);
    link.begun();
    link.unreleased();
    let mut heard = link.listener().unwrap();
    assert!(heard.as_fd().try_clone_to_owned().is_ok());
    link.dismiss();
    let mut words = [0; 4];
    theirs.read_exact(&mut words).unwrap();
    assert_eq!(&words, b"bsud");
    assert!(!link.is_there());
    drop(theirs);
    assert_eq!(heard.read(&mut words).unwrap(), 0);
}
