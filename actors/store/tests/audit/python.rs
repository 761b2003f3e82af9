//! The chain is recomputed by a verifier in another language, from the export alone.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use sentinel_store::audit::AuditTrail;

use crate::support::{Wall, append, intent, record};

/// Runs the verifier on lines; `None` if this machine has no Python.
fn verify(lines: &[String]) -> Option<(bool, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/audit_verify.py");
    let started =
        Command::new("python3").arg(script).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = started else {
        println!("skipped: no python3");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    for line in lines {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[tokio::test]
async fn python_recomputes_every_hash_and_names_a_break() {
    let directory = tempfile::tempdir().unwrap();
    let trail = AuditTrail::open_embedded(&Wall::new().config(directory.path())).unwrap();
    append(&trail, "plain", 20).await;
    let mut odd = record("odd");
    odd.model = Some("größe-\u{1f600}\\\"\n\u{7}".into());
    odd.content = Some("line\nbreak\ttab \u{2028} \u{0} end".into());
    odd.pii_detected.insert("EMAIL_ADDRESS".into(), 2);
    odd.cost_usd = Some(sentinel_domain::money::NanoUsd::new(1_500));
    odd.injection_score = Some(1.0);
    let _ = trail.reserve(intent("odd")).unwrap().append(odd);
    append(&trail, "more", 5).await;
    let lines: Vec<_> = trail.reader().export().map(|row| row.unwrap().json()).collect();

    let Some((good, text)) = verify(&lines) else { return };
    assert!(good, "{text}");
    assert!(text.contains("26 rows"), "{text}");

    let tampered = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        let (good, text) = verify(&lines).unwrap();
        assert!(!good, "{text}");
        text
    };
    let altered = tampered(&|lines| lines[4] = lines[4].replace("\"status\":200", "\"status\":201"));
    assert!(altered.contains("altered at 5"), "{altered}");
    let deleted = tampered(&|lines| drop(lines.remove(4)));
    assert!(deleted.contains("deleted at 5"), "{deleted}");
    let cut = tampered(&|lines| drop(lines.drain(..4)));
    assert!(cut.contains("head_cut at 1"), "{cut}");
}
