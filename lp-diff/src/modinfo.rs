//! What `.modinfo` says that a patch must say, too.
//!
//! It is a row of `key=value` strings; in a file of the kernel image each key has the file's module name and a dot before
//! it. A patch has its own author, license and parameters; of the file's it takes nothing but the symbol namespaces that
//! its code may use exports of (`MODULE_IMPORT_NS`; an identifier until Linux 6.12, a string since, the same in here).

use crate::object::Object;
use std::collections::BTreeSet;

/// The namespaces that an object imports.
pub fn namespaces<'o>(object: &'o Object<'_>) -> BTreeSet<&'o str> {
    let sections = object
        .sections()
        .filter(|(_, section)| section.name() == ".modinfo");
    sections
        .flat_map(|(_, section)| section.data.split(|byte| *byte == 0))
        .filter_map(|text| std::str::from_utf8(text).ok())
        .filter_map(imported)
        .collect()
}

fn imported(text: &str) -> Option<&str> {
    let (key, value) = text.split_once('=')?;
    let key = key.rsplit_once('.').map_or(key, |(_, key)| key);
    (key == "import_ns" && !value.is_empty()).then_some(value)
}

#[test]
fn the_module_name_before_a_key_is_no_part_of_it() {
    assert_eq!(imported("import_ns=CXL"), Some("CXL"));
    assert_eq!(imported("i915.import_ns=DMA_BUF"), Some("DMA_BUF"));
    assert_eq!(imported("license=import_ns=GPL"), None);
    assert_eq!(imported("alias=pci:v*"), None);
}
