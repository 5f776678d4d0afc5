//! Kernels with code in Rust, where no Rust compiler is.

use lp_build::kernel::kbuild::rust::{options, take_over, with_kernels};
use lp_build::kernel::running::config::{Config, parse};
use std::fs;
use std::path::Path;

/// What depends on Rust directly, through another option, through what encloses it, by `select`, and not at all.
const KCONFIG: &str = r#"
config RUST
	bool "Rust support"
	depends on HAVE_RUST
	select NORMALIZE if CFI
	help
	  Mentions BTF, which says nothing.
source "lib/Kconfig"
if RUST && PHYS
menu "Samples"
	depends on SAMPLES
config SAMPLE
	bool "A sample"
endmenu
endif
config BTF
	bool "Needs pahole"
"#;
const LIB: &str = r#"
config RUST_LOADER
	bool
	depends on RUST
config PHYS
	def_bool y if \
		RUST_LOADER
config AUTO
	bool "\"RUST\" in a text says nothing"
	depends on !RUST || RUSTC_VERSION >= 108800
config OTHER
	bool "RUST"
	default BTF
"#;
const KERNELS: &str = "CONFIG_RUST=y\nCONFIG_RUST_LOADER=y\nCONFIG_RUSTC_VERSION=108501\nCONFIG_PHYS=m\nCONFIG_NORMALIZE=y\n\
    CONFIG_SAMPLE=y\nCONFIG_BTF=y\nCONFIG_OTHER=y\nCONFIG_A=y\n";
const MADE: &str = "CONFIG_AUTO=y\nCONFIG_A=y\nCONFIG_RUSTC_VERSION=0\n";

fn tree(folder: &Path) {
    fs::create_dir(folder.join("lib")).expect("a folder");
    fs::write(folder.join("Kconfig"), KCONFIG).expect("a file");
    fs::write(folder.join("lib/Kconfig"), LIB).expect("a file");
}

fn configs() -> (Config, Config) {
    (parse(KERNELS), parse(MADE))
}

#[test]
fn options_that_hang_on_rust_are_the_kernels_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path());
    let (kernels, made) = configs();
    let found = options(folder.path(), "x86", &kernels, &made);
    let names: Vec<&str> = found
        .iter()
        .map(|name| name.trim_start_matches("CONFIG_"))
        .collect();
    assert_eq!(
        names,
        [
            "AUTO",
            "NORMALIZE",
            "PHYS",
            "RUST",
            "RUSTC_VERSION",
            "RUST_LOADER",
            "SAMPLE"
        ]
    );
    let whole = with_kernels(&made, &kernels, &found);
    let missing: Vec<&String> = kernels
        .keys()
        .filter(|name| !whole.contains_key(*name))
        .collect();
    assert_eq!(missing, ["CONFIG_BTF", "CONFIG_OTHER"]);
    assert!(!whole.contains_key("CONFIG_AUTO"));
}

#[test]
fn a_prepared_folder_gets_the_options_for_make_and_for_c() {
    let folder = tempfile::tempdir().expect("a folder");
    tree(folder.path());
    for name in ["include/config", "include/generated"] {
        fs::create_dir_all(folder.path().join(name)).expect("a folder");
    }
    let makes = folder.path().join("include/config/auto.conf");
    let cs = folder.path().join("include/generated/autoconf.h");
    fs::write(&makes, format!("# made\n{MADE}")).expect("a file");
    let header =
        "/* made */\n#define CONFIG_AUTO 1\n#define CONFIG_A 1\n#define CONFIG_RUSTC_VERSION 0\n";
    fs::write(&cs, header).expect("a file");
    let (kernels, made) = configs();
    let found = options(folder.path(), "x86", &kernels, &made);
    take_over(folder.path(), &kernels, &found).expect("they are taken over");
    let read = |path| fs::read_to_string(path).expect("a file");
    assert_eq!(
        read(&makes),
        "# made\nCONFIG_A=y\nCONFIG_NORMALIZE=y\nCONFIG_PHYS=m\nCONFIG_RUST=y\nCONFIG_RUSTC_VERSION=108501\nCONFIG_RUST_LOADER=y\n\
         CONFIG_SAMPLE=y\n"
    );
    assert_eq!(
        read(&cs),
        "/* made */\n#define CONFIG_A 1\n#define CONFIG_NORMALIZE 1\n#define CONFIG_PHYS_MODULE 1\n#define CONFIG_RUST 1\n\
         #define CONFIG_RUSTC_VERSION 108501\n#define CONFIG_RUST_LOADER 1\n#define CONFIG_SAMPLE 1\n"
    );
}
