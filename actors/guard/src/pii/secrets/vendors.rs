//! Token formats that vendors document or that their secret scanners publish: prefix, alphabet, length.
//!
//! Facts only, collected from the vendors' documentation and from public secret-scanning partner lists (read 2026-11).
//! A prefix is matched with its exact case; the automaton that proposes it ignores case.

/// Alphabet of the part after the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// `0-9a-f`, either case.
    Hex,
    /// Letters and digits.
    Alnum,
    /// Upper-case letters and digits.
    Upper,
    /// `A-Z2-7`.
    Base32,
    /// Letters, digits, `_` and `-`.
    Url,
    /// Letters, digits, `_`, `-` and `.`.
    Dotted,
    /// Letters, digits, `+`, `/`, `=`, `_` and `-`.
    Base64,
}

impl Alphabet {
    pub(crate) fn holds(self, byte: u8) -> bool {
        match self {
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Base32 => byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-'),
        }
    }
}

/// One token format.
pub(crate) struct Format {
    pub(crate) prefix: &'static str,
    pub(crate) alphabet: Alphabet,
    pub(crate) least: usize,
    pub(crate) most: usize,
}

const fn exact(prefix: &'static str, alphabet: Alphabet, length: usize) -> Format {
    Format { prefix, alphabet, least: length, most: length }
}

const fn within(prefix: &'static str, alphabet: Alphabet, least: usize, most: usize) -> Format {
    Format { prefix, alphabet, least, most }
}

use Alphabet::{Alnum, Base32, Base64, Dotted, Hex, Upper, Url};

/// Longest token of the table after its prefix.
pub(crate) const LONGEST: usize = 2048;

