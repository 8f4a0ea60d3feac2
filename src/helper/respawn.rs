//! `cl_respawn`: runs a program and starts it again whenever it ends, until it ends with the magic
//! code. Works without the daemon. Spec: docs/protocol/tools.md, 4.1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::Call;
use crate::actors::threads;
use crate::cli::getopt::{Getopt, Given};
use crate::clock::Clock;
use crate::process::files;

const USAGE: &str = "\
Usage cl_respawn [<options>] <monitored_program> [<arg1>] [<arg2>] ...
Options are as below:
-m magic_exit_code
	Exit code with which the program is not started again (default 100).
-i interval, -w warntime
	In ms, for apphbd; accepted, without effect.
-p pidfile
	File for our process id; with a living process in it we end at once.
-r, -l	Accepted, without effect.
-h	This text.
";

/// Exit code of the program with which it is not started again.
const MAGIC_CODE: i32 = 100;

/// A program that lived for a shorter time is started again only after a pause.
const QUICK: Duration = Duration::from_secs(1);

/// That pause.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the program may take to end when this process is asked to end.
const KILL_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq, Eq)]
struct Options {
    magic: i32,
    pid_file: Option<PathBuf>,
    program: Vec<String>,
}

/// `Err`: the exit code after the help text.
fn options(args: &[String]) -> Result<Options, u8> {
    let mut options = Options {
        magic: MAGIC_CODE,
        pid_file: None,
        program: Vec::new(),
    };
    let mut given = Getopt::new("hrlm:i:w:p:", args.iter().cloned());
    for one in given.by_ref() {
        match one {
            Given::Flag('h') => return Err(0),
            Given::Value('m', code) => options.magic = code.parse().map_err(|_| 2)?,
            Given::Value('p', path) => options.pid_file = Some(PathBuf::from(path)),
            Given::Flag(_) | Given::Value(..) => {}
            Given::Word(program) => {
                options.program.push(program);
                break;
            }
            Given::Bad(_) => return Err(2),
        }
    }
    options.program.extend(given.rest());
    if options.program.is_empty() {
        Err(2)
    } else {
        Ok(options)
    }
}

pub(super) fn cl_respawn(call: &mut Call<'_>) -> u8 {
    let options = match options(&call.args) {
        Ok(options) => options,
        Err(code) => {
            call.print(USAGE.trim_end());
            return code;
        }
    };
    if let Some(path) = &options.pid_file {
        if let Some(pid) = living(path) {
            call.complain(&format!("cl_respawn: already running, process {pid}"));
            return 0;
        }
        let text = format!("{:>10}\n", std::process::id());
        if let Err(error) = files::replace_with_mode(path, text.as_bytes(), 0o644) {
            call.complain(&format!(
                "cl_respawn: cannot write {}: {error}",
                path.display()
            ));
            return 1;
        }
    }
    let _ = setsid();
    let _ = std::env::set_current_dir("/");
    let code = keep(&options);
    if let Some(path) = &options.pid_file {
        let _ = fs::remove_file(path);
    }
    code
}

/// The process that a pid file names, if it lives.
fn living(path: &Path) -> Option<i32> {
    let pid: i32 = fs::read_to_string(path).ok()?.trim().parse().ok()?;
    let alive = pid > 0 && kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH);
    alive.then_some(pid)
}

/// Runs the program until it is done or this process is asked to end.
fn keep(options: &Options) -> u8 {
    let Some((program, args)) = options.program.split_first() else {
        return 2;
    };
    match threads::block_on(respawn(program, args, options.magic)) {
        Ok(Ok(())) => 0,
        Ok(Err(_)) | Err(_) => 1,
    }
}

async fn respawn(program: &str, args: &[String], magic: i32) -> io::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let clock = Clock::start();
    loop {
        let began = clock.now().instant;
        let started = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        // As if it had ended with the magic code: another try would not help.
        let Ok(mut child) = started else {
            return Ok(());
        };
        tokio::select! {
            status = child.wait() => {
                if status?.code() == Some(magic) {
                    return Ok(());
                }
            }
            _ = end.recv() => return stop(&mut child).await,
            _ = interrupt.recv() => return stop(&mut child).await,
        }
        if clock.now().instant.since(began) >= QUICK {
            continue;
        }
        tokio::select! {
            () = sleep(PAUSE) => {}
            _ = end.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// Ends the program: TERM, then KILL.
async fn stop(child: &mut Child) -> io::Result<()> {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if timeout(KILL_AFTER, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, u8> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        options(&words)
    }

    #[test]
    fn options_end_at_the_program() {
        let read_options = read("-m 7 -i2000 -w 6000 -rl -p /run/x.pid prog -m 3").unwrap();
        assert_eq!(read_options.magic, 7);
        assert_eq!(read_options.pid_file, Some(PathBuf::from("/run/x.pid")));
        assert_eq!(read_options.program, ["prog", "-m", "3"]);
        assert_eq!(read("-- -odd").unwrap().program, ["-odd"]);
    }

    #[test]
    fn help_and_wrong_usage() {
        assert_eq!(read("-h prog"), Err(0));
        for words in ["", "-Z prog", "-m", "-m x prog", "-r"] {
            assert_eq!(read(words), Err(2), "{words}");
        }
    }
}
