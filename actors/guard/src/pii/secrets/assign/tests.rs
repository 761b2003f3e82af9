//! Which assigned values count as secrets.

use super::*;

fn found(text: &str) -> Vec<&str> {
    let mut out = Candidates::new();
    let lower = text.to_lowercase();
    for (index, (name, ..)) in Keyword::NAMES.iter().enumerate() {
        for (start, _) in lower.match_indices(name) {
            assigned(Text::new(text), start, start + name.len(), index, true, &mut out);
        }
    }
    out.sort_by_key(|one| one.start);
    out.dedup();
    out.iter().map(|one| &text[one.start..one.end]).collect()
}

#[test]
fn assigned_values_are_found() {
    for (text, value) in [
        ("DB_PASSWORD=Tr0ub4dor&3x!", "Tr0ub4dor&3x!"),
        (r#""passwd": "hunter2-x#9""#, "hunter2-x#9"),
        ("Login: jdoe / pw: hunter2-ougyf#9", "hunter2-ougyf#9"),
        (r#"mysql --password="hunter2-katym#9" prod"#, "hunter2-katym#9"),
        ("my password is Winter2024!", "Winter2024!"),
        (r#"password: str = "s3cr3t!pw""#, "s3cr3t!pw"),
        (
            r#""oktaApiToken": "00ebObu4zSNkyc6dimLvUwq4KpTEop-PCEnnfSTpD3","#,
            "00ebObu4zSNkyc6dimLvUwq4KpTEop-PCEnnfSTpD3",
        ),
        ("--api-key 8d68728d0af90b33258332da478f93bb", "8d68728d0af90b33258332da478f93bb"),
        ("<password>abc!1234</password>", "abc!1234"),
    ] {
        assert_eq!(found(text), [value], "{text}");
    }
}

#[test]
fn talk_code_and_placeholders_are_not() {
    for text in [
        "The password must be at least 13 characters",
        "token count: 3799 / 4096",
        "max_tokens=47843573828",
        "password = getpass.getpass()",
        "api_key = os.environ['OPENAI_API_KEY']",
        "password: ${DB_PASSWORD}",
        "OPENAI_API_KEY=sk-...",
        "api_key=your_api_key_1",
        r#""key_vault_name": "web21prqodx24021""#,
        "keyVaultToStoreSecrets: cmp2-qat-1208358310",
        "credentialsId: 'ff083f76-7804-4ef1-80e4-fe975bb9141b'",
        "password is base64-encoded",
        "token = config.token2",
    ] {
        assert!(found(text).is_empty(), "{text} {:?}", found(text));
    }
}
