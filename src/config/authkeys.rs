//! Reads `authkeys`. Log lines never contain key material.
//!
//! Spec: docs/protocol/config.md, 5.

use zeroize::Zeroizing;

use super::report::{BYTE_ORDER_MARK, MARK_IN_FRONT, Refusal, Report};
use super::values::scan_integer;
use crate::notice::Severity;
use crate::protocol::auth::{KeyRing, MAX_KEY_INDEX, Method};

/// Longest line in bytes. Legacy reads the rest as a further line, so a longer key could not be the
/// same on a legacy peer; Systole refuses it as legacy does.
pub const MAX_LINE_BYTES: usize = 5118;

/// Read permission for group or others: the only bits that legacy checks.
const READABLE_BY_OTHERS: u32 = 0o044;
/// Write permission for group or others: causes a warning.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Beginnings of the names of digests. A word in the place of the method that begins otherwise may
/// be a key whose method is missing, and is not logged.
const DIGEST_NAMES: [&str; 7] = ["sha", "md", "crc", "hmac", "ripemd", "blake", "none"];

/// Checks the permissions and the owner of the file. `false`: stop here.
///
/// Spec: docs/protocol/config.md, 5.1.
pub fn check_permissions(
    report: &mut Report,
    shown: &str,
    mode: u32,
    owner: u32,
    own_uid: u32,
) -> bool {
    if mode & READABLE_BY_OTHERS != 0 {
        report.refuse(
            &format!("mode {mode:03o}"),
            Refusal::legacy(
                format!("Bad permissions on keyfile [{shown}], 600 recommended."),
                "group or others may read it",
            ),
        );
        return false;
    }
    if mode & WRITABLE_BY_OTHERS != 0 {
        report.warn(format!(
            "keyfile [{shown}] has mode {mode:03o}: group or others may write it, 600 recommended"
        ));
    }
    if owner != 0 && owner != own_uid {
        report.warn(format!(
            "keyfile [{shown}] belongs to user {owner}, neither root nor us"
        ));
    }
    true
}

/// The entries read so far.
struct Keys {
    /// Number of the latest `auth` line.
    auth: Option<i64>,
    /// Number of the latest key line that an `auth` line before it named.
    signer: Option<u8>,
    /// Key lines in file order.
    entries: Vec<(u8, Method, Zeroizing<Vec<u8>>)>,
    /// Methods seen, for a legacy message.
    methods: Vec<Method>,
}

/// Reads the whole file; every error is in the report. `shown` is the path as log lines spell it,
/// `file` the one for `file:line`.
#[must_use]
pub fn read(report: &mut Report, shown: &str, file: &str, text: &[u8]) -> Option<KeyRing> {
    let mut keys = Keys {
        auth: None,
        signer: None,
        entries: Vec::new(),
        methods: Vec::new(),
    };
    let mut failed = false;
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1_usize..) {
        let place = format!("{file}:{number}");
        let marked =
            number == 1 && line.starts_with(BYTE_ORDER_MARK.encode_utf8(&mut [0; 4]).as_bytes());
        let read = if marked {
            Err(invalid(MARK_IN_FRONT))
        } else {
            keys.line(report, shown, &place, line)
        };
        if let Err(refusal) = read {
            failed = true;
            report.refuse(&place, refusal);
        }
    }
    match (keys.auth, keys.signer) {
        (None | Some(i64::MIN..=-1), _) => {
            failed = true;
            report.error(format!("Missing auth directive in keyfile [{shown}]"));
        }
        (Some(auth), None) => {
            failed = true;
            report.error(format!(
                "Auth Key [{auth}] not found in keyfile [{shown}] ({file}: no line begins with {auth})"
            ));
        }
        (Some(_), Some(_)) => {}
    }
    if failed {
        return None;
    }
    let entries = keys
        .entries
        .into_iter()
        .map(|(number, method, secret)| (number, method, secret.to_vec()))
        .collect();
    match KeyRing::new(keys.signer?, entries) {
        Ok(ring) => Some(ring),
        Err(error) => {
            report.error(format!("{file}: {error}"));
            None
        }
    }
}

