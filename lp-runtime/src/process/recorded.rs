//! What the control area says of a patch, made from its plan: at first, and when an object of it comes later.

use lp_klp::manifest::Manifest;
use lp_klp::target::Callback;

use super::control::{AreaRecord, Contents, InstalledPatch, ObjectRecord, ObjectState, SiteRecord};
use super::images::Images;
use super::live::key;
use super::patch_file::PatchFile;
use super::plan::Plan;

/// The record of a patch; its memory is not known yet.
pub(super) fn record(
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
pub(super) fn add(record: &mut InstalledPatch, manifest: &Manifest, plan: &Plan, images: &Images) {
    record.sites.extend(sites(manifest, plan));
    record.callbacks.extend(plan.callbacks.iter().map(|it| {
        let (object, callback) = (it.object.to_string(), it.callback.name().to_owned());
        (object, callback, it.address)
    }));
    let unwind = plan.unwind.iter().map(|it| (it.address, it.size));
    record.unwind.extend(unwind);
    record.objects.extend(objects(plan, images));
}

/// Notes memory that was mapped for a plan.
pub(super) fn add_areas(record: &mut InstalledPatch, plan: &Plan, areas: &[AreaRecord]) {
    record.areas.extend(areas);
    for planned in &plan.areas {
        let mut objects = record.objects.iter_mut();
        let object = objects.find(|it| it.is_patched() && it.name == planned.object);
        if let Some(object) = object {
            object.areas.push(planned.address);
        }
    }
}

fn sites(manifest: &Manifest, plan: &Plan) -> Vec<SiteRecord> {
    let functions = manifest.objects.iter().flat_map(|object| {
        let functions = object.functions.iter();
        functions.map(move |function| (object, function))
    });
    let site = |((object, function), number): ((_, &lp_klp::manifest::Function), u32)| {
        let object: &lp_klp::manifest::Object = object;
        let wanted = key(&object.name, &function.name, function.sympos);
        let mut planned = plan.functions.iter();
        let planned = planned.find(|it| key(&it.object, &it.name, it.sympos) == wanted)?;
        Some(SiteRecord {
            number,
            address: planned.entry.jump_at,
            original: planned.entry.original,
            new_address: planned.new.start,
            new_size: planned.new.end - planned.new.start,
            old_address: planned.entry.address,
            old_size: planned.entry.size,
        })
    };
    functions.zip(0..).filter_map(site).collect()
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
