//! What a process has used, from `/proc`.

use std::fs;

/// Ticks a second of the times in `/proc/PID/stat`: Linux shows 100 on every machine, whatever its timer does.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of all threads of a process since its start, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    /// In the program.
    pub(crate) user: f64,
    /// In the kernel for it.
    pub(crate) system: f64,
}

/// The CPU time that a process has used so far.
pub(crate) fn cpu_time(pid: u32) -> CpuTime {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // The second field is the program's name in parentheses and may hold blanks; utime and stime are the 14th and 15th.
    let (_, rest) = text.rsplit_once(')').expect("a name in parentheses");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let seconds = |field: usize| fields[field - 3].parse::<f64>().expect("a number of ticks") / TICKS_PER_SECOND;
    CpuTime { user: seconds(14), system: seconds(15) }
}

/// Resident memory of a process in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: u64,
    /// The most so far.
    pub(crate) peak: u64,
}

/// The resident memory of a process.
pub(crate) fn memory(pid: u32) -> Memory {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let bytes = |label: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(label)).expect("a line of memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
        kib * 1024
    };
    Memory { resident: bytes("VmRSS:"), peak: bytes("VmHWM:") }
}
