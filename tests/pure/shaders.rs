//! Every shader is valid for the three native back ends and matches its Rust declaration. Needs no GPU.
use std::collections::BTreeSet;

use jempp::kernels::{ConvPass, ConvShape, KERNELS, Kernel, Surroundings, VARIANTS};
use naga::{
    back::{hlsl, msl, spv},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

const SHADERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");

/// Every kernel, and every variant for channels of each kind, in each pass. Of blocks, each kind with one other: three times
/// as many kernels would take minutes.
pub(crate) fn all() -> Vec<&'static Kernel> {
    let mut all = KERNELS.to_vec();
    for variant in VARIANTS {
        for pass in ConvPass::ALL.into_iter().filter(|&pass| variant.computes(pass)) {
            for inputs in [1, 2, 3, 4, 5] {
                for outputs in [1, 2, 3, 4, 5] {
                    let sizes = (1, 8, 8, 3, 1);
                    let (batch, height, width, kernel, stride) = sizes;
                    let shape = ConvShape { batch, height, width, inputs, outputs, kernel, stride };
                    let is_pair = inputs == 6 - outputs || (inputs, outputs) == (4, 4);
                    let around = Surroundings::ALL.into_iter().take(if is_pair { 3 } else { 1 });
                    all.extend(around.map(|around| variant.kernel(pass, &shape, around)));
                }
            }
        }
    }
    all
}

fn parsed(kernel: &Kernel) -> (naga::Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(kernel.source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(kernel.source)));
    let capabilities = match uses_subgroups(kernel) {
        true => Capabilities::SUBGROUP,
        false => Capabilities::empty(),
    };
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
    validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
    let info = validator
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(kernel.source)));
    (module, info)
}

fn uses_subgroups(kernel: &Kernel) -> bool {
    kernel.name == "conv_broadcast"
}

/// The files of `shaders/` with this extension, without it.
fn files(extension: &str) -> BTreeSet<String> {
    std::fs::read_dir(SHADERS)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(extension).map(str::to_string)
        })
        .collect()
}

#[test]
fn every_shader_file_is_in_a_table() {
    let kernels = KERNELS.iter().map(|kernel| kernel.name);
    let variants = VARIANTS.iter().map(|variant| variant.tile.file());
    let shared = [
        "common",
        "conv_common",
        "conv_plain",
        "conv_plain_weights",
        "conv_norm_output",
        "conv_norm_gradient",
        "conv_norm_weights",
    ];
    let expected: BTreeSet<String> =
        kernels.chain(variants).chain(shared).map(str::to_string).collect();
    assert_eq!(files(".wgsl"), expected);
}

#[test]
fn the_scripts_and_the_program_have_the_same_variants() {
    let text = std::fs::read_to_string(format!("{SHADERS}/variants.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let rows = table["variant"].as_array().unwrap();
    let described = rows.iter().map(|row| {
        let constants = row["constants"].as_table().unwrap().iter();
        let constants: BTreeSet<(&str, i64)> =
            constants.map(|(name, value)| (name.as_str(), value.as_integer().unwrap())).collect();
        (row["name"].as_str().unwrap(), row["file"].as_str().unwrap(), constants)
    });
    let declared = VARIANTS.iter().map(|variant| {
        let constants = variant.tile.constants().into_iter();
        let constants = constants.map(|(name, value)| (name, i64::from(value))).collect();
        (variant.name, variant.tile.file(), constants)
    });
    assert_eq!(described.collect::<Vec<_>>(), declared.collect::<Vec<_>>());
}

#[test]
fn every_kernel_keeps_within_what_webgpu_guarantees() {
    for kernel in all() {
        let (module, info) = parsed(kernel);
        assert!(kernel.workgroup_size <= 256, "{}", kernel.name);
        assert!(kernel.bindings.len() <= 8 + 1, "{}: 8 storage buffers", kernel.name);
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(handle, variable)| {
                variable.space == naga::AddressSpace::WorkGroup
                    && !info.get_entry_point(0)[*handle].is_empty()
            })
            .map(|(_, variable)| layouter[variable.ty].size)
            .sum();
        assert!(bytes <= 16_384, "{}: {bytes} bytes of workgroup memory", kernel.name);
    }
}

#[test]
fn every_kernel_translates_for_vulkan_metal_and_dx12() {
    for kernel in all() {
        let (module, info) = parsed(kernel);
        let (mut vulkan, mut dx12) = (spv::Options::default(), hlsl::Options::default());
        let mut metal = msl::Options { fake_missing_bindings: true, ..msl::Options::default() };
        if uses_subgroups(kernel) {
            vulkan.lang_version = (1, 3);
            metal.lang_version = (2, 1);
            dx12.shader_model = hlsl::ShaderModel::V6_0;
        }
        spv::write_vec(&module, &info, &vulkan, None)
            .unwrap_or_else(|error| panic!("{} to SPIR-V: {error}", kernel.name));
        msl::write_string(&module, &info, &metal, &msl::PipelineOptions::default())
            .unwrap_or_else(|error| panic!("{} to Metal: {error}", kernel.name));
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &dx12, &hlsl::PipelineOptions::default())
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{} to HLSL: {error}", kernel.name));
    }
}