/// Blanks as `sscanf` skips them.
fn skip_white(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_start()
}

/// One blank-separated word and the rest.
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let bytes = skip_white(bytes);
    let end = bytes
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, &[]))
}

/// A decimal number at the front, with sign, after blanks.
fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let bytes = skip_white(bytes);
    let ascii_len = bytes
        .iter()
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-'))
        .count();
    let text = std::str::from_utf8(bytes.get(..ascii_len)?).ok()?;
    let (number, rest) = scan_integer(text)?;
    let used = ascii_len.checked_sub(rest.len())?;
    Some((number, bytes.get(used..)?))
}

impl Keys {
    fn line(
        &mut self,
        report: &mut Report,
        shown: &str,
        place: &str,
        line: &[u8],
    ) -> Result<(), Refusal> {
        let line = line.split(|byte| *byte == 0).next().unwrap_or(line);
        let text = line.trim_ascii();
        match text.first() {
            None | Some(b'#') => Ok(()),
            _ if line.len() > MAX_LINE_BYTES => Err(invalid("the line is too long")),
            // Quirk: anything that begins with this letter.
            Some(b'a') => self.auth_line(shown, text),
            Some(_) => self.key_line(report, shown, place, text),
        }
    }

    fn auth_line(&mut self, shown: &str, text: &[u8]) -> Result<(), Refusal> {
        let number = text.strip_prefix(b"auth").and_then(number);
        let (number, _) = number.ok_or_else(|| {
            Refusal::legacy(
                format!("Invalid auth line [***] in {shown}"),
                "a line that begins with a must read: auth NUMBER",
            )
        })?;
        self.auth = Some(number);
        Ok(())
    }

    fn key_line(
        &mut self,
        report: &mut Report,
        shown: &str,
        place: &str,
        text: &[u8],
    ) -> Result<(), Refusal> {
        let (index, rest) = number(text).ok_or_else(|| invalid("it must begin with a number"))?;
        let (method, rest) = word(rest);
        if method.is_empty() {
            return Err(invalid("the method is missing"));
        }
        let (secret, more) = word(rest);
        let entry = u8::try_from(index)
            .ok()
            .filter(|entry| *entry <= MAX_KEY_INDEX)
            .ok_or_else(|| {
                Refusal::legacy(
                    format!("Invalid authnum [{index}] in {shown}"),
                    format!("must be between 0 and {MAX_KEY_INDEX}"),
                )
            })?;
        let method = self.method(method)?;
        if !method.needs_key() && !secret.is_empty() {
            return Err(
                Refusal::silent(format!("{} takes no key", method.name())).and(
                    Severity::Info,
                    format!("Auth method [{}] doesn't use a key", method.name()),
                ),
            );
        }
        if method.needs_key() && secret.is_empty() {
            return Err(Refusal::legacy(
                format!("Auth method [{}] requires a key", method.name()),
                "the key is missing",
            ));
        }
        if !skip_white(more).is_empty() {
            report.warn(format!(
                "{place}: the key ends at the first blank; what follows is not part of it \
                 (all nodes read it so)"
            ));
        }
        self.entries
            .push((entry, method, Zeroizing::new(secret.to_vec())));
        if self.auth == Some(index) {
            self.signer = Some(entry);
        }
        Ok(())
    }

