//! The real servers, for real: start, faults on purpose, data on the same port, and nobody left behind.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use flash_stack::{
    KafkaChoice, RedisServer, RedisSet, Server, Stack, StackError, StackOptions, follow, promote, redis_command,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One inline command to Redis, and the start of its answer.
async fn redis(server: &Server, command: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = [0_u8; 512];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// Runs SQL with the command line client, which comes with every server package.
fn sql(stack: &Stack, statement: &str) -> String {
    let login = stack.mysql_login();
    let output = Command::new("mysql")
        .args(["--no-defaults", "-N", "-B", "-h", &login.host, "-u", &login.user])
        .arg(format!("-p{}", login.password))
        .args(["-P", &login.port.to_string(), &login.database, "-e", statement])
        .output()
        .unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(15);
    while !condition() {
        assert!(Instant::now() < end, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_stack_answers_survives_faults_and_leaves_nothing_behind() {
    let stack = Stack::start(StackOptions { kafka: KafkaChoice::TansuSqlite, ..Default::default() }).await.unwrap();
    let root = stack.dir().to_owned();
    let pids: Vec<u32> = [stack.redis(), stack.mysql(), stack.kafka()].map(|server| server.pid().unwrap()).into();

    // What the design asks of the parts.
    assert!(redis(stack.redis(), "CONFIG GET maxmemory-policy").await.contains("noeviction"));
    assert!(redis(stack.redis(), "CONFIG GET appendonly").await.contains("no"));
    assert_eq!(sql(&stack, "SELECT @@global.time_zone, @@innodb_flush_log_at_trx_commit, @@log_bin"), "+00:00\t1\t0");
    assert!(sql(&stack, "SELECT @@sql_mode").contains("STRICT_TRANS_TABLES"));
    sql(&stack, "CREATE DATABASE of_one_test; CREATE TABLE t (n INT); INSERT INTO t VALUES (7)");
    let env = stack.env_map();
    assert_eq!(env["KAFKA_BROKERS"], stack.kafka().address());
    assert_eq!(env["MYSQL_DATABASE"], "flash_sale");

    // Killed, and back on the same port with the same data.
    let address = stack.mysql().address().to_owned();
    stack.mysql().kill9().await.unwrap();
    assert!(!stack.mysql().answers().await);
    stack.mysql().restart().await.unwrap();
    assert_eq!(stack.mysql().address(), address);
    assert_eq!(sql(&stack, "SELECT n FROM t"), "7");

    // Stopped and back; a stopped server has no pid.
    stack.kafka().stop().await.unwrap();
    assert_eq!(stack.kafka().pid(), None);
    stack.kafka().restart().await.unwrap();
    assert!(stack.kafka().answers().await);

    // Frozen: the connection is accepted by the kernel, and nothing is answered.
    stack.redis().pause().unwrap();
    assert!(!stack.redis().answers().await);
    stack.redis().resume().unwrap();
    assert!(stack.redis().answers().await);

    // A server that ends by itself is noticed, by name and with its last words.
    let redis_pid = stack.redis().pid().unwrap();
    Command::new("kill").args(["-9", &redis_pid.to_string()]).status().unwrap();
    let exit = tokio::time::timeout(Duration::from_secs(5), stack.first_exit()).await.unwrap();
    assert_eq!((exit.server, exit.exit.to_string().as_str()), ("redis", "killed by signal 9"));
    assert!(!exit.last_lines.is_empty());

    stack.stop().await;
    assert!(pids.iter().all(|pid| !runs(*pid)));
    assert!(!root.exists());
}

#[tokio::test]
async fn two_redis_side_by_side_and_a_dropped_one_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) =
        tokio::try_join!(RedisServer::start(dir.path().join("one")), RedisServer::start(dir.path().join("two")),)
            .unwrap();
    assert_ne!(one.port(), two.port());
    assert!(redis(&one, "SET k 1").await.starts_with("+OK"));
    assert!(redis(&two, "GET k").await.starts_with("$-1"));
    let pid = one.pid().unwrap();
    drop(one);
    assert!(!runs(pid));
    assert!(two.answers().await);
}

#[tokio::test]
async fn servers_of_others_are_used_and_never_touched() {
    let dir = tempfile::tempdir().unwrap();
    let theirs = RedisServer::start(dir.path()).await.unwrap();
    let options = StackOptions {
        redis: theirs.url().parse().unwrap(),
        kafka: KafkaChoice::External("127.0.0.1:1".to_owned()),
        ..Default::default()
    };
    // Nobody listens on port 1, so the stack as a whole cannot be had, and says who is missing.
    let error = Stack::start(options).await.unwrap_err();
    assert!(matches!(&error, StackError::Unreachable { server, .. } if server == "kafka"), "{error}");
    assert!(theirs.answers().await);

    let stack =
        Stack::start(StackOptions { redis: theirs.url().parse().unwrap(), ..Default::default() }).await.unwrap();
    assert_eq!(stack.env_map()["REDIS_URL"], theirs.url());
    for refused in [stack.redis().pause().err(), stack.redis().kill9().await.err(), stack.redis().stop().await.err()] {
        assert!(matches!(refused, Some(StackError::NotOurs { .. })), "{refused:?}");
    }
    stack.stop().await;
    assert!(theirs.answers().await);
}

#[tokio::test]
async fn a_data_directory_is_kept_and_used_by_one_stack_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let options = || StackOptions { data: Some(dir.path().join("kept")), ..Default::default() };
    let stack = Stack::start(options()).await.unwrap();
    sql(&stack, "CREATE TABLE t (n INT); INSERT INTO t VALUES (9)");
    assert!(matches!(Stack::start(options()).await, Err(StackError::DataInUse(_))));
    stack.stop().await;
    let stack = Stack::start(options()).await.unwrap();
    assert_eq!(sql(&stack, "SELECT n FROM t"), "9");
    stack.stop().await;
}

#[test]
fn kill_9_of_the_owner_leaves_no_server_and_no_data() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("told");
    // `cargo test` builds examples next to the directory of the test programs.
    let programs = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples");
    let mut victim = Command::new(programs.join("owner")).arg(&file).stdout(Stdio::null()).spawn().unwrap();
    eventually("the victim has its stack", || file.exists());
    let told = std::fs::read_to_string(&file).unwrap();
    let mut lines = told.lines();
    let root = lines.next().unwrap().to_owned();
    let pids: Vec<u32> = lines.map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.len() == 3 && pids.iter().all(|pid| runs(*pid)));

    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually("all servers are gone", || pids.iter().all(|pid| !runs(*pid)));
    eventually("their data is gone", || !Path::new(&root).exists());
}

