//! What the control area says of a patch, made from its plan: at first, and when an object of it comes later.

use lp_klp::manifest::Manifest;
use lp_klp::target::Callback;

use crate::process::kept::control::{
    AreaRecord, Contents, InstalledPatch, ObjectRecord, ObjectState, SiteRecord,
};
use crate::process::live::key;
use crate::process::prepare::patch_file::PatchFile;
use crate::process::prepare::plan::{Plan, PlannedFunction};
use crate::process::read::images::Images;

/// The record of a patch; its memory is not known yet.
pub(in crate::process) fn record(
    contents: &Contents,
    patch: &PatchFile,
    plan: &Plan,
    images: &Images,
) -> InstalledPatch {
    let manifest = &patch.manifest;
    let json = manifest.to_json().unwrap_or_default();
    let mut record = InstalledPatch {
        id: contents.next_patch,
        name: manifest.name.clone(),
        manifest: String::from_utf8_lossy(&json).into_owned(),
        enabled: true,
        areas: Vec::new(),
        sites: Vec::new(),
        fragments: Vec::new(),
        callbacks: Vec::new(),
        call: None,
        unwind: Vec::new(),
        data: Default::default(),
        objects: Vec::new(),
        at_first: plan.objects.clone(),
        file: None,
        forced: false,
    };
    add(&mut record, manifest, plan, images);
    record
}

/// Adds what a plan has for the objects that it is for.
pub(in crate::process) fn add(
    record: &mut InstalledPatch,
    manifest: &Manifest,
    plan: &Plan,
    images: &Images,
) {
    for (number, planned) in planned(manifest, plan) {
        record.sites.push(site(number, planned));
        let moved = planned.fragments.iter();
        let moved = moved.map(|range| (number, range.start, range.end - range.start));
        record.fragments.extend(moved);
    }
    record.callbacks.extend(plan.callbacks.iter().map(|it| {
        let (object, callback) = (it.object.to_string(), it.callback.name().to_owned());
        (object, callback, it.address)
    }));
    let unwind = plan.unwind.iter().map(|it| (it.address, it.size));
    record.unwind.extend(unwind);
    record.objects.extend(objects(plan, images));
}

/// Notes memory that was mapped for a plan.
pub(in crate::process) fn add_areas(
    record: &mut InstalledPatch,
    plan: &Plan,
    areas: &[AreaRecord],
) {
    record.areas.extend(areas);
    for planned in &plan.areas {
        let mut objects = record.objects.iter_mut();
        let object = objects.find(|it| it.is_patched() && it.name == planned.object);
        if let Some(object) = object {
            object.areas.push(planned.address);
        }
    }
}

/// The functions of a plan, by their numbers in the manifest.
fn planned<'p>(manifest: &Manifest, plan: &'p Plan) -> Vec<(u32, &'p PlannedFunction)> {
    let objects = manifest.objects.iter();
    let keys = objects.flat_map(|object| {
        let functions = object.functions.iter();
        functions.map(|function| key(&object.name, &function.name, function.sympos))
    });
    let find = |(wanted, number)| {
        let mut functions = plan.functions.iter();
        let found = functions.find(|it| key(&it.object, &it.name, it.sympos) == wanted)?;
        Some((number, found))
    };
    keys.zip(0..).filter_map(find).collect()
}

fn site(number: u32, planned: &PlannedFunction) -> SiteRecord {
    SiteRecord {
        number,
        address: planned.entry.jump_at,
        original: planned.entry.original,
        new_address: planned.new.start,
        new_size: planned.new.end - planned.new.start,
        old_address: planned.entry.address,
        old_size: planned.entry.size,
    }
}

fn objects<'a>(plan: &'a Plan, images: &'a Images) -> impl Iterator<Item = ObjectRecord> + 'a {
    plan.objects.iter().filter_map(|name| {
        let image = images.find(name).ok().flatten()?;
        let needing = plan.needing.iter().filter(|(object, _)| object == name);
        Some(ObjectRecord {
            name: name.clone(),
            build_id: image.build_id_text(),
            bias: image.bias,
            state: ObjectState::Patched,
            base: plan.bases.get(name).copied(),
            areas: Vec::new(),
            shared: plan.shared.contains(name),
            needing: needing
                .map(|(_, callback): &(_, Callback)| callback.name().to_owned())
                .collect(),
        })
    })
}
