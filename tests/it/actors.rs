//! Actors that panic under the real daemon: one restart, nothing lost, an answer for everybody.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::daemon::question;
use crate::support::http::request;
use crate::support::{Setup, World, eventually};

fn drilled() -> World {
    Setup::new().toml("[server]\nchaos = true\n[limits]\nrpm = 1000000").start()
}

fn actors(world: &World) -> Vec<serde_json::Value> {
    world.get("/admin/actors").json()["actors"].as_array().cloned().unwrap_or_default()
}

fn names(world: &World) -> Vec<String> {
    let rows = actors(world);
    let running = rows.iter().filter(|row| row["state"] == "running");
    running.filter_map(|row| row["name"].as_str().map(str::to_owned)).collect()
}

fn inject(world: &World, name: &str, kind: &str) -> u16 {
    world.raw(request("POST", &format!("/admin/actors/{name}/panic?kind={kind}"), &[], None)).status
}

/// Rows: P11.
#[test]
fn every_actor_can_panic_under_load_and_every_record_is_kept() {
    let world = drilled();
    world.ask("gpt-4o", "hello");
    world.ask("claude-sonnet-4-5", "hello");
    let names = names(&world);
    assert!(names.len() >= 5, "{names:?}");
    let stop = AtomicBool::new(false);
    let answered = std::thread::scope(|scope| {
        let load: Vec<_> = (0..2)
            .map(|worker| {
                let (world, stop) = (&world.daemon, &stop);
                scope.spawn(move || {
                    let mut answered = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let id = format!("drill-{worker}-{}", answered.len());
                        let reply = world.chat_with(&[("x-request-id", &id)], &question("gpt-4o", "hello"));
                        // 500 for the one call that was inside the actor when it panicked.
                        assert!(matches!(reply.status, 200 | 500 | 503), "{}", reply.text());
                        answered.push((id, reply.status));
                    }
                    answered
                })
            })
            .collect();
        for kind in ["handler", "future"] {
            for name in &names {
                inject(&world, name, kind);
            }
        }
        eventually("the panics are over", || {
            world.get("/health").json()["actors"]["restarts"].as_u64().is_some_and(|restarts| restarts >= 3)
        });
        stop.store(true, Ordering::Relaxed);
        load.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let passed = answered.iter().filter(|(_, status)| *status == 200).count();
    assert!(passed * 2 >= answered.len(), "{passed} of {} passed", answered.len());
    for (id, status) in &answered {
        assert_eq!(world.record(id)["status"], *status, "{id}");
    }
    eventually("every actor runs again", || {
        world.get("/health").json()["actors"]["not_running"].as_array().is_some_and(Vec::is_empty)
    });
    assert_eq!(world.get("/v1/audit/verify").json()["ok"], true);
    assert_eq!(world.ask("gpt-4o", "hello").status, 200);
}

/// Rows: P12.
#[test]
fn an_actor_that_panics_again_and_again_is_no_hot_loop_and_no_end_of_the_daemon() {
    let mut world = drilled();
    world.ask("gpt-4o", "hello");
    let name = names(&world).into_iter().find(|name| name.contains("limiter")).expect("a limiter");
    for _ in 0..12 {
        inject(&world, &name, "handler");
        let status = world.ask("gpt-4o", "hello").status;
        assert!(matches!(status, 200 | 500 | 503), "{status}");
    }
    assert!(world.daemon.ended().is_none());
    assert!(world.log().matches("panicked").count() < 200, "a hot loop");
    eventually("it serves again", || world.ask("gpt-4o", "hello").status == 200);
}

#[test]
fn drills_are_off_unless_switched_on() {
    let world = World::start();
    world.ask("gpt-4o", "hello");
    let name = names(&world).into_iter().next().expect("an actor");
    assert_eq!(inject(&world, &name, "handler"), 404);
}
