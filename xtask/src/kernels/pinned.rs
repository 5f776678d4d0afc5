//! The kernels that we build for and boot, with the hashes of their packages: data, in this one place.
//!
//! Everything else takes release and version from a [`Kernel`] value, because a pinned version can vanish from the mirrors and
//! then another of the series stands in.

/// What a package is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Kernel, config, modules.
    Image,
    /// vmlinux with symbols and debug information.
    Debug,
    /// Module.symvers.
    Headers,
    /// The source tree.
    Source,
}

/// One Debian package at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Of the `.deb`, in hex.
    pub(crate) sha256: String,
}

impl Package {
    /// The name under which apt stores it. Kernel packages have no epoch, which would be escaped here.
    pub(crate) fn file_name(&self) -> String {
        let arch = if self.role == Role::Source {
            "all"
        } else {
            "amd64"
        };
        format!("{}_{}_{arch}.deb", self.name, self.version)
    }
}

/// A kernel: binary packages and the source they were built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// `6.1`
    pub(crate) series: String,
    /// `cloud-amd64`
    pub(crate) flavour: String,
    /// `uname -r`
    pub(crate) release: String,
    /// Of all its packages.
    pub(crate) version: String,
    pub(crate) packages: Vec<Package>,
}

/// The pinned kernels.
pub(crate) fn kernels() -> Vec<Kernel> {
    let version = "6.1.187-1";
    let release = "6.1.0-53-cloud-amd64";
    let hashes = [
        "cbd0e33639bdc0176d5402f9444803f8a0d764c43b3cd61d52771dc0f742737a",
        "22f445ef29ef1262e93f7d786dc5b7303deb056c219eeb420c7ae36500ddb20f",
        "3c0dc49691c6481f60396b47effe165ac937579524865a2c7a69dc1e6c911828",
        "76380ebac2fca37119a17be6affecaa90804959943a963af86be099ddffe5863",
    ];
    let names = package_names("6.1", release).into_iter();
    vec![Kernel {
        series: "6.1".into(),
        flavour: "cloud-amd64".into(),
        release: release.into(),
        version: version.into(),
        packages: names
            .zip(hashes)
            .map(|((role, name), hash)| package(role, &name, version, hash))
            .collect(),
    }]
}

/// Later sources of the same series, which with a kernel's own make real "two trees".
pub(crate) fn later_sources() -> Vec<Package> {
    let hash = "cfbe4d7a7e4cb65190c96db90794b3a10eec608522339c2371103f844cc53536";
    vec![package(Role::Source, "linux-source-6.1", "6.1.190-1", hash)]
}

/// The names of a kernel's packages.
pub(crate) fn package_names(series: &str, release: &str) -> [(Role, String); 4] {
    [
        (Role::Image, format!("linux-image-{release}")),
        (Role::Debug, format!("linux-image-{release}-dbg")),
        (Role::Headers, format!("linux-headers-{release}")),
        (Role::Source, format!("linux-source-{series}")),
    ]
}

fn package(role: Role, name: &str, version: &str, sha256: &str) -> Package {
    Package {
        role,
        name: name.into(),
        version: version.into(),
        sha256: sha256.into(),
    }
}