/// All formats. For one prefix several rows may exist; the first that fits wins.
pub(crate) const FORMATS: &[Format] = &[
    // Models and their hosts.
    within("sk-ant-", Url, 80, 220),
    within("sk-proj-", Url, 40, 220),
    within("sk-svcacct-", Url, 40, 220),
    within("sk-admin-", Url, 40, 220),
    within("sk-None-", Url, 40, 220),
    exact("sk-or-v1-", Hex, 64),
    within("sk-lf-", Url, 36, 40),
    within("sk-sentinel-", Url, 36, 120),
    within("sk-", Alnum, 32, 64),
    exact("gsk_", Alnum, 52),
    within("xai-", Alnum, 70, 90),
    exact("r8_", Alnum, 37),
    within("hf_", Alnum, 34, 40),
    exact("api_org_", Alnum, 34),
    within("pplx-", Alnum, 40, 64),
    within("nvapi-", Url, 60, 80),
    within("csk-", Alnum, 40, 60),
    within("fw_", Alnum, 20, 40),
    within("tvly-", Url, 28, 60),
    within("jina_", Url, 50, 80),
    within("e2b_", Hex, 40, 40),
    within("lsv2_pt_", Url, 40, 60),
    within("lsv2_sk_", Url, 40, 60),
    within("pcsk_", Url, 50, 90),
    within("bedrock-api-key-", Base64, 40, 400),
    within("ABSK", Base64, 100, 270),
    // Code hosts and registries.
    exact("ghp_", Alnum, 36),
    exact("gho_", Alnum, 36),
    exact("ghu_", Alnum, 36),
    exact("ghs_", Alnum, 36),
    within("ghr_", Alnum, 36, 76),
    within("github_pat_", Url, 60, 90),
    within("glpat-", Dotted, 20, 300),
    within("gldt-", Url, 20, 64),
    within("glrt-", Url, 20, 64),
    within("glft-", Url, 20, 64),
    within("glsoat-", Url, 20, 64),
    within("glimt-", Url, 20, 64),
    within("glcbt-", Url, 20, 64),
    within("glffct-", Url, 20, 64),
    within("glagent-", Url, 40, 64),
    within("gloas-", Hex, 64, 64),
    within("glptt-", Hex, 40, 40),
    within("GR1348941", Url, 20, 60),
    exact("npm_", Alnum, 36),
    within("pypi-AgE", Url, 50, LONGEST),
    exact("rubygems_", Hex, 48),
    within("dckr_pat_", Url, 24, 40),
    within("dckr_oat_", Url, 24, 40),
    exact("cio", Alnum, 32),
    exact("CLOJARS_", Alnum, 60),
    within("oy2", Alnum, 43, 43),
    within("ATATT3", Base64, 100, 300),
    within("ATCTT3", Base64, 100, 300),
    within("ATBB", Alnum, 32, 40),
    within("AKCp", Alnum, 60, 80),
    within("cmVmd", Alnum, 59, 59),
    within("sgp_local_", Hex, 40, 40),
    within("sgp_", Url, 40, 58),
    within("slk_", Hex, 64, 64),
    within("CCIPAT_", Url, 40, 70),
    within("bkua_", Hex, 40, 40),
    within("sonar_", Alnum, 40, 40),
    within("sqp_", Hex, 40, 40),
    within("squ_", Hex, 40, 40),
    within("sqa_", Hex, 40, 40),
    // Clouds.
    exact("AKIA", Base32, 16),
    exact("ASIA", Base32, 16),
    exact("ABIA", Base32, 16),
    exact("ACCA", Base32, 16),
    exact("AIza", Url, 35),
    within("ya29.", Url, 20, 400),
    within("GOCSPX-", Url, 28, 28),
    within("1//0", Url, 40, 120),
    within("LTAI", Alnum, 12, 24),
    within("AKID", Alnum, 32, 36),
    exact("dop_v1_", Hex, 64),
    exact("doo_v1_", Hex, 64),
    exact("dor_v1_", Hex, 64),
    within("dapi", Hex, 32, 32),
    within("hvs.", Url, 24, 300),
    within("hvb.", Url, 100, 300),
    within("hvr.", Url, 24, 300),
    within("fo1_", Url, 43, 43),
    within("fm1r_", Base64, 80, 800),
    within("fm2_", Base64, 80, 800),
    within("rnd_", Alnum, 28, 40),
    within("nfp_", Alnum, 36, 40),
    within("vercel_", Alnum, 24, 60),
    within("HRKU-", Url, 36, 70),
    within("tskey-", Url, 24, 80),
    within("v1.0-", Hex, 24, 24),
    within("sha256~", Url, 43, 43),
    within("pul-", Hex, 40, 40),
    within("AGE-SECRET-KEY-1", Upper, 58, 58),
    within("ops_eyJ", Base64, 60, LONGEST),
    within("A3-", Url, 30, 40),
    within("p8e-", Alnum, 32, 32),
    within("pscale_tkn_", Dotted, 32, 64),
    within("pscale_pw_", Dotted, 32, 64),
    within("pscale_oauth_", Dotted, 32, 64),
    within("sbp_", Hex, 40, 40),
    within("sb_secret_", Url, 30, 60),
    within("napi_", Alnum, 40, 80),
    within("ico-", Alnum, 32, 32),
    within("hcp.", Dotted, 30, 120),
    // Payment.
    within("sk_live_", Alnum, 16, 120),
    within("sk_test_", Alnum, 16, 120),
    within("rk_live_", Alnum, 16, 120),
    within("rk_test_", Alnum, 16, 120),
    within("sk_prod_", Alnum, 16, 120),
    within("rk_prod_", Alnum, 16, 120),
    within("whsec_", Base64, 24, 70),
    within("sq0atp-", Url, 20, 24),
    within("sq0csp-", Url, 40, 46),
    within("EAAA", Url, 56, 64),
    within("EZAK", Alnum, 54, 54),
    within("EZTK", Alnum, 54, 54),
    within("FLWSECK", Url, 32, 50),
    within("FLWSECK_TEST-", Url, 12, 40),
    within("duffel_test_", Url, 43, 43),
    within("duffel_live_", Url, 43, 43),
    within("access_token$production$", Url, 40, 60),
    within("shippo_live_", Hex, 40, 40),
    within("shippo_test_", Hex, 40, 40),
    // Shops, mail, messages.
    exact("shpat_", Hex, 32),
    exact("shpss_", Hex, 32),
    exact("shpca_", Hex, 32),
    exact("shppa_", Hex, 32),
    within("SG.", Dotted, 60, 70),
    exact("key-", Hex, 32),
    exact("SK", Hex, 32),
    within("xkeysib-", Url, 64, 90),
    within("xsmtpsib-", Url, 64, 90),
    within("re_", Url, 28, 40),
    within("xoxb-", Url, 24, 120),
    within("xoxp-", Url, 24, 160),
    within("xoxa-", Url, 24, 160),
    within("xoxr-", Url, 24, 160),
    within("xoxs-", Url, 24, 160),
    within("xoxo-", Url, 24, 160),
    within("xoxe-", Url, 24, 300),
    within("xoxe.", Dotted, 40, 300),
    within("xoxc-", Url, 24, 160),
    within("xoxd-", Base64, 24, 300),
    within("xapp-", Url, 40, 160),
    within("EAAC", Alnum, 80, 300),
    within("PMAK-", Url, 50, 62),
    within("lin_api_", Alnum, 38, 48),
    within("lin_oauth_", Hex, 64, 64),
    within("ntn_", Alnum, 40, 60),
    within("secret_", Alnum, 43, 43),
    within("figd_", Url, 40, 60),
    within("rdme_", Alnum, 70, 70),
    within("apify_api_", Alnum, 36, 40),
    within("pat-na1-", Url, 36, 36),
    within("pat-eu1-", Url, 36, 36),
    within("tfp_", Alnum, 40, 70),
    within("phx_", Alnum, 40, 60),
    within("cal_live_", Alnum, 32, 40),
    // Observation.
    within("glsa_", Url, 41, 41),
    within("glc_", Base64, 32, 400),
    within("eyJrIjoi", Base64, 70, 400),
    within("sntrys_", Base64, 60, 300),
    within("sntryu_", Hex, 64, 64),
    within("NRAK-", Upper, 27, 27),
    within("NRII-", Url, 32, 32),
    within("NRJS-", Alnum, 19, 19),
    within("NRIQ-", Url, 32, 32),
    within("dp.pt.", Alnum, 40, 46),
    within("dp.st.", Dotted, 40, 90),
    within("dp.ct.", Alnum, 40, 46),
    within("dp.sa.", Alnum, 40, 46),
    within("dp.scim.", Alnum, 40, 46),
    within("dp.audit.", Alnum, 40, 46),
    within("dt0c01.", Dotted, 80, 100),
    within("logfire_", Url, 40, 60),
    within("dnkey-", Url, 40, 140),
    within("tk-us-", Url, 48, 48),
];
