//! Files onto sockets, without a copy through this process where the system can.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// Most bytes of a file that one system call sends, so that a fast peer does not hold the thread.
const MOST: usize = 1024 * 1024;

/// A part of a file to send.
pub struct FilePart<'a> {
    /// The file.
    pub file: &'a File,
    /// Offset of the next byte; moved on by what was sent.
    pub offset: &'a mut u64,
    /// Bytes to send at the most.
    pub most: usize,
}

/// What both kinds of socket can do.
pub trait Socket: AsFd {
    /// Waits until it takes more.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Runs `write`, and waits anew where that would block.
    fn try_write(&self, write: impl FnMut() -> io::Result<usize>) -> io::Result<usize>;
}

impl Socket for TcpStream {
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn try_write(&self, write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, write)
    }
}

impl Socket for UnixStream {
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }

    fn try_write(&self, write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, write)
    }
}

/// Sends what it can of a part of a file, which it moves on; 0 where the file ended early.
pub fn poll_send(
    socket: &impl Socket,
    cx: &mut Context<'_>,
    part: &mut FilePart<'_>,
) -> Poll<io::Result<usize>> {
    let most = part.most.min(MOST);
    loop {
        ready!(socket.poll_writable(cx))?;
        match socket.try_write(|| send(socket, part, most)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return Poll::Ready(sent),
        }
    }
}

/// From the page cache to the socket.
#[cfg(target_os = "linux")]
fn send(socket: &impl Socket, part: &mut FilePart<'_>, most: usize) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket.as_fd(), part.file, Some(part.offset), most)?)
}

/// A piece read and written, where the system has no sendfile of Linux's kind.
#[cfg(not(target_os = "linux"))]
fn send(socket: &impl Socket, part: &mut FilePart<'_>, most: usize) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut piece = vec![0; most.min(MOST / 16)];
    let read = part.file.read_at(&mut piece, *part.offset)?;
    let sent = rustix::io::write(socket.as_fd(), &piece[..read])?;
    *part.offset += sent as u64;
    Ok(sent)
}
