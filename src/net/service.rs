//! Asks a service whether it answers: a connection, or the head of a web page.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most bytes that are read of an answer: its first line counts.
const MAX_ANSWER_BYTES: usize = 4096;

/// Connects, and closes the connection. The caller limits the time.
///
/// # Errors
/// Nobody accepts, or the host has no address.
pub async fn connect(host: &str, port: u16) -> io::Result<()> {
    TcpStream::connect((host, port)).await.map(drop)
}

/// Asks a web server for a page, and returns the code and the first line of its answer. The caller limits
/// the time.
///
/// # Errors
/// Nobody accepts, or what answers is no web server.
pub async fn get(host: &str, port: u16, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let brackets = if host.contains(':') {
        ("[", "]")
    } else {
        ("", "")
    };
    let (open, close) = brackets;
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: {open}{host}{close}:{port}\r\nUser-Agent: systole\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < MAX_ANSWER_BYTES {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        answer.extend(buffer.iter().take(count));
    }
    first_line(&answer).ok_or_else(|| io::Error::other("what answers is no web server"))
}

/// The code and the text of `HTTP/1.1 200 OK`.
fn first_line(answer: &[u8]) -> Option<(u16, String)> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).trim_end().to_owned();
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let program = words.next()?;
    let code = words.next()?;
    let good = program.starts_with("HTTP/") && code.len() == 3;
    let code = code.parse().ok().filter(|_| good)?;
    Some((code, line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers one connection with `answer`.
    async fn served(answer: &'static [u8]) -> io::Result<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let server = async move {
            let (mut stream, _) = listener.accept().await?;
            let mut request = [0; 512];
            let count = stream.read(&mut request).await?;
            assert!(request[..count].starts_with(b"GET /a?b HTTP/1.0\r\nHost: 127.0.0.1:"));
            // The other end may be content with less.
            let _ = stream.write_all(answer).await;
            io::Result::Ok(())
        };
        let (answer, server) = tokio::join!(get("127.0.0.1", port, "/a?b"), server);
        server?;
        answer
    }

    #[tokio::test]
    async fn the_code_of_an_answer_is_read_and_what_is_none_is_an_error() {
        let ok = served(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody").await;
        assert_eq!(ok.unwrap(), (200, "HTTP/1.1 200 OK".to_owned()));
        assert_eq!(served(b"HTTP/1.0 503\n").await.unwrap().0, 503);
        assert!(served(b"SSH-2.0-OpenSSH\r\n").await.is_err());
        assert!(served(b"").await.is_err());
        let flood: &[u8] = Box::leak(vec![b'x'; 1 << 20].into_boxed_slice());
        assert!(served(flood).await.is_err());
    }

    #[tokio::test]
    async fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(connect("127.0.0.1", port).await.is_ok());
        drop(listener);
        assert!(connect("127.0.0.1", port).await.is_err());
    }
}
