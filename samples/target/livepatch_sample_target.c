// SPDX-License-Identifier: GPL-2.0
/*
 * The module that the samples patch. It has three files in /proc/livepatch_sample/:
 *
 *   greeting	shows a line of text;
 *   name	shows a line that two functions make together;
 *   session	shows an object that exists while the file is open.
 *
 * The functions that the samples replace are noinline and __noclone. A function
 * that the compiler has inlined, or has replaced by a variant of its own, has no
 * entry to redirect.
 */

#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

static noinline __noclone int greeting_show(struct seq_file *m, void *v)
{
	seq_puts(m, "greetings from the target\n");
	return 0;
}

#define NAME_SIZE 32

/* The caller passes a buffer of NAME_SIZE bytes. Returns the length of the name. */
static noinline __noclone int name_get(char *buf)
{
	return strscpy(buf, "livepatch_sample_target", NAME_SIZE);
}

static noinline __noclone int name_show(struct seq_file *m, void *v)
{
	char buf[NAME_SIZE];
	int len = name_get(buf);

	seq_printf(m, "%s, length %d\n", buf, len);
	return 0;
}

struct session {
	u64 id;
};

static noinline __noclone int session_show(struct seq_file *m, struct session *session)
{
	seq_printf(m, "session %llu\n", session->id);
	return 0;
}

static noinline __noclone void session_free(struct session *session)
{
	kfree(session);
}

static int session_seq_show(struct seq_file *m, void *v)
{
	return session_show(m, m->private);
}

static int session_open(struct inode *inode, struct file *file)
{
	static atomic64_t last_id;
	struct session *session;
	int err;

	session = kzalloc_obj(*session);
	if (!session)
		return -ENOMEM;
	session->id = atomic64_inc_return(&last_id);

	err = single_open(file, session_seq_show, session);
	if (err)
		kfree(session);
	return err;
}

static int session_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;

	session_free(m->private);
	return single_release(inode, file);
}

static const struct proc_ops session_ops = {
	.proc_open	= session_open,
	.proc_read	= seq_read,
	.proc_lseek	= seq_lseek,
	.proc_release	= session_release,
};

static int __init target_init(void)
{
	struct proc_dir_entry *dir = proc_mkdir("livepatch_sample", NULL);

	if (!dir)
		return -ENOMEM;
	if (proc_create_single("greeting", 0444, dir, greeting_show) &&
	    proc_create_single("name", 0444, dir, name_show) &&
	    proc_create("session", 0444, dir, &session_ops))
		return 0;

	proc_remove(dir);
	return -ENOMEM;
}

static void __exit target_exit(void)
{
	remove_proc_subtree("livepatch_sample", NULL);
}

module_init(target_init);
module_exit(target_exit);
MODULE_DESCRIPTION("Live patch samples: the module that they patch");
MODULE_LICENSE("GPL");
