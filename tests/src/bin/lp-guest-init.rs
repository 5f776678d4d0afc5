//! The first process of the virtual machine that `cargo xtask e2e` boots. When it ends the machine is off, whatever happened: an init that
//! returns would make the kernel panic, which the host would take for the patch's doing.

use std::process::ExitCode;

use lp_tests::guest;

fn main() -> ExitCode {
    // The same program is what the guest keeps busy.
    if let Some(part) = guest::workload::asked_for() {
        return guest::workload::run(&part);
    }
    if let Err(error) = guest::run() {
        eprintln!("lp-guest-init: {error:#}");
    }
    if let Err(error) = guest::system::power_off() {
        eprintln!("lp-guest-init: {error:#}");
    }
    ExitCode::SUCCESS
}
