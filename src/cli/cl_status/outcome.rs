//! The result of a call of `cl_status`: texts and exit code. Spec: docs/protocol/client-api.md, 14.

use serde_json::{Value, json};

use crate::clients::api_client::ApiError;

/// The object of the question is down or not set, or the daemon does not run.
pub(super) const EXIT_DOWN: u8 = 1;
/// Wrong words or options.
pub(super) const EXIT_PARAMETER: u8 = 11;
/// No answer within the alarm of the program.
pub const EXIT_TIMEOUT: u8 = 12;
/// The daemon does not know the object of the question, or does not answer.
pub(super) const EXIT_UNKNOWN: u8 = 13;

/// Words are missing.
pub(super) const TOO_FEW: &str = "No enough parameter.";

/// The result of a call.
pub struct Outcome {
    /// Exit code.
    pub code: u8,
    /// Standard output for people and scripts.
    pub text: String,
    /// Standard output with `--json`.
    pub json: Value,
    /// Plain lines on standard error.
    pub errors: Vec<String>,
    /// Log lines on standard error.
    pub logged: Vec<String>,
}

impl Outcome {
    /// Standard output and nothing else.
    pub(super) fn said(code: u8, text: impl Into<String>, json: Value) -> Self {
        Self {
            code,
            text: text.into(),
            json,
            errors: Vec::new(),
            logged: Vec::new(),
        }
    }

    /// A plain line on standard error.
    pub(super) fn complaint(code: u8, line: &str) -> Self {
        Self {
            errors: vec![line.to_owned()],
            ..Self::said(code, "", json!({ "error": line }))
        }
    }

    /// Log lines on standard error.
    pub(super) fn logged<const N: usize>(code: u8, lines: [String; N]) -> Self {
        let error = lines.join(": ");
        Self {
            logged: lines.to_vec(),
            ..Self::said(code, "", json!({ "error": error }))
        }
    }

    /// Log lines that tell what failed and why.
    pub(super) fn cannot(code: u8, what: &str, error: &ApiError) -> Self {
        Self::logged(code, [what.to_owned(), format!("REASON: {error}")])
    }
}
