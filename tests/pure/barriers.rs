//! Every barrier of the shaders stands where the whole workgroup comes, and where a compiler sees that it does. FXC refuses
//! a barrier in a loop whose bound it takes for a value that differs within a workgroup. naga checks no barriers, and it
//! takes every local variable for such a value, so the control flow is followed here. Needs no GPU.
use std::collections::HashSet;

use naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, LocalVariable, Module,
    Span, Statement,
};

/// One call of a function. A value "varies" if it may differ between the invocations of a workgroup: it is made of more
/// than constants, uniform buffers and the numbers of the workgroup.
struct Call<'a> {
    module: &'a Module,
    function: &'a Function,
    varying_arguments: Vec<bool>,
    varying_locals: HashSet<Handle<LocalVariable>>,
    varying_results: HashSet<Handle<Expression>>,
    returns_varying: bool,
    /// Where barriers stand that only a part of the workgroup may reach.
    partial_barriers: Vec<Span>,
}

/// How a part of the workgroup may leave a block before the others.
#[derive(Clone, Copy, Default)]
struct Exits {
    breaks: bool,
    continues: bool,
    returns: bool,
}

impl Exits {
    fn any(self) -> bool {
        self.breaks || self.continues || self.returns
    }

    fn or(self, other: Self) -> Self {
        Self {
            breaks: self.breaks || other.breaks,
            continues: self.continues || other.continues,
            returns: self.returns || other.returns,
        }
    }
}

impl<'a> Call<'a> {
    /// Follows a call that the whole workgroup makes, or a part of it.
    fn follow(
        module: &'a Module,
        function: &'a Function,
        varying_arguments: Vec<bool>,
        is_partial: bool,
    ) -> Self {
        let mut call = Self {
            module,
            function,
            varying_arguments,
            varying_locals: HashSet::new(),
            varying_results: HashSet::new(),
            returns_varying: false,
            partial_barriers: Vec::new(),
        };
        // What varies at the end of a loop varies at its beginning too, so walk until no more is found.
        loop {
            let known = call.varying_locals.len() + call.varying_results.len();
            call.partial_barriers.clear();
            call.walk(&function.body, is_partial);
            if call.varying_locals.len() + call.varying_results.len() == known {
                return call;
            }
        }
    }

    /// Walks through a block that the whole workgroup enters, or a part of it.
    fn walk(&mut self, block: &Block, is_partial: bool) -> Exits {
        let mut exits = Exits::default();
        for (statement, &span) in block.span_iter() {
            let is_partial = is_partial || exits.any();
            exits = exits.or(self.step(statement, span, is_partial));
        }
        exits
    }

