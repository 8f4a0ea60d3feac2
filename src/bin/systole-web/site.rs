//! What is answered under which path. Everything here only reads.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::http::{Method, StatusCode, Version, header};
use actix_web::{HttpRequest, HttpResponse};
use systole::cli::metrics::{self, Form, Process};
use systole::cli::top::Told;
use systole::cli::view::as_json;

use crate::connections::Held;
use crate::daemon::{Answer, Daemon};
use crate::host::Hosts;
use crate::page::{REFRESH_S, page};
use crate::verdicts::{Owner, health, owner};

const STYLE: &str = include_str!("style.css");

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every answer carries: nothing is loaded from elsewhere, nothing runs, no other page shows this one in a frame,
/// and nobody keeps it.
const ALWAYS: [(&str, &str); 5] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
];

/// What a request needs.
pub(crate) struct Site {
    pub(crate) daemon: Rc<Daemon>,
    pub(crate) hosts: Hosts,
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Page,
    Style,
    Status,
    Metrics,
    Health,
    /// The key of a group.
    Owner(String),
}

impl Asked {
    /// By the path of a request, as it was sent.
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Page,
            "/style.css" => Self::Style,
            "/status.json" => Self::Status,
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            _ => Self::Owner(decoded(path.strip_prefix("/owner/")?)?),
        })
    }
}

/// A path without its `%` signs; `None`: it is not text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            u8::try_from(high.checked_mul(16)?.checked_add(low)?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

/// The answer to a request.
pub(crate) async fn answer(request: HttpRequest) -> HttpResponse {
    if let Some(held) = request.conn_data::<Held>() {
        held.has_asked();
    }
    let Some(site) = request.app_data::<Rc<Site>>() else {
        return said(StatusCode::INTERNAL_SERVER_ERROR, "not set up");
    };
    if let Err((status, why)) = allowed(&request, &site.hosts) {
        let mut refusal = said(status, why);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allow = header::HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(header::ALLOW, allow);
        }
        return refusal;
    }
    let asked = match Asked::of(request.uri().path()) {
        Some(Asked::Style) => return with(StatusCode::OK, "text/css; charset=utf-8", STYLE),
        Some(asked) => asked,
        None => return said(StatusCode::NOT_FOUND, "no such page"),
    };
    let told = site.daemon.tell().await;
    let now_unix_s = site.daemon.now_unix_s();
    match asked {
        Asked::Metrics => give_metrics(&told, now_unix_s, wants_open(&request)),
        Asked::Page | Asked::Style => give_page(&told, now_unix_s),
        Asked::Status => match told {
            Ok(told) => with(StatusCode::OK, "application/json", as_json(&told.view)),
            Err(reason) => no_answer(&reason),
        },
        Asked::Health => match told.and_then(|told| health(&told.view)) {
            Ok(text) => said(StatusCode::OK, &text),
            Err(reason) => no_answer(&reason),
        },
        Asked::Owner(key) => match told.map(|told| owner(&told.view, &key)) {
            Ok(Owner::Here(text)) => said(StatusCode::OK, &text),
            Ok(Owner::NotHere(text)) => no_answer(&text),
            Ok(Owner::Unknown) => said(StatusCode::NOT_FOUND, "no such group"),
            Err(reason) => no_answer(&reason),
        },
    }
}

/// Whether a request is answered at all; else with what.
fn allowed(request: &HttpRequest, hosts: &Hosts) -> Result<(), (StatusCode, &'static str)> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"));
    }
    let foreign = (
        StatusCode::MISDIRECTED_REQUEST,
        "not under this name: systole-web --host NAME allows one",
    );
    let mut named = request.headers().get_all(header::HOST);
    match (named.next(), named.next()) {
        // Checks of load balancers use HTTP/1.0 without a Host; no browser does.
        (None, _) if request.version() < Version::HTTP_11 => {}
        (Some(host), None) if host.to_str().is_ok_and(|host| hosts.serve(host)) => {}
        _ => return Err(foreign),
    }
    // A request to a proxy names the host twice.
    match request.uri().authority() {
        Some(host) if !hosts.serve(host.as_str()) => Err(foreign),
        _ => Ok(()),
    }
}

