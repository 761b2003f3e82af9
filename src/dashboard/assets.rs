//! The page's files as they were embedded at build time, each as it is and compressed.

/// One embedded file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its name below `/dashboard/assets/`.
    pub name: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// Its entity tag, quoted; changes with every byte.
    pub etag: &'static str,
    /// Its bytes.
    pub plain: &'static [u8],
    /// Its bytes in gzip.
    pub packed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/dashboard.rs"));

/// Pages that are served under a path of their own.
const PAGES: [&str; 2] = ["index.html", "login.html"];

/// The page itself.
pub const INDEX: &str = PAGES[0];
/// The page for those who have not logged in.
pub const LOGIN: &str = PAGES[1];

/// Finds an embedded file.
#[must_use]
pub fn find(name: &str) -> Option<&'static Asset> {
    FILES.iter().find(|asset| asset.name == name)
}

/// Finds an embedded file that anybody may load: everything but the pages, which are served where they belong.
#[must_use]
pub fn public(name: &str) -> Option<&'static Asset> {
    find(name).filter(|asset| !PAGES.contains(&asset.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_load_stays_below_150_kilobytes() {
        let sum: usize = FILES.iter().map(|asset| asset.packed.len()).sum();
        assert!(sum < 150 * 1024, "{sum} bytes");
    }

    #[test]
    fn pages_hold_no_inline_script_or_style_and_name_no_other_host() {
        for asset in FILES.iter().filter(|asset| asset.name.ends_with(".html")) {
            let text = std::str::from_utf8(asset.plain).unwrap();
            for banned in ["<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"]
            {
                assert!(!text.contains(banned), "{} holds {banned}", asset.name);
            }
            for script in text.split("<script").skip(1) {
                assert!(script.split('>').next().unwrap().contains(" src=\"/dashboard/assets/"), "{script}");
            }
        }
    }

    #[test]
    fn scripts_write_text_and_never_markup() {
        let own = |asset: &&Asset| asset.name.ends_with(".js") && asset.name != "chart.js";
        for asset in FILES.iter().filter(own) {
            let text = std::str::from_utf8(asset.plain).unwrap();
            for banned in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "cssText"]
            {
                assert!(!text.contains(banned), "{} holds {banned}", asset.name);
            }
        }
    }

    #[test]
    fn everything_that_a_page_names_is_embedded() {
        for asset in FILES.iter().filter(|asset| asset.name.ends_with(".html")) {
            let text = std::str::from_utf8(asset.plain).unwrap();
            for rest in text.split("\"/dashboard/assets/").skip(1) {
                let name = rest.split('"').next().unwrap();
                assert!(public(name).is_some(), "{} names {name}", asset.name);
            }
        }
        assert!(find(INDEX).is_some() && find(LOGIN).is_some() && public(INDEX).is_none());
    }
}