    fn step(&mut self, statement: &Statement, span: Span, is_partial: bool) -> Exits {
        match *statement {
            Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } if is_partial => {
                self.partial_barriers.push(span);
            }
            Statement::Break => return Exits { breaks: is_partial, ..Exits::default() },
            Statement::Continue => return Exits { continues: is_partial, ..Exits::default() },
            Statement::Return { value } => {
                self.returns_varying |= is_partial || value.is_some_and(|value| self.varies(value));
                return Exits { returns: is_partial, ..Exits::default() };
            }
            Statement::Block(ref block) => return self.walk(block, is_partial),
            Statement::If { condition, ref accept, ref reject } => {
                let is_partial = is_partial || self.varies(condition);
                return self.walk(accept, is_partial).or(self.walk(reject, is_partial));
            }
            Statement::Switch { selector, ref cases } => {
                let is_partial = is_partial || self.varies(selector);
                let exits = cases.iter().fold(Exits::default(), |exits, case| {
                    exits.or(self.walk(&case.body, is_partial))
                });
                return Exits { breaks: false, ..exits };
            }
            Statement::Loop { ref body, ref continuing, break_if } => {
                let mut exits = self.walk(body, is_partial).or(self.walk(continuing, is_partial));
                let ends_apart = break_if.is_some_and(|condition| self.varies(condition));
                if exits.any() || ends_apart {
                    // A part of the workgroup is on the second round when others have left.
                    exits = exits.or(self.walk(body, true)).or(self.walk(continuing, true));
                }
                return Exits { returns: exits.returns, ..Exits::default() };
            }
            Statement::Store { pointer, value }
                if is_partial || self.varies(pointer) || self.varies(value) =>
            {
                self.varying_locals.extend(self.local_of(pointer));
            }
            Statement::Call { function, ref arguments, result } => {
                let varying = arguments.iter().map(|&argument| self.varies(argument)).collect();
                let callee = &self.module.functions[function];
                let call = Call::follow(self.module, callee, varying, is_partial);
                self.partial_barriers.extend(call.partial_barriers);
                // The function may write where a pointer points.
                let written = arguments.iter().filter_map(|&argument| self.local_of(argument));
                self.varying_locals.extend(written.collect::<Vec<_>>());
                self.varying_results.extend(result.filter(|_| call.returns_varying));
            }
            _ => {}
        }
        Exits::default()
    }

    fn varies(&self, expression: Handle<Expression>) -> bool {
        let varies = |part: &Handle<Expression>| self.varies(*part);
        match self.function.expressions[expression] {
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::Override(_)
            | Expression::ZeroValue(_)
            | Expression::GlobalVariable(_)
            | Expression::LocalVariable(_)
            | Expression::WorkGroupUniformLoadResult { .. } => false,
            Expression::FunctionArgument(index) => self.varying_arguments[index as usize],
            Expression::CallResult(_) => self.varying_results.contains(&expression),
            Expression::Load { pointer } => self.varies(pointer) || self.memory_varies(pointer),
            Expression::Access { base, index } => [base, index].iter().any(varies),
            Expression::Compose { ref components, .. } => components.iter().any(varies),
            Expression::Binary { left, right, .. } => [left, right].iter().any(varies),
            Expression::Select { condition, accept, reject } => {
                [condition, accept, reject].iter().any(varies)
            }
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                [Some(arg), arg1, arg2, arg3].iter().flatten().any(varies)
            }
            Expression::AccessIndex { base: part, .. }
            | Expression::Splat { value: part, .. }
            | Expression::Swizzle { vector: part, .. }
            | Expression::Unary { expr: part, .. }
            | Expression::As { expr: part, .. }
            | Expression::Relational { argument: part, .. } => self.varies(part),
            _ => true,
        }
    }

    /// Whether the variable that `pointer` points into may differ between invocations, or is a buffer that a compiler
    /// takes for such a variable.
    fn memory_varies(&self, pointer: Handle<Expression>) -> bool {
        match self.function.expressions[self.root(pointer)] {
            Expression::GlobalVariable(variable) => {
                self.module.global_variables[variable].space != AddressSpace::Uniform
            }
            Expression::LocalVariable(variable) => self.varying_locals.contains(&variable),
            _ => true,
        }
    }

    fn local_of(&self, pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        match self.function.expressions[self.root(pointer)] {
            Expression::LocalVariable(variable) => Some(variable),
            _ => None,
        }
    }

    /// The variable that `pointer` points into.
    fn root(&self, pointer: Handle<Expression>) -> Handle<Expression> {
        match self.function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                self.root(base)
            }
            _ => pointer,
        }
    }
}

