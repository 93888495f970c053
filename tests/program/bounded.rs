//! Runs the program with limits on time and memory, and checks the files it leaves behind.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::process::{CommandExt, ExitStatusExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::run::hears_signals;

/// Limits on the CPU time and the memory of a refusal. Wall-clock time would depend on the load of the machine.
const MOST_SECS: f64 = 5.0;
const MOST_MIB: u64 = 512;
/// A command that runs longer than this counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// Limit on the address space of every command, so that the command fails before it exhausts the machine.
const MOST_ADDRESSES: u64 = 16 << 30;
/// Limit on the length of an error line, in bytes.
const LONGEST_LINE: usize = 1500;

/// The program in the folder `dir`, which is also its home, cache and temporary folder.
pub(crate) fn jempp(dir: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jempp"));
    command.args(arguments).current_dir(dir);
    surround(&mut command, dir);
    command
}

/// Sets the environment of [`jempp`] for a command that starts the program in another way.
pub(crate) fn surround(command: &mut Command, dir: &Path) {
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "XDG_CACHE_HOME", "XDG_DATA_HOME", "BURN_DEVICE"]
    {
        command.env_remove(variable);
    }
    let home = dir.join("home");
    fs::create_dir_all(home.join("tmp")).unwrap();
    command.env("HOME", &home).env("JEMPP_CACHE", home.join("cache"));
    command.env("TMPDIR", home.join("tmp")).env("XDG_RUNTIME_DIR", home.join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    hears_signals(command);
    // No test downloads from the internet.
    command.env("JEMPP_MIRROR", "http://127.0.0.1:9");
}

/// The result of a command that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The CPU time in seconds, of all threads together.
    pub cpu_secs: f64,
    /// The peak memory, in MiB.
    pub peak_mib: u64,
}

/// Runs a command until it ends.
pub(crate) fn ended(command: &mut Command) -> Ended {
    Started::new(command).wait()
}

/// A running command, which is ended together with the test.
pub(crate) struct Started {
    child: Child,
    /// The peak memory of this process when it started the command, in KiB.
    own_peak_kib: u64,
    has_ended: bool,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Started {
    /// Starts the command; its piped output is read while it runs.
    pub(crate) fn new(command: &mut Command) -> Self {
        // SAFETY: `setrlimit` may be called between fork and exec, and reads only its own argument.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: MOST_ADDRESSES, rlim_max: MOST_ADDRESSES };
                match libc::setrlimit(libc::RLIMIT_AS, &limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let own_peak_kib = own_peak_kib();
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(reader);
        let stderr = child.stderr.take().map(reader);
        Self { child, own_peak_kib, has_ended: false, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> libc::pid_t {
        self.child.id() as libc::pid_t
    }

    /// Sends a signal to the command.
    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: `kill` accesses no memory.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Whether the command is still running. The exit status remains available to [`Started::wait`].
    pub(crate) fn is_running(&self) -> bool {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: all-zero bytes are a valid `siginfo_t`; the call writes to it alone.
        let pid = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, self.child.id(), &mut info, flags);
            info.si_pid()
        };
        pid == 0
    }

    /// Waits until the command ends.
    pub(crate) fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let (mut status, mut is_over_time, mut seen_kib) = (0, false, 0);
        // SAFETY: all-zero bytes are a valid `rusage`.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        loop {
            seen_kib = seen_kib.max(peak_kib_of(self.pid()));
            // SAFETY: both pointers refer to local variables that outlive the call.
            match unsafe { libc::wait4(self.pid(), &mut status, libc::WNOHANG, &mut usage) } {
                0 if !is_over_time && Instant::now() > deadline => {
                    is_over_time = true;
                    self.signal(libc::SIGKILL);
                }
                0 => std::thread::sleep(Duration::from_millis(5)),
                _ => break,
            }
        }
        self.has_ended = true;
        // Between fork and exec the child is a copy of this process, whose memory counts as the child's.
        let whole_kib = usage.ru_maxrss as u64;
        let peak_kib = if whole_kib > self.own_peak_kib { whole_kib } else { seen_kib };
        let text = |thread: Option<JoinHandle<String>>| {
            thread.map_or(String::new(), |t| t.join().unwrap())
        };
        let secs = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        let ended = Ended {
            status: ExitStatus::from_raw(status),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
            cpu_secs: secs(usage.ru_utime) + secs(usage.ru_stime),
            peak_mib: peak_kib >> 10,
        };
        assert!(!is_over_time, "no end after {PATIENCE:?}: {ended:?}");
        ended
    }
}

