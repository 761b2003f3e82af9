//! The process: its start and its refusals to start, signals, reload, kill and recovery, full disks.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::daemon::{BINARY, Daemon, chat_bytes, command, question, run, streamed};
use crate::support::{Setup, World, at_once, eventually, find, now, pause};

/// Rows: P01.
#[test]
fn sigterm_lets_live_streams_finish_and_ends_with_0() {
    let mut world =
        Setup::new().toml("[server]\nlame_duck = \"700ms\"\ndrain_timeout = \"15s\"").with_admin().start();
    let mut streams: Vec<_> = (0..20)
        .map(|index| {
            let mut conn = world.connect();
            let body = streamed("gpt-4o!chunks=60!delay=40ms", &format!("hello {index}")).to_string();
            conn.send(chat_bytes(&[("x-request-id", &format!("live-{index}"))], body.as_bytes()));
            conn
        })
        .collect();
    eventually("all streams are under way", || world.openai.counters().in_flight == 20);
    world.signal("TERM");
    eventually("it is not ready any more", || world.get("/health/ready").status == 503);
    assert_eq!(world.get("/health/ready").code(), "draining");
    assert_eq!(world.get("/health/live").status, 200);
    let late = world.ask("gpt-4o", "a request in the lame-duck time");
    assert!(matches!(late.status, 200 | 503), "{}", late.text());
    let replies: Vec<_> = streams.iter_mut().map(|conn| conn.reply()).collect();
    assert!(replies.iter().all(|reply| reply.is_done()), "{}", replies[0].text());
    assert_eq!(world.daemon.exit_code(Duration::from_secs(20)), Some(0), "{}", world.log());
    world.restart();
    for index in 0..20 {
        assert_eq!(world.record(&format!("live-{index}"))["status"], 200);
    }
    let verify = world.admin("/v1/audit/verify").json();
    assert_eq!(verify["ok"], true, "{verify}");
    let text = world.admin("/v1/audit?limit=500").text();
    assert!(!text.contains("unclean"), "a clean stop left a recovery record: {text}");
}

/// Rows: P01.
#[test]
fn streams_that_outlast_the_drain_end_with_an_error_event() {
    let mut world = Setup::new().toml("[server]\ndrain_timeout = \"500ms\"").start();
    let mut conn = world.begin(&streamed("gpt-4o!chunks=2000!delay=30ms", "hello"));
    conn.until("data: ");
    world.signal("TERM");
    let text = conn.until("\"draining\"");
    assert!(!text.contains("[DONE]"), "{text}");
    let (rest, closed) = conn.drain(Duration::from_secs(5));
    assert!(closed && !String::from_utf8_lossy(&rest).contains("[DONE]"));
    assert_eq!(world.daemon.exit_code(Duration::from_secs(15)), Some(0), "{}", world.log());
}

/// Rows: P02.
#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second, code) in [("TERM", "TERM", 143), ("INT", "INT", 130)] {
        let mut world = Setup::new().toml("[server]\nlame_duck = \"60s\"\ndrain_timeout = \"60s\"").start();
        let mut conn = world.begin(&streamed("gpt-4o!chunks=5000!delay=20ms", "hello"));
        conn.until("data: ");
        world.signal(first);
        find("the drain begins", || world.log().contains("draining").then_some(()));
        let start = now();
        world.signal(second);
        assert_eq!(world.daemon.exit_code(Duration::from_secs(15)), Some(code), "{}", world.log());
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    }
}

#[test]
fn sigint_skips_the_lame_duck_time() {
    let mut world = Setup::new().toml("[server]\nlame_duck = \"60s\"").start();
    world.signal("INT");
    assert_eq!(world.daemon.exit_code(Duration::from_secs(15)), Some(0), "{}", world.log());
}

fn settings(model: &str) -> String {
    format!("[[routes]]\nmodel = \"{model}\"\ntargets = [{{ provider = \"openai\", model = \"gpt-4o\" }}]\n")
}

/// Rows: P04.
#[test]
fn a_broken_file_at_sighup_changes_nothing() {
    let world = World::start();
    let good = std::fs::read_to_string(world.config()).unwrap();
    for broken in ["[server\n", "[server]\nlisten = 5\n", "[serverr]\n", ""] {
        std::fs::write(world.config(), broken).unwrap();
        let before = world.log().matches("not reloaded").count();
        world.signal("HUP");
        eventually("the log says why", || world.log().matches("not reloaded").count() > before);
        assert_eq!(world.metric("sentinel_config_reload_success"), 0.0);
        assert_eq!(world.ask("gpt-4o", "hello").status, 200);
    }
    assert!(world.log().contains("serverr"), "{}", world.log());
    std::fs::write(world.config(), format!("{good}\n{}", settings("new-name"))).unwrap();
    assert_eq!(world.ask("new-name", "hello").status, 404);
    world.signal("HUP");
    eventually("the new route is there", || world.ask("new-name", "hello").status == 200);
    assert_eq!(world.metric("sentinel_config_reload_success"), 1.0);
}

