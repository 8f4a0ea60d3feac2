use std::io::Write;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::actors::supervise::{RestartPolicy, supervise};

struct Probe(mpsc::UnboundedSender<Injected>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<Injected> for Probe {
    type Result = ();

    fn handle(&mut self, injected: Injected, _: &mut Self::Context) {
        let _ = self.0.send(injected);
    }
}

struct Fixture {
    path: PathBuf,
    heard: mpsc::UnboundedReceiver<Injected>,
    _directory: TempDir,
    _fifo: Addr<FifoActor>,
}

impl Fixture {
    async fn new(before: impl FnOnce(&Path)) -> Self {
        let directory = TempDir::new().expect("tempdir");
        let path = directory.path().join("lib/fifo");
        before(&path);
        let (sender, heard) = mpsc::unbounded_channel();
        let injected = Probe(sender).start().recipient();
        let own = path.clone();
        let fifo = supervise(&Arbiter::current(), RestartPolicy::new("fifo"), |_| {
            FifoActor::new(own, injected, Clock::start())
        });
        for _ in 0..200 {
            if fs::metadata(&path).is_ok_and(|data| data.file_type().is_fifo()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self {
            path,
            heard,
            _directory: directory,
            _fifo: fifo,
        }
    }

    /// Writes as a script does: open, one write, close.
    async fn write(&self, text: &str) {
        let (path, text) = (self.path.clone(), text.to_owned());
        let write = move || {
            let mut file = fs::OpenOptions::new().append(true).open(path)?;
            file.write_all(text.as_bytes())
        };
        tokio::task::spawn_blocking(write)
            .await
            .expect("no panic")
            .expect("written");
    }

    async fn next(&mut self) -> String {
        let heard = timeout(Duration::from_secs(10), self.heard.recv()).await;
        let injected = heard.expect("in time").expect("probe");
        assert_eq!(injected.origin, Origin::Fifo);
        injected.message.to_string()
    }
}

const STANDBY: &str = ">>>\nt=ask_resources\nrsc_hold=all\ninfo=me\n<<<\n";

#[actix::test]
async fn messages_of_several_writers_arrive() {
    let mut fixture = Fixture::new(|_| ()).await;
    let mode = fs::metadata(&fixture.path).expect("fifo").mode();
    assert_eq!(mode & 0o777, 0o600);
    for _ in 0..3 {
        fixture.write(STANDBY).await;
        assert_eq!(fixture.next().await, "t=ask_resources rsc_hold=all info=me");
    }
}

#[actix::test]
async fn garbage_and_half_messages_do_not_hurt_the_next_one() {
    let mut fixture = Fixture::new(|_| ()).await;
    fixture.write("noise\n>>>\nt=lost\n>>>\nt=a\n<<<\n").await;
    assert_eq!(fixture.next().await, "t=a");
    fixture.write(">>>\nno equals sign\n<<<\n").await;
    fixture
        .write(&format!(">>>\nt={}\n<<<\n", "x".repeat(600)))
        .await;
    fixture.write(STANDBY).await;
    assert_eq!(fixture.next().await, "t=ask_resources rsc_hold=all info=me");
}

#[actix::test]
async fn a_message_in_pieces_is_put_together() {
    let mut fixture = Fixture::new(|_| ()).await;
    for piece in [">>>\nt=hb_ta", "keover\nrsc_", "hold=local\n<", "<<\n"] {
        fixture.write(piece).await;
    }
    assert_eq!(fixture.next().await, "t=hb_takeover rsc_hold=local");
}

#[actix::test]
async fn a_regular_file_in_its_place_is_replaced() {
    let mut fixture = Fixture::new(|path| {
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, STANDBY).expect("file");
    })
    .await;
    fixture.write(STANDBY).await;
    assert_eq!(fixture.next().await, "t=ask_resources rsc_hold=all info=me");
    assert!(
        fixture.heard.try_recv().is_err(),
        "what the file held is stale"
    );
}