/// The peak memory of this process so far, in KiB.
fn own_peak_kib() -> u64 {
    // SAFETY: all-zero bytes are a valid `rusage`, and the call writes to it alone.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    usage.ru_maxrss as u64
}

/// The peak memory of a process since its start, in KiB, if the system reports it; 0 after its end.
fn peak_kib_of(pid: libc::pid_t) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn reader(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Ended {
    /// Checks that the command was refused: one line, within the limits and without a panic. Returns the message.
    pub(crate) fn refusal(&self) -> &str {
        let code = self.status.code();
        assert!(matches!(code, Some(1 | 2)), "ended with {:?}: {}", self.status, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let lines: Vec<&str> =
            self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(lines.len(), 1, "one line: {}", self.stderr);
        // clap adds the usage; next to jempp's own line there may only be warnings.
        if code == Some(1) {
            let mut others = self.stderr.lines().filter(|line| !line.starts_with("warning: "));
            assert!(others.all(|line| line == lines[0]), "nothing but the line: {}", self.stderr);
        }
        assert!(lines[0].len() <= LONGEST_LINE, "{} bytes: {}", lines[0].len(), lines[0]);
        for text in [&self.stdout, &self.stderr] {
            let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
            assert!(!text.contains(steers), "control characters reach the terminal: {text:?}");
        }
        self.check_bounds();
        self.stderr.trim_end()
    }

    /// Returns the standard output, after checking that the command succeeded within the same limits.
    pub(crate) fn success(&self) -> &str {
        assert!(
            self.status.success(),
            "ended with {:?}: {}{}",
            self.status,
            self.stdout,
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self.check_bounds();
        &self.stdout
    }

    fn check_bounds(&self) {
        assert!(self.cpu_secs < MOST_SECS, "{} s of CPU: {}", self.cpu_secs, self.stderr);
        assert!(self.peak_mib < MOST_MIB, "{} MiB: {}", self.peak_mib, self.stderr);
    }
}

/// Runs a command that must be refused without any change to the folder. Returns the message.
pub(crate) fn refused(dir: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> String {
    refused_command(dir, &mut jempp(dir, arguments))
}

/// As [`refused`], for a prepared command.
pub(crate) fn refused_command(dir: &Path, command: &mut Command) -> String {
    let before = everything_in(dir);
    let ended = ended(command);
    let said = ended.refusal();
    let after = everything_in(dir);
    let left: Vec<_> =
        after.iter().filter(|(path, what)| before.get(*path) != Some(what)).collect();
    let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    assert!(left.is_empty() && gone.is_empty(), "{said}\nleft behind: {left:?}, gone: {gone:?}");
    said.to_string()
}

/// Checks every case and reports all failures instead of only the first.
pub(crate) fn every<T>(
    cases: impl IntoIterator<Item = T>,
    name: impl Fn(&T) -> String,
    check: impl Fn(T),
) {
    let mut failed = Vec::new();
    for case in cases {
        let name = name(&case);
        if catch_unwind(AssertUnwindSafe(|| check(case))).is_err() {
            eprintln!("FAILED: {name}\n");
            failed.push(name);
        }
    }
    assert!(
        failed.is_empty(),
        "{} cases failed, each told above:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Runs a command that must succeed within the limits. Returns its output.
pub(crate) fn works(dir: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> String {
    ended(&mut jempp(dir, arguments)).success().to_string()
}

/// Lists everything in a folder with its type, and for files the length and the checksum.
pub(crate) fn everything_in(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let what = if kind.is_dir() {
                folders.push(path.clone());
                "folder".to_string()
            } else if kind.is_file() {
                let bytes = fs::read(&path).unwrap();
                format!("file of {} bytes, {:08x}", bytes.len(), crc32fast::hash(&bytes))
            } else {
                format!("{kind:?}")
            };
            found.insert(path, what);
        }
    }
    found
}
