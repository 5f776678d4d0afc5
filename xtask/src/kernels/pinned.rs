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

/// Where apt gets a package from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suite {
    /// What this machine's apt knows.
    Configured,
    /// `CODENAME-backports` of the distribution, from the mirror that serves this machine the rest.
    Backports,
}

impl Suite {
    /// The suite of a version, which says so itself.
    pub(crate) fn of(version: &str) -> Self {
        if version.contains("~bpo") {
            Self::Backports
        } else {
            Self::Configured
        }
    }
}

/// One Debian package at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) role: Role,
    /// The suite of the distribution that serves it.
    pub(crate) suite: Suite,
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
    /// What `--kernel` calls it.
    pub(crate) name: String,
    /// `6.1`
    pub(crate) series: String,
    /// `cloud-amd64`
    pub(crate) flavour: String,
    /// Where its packages come from.
    pub(crate) suite: Suite,
    /// `uname -r`
    pub(crate) release: String,
    /// Of all its packages.
    pub(crate) version: String,
    pub(crate) packages: Vec<Package>,
}

/// The kernel that everything runs on unless told otherwise.
pub(crate) const DEFAULT: &str = "6.1";

/// The pinned kernels.
pub(crate) fn kernels() -> Vec<Kernel> {
    let stable = kernel(
        (DEFAULT, "6.1", "cloud-amd64", Suite::Configured),
        ("6.1.0-53-cloud-amd64", "6.1.187-1"),
        [
            Some("cbd0e33639bdc0176d5402f9444803f8a0d764c43b3cd61d52771dc0f742737a"),
            Some("22f445ef29ef1262e93f7d786dc5b7303deb056c219eeb420c7ae36500ddb20f"),
            Some("3c0dc49691c6481f60396b47effe165ac937579524865a2c7a69dc1e6c911828"),
            Some("76380ebac2fca37119a17be6affecaa90804959943a963af86be099ddffe5863"),
        ],
    );
    // Its debug package has some 700 MB, and is not needed.
    let full = kernel(
        ("6.1-full", "6.1", "amd64", Suite::Configured),
        ("6.1.0-53-amd64", "6.1.187-1"),
        [
            Some("06084640348130d77a6cdfa66a63e4ef7dd9d8f840c4ade523efad08cb117f09"),
            None,
            Some("42430d2556f9ed478eeac0860c3b89996451a2cd65531db044d1f63136161e6a"),
            Some("76380ebac2fca37119a17be6affecaa90804959943a963af86be099ddffe5863"),
        ],
    );
    let backports = kernel(
        ("6.12", "6.12", "cloud-amd64", Suite::Backports),
        ("6.12.95+deb12-cloud-amd64", "6.12.95-1~bpo12+1"),
        [
            Some("69c92f43b23821de79576fa4d7c86e2924ae2c1b247a47cc5ed9339e220fbcb7"),
            Some("2bc317e37cc76ca25cc6b6573e32316af03656ce80d2a9a829704a42866637e5"),
            Some("8e4ad8e4a06b2ed286ab086d4c450ec00694a7724a0f80cb5d7a8f3bd1038446"),
            Some("a7fe4673af74236c99dad9766eca714a198e50a07e5d659e63ec312ae6afccfe"),
        ],
    );
    vec![stable, backports, full]
}

fn kernel(
    (name, series, flavour, suite): (&str, &str, &str, Suite),
    (release, version): (&str, &str),
    hashes: [Option<&str>; 4],
) -> Kernel {
    let names = package_names(series, release).into_iter();
    Kernel {
        name: name.into(),
        series: series.into(),
        flavour: flavour.into(),
        suite,
        release: release.into(),
        version: version.into(),
        packages: names
            .zip(hashes)
            .filter_map(|((role, name), hash)| Some(package((role, suite), &name, version, hash?)))
            .collect(),
    }
}

/// Later sources of the same series, which with a kernel's own make real "two trees".
pub(crate) fn later_sources() -> Vec<Package> {
    let hash = "cfbe4d7a7e4cb65190c96db90794b3a10eec608522339c2371103f844cc53536";
    let place = (Role::Source, Suite::Configured);
    vec![package(place, "linux-source-6.1", "6.1.190-1", hash)]
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

fn package((role, suite): (Role, Suite), name: &str, version: &str, sha256: &str) -> Package {
    Package {
        role,
        suite,
        name: name.into(),
        version: version.into(),
        sha256: sha256.into(),
    }
}