    fn method(&mut self, word: &[u8]) -> Result<Method, Refusal> {
        let method = [Method::Crc, Method::Md5, Method::Sha1]
            .into_iter()
            .find(|method| method.name().as_bytes() == word);
        if let Some(method) = method {
            if !self.methods.contains(&method) {
                self.methods.push(method);
            }
            return Ok(method);
        }
        let name = String::from_utf8_lossy(word).into_owned();
        let lower = name.to_ascii_lowercase();
        let is_digest = DIGEST_NAMES.iter().any(|known| lower.starts_with(known))
            && name.len() <= 16
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let shown = if is_digest { name.as_str() } else { "***" };
        Err(Refusal::legacy(
            format!("LoadPlugin on {shown} returned 5: No such plugin/interface/interface type"),
            "the method must be crc, md5 or sha1",
        )
        .and(
            Severity::Error,
            format!("Lookup extended#2 returned FALSE for {shown}"),
        )
        .and(
            Severity::Error,
            format!("Table size: {}", self.methods.len()),
        )
        .and(Severity::Error, format!("Invalid authtype [{shown}]")))
    }
}

/// The legacy text quotes the line, which may contain a key. Ours does not.
fn invalid(reason: &str) -> Refusal {
    Refusal::legacy("Auth line [***] is invalid.", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<KeyRing>, Vec<String>) {
        let mut report = Report::default();
        let ring = read(
            &mut report,
            "/etc/ha.d//authkeys",
            "authkeys",
            text.as_bytes(),
        );
        let lines = report.lines().iter().map(ToString::to_string).collect();
        (ring, lines)
    }

    #[test]
    fn the_last_key_line_that_an_auth_line_named_signs() {
        let signer = |text| parse(text).0.map(|ring| ring.sign_index());
        assert_eq!(signer("auth 1\n1 sha1 a\nauth 2\n2 sha1 b\n"), Some(2));
        assert_eq!(signer("auth 1\n1 sha1 a\nauth 5\n"), Some(1));
        assert_eq!(signer("1 sha1 a\nauth 1\n"), None);
        assert_eq!(signer("auth1\n1sha1 a\n"), Some(1));
        assert_eq!(signer("auth 1x\r\n+1 sha1 a\r\n"), Some(1));
        assert_eq!(signer("auth 0\n0 sha1 k\n"), Some(0));
        assert_eq!(signer("auth 16\n16 sha1 k\n"), None);
    }

    #[test]
    fn the_key_is_one_word_and_the_rest_is_warned_of() {
        let (one, _) = parse("auth 1\n1 sha1 lab\n");
        let (more, lines) = parse("auth 1\n1 sha1 lab key more\n");
        let data = b"data";
        let token = one.expect("a ring").sign(data);
        assert!(more.expect("a ring").verify(token.as_bytes(), data).is_ok());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("authkeys:2: the key ends at the first blank"));
    }

    #[test]
    fn no_line_holds_key_material() {
        for text in [
            "secretword\n",
            "asecretword\n",
            "auth 1\n1 secretword\n",
            "auth 1\n1 secretword x\n",
            "auth 1\nsha1 secretword\n",
            "auth 1\n1 crc secretword\n",
            "auth 1\n77 sha1 secretword\n",
            "auth 1\n1 sha1 a secretword\n",
            "auth 1\n1 sha256 secretword\n",
        ] {
            let (_, lines) = parse(text);
            assert!(!lines.is_empty());
            assert!(!lines.join("\n").contains("secretword"), "{lines:?}");
        }
    }

    #[test]
    fn only_the_two_read_bits_of_the_mode_refuse() {
        for (mode, good) in [
            (0o400, true),
            (0o600, true),
            (0o601, true),
            (0o602, true),
            (0o620, true),
            (0o700, true),
            (0o604, false),
            (0o640, false),
            (0o644, false),
            (0o660, false),
        ] {
            let mut report = Report::default();
            assert_eq!(
                check_permissions(&mut report, "k", mode, 0, 0),
                good,
                "{mode:o}"
            );
            assert_eq!(report.failed(), !good);
        }
        let mut report = Report::default();
        assert!(check_permissions(&mut report, "k", 0o620, 102, 0));
        assert_eq!(report.lines().len(), 2);
    }
}
