//! The certificates in force, and how they are replaced while the server runs.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::load::Live;

/// How often new handshakes look whether a file has changed: a `stat` for each costs little, and
/// a second is soon enough.
const LOOK: Duration = Duration::from_secs(1);

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ask {
    /// They are not.
    #[default]
    Never,
    /// They are, and served whatever they have.
    Optional,
    /// They are, and served only with a good one.
    Require,
}

/// What TLS is set up with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub(super) hosts: Vec<(PathBuf, PathBuf)>,
    pub(super) ca: Option<PathBuf>,
    pub(super) ask: Ask,
    pub(super) only_newest: bool,
    pub(super) ciphers: Option<String>,
    pub(super) alpn: Vec<Vec<u8>>,
}

impl Settings {
    /// Takes over one setting, or says what is wrong with it. A `cert_file` opens a pair that the
    /// next `key_file` closes; the first pair is the default.
    pub fn set(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        let path = || PathBuf::from(OsStr::from_bytes(value));
        match (name, value) {
            ("cert_file", _) => self.hosts.push((path(), PathBuf::new())),
            ("key_file", _) => {
                let pair = self.hosts.last_mut().ok_or("ssl: a key_file without a cert_file")?;
                pair.1 = path();
            }
            ("ca_file", _) => self.ca = Some(path()),
            ("verify_client", b"optional") => self.ask = Ask::Optional,
            ("verify_client", b"require") => self.ask = Ask::Require,
            ("min_version", b"TLSv1_2") => self.only_newest = false,
            ("min_version", b"TLSv1_3") => self.only_newest = true,
            ("cipher_list", _) => {
                self.ciphers = Some(String::from_utf8_lossy(value).into_owned());
            }
            ("alpn", _) => self.alpn.push(value.into()),
            _ => {
                let value = String::from_utf8_lossy(value);
                return Err(format!("Invalid ssl {name} '{value}'"));
            }
        }
        Ok(())
    }

    /// Whether there is a file that this process may not read.
    fn is_forbidden(&self) -> bool {
        let pairs = self.hosts.iter().flat_map(|(cert, key)| [cert, key]);
        let mut errors = pairs.chain(&self.ca).filter_map(|path| std::fs::File::open(path).err());
        errors.any(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let pairs = self.hosts.iter().flat_map(|(cert, key)| [cert, key]);
        pairs.chain(&self.ca).map(|path| std::fs::metadata(path).ok().map(Stamp::of)).collect()
    }
}

/// What changes when a file does. The time is the inode's: a file that could not be read may be
/// given away (chown, chmod), and a copy may keep its time of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    changed: (i64, i64),
    size: u64,
}

impl Stamp {
    fn of(meta: std::fs::Metadata) -> Stamp {
        Stamp {
            file: (meta.dev(), meta.ino()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: meta.len(),
        }
    }
}

/// Certificates and keys, replaced as a whole or not at all. Connections keep what they began
/// with.
pub struct Store {
    settings: Settings,
    inner: Mutex<Inner>,
}

struct Inner {
    live: Arc<Live>,
    /// Why the files could not be taken at first; told once.
    refused: Option<String>,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// What a master read for its workers: one that begins while the files are bad serves with it.
struct Kept {
    reader: Reader,
    settings: Settings,
    live: Arc<Live>,
}

/// Who has read what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A process that forks others.
    Process(u32),
    /// Somebody who had rights that are given up by now.
    Privileged,
}

impl Reader {
    fn this() -> Reader {
        Reader::Process(std::process::id())
    }
}

static KEPT: Mutex<Option<Kept>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the process that forked this one read, or this one when it had more rights. A process has
/// no other use for its own: it shall be told what is wrong with its files.
fn inherited(settings: &Settings) -> Option<(Arc<Live>, Reader)> {
    let kept = lock(&KEPT);
    let kept = kept.as_ref().filter(|kept| kept.reader != Reader::this())?;
    (kept.settings == *settings).then(|| (kept.live.clone(), kept.reader))
}

fn keep(store: Store, reader: Reader) {
    let live = store.lock().live.clone();
    *lock(&KEPT) = Some(Kept { reader, settings: store.settings, live });
}

/// Whether files that changed were taken over, or why not.
pub type Reload = Result<(), String>;

impl Store {
    /// Reads the files for the first time.
    pub fn open(settings: Settings) -> Result<Store, String> {
        let store = Store::read(settings)?;
        // Who serves forks no workers: a key that is replaced shall not stay in memory.
        lock(&KEPT).take_if(|kept| kept.reader == Reader::this());
        Ok(store)
    }

    fn read(settings: Settings) -> Result<Store, String> {
        let stamps = settings.stamps();
        let (live, refused) = match Live::load(&settings) {
            Ok(live) => (Arc::new(live), None),
            Err(error) => match inherited(&settings) {
                Some((live, Reader::Privileged)) if settings.is_forbidden() => (live, None),
                Some((live, _)) => (live, Some(error)),
                None => return Err(error),
            },
        };
        let inner = Inner { live, refused, stamps, looked: Instant::now() };
        Ok(Store { settings, inner: Mutex::new(inner) })
    }

    /// Whether the files are good. Processes that are forked from this one have what they hold.
    pub fn check(settings: Settings) -> Result<(), String> {
        let store = Store::read(settings)?;
        if inherited(&store.settings).is_none() {
            keep(store, Reader::this());
        }
        Ok(())
    }

    /// The same, and this process has it, too, when it may not read the files any more.
    pub fn hold(settings: Settings) -> Result<(), String> {
        keep(Store::read(settings)?, Reader::Privileged);
        Ok(())
    }

    /// What a new connection is served with; and what came of files that have changed.
    pub fn current(&self) -> (Arc<Live>, Option<Reload>) {
        let mut inner = self.lock();
        let mut reload = inner.refused.take().map(Err);
        if inner.looked.elapsed() >= LOOK {
            inner.looked = Instant::now();
            let stamps = self.settings.stamps();
            if stamps != inner.stamps {
                reload = Some(self.replace(&mut inner, stamps));
            }
        }
        (inner.live.clone(), reload)
    }

    /// Reads the files anew, changed or not.
    pub fn reload(&self) -> Reload {
        let stamps = self.settings.stamps();
        self.replace(&mut self.lock(), stamps)
    }

    /// What was refused once is tried again when it has changed again.
    fn replace(&self, inner: &mut Inner, stamps: Vec<Option<Stamp>>) -> Reload {
        inner.stamps = stamps;
        inner.live = Arc::new(Live::load(&self.settings)?);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}
