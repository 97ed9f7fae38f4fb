//! The resources that a process has used, from `/proc`.

use std::fs;

/// Ticks a second of the times in `/proc/PID/stat`. Linux shows 100 on every machine, whatever the rate of its timer.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of all threads of a process since its start, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    /// Time in the program.
    pub(crate) user: f64,
    /// Time in the kernel.
    pub(crate) system: f64,
}

/// The CPU time that a process and its children have used so far.
pub(crate) fn cpu_time(pid: u32) -> CpuTime {
    let none = CpuTime { user: 0.0, system: 0.0 };
    family(pid)
        .into_iter()
        .map(own_cpu_time)
        .fold(none, |sum, one| CpuTime { user: sum.user + one.user, system: sum.system + one.system })
}

fn own_cpu_time(pid: u32) -> CpuTime {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // The second field is the program's name in parentheses and may contain blanks. utime and stime are the 14th and 15th.
    let (_, rest) = text.rsplit_once(')').expect("a name in parentheses");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let seconds = |field: usize| fields[field - 3].parse::<f64>().expect("a number of ticks") / TICKS_PER_SECOND;
    CpuTime { user: seconds(14), system: seconds(15) }
}

/// A process and its descendants: NSD answers in a child.
fn family(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let children = text.split_whitespace().map(|child| child.parse().expect("a process id"));
    std::iter::once(pid).chain(children.flat_map(family)).collect()
}

/// The memory of a process and its children in bytes. Shared pages count once (`Pss`).
pub(crate) fn own_memory(pid: u32) -> u64 {
    let of = |pid| {
        let path = format!("/proc/{pid}/smaps_rollup");
        kib(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")), "Pss:")
    };
    family(pid).into_iter().map(of).sum()
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Now.
    pub(crate) resident: u64,
    /// The peak so far.
    pub(crate) peak: u64,
}

/// The resident memory of a process.
pub(crate) fn memory(pid: u32) -> Memory {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    Memory { resident: kib(&text, "VmRSS:"), peak: kib(&text, "VmHWM:") }
}

/// The bytes after a label. The file has KiB.
fn kib(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label)).expect("a line of memory");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kib * 1024
}