/// Rows: P05.
#[test]
fn sighup_under_load_drops_nothing_and_keeps_counters_and_breakers() {
    let world = Setup::new().provider("openai", "[breaker]\nconsecutive_failures = 2").start();
    world.openai.set_fault("gpt-4.1", "500").unwrap();
    for index in 0..3 {
        world.ask("gpt-4.1", &format!("fail {index}"));
    }
    assert_eq!(world.breaker("openai", "gpt-4.1"), 2.0);
    let good = std::fs::read_to_string(world.config()).unwrap();
    let mut long = world.begin(&streamed("gpt-4o!chunks=100!delay=20ms", "long"));
    let (stop, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let reply = world.ask("gpt-4o", "hello");
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..5 {
            std::fs::write(world.config(), format!("{good}\n{}", settings(&format!("round-{round}"))))
                .unwrap();
            world.signal("HUP");
            eventually("the reload is done", || world.ask(&format!("round-{round}"), "x").status == 200);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(sent.load(Ordering::Relaxed) > 5);
    assert!(long.reply().is_done(), "the reload cut a stream");
    assert_eq!(world.breaker("openai", "gpt-4.1"), 2.0, "the reload forgot an open breaker");
    assert!(world.get("/metrics").json()["requests_total"].as_u64() > Some(10));
}

/// Rows: P03.
#[test]
fn after_kill_9_under_load_the_chain_verifies_and_answered_requests_have_records() {
    let mut world = Setup::new().toml("[audit]\ndurability = \"strict\"").start();
    let mut answered = Vec::new();
    for round in 0..4 {
        let address = world.address();
        let stop = AtomicBool::new(false);
        let ids = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3)
                .map(|worker| {
                    let stop = &stop;
                    scope.spawn(move || {
                        let mut ids = Vec::new();
                        for index in 0..10_000 {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            let id = format!("kill-{round}-{worker}-{index}");
                            let Ok(stream) = std::net::TcpStream::connect(address) else { break };
                            drop(stream);
                            let mut conn = crate::support::Conn::open(address);
                            let body = question("gpt-4o", "hello").to_string();
                            if !conn.try_send(chat_bytes(&[("x-request-id", &id)], body.as_bytes())) {
                                break;
                            }
                            match conn.try_reply() {
                                Some(reply) if reply.status == 200 && reply.complete => ids.push(id),
                                _ => break,
                            }
                        }
                        ids
                    })
                })
                .collect();
            pause(Duration::from_millis(400));
            world.daemon.kill();
            stop.store(true, Ordering::Relaxed);
            workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect::<Vec<_>>()
        });
        answered.extend(ids);
        world.daemon = Daemon::start(&world.config());
        let verify = world.get("/v1/audit/verify").json();
        assert_eq!(verify["ok"], true, "round {round}: {verify}");
    }
    assert!(answered.len() >= 8, "too few requests were answered to show anything: {}", answered.len());
    for id in &answered {
        assert_eq!(world.get(&format!("/v1/audit/{id}")).status, 200, "the record of {id} is lost");
    }
}

/// Rows: P15.
#[test]
fn a_port_in_use_is_exit_2_with_a_hint() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let setup = Setup::new().toml(&format!("[server]\nlisten = \"{address}\""));
    let ended = run(&["serve", "--config", &setup.write().display().to_string()], "");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains(&address) && ended.stderr.contains("--listen"), "{}", ended.stderr);
}

/// Rows: P16.
#[test]
fn a_second_daemon_on_the_same_data_refuses_and_leaves_the_first_alone() {
    let world = World::start();
    let ended = run(&["serve", "--config", &world.config().display().to_string()], "");
    assert!(matches!(ended.code, Some(1 | 2)), "{:?} {}", ended.code, ended.stderr);
    assert!(ended.stderr.contains(&world.pid().to_string()), "the holder is not named: {}", ended.stderr);
    assert_eq!(world.ask("gpt-4o", "hello").status, 200);
    assert_eq!(world.get("/v1/audit/verify").json()["ok"], true);
}