/// The lines of barriers that a part of a workgroup may reach without the others.
fn partial_barriers(source: &str) -> Vec<u32> {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(source)));
    let mut lines: Vec<u32> = Vec::new();
    for entry in &module.entry_points {
        let varying = entry.function.arguments.iter().map(|argument| {
            let of_workgroup = [BuiltIn::WorkGroupId, BuiltIn::NumWorkGroups].map(Binding::BuiltIn);
            !argument.binding.as_ref().is_some_and(|binding| of_workgroup.contains(binding))
        });
        let call = Call::follow(&module, &entry.function, varying.collect(), false);
        lines.extend(call.partial_barriers.iter().map(|span| span.location(source).line_number));
    }
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[test]
fn every_barrier_is_reached_by_its_whole_workgroup() {
    for kernel in crate::shaders::all() {
        let lines = partial_barriers(kernel.source);
        assert!(
            lines.is_empty(),
            "{}: a part of the workgroup may reach barriers alone, in lines {lines:?} of common.wgsl and its file",
            kernel.name
        );
    }
}

/// A kernel with this body and some functions that it calls.
fn kernel(body: &str) -> String {
    format!(
        "struct Params {{ count: u32 }}
        @group(0) @binding(0) var<storage, read> data: array<u32>;
        @group(0) @binding(1) var<uniform> params: Params;
        var<workgroup> shared_count: u32;
        fn wait() {{ workgroupBarrier(); }}
        fn at(index: u32) -> u32 {{ return data[index]; }}
        fn twice(value: u32) -> u32 {{ return 2u * value; }}
        fn is_first(value: u32) -> bool {{ if value > 0u {{ return false; }} return true; }}
        @compute @workgroup_size(64)
        fn main(
            @builtin(workgroup_id) group: vec3<u32>,
            @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) local: u32,
        ) {{ {body} }}"
    )
}

#[test]
fn a_barrier_that_a_part_may_reach_is_found() {
    for body in [
        "if local < 4u { workgroupBarrier(); }",
        "if local < 4u { wait(); }",
        "if local < 4u { return; } workgroupBarrier();",
        "for (var i = 0u; i < data[0]; i += 1u) { workgroupBarrier(); }",
        "for (var i = 0u; i < at(group.x); i += 1u) { workgroupBarrier(); }",
        "for (var i = local; i < params.count; i += 64u) { workgroupBarrier(); }",
        "for (var i = 0u; i < shared_count; i += 1u) { workgroupBarrier(); }",
        "for (var i = 0u; i < twice(local); i += 1u) { workgroupBarrier(); }",
        "var n = 4u; if local == 0u { n = 5u; } for (var i = 0u; i < n; i += 1u) { workgroupBarrier(); }",
        "for (var i = 0u; i < 4u; i += 1u) { if i == local { continue; } workgroupBarrier(); }",
        "for (var i = 0u; i < 4u; i += 1u) { workgroupBarrier(); if i == local { break; } }",
        "loop { workgroupBarrier(); continuing { break if data[0] == 0u; } }",
        "switch local { case 0u: { workgroupBarrier(); } default: {} }",
        "if is_first(local) { workgroupBarrier(); }",
        "var i = 0u; loop { if i > 4u { break; } workgroupBarrier(); i += at(0u); }",
    ] {
        assert!(!partial_barriers(&kernel(body)).is_empty(), "{body}");
    }
}

#[test]
fn a_barrier_that_all_reach_is_not_reported() {
    for body in [
        "workgroupBarrier();",
        "for (var i = 0u; i < params.count; i += 1u) { workgroupBarrier(); }",
        "for (var i = 32u; i > 0u; i /= 2u) { if local < i { shared_count = i; } workgroupBarrier(); }",
        "for (var i = local; i < data[0]; i += 64u) { if i == 9u { break; } } workgroupBarrier();",
        "if group.y * groups.x + group.x >= params.count { return; } workgroupBarrier();",
        "let n = select(4u, twice(params.count), group.x > 0u); for (var i = 0u; i < n; i += 1u) { wait(); }",
        "let n = workgroupUniformLoad(&shared_count); for (var i = 0u; i < n; i += 1u) { wait(); }",
        "if is_first(group.x) { workgroupBarrier(); }",
        "workgroupBarrier(); if local < 4u { return; }",
    ] {
        assert!(partial_barriers(&kernel(body)).is_empty(), "{body}");
    }
}
