//! Going on as another program.

use std::ffi::{CString, NulError, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::unistd::execv;

/// Replaces this process by `program`, under the name `title`, with `words` and our environment. It returns
/// only when that failed, and then nothing about this process has changed. The standard library's way
/// makes SIGPIPE end the process before it tries: whoever goes on after it would die by the next write
/// to a connection whose other end is closed.
pub fn execute(
    program: &Path,
    title: &str,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> io::Error {
    let text = |text: &OsStr| CString::new(text.as_bytes());
    let arguments = || -> Result<_, NulError> {
        let mut all = vec![CString::new(title)?];
        for word in words {
            all.push(text(word.as_ref())?);
        }
        Ok((text(program.as_os_str())?, all))
    };
    match arguments() {
        Ok((program, arguments)) => match execv(&program, &arguments) {
            Ok(never) => match never {},
            Err(errno) => errno.into(),
        },
        Err(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signals that this process ignores, and those that are blocked in this thread.
    fn signals() -> Vec<String> {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = status.lines();
        let lines = lines.filter(|line| line.starts_with("SigIgn") || line.starts_with("SigBlk"));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn whoever_stays_is_as_before() {
        let before = signals();
        let pipe = u64::from_str_radix(before[1].trim_start_matches("SigIgn:\t"), 16).unwrap();
        assert_eq!(pipe >> 12 & 1, 1, "SIGPIPE is ignored: {before:?}");
        let error = execute(Path::new("/no/such"), "x", ["a", "b"]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = execute(Path::new("/bin/true"), "x", ["a\0b"]);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert_eq!(signals(), before);
    }
}