/// Rows: P07.
#[test]
fn a_data_directory_that_cannot_be_used_is_a_clear_refusal() {
    let setup = Setup::new();
    let file = setup.directory().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.join("data"), "/proc/sentinel".into(), file] {
        let setup = Setup::new().toml(&format!("[store]\npath = \"{}\"", path.display()));
        let ended = run(&["serve", "--config", &setup.write().display().to_string()], "");
        assert!(matches!(ended.code, Some(1 | 2)), "{path:?}: {:?} {}", ended.code, ended.stderr);
        assert!(ended.stderr.contains(path.to_str().unwrap()), "{path:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

/// A file system of a fixed size, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Returns `None` where this process may not mount anything.
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(directory.path());
        let mounted = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// Rows: P06.
#[test]
fn a_full_disk_refuses_with_503_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("24m") else {
        println!("skipped: this process may not mount a file system");
        return;
    };
    let setup = Setup::new().toml(&format!("[store]\npath = \"{}\"", disk.0.path().join("data").display()));
    let world = setup.toml("[audit]\ndurability = \"strict\"").start();
    assert_eq!(world.ask("gpt-4o", "hello").status, 200);
    let filler = disk.0.path().join("filler");
    let fill = || {
        let mut block = 1 << 20;
        let mut file = std::fs::File::options().create(true).append(true).open(&filler).unwrap();
        while block > 0 {
            if std::io::Write::write_all(&mut file, &vec![0; block]).is_err() {
                block /= 2;
            }
        }
    };
    let reply = find("requests are refused", || {
        fill();
        let reply = world.ask("gpt-4o", "hello");
        (reply.status != 200).then_some(reply)
    });
    assert_eq!((reply.status, reply.code().as_str()), (503, "store_unavailable"), "{}", reply.text());
    assert_eq!(world.get("/health/ready").status, 503);
    assert_eq!(world.get("/health").json()["status"], "down");
    assert_eq!(world.get("/health/live").status, 200);
    std::fs::remove_file(&filler).unwrap();
    eventually("requests pass again", || world.ask("gpt-4o", "hello").status == 200);
    assert_eq!(world.get("/health/ready").status, 200);
    assert_eq!(world.get("/v1/audit/verify").json()["ok"], true);
    assert!(!world.log().contains("panicked"));
}

/// Rows: P09.
#[test]
fn running_out_of_open_files_pauses_accepting_and_passes() {
    let setup = Setup::new();
    let config = setup.write();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 96; exec \"$0\" serve --config \"$1\"", BINARY]).arg(&config);
    let mut daemon = Daemon::spawn(command);
    daemon.await_ready();
    let crowd: Vec<_> =
        (0..150).filter_map(|_| std::net::TcpStream::connect(daemon.address()).ok()).collect();
    pause(Duration::from_millis(300));
    drop(crowd);
    eventually("it serves again", || daemon.ask("gpt-4o", "hello").status == 200);
    assert!(daemon.ended().is_none() && !daemon.log().contains("panicked"), "{}", daemon.log());
}

