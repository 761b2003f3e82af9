//! The command line: every command and flag with its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong configuration or usage, 70 the audit trail is beyond repair.
Without --config: $SENTINEL_CONFIG, else ./sentinel.toml, else providers from OPENAI_API_KEY and ANTHROPIC_API_KEY.
Every setting can be overridden: SENTINEL_SERVER__LISTEN=127.0.0.1:9000 sets server.listen.

Try it without any key:  sentinel demo";

/// An LLM gateway: one OpenAI-compatible endpoint in front of OpenAI and Anthropic.
#[derive(Debug, Parser)]
#[command(name = "sentinel", version, about, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `serve` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `serve`.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Where the configuration file is.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Flags of `serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Where the configuration file is.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Address and port to listen on; replaces server.listen.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Directory of the embedded store; replaces store.path.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway.
    Serve(ServeArgs),
    /// Check the configuration and show what is in force, secrets masked.
    Check {
        /// Where the configuration file is.
        #[command(flatten)]
        config: ConfigArgs,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show every feature with two mock providers; needs no key, no Redis, no network.
    Demo {
        /// Address and port of the gateway.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
        listen: String,
        /// End after the tour: 0 if every step did what it says, else 1.
        #[arg(long)]
        exit: bool,
    },
    /// Run the guards over JSON lines from standard input; needs no provider.
    Scan {
        /// Where the configuration file is.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Virtual keys in the store.
    Key {
        /// Where the configuration file is.
        #[command(flatten)]
        config: ConfigArgs,
        /// Directory of the embedded store; replaces store.path.
        #[arg(long, value_name = "DIR", global = true)]
        data_dir: Option<String>,
        /// What to do with keys.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// The audit trail.
    Audit {
        /// Where the configuration file is.
        #[command(flatten)]
        config: ConfigArgs,
        /// Directory of the embedded store; replaces store.path.
        #[arg(long, value_name = "DIR", global = true)]
        data_dir: Option<String>,
        /// What to do with the trail.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Prices of models.
    Prices {
        /// Where the configuration file is.
        #[command(flatten)]
        config: ConfigArgs,
        /// What to do with prices.
        #[command(subcommand)]
        command: PricesCommand,
    },
    /// The usage ledger.
    Usage {
        /// Where the configuration file is.
        #[command(flatten)]
        config: ConfigArgs,
        /// Directory of the embedded store; replaces store.path.
        #[arg(long, value_name = "DIR", global = true)]
        data_dir: Option<String>,
        /// What to do with the ledger.
        #[command(subcommand)]
        command: UsageCommand,
    },
    /// The configuration itself.
    Config {
        /// Where the configuration file is.
        #[command(flatten)]
        config: ConfigArgs,
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Run the mock provider alone: both wire formats, faults by model name, counters.
    Mock {
        /// Address and port to listen on.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8900")]
        listen: String,
    },
    /// Ask a running gateway for its health; for container checks.
    Health {
        /// Address of the gateway.
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
        address: String,
        /// Ask whether it takes requests, not only whether it lives.
        #[arg(long)]
        ready: bool,
    },
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key. The secret is printed once and kept only as a hash.
    Create {
        /// Name in records, metrics and usage.
        #[arg(long)]
        name: String,
        /// Requests per window.
        #[arg(long)]
        rpm: Option<u64>,
        /// Tokens per window.
        #[arg(long)]
        tpm: Option<u64>,
        /// Requests in flight at once.
        #[arg(long)]
        max_in_flight: Option<u64>,
        /// Most USD spent per UTC day.
        #[arg(long, value_name = "USD")]
        budget_usd_day: Option<String>,
        /// Most USD spent per UTC month.
        #[arg(long, value_name = "USD")]
        budget_usd_month: Option<String>,
        /// Globs of models that it may use, separated by commas.
        #[arg(long, value_name = "GLOB", value_delimiter = ',', default_value = "*")]
        models: Vec<String>,
        /// Days until it expires.
        #[arg(long, value_name = "DAYS")]
        expires_in_days: Option<u32>,
    },
    /// List the keys, without their secrets.
    List {
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key at once.
    Revoke {
        /// The key's id, as `list` shows it.
        id: String,
    },
}

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the hash chain; name the first break or gap.
    Verify {
        /// First moment, RFC 3339.
        #[arg(long, value_name = "T")]
        from: Option<String>,
        /// Last moment, RFC 3339.
        #[arg(long, value_name = "T")]
        to: Option<String>,
    },
    /// Write every record to standard output.
    Export {
        /// Format of the output.
        #[arg(long, value_enum, default_value = "jsonl")]
        format: ExportFormat,
    },
    /// Show the newest records.
    Tail {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Show counts by status, provider and day.
    Stats,
}

/// Format of an export.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    Jsonl,
}

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub enum PricesCommand {
    /// List the prices in force.
    List {
        /// Only models that match this glob.
        #[arg(default_value = "*")]
        model: String,
    },
    /// Check a price file.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Turn the widely used JSON price map into a price file on standard output.
    Import {
        /// The JSON price map.
        file: PathBuf,
    },
}

/// What to do with the usage ledger.
#[derive(Debug, Subcommand)]
pub enum UsageCommand {
    /// Show the totals.
    Show {
        /// Any of provider, model, key and day, separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "day,provider,model")]
        group_by: Vec<String>,
    },
    /// Price the whole history again with the prices in force.
    Reprice,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print a commented file with every setting at its default.
    Init,
    /// Print what is in force, with where each value came from.
    Show,
    /// Print the reference of every setting, in Markdown.
    Reference,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_a_help_text() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn serve_is_the_default() {
        let cli = Cli::parse_from(["sentinel", "--listen", "127.0.0.1:1"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.listen.as_deref(), Some("127.0.0.1:1"));
    }
}
