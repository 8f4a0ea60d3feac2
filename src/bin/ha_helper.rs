//! `ResourceManager`, `mach_down`, `req_resource`, `hb_standby`, `hb_takeover` and `script_output`:
//! one program, which does the work of the name by which it is called. When it is called by its own
//! name, the first argument is that name.

use std::io;
use std::process::ExitCode;

use systole::helper::{Call, run};
use systole::os::paths::Paths;

fn main() -> ExitCode {
    systole::os::sys::reset_child_signal();
    systole::os::blocked_signals::let_through();
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let mut program = words.next().unwrap_or_default();
    let mut args: Vec<String> = words.collect();
    if program.ends_with("ha_helper") && !args.is_empty() {
        program = args.remove(0);
    }
    let mut call = Call {
        program: program.clone(),
        args,
        paths: Paths::default(),
        variable: &|name| std::env::var(name).ok(),
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    ExitCode::from(run(&program, &mut call))
}