/// Rows: P17.
#[test]
fn a_stuck_reader_of_the_log_holds_nobody_up() {
    let setup = Setup::new().toml("[telemetry]\nlog_level = \"debug\"");
    let config = setup.write();
    // The reader never reads, so the pipe fills; the address goes to a file by way of a chosen port.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address: std::net::SocketAddr = ([127, 0, 0, 1], port).into();
    let mut command =
        command(&["serve", "--config", &config.display().to_string(), "--listen", &address.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    eventually("it listens", || std::net::TcpStream::connect(address).is_ok());
    let answered = at_once(4, |_| {
        let ask = |index: usize| {
            let body = question("gpt-4o", &format!("hello {index}")).to_string();
            crate::support::Conn::open(address).send(chat_bytes(&[], body.as_bytes())).reply().status
        };
        (0..150).filter(|index| ask(*index) == 200).count()
    });
    assert_eq!(answered.iter().sum::<usize>(), 600);
    let _ = child.kill();
    let _ = child.wait();
}

/// Rows: P18.
#[test]
fn metrics_can_be_scraped_without_pause() {
    let world = World::start();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(world.get("/metrics/prometheus").status, 200);
            }
        });
        for _ in 0..30 {
            let start = now();
            assert_eq!(world.ask("gpt-4o", "hello").status, 200);
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Rows: P20.
#[test]
fn it_starts_in_an_empty_environment() {
    let setup = Setup::new();
    let config = setup.write();
    let mut command = Command::new(BINARY);
    command.args(["serve", "--config", &config.display().to_string()]).env_clear().current_dir("/");
    let mut daemon = Daemon::spawn(command);
    daemon.await_ready();
    assert_eq!(daemon.ask("gpt-4o", "hello").status, 200);
}

/// Rows: P22.
#[test]
fn broken_configuration_files_are_exit_2_with_the_place_and_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sentinel.toml");
    let check = |text: &[u8]| {
        std::fs::write(&path, text).unwrap();
        run(&["check", "--config", &path.display().to_string()], "")
    };
    let provider = "[[providers]]\nname = \"a\"\nkind = \"openai\"\napi_keys = [\"k\"]\n";
    for (text, words) in [
        ("[server\n".to_owned(), &["line 1"][..]),
        ("[server]\nlisten = \"nowhere\"\n".to_owned(), &["server.listen", "127.0.0.1:8000"]),
        ("[server]\nlisen = \"127.0.0.1:1\"\n".to_owned(), &["lisen", "listen"]),
        ("[servr]\n".to_owned(), &["servr", "server"]),
        (format!("{provider}base_url = \"ftp://x\"\n"), &["providers[0].base_url", "https://"]),
        (
            format!("{provider}base_url = \"http://api.example.com/v1\"\n"),
            &["providers[0].base_url", "allow_http"],
        ),
        (format!("{provider}idle_timeout = \"5 parsecs\"\n"), &["providers[0].idle_timeout"]),
        (
            format!("{provider}api_keys = [\"${{NO_SUCH_VARIABLE}}\"]\n").replacen(
                "api_keys = [\"k\"]\n",
                "",
                1,
            ),
            &["NO_SUCH_VARIABLE"],
        ),
        (
            format!("{provider}[[routes]]\nmodel = \"x\"\ntargets = [{{ provider = \"b\" }}]\n"),
            &["routes[0]", "b"],
        ),
        ("[guard.pii]\nmode = \"sometimes\"\n".to_owned(), &["guard.pii.mode", "redact"]),
        ("[server]\nlisten = \"0.0.0.0:8000\"\n".to_owned(), &["allow_open"]),
    ] {
        let ended = check(text.as_bytes());
        assert_eq!(ended.code, Some(2), "{text}: {} {}", ended.stdout, ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word} is not in {}", ended.stderr);
        }
    }
    let two = check(b"[server]\nlisten = 5\nworkers = \"many\"\n");
    assert!(two.stderr.contains("server.listen") && two.stderr.contains("server.workers"), "{}", two.stderr);
    for odd in [b"\xff\xfe[server]\n".to_vec(), b"[server]\nx = \"\0\"\n".to_vec(), vec![b'['; 10 << 20]] {
        let ended = check(&odd);
        assert_eq!(ended.code, Some(2), "{:.300}", ended.stderr);
        assert!(ended.stderr.len() < 4096, "{} bytes of complaint", ended.stderr.len());
    }
    let crlf = provider.replace('\n', "\r\n");
    let fine = check(format!("\u{feff}{crlf}").as_bytes());
    assert!(matches!(fine.code, Some(0 | 2)) && !fine.stderr.contains("panicked"), "{}", fine.stderr);
    assert_eq!(check(crlf.as_bytes()).code, Some(0));
    assert!(!check(crlf.as_bytes()).stdout.contains("\"k\""), "check shows a secret");
}

#[test]
fn without_a_provider_serve_says_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    let output = command(&["serve"]).current_dir(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    for word in ["OPENAI_API_KEY", "[[providers]]", "sentinel demo"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let version = run(&["--version"], "");
    assert!(version.code == Some(0) && version.stdout.starts_with("sentinel "), "{}", version.stdout);
    assert_eq!(run(&["nonsense"], "").code, Some(2));
    assert_eq!(run(&["serve", "--nonsense"], "").code, Some(2));
    assert!(run(&["completions", "bash"], "").stdout.contains("sentinel"));
}

#[test]
fn records_of_before_a_restart_are_still_there() {
    let mut world = World::start();
    let reply = world.ask("gpt-4o", "hello");
    let before = world.record_of(&reply);
    world.signal("TERM");
    assert_eq!(world.daemon.exit_code(Duration::from_secs(15)), Some(0));
    world.restart();
    assert_eq!(world.record_of(&reply), before);
    assert_eq!(world.ask("gpt-4o", "hello").status, 200);
    eventually("both are in the chain", || {
        let verify = world.get("/v1/audit/verify").json();
        assert_eq!(verify["ok"], true, "{verify}");
        verify["entries"] == 2
    });
    eventually("both are in the ledger", || world.get("/v1/usage").json()["total"]["requests"] == 2);
}
