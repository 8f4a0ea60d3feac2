//! `systole`: asks the running node, for people and for programs. `systole::cli::view` formats the
//! answers.

use std::process::ExitCode;
use std::time::Duration;

use systole::cli::check::{self, Verdict};
use systole::cli::control_commands::Answer;
use systole::cli::systole::{Command, FenceCommand, MoveOptions, parse};
use systole::cli::view::{as_json, decision_line, for_people, line_of_report, present_state};
use systole::cli::{self, doctor, fence, print, reload};
use systole::clients::api_client::{ApiClient, ApiError};
use systole::clients::control::{ControlError, FenceReport, Reply, Request, View, ask};
use systole::clock::{Clock, Monotonic};
use systole::helper::Call;
use systole::helper::verbs::{Move, Way};
use systole::os::accounts::name_of_user;
use systole::os::paths::Paths;
use systole::protocol::message::Message;

/// The daemon answers at once; a longer wait means that it does not work.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a freeze waits for resources in transition.
const SETTLES: Duration = Duration::from_secs(60);

/// Pause between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

const FROZEN: &str = "frozen: no resource is started or stopped until systole thaw\n";
const THAWED: &str = "thawed: resources are managed again\n";

fn main() -> ExitCode {
    let command = match parse(&cli::words()) {
        Ok(command) => command,
        Err(answer) => return finish(&answer),
    };
    match command {
        Command::Status { json: false } => view(for_people),
        Command::Status { json: true } => view(as_json),
        Command::Check { json } => check_node(json),
        Command::Standby(options) => move_groups("standby", Way::Away, &options),
        Command::Takeover(options) => move_groups("takeover", Way::Here, &options),
        Command::Reload { wait } => finish(&reload::reload(&Paths::default(), wait)),
        Command::View => view(as_json),
        Command::Why => why(),
        Command::Doctor(options) => {
            if options.unhurried {
                let _ = rustix::process::nice(19);
            }
            finish(&doctor::run(&options))
        }
        Command::Freeze => maintain("freeze", FROZEN),
        Command::Thaw => maintain("thaw", THAWED),
        Command::Fence(command) => fence_devices(&command),
    }
}

/// Asks the daemon, and judges for a monitoring system.
fn check_node(json: bool) -> ExitCode {
    let verdict = match ask_control(&Request::View, PATIENCE) {
        Ok(Reply::View(view)) => check::judge(&view),
        Ok(Reply::Refused { reason }) => Verdict::unknown(reason),
        Ok(_) => Verdict::unknown("the daemon answered another question"),
        Err(error) => Verdict::unknown(error.to_string()),
    };
    print(&if json {
        as_json(&verdict)
    } else {
        verdict.line()
    });
    ExitCode::from(verdict.state.code())
}

/// Has groups moved.
fn move_groups(name: &str, way: Way, options: &MoveOptions) -> ExitCode {
    let mut call = Call {
        program: format!("systole {name}"),
        args: Vec::new(),
        paths: Paths::default(),
        variable: &|name| std::env::var(name).ok(),
        out: &mut std::io::stdout(),
        err: &mut std::io::stderr(),
    };
    let wanted = Move {
        way,
        set: options.set(),
        wait: options.wait,
        force: options.force,
    };
    ExitCode::from(wanted.carry_out(&mut call))
}

fn finish(answer: &Answer) -> ExitCode {
    print(&answer.stdout);
    eprint!("{}", answer.stderr);
    ExitCode::from(answer.code)
}

/// Asks about fencing, for root.
fn fence_devices(command: &FenceCommand) -> ExitCode {
    let (request, patience) = match command {
        FenceCommand::List { .. } | FenceCommand::Status { .. } => (Request::Fence, PATIENCE),
        FenceCommand::Test { node, .. } => {
            let patience = match ask_control(&Request::Fence, PATIENCE) {
                Ok(Reply::Fence(report)) => longest_test(&report),
                Ok(_) => PATIENCE,
                Err(error) => return fail_at_control(&error),
            };
            (Request::FenceTest { node: node.clone() }, patience)
        }
        FenceCommand::Confirm { node } => {
            let (node, by) = (node.clone(), person());
            (Request::FenceConfirm { node, by }, PATIENCE)
        }
    };
    let reply = match ask_control(&request, patience) {
        Ok(reply) => reply,
        Err(error) => return fail_at_control(&error),
    };
    match (reply, command) {
        (Reply::Fence(report), FenceCommand::List { json }) => {
            show_fence(&report, *json, fence::list, fence::all_known)
        }
        (Reply::Fence(report), FenceCommand::Status { json }) => {
            show_fence(&report, *json, fence::status, fence::all_work)
        }
        (Reply::Fence(report), FenceCommand::Test { node, json }) => {
            let show = |report: &FenceReport| fence::test(report, node);
            show_fence(&report, *json, show, fence::can_reset)
        }
        (Reply::Confirmed, FenceCommand::Confirm { node }) => {
            print(&format!("confirmed: {node} counts as reset\n"));
            ExitCode::SUCCESS
        }
        (Reply::Refused { reason }, _) => fail(&reason, 1),
        _ => fail("the daemon answered another question", 1),
    }
}