#[test]
fn entry_points_are_named_like_their_files() {
    for kernel in all() {
        let (module, _) = parsed(kernel);
        assert_eq!(module.entry_points.len(), 1, "{}", kernel.name);
        let entry = &module.entry_points[0];
        assert_eq!(entry.name, kernel.name);
        assert_eq!(entry.workgroup_size, [kernel.workgroup_size, 1, 1], "{}", kernel.name);
    }
}

#[test]
fn bindings_are_read_write_in_table_order_with_uniform_params_last() {
    for kernel in all() {
        let (module, info) = parsed(kernel);
        let mut bindings: Vec<_> = module
            .global_variables
            .iter()
            .filter_map(|(handle, variable)| {
                let at = variable.binding.as_ref()?;
                assert_eq!(at.group, 0);
                // The automatic layout drops a binding that the entry point does not use.
                let is_used = !info.get_entry_point(0)[handle].is_empty();
                assert!(is_used, "{} does not use a binding", kernel.name);
                Some((at.binding, variable.name.clone().unwrap(), variable.space))
            })
            .collect();
        bindings.sort_by_key(|binding| binding.0);
        let names: Vec<&str> = bindings.iter().map(|binding| binding.1.as_str()).collect();
        assert_eq!(names, kernel.bindings, "{}", kernel.name);
        for (index, (_, name, space)) in bindings.iter().enumerate() {
            // Two tensors may share one buffer, and wgpu rejects read access together with read_write access.
            let is_writable = matches!(space, naga::AddressSpace::Storage { access }
                if access.contains(naga::StorageAccess::STORE));
            let is_params = index + 1 == bindings.len();
            let is_uniform = *space == naga::AddressSpace::Uniform;
            let expected = (!is_params, is_params);
            assert_eq!((is_writable, is_uniform), expected, "{}: {name}", kernel.name);
        }
    }
}

#[test]
fn params_have_the_members_and_offsets_that_the_launcher_writes() {
    for kernel in all() {
        let (module, _) = parsed(kernel);
        let params = module
            .types
            .iter()
            .find(|(_, ty)| ty.name.as_deref() == Some("Params"))
            .map(|(_, ty)| &ty.inner);
        let Some(naga::TypeInner::Struct { members, .. }) = params else {
            panic!("{} has no Params", kernel.name)
        };
        let found: Vec<(&str, u32)> =
            members.iter().map(|m| (m.name.as_deref().unwrap(), m.offset)).collect();
        let expected: Vec<(&str, u32)> =
            kernel.params.iter().copied().zip((0..).step_by(4)).collect();
        assert_eq!(found, expected, "{}", kernel.name);
    }
}

#[test]
fn every_shader_begins_with_its_sentence_its_source_and_its_twin() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/cpu/src/reference");
    let twins: String = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for name in files(".wgsl").iter().filter(|name| !name.ends_with("common")) {
        let text = std::fs::read_to_string(format!("{SHADERS}/{name}.wgsl")).unwrap();
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//")).collect();
        assert!(header.iter().any(|line| line.starts_with("// Source: ")), "{name}");
        let of_twin = header.iter().find_map(|line| line.strip_prefix("// Twin: "));
        for twin in of_twin.unwrap_or_else(|| panic!("{name} has no twin")).split(", ") {
            let function = twin.strip_prefix("reference::").unwrap();
            assert!(twins.contains(&format!("pub fn {function}(")), "{name}: {twin}");
        }
    }
}
