// SPDX-License-Identifier: GPL-2.0
// error: E0061

//! CPUs are interrupted without the proof that the gate is open: the stopper of a CPU that is to
//! reschedule would not be requested, and the drop of the gate would wait for it for ever.

use kernel_ext::cpu::{
    self,
    AfterInterrupt,
    CpuSet, //
};

pub fn reschedule(cpus: &CpuSet) {
    cpu::interrupt(cpus, |_here, _proof| AfterInterrupt::Reschedule);
}
