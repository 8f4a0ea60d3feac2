//! Asks a service whether it answers: a connection, or the head of a web page.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most bytes that are read of an answer: its first line counts.
const MAX_ANSWER_BYTES: usize = 4096;

/// Connects to the first of the addresses that accepts. The caller limits the time.
///
/// # Errors
/// None of them does.
pub async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let ports = addresses
        .iter()
        .map(|address| SocketAddr::from((*address, port)));
    let ports: Vec<SocketAddr> = ports.collect();
    TcpStream::connect(ports.as_slice()).await
}

/// Asks a web server, which has accepted this connection under the name `host`, for a page. Returns the code and the
/// first line of its answer. The caller limits the time.
///
/// # Errors
/// What answers is no web server.
pub async fn get(
    mut stream: TcpStream,
    host: &str,
    port: u16,
    path: &str,
) -> io::Result<(u16, String)> {
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
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const HERE: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];

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
        let asked = async {
            let stream = connect(&HERE, port).await?;
            get(stream, "127.0.0.1", port, "/a?b").await
        };
        let (answer, server) = tokio::join!(asked, server);
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
        assert!(connect(&HERE, port).await.is_ok());
        let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        assert!(connect(&[other], port).await.is_err());
        assert!(connect(&[other, HERE[0]], port).await.is_ok());
        drop(listener);
        assert!(connect(&[], port).await.is_err());
        assert!(connect(&HERE, port).await.is_err());
    }
}
