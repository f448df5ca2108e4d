//! One connection of the control interface.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::{Answer, Token};
use crate::service::protocol::{MOST_LINE_BYTES, Reply, Request};
use crate::service::stopping::stopped;

/// How long a TCP client may take to show its token.
const TOKEN_PATIENCE: Duration = Duration::from_secs(10);
/// Replies that wait for a client; one that does not read holds up only itself.
const REPLIES: usize = 16;

/// Serves a connection until the client is gone, sends what is no request, or the service stops.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    token: Option<Token>,
    answer: Arc<dyn Answer>,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read);
    if let Some(token) = token
        && !shows(&token, &mut lines, &mut write).await?
    {
        return Ok(());
    }
    loop {
        let line = tokio::select! {
            // Dropping the read loses at most a line that nobody will answer any more.
            line = next_line(&mut lines) => line?,
            () = stopped(&mut stopping) => return Ok(()),
        };
        let request = match line {
            Line::End => return Ok(()),
            Line::TooLong => return send(&mut write, &refused("the line is longer than 1 MiB")).await,
            Line::Text(text) => match serde_json::from_slice::<Request>(&text) {
                Ok(Request::Token { .. }) => {
                    send(&mut write, &Reply::Done).await?;
                    continue;
                }
                Ok(request) => request,
                Err(error) => return send(&mut write, &refused(&format!("this is no request: {error}"))).await,
            },
        };
        let (sender, mut replies) = mpsc::channel(REPLIES);
        let answer = Arc::clone(&answer);
        // It waits for disks and sessions, so it has a thread of its own.
        let working = tokio::task::spawn_blocking(move || {
            answer.answer(request, &mut |reply| sender.blocking_send(reply).is_ok());
        });
        // A client that closes its side after the request, as `nc` does, still wants the replies; one that is gone is
        // found when a reply can't be sent.
        while let Some(reply) = replies.recv().await {
            send(&mut write, &reply).await?;
        }
        if working.await.is_err() {
            return send(&mut write, &refused("the service failed to answer; its log says why")).await;
        }
    }
}

/// Whether the first request is the token; answers it either way.
async fn shows(
    token: &Token,
    lines: &mut (impl AsyncBufReadExt + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<bool> {
    let Ok(line) = timeout(TOKEN_PATIENCE, next_line(lines)).await else { return Ok(false) };
    let shown = match line? {
        Line::Text(text) => match serde_json::from_slice(&text) {
            Ok(Request::Token { token: shown }) => token.is(&shown),
            _ => false,
        },
        Line::TooLong | Line::End => false,
    };
    let reply = if shown { Reply::Done } else { refused("the first request is the token of this service, and this was not it") };
    send(write, &reply).await?;
    Ok(shown)
}

enum Line {
    Text(Vec<u8>),
    TooLong,
    End,
}

async fn next_line(lines: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<Line> {
    let mut line = Vec::new();
    let length = lines.take(MOST_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line).await?;
    Ok(match (length, line.last()) {
        (0, _) => Line::End,
        (_, Some(b'\n')) => Line::Text(line),
        (length, _) if length > MOST_LINE_BYTES => Line::TooLong,
        // A line that was cut off is no request.
        _ => Line::End,
    })
}

async fn send(write: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    write.flush().await
}

fn refused(message: &str) -> Reply {
    Reply::Error { message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with what it was asked, `session-watch` with two replies.
    struct Echo;

    impl Answer for Echo {
        fn answer(&self, request: Request, send: &mut dyn FnMut(Reply) -> bool) {
            let times = if matches!(request, Request::SessionWatch { .. }) { 2 } else { 1 };
            for _ in 0..times {
                send(Reply::Error { message: format!("{request:?}") });
            }
        }
    }

    /// What comes back for these bytes.
    async fn replies(token: Option<&str>, sent: &[u8]) -> Vec<String> {
        let (mut client, server) = tokio::io::duplex(64);
        let (_keep, stopping) = watch::channel(false);
        let serving = tokio::spawn(serve(server, token.map(Token::of), Arc::new(Echo), stopping));
        let sent = sent.to_vec();
        let (read, mut write) = tokio::io::split(&mut client);
        let mut got = String::new();
        let mut read = BufReader::new(read);
        // The server may hang up before it has read everything.
        let (_, received) = tokio::join!(
            async {
                let _hung_up = write.write_all(&sent).await;
                let _hung_up = write.shutdown().await;
            },
            read.read_to_string(&mut got)
        );
        received.unwrap();
        serving.await.unwrap().ok();
        got.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn each_line_is_a_request_and_the_answers_come_in_its_order() {
        let got = replies(None, b"{\"request\":\"session-watch\",\"id\":1}\n{\"request\":\"stop\"}\n").await;
        assert_eq!(got.len(), 3, "{got:?}");
        assert!(got[0].contains("SessionWatch") && got[1].contains("SessionWatch") && got[2].contains("Stop"), "{got:?}");
    }

    #[tokio::test]
    async fn what_is_no_request_ends_the_connection_with_a_reason() {
        let got = replies(None, b"GET / HTTP/1.1\n{\"request\":\"stop\"}\n").await;
        assert_eq!(got.len(), 1);
        assert!(got[0].contains("no request"), "{got:?}");
        let long = vec![b' '; MOST_LINE_BYTES + 10];
        let got = replies(None, &long).await;
        assert!(got[0].contains("longer than 1 MiB"), "{got:?}");
        assert_eq!(replies(None, b"{\"request\":\"stop\"}").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn without_the_token_nothing_is_answered() {
        let stop = b"{\"request\":\"stop\"}\n";
        let got = replies(Some("secret"), stop).await;
        assert!(got.len() == 1 && got[0].contains("token"), "{got:?}");
        let wrong = [b"{\"request\":\"token\",\"token\":\"Secret\"}\n".as_slice(), stop].concat();
        assert_eq!(replies(Some("secret"), &wrong).await.len(), 1);
        let right = [b"{\"request\":\"token\",\"token\":\"secret\"}\n".as_slice(), stop].concat();
        let got = replies(Some("secret"), &right).await;
        assert_eq!(got[0], r#"{"reply":"done"}"#);
        assert!(got[1].contains("Stop"), "{got:?}");
    }
}
