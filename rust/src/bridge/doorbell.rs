//! A descriptor that becomes readable when there is news: an eventfd, a pipe where there is none.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// A bell that one side rings and the other side's event loop watches.
pub struct Doorbell {
    watched: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    pressed: OwnedFd,
    asleep: AtomicBool,
    rung: AtomicBool,
}

impl Doorbell {
    /// A silent bell; its owner counts as asleep.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Doorbell> {
        use rustix::event::{EventfdFlags, eventfd};
        let watched = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Doorbell { watched, asleep: AtomicBool::new(true), rung: AtomicBool::new(false) })
    }

    /// A silent bell; its owner counts as asleep.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Doorbell> {
        use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
        let (watched, pressed) = rustix::pipe::pipe()?;
        for fd in [&watched, &pressed] {
            fcntl_setfd(fd, FdFlags::CLOEXEC)?;
            ioctl_fionbio(fd, true)?;
        }
        Ok(Doorbell {
            watched,
            pressed,
            asleep: AtomicBool::new(true),
            rung: AtomicBool::new(false),
        })
    }

    /// The descriptor to watch for reading, level-triggered.
    pub fn fd(&self) -> RawFd {
        self.watched.as_raw_fd()
    }

    /// Makes the descriptor readable.
    pub fn ring(&self) {
        // A full counter or pipe is readable already: nothing is lost if this fails.
        let _ = rustix::io::write(self.press(), &1u64.to_ne_bytes());
        // After the write: whoever silences in between leaves the descriptor readable and comes
        // back at once; the other order could leave it readable for ever.
        self.rung.store(true, Ordering::SeqCst);
    }

    /// Rings if the owner sleeps.
    pub fn ring_if_asleep(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.wake() {
            self.ring();
        }
    }

    /// Makes the descriptor unreadable.
    pub fn silence(&self) {
        // A bell that nobody rang costs no system call: under load that is most of the time.
        if !self.rung.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut sink = [0u8; 64];
        while rustix::io::read(&self.watched, &mut sink).is_ok_and(|n| n == sink.len()) {}
    }

    /// Silences the bell and marks the owner asleep; it must look for news once more.
    pub fn sleep(&self) {
        self.silence();
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Marks the owner awake; true if it was asleep.
    pub fn wake(&self) -> bool {
        self.asleep.swap(false, Ordering::AcqRel)
    }

    #[cfg(target_os = "linux")]
    fn press(&self) -> BorrowedFd<'_> {
        self.watched.as_fd()
    }

    #[cfg(not(target_os = "linux"))]
    fn press(&self) -> BorrowedFd<'_> {
        self.pressed.as_fd()
    }

    #[cfg(test)]
    pub(super) fn is_rung(&self) -> bool {
        self.poll_for_test(0)
    }

    #[cfg(test)]
    pub(super) fn wait_for_test(&self) -> bool {
        self.poll_for_test(20)
    }

    #[cfg(test)]
    fn poll_for_test(&self, seconds: i64) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.watched, PollFlags::IN)], Some(&limit)).is_ok_and(|n| n > 0)
    }
}
