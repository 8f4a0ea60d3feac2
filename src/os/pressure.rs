//! How much of the last ten seconds something had to wait for a processor or for a disk, as the kernel
//! tells (PSI).

use std::fs;

/// The higher of the two, in per cent; `None`: this kernel does not tell. Reads two small files of the
/// kernel.
#[must_use]
pub fn highest() -> Option<f32> {
    let of = |name: &str| {
        let text = fs::read_to_string(format!("/proc/pressure/{name}")).ok()?;
        some_of_ten_seconds(&text)
    };
    let (cpu, io) = (of("cpu"), of("io"));
    cpu.into_iter().chain(io).reduce(f32::max)
}

/// `avg10` of the line `some`.
fn some_of_ten_seconds(text: &str) -> Option<f32> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let mut words = line.split(' ');
    words.find_map(|word| word.strip_prefix("avg10=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_kernel_is_read() {
        let text = "some avg10=51.25 avg60=2.00 avg300=0.17 total=123\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        assert_eq!(some_of_ten_seconds(text), Some(51.25));
        assert_eq!(some_of_ten_seconds(""), None);
    }
}
