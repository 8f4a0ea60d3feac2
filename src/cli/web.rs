//! The command line of `systole-web`. The program is in `src/bin/systole-web`: nothing of it is in the daemon. Its
//! help, manual page and completions are made from the definition here, as those of [`super::systole`].

use std::iter;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser};

use super::control_commands::Answer;
use super::systole::{EXIT_USAGE, section};

/// Where it listens if nothing else is said.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9694);

/// Longest name of `--host`: that of a host of the Internet.
const MAX_NAME_BYTES: usize = 253;

/// A page about both nodes, for a browser, a load balancer and Prometheus
///
/// Asks the heartbeat node on this machine and answers over HTTP: / is a page about both nodes
/// that needs no JavaScript, /status.json what systole status --json prints, /metrics what
/// systole metrics prints, /healthz whether this node serves or could serve, /owner/GROUP
/// whether the group runs here. It can change nothing: it reads the view socket of the daemon,
/// /run/heartbeat.view, on which no order is possible. Root and the group systole-view may open
/// that. There is no login and no encryption: whoever reaches the address sees the page. On
/// the loopback address that is every user of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(
    name = "systole-web",
    version,
    verbatim_doc_comment,
    after_help = "Exit codes: 0 ended by a signal; 1 it cannot listen; 2 usage.",
    after_long_help = [
        section("Exit codes", CODES),
        section("Example", EXAMPLE),
        section("See also", "systole(8), heartbeat(8)"),
    ].join("\n")
)]
pub struct WebOptions {
    /// Where to listen: an address and a port, as 192.0.2.1:9694 or [::1]:9694
    #[arg(long, value_name = "ADDR:PORT", default_value_t = DEFAULT_LISTEN, value_parser = listen)]
    pub listen: SocketAddr,
    /// A name under which browsers ask for the page; may be given more than once
    ///
    /// A request that names another host is refused, so that a foreign page cannot read this
    /// one through its own name. localhost and the address of --listen are always good.
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub host: Vec<String>,
    /// The view socket of the daemon
    #[arg(long, value_name = "PATH", default_value = "/run/heartbeat.view")]
    pub socket: PathBuf,
}

const CODES: &str = "\
0  it was ended by a signal
1  it cannot listen there
2  the command line cannot be understood";

const EXAMPLE: &str = "\
# systemctl enable --now systole-web
# curl -s http://127.0.0.1:9694/healthz
OK: alpha serves 1 of 1 groups";

fn listen(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<SocketAddr>();
    address.map_err(|_| "is no address with a port, as 127.0.0.1:9694 or [::1]:9694".to_owned())
}

/// A name without a port, in small letters.
fn name(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let name = text.trim_end_matches('.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(good) {
        return Err("is no name of a host, as ha.example.org, without a port".to_owned());
    }
    Ok(name.to_ascii_lowercase())
}

/// The definition, for the manual page and shell completions.
#[must_use]
pub fn definition() -> clap::Command {
    WebOptions::command()
}

/// Reads `words`, without the program's name.
///
/// # Errors
/// What to print instead, with the exit code: the help or the version that was asked for, or one line that tells
/// what is wrong.
pub fn parse(words: &[String]) -> Result<WebOptions, Answer> {
    let all = iter::once("systole-web").chain(words.iter().map(String::as_str));
    let error = match WebOptions::try_parse_from(all) {
        Ok(options) => return Ok(options),
        Err(error) => error,
    };
    Err(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            Answer::out(error.render().to_string(), 0)
        }
        _ => Answer::err(fault(&error), EXIT_USAGE),
    })
}

/// One line: what is wrong, and where the help is.
fn fault(error: &clap::Error) -> String {
    use std::error::Error as _;
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    let word = of(ContextKind::InvalidValue).or_else(|| of(ContextKind::InvalidArg));
    let what = match (word, error.source(), error.kind()) {
        (Some(word), Some(why), ErrorKind::ValueValidation) => format!("{word:?} {why}"),
        (Some(word), _, ErrorKind::UnknownArgument) => format!("unknown word {word:?}"),
        _ => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            first.trim_start_matches("error: ").to_owned()
        }
    };
    format!("systole-web: {what} (systole-web --help)\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<WebOptions, Answer> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words)
    }

    #[test]
    fn the_definition_is_whole() {
        definition().debug_assert();
    }

    #[test]
    fn it_listens_on_loopback_unless_told() {
        let options = read(&[]).unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:9694");
        assert_eq!(options.socket, PathBuf::from("/run/heartbeat.view"));
        assert!(options.host.is_empty());
        let words = [
            "--listen",
            "[::]:80",
            "--host",
            "HA.example.org.",
            "--host=beta",
        ];
        let options = read(&words).unwrap();
        assert_eq!(options.listen.to_string(), "[::]:80");
        assert_eq!(options.host, ["ha.example.org", "beta"]);
    }

    #[test]
    fn nonsense_gets_one_clear_line() {
        for (words, line) in [
            (
                &["--listen", "localhost:80"][..],
                "\"localhost:80\" is no address with a port, as 127.0.0.1:9694 or [::1]:9694",
            ),
            (
                &["--listen", "127.0.0.1"],
                "\"127.0.0.1\" is no address with a port, as 127.0.0.1:9694 or [::1]:9694",
            ),
            (
                &["--listen", "1.2.3.4:99999"],
                "\"1.2.3.4:99999\" is no address with a port, as 127.0.0.1:9694 or [::1]:9694",
            ),
            (
                &["--host", "a b"],
                "\"a b\" is no name of a host, as ha.example.org, without a port",
            ),
            (
                &["--host", "beta:9694"],
                "\"beta:9694\" is no name of a host, as ha.example.org, without a port",
            ),
            (&["--port", "80"], "unknown word \"--port\""),
            (&["start"], "unknown word \"start\""),
        ] {
            let answer = read(words).unwrap_err();
            let expected = format!("systole-web: {line} (systole-web --help)\n");
            assert_eq!((answer.stderr, answer.code), (expected, 2));
        }
    }
}
