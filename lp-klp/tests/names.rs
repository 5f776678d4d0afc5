//! The spelling of klp names, both ways.

use lp_klp::name::{KSYM_NAME_LEN, KlpRelaName, KlpSymName, NameError, ObjName, Sympos};

fn symbol(text: &str) -> Result<KlpSymName, NameError> {
    text.parse()
}

#[test]
fn object_names_are_what_the_kernels_parser_reads_to_the_end() {
    assert!(
        "vmlinux"
            .parse::<ObjName>()
            .is_ok_and(|name| name.is_vmlinux())
    );
    assert_eq!(
        "nf-tables".parse::<ObjName>().unwrap().as_str(),
        "nf_tables"
    );
    assert!("x".repeat(55).parse::<ObjName>().is_ok());
    for wrong in [
        "",
        "a.b",
        "a,b",
        "a/b",
        "a b",
        "naïve",
        "a\0",
        &"x".repeat(56),
    ] {
        assert_eq!(
            wrong.parse::<ObjName>(),
            Err(NameError::Object(wrong.to_owned()))
        );
    }
}

#[test]
fn object_names_are_checked_when_deserialised() {
    assert_eq!(
        serde_json::from_str::<ObjName>("\"nf-tables\"")
            .unwrap()
            .as_str(),
        "nf_tables"
    );
    assert!(serde_json::from_str::<ObjName>("\"../etc\"").is_err());
}

#[test]
fn files_have_names_that_symbols_can_carry() {
    let of_file = |file: &str| ObjName::of_file(file).map(String::from);
    assert_eq!(of_file("redis-server").as_deref(), Ok("redis_server"));
    assert_eq!(of_file("libz.so.1").as_deref(), Ok("libz_so_1"));
    assert_eq!(of_file("libstdc++.so.6").as_deref(), Ok("libstdc___so_6"));
    assert_eq!(of_file("größe").as_deref(), Ok("gr__e"));
    for wrong in ["", "vmlinux", &"x".repeat(56)] {
        assert!(of_file(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn dots_in_a_symbol_belong_to_the_symbol() {
    let name = symbol(".klp.sym.nf_tables.nft_do.isra.0.cold,2").unwrap();
    assert_eq!(name.object.as_str(), "nf_tables");
    assert_eq!(name.symbol, "nft_do.isra.0.cold");
    assert_eq!(name.sympos, Sympos(2));
}

#[test]
fn dots_in_a_section_belong_to_the_section() {
    let name: KlpRelaName = ".klp.rela.vmlinux..text.foo.isra.0".parse().unwrap();
    assert_eq!(name.section, ".text.foo.isra.0");
    assert_eq!(name.to_string(), ".klp.rela.vmlinux..text.foo.isra.0");
}

#[test]
fn malformed_symbols_are_errors() {
    let long = format!(".klp.sym.vmlinux.{},0", "s".repeat(KSYM_NAME_LEN));
    let wrong = [
        "",
        ".klp.sym.",
        ".klp.sym.vmlinux",
        ".klp.sym.vmlinux.foo",
        ".klp.sym.vmlinux.,1",
        ".klp.sym.vmlinux.foo,",
        ".klp.sym.vmlinux.foo,-1",
        ".klp.sym.vmlinux.foo,1x",
        ".klp.sym.vmlinux.foo,99999999999",
        ".klp.sym.vmlinux.a,b,1",
        ".klp.sym..foo,1",
        "klp.sym.vmlinux.foo,1",
        &long,
    ];
    for text in wrong {
        assert!(symbol(text).is_err(), "{text}");
    }
    assert!(
        symbol(&format!(
            ".klp.sym.vmlinux.{},0",
            "s".repeat(KSYM_NAME_LEN - 1)
        ))
        .is_ok()
    );
}

#[test]
fn every_name_reads_back_as_written() {
    let objects = ["vmlinux", "ext4", "nf_tables", &"m".repeat(55)];
    let symbols = [
        "a",
        "tcp_v4_rcv",
        "x.isra.0",
        "__UNIQUE_ID_x1",
        ".dot",
        "a..b",
        "sym.text.foo",
    ];
    for (object, sym) in objects
        .iter()
        .flat_map(|object| symbols.iter().map(move |sym| (object, sym)))
    {
        for sympos in [0, 1, 7, u32::MAX] {
            let name = KlpSymName {
                object: object.parse().unwrap(),
                symbol: (*sym).to_owned(),
                sympos: Sympos(sympos),
            };
            assert_eq!(symbol(&name.to_string()).unwrap(), name);
        }
        let name = KlpRelaName {
            object: object.parse().unwrap(),
            section: format!(".text.{sym}"),
        };
        assert_eq!(name.to_string().parse::<KlpRelaName>().unwrap(), name);
    }
}

#[test]
fn positions_0_and_1_mean_one_symbol() {
    assert!(Sympos(0).same_symbol_if_unique(Sympos(1)));
    assert!(!Sympos(1).same_symbol_if_unique(Sympos(2)));
}
