// SPDX-License-Identifier: GPL-2.0
/* The module's parameters. They are in C because those of module!{} cannot change at run time. */
#include <linux/module.h>

#include "helpers.h"

/*
 * The READ_ONCE() in rlp_param_debug() pairs with the plain store in param_set_bool(). The
 * variable is one byte, and no other data depends on it.
 */
static bool debug;
module_param(debug, bool, 0644);
MODULE_PARM_DESC(debug, "Log every phase of a transition (default: N)");

static bool require_signed;
module_param(require_signed, bool, 0444);
MODULE_PARM_DESC(require_signed,
		 "Refuse patch modules whose signature the kernel did not verify (default: N)");

/* Read like debug. A writer calls the loader after the store, see promote_set(). */
static bool promote = true;

/*
 * Whether a writer of promote calls the loader. Protected by the parameters' lock,
 * which a writer holds. Without this flag, a writer could call the loader while the module
 * is being unloaded: the files of the parameters are removed after the module's exit.
 */
static bool registered;

void rlp_params_set_registered(bool on)
{
	kernel_param_lock(THIS_MODULE);
	registered = on;
	kernel_param_unlock(THIS_MODULE);
}

static int promote_set(const char *val, const struct kernel_param *kp)
{
	int ret = param_set_bool(val, kp);

	if (!ret && registered)
		rlp_rust_params_changed();
	return ret;
}

static const struct kernel_param_ops promote_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = promote_set,
	.get = param_get_bool,
};
module_param_cb(promote, &promote_ops, &promote, 0644);
MODULE_PARM_DESC(promote, "Promote patched functions to jumps while no transition runs (default: Y)");

/* Read like debug. */
static unsigned int deadline;
module_param(deadline, uint, 0644);
MODULE_PARM_DESC(deadline,
		 "Seconds after which a transition that is not complete is reversed; 0: never (default: 0)");

/* Read like debug. */
static unsigned int probation;
module_param(probation, uint, 0644);
MODULE_PARM_DESC(probation,
		 "Seconds within which a patch must be confirmed, or it is taken back; 0: no probation (default: 0)");

bool rlp_param_debug(void)
{
	return READ_ONCE(debug);
}

bool rlp_param_require_signed(void)
{
	return require_signed;
}

unsigned int rlp_param_deadline(void)
{
	return READ_ONCE(deadline);
}

unsigned int rlp_param_probation(void)
{
	return READ_ONCE(probation);
}

bool rlp_param_promote(void)
{
	return READ_ONCE(promote);
}
