//! What to do about an errno: the kernel has few of them for many reasons, its log tells them apart.
//!
//! Decided from the operation, the errno and the log lines. Guessing from the errno alone is what the usual tools do ("invalid
//! module format"), and it sends people the wrong way.

use rustix::io::Errno;
use serde::Serialize;

/// What was asked of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// `finit_module`
    Load,
    /// 0 to `enabled`
    Disable,
    /// 1 to `enabled`
    Enable,
    /// `delete_module`
    Unload,
    /// 1 to `force`
    Force,
}

impl Operation {
    /// As in "the kernel refused to ..".
    pub fn verb(self) -> &'static str {
        match self {
            Operation::Load => "load",
            Operation::Disable => "disable",
            Operation::Enable => "enable",
            Operation::Unload => "unload",
            Operation::Force => "force",
        }
    }
}

/// The next step for the person at the terminal, where there is one to name.
pub fn advice(
    operation: Operation,
    errno: Errno,
    log: &[String],
    release: Option<&str>,
) -> Option<String> {
    let said = |text: &str| log.iter().any(|line| line.contains(text));
    let text = match (operation, errno) {
        (Operation::Load, _) if said("is not the build that this patch was made for") => {
            "a module of this machine is another build than the one the patch was built with (see the log line): build the \
             patch with the module as it is here"
                .into()
        }
        (Operation::Load, _) if said("pre-patch callback failed") => {
            "the patch's own pre_patch callback said no: its log lines or its author say why"
                .into()
        }
        (_, Errno::PERM | Errno::ACCESS) => permission().into(),
        (Operation::Load, Errno::NOEXEC) => match said("version magic") {
            true => format!("build the patch for the running kernel, {}", release.unwrap_or("see `uname -r`")),
            false => "the file is damaged or not for this kernel; build it again".into(),
        },
        (Operation::Load, Errno::INVAL) => incompatible(&said).into(),
        (Operation::Load, Errno::KEYREJECTED | Errno::NOKEY) => {
            "this kernel only takes modules signed with a key it knows: sign the module, see \
             Documentation/admin-guide/module-signing.rst"
                .into()
        }
        (Operation::Load, Errno::NOENT) => {
            "the kernel lacks a symbol that the patch needs (see the log line): was it built for exactly this \
             kernel, and are the modules it needs loaded?"
                .into()
        }
        (Operation::Load, Errno::EXIST) => {
            "a module of that name is loaded; `lp-ctl status` shows it; disable and unload it first, or give the \
             new patch another name"
                .into()
        }
        (Operation::Unload, Errno::AGAIN | Errno::BUSY) => {
            "the kernel still uses the module: another module depends on it, or its transition was forced, and \
             then it stays until the next reboot"
                .into()
        }
        (_, Errno::BUSY) => {
            "another patch is in transition; wait for it (`lp-ctl status`), then try again".into()
        }
        (Operation::Disable | Operation::Enable, Errno::INVAL) => {
            "the patch is already in that state, or a later patch lies on top of it; see `lp-ctl status`".into()
        }
        (_, Errno::NOMEM) => "the kernel has no memory left for the patch".into(),
        _ => return None,
    };
    Some(text)
}

fn permission() -> &'static str {
    "loading code into the kernel needs root (CAP_SYS_MODULE) and a kernel that is not locked down, see \
     `cat /sys/kernel/security/lockdown`"
}

fn incompatible(said: &dyn Fn(&str) -> bool) -> &'static str {
    if said("not compatible with the already installed") {
        "an installed patch has a state that this one lacks or has in a lower version; build the patch with all \
         states of the installed ones, or disable those first"
    } else if said("not found in symbol table") || said("unresolvable ambiguity") {
        "a function or symbol of the patch is not where it was built for; build it for exactly this kernel"
    } else if said("fentry location")
        || said("failed to register ftrace")
        || said("failed to set ftrace")
    {
        "a function cannot be traced on this kernel, or something else has taken it over; see \
         /sys/kernel/tracing/enabled_functions"
    } else {
        "the patch and the running kernel do not fit together; the kernel's log, `dmesg`, may say more"
    }
}

/// The name of an errno that these operations give.
pub fn errno_name(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM => "EPERM",
        Errno::NOENT => "ENOENT",
        Errno::NOEXEC => "ENOEXEC",
        Errno::AGAIN => "EAGAIN",
        Errno::NOMEM => "ENOMEM",
        Errno::ACCESS => "EACCES",
        Errno::BUSY => "EBUSY",
        Errno::EXIST => "EEXIST",
        Errno::NODEV => "ENODEV",
        Errno::INVAL => "EINVAL",
        Errno::NOKEY => "ENOKEY",
        Errno::KEYREJECTED => "EKEYREJECTED",
        _ => "errno",
    }
}
