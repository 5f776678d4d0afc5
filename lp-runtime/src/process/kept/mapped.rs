//! The memory of a patch, mapped in the process and filled: its parts, where its callbacks are called from, and its file.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use lp_klp::manifest::Manifest;

use crate::process::error::ProcessError;
use crate::process::kept::area::Area;
use crate::process::kept::control::{AreaRecord, InstalledPatch, KeptFile};
use crate::process::kept::journal::{Stops, Transaction};
use crate::process::kept::recorded::add_areas;
use crate::process::prepare::layout::PAGE;
use crate::process::prepare::patch_file::PatchFile;
use crate::process::prepare::place::{Want, place};
use crate::process::prepare::plan::Plan;
use crate::process::read::images::Images;
use crate::process::read::maps::Maps;
use crate::process::touch::call::{CallSite, STACK_SIZE, STUB};

/// Memory that is to be mapped, with the bytes that it begins with.
#[derive(Debug)]
struct Wanted<'p> {
    record: AreaRecord,
    bytes: Cow<'p, [u8]>,
}

/// All memory of a patch that is to be mapped.
#[derive(Debug)]
pub(in crate::process) struct Memory<'p> {
    wanted: Vec<Wanted<'p>>,
    /// How many of them are the plan's.
    parts: usize,
    call: Option<CallSite>,
    file: Option<KeptFile>,
}

impl<'p> Memory<'p> {
    /// That of a plan.
    pub(in crate::process) fn of_plan(plan: &'p Plan) -> Self {
        let wanted = plan.areas.iter().map(|area| Wanted {
            record: AreaRecord {
                address: area.address,
                size: area.bytes.len() as u64,
                protection: area.area,
            },
            bytes: Cow::Borrowed(&*area.bytes),
        });
        Self {
            wanted: wanted.collect(),
            parts: plan.areas.len(),
            call: None,
            file: None,
        }
    }

    /// That of a patch: the plan's, where its callbacks are called from, and its file.
    pub(in crate::process) fn of_patch(
        pid: i32,
        patch: &'p PatchFile,
        plan: &'p Plan,
        images: &Images,
    ) -> Result<Self, ProcessError> {
        let mut memory = Self::of_plan(plan);
        let mut maps = Maps::read(pid)?;
        let areas = memory.wanted.iter().map(|it| it.record.range());
        maps.reserve(areas.collect::<Vec<_>>().into_iter());
        memory.add_call(&mut maps, &patch.manifest, images)?;
        memory.add_file(&mut maps, patch, images)?;
        Ok(memory)
    }

    /// What callbacks are called from, when the patch has any: also those of objects that are not there yet.
    fn add_call(
        &mut self,
        maps: &mut Maps,
        manifest: &Manifest,
        images: &Images,
    ) -> Result<(), ProcessError> {
        if manifest.objects.iter().all(|it| it.callbacks.is_empty()) {
            return Ok(());
        }
        // One page of text, one that is not mapped, then the stack.
        let size = 2 * PAGE + STACK_SIZE;
        let address = anywhere(maps, images, "the callbacks' stack", size)?;
        self.wanted.push(Wanted {
            record: AreaRecord {
                address,
                size: PAGE,
                protection: Area::Text,
            },
            bytes: Cow::Borrowed(&STUB),
        });
        self.wanted.push(Wanted {
            record: AreaRecord {
                address: address + 2 * PAGE,
                size: STACK_SIZE,
                protection: Area::Data,
            },
            bytes: Cow::Borrowed(&[]),
        });
        self.call = Some(CallSite {
            stub: address,
            stack_top: address + size,
        });
        Ok(())
    }

    /// The patch's file, where an object of it may come later, or come again: then any later loader has it, and it is the one that
    /// was verified.
    fn add_file(
        &mut self,
        maps: &mut Maps,
        patch: &'p PatchFile,
        images: &Images,
    ) -> Result<(), ProcessError> {
        let stays = |name| {
            let image = images.find(name).ok().flatten();
            image.is_some_and(|image| images.stays(image))
        };
        if patch.manifest.objects.iter().all(|it| stays(&it.name)) {
            return Ok(());
        }
        let size = patch.bytes.len() as u64;
        let mapped = size.next_multiple_of(PAGE);
        let address = anywhere(maps, images, "the patch's file", mapped)?;
        self.wanted.push(Wanted {
            record: AreaRecord {
                address,
                size: mapped,
                protection: Area::ReadOnly,
            },
            bytes: Cow::Borrowed(&*patch.bytes),
        });
        self.file = Some(KeptFile {
            address,
            size,
            sha256: hash(&patch.bytes),
        });
        Ok(())
    }

    /// Maps and fills it. The process runs meanwhile, but for short stops: it does not know of this memory yet.
    pub(in crate::process) fn map(
        &self,
        stops: &mut Stops<'_>,
        transaction: &mut Transaction<'_, '_>,
    ) -> Result<(), ProcessError> {
        transaction.map_all(stops, &self.records())?;
        for wanted in self.wanted.iter().filter(|it| !it.bytes.is_empty()) {
            transaction.write(stops, wanted.record, &wanted.bytes)?;
        }
        Ok(())
    }

    /// Where it is.
    pub(in crate::process) fn records(&self) -> Vec<AreaRecord> {
        self.wanted.iter().map(|it| it.record).collect()
    }

    /// Notes it in the patch's record.
    pub(in crate::process) fn note(self, record: &mut InstalledPatch, plan: &Plan) {
        let records = self.records();
        let (parts, others) = records.split_at(self.parts);
        add_areas(record, plan, parts);
        record.areas.extend(others);
        record.call = self.call.map(|call| (call.stub, call.stack_top));
        record.file = self.file;
    }
}

/// SHA-256, hexadecimal.
pub(in crate::process) fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A place near the program, for no reason but order; it is taken then.
fn anywhere(maps: &mut Maps, images: &Images, what: &str, size: u64) -> Result<u64, ProcessError> {
    let near = images
        .executable()
        .map_or(0..0, |image| image.range.clone());
    let want = Want {
        object: what.into(),
        near,
        size,
        low: false,
    };
    let places = place(maps, &[want])?;
    let address = places.first().copied().unwrap_or(0);
    maps.reserve(std::iter::once(address..address.saturating_add(size)));
    Ok(address)
}
