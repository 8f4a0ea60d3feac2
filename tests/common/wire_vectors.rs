//! Loads `tests/vectors/wire`: datagrams of legacy nodes with decoded fields and verdicts.

use std::path::PathBuf;

use serde_json::Value as Json;
use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::message::{Message, Value};

/// What the codec must do with a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Decodes and verifies it. The rest is for membership (see [`Vector::verdict`]).
    Accepts,
    /// Decodes without a signature: parser and library vectors.
    Parses,
    /// Drops it without a log line.
    DropsSilently,
    /// Refuses the signature.
    RefusesAuth,
    /// Refuses it as malformed.
    RefusesForm,
    /// It is a stream of several messages.
    Streams,
}

/// One entry of `index.json` with its bytes.
pub(crate) struct Vector {
    /// File name.
    pub(crate) file: String,
    /// `ucast`, `serial`, `parser only`, ...
    pub(crate) medium: String,
    /// The whole verdict; for a `made_` vector, within the conversation of the README.
    pub(crate) verdict: String,
    /// `netstring`, `classic` or `none`.
    pub(crate) format: String,
    /// The raw bytes.
    pub(crate) bytes: Vec<u8>,
    /// Body length that the trailer's digest covers.
    pub(crate) body_length: Option<usize>,
    /// Token after the body.
    pub(crate) trailer: Option<String>,
    /// Whether the inner `auth` field is there and right.
    pub(crate) auth_field_valid: Option<bool>,
    /// Decoded fields, as in the index.
    fields: Option<Json>,
    /// The message after decompression.
    pub(crate) inner: Option<Json>,
    /// `(number, method, key)` of the receiver.
    keys: Vec<(u8, Method, Vec<u8>)>,
}

impl Vector {
    /// The receiver's keys; index `sign_with` signs what is sent.
    pub(crate) fn keys(&self, sign_with: u8) -> KeyRing {
        KeyRing::new(sign_with, self.keys.clone()).expect("usable keys")
    }

    /// Index that signed the vector, or the receiver's first.
    pub(crate) fn signed_with(&self, message: Option<&Message>) -> u8 {
        let auth = message.and_then(|m| m.text("auth"));
        let token = self.trailer.as_deref().or(auth);
        let index = token.and_then(|t| t.split(' ').next()?.parse().ok());
        index.unwrap_or(self.keys[0].0)
    }

    /// What the codec must do.
    pub(crate) fn codec(&self) -> Codec {
        match self.verdict.as_str() {
            "accept" if self.medium == "library" => Codec::Parses,
            "legacy accepts, we refuse" | "bad auth" => Codec::RefusesAuth,
            "legacy refuses, we accept"
            | "legacy renames the node, we refuse"
            | "duplicate"
            | "replay"
            | "unknown node"
            | "tracked, then dropped" => Codec::Accepts,
            "ignored silently" if self.format == "none" => Codec::DropsSilently,
            // A `ts` of zero: the message is authentic, so membership ignores it.
            "ignored silently" => Codec::Accepts,
            "malformed" => Codec::RefusesForm,
            "parse" => Codec::Parses,
            "stream" => Codec::Streams,
            other if other.starts_with("accept") || other.starts_with("missing") => Codec::Accepts,
            // Not a start marker at all.
            other if other.starts_with("refuse") && self.format == "none" => Codec::DropsSilently,
            other if other.starts_with("refuse") => Codec::RefusesForm,
            other => panic!("verdict {other:?} of {}", self.file),
        }
    }

    /// Checks `message` against the fields in the index.
    pub(crate) fn assert_fields(&self, message: &Message) {
        let fields = self
            .fields
            .as_ref()
            .unwrap_or_else(|| panic!("{}: no fields", self.file));
        assert_fields(&self.file, fields, message);
    }
}

/// All vectors in the order of the index; the `made_` ones belong to one conversation.
pub(crate) fn load() -> Vec<Vector> {
    let index = index();
    let default_keys = keys_of_lines(&index["default_authkeys"]);
    let entries = index["vectors"].as_array().expect("list of vectors");
    entries
        .iter()
        .map(|entry| vector(entry, &default_keys))
        .collect()
}

