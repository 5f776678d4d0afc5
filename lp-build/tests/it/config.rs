//! Configurations, banners and versions.

use lp_build::kernel::running::checks::banner_version;
use lp_build::kernel::running::config::{differences, drift, kernel_version, parse, string, unset};

const HEAD: &str = "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.187 Kernel Configuration\n#\n";

#[test]
fn a_configuration_says_which_tree_wrote_it() {
    assert_eq!(kernel_version(HEAD), Some("6.1.187"));
    assert_eq!(kernel_version("CONFIG_X=y\n"), None);
}

#[test]
fn a_banner_says_more_than_the_release() {
    let banner = "Linux version 6.1.0-53-cloud-amd64 (d@d) (gcc-12) #1 SMP PREEMPT_DYNAMIC Debian 6.1.187-1 (2026-01-01)";
    assert_eq!(
        banner_version(banner)
            .map(|version| version.to_string())
            .as_deref(),
        Some("6.1.187")
    );
    assert_eq!(banner_version("Linux version 6.1.9 (x@y) #1 SMP"), None);
}

#[test]
fn strings_lose_their_quotes() {
    let config = parse("CONFIG_CC_VERSION_TEXT=\"gcc-12 (Debian) 12\"\n# CONFIG_N is not set\n");
    assert_eq!(
        string(&config, "CONFIG_CC_VERSION_TEXT"),
        Some("gcc-12 (Debian) 12")
    );
    assert_eq!(config.len(), 1);
}

#[test]
fn only_options_that_can_change_code_count() {
    let text = "CONFIG_A=y\nCONFIG_B=m\nCONFIG_BTF=y\nCONFIG_GCC_VERSION=120200\n# CONFIG_OFF is not set\n";
    let made = parse(
        "CONFIG_A=y\nCONFIG_B=y\nCONFIG_NEW=y\nCONFIG_OFF=m\nCONFIG_GCC_VERSION=130000\nCONFIG_BUILD_SALT=\"\"\n",
    );
    let drift = drift(&parse(text), &unset(text), &made);
    assert_eq!(
        drift.changed,
        [
            "CONFIG_B=m became y",
            "CONFIG_BTF=y is gone",
            "CONFIG_OFF was not set and became m"
        ]
    );
    assert_eq!(drift.new, ["CONFIG_NEW=y"]);
}

#[test]
fn two_configurations_of_one_kernel_are_equal_but_for_the_tools() {
    let own = parse("CONFIG_A=y\nCONFIG_B=m\nCONFIG_GCC_VERSION=1\n");
    let given = parse("CONFIG_A=y\nCONFIG_C=y\nCONFIG_GCC_VERSION=2\n");
    assert_eq!(
        differences(&given, &own),
        [
            "CONFIG_B is not set instead of m",
            "CONFIG_C is y instead of not set"
        ]
    );
    assert!(differences(&own, &own).is_empty());
}
