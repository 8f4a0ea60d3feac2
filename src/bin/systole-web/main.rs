//! `systole-web`: a page about both nodes of a pair, over HTTP, for browsers, load balancers and Prometheus. A program
//! of its own with no right but to read the daemon's view socket: the daemon listens on no network port.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod connections;
mod daemon;
mod host;
mod page;
mod site;
mod verdicts;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::{App, HttpServer, web};
use systole::cli::web::{WebOptions, parse};
use systole::cli::{print, words};
use systole::os::blocked_signals;

use crate::connections::{Connections, MOST};
use crate::daemon::Daemon;
use crate::host::Hosts;
use crate::site::{Site, answer};

/// How long the head of a request may take.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// How long the end of a connection may take.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How long requests that are under way may take when the program ends, in seconds.
const STOP_LIMIT_S: u64 = 1;

/// Connections that are accepted beyond those that are kept: until one of those has given way.
const GIVING_WAY: usize = 32;

fn main() -> ExitCode {
    blocked_signals::let_through();
    let options = match parse(&words()) {
        Ok(options) => options,
        Err(answer) => {
            print(&answer.stdout);
            eprint!("{}", answer.stderr);
            return ExitCode::from(answer.code);
        }
    };
    match serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("systole-web: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: WebOptions) -> io::Result<()> {
    let WebOptions {
        listen,
        host,
        socket,
    } = options;
    let cannot = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
    };
    let listener = TcpListener::bind(listen).map_err(cannot)?;
    let listens = listener.local_addr().map_err(cannot)?;
    announce(listens);
    let hosts = Hosts::new(listen, host);
    let make = move || {
        let site = Site {
            daemon: Daemon::new(socket.clone()),
            hosts: hosts.clone(),
        };
        App::new()
            .app_data(Rc::new(site))
            .default_service(web::to(answer))
    };
    let connections = Connections::new();
    let server = HttpServer::new(make)
        .workers(1)
        .worker_max_blocking_threads(1)
        .max_connections(MOST.saturating_add(GIVING_WAY))
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(HEAD_LIMIT)
        .client_disconnect_timeout(END_LIMIT)
        .shutdown_timeout(STOP_LIMIT_S)
        .on_connect(move |io, of_connection| connections.opened(io, of_connection))
        .listen(listener)
        .map_err(cannot)?;
    actix_web::rt::System::new().block_on(server.run())
}

fn announce(listens: SocketAddr) {
    print(&format!("systole-web: listens on http://{listens}/\n"));
    if !listens.ip().is_loopback() {
        eprintln!(
            "systole-web: WARNING: every host that reaches {listens} sees the page: there is no login and no encryption"
        );
    }
}