/// Whether the client reads OpenMetrics.
fn wants_open(request: &HttpRequest) -> bool {
    let accepts = request.headers().get_all(header::ACCEPT);
    let accepts = accepts.filter_map(|it| it.to_str().ok());
    let mut kinds = accepts.flat_map(|it| it.split(','));
    kinds.any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        parts.next() == Some("application/openmetrics-text")
            && !parts.any(|it| matches!(it, "q=0" | "q=0.0" | "version=0.0.1"))
    })
}

fn give_page(told: &Answer, now_unix_s: u64) -> HttpResponse {
    let status = told
        .as_ref()
        .map_or(StatusCode::SERVICE_UNAVAILABLE, |_| StatusCode::OK);
    let told = told.as_ref().map(|told| &**told).map_err(String::as_str);
    let mut response = match page(told, now_unix_s) {
        Ok(text) => with(status, HTML, text),
        Err(error) => said(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let refresh = header::HeaderValue::from_static(REFRESH_S);
    let name = header::HeaderName::from_static("refresh");
    response.headers_mut().insert(name, refresh);
    response
}

/// Without an answer only that there is none, as `systole metrics` has it.
fn give_metrics(told: &Answer, now_unix_s: u64, open: bool) -> HttpResponse {
    let view = told.as_ref().ok().map(|told: &Rc<Told>| &told.view);
    let node = view.and_then(|view| view.node.as_ref());
    let process = node.and_then(|node| Process::look(node.pid));
    let source = metrics::Source {
        view,
        process: process.as_ref(),
        now_unix_s,
    };
    let (form, kind) = if open {
        (Form::Open, OPEN_METRICS)
    } else {
        (Form::Text, METRICS)
    };
    with(StatusCode::OK, kind, metrics::text(source, form))
}

fn no_answer(reason: &str) -> HttpResponse {
    said(StatusCode::SERVICE_UNAVAILABLE, reason)
}

/// One line.
fn said(status: StatusCode, text: &str) -> HttpResponse {
    let line: String = text.chars().filter(|c| !c.is_control()).collect();
    with(status, PLAIN, line + "\n")
}

fn with(status: StatusCode, kind: &'static str, body: impl Into<String>) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    for line in ALWAYS {
        response.insert_header(line);
    }
    response.content_type(kind);
    response.body(BoxBody::new(body.into()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn paths_are_what_they_say() {
        assert_eq!(Asked::of("/"), Some(Asked::Page));
        let owner = |key: &str| Some(Asked::Owner(key.to_owned()));
        assert_eq!(
            Asked::of("/owner/10.0.0.1/24/eth0"),
            owner("10.0.0.1/24/eth0")
        );
        assert_eq!(
            Asked::of("/owner/10.0.0.1%2F24%2feth0"),
            owner("10.0.0.1/24/eth0")
        );
        assert_eq!(
            Asked::of("/owner/IPaddr::10.0.0.1"),
            owner("IPaddr::10.0.0.1")
        );
        assert_eq!(Asked::of("/owner/a%20%3Cb%3E"), owner("a <b>"));
        assert_eq!(Asked::of("/owner/"), owner(""));
        for bad in [
            "",
            "/owner",
            "/owner/%",
            "/owner/%2",
            "/owner/%zz",
            "/owner/%+1",
            "/owner/%ff",
            "//",
            "/healthz/",
            "/../etc/passwd",
            "/style.css/..",
            "*",
        ] {
            assert_eq!(Asked::of(bad), None, "{bad}");
        }
    }

    #[test]
    fn open_metrics_are_for_who_asks() {
        let wants = |accept: &'static str| {
            let request = TestRequest::default().insert_header(("Accept", accept));
            wants_open(&request.to_http_request())
        };
        assert!(wants(
            "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
        ));
        assert!(wants("text/plain, application/openmetrics-text"));
        for not in [
            "",
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0",
            "xapplication/openmetrics-text",
        ] {
            assert!(!wants(not), "{not}");
        }
    }

    #[test]
    fn the_style_is_small() {
        assert!(STYLE.len() <= 6 * 1024);
    }
}
