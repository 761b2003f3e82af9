//! Redis beside the daemon: absent, appearing, killed, hanging, full, damaged, refusing; two daemons on one.

use std::time::Duration;

use sentinel_store::testing::RedisServer;

use crate::support::daemon::{Daemon, question};
use crate::support::{Reply, Setup, World, at_once, eventually, now};

const KEY: &str = "sk-redis-team-secret-1";

fn on(url: &str) -> Setup {
    Setup::new().toml(&format!("[store]\nbackend = \"redis\"\nredis_url = \"{url}\"\nredis_timeout = \"5s\""))
}

fn ask(daemon: &Daemon, text: &str) -> Reply {
    daemon.chat_with(&[("authorization", &format!("Bearer {KEY}"))], &question("gpt-4o", text))
}

fn up(world: &World) -> bool {
    world.metric("sentinel_store_up{backend=\"redis\"}") == 1.0
}

/// Rows: R01, R02.
#[test]
fn an_absent_redis_delays_nothing_and_is_used_once_it_appears() {
    let mut redis = RedisServer::absent();
    let start = now();
    let world = on(&redis.url()).toml("[limits]\nrpm = 1000").start();
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    for index in 0..5 {
        let reply = world.ask("gpt-4o", &format!("hello {index}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let health = world.get("/health");
    assert_eq!(
        (health.status, health.json()["status"].as_str()),
        (200, Some("degraded")),
        "{}",
        health.text()
    );
    assert!(!up(&world));
    redis.restart();
    eventually("Redis is used", || {
        up(&world) && world.ask("gpt-4o", "hello").find("x-sentinel-degraded").is_none()
    });
    world.ask("gpt-4o", "now it counts there");
    eventually("limits are kept there", || !redis.keys().is_empty());
    eventually("health is well", || world.get("/health").json()["status"] == "ok");
}

/// Rows: R03.
#[test]
fn a_killed_redis_costs_no_request() {
    let mut redis = RedisServer::start();
    let world = on(&redis.url()).toml("[limits]\nrpm = 100000").start();
    eventually("Redis is used", || up(&world));
    let replies = std::thread::scope(|scope| {
        let load: Vec<_> = (0..3)
            .map(|worker| {
                let world = &world.daemon;
                scope.spawn(move || {
                    (0..40)
                        .map(|index| world.ask("gpt-4o", &format!("load {worker} {index}")))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        crate::support::pause(Duration::from_millis(150));
        redis.kill();
        load.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(replies.len(), 120);
    let failed = replies.iter().find(|reply| reply.status != 200);
    assert!(failed.is_none(), "{}", failed.unwrap().text());
    redis.restart();
    eventually("Redis is used again", || up(&world));
}

/// Rows: R04.
#[test]
fn a_hanging_redis_is_passed_over() {
    let redis = RedisServer::start();
    let world =
        on(&redis.url()).toml("[store]\nredis_timeout = \"200ms\"").toml("[limits]\nrpm = 100000").start();
    eventually("Redis is used", || up(&world));
    redis.hang();
    for index in 0..10 {
        assert_eq!(world.ask("gpt-4o", &format!("hello {index}")).status, 200);
    }
    let start = now();
    for index in 0..10 {
        assert_eq!(world.ask("gpt-4o", &format!("again {index}")).status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "each request waits for Redis: {:?}", start.elapsed());
    redis.resume();
    eventually("Redis is used again", || up(&world));
}

/// Rows: R03.
#[test]
fn with_reject_a_missing_redis_is_a_503_with_a_time() {
    let redis = RedisServer::absent();
    let world = on(&redis.url()).toml("[store]\non_outage = \"reject\"\n[limits]\nrpm = 10").start();
    let reply = world.ask("gpt-4o", "hello");
    assert_eq!((reply.status, reply.code().as_str()), (503, "store_unavailable"), "{}", reply.text());
    assert!(reply.header("retry-after").parse::<u64>().is_ok(), "{}", reply.head);
    assert_eq!(world.upstream_calls(), 0);
    assert_eq!(world.get("/health/live").status, 200);
}

/// Rows: R06, R07, R08.
#[test]
fn a_full_damaged_or_emptied_redis_answers_on() {
    let redis = RedisServer::start();
    let world = on(&redis.url()).toml("[limits]\nrpm = 100000\n[cache]\nenabled = true").start();
    eventually("Redis is used", || up(&world));
    assert_eq!(world.ask("gpt-4o", "first").status, 200);
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for index in 0..5 {
        assert_eq!(world.ask("gpt-4o", &format!("full {index}")).status, 200);
    }
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    for key in redis.keys() {
        redis.command(&["DEL", &key]);
        redis.command(&["LPUSH", &key, "nonsense"]);
    }
    for index in 0..5 {
        let reply = world.ask("gpt-4o", &format!("damaged {index}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    redis.command(&["FLUSHALL"]);
    redis.command(&["SCRIPT", "FLUSH"]);
    for index in 0..5 {
        assert_eq!(world.ask("gpt-4o", &format!("flushed {index}")).status, 200);
    }
    assert!(!world.log().contains("panicked"), "{}", world.log());
}

/// Rows: R09, R13.
#[test]
fn a_redis_that_refuses_is_named_and_the_password_is_not() {
    let redis = RedisServer::start_with(&["--requirepass", "right-password"]);
    let secret = "wrong-password-7361";
    let url = format!("redis://:{secret}@127.0.0.1:{}/0", redis.port());
    let world = on(&url).toml("[limits]\nrpm = 1000").start();
    assert_eq!(world.ask("gpt-4o", "hello").status, 200);
    eventually("the log says that Redis refuses", || {
        let log = world.log().to_lowercase();
        log.contains("wrongpass") || log.contains("auth") || log.contains("password")
    });
    for path in ["/health", "/metrics", "/metrics/prometheus", "/admin/actors"] {
        assert!(!world.get(path).text().contains(secret), "{path}");
    }
    assert!(!world.log().contains(secret), "{}", world.log());
    let checked =
        crate::support::daemon::run(&["check", "--config", &world.config().display().to_string()], "");
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(!checked.stdout.contains(secret) && !checked.stderr.contains(secret), "{}", checked.stdout);
}

#[test]
fn two_daemons_on_one_redis_share_limits_exactly() {
    let redis = RedisServer::start();
    let make = || on(&redis.url()).with_keys(&[("team", KEY, "rpm = 30")]).start();
    let worlds = [make(), make()];
    for world in &worlds {
        eventually("Redis is used", || {
            world.admin("/metrics/prometheus").text().contains("sentinel_store_up{backend=\"redis\"} 1")
        });
    }
    let start = now();
    let replies = at_once(60, |index| ask(&worlds[index % 2], &format!("hello {index}")));
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    // Half a request is earned back each second.
    let earned = usize::try_from(start.elapsed().as_secs() / 2 + 1).unwrap();
    assert!((30..=30 + earned).contains(&passed), "{passed} of 30 passed");
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 429)), "{:?}", replies.last());
}

#[test]
fn two_daemons_on_one_redis_share_a_budget() {
    let redis = RedisServer::start();
    let make = || on(&redis.url()).with_keys(&[("team", KEY, "budget_usd_day = 0.06")]).start();
    let worlds = [make(), make()];
    for world in &worlds {
        eventually("Redis is used", || {
            world.admin("/metrics/prometheus").text().contains("sentinel_store_up{backend=\"redis\"} 1")
        });
    }
    // Each call costs 0.0075 USD, so eight of them are all that the budget holds.
    let statuses: Vec<_> = (0..16)
        .map(|index| {
            worlds[index % 2].openai.set_fault("*", "usage=1000:500").unwrap();
            ask(&worlds[index % 2], &format!("hello {index}")).status
        })
        .collect();
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert!((6..=9).contains(&passed), "{statuses:?}");
    assert_eq!(*statuses.last().unwrap(), 402, "{statuses:?}");
}
