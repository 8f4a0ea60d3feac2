//! What the daemon says, for all requests together: they share an answer, one question is under way at a time, and a
//! daemon that hangs holds nobody up for long.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use systole::cli::top::Told;
use systole::clients::control::{ControlError, Reply, Request, ask};
use systole::clock::{Clock, Monotonic};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// So long an answer is shown to everybody, a failure too.
const SAME_ANSWER: Duration = Duration::from_millis(250);

/// How long a question may take. The daemon waits two seconds for its parts, and one more for its media.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a request waits for the question that is under way.
const WAIT: Duration = Duration::from_secs(4);

/// What the daemon said, or why it did not.
pub(crate) type Answer = Result<Rc<Told>, String>;

/// The daemon, as one thread of the server knows it.
pub(crate) struct Daemon {
    socket: PathBuf,
    clock: Clock,
    last: RefCell<Last>,
    /// The number of answers so far.
    answers: watch::Sender<u64>,
}

#[derive(Default)]
struct Last {
    /// The last answer, and when it came.
    answer: Option<(Monotonic, Answer)>,
    /// When the question was asked that is under way.
    asked: Option<Monotonic>,
}

impl Daemon {
    /// One whose view socket this is.
    pub(crate) fn new(socket: PathBuf) -> Rc<Self> {
        Rc::new(Self {
            socket,
            clock: Clock::start(),
            last: RefCell::default(),
            answers: watch::Sender::new(0),
        })
    }

    /// Seconds since 1970.
    pub(crate) fn now_unix_s(&self) -> u64 {
        self.clock.now().unix_s
    }

    /// A young answer, or a new one.
    pub(crate) async fn tell(self: &Rc<Self>) -> Answer {
        let now = self.clock.now().instant;
        if let Some((at, answer)) = &self.last.borrow().answer
            && now.since(*at) < SAME_ANSWER
        {
            return answer.clone();
        }
        let mut answers = self.answers.subscribe();
        let under_way = self.last.borrow().asked;
        let asked = under_way.unwrap_or_else(|| {
            self.ask(now);
            now
        });
        let rest = WAIT.saturating_sub(now.since(asked));
        if timeout(rest, answers.changed()).await.is_err() {
            let seconds = WAIT.as_secs();
            return Err(format!("the daemon gives no answer within {seconds} s"));
        }
        let last = self.last.borrow();
        let answer = last.answer.as_ref().map(|(_, answer)| answer.clone());
        answer.unwrap_or_else(|| Err("the daemon was not asked".to_owned()))
    }

    /// Asks on a thread of its own: it may hang, and nothing waits for its end.
    fn ask(self: &Rc<Self>, now: Monotonic) {
        let (done, answer) = oneshot::channel();
        let socket = self.socket.clone();
        let asking = std::thread::Builder::new()
            .name("asks".to_owned())
            .spawn(move || drop(done.send(ask_all(&socket))));
        if let Err(error) = asking {
            return self.told(Err(format!("cannot start a thread: {error}")));
        }
        self.last.borrow_mut().asked = Some(now);
        let this = Rc::clone(self);
        actix_web::rt::spawn(async move {
            let answer = answer.await;
            let answer = answer.unwrap_or_else(|_| Err("asking the daemon failed".to_owned()));
            this.told(answer.map(Rc::new));
        });
    }

    fn told(&self, answer: Answer) {
        *self.last.borrow_mut() = Last {
            answer: Some((self.clock.now().instant, answer)),
            asked: None,
        };
        self.answers
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Everything that the daemon knows, and its decisions.
fn ask_all(socket: &Path) -> Result<Told, String> {
    let may_not = || format!("this user may not open {}", socket.display());
    let ask = |request| match ask(socket, &request, PATIENCE) {
        Err(ControlError::NotRoot) => Err(may_not()),
        reply => reply.map_err(|error| error.to_string()),
    };
    let view = ask(Request::View)?.view()?;
    if view.node.is_none() {
        // Who says nothing of the node says nothing of its decisions, and takes as long for that.
        let decisions = Err("membership does not answer".to_owned());
        return Ok(Told { view, decisions });
    }
    let decisions = match ask(Request::Why)? {
        Reply::Decisions { decisions } => Ok(decisions),
        Reply::Refused { reason } => Err(reason),
        _ => Err("the daemon answered another question".to_owned()),
    };
    Ok(Told { view, decisions })
}
