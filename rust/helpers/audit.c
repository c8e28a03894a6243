// SPDX-License-Identifier: GPL-2.0
/* Records in the kernel's audit log. */
#include <linux/audit.h>
#include <linux/string.h>

#include "helpers.h"

#ifdef CONFIG_AUDIT

/*
 * Whether @name can be quoted in an audit record. If not, the record has the name in hexadecimal.
 * The rule is that of audit_string_contains_control(), which is not exported: each byte is a
 * printable character of ASCII, and neither a blank nor a quotation mark. isgraph() is also true
 * for characters of Latin-1.
 */
static bool is_plain(const char *name)
{
	for (; *name; name++) {
		unsigned char byte = *name;

		if (byte <= ' ' || byte > '~' || byte == '"')
			return false;
	}
	return true;
}

#endif

/**
 * rlp_audit() - write an audit record of an event of a patch
 * @patch: the name of the patch
 * @event: the event, one word
 * @state: the state of the patch, one word
 * @us: the time since the start of the patch's transition in microseconds, or the duration of its
 *	last transition if none runs
 *
 * Does nothing while auditing is off: the kernel would print the record to its log. The record
 * also describes the current task. For an event that an operator has caused, that is the
 * operator's task.
 *
 * Context: process context. May sleep.
 */
void rlp_audit(const char *patch, const char *event, const char *state, s64 us)
{
#ifdef CONFIG_AUDIT
	struct audit_buffer *ab;

	if (audit_enabled == AUDIT_OFF)
		return;
	ab = audit_log_start(audit_context(), GFP_KERNEL, AUDIT_KERNEL_OTHER);
	if (!ab)
		return;
	audit_log_format(ab, "op=livepatch patch=");
	if (is_plain(patch))
		audit_log_format(ab, "\"%s\"", patch);
	else
		audit_log_format(ab, "%*phN", (int)strlen(patch), patch);
	audit_log_format(ab, " event=%s state=%s us=%lld", event, state, us);
	audit_log_task_info(ab);
	audit_log_end(ab);
#endif
}
