use super::*;
use crate::protocol::group::GroupKey;
use crate::resources::holding::HoldingSet;

struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn with(text: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("held");
        fs::write(&path, text).unwrap();
        Self {
            _directory: directory,
            path,
        }
    }

    fn state(&self) -> Result<NodeState, String> {
        let kept = read(&self.path).map_err(|error| error.to_string())?;
        kept.into_state().map_err(|error| error.to_string())
    }

    fn words(&self) -> Vec<String> {
        read(&self.path).unwrap().into_words()
    }

    /// The set with which a daemon goes on that was started with these words, and its complaint.
    fn handed_over(&self, told: &[&str]) -> (Option<HoldingSet>, Option<String>) {
        let told = told.iter().map(|word| (*word).to_owned());
        let (state, complaint) = handed_over(&self.path, told.collect());
        (state.map(|state| state.holding), complaint)
    }
}

/// The state in the JSON differs from that in the words, so that the test sees which one counts.
const ALL: &str = r#"systole: state {"readable_by":1,"state":{"holding":"all"}}"#;

#[test]
fn only_a_whole_file_of_ours_is_believed() {
    let place = Place::with("-R\n-C\nall\n--\na");
    assert!(read(&place.path).is_err(), "cut off");
    fs::write(&place.path, "-R\n-C\nall\n--\na\n").unwrap();
    assert_eq!(place.words(), ["-R", "-C", "all", "--", "a"]);
    let link = place.path.with_extension("link");
    std::os::unix::fs::symlink(&place.path, &link).unwrap();
    assert!(read(&link).is_err());
    assert!(read(place.path.parent().unwrap()).is_err());
    fs::write(&place.path, b"-R\n-C\nall\n--\n\xff\n").unwrap();
    assert!(read(&place.path).is_err());
    // A part that ends with a line is not the whole either.
    let mut long = "-R\n-C\nall\n--\n".to_owned();
    while long.len() <= MAX_BYTES {
        long.push_str("0123456\n");
    }
    fs::write(&place.path, &long).unwrap();
    assert_eq!(read(&place.path).unwrap_err().to_string(), "too long");
}

/// A guardian passes on what it does not understand: a daemon of another version may understand it.
#[test]
fn words_of_another_version_are_passed_on_and_not_understood() {
    let place = Place::with("-R\n-C\nall\n-Z\nsystole: new\n--\na\nsystole: newer b\n");
    let words = [
        "-R",
        "-C",
        "all",
        "-Z",
        "systole: new",
        "--",
        "a",
        "systole: newer b",
    ];
    assert_eq!(place.words(), words);
    assert_eq!(place.state().unwrap_err(), "unknown option -Z");
}

#[test]
fn the_json_counts_and_the_words_where_it_cannot_be_used() {
    let with = |json: &str| Place::with(format!("-R\n-C\nlocal\n{json}--\na\n"));
    let place = with(&format!("{ALL}\n"));
    assert_eq!(place.state().unwrap().holding, HoldingSet::ALL);
    assert_eq!(place.words(), ["-R", "-C", "local", "--", "a"]);
    for json in [
        "",
        "systole: state {\"readable_by\":1,\"state\":{\n",
        "systole: state {\"readable_by\":7,\"state\":{\"holding\":\"all\"}}\n",
    ] {
        let state = with(json).state().unwrap();
        assert_eq!(state.holding, HoldingSet::LOCAL, "{json}");
        assert_eq!(state.may_run().count(), 1);
    }
}

/// A later version may drop the words.
#[test]
fn json_alone_is_read_and_gives_the_words() {
    let text = r#"{"version":9,"readable_by":1,"state":{"holding":"all","groups":{"a":{"may_run":true}}}}"#;
    let place = Place::with(text);
    assert_eq!(place.words(), ["-R", "-C", "all", "--", "a"]);
    assert_eq!(place.state().unwrap().may_run().count(), 1);
    let newer = Place::with(r#"{"version":9,"readable_by":9,"state":{}}"#);
    assert!(newer.state().unwrap_err().contains("only version 9"));
    assert!(Place::with("{\"readable_by\":1,").state().is_err());
}

#[test]
fn the_file_counts_where_it_is_about_the_same_words() {
    let place = Place::with(format!("-R\n-C\nlocal\n{ALL}\n--\na\n"));
    let same = ["-R", "-C", "local", "--", "a"];
    assert_eq!(place.handed_over(&same), (Some(HoldingSet::ALL), None));
    // A guardian of an earlier version passes on all lines.
    let whole = ["-R", "-C", "local", ALL, "--", "a"];
    assert_eq!(place.handed_over(&whole).0, Some(HoldingSet::ALL));
    let released = [
        "-R",
        "-C",
        "local",
        "--",
        "a",
        "systole: release died-often",
    ];
    assert_eq!(place.handed_over(&released).0, Some(HoldingSet::ALL));
    // The words come from a person, or the file was written anew meanwhile.
    assert_eq!(
        place.handed_over(&["-R", "-C", "local", "--"]),
        (None, None)
    );
    assert_eq!(place.handed_over(&["-R"]), (None, None));
}

#[test]
fn without_such_a_file_the_command_line_counts() {
    let foreign = ALL.replace("all", "foreign");
    let told = ["-R", "-C", "local", &foreign, "--", "a"];
    let place = Place::with("-R\n-C\nlocal\n--\nb\n");
    assert_eq!(place.handed_over(&told).0, Some(HoldingSet::FOREIGN));
    fs::write(&place.path, "cut").unwrap();
    assert_eq!(place.handed_over(&told).0, Some(HoldingSet::FOREIGN));
    fs::remove_file(&place.path).unwrap();
    assert_eq!(place.handed_over(&told).0, Some(HoldingSet::FOREIGN));
    // The same beside an earlier file with the same words: the process that gave the words has no
    // file.
    fs::write(&place.path, format!("-R\n-C\nlocal\n{ALL}\n--\na\n")).unwrap();
    assert_eq!(place.handed_over(&told).0, Some(HoldingSet::FOREIGN));
    // An older program has replaced the file as a whole: what it wrote counts.
    fs::write(&place.path, "-R\n-C\nlocal\n--\na\n").unwrap();
    assert_eq!(
        place.handed_over(&["-R", "-C", "local", "--", "a"]),
        (None, None)
    );
}

#[test]
fn a_state_that_cannot_be_used_is_said_with_file_and_reason() {
    let broken = ALL.replace("all", "most");
    let place = Place::with(format!("-R\n-C\nlocal\n{broken}\n--\n"));
    let (state, complaint) = place.handed_over(&["-R", "-C", "local", "--"]);
    assert_eq!(state, None);
    let text = complaint.unwrap();
    assert!(
        text.starts_with(&format!("{}: ", place.path.display())),
        "{text}"
    );
    assert!(text.contains("no set: \"most\""), "{text}");
}

#[test]
fn what_is_written_is_read_by_old_and_new() {
    let place = Place::with("");
    let mut file = StateFile::begin(Some(place.path.clone()), NodeState::default());
    file.change(|state| {
        state.holding = HoldingSet::LOCAL;
        state.group(&GroupKey::new("a")).may_run = true;
    });
    assert_eq!(&place.state().unwrap(), file.state());
    assert_eq!(place.words(), ["-R", "-C", "local", "--", "a"]);
    assert_eq!(place.words(), file.successor_words());
    let told = place.words();
    let (state, complaint) = handed_over(&place.path, told);
    assert_eq!((state.as_ref(), complaint), (Some(file.state()), None));
    assert!(!file.is_unwritten());
}
