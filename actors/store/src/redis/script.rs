//! A Lua script by its digest, and the arguments of one run.

use std::sync::OnceLock;

use redis::Cmd;

/// A script that is embedded in the binary.
pub(crate) struct LuaScript {
    code: &'static str,
    digest: OnceLock<String>,
}

impl LuaScript {
    pub(crate) const fn new(code: &'static str) -> Self {
        Self { code, digest: OnceLock::new() }
    }

    fn digest(&self) -> &str {
        self.digest.get_or_init(|| redis::Script::new(self.code).get_hash().to_owned())
    }

    /// The usual way: by digest, without the text.
    pub(crate) fn by_digest(&self, run: &Run) -> Cmd {
        run.finish("EVALSHA", self.digest())
    }

    /// With the text, which also teaches it to the one server (or cluster node) that does not know it.
    pub(crate) fn by_text(&self, run: &Run) -> Cmd {
        run.finish("EVAL", self.code)
    }
}

/// Keys and arguments of one run. All keys share one hash tag, so that a cluster finds them on one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
}

impl Run {
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    pub(crate) fn arg(mut self, arg: impl redis::ToRedisArgs) -> Self {
        self.args.extend(arg.to_redis_args());
        self
    }

    /// Returns the bytes that it takes in memory, roughly.
    pub(crate) fn size(&self) -> usize {
        self.keys.iter().map(String::len).chain(self.args.iter().map(Vec::len)).sum()
    }

    fn finish(&self, command: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(command);
        cmd.arg(script).arg(self.keys.len());
        for key in &self.keys {
            cmd.arg(key);
        }
        for arg in &self.args {
            cmd.arg(arg.as_slice());
        }
        cmd
    }
}

/// Makes a key of this version's layout: `{sentinel:TAG}:v1:NAME`. The braces are the hash tag of a cluster, so
/// braces inside the tag are replaced.
pub(crate) fn key(tag: &str, name: &str) -> String {
    let tag = tag.replace('{', "%7B").replace('}', "%7D");
    format!("{{sentinel:{tag}}}:v1:{name}")
}
