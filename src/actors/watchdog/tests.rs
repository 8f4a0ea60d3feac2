use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

/// A named pipe as the device.
struct Pipe {
    path: PathBuf,
    reader: Option<File>,
    _place: tempfile::TempDir,
}

impl Pipe {
    fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("watchdog");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
        let mut pipe = Self {
            path,
            reader: None,
            _place: place,
        };
        pipe.listen();
        pipe
    }

    fn listen(&mut self) {
        let mut options = std::fs::OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NONBLOCK);
        self.reader = Some(options.open(&self.path).expect("a reader"));
    }

    /// What was written since the last call, and whether the device is closed.
    fn taken(&mut self) -> (String, bool) {
        let mut bytes = [0; 8192];
        let reader = self.reader.as_mut().expect("a reader");
        let mut text = String::new();
        loop {
            match reader.read(&mut bytes) {
                Ok(0) => return (text, true),
                Ok(count) => text.extend(bytes[..count].iter().copied().map(char::from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (text, false),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn setup(&self) -> WatchdogSetup {
        WatchdogSetup {
            path: self.path.clone(),
            opened: None,
            armed: false,
            times: Times {
                keepalive: Duration::from_secs(10),
                deadtime: Duration::from_secs(30),
            },
            leaving: Leaving::default(),
        }
    }
}

fn begin(setup: WatchdogSetup) -> Addr<WatchdogActor> {
    start(&actix_rt::Arbiter::current(), setup)
}

async fn beat(watchdog: &Addr<WatchdogActor>) {
    let owes_release = false;
    watchdog
        .send(OwnBeat {
            owes_release,
            idle: false,
        })
        .await
        .expect("alive");
}

async fn tell(watchdog: &Addr<WatchdogActor>, what: Tell) {
    watchdog.send(what).await.expect("alive");
}

async fn report(watchdog: &Addr<WatchdogActor>) -> WatchdogReport {
    watchdog.send(AskWatchdog).await.expect("alive")
}

#[actix::test]
async fn each_own_heartbeat_feeds_and_the_end_stops_it() {
    let mut pipe = Pipe::new();
    let watchdog = begin(pipe.setup());
    let report = report(&watchdog).await;
    assert_eq!((report.armed, report.interval_s), (true, None));
    assert_eq!(report.trouble, None);
    assert_eq!(pipe.taken(), (String::new(), false), "armed, not fed");
    for _ in 0..3 {
        beat(&watchdog).await;
    }
    assert_eq!(pipe.taken(), ("\0\0\0".to_owned(), false));
    tell(&watchdog, Tell::End).await;
    beat(&watchdog).await;
    assert_eq!(pipe.taken(), ("V".to_owned(), true));
}

#[actix::test]
async fn a_process_that_replaces_itself_leaves_it_armed_unless_another_program_comes() {
    let mut pipe = Pipe::new();
    let watchdog = begin(pipe.setup());
    tell(&watchdog, Tell::Replace { other: false }).await;
    tell(&watchdog, Tell::Stay).await;
    beat(&watchdog).await;
    assert_eq!(pipe.taken(), ("\0\0".to_owned(), false));
    tell(&watchdog, Tell::Replace { other: true }).await;
    beat(&watchdog).await;
    assert_eq!(pipe.taken(), ("V".to_owned(), true));
    tell(&watchdog, Tell::Stay).await;
    beat(&watchdog).await;
    assert_eq!(pipe.taken(), ("\0".to_owned(), false));
}

#[actix::test]
async fn what_takes_nothing_is_opened_again() {
    let mut pipe = Pipe::new();
    let watchdog = begin(pipe.setup());
    beat(&watchdog).await;
    // The reader is gone.
    pipe.reader = None;
    beat(&watchdog).await;
    let trouble = report(&watchdog).await;
    assert!(!trouble.armed && trouble.trouble.is_some(), "{trouble:?}");
    pipe.listen();
    beat(&watchdog).await;
    assert_eq!(pipe.taken(), ("\0".to_owned(), false));
    assert_eq!(report(&watchdog).await.trouble, None);
}

/// A reader that does not read is no reason to close it.
#[actix::test]
async fn a_full_pipe_stays_open() {
    let mut pipe = Pipe::new();
    let watchdog = begin(pipe.setup());
    let (mut filler, full) = (
        File::options().write(true).open(&pipe.path).expect("it"),
        [1; 65_536],
    );
    std::io::Write::write_all(&mut filler, &full).expect("a pipe holds so much");
    drop(filler);
    beat(&watchdog).await;
    let trouble = report(&watchdog).await;
    assert!(trouble.armed && trouble.trouble.is_some(), "{trouble:?}");
    let (text, closed) = pipe.taken();
    assert_eq!((text.len(), closed), (full.len(), false));
    beat(&watchdog).await;
    assert_eq!(pipe.taken(), ("\0".to_owned(), false));
    assert_eq!(report(&watchdog).await.trouble, None);
}

#[actix::test]
async fn nothing_that_is_no_device_is_written_to() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("file");
    std::fs::write(&file, "kept").expect("a file");
    let directory = place.path().to_owned();
    for path in [file.clone(), directory, place.path().join("nothing")] {
        let setup = WatchdogSetup {
            path: path.clone(),
            ..Pipe::new().setup()
        };
        let watchdog = begin(setup);
        beat(&watchdog).await;
        tell(&watchdog, Tell::End).await;
        let report = report(&watchdog).await;
        assert!(!report.armed && report.trouble.is_some(), "{report:?}");
    }
    assert_eq!(std::fs::read(&file).expect("the file"), b"kept");
}

#[test]
fn a_device_that_is_left_is_stopped() {
    let mut pipe = Pipe::new();
    stand_down(&pipe.path).expect("stopped");
    assert_eq!(pipe.taken(), ("V".to_owned(), true));
    // Nobody is there who could fire.
    pipe.reader = None;
    stand_down(&pipe.path).expect("no reader");
    stand_down(Path::new("/nonexistent/watchdog")).expect("no device");
    assert!(stand_down(Path::new("/")).is_err());
}

/// The device of a node that goes on is stopped at its end, even if it could not be used meanwhile.
#[actix::test]
async fn what_a_predecessor_has_armed_is_stopped_at_the_end() {
    let mut pipe = Pipe::new();
    pipe.reader = None;
    let watchdog = begin(WatchdogSetup {
        armed: true,
        ..pipe.setup()
    });
    assert!(!report(&watchdog).await.armed);
    pipe.listen();
    tell(&watchdog, Tell::End).await;
    assert_eq!(pipe.taken(), ("V".to_owned(), true));
}
