//! Apache Kafka 4 in KRaft mode, one node that is broker and controller, from the jars that
//! `scripts/fetch-kafka` collects out of Maven Central: what users run, without a container engine.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{ProcessSpec, StackError, probe::Probe, program, server::Recipe};

/// Any 16 bytes in base64 will do, and a constant one makes a data directory usable again.
const CLUSTER_ID: &str = "Zmxhc2gtc2FsZS1zdGFjaw";
const HEAP: &str = "-Xmx512m";

pub(crate) struct ApacheRecipe {
    pub(crate) dir: PathBuf,
    /// What clients are told, if not where it listens.
    pub(crate) advertised: Option<String>,
}

impl Recipe for ApacheRecipe {
    fn name(&self) -> &'static str {
        "kafka"
    }

    /// Clients, and the controller quorum of one.
    fn ports(&self) -> usize {
        2
    }

    fn prepare(&self, ports: &[u16]) -> Result<ProcessSpec, StackError> {
        let java = program::JAVA.find()?;
        let jars = jars()?;
        let dir = std::path::absolute(&self.dir).map_err(StackError::io("resolving the data directory"))?;
        let properties = dir.join("server.properties");
        write(&properties, &server_properties(&dir, ports[0], ports[1], self.advertised.as_deref()))?;
        let log4j = dir.join("log4j2.yaml");
        write(&log4j, LOG4J)?;

        let mut class_path = OsString::from(jars);
        class_path.push("/*");
        let logging = format!("-Dlog4j2.configurationFile={}", log4j.display());
        let common = [HEAP.into(), logging.into(), "-cp".into(), class_path];
        let format =
            ["kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", CLUSTER_ID, "--config"];
        let format = common.iter().cloned().chain(format.map(OsString::from)).chain([properties.clone().into()]);
        program::run(&java, format)?;

        let mut spec =
            ProcessSpec::new(self.name(), java).args(common).args([OsString::from("kafka.Kafka"), properties.into()]);
        // Its orderly shutdown writes snapshots and takes longer than the others'.
        spec.grace = Duration::from_secs(20);
        Ok(spec)
    }

    fn probe(&self) -> Probe {
        Probe::Kafka
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(90)
    }

    fn url(&self, address: &str) -> String {
        address.to_owned()
    }

    fn keeps_data(&self) -> bool {
        true
    }
}

/// Whether Java and the jars are there.
pub(crate) fn check() -> Result<(), StackError> {
    program::JAVA.find()?;
    jars().map(drop)
}

fn jars() -> Result<PathBuf, StackError> {
    let jars = program::tools_dir().map(|tools| tools.join("kafka/libs")).filter(|libs| libs.is_dir());
    jars.ok_or_else(|| StackError::Missing {
        program: "Apache Kafka".to_owned(),
        install: "run scripts/fetch-kafka (needs mvn; 100 MB once), or choose --kafka tansu".to_owned(),
    })
}

fn write(path: &Path, text: &str) -> Result<(), StackError> {
    fs::write(path, text).map_err(StackError::io(format!("writing {}", path.display())))
}

/// The quorum is listed statically: a kept data directory then also starts on other ports.
fn server_properties(dir: &Path, port: u16, controller_port: u16, advertised: Option<&str>) -> String {
    let advertised = advertised.map_or_else(|| format!("127.0.0.1:{port}"), str::to_owned);
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://{advertised}\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.segment.bytes=67108864\n\
         log.cleaner.dedupe.buffer.size=2097152\n",
        dir.join("data").display()
    )
}

/// Warnings and the few lines that tell of start and stop, on stdout.
const LOG4J: &str = "\
Configuration:
  Appenders:
    Console:
      name: STDOUT
      PatternLayout:
        pattern: \"%d{HH:mm:ss.SSS} %-5p %m (%c{1})%n\"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        ref: STDOUT
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
";