/// A primary with a replica, and a cluster: introduced, able to fail over and to come back.
#[tokio::test]
async fn redis_servers_that_belong_together() {
    let dir = tempfile::tempdir().unwrap();
    let pair = RedisSet::start_replicated(dir.path().join("pair"), 1).await.unwrap();
    let [old, new] = pair.servers() else { panic!("{pair:?}") };
    assert_eq!(pair.url(), format!("redis://{},{}", old.address(), new.address()));
    redis_command(old, &["SET", "k", "v"]).await.unwrap();
    promote(new).await.unwrap();
    old.kill9().await.unwrap();
    old.restart().await.unwrap();
    follow(old, new).await.unwrap();
    assert!(redis_command(old, &["INFO", "replication"]).await.unwrap().contains("role:slave"));

    let cluster = RedisSet::start_cluster(dir.path().join("cluster")).await.unwrap();
    let (victim, heir) = (&cluster.servers()[1], &cluster.servers()[4]);
    victim.kill9().await.unwrap();
    let started = Instant::now();
    while !redis_command(heir, &["INFO", "replication"]).await.unwrap().contains("role:master") {
        assert!(started.elapsed() < Duration::from_secs(60), "the cluster does not fail over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    victim.restart().await.unwrap();
    assert!(redis_command(victim, &["CLUSTER", "INFO"]).await.unwrap().contains("cluster_known_nodes:6"));
}
