//! The processes that a test starts. A failure shows their log, and they end with the test process at the latest.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock, mpsc};
use std::thread::{panicking, sleep, spawn};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process that has not ended this time after SIGTERM is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// A running process. Dropping it stops it.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program, with the environment of [`clean`].
    pub(crate) fn start<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Process {
        let name = Path::new(program.as_ref()).file_name().unwrap_or(program.as_ref()).display().to_string();
        let log = scratch(&name).join("log");
        let out = File::create(&log).expect("create a log");
        let err = out.try_clone().expect("share a log");
        // The kernel kills it when the spawning thread ends, even if the test process is killed.
        let mut command = clean("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(args);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = from_a_lasting_thread(command).unwrap_or_else(|error| panic!("start {name} by setpriv: {error}"));
        Process { name, child, log }
    }

    /// Its output so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("(no log: {error})"))
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Waits until `ready` returns true. Panics with the log if the process ends before that, or after `within`.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, within: Duration, mut ready: impl FnMut() -> bool) {
        let start = Instant::now();
        while !ready() {
            let name = &self.name;
            if let Some(status) = self.child.try_wait().expect("ask for a child's state") {
                panic!("{name} ended before it was ready: {status}");
            }
            assert!(start.elapsed() < within, "{name} was not ready within {within:?}");
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits for its end. `None` if it still runs after `within`.
    pub(crate) fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            let status = self.child.try_wait().expect("ask for a child's state");
            if status.is_some() || start.elapsed() >= within {
                return status;
            }
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if panicking() {
            eprintln!("--- {}\n{}", self.name, self.log());
        }
        if self.ended(Duration::ZERO).is_some() {
            return;
        }
        self.signal(Signal::SIGTERM);
        if self.ended(STOP_PATIENCE).is_none() {
            self.signal(Signal::SIGKILL);
            self.ended(STOP_PATIENCE);
        }
    }
}

/// A program whose environment is `PATH` and an empty `HOME`, so that it depends on no variable of the shell, and on no file
/// like `~/.digrc`, `~/.curlrc` or `~/.kube/config`.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    static HOME: LazyLock<PathBuf> = LazyLock::new(|| scratch("home"));
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &*HOME);
    command
}

/// Runs a program with the environment of [`clean`], and returns its standard output. Panics with its standard error if it
/// fails.
#[track_caller]
pub(crate) fn output<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> String {
    finish(clean(program), args)
}

/// The same for programs that build or fetch: Go, cargo and scripts find their caches through the environment.
#[track_caller]
pub(crate) fn built<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> String {
    finish(Command::new(program), args)
}

#[track_caller]
fn finish<S: AsRef<OsStr>>(mut command: Command, args: impl IntoIterator<Item = S>) -> String {
    let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
    let program = command.get_program().display().to_string();
    let output = command.args(&args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {args:?}: {}\n{text}{errors}", output.status);
    text.into_owned()
}

/// Starts a child from a thread that lives as long as the test process.
///
/// The death signal depends on the parent *thread*: a child that a test's thread started would end with that test, but all
/// tests share the cluster.
fn from_a_lasting_thread(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        spawn(move || {
            for (mut command, reply) in incoming {
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, child) = mpsc::channel();
    spawner.send((command, reply)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}

/// A new empty folder. It stays after the run for inspection, and the next run removes it.
pub(crate) fn scratch(stem: &str) -> PathBuf {
    static OF_THIS_RUN: OnceLock<PathBuf> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let parent = OF_THIS_RUN.get_or_init(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for old in fs::read_dir(all).into_iter().flatten().flatten() {
            let name = old.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix("run-"));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_dir_all(old.path());
            }
        }
        all.join(format!("run-{}", std::process::id()))
    });
    let dir = parent.join(format!("{stem}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&dir).expect("create a scratch folder");
    dir
}

/// A loopback port that is free for TCP and UDP. The test process uses it only once.
///
/// It is below the ports that the kernel assigns to outgoing connections (32768 and up), so that none of those takes it
/// before the intended process does.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static TRIED: AtomicU32 = AtomicU32::new(0);
    // Concurrent suites begin at different ports.
    let start = std::process::id().wrapping_mul(131) % COUNT;
    for _ in 0..COUNT {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + (start + tried) % COUNT) as u16;
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

/// The loopback address at a free port.
pub(crate) fn free_address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// GETs a path over HTTP/1.0, where the connection's end ends the body. Returns status and body.
pub(crate) fn http_get(server: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, body.to_owned()))
}
