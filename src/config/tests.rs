//! The configuration as a user meets it: defaults, every problem at once, suggestions, masking.

use std::time::Duration;

use super::*;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ok(text: &str) -> Loaded {
    from_text(Some(text), &env(&[]), &Flags::default()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(text: &str) -> String {
    from_text(Some(text), &env(&[]), &Flags::default())
        .map_or_else(|problems| problems.to_string(), |_| String::new())
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let config = ok("").config;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.server.max_body, 32 << 20);
    assert_eq!(config.server.request_timeout, Duration::from_secs(600));
    assert_eq!(config.auth.mode, AuthMode::None);
    assert_eq!(config.cache.ttl, Duration::from_secs(3600));
    assert!(config.providers.is_empty());
}

#[test]
fn every_setting_equals_its_shown_default_in_an_empty_file() {
    for setting in ok("").settings {
        assert_eq!(setting.shown, setting.default, "{}", setting.path);
        assert!(setting.doc.ends_with('.'), "{} is explained in a sentence", setting.path);
    }
}

#[test]
fn every_problem_is_reported_at_once_with_its_path() {
    let shown = problems(
        r#"
[server]
listem = "127.0.0.1:1"
max_body = "lots"
[[providers]]
name = "openai"
base_url = "http://example.com"
[[routes]]
model = "x"
targets = [ { provider = "opnai" } ]
[guard.pii]
mode = "redcat"
"#,
    );
    for expected in [
        "server.listem (line 3): unknown setting \"listem\"; did you mean \"listen\"?",
        "server.max_body (line 4)",
        "providers[0].base_url",
        "routes[0].targets[0].provider",
        "did you mean \"openai\"?",
        "guard.pii.mode (line 12)",
        "did you mean \"redact\"?",
    ] {
        assert!(shown.contains(expected), "{expected:?} is missing in\n{shown}");
    }
}

#[test]
fn the_environment_overrides_the_file_and_flags_override_both() {
    let vars = env(&[("SENTINEL_SERVER__LISTEN", "127.0.0.1:2"), ("SENTINEL_LIMITS__RPM", "7")]);
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n";
    let loaded = from_text(Some(text), &vars, &Flags::default()).unwrap();
    assert_eq!((loaded.config.server.listen.port(), loaded.config.limits.caller.rpm), (2, 7));
    let flags = Flags { listen: Some("127.0.0.1:3".into()), data_dir: None };
    assert_eq!(from_text(Some(text), &vars, &flags).unwrap().config.server.listen.port(), 3);
}

#[test]
fn an_unknown_override_is_a_problem_too() {
    let vars = env(&[("SENTINEL_SERVER__LISTN", "x")]);
    let shown = from_text(None, &vars, &Flags::default()).unwrap_err().to_string();
    assert!(shown.contains("listn") && shown.contains("SENTINEL_SERVER__LISTN"), "{shown}");
}

#[test]
fn providers_come_from_well_known_variables_when_none_are_configured() {
    let vars =
        env(&[("OPENAI_API_KEY", "sk-a"), ("ANTHROPIC_API_KEY", "sk-b"), ("SENTINEL_ADMIN_TOKEN", "t")]);
    let loaded = from_text(None, &vars, &Flags::default()).unwrap();
    let names: Vec<_> =
        loaded.config.providers.iter().map(|spec| (&*spec.name, spec.base_url.as_str())).collect();
    assert_eq!(
        names,
        [("openai", "https://api.openai.com/v1"), ("anthropic", "https://api.anthropic.com/v1")]
    );
    assert!(loaded.config.auth.admin_token.is_some());
}

#[test]
fn secrets_are_shown_by_their_variable_or_masked() {
    let vars = env(&[("KEY", "sk-very-secret")]);
    let text = "[auth]\nadmin_token = \"inline-secret\"\n[[providers]]\nname = \"p\"\napi_keys = [\"${KEY}\", \"sk-other\"]\n";
    let loaded = from_text(Some(text), &vars, &Flags::default()).unwrap();
    let shown: String = loaded.settings.iter().map(|setting| format!("{setting:?}\n")).collect();
    assert!(
        ["inline-secret", "very-secret", "sk-other"].iter().all(|secret| !shown.contains(secret)),
        "{shown}"
    );
    assert!(shown.contains("${KEY}") && shown.contains("***"));
    assert_eq!(loaded.config.providers[0].api_keys[0].expose(), "sk-very-secret");
}

#[test]
fn a_missing_variable_is_named() {
    let shown = problems("[[providers]]\nname = \"p\"\napi_keys = [\"${NO_SUCH_KEY}\"]\n");
    assert!(shown.contains("providers[0].api_keys[0]") && shown.contains("NO_SUCH_KEY"), "{shown}");
}

#[test]
fn an_open_listener_without_keys_is_refused() {
    for (text, fine) in [
        ("[server]\nlisten = \"0.0.0.0:8000\"\n", false),
        ("[server]\nlisten = \"0.0.0.0:8000\"\n[auth]\nmode = \"keys\"\n", false),
        ("[server]\nlisten = \"0.0.0.0:8000\"\n[auth]\nmode = \"keys\"\nadmin_token = \"t\"\n", true),
        (
            "[server]\nlisten = \"0.0.0.0:8000\"\nadmin_listen = \"127.0.0.1:9\"\n[auth]\nmode = \"keys\"\n",
            true,
        ),
        ("[server]\nlisten = \"0.0.0.0:8000\"\n[auth]\nallow_open = true\n", true),
    ] {
        assert_eq!(problems(text).is_empty(), fine, "{text}\n{}", problems(text));
    }
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let vars =
        env(&[("OPENAI_API_KEY", "sk-a"), ("ANTHROPIC_API_KEY", "sk-b"), ("SENTINEL_ADMIN_TOKEN", "t")]);
    let text = include_str!("../../sentinel.example.toml");
    from_text(Some(text), &vars, &Flags::default()).unwrap_or_else(|problems| panic!("{problems}"));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\[\\]a-z\"=.{}$\n0-9 ]{0,200}") {
        let _ = from_text(Some(&text), &env(&[]), &Flags::default());
    }
}
