//! On what the run ran: without it no figure means anything.

use serde::{Deserialize, Serialize};

/// The machine of the generator. What the system does not tell is empty or 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Host {
    /// Model of the processor.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel name and release.
    pub kernel: String,
    /// Load average of the last minute when the run began: who else was using the machine.
    pub load_1m: f64,
    /// Version of the generator.
    pub generator: String,
    /// Versions of the servers, by name; filled in by whoever can ask them.
    pub servers: std::collections::BTreeMap<String, String>,
    /// The command line, without secrets; filled in by the program.
    pub command_line: String,
}

impl Host {
    /// Looks at this machine.
    #[must_use]
    pub fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or_default();
        let memory_kib = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
            .unwrap_or(0);
        let kernel = format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim());
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(0, |n| n.get() as u64),
            memory_bytes: memory_kib * 1_024,
            kernel: kernel.trim().to_owned(),
            load_1m: read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0),
            generator: concat!("flash-loadgen ", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Self::default()
        }
    }
}

/// The value of the first `name : value` line.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nMemTotal:   16 kB\n";
        assert_eq!(field(text, "model name").unwrap(), "Some CPU @ 2 GHz");
        assert_eq!(field(text, "MemTotal").unwrap(), "16 kB");
        assert_eq!(field(text, "absent"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_is_described() {
        let host = Host::look();
        assert!(host.cores > 0 && host.memory_bytes > 0 && host.kernel.starts_with("linux "), "{host:?}");
    }
}
