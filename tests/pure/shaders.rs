//! Every shader is valid for the three native back ends and matches its Rust declaration. Needs no GPU.
use jempp::kernels::{KERNELS, Kernel, WORKGROUP_SIZE};
use naga::{
    back::{hlsl, msl, spv},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

fn parsed(kernel: &Kernel) -> (naga::Module, ModuleInfo) {
    let module = naga::front::wgsl::parse_str(kernel.source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(kernel.source)));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let info = validator
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(kernel.source)));
    (module, info)
}

#[test]
fn every_shader_file_is_in_the_table() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/shaders");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "common.wgsl")
        .collect();
    files.sort();
    let mut table: Vec<String> = KERNELS.iter().map(|k| format!("{}.wgsl", k.name)).collect();
    table.sort();
    assert_eq!(files, table);
}

#[test]
fn every_kernel_translates_for_vulkan_metal_and_dx12() {
    for kernel in KERNELS {
        let (module, info) = parsed(kernel);
        spv::write_vec(&module, &info, &spv::Options::default(), None)
            .unwrap_or_else(|error| panic!("{} to SPIR-V: {error}", kernel.name));
        let metal = msl::Options { fake_missing_bindings: true, ..msl::Options::default() };
        msl::write_string(&module, &info, &metal, &msl::PipelineOptions::default())
            .unwrap_or_else(|error| panic!("{} to Metal: {error}", kernel.name));
        let mut text = String::new();
        let options = hlsl::Options::default();
        hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions::default())
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{} to HLSL: {error}", kernel.name));
    }
}

#[test]
fn entry_points_are_named_like_their_files() {
    for kernel in KERNELS {
        let (module, _) = parsed(kernel);
        assert_eq!(module.entry_points.len(), 1, "{}", kernel.name);
        let entry = &module.entry_points[0];
        assert_eq!(entry.name, kernel.name);
        assert_eq!(entry.workgroup_size, [WORKGROUP_SIZE, 1, 1], "{}", kernel.name);
    }
}

#[test]
fn bindings_are_read_write_in_table_order_with_params_last() {
    for kernel in KERNELS {
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
            assert_eq!(is_writable, index + 1 != bindings.len(), "{}: {name}", kernel.name);
        }
    }
}

#[test]
fn params_have_the_members_and_offsets_that_the_launcher_writes() {
    for kernel in KERNELS {
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
    for kernel in KERNELS {
        let path = format!("{}/shaders/{}.wgsl", env!("CARGO_MANIFEST_DIR"), kernel.name);
        let text = std::fs::read_to_string(path).unwrap();
        let header: String = text.lines().take_while(|line| line.starts_with("//")).collect();
        assert!(header.contains("Source: "), "{}", kernel.name);
        assert!(header.contains(&format!("Twin: reference::{}", kernel.name)), "{}", kernel.name);
    }
}
