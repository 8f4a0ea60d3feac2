//! Values inside a line: times, booleans, numbers.

use std::time::Duration;

use nom::bytes::complete::{take_while, take_while1};
use nom::character::complete::{char, digit0};
use nom::combinator::opt;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::report::Refusal;
use crate::protocol::boolean::boolean;

/// As [`boolean`], refusing other words with a reason.
pub(super) fn required_boolean(word: &str) -> Result<bool, Refusal> {
    boolean(word).ok_or_else(|| Refusal::silent(NOT_A_BOOLEAN))
}

/// Reason for a refused boolean.
pub(super) const NOT_A_BOOLEAN: &str =
    "not a boolean; write true, on, yes, y or 1, or false, off, no, n or 0";

/// Reason for a refused time.
pub(super) const NOT_A_TIME: &str =
    "not a time; write seconds (0.5), milliseconds (500ms) or microseconds (500000us)";

/// `digits [ "." digits ]` at the front: the part of a number that counts. Without a digit it is
/// zero.
fn decimal(input: &str) -> IResult<&str, f64> {
    let (rest, (whole, fraction)) = (digit0, opt(preceded(char('.'), digit0))).parse(input)?;
    let number = format!("0{whole}.{}0", fraction.unwrap_or(""));
    Ok((rest, number.parse().unwrap_or(f64::INFINITY)))
}

/// The run of digits and dots, then the unit.
fn number_and_unit(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_digit() || c == '.').parse(input)
}

/// A time in one word, rounded to whole milliseconds. Spec: docs/protocol/config.md, 2.4.
///
/// Quirk: of `1.5.5` the part `1.5` counts; files that legacy runs with may hold such a typing error.
pub(super) fn time(word: &str) -> Option<Duration> {
    let (unit, run) = number_and_unit(word).ok()?;
    let (_, value) = decimal(run).ok()?;
    let unit = unit.to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" => 1000.0,
        _ if unit.starts_with("ms") => 1.0,
        _ if unit.starts_with("us") => 0.001,
        _ => return None,
    };
    let ms = value.mul_add(factor, 0.5).floor();
    // 2^63, the limit of legacy; no useful time is above it.
    if !(0.0..9_223_372_036_854_775_808.0).contains(&ms) {
        return None;
    }
    Some(Duration::from_millis(ms as u64))
}

/// The integer at the front of `word`; 0 when there is none. Saturates.
/// Spec: docs/protocol/config.md, 4.
pub(super) fn leading_integer(word: &str) -> i64 {
    scan_integer(word).map_or(0, |(number, _)| number)
}

/// The integer at the front of `word`, and the rest.
pub(super) fn scan_integer(word: &str) -> Option<(i64, &str)> {
    let (unsigned, negative) = match word.as_bytes().first() {
        Some(b'-') => (word.get(1..).unwrap_or(""), true),
        Some(b'+') => (word.get(1..).unwrap_or(""), false),
        _ => (word, false),
    };
    let digits: IResult<&str, &str> = take_while(|c: char| c.is_ascii_digit()).parse(unsigned);
    let (rest, digits) = digits.ok()?;
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.parse::<i64>().unwrap_or(i64::MAX);
    Some((if negative { -magnitude } else { magnitude }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_take_seconds_milliseconds_and_microseconds() {
        let ms = |word| time(word).map(|time| time.as_millis());
        assert_eq!(ms("2"), Some(2000));
        assert_eq!(ms(".5"), Some(500));
        assert_eq!(ms("1.5.5"), Some(1500));
        assert_eq!(ms("1500msec"), Some(1500));
        assert_eq!(ms("2000MS"), Some(2000));
        assert_eq!(ms("500000us"), Some(500));
        assert_eq!(ms("500000usec"), Some(500));
        assert_eq!(ms("0.4ms"), Some(0));
        assert_eq!(ms("0.5ms"), Some(1));
        assert_eq!(ms("."), Some(0));
        assert_eq!(ms("999999999"), Some(999_999_999_000));
        for refused in [
            "2s",
            "1sec",
            "1min",
            "1e3",
            "-1",
            "abc",
            "MS",
            "",
            "99999999999999999999",
        ] {
            assert_eq!(ms(refused), None, "{refused}");
        }
    }

    #[test]
    fn integers_end_at_the_first_other_byte() {
        assert_eq!(leading_integer("3x"), 3);
        assert_eq!(leading_integer("many"), 0);
        assert_eq!(leading_integer("-5"), -5);
        assert_eq!(leading_integer("+7"), 7);
        assert_eq!(leading_integer("99999999999999999999"), i64::MAX);
    }
}