fn show_fence(
    report: &FenceReport,
    json: bool,
    show: impl Fn(&FenceReport) -> String,
    good: fn(&FenceReport) -> bool,
) -> ExitCode {
    print(&if json { as_json(report) } else { show(report) });
    ExitCode::from(u8::from(!good(report)))
}

/// Two calls of each device, and what it takes to end them.
fn longest_test(report: &FenceReport) -> Duration {
    let devices = u64::try_from(report.devices.len()).unwrap_or(u64::MAX);
    let one = report.time_limit_s.saturating_add(15).saturating_mul(2);
    PATIENCE.saturating_add(Duration::from_secs(one.saturating_mul(devices)))
}

/// Who gives this command: the one who logged in, for the log.
fn person() -> String {
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login: Option<u32> = login.and_then(|text| text.trim().parse().ok());
    // The highest number stands for nobody.
    let login = login.filter(|uid| *uid != u32::MAX).and_then(name_of_user);
    let sudo = std::env::var("SUDO_USER").ok();
    let login = login.or(sudo);
    login.unwrap_or_else(|| "root".to_owned())
}

fn ask_control(request: &Request, patience: Duration) -> Result<Reply, ControlError> {
    ask(&Paths::default().control(), request, patience)
}

fn fail_at_control(error: &ControlError) -> ExitCode {
    let code = if matches!(error, ControlError::NoDaemon { .. }) {
        3
    } else {
        1
    };
    fail(&error.to_string(), code)
}

/// Prints what the daemon reports, for users that may read the control socket.
fn view(show: fn(&View) -> String) -> ExitCode {
    match ask_control(&Request::View, PATIENCE) {
        Ok(Reply::View(view)) => {
            print(&show(&view));
            let active = view
                .node
                .as_ref()
                .is_some_and(|node| node.status == "active");
            ExitCode::from(u8::from(!active))
        }
        Ok(Reply::Refused { reason }) => fail(&reason, 1),
        Ok(Reply::Group(_) | Reply::Decisions { .. } | Reply::Fence(_) | Reply::Confirmed) => {
            fail("the daemon answered another question", 1)
        }
        Err(error) => fail_at_control(&error),
    }
}

/// Asks over the client socket; a freeze waits until resources are no longer in transition.
fn maintain(order: &str, done: &str) -> ExitCode {
    let clock = Clock::start();
    let until = clock.now().instant + SETTLES;
    let mut said = false;
    loop {
        match ask_daemon(order) {
            Ok(_) => {
                print(done);
                return ExitCode::SUCCESS;
            }
            Err(ApiError::BadRequest(why))
                if why.starts_with("not now") && clock.now().instant < until =>
            {
                if !said {
                    eprintln!("systole: {why}; waiting");
                    said = true;
                }
                pause(&clock);
            }
            Err(error) => return fail_as_client(&error),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a short-lived program with nothing else to do"
)]
fn pause(clock: &Clock) {
    let until: Monotonic = clock.now().instant + AGAIN;
    std::thread::sleep(until.since(clock.now().instant));
}

fn ask_daemon(what: &str) -> Result<Vec<Message>, ApiError> {
    let mut client = ApiClient::sign_on(&Paths::default().register())?;
    let request = client.request("systole").with("subt", what);
    let answers = client.ask(&request);
    client.sign_off();
    answers
}

fn fail_as_client(error: &ApiError) -> ExitCode {
    match error {
        ApiError::NoDaemon => fail("no daemon listens on the client socket (yet)", 3),
        ApiError::BadRequest(why) if why.is_empty() => {
            fail("the daemon does not know this: it is not Systole", 1)
        }
        ApiError::BadRequest(why) if why == "EPERM" => {
            fail("only root and the group haclient may do that", 1)
        }
        error => fail(&error.to_string(), 1),
    }
}

/// The client socket is open when the node is active; the control socket is always open, for root.
fn why() -> ExitCode {
    let control = Paths::default().control();
    let decided = ask_daemon("why").map(|answers| {
        let lines = answers.iter().filter_map(decision_line);
        lines.collect::<String>()
    });
    let mut lines = match decided {
        Ok(lines) => lines,
        Err(ApiError::NoDaemon) => match ask(&control, &Request::Why, PATIENCE) {
            Ok(Reply::Decisions { decisions }) => decisions.iter().map(line_of_report).collect(),
            Ok(_) | Err(_) => return fail_as_client(&ApiError::NoDaemon),
        },
        Err(error) => return fail_as_client(&error),
    };
    if lines.is_empty() {
        lines.push_str("nothing was decided yet\n");
    }
    // Not every user may ask this way; then this part is left out.
    if let Ok(Reply::View(View {
        node: Some(node), ..
    })) = ask(&control, &Request::View, PATIENCE)
    {
        lines.push_str(&present_state(&node));
    }
    print(&lines);
    ExitCode::SUCCESS
}

fn fail(text: &str, code: u8) -> ExitCode {
    eprintln!("systole: {text}");
    ExitCode::from(code)
}