/// Check values: method, key, data, digest.
pub(crate) fn digests() -> Vec<(Method, String, String, String)> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let index = index();
    let entries = index["digests"].as_array().expect("list of digests");
    let one = |d: &Json| {
        let method = text(&d["method"]).parse().expect("a method");
        (
            method,
            text(&d["key"]),
            text(&d["data"]),
            text(&d["digest"]),
        )
    };
    entries.iter().map(one).collect()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/wire")
}

fn index() -> Json {
    let text = std::fs::read_to_string(directory().join("index.json")).expect("index.json");
    serde_json::from_str(&text).expect("valid index")
}

fn vector(entry: &Json, default_keys: &[(u8, Method, Vec<u8>)]) -> Vector {
    let text = |key: &str| entry[key].as_str().map(str::to_owned);
    let file = text("file").expect("a file");
    let bytes = std::fs::read(directory().join(&file)).expect("vector file");
    assert_eq!(entry["length"].as_u64(), Some(bytes.len() as u64), "{file}");
    let auth = &entry["auth"];
    let keys = if entry["authkeys"].is_array() {
        keys_of_lines(&entry["authkeys"])
    } else if let Some(index) = auth["index"].as_u64() {
        let method = auth["method"]
            .as_str()
            .and_then(|m| m.parse().ok())
            .expect("a method");
        let key = auth["key"].as_str().unwrap_or_default();
        vec![(u8::try_from(index).expect("an index"), method, key.into())]
    } else {
        default_keys.to_vec()
    };
    Vector {
        medium: text("medium").expect("a medium"),
        verdict: text("verdict").expect("a verdict"),
        format: text("format").unwrap_or_else(|| "none".to_owned()),
        body_length: entry["body_length"].as_u64().map(|n| n as usize),
        trailer: text("trailer"),
        auth_field_valid: entry["auth_field_digest_valid"].as_bool(),
        fields: entry.get("fields").cloned(),
        inner: entry.get("inner").cloned(),
        file,
        bytes,
        keys,
    }
}

fn keys_of_lines(lines: &Json) -> Vec<(u8, Method, Vec<u8>)> {
    let lines = lines
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(Json::as_str);
    let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    words
        .filter(|words| words[0] != "auth")
        .map(|words| {
            let key = words.get(2).copied().unwrap_or_default();
            (
                words[0].parse().expect("an index"),
                words[1].parse().expect("a method"),
                key.into(),
            )
        })
        .collect()
}

/// Compares a message with fields as the index writes them.
pub(crate) fn assert_fields(file: &str, expected: &Json, message: &Message) {
    let expected = expected.as_array().expect("fields");
    let names: Vec<_> = message.fields().iter().map(|f| latin1(&f.name)).collect();
    let wanted: Vec<_> = expected
        .iter()
        .map(|f| f["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, wanted, "{file}");
    for (field, json) in message.fields().iter().zip(expected) {
        let place = format!("{file}, field {}", latin1(&field.name));
        let (digit, value) = (json["type"].as_u64().expect("a type"), &json["value"]);
        match (&field.value, digit) {
            (Value::Text(text), 0) => assert_eq!(Some(&*latin1(text)), value.as_str(), "{place}"),
            (Value::Binary(bytes), 1) | (Value::Compressed(bytes), 4) => {
                assert_bytes(&place, value, bytes);
            }
            (Value::Struct(nested), 2) | (Value::Uncompressed(nested), 5) => {
                assert_fields(file, value, nested);
            }
            (Value::List(elements), 3) => {
                let texts: Vec<_> = elements.iter().map(|e| Json::from(latin1(e))).collect();
                assert_eq!(Some(&texts), value.as_array(), "{place}");
            }
            (other, digit) => panic!("{place}: {other:?} is not of type {digit}"),
        }
    }
}

/// Long binary values are given in the index by length and SHA-256.
fn assert_bytes(place: &str, value: &Json, bytes: &[u8]) {
    if let Some(length) = value["hex_len"].as_u64() {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        assert_eq!(bytes.len() as u64, length, "{place}");
        assert_eq!(
            value["sha256"].as_str(),
            Some(&*hex(digest.as_ref())),
            "{place}"
        );
    } else {
        assert_eq!(value["hex"].as_str(), Some(&*hex(bytes)), "{place}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
