// SPDX-License-Identifier: GPL-2.0

//! Uses that the wrappers allow. Each of the other sources has one mistake, and must not compile.
//! Its comment `// error:` has the error.

use kernel_ext::{
    cpu::{
        self,
        AfterInterrupt,
        CpuSet, //
    },
    gate::Gate,
    klp::PatchDesc,
    klp_shadow::Destructor, //
};

/// Reads the states and the objects of a patch while the patch's module is held.
pub fn read_patch(patch: PatchDesc) -> usize {
    let states = patch.states().count();
    let objects = patch.objects().map_or(0, |objects| objects.count());
    drop(patch);
    states.wrapping_add(objects)
}

/// Runs a destructor in the call of its author.
pub fn run_destructor(destructor: Destructor<'_>) {
    destructor.run();
}

/// Makes the CPUs of a set reschedule.
pub fn reschedule(gate: Gate, cpus: &CpuSet) {
    cpu::interrupt(gate, cpus, |_here, _proof| AfterInterrupt::Reschedule);
}
