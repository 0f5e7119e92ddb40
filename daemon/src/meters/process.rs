//! What the process takes from its machine, as the kernel tells. Where it does not tell, nothing is made up.

use flash_core::stats::Process;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Reads everything; two small files of `/proc` and two calls.
pub(crate) fn read() -> Process {
    let pid = std::process::id();
    Process { pid, resident_bytes: resident_bytes(), cpu_ms: cpu_ms(), open_files: open_files() }
}

/// Most file descriptors that may be open; `None`: no limit.
pub(crate) fn open_files_max() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Processor time of all threads, in user and in kernel mode.
fn cpu_ms() -> Option<u64> {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(used.tv_sec).ok()?, u64::try_from(used.tv_nsec).ok()?);
    Some(seconds * 1000 + nanos / 1_000_000)
}

fn open_files() -> Option<u64> {
    // The directory itself is open while it is read.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn it_sees_itself_grow() {
        let before = read();
        assert!(before.resident_bytes > Some(100_000) && before.cpu_ms.is_some(), "{before:?}");
        let held: Vec<_> = (0..300).map(|_| std::fs::File::open("/proc/self/status").unwrap()).collect();
        // Other tests of this process open and close files meanwhile, but not that many.
        let more = read().open_files.unwrap().saturating_sub(before.open_files.unwrap());
        assert!(more > 200, "{more} more for {} files", held.len());
        assert!(open_files_max().is_none_or(|max| max > before.open_files.unwrap()));
    }
}
