//! Both ends of the WebSocket bench, each on one thread.
//!
//! `wsbare serve PORT`                          echoes messages; answers other requests, too
//! `wsbare load PORT CONNECTIONS BYTES SECONDS [MESSAGES]`
//!                                              one message at a time on each connection, and no more
//!                                              than so many; prints messages, seconds, p50 and p99
//!                                              in microseconds
//! `wsbare hold PORT CONNECTIONS`               opens them, says `open`, and waits for its input's end

use std::io;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{accept_async, client_async, WebSocketStream};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nHello, World!";

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| -> Outcome<u64> {
        Ok(arguments.get(at).ok_or("see the top of main.rs")?.parse()?)
    };
    let port = u16::try_from(number(1)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    match arguments[0].as_str() {
        "serve" => Ok(local.block_on(&runtime, serve(port))?),
        "load" => {
            let length = usize::try_from(number(3)?)?;
            let time = Duration::from_secs(number(4)?);
            let most = if arguments.len() > 5 { number(5)? } else { u64::MAX };
            local.block_on(&runtime, load(port, number(2)?, length, (time, most)))
        }
        "hold" => local.block_on(&runtime, hold(port, number(2)?)),
        _ => Err("serve, load or hold".into()),
    }
}

async fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        // A peer that leaves is not news.
        tokio::task::spawn_local(async move { answer(socket).await.ok() });
    }
}

async fn answer(mut socket: TcpStream) -> Result<(), Error> {
    socket.set_nodelay(true)?;
    let mut head = [0; 2048];
    let seen = socket.peek(&mut head).await?;
    if !head[..seen].windows(10).any(|word| word.eq_ignore_ascii_case(b": websocke")) {
        let _ = socket.read(&mut head).await?;
        return Ok(socket.write_all(HELLO).await?);
    }
    let mut socket = accept_async(socket).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn open(port: u16) -> Outcome<WebSocketStream<TcpStream>> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let (socket, _) = client_async(format!("ws://127.0.0.1:{port}/ws"), socket).await?;
    Ok(socket)
}

/// Sends for so long, and so many messages at the most on each connection.
async fn load(
    port: u16,
    connections: u64,
    length: usize,
    (time, most): (Duration, u64),
) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    let mut sockets = Vec::new();
    for _ in 0..connections {
        sockets.push(open(port).await?);
    }
    let begun = Instant::now();
    for socket in sockets {
        tasks.spawn_local(async move {
            talk(socket, length, (begun + time, most)).await.map_err(|e| e.to_string())
        });
    }
    let mut times = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        times.extend(outcome??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(0);
    println!("{} {seconds:.3} {} {}", times.len(), at(0.5), at(0.99));
    Ok(())
}

/// Sends a message, waits for its echo, and so on; how long each took, in microseconds. Every frame is
/// the same, made and masked once: the load must cost less than what it measures.
async fn talk(
    socket: WebSocketStream<TcpStream>,
    length: usize,
    (end, most): (Instant, u64),
) -> Outcome<Vec<u32>> {
    let mut socket = socket.into_inner();
    let (question, answer) = (frame(length, Some([0x37, 0xfa, 0x21, 0x3d])), frame(length, None));
    let mut echo = vec![0; answer.len()];
    let mut times = Vec::new();
    for _ in 0..most {
        let begun = Instant::now();
        if begun >= end {
            break;
        }
        socket.write_all(&question).await?;
        socket.read_exact(&mut echo).await?;
        if echo != answer {
            return Err(format!("no echo: {:02x?}", &echo[..echo.len().min(16)]).into());
        }
        times.push(begun.elapsed().as_micros() as u32);
    }
    Ok(times)
}

/// A binary message in one frame.
//= RFC 6455 5.2
fn frame(length: usize, mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    match length {
        0..=125 => frame.push(masked | length as u8),
        126..=0xffff => {
            frame.push(masked | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            frame.push(masked | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    if masked != 0 {
        frame.extend_from_slice(&key);
    }
    frame.extend((0..length).map(|at| b'x' ^ key[at % 4]));
    frame
}

async fn hold(port: u16, connections: u64) -> Outcome<()> {
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let mut socket = open(port).await?;
        socket.send(Message::text("hello")).await?;
        let _ = socket.next().await.ok_or("closed")??;
        sockets.push(socket);
    }
    println!("open");
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
