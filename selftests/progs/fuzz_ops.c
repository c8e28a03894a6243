// SPDX-License-Identifier: GPL-2.0
/*
 * Random operations on the loader, checked against a model after each.
 *
 *   fuzz_ops SEED STEPS SECONDS PINS
 *	end after so many steps, or after the first step that ends later than so many
 *	seconds (0: no such limit); let at most PINS patches leave by force, which keeps
 *	their modules for ever. The same seed makes the same operations in the same order.
 *
 * The model is not one state but the set of all states that the loader may be in: tasks
 * move, transitions end and patches part with their modules when they like. An operation
 * keeps those states in which it would have had the result that it had, and what is read
 * keeps those in which it would read so. If none is left, the loader did what it must not.
 *
 * After each step all comes to rest, and one state is left, which depends on the
 * operations alone. The next step is chosen by the seed and by that state, hence replay.
 * Where operations race within a step, it ends with what makes its outcome certain.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RLP "/sys/kernel/rust_livepatch"
#define PATCH "rlp_patch_a"	/* the last letter is that of the slot */
#define NR_SLOTS 8
#define NR_IN_PLAY 4		/* slots that new patches are loaded to */
#define NR_SLEEPERS 3
#define MAX_FUNCS 12
#define MAX_STATES 20000
#define PATIENCE 40		/* seconds until all must have come to rest */

/* ------------------------------------------------------------------ the machine */

/* Longer than any text that is compared; the longest is the kernel's command line. */
#define TEXT	2304

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static int first_letter;	/* those before are modules that were forced out earlier */
static int foreign;		/* how many of them hold the loader */

static char letter(int slot)
{
	return letters[first_letter + slot];
}

enum target { T_RLP, T_SAMPLE, NR_TARGETS, T_VMLINUX, T_ABSENT };

static const char * const objects[] = {
	[T_RLP] = "rlp_target", [T_SAMPLE] = "livepatch_sample_target",
	[T_VMLINUX] = "vmlinux", [T_ABSENT] = "rlp_absent",
};

enum fn { F_CMDLINE, F_VERSION, F_ONE, F_TWO, F_TWIN1, F_TWIN2, F_SLEEP, F_GREETING, NR_FNS };

static struct {
	enum target object;
	const char *name;
	int sympos;		/* 0: may be left out */
	const char *file;
	char original[TEXT];
} fns[NR_FNS] = {
	[F_CMDLINE] = { T_VMLINUX, "cmdline_proc_show", 0, "/proc/cmdline" },
	[F_VERSION] = { T_VMLINUX, "version_proc_show", 0, "/proc/version" },
	[F_ONE] = { T_RLP, "one_show", 0, "/proc/rlp_target/one", "one" },
	[F_TWO] = { T_RLP, "two_show", 0, "/proc/rlp_target/two", "two" },
	[F_TWIN1] = { T_RLP, "twin_show", 1, "/proc/rlp_target/twin1", "first twin" },
	[F_TWIN2] = { T_RLP, "twin_show", 2, "/proc/rlp_target/twin2", "second twin" },
	[F_SLEEP] = { T_RLP, "sleep_show", 0, "/proc/rlp_target/sleep", "awake" },
	[F_GREETING] = { T_SAMPLE, "greeting_show", 0, "/proc/livepatch_sample/greeting",
			 "greetings from the target" },
};

/* What a patch says of itself. */
struct func {
	int fn;			/* -1: none of fns[] */
	enum target object;
	const char *name;
	int position;
	bool bad;		/* cannot be found once its object is there */
};

struct desc {
	char says[16], params[1024];
	bool replace;
	int early;		/* the errno it is refused with, whatever else there is */
	int nr;
	struct func funcs[MAX_FUNCS];
};

#define NR_DESCS 256
static struct desc descs[NR_DESCS];

/* ------------------------------------------------------------------ the model */

enum life { NONE, IN_USE, LEAVING };	/* LEAVING: only its directory is there */
enum move { STILL, IN, REPLACING, OUT };
enum universe { OLD, NEW };

/* No padding: states are compared and hashed as bytes. */
struct slot {
	uint8_t desc, loaded, life, forced, puts, pins, ran;
};

struct state {
	struct slot slots[NR_SLOTS];
	uint8_t order[NR_SLOTS], nr_order;
	uint8_t move, mover, target, forced;
	uint8_t self;			/* the universe of this process */
	uint8_t sleepers[NR_SLEEPERS];	/* 0: none, else its universe + 1 */
	uint8_t here[NR_TARGETS], awake, loader, promote;
};

/* No file, or one of a patch that is gone; that or another result. */
enum { GONE = 1000, GONE_OR = 2000 };

static bool has(const struct state *m, int slot, enum universe u)
{
	switch (m->move) {
	case IN:
		return u == NEW || slot != m->mover;
	case REPLACING:
		return (slot == m->mover) == (u == NEW);
	case OUT:
		return u == OLD || slot != m->mover;
	default:
		return true;
	}
}

static bool present(const struct state *m, enum target object)
{
	return object == T_VMLINUX || (object < NR_TARGETS && m->here[object]);
}

static bool replaces(const struct state *m, int slot, enum fn fn)
{
	const struct desc *d = &descs[m->slots[slot].desc];

	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].fn == (int)fn)
			return true;
	return false;
}

/* The slot whose replacement of fn the universe calls, -1 for the original. */
static int winner(const struct state *m, enum fn fn, enum universe u)
{
	if (!present(m, fns[fn].object))
		return -1;
	for (int i = m->nr_order - 1; i >= 0; i--)
		if (has(m, m->order[i], u) && replaces(m, m->order[i], fn))
			return m->order[i];
	return -1;
}

static bool moves(const struct state *m, int slot)
{
	return m->move != STILL && m->mover == slot;
}

static bool enabled(const struct state *m, int slot)
{
	return !moves(m, slot) || has(m, slot, m->target);
}

/* Sleepers are in the original of sleep_show(), which holds them if it changes. */
static bool held(const struct state *m, int i)
{
	return m->move != STILL && m->sleepers[i] && m->sleepers[i] - 1 != m->target &&
	       winner(m, F_SLEEP, OLD) != winner(m, F_SLEEP, NEW) &&
	       winner(m, F_SLEEP, !m->target) < 0;
}

static int nr_held(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < NR_SLEEPERS; i++)
		n += held(m, i);
	return n;
}

static void everybody_in(struct state *m, enum universe u)
{
	m->self = u;
	for (int i = 0; i < NR_SLEEPERS; i++)
		if (m->sleepers[i])
			m->sleepers[i] = u + 1;
}

static void start(struct state *m, enum move move, int slot)
{
	m->move = move;
	m->mover = slot;
	m->target = NEW;
	m->forced = 0;
	everybody_in(m, OLD);
}

static void complete(struct state *m)
{
	int kept = 0;

	for (int i = 0; i < m->nr_order; i++) {
		int slot = m->order[i];

		if (has(m, slot, m->target)) {
			m->order[kept++] = slot;
			if (slot == m->mover)
				m->slots[slot].ran = 1;
			continue;
		}
		m->slots[slot].life = LEAVING;
		m->slots[slot].forced = m->forced;
		m->slots[slot].ran = 0;
	}
	memset(m->order + kept, 0, NR_SLOTS - kept);
	m->nr_order = kept;
	m->move = STILL;
	m->mover = m->target = m->forced = 0;
	everybody_in(m, OLD);
}

/* Operations: each returns an errno, or 0 and changes the state. */

static int enable(struct state *m, int slot, int desc)
{
	const struct desc *d = &descs[desc];
	struct slot *s = &m->slots[slot];

	if (d->early)
		return d->early;
	if (s->life == IN_USE)
		return EEXIST;
	if (m->move != STILL)
		return EBUSY;
	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].bad && present(m, d->funcs[i].object))
			return EINVAL;
	if (s->life == LEAVING)
		return EBUSY;
	s->desc = desc;
	s->life = IN_USE;
	s->ran = 0;
	m->order[m->nr_order++] = slot;
	start(m, d->replace ? REPLACING : IN, slot);
	return 0;
}

static int op_load(struct state *m, const long *args) /* slot, desc */
{
	struct slot *s = &m->slots[args[0]];
	int ret;

	if (s->loaded)
		return EEXIST;
	if (!m->loader)
		return ENOENT;
	ret = enable(m, args[0], args[1]);
	if (!ret)
		s->loaded = 1;
	return ret;
}

static int op_again(struct state *m, const long *args) /* slot */
{
	struct slot *s = &m->slots[args[0]];

	return s->loaded ? enable(m, args[0], s->desc) : ENOENT;
}

static int op_unload(struct state *m, const long *args) /* slot */
{
	struct slot *s = &m->slots[args[0]];

	if (!s->loaded)
		return ENOENT;
	if (s->life != NONE || s->puts || s->pins)
		return EAGAIN;
	s->loaded = s->desc = s->ran = 0;
	return 0;
}

static int op_enabled(struct state *m, const long *args) /* slot, value */
{
	int slot = args[0];

	if (m->slots[slot].life != IN_USE)
		return GONE;
	if (enabled(m, slot) == args[1])
		return EINVAL;
	if (moves(m, slot)) {
		m->target = !m->target;
		return 0;
	}
	if (m->move != STILL)
		return EBUSY;
	start(m, OUT, slot);
	return 0;
}

static int op_force(struct state *m, const long *args) /* slot, value */
{
	int slot = args[0], life = m->slots[slot].life;

	if (!args[1])
		return life == IN_USE ? 0 : life == LEAVING ? GONE_OR : GONE;
	if (life != IN_USE)
		return GONE;
	if (!moves(m, slot))
		return EINVAL;
	m->forced = 1;
	everybody_in(m, m->target);
	return 0;
}

static int op_junk(struct state *m, const long *args) /* slot, errno */
{
	int life = m->slots[args[0]].life;

	return life == IN_USE ? args[1] : life == LEAVING ? GONE_OR + args[1] : GONE;
}

static int op_target(struct state *m, const long *args) /* target, init's errno */
{
	if (m->here[args[0]])
		return EEXIST;
	for (int i = 0; i < m->nr_order; i++) {
		const struct desc *d = &descs[m->slots[m->order[i]].desc];

		for (int j = 0; j < d->nr; j++)
			if (d->funcs[j].bad && (long)d->funcs[j].object == args[0])
				return EINVAL;
	}
	if (args[1])
		return args[1];
	m->here[args[0]] = 1;
	if (args[0] == T_RLP)
		m->awake = 0;
	return 0;
}

static int op_target_goes(struct state *m, const long *args) /* target */
{
	if (!m->here[args[0]])
		return ENOENT;
	m->here[args[0]] = 0;
	return 0;
}

static int nr_loaded(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < NR_SLOTS; i++)
		n += m->slots[i].loaded;
	return n;
}

static int op_loader(struct state *m, const long *args) /* 1: load it, 0: unload it */
{
	if (args[0]) {
		if (m->loader)
			return EEXIST;
		m->loader = m->promote = 1;
		return 0;
	}
	if (!m->loader)
		return ENOENT;
	if (nr_loaded(m) || foreign)
		return EAGAIN;
	m->loader = m->promote = 0;
	return 0;
}

static int op_set(struct state *m, const long *args) /* offset of a member, value */
{
	((uint8_t *)m)[args[0]] = args[1];
	return 0;
}
#define MEMBER(member) offsetof(struct state, member)

/* ------------------------------------------------------------------ the set */

static struct state *set;
static int nr_states, largest;
static int toggling = -1;	/* this slot's "enabled" is written by others meanwhile */
static int table[65536];	/* of indices + 1 into set */

static uint32_t hash(const struct state *m)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(*m); i++)
		h = (h ^ ((const uint8_t *)m)[i]) * 16777619u;
	return h;
}

static void add(const struct state *m)
{
	uint32_t at = hash(m);

	for (;; at++) {
		int i = table[at & 65535];

		if (!i)
			break;
		if (!memcmp(&set[i - 1], m, sizeof(*m)))
			return;
	}
	if (nr_states == MAX_STATES) {
		fprintf(stderr, "fuzz_ops: too many states\n");
		exit(2);
	}
	set[nr_states++] = *m;
	table[at & 65535] = nr_states;
	if (nr_states > largest)
		largest = nr_states;
}

/* Keeps what keep() says, as keep() leaves it. */
static void filter(bool (*keep)(struct state *m, void *data), void *data)
{
	int nr = nr_states;
	static struct state next;

	nr_states = 0;
	memset(table, 0, sizeof(table));
	for (int i = 0; i < nr; i++) {
		next = set[i];
		if (keep(&next, data))
			add(&next);
	}
}

/* Each state that m may come to by itself, at one step. */
static void each_next(const struct state *m, void (*found)(const struct state *))
{
	struct state n;
	bool all = true;

	if (m->move != STILL) {
		if (m->self != m->target) {
			all = false;
			n = *m;
			n.self = m->target;
			found(&n);
		}
		for (int i = 0; i < NR_SLEEPERS; i++) {
			if (!m->sleepers[i] || m->sleepers[i] - 1 == m->target)
				continue;
			all = false;
			if (held(m, i))
				continue;
			n = *m;
			n.sleepers[i] = m->target + 1;
			found(&n);
		}
		if (all) {
			n = *m;
			complete(&n);
			found(&n);
		}
	}
	for (int i = 0; i < NR_SLOTS; i++) {
		if (m->slots[i].life == LEAVING) {
			n = *m;
			n.slots[i].life = NONE;
			if (n.slots[i].forced)
				n.slots[i].pins++;
			else
				n.slots[i].puts++;
			n.slots[i].forced = 0;
			found(&n);
		}
		if (m->slots[i].puts) {
			n = *m;
			n.slots[i].puts--;
			found(&n);
		}
	}
	for (long value = 0; toggling >= 0 && value < 2; value++) {
		n = *m;
		if (!op_enabled(&n, (long[]){ toggling, value }))
			found(&n);
	}
}

static void close_set(void)
{
	struct state m;

	for (int i = 0; i < nr_states; i++) {
		m = set[i];
		each_next(&m, add);
	}
}

static int nr_next;

static void count_next(const struct state *m)
{
	nr_next++;
}

static bool at_rest(const struct state *m)
{
	nr_next = 0;
	each_next(m, count_next);
	return nr_next == 0;
}

/* ------------------------------------------------------------------ what went wrong */

static uint64_t seed, random_state;
static unsigned long step, counted[16];
static uint64_t digest = 14695981039346656037u;
static char ring[40][160];
static unsigned long nr_ops;
static pid_t sleeper_pids[NR_SLEEPERS], noise[2];
static bool verbose;

static void clean_up(void);
static void print_state(const struct state *m);

static uint64_t draw(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned int below(unsigned int n)
{
	return draw() % n;
}

static bool percent(unsigned int n)
{
	return below(100) < n;
}

/* Says what comes. The sum over all of this is the same for the same seed. */
__attribute__((format(printf, 1, 2))) static void op(const char *fmt, ...)
{
	char *text = ring[nr_ops % 40];
	va_list ap;
	int n = snprintf(text, sizeof(ring[0]), "%lu: ", step);

	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(ring[0]) - n, fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		digest = (digest ^ (uint8_t)*c) * 1099511628211u;
	nr_ops++;
	if (verbose)
		printf("# %s\n", text);
}

static void show_result(int got)
{
	char *text = ring[(nr_ops - 1) % 40];
	size_t n = strlen(text);

	snprintf(text + n, sizeof(ring[0]) - n, " = %s",
		 got ? strerrorname_np(got) : "0");
}

__attribute__((format(printf, 1, 2), noreturn)) static void wrong(const char *fmt, ...)
{
	va_list ap;

	printf("# the last operations:\n");
	for (unsigned long i = nr_ops > 40 ? nr_ops - 40 : 0; i < nr_ops; i++)
		printf("#   %s\n", ring[i % 40]);
	printf("# states that were possible: %d\n", nr_states);
	for (int i = 0; i < nr_states && i < 8; i++)
		print_state(&set[i]);
	printf("# MISMATCH with RLP_SEED=%llu in step %lu: ", (unsigned long long)seed, step);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	clean_up();
	exit(1);
}

static void print_state(const struct state *m)
{
	static const char * const names[] = { "still", "in", "replacing", "out" };

	printf("#   order");
	for (int i = 0; i < m->nr_order; i++)
		printf(" %c", 'a' + m->order[i]);
	if (m->move != STILL)
		printf("; %c %s to %s%s, this process in %s", 'a' + m->mover, names[m->move],
		       m->target ? "new" : "old", m->forced ? " (forced)" : "",
		       m->self ? "new" : "old");
	for (int i = 0; i < NR_SLEEPERS; i++)
		if (m->sleepers[i])
			printf("; sleeper in %s%s", m->sleepers[i] == 2 ? "new" : "old",
			       held(m, i) ? " (held)" : "");
	for (int i = 0; i < NR_SLOTS; i++) {
		const struct slot *s = &m->slots[i];

		if (s->loaded)
			printf("; %c%s%s puts %d pins %d: %s", 'a' + i,
			       s->life == LEAVING ? " leaving" : "", s->ran ? " ran" : "",
			       s->puts, s->pins, descs[s->desc].params);
	}
	printf("; targets %d %d awake %d loader %d promote %d\n", m->here[0], m->here[1],
	       m->awake, m->loader, m->promote);
}

struct applied {
	int (*fn)(struct state *m, const long *args);
	const long *args;
	int got;
};

static bool keep_result(struct state *m, void *data)
{
	struct applied *a = data;
	int ret = a->fn(m, a->args);

	return ret == a->got || ret == GONE_OR + a->got ||
	       (ret >= GONE && (a->got == ENOENT || a->got == ENODEV));
}

/* Adds what would have been to text, once. */
static void alternative(char *text, size_t size, const char *more)
{
	char quoted[TEXT + 8];

	snprintf(quoted, sizeof(quoted), " '%s'", more);
	if (!strstr(text, quoted))
		snprintf(text + strlen(text), size - strlen(text), "%s", quoted);
}

/* The operation fn was made, and ended with this errno. */
static void did(int (*fn)(struct state *, const long *), const long *args, int got)
{
	struct applied a = { fn, args, got };
	char expected[3 * TEXT] = "";
	static struct state before[8];
	int nr;

	show_result(got);
	counted[got ? 1 : 0]++;
	close_set();
	nr = nr_states < 8 ? nr_states : 8;
	memcpy(before, set, nr * sizeof(*before));
	for (int i = 0; i < nr_states; i++) {
		struct state m = set[i];
		int ret = fn(&m, args);

		if (ret >= GONE)
			alternative(expected, sizeof(expected), "ENOENT or ENODEV");
		if (ret == GONE)
			continue;
		ret %= GONE;
		alternative(expected, sizeof(expected), ret ? strerrorname_np(ret) : "0");
	}
	filter(keep_result, &a);
	if (!nr_states) {
		memcpy(set, before, nr * sizeof(*before));
		nr_states = nr;
		wrong("expected one of%s, found '%s'", expected,
		      got ? strerrorname_np(got) : "0");
	}
}

typedef void expect_fn(const struct state *m, const long *args, char *text);

struct observed {
	expect_fn *fn;
	const long *args;
	const char *found;
};

static bool keep_observed(struct state *m, void *data)
{
	struct observed *o = data;
	char text[TEXT];

	o->fn(m, o->args, text);
	return !strcmp(text, "?") || !strcmp(text, o->found);
}

/* What reads so was read. */
static void observe(const char *what, expect_fn *fn, const long *args, const char *found)
{
	struct observed o = { fn, args, found };
	char expected[3 * TEXT] = "", text[TEXT];
	static struct state before[8];
	int nr;

	counted[2]++;
	close_set();
	nr = nr_states < 8 ? nr_states : 8;
	memcpy(before, set, nr * sizeof(*before));
	for (int i = 0; i < nr_states; i++) {
		fn(&set[i], args, text);
		alternative(expected, sizeof(expected), text);
	}
	filter(keep_observed, &o);
	if (!nr_states) {
		memcpy(set, before, nr * sizeof(*before));
		nr_states = nr;
		wrong("%s: expected one of%s, found '%s'", what, expected, found);
	}
}

/* ------------------------------------------------------------------ files and modules */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Its text without newlines at the end, or the name of the errno. */
static const char *get(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, text, size - 1);
		if (n < 0) {
			int e = errno;

			close(fd);
			errno = e;
		} else {
			close(fd);
		}
	}
	if (n < 0)
		return strcpy(text, strerrorname_np(errno));
	while (n && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	return text;
}

static int put_bytes(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, len) < 0)
		ret = errno;
	close(fd);
	return ret;
}

static int put(const char *path, const char *text)
{
	return put_bytes(path, text, strlen(text));
}

static char *slot_file(int slot, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), RLP "/rlp_patch_%c/%s", letter(slot), file);
	return path;
}

static char *module_file(int slot, const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "/sys/module/rlp_patch_%c/%s", letter(slot), file);
	return path;
}

struct image {
	char *bytes;
	size_t len;
};

static struct image patch_image, target_images[NR_TARGETS], loader_image;

static struct image read_image(const char *name)
{
	const char *folder = getenv("RLP_MODULES");
	struct image image = {};
	struct stat st;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s.ko", folder ? folder : "/modules", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		exit(2);
	}
	image.bytes = malloc(st.st_size);
	while (image.len < (size_t)st.st_size) {
		ssize_t n = read(fd, image.bytes + image.len, st.st_size - image.len);

		if (n <= 0) {
			perror(path);
			exit(2);
		}
		image.len += n;
	}
	close(fd);
	return image;
}

static int load_image(const struct image *image, const char *params)
{
	return syscall(SYS_init_module, image->bytes, image->len, params) ? errno : 0;
}

/* One image has all names: they differ in the last letter. */
static int load_slot(int slot, const char *params)
{
	size_t len = strlen(PATCH);
	char *at = patch_image.bytes, *end = at + patch_image.len;

	while ((at = memmem(at, end - at, PATCH, len - 1))) {
		at[len - 1] = letter(slot);
		at += len;
	}
	return load_image(&patch_image, params);
}

static int unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? errno : 0;
}

static int unload_slot(int slot)
{
	char name[] = PATCH;

	name[sizeof(name) - 2] = letter(slot);
	return unload(name);
}

/* ------------------------------------------------------------------ what is to be seen */

enum attr { A_ENABLED, A_TRANSITION, A_REPLACE, A_STACK_ORDER, A_PROGRESS, A_BLOCKERS,
	    A_TRANSITION_US, A_FORCE, NR_ATTRS };

static const char * const attrs[NR_ATTRS] = {
	"enabled", "transition", "replace", "stack_order", "progress", "blockers",
	"transition_us", "force",
};

static void expect_attr(const struct state *m, const long *args, char *text)
{
	int slot = args[0];

	strcpy(text, "?");
	if (m->slots[slot].life == LEAVING && args[1] == A_FORCE)
		return;
	if (m->slots[slot].life != IN_USE) {
		strcpy(text, "gone");
		return;
	}
	switch (args[1]) {
	case A_ENABLED:
		sprintf(text, "%d", enabled(m, slot));
		break;
	case A_TRANSITION:
		sprintf(text, "%d", moves(m, slot));
		break;
	case A_REPLACE:
		sprintf(text, "%d", descs[m->slots[slot].desc].replace);
		break;
	case A_STACK_ORDER:
		for (int i = 0; i < m->nr_order; i++)
			if (m->order[i] == slot)
				sprintf(text, "%d", i + 1);
		break;
	case A_PROGRESS:
		strcpy(text, moves(m, slot) ? "some" : "0 0");
		break;
	case A_BLOCKERS:
		if (!moves(m, slot))
			strcpy(text, "");
		break;
	case A_TRANSITION_US:
		strcpy(text, m->slots[slot].ran ? "some" : "0");
		break;
	case A_FORCE:
		strcpy(text, "EACCES");
		break;
	}
}

/* Lines "<pid> <comm> <reason> <function>", and maybe a last "...". */
static bool are_blockers(char *text)
{
	static const char * const reasons[] = { "unknown", "running", "unreliable", "inside" };

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *end = strrchr(line, ' '), *reason;
		bool known = false;

		if (!strcmp(line, "..."))
			continue;
		if (!end || end == line)
			return false;
		*end++ = '\0';
		reason = strrchr(line, ' ');
		if (!reason)
			return false;
		*reason++ = '\0';
		for (int i = 0; i < 4; i++)
			known |= !strcmp(reason, reasons[i]);
		if (!known || (strcmp(end, "-") == 0) != (strcmp(reason, "inside") != 0) ||
		    !strchr(line, ' ') || strspn(line, "0123456789") == 0)
			return false;
	}
	return true;
}

/* What differs from one time to the other is made alike. */
static void canonical(enum attr attr, char *text)
{
	unsigned long moved, all;
	char end;

	if (!strcmp(text, "ENOENT") || !strcmp(text, "ENODEV")) {
		strcpy(text, "gone");
	} else if (attr == A_PROGRESS && strcmp(text, "0 0") &&
		   sscanf(text, "%lu %lu%c", &moved, &all, &end) == 2 && moved <= all) {
		strcpy(text, "some");
	} else if (attr == A_TRANSITION_US && strcmp(text, "0") &&
		   sscanf(text, "%lu%c", &moved, &end) == 1) {
		strcpy(text, "some");
	} else if (attr == A_BLOCKERS && *text) {
		char copy[4097];

		strcpy(copy, text);
		if (are_blockers(copy))
			strcpy(text, "some");
		text[200] = '\0';
	}
}

static void check_attr(int slot, enum attr attr)
{
	char text[4097];

	get(slot_file(slot, attrs[attr]), text, sizeof(text));
	canonical(attr, text);
	observe(slot_file(slot, attrs[attr]), expect_attr, (long[]){ slot, attr }, text);
}

static void expect_object(const struct state *m, const long *args, char *text)
{
	if (m->slots[args[0]].life != IN_USE)
		strcpy(text, "gone");
	else
		sprintf(text, "%d", present(m, args[1]));
}

static void expect_mode(const struct state *m, const long *args, char *text)
{
	if (m->slots[args[0]].life != IN_USE)
		strcpy(text, "gone");
	else
		strcpy(text, present(m, args[1]) ? "hooked" : "unhooked");
}

static char *func_file(int slot, const struct func *f, const char *file)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/%s,%d/%s", objects[f->object], f->name, f->position,
		 file);
	return slot_file(slot, path);
}

static void check_objects(int slot, const struct desc *d)
{
	char text[TEXT], path[100];

	for (int i = 0; i < d->nr; i++) {
		const struct func *f = &d->funcs[i];
		long args[] = { slot, f->object };

		snprintf(path, sizeof(path), "%s/patched", objects[f->object]);
		get(slot_file(slot, path), text, sizeof(text));
		canonical(NR_ATTRS, text);
		observe("patched", expect_object, args, text);

		get(func_file(slot, f, "mode"), text, sizeof(text));
		canonical(NR_ATTRS, text);
		/* Without a replacement nothing is hooked for longer than a moment. */
		if (!strncmp(text, "handler ", 8) || !strcmp(text, "jump"))
			strcpy(text, strcmp(text, "handler original") ? "hooked" : text);
		observe(func_file(slot, f, "mode"), expect_mode, args, text);
	}
}

static void expect_list(const struct state *m, const long *args, char *text)
{
	*text = '\0';
	if (!m->loader) {
		strcpy(text, "none");
		return;
	}
	for (int i = 0; i < NR_SLOTS; i++)
		if (m->slots[i].life != NONE)
			sprintf(text + strlen(text), "%c", letter(i));
}

/* The letters of the patches in the directory, and a "!" for what is none. */
static char *list_patches(void)
{
	static char text[256];
	bool there[128] = {};
	DIR *dir = opendir(RLP);
	struct dirent *entry;
	char *end = text;

	if (!dir)
		return strcpy(text, "none");
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (strlen(entry->d_name) == strlen(PATCH) &&
		    !strncmp(entry->d_name, PATCH, strlen(PATCH) - 1))
			there[entry->d_name[strlen(PATCH) - 1] & 127] = true;
		else
			*end++ = '!';
	}
	closedir(dir);
	for (int i = 0; letters[i]; i++)
		if (there[(int)letters[i]])
			*end++ = letters[i];
	*end = '\0';
	return text;
}

static void expect_refs(const struct state *m, const long *args, char *text)
{
	const struct slot *s = &m->slots[args[0]];

	if (!s->loaded)
		strcpy(text, "ENOENT");
	else
		sprintf(text, "%d", s->pins + s->puts + (s->life != NONE));
}

static void expect_loader_refs(const struct state *m, const long *args, char *text)
{
	if (!m->loader)
		strcpy(text, "ENOENT");
	else
		sprintf(text, "%d", nr_loaded(m) + foreign);
}

static const char *output(const struct state *m, enum fn fn, enum universe u)
{
	int slot = winner(m, fn, u);

	if (fns[fn].object < NR_TARGETS && !m->here[fns[fn].object])
		return "ENOENT";
	return slot < 0 ? fns[fn].original : descs[m->slots[slot].desc].says;
}

static void expect_own_output(const struct state *m, const long *args, char *text)
{
	strcpy(text, output(m, args[0], m->self));
}

/* For a process that is younger than the transition. */
static void expect_new_output(const struct state *m, const long *args, char *text)
{
	strcpy(text, output(m, args[0], m->move == STILL ? OLD : m->target));
}

/* Whether reading the file could put us to sleep. */
static bool may_sleep(void)
{
	for (int i = 0; i < nr_states; i++)
		if (!set[i].awake && set[i].here[T_RLP])
			return true;
	return false;
}

static void check_outputs(void)
{
	char text[TEXT];

	for (int fn = 0; fn < NR_FNS; fn++) {
		if (fn == F_SLEEP && may_sleep())
			continue;
		get(fns[fn].file, text, sizeof(text));
		observe(fns[fn].file, expect_own_output, (long[]){ fn }, text);
	}
}

/* Slots that are in use in some state. */
static bool is_of_interest(int slot)
{
	for (int i = 0; i < nr_states; i++)
		if (set[i].slots[slot].loaded)
			return true;
	return false;
}

static void check_some(void)
{
	for (int slot = 0; slot < NR_SLOTS; slot++) {
		if (!is_of_interest(slot))
			continue;
		check_attr(slot, A_TRANSITION);
		check_attr(slot, A_ENABLED);
	}
	check_outputs();
	observe(RLP, expect_list, NULL, list_patches());
}

static void check_all(void)
{
	char text[TEXT];

	for (int slot = 0; slot < NR_SLOTS; slot++) {
		if (!is_of_interest(slot)) {
			if (slot < NR_IN_PLAY)
				check_attr(slot, A_ENABLED);
			continue;
		}
		for (int attr = 0; attr < NR_ATTRS; attr++)
			check_attr(slot, attr);
		check_objects(slot, &descs[set[0].slots[slot].desc]);
		observe(module_file(slot, "refcnt"), expect_refs, (long[]){ slot },
			get(module_file(slot, "refcnt"), text, sizeof(text)));
	}
	check_outputs();
	observe(RLP, expect_list, NULL, list_patches());
	observe("refcnt of the loader", expect_loader_refs, NULL,
		get("/sys/module/rust_livepatch/refcnt", text, sizeof(text)));
}

/* ------------------------------------------------------------------ coming to rest */

/* Is this what the machine looks like? */
static bool looks_like(const struct state *m)
{
	char text[4097], expected[TEXT];
	unsigned int moved, all;

	expect_list(m, NULL, expected);
	if (strcmp(list_patches(), expected))
		return false;
	for (int slot = 0; slot < NR_SLOTS; slot++) {
		long args[] = { slot, A_TRANSITION };

		if (!m->slots[slot].loaded)
			continue;
		expect_refs(m, args, expected);
		if (strcmp(get(module_file(slot, "refcnt"), text, sizeof(text)), expected))
			return false;
		expect_attr(m, args, expected);
		get(slot_file(slot, "transition"), text, sizeof(text));
		canonical(NR_ATTRS, text);
		if (strcmp(text, expected))
			return false;
		if (moves(m, slot) &&
		    (sscanf(get(slot_file(slot, "progress"), text, sizeof(text)), "%u %u",
			    &moved, &all) != 2 || all - moved != (unsigned int)nr_held(m)))
			return false;
	}
	return true;
}

/* Those that hold the transition up, and nobody else, are named. */
static bool blockers_named(const struct state *m, char *text, size_t size)
{
	char line[100];
	int lines = 0;

	if (m->move == STILL)
		return true;
	get(slot_file(m->mover, "blockers"), text, size);
	for (char *c = text; *c; c++)
		lines += c == text || *c == '\n';
	if (lines != nr_held(m))
		return false;
	for (int i = 0; i < NR_SLEEPERS; i++) {
		snprintf(line, sizeof(line), "%d fuzz sleeper inside sleep_show",
			 sleeper_pids[i]);
		if (held(m, i) && !strstr(text, line))
			return false;
	}
	return true;
}

static void only(const struct state *m)
{
	struct state copy = *m;

	nr_states = 0;
	memset(table, 0, sizeof(table));
	add(&copy);
}

static long taint(void)
{
	char text[32];

	return atol(get("/proc/sys/kernel/tainted", text, sizeof(text))) & (1 << 9 | 1 << 7);
}

static long first_taint;

static void settle(void)
{
	double deadline = now() + PATIENCE;
	char text[4097] = "";

	check_some();
	for (;;) {
		close_set();
		for (int i = 0; i < nr_states; i++) {
			if (!at_rest(&set[i]) || !looks_like(&set[i]) ||
			    !blockers_named(&set[i], text, sizeof(text)))
				continue;
			only(&set[i]);
			goto found;
		}
		if (now() > deadline)
			wrong("nothing comes to rest; the last blockers:\n%s", text);
		usleep(2000);
		check_some();
	}
found:
	check_all();
	if (nr_states != 1 || !at_rest(&set[0]))
		wrong("not at rest after all");
	if (taint() != first_taint)
		wrong("the kernel warned");
	for (int i = 0; i < 2; i++) {
		int status;

		if (noise[i] && waitpid(noise[i], &status, WNOHANG) > 0) {
			noise[i] = 0;
			wrong("a reader ended with status %x", status);
		}
	}
}

/* ------------------------------------------------------------------ single operations */

static void write_enabled(int slot, int value)
{
	static const char * const no[] = { "0", "n", "N", "off", "0\n" };
	static const char * const yes[] = { "1", "y", "Y", "on", "1\n" };
	const char *text = value ? yes[below(5)] : no[below(5)];

	op("%c/enabled < %d", 'a' + slot, value);
	did(op_enabled, (long[]){ slot, value }, put(slot_file(slot, "enabled"), text));
}

static void write_enabled_plainly(int slot, int value)
{
	did(op_enabled, (long[]){ slot, value },
	    put(slot_file(slot, "enabled"), value ? "1" : "0"));
}

static void write_force(int slot, int value)
{
	op("%c/force < %d", 'a' + slot, value);
	did(op_force, (long[]){ slot, value },
	    put(slot_file(slot, "force"), value ? "1" : "0"));
}

static void write_junk(int slot)
{
	static const char * const junk[] = { "junk", "2", "-1", " 1", "x", "ox", "\n", "\xff" };
	static char big[5000];
	int attr = below(NR_ATTRS), at = below(9);
	bool writable = attr == A_ENABLED || attr == A_FORCE;

	memset(big, 'x', sizeof(big));
	op("%c/%s < junk %d", 'a' + slot, attrs[attr], at);
	did(op_junk, (long[]){ slot, writable ? EINVAL : EACCES },
	    at < 8 ? put(slot_file(slot, attrs[attr]), junk[at]) :
	    put_bytes(slot_file(slot, attrs[attr]), big, sizeof(big)));
}

static int load(int slot, int desc)
{
	int ret;

	op("load %c %s", 'a' + slot, descs[desc].params);
	ret = load_slot(slot, descs[desc].params);
	did(op_load, (long[]){ slot, desc }, ret);
	return ret;
}

static int again(int slot)
{
	int ret = put(module_file(slot, "parameters/again"), "1");

	did(op_again, (long[]){ slot }, ret);
	return ret;
}

static int unload_patch(int slot)
{
	int ret = unload_slot(slot);

	did(op_unload, (long[]){ slot }, ret);
	return ret;
}

static void load_target(int target, int init_ret)
{
	char params[32] = "", text[TEXT];
	int ret;

	if (init_ret)
		snprintf(params, sizeof(params), "init_ret=-%d", init_ret);
	op("load %s %s", objects[target], params);
	ret = load_image(&target_images[target], params);
	did(op_target, (long[]){ target, init_ret }, ret);
	if (!ret && target == T_RLP)
		observe("at_init", expect_own_output, (long[]){ F_ONE },
			get("/sys/module/rlp_target/parameters/at_init", text, sizeof(text)));
}

static void unload_target(int target)
{
	op("unload %s", objects[target]);
	did(op_target_goes, (long[]){ target }, unload(objects[target]));
}

static void set_awake(int awake)
{
	did(op_set, (long[]){ MEMBER(awake), awake },
	    put("/sys/module/rlp_target/parameters/awake", awake ? "Y" : "N"));
}

/* A child that does as told and dies with us. */
static pid_t child(const char *name)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
	}
	return pid;
}

/*
 * A process reads "sleep", and is asleep in the original function unless that is replaced
 * where a new process is. Nothing moves but what is held.
 */
static void put_sleeper(int at)
{
	const struct state *m = &set[0];
	enum universe u = m->move == STILL ? OLD : m->target;
	bool patched = winner(m, F_SLEEP, u) >= 0;
	double deadline = now() + PATIENCE;
	char says[64], text[64];
	int before, status;

	op("somebody reads sleep");
	strcpy(says, output(m, F_SLEEP, u));
	set_awake(0);
	before = atoi(get("/sys/module/rlp_target/parameters/sleepers", text, sizeof(text)));
	sleeper_pids[at] = child("fuzz sleeper");
	if (!sleeper_pids[at]) {
		get(fns[F_SLEEP].file, text, sizeof(text));
		_exit(strcmp(text, says) ? 1 : 0);
	}
	if (patched) {
		waitpid(sleeper_pids[at], &status, 0);
		sleeper_pids[at] = 0;
		if (status)
			wrong("who reads sleep does not get '%s'", says);
		return;
	}
	while (atoi(get("/sys/module/rlp_target/parameters/sleepers", text, sizeof(text))) ==
	       before) {
		if (now() > deadline || waitpid(sleeper_pids[at], &status, WNOHANG) > 0)
			wrong("nobody falls asleep");
		usleep(1000);
	}
	did(op_set, (long[]){ MEMBER(sleepers) + at, u + 1 }, 0);
}

static void kill_sleeper(int at)
{
	op("sleeper %d dies", at);
	kill(sleeper_pids[at], SIGKILL);
	waitpid(sleeper_pids[at], NULL, 0);
	sleeper_pids[at] = 0;
	did(op_set, (long[]){ MEMBER(sleepers) + at, 0 }, 0);
}

static void wake_sleepers(void)
{
	op("all awake");
	set_awake(1);
	for (int i = 0; i < NR_SLEEPERS; i++) {
		int status = 0;

		if (!sleeper_pids[i])
			continue;
		waitpid(sleeper_pids[i], &status, 0);
		sleeper_pids[i] = 0;
		if (status)
			wrong("a sleeper ended with status %x", status);
		did(op_set, (long[]){ MEMBER(sleepers) + i, 0 }, 0);
	}
}

static void use_loader(int in)
{
	op("%sload the loader", in ? "" : "un");
	did(op_loader, (long[]){ in },
	    in ? load_image(&loader_image, "") : unload("rust_livepatch"));
}

static void set_promote(int promote)
{
	op("promote=%d", promote);
	did(op_set, (long[]){ MEMBER(promote), promote },
	    put("/sys/module/rust_livepatch/parameters/promote", promote ? "Y" : "N"));
}

/* A process that is new sees the functions of the target universe alone. */
static void read_as_newborn(void)
{
	char texts[NR_FNS][TEXT];
	size_t got = 0;
	int fds[2];
	pid_t pid;

	op("a new process reads");
	if (pipe(fds)) {
		perror("pipe");
		exit(2);
	}
	pid = child("fuzz newborn");
	if (!pid) {
		for (int fn = 0; fn < NR_FNS; fn++)
			if (fn != F_SLEEP)
				get(fns[fn].file, texts[fn], sizeof(texts[fn]));
		_exit(write(fds[1], texts, sizeof(texts)) != sizeof(texts));
	}
	close(fds[1]);
	while (got < sizeof(texts)) {
		ssize_t n = read(fds[0], (char *)texts + got, sizeof(texts) - got);

		if (n <= 0)
			wrong("a new process says nothing");
		got += n;
	}
	close(fds[0]);
	waitpid(pid, NULL, 0);
	for (int fn = 0; fn < NR_FNS; fn++)
		if (fn != F_SLEEP)
			observe(fns[fn].file, expect_new_output, (long[]){ fn }, texts[fn]);
}

/* ------------------------------------------------------------------ for longer */

/* How many of our functions are hooked, by ftrace's word. */
static void count_hooked(int *counts)
{
	FILE *file = fopen("/sys/kernel/tracing/enabled_functions", "r");
	char line[512], name[200];

	memset(counts, 0, NR_FNS * sizeof(*counts));
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%199s", name) != 1)
			continue;
		for (int fn = 0; fn < NR_FNS; fn++)
			counts[fn] += !strcmp(name, fns[fn].name);
	}
	if (file)
		fclose(file);
}

static int first_hooked[NR_FNS];

static const char *hooks_are_wrong(const struct state *m)
{
	static char text[400];
	int counts[NR_FNS], twins;

	count_hooked(counts);
	twins = (winner(m, F_TWIN1, NEW) >= 0) + (winner(m, F_TWIN2, NEW) >= 0);
	for (int fn = 0; fn < NR_FNS; fn++) {
		int expected = winner(m, fn, NEW) >= 0;

		if (fn == F_TWIN1 || fn == F_TWIN2)
			expected = twins;
		/* Of a target that comes again, nothing was hooked at first. */
		if (counts[fn] != expected + first_hooked[fn]) {
			sprintf(text, "%s is hooked %d times", fns[fn].name, counts[fn]);
			return text;
		}
	}
	for (int i = 0; i < m->nr_order; i++) {
		const struct desc *d = &descs[m->slots[m->order[i]].desc];

		for (int j = 0; j < d->nr; j++) {
			char mode[64];

			if (!present(m, d->funcs[j].object))
				continue;
			get(func_file(m->order[i], &d->funcs[j], "mode"), mode, sizeof(mode));
			if (!strcmp(mode, m->promote ? "jump" : "handler off") ||
			    !strcmp(mode, "handler unsupported"))
				continue;
			sprintf(text, "%s reads '%s'",
				func_file(m->order[i], &d->funcs[j], "mode"), mode);
			return text;
		}
	}
	return NULL;
}

/* When nothing moves for a while, functions jump, and only those of patches are hooked. */
static void settle_hooks(void)
{
	double deadline = now() + PATIENCE;
	const char *why;

	op("nothing for a while");
	while ((why = hooks_are_wrong(&set[0]))) {
		if (now() > deadline)
			wrong("the hooks do not settle: %s", why);
		usleep(20000);
	}
	check_all();
}

static void read_below(char *path, size_t len, int depth)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char text[4097];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path + len, 1000 - len, "/%s", entry->d_name);
		if (entry->d_type == DT_DIR) {
			if (depth < 3)
				read_below(path, strlen(path), depth + 1);
			continue;
		}
		if (!strcmp(entry->d_name, "force")) {
			/* Nobody is asked to be forced. */
			put(path, "0");
			continue;
		}
		get(path, text, sizeof(text));
		if (!strncmp(text, "E", 1) && strcmp(text, "ENOENT") && strcmp(text, "ENODEV"))
			_exit(3);
		if (!strcmp(entry->d_name, "enabled")) {
			int ret = put(path, "junk");

			if (ret != EINVAL && ret != ENOENT && ret != ENODEV)
				_exit(4);
		}
	}
	closedir(dir);
}

/* Reads everything and writes junk, until it is killed. */
static void make_noise(void)
{
	char path[1000];

	for (;;) {
		strcpy(path, RLP);
		read_below(path, strlen(path), 0);
		for (int fn = 0; fn < NR_FNS; fn++) {
			char text[TEXT];

			if (fn != F_SLEEP)
				get(fns[fn].file, text, sizeof(text));
		}
		usleep(500);
	}
}

static void set_noise(bool on)
{
	op("noise %s", on ? "on" : "off");
	for (int i = 0; i < 2; i++) {
		if (on && !noise[i]) {
			noise[i] = child("fuzz noise");
			if (!noise[i])
				make_noise();
		} else if (!on && noise[i]) {
			kill(noise[i], SIGKILL);
			waitpid(noise[i], NULL, 0);
			noise[i] = 0;
		}
	}
}

/* Ends a race for a patch: it is off. */
static void turn_off(int slot)
{
	settle();
	if (set[0].slots[slot].life == IN_USE && enabled(&set[0], slot))
		write_enabled_plainly(slot, 0);
	settle();
	if (set[0].slots[slot].life != NONE)
		wrong("%c cannot be disabled", 'a' + slot);
}

/* One writer that does not wait for the end of anything. */
static void burst(int slot)
{
	int n = 1 + below(8);

	op("burst of writes to %c", 'a' + slot);
	while (n--) {
		if (percent(70))
			write_enabled(slot, below(2));
		else if (percent(50))
			write_junk(slot);
		else
			write_force(slot, 0);
		if (percent(30))
			usleep(below(20000));
		if (percent(50))
			check_some();
	}
	turn_off(slot);
}

static void toggle(int slot, uint64_t own)
{
	random_state = own;
	for (int i = 0; i < 60; i++) {
		int ret = put(slot_file(slot, "enabled"), below(2) ? "1" : "0");

		if (ret && ret != EINVAL && ret != EBUSY && ret != ENOENT && ret != ENODEV)
			_exit(10 + ret);
		if (!below(8))
			usleep(below(3000));
	}
	_exit(0);
}

/* Several writers at once, and maybe a target that comes or goes meanwhile. */
static void race_writers(int slot, int target)
{
	uint64_t own = draw();
	pid_t pids[2];

	op("two toggle %c", 'a' + slot);
	toggling = slot;
	for (int i = 0; i < 2; i++) {
		pids[i] = child("fuzz toggle");
		if (!pids[i])
			toggle(slot, own + i);
	}
	if (target >= 0) {
		if (set[0].here[target])
			unload_target(target);
		else
			load_target(target, 0);
	}
	for (int i = 0; i < 2; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		if (status)
			wrong("a writer ended with status %x", status);
	}
	close_set();
	toggling = -1;
	turn_off(slot);
}

/* Something is tried until it is no longer too early. */
static void until_not_early(int slot, int (*try)(int slot), int early)
{
	double deadline = now() + PATIENCE;

	for (;;) {
		int ret = try(slot);

		if (ret != EBUSY && ret != early)
			return;
		if (now() > deadline)
			wrong("it is too early for ever");
		usleep(500);
	}
}

/* ------------------------------------------------------------------ descriptions */

static int new_desc(void)
{
	static int last;
	bool used;

	do {
		last = (last + 1) % NR_DESCS;
		used = last == 0;
		for (int i = 0; i < nr_states; i++)
			for (int slot = 0; slot < NR_SLOTS; slot++)
				used |= set[i].slots[slot].desc == last;
	} while (used);
	memset(&descs[last], 0, sizeof(*descs));
	return last;
}

static void add_func(struct desc *d, int fn, enum target object, const char *name, int sympos,
		     bool bad, const char *replacement)
{
	struct func *f = &d->funcs[d->nr++];
	char *text = d->params + strlen(d->params);

	f->fn = fn;
	f->object = object;
	f->name = name;
	f->position = sympos ? sympos : 1;
	f->bad = bad;
	text += sprintf(text, "%s%s:%s", d->nr > 1 ? "," : "",
			object == T_VMLINUX ? "" : objects[object], name);
	if (sympos)
		text += sprintf(text, "@%d", sympos);
	if (replacement)
		sprintf(text, "=%s", replacement);
}

/* A function that is not found once its module is there. */
static void add_bad(struct desc *d, enum target object)
{
	static const struct {
		const char *name;
		int sympos;
	} bad[] = {
		{ "no_such_function", 0 }, { "twin_show", 3 }, { "one_show", 2 },
		{ "notrace_show", 0 }, { "rlp_target_init", 0 },
	};
	int at = object == T_RLP ? below(5) : 0;

	add_func(d, -1, object, bad[at].name, bad[at].sympos, true, NULL);
}

/* What is wrong whatever is loaded. */
static void add_early(struct desc *d)
{
	static const struct {
		const char *funcs;
		int ret;
	} early[] = {
		{ ",:uptime_proc_show=null", EINVAL }, { ",:uptime_proc_show=vmlinux", EINVAL },
		{ ",:uptime_proc_show=data", EINVAL }, { ",:uptime_proc_show=init", EINVAL },
		{ ",:uptime_proc_show=middle", ENOENT }, { ",:EMPTY", EINVAL },
		{ ",:=say", EINVAL }, { ",a/b:x", EINVAL }, { ",EMPTY:x", EINVAL },
		{ ",vmlinux:x", EINVAL }, { ",enabled:x", EINVAL }, { ",rlp_none:x,rlp_none:x@1", EINVAL },
		{ ",rlp_none:x,rlp_some:x,rlp_none:y", EINVAL },
		{ " shape=no-module", EINVAL }, { " shape=no-objects", EINVAL },
		{ " shape=null-patch", EINVAL }, { " shape=no-functions", EINVAL },
	};
	int at = below(sizeof(early) / sizeof(*early));

	strcat(d->params, early[at].funcs);
	d->early = early[at].ret;
}

static int describe(int slot)
{
	static const enum target all[] = { T_VMLINUX, T_RLP, T_SAMPLE, T_ABSENT };
	static unsigned int version;
	bool sleepers = false, some = false;
	int nr = new_desc();
	struct desc *d = &descs[nr];
	unsigned int first = below(4);

	for (int i = 0; i < NR_SLEEPERS; i++)
		sleepers |= set[0].sleepers[i];
	sprintf(d->says, "%c%u", 'a' + slot, ++version);
	d->replace = percent(25);
	snprintf(d->params, sizeof(d->params), "says=%c%u replace=%d funcs=", 'a' + slot,
		 version, d->replace);
	for (int i = 0; i < 4; i++) {
		enum target object = all[(first + i) % 4];

		for (int fn = 0; fn < NR_FNS; fn++) {
			if (fns[fn].object != object ||
			    !percent(fn == F_SLEEP && sleepers ? 70 : 35))
				continue;
			add_func(d, fn, object, fns[fn].name,
				 fns[fn].sympos ?: (int)below(2), false, NULL);
			some = true;
		}
		if (object == T_ABSENT && percent(20)) {
			add_func(d, -1, object, "any", 0, false, NULL);
			some = true;
		}
		if (percent(4)) {
			add_bad(d, object);
			some = true;
		}
	}
	if (!some)
		add_func(d, F_ONE, T_RLP, fns[F_ONE].name, 0, false, NULL);
	if (percent(12))
		add_early(d);
	return nr;
}

/* ------------------------------------------------------------------ the choice */

static long pins_left;

static int in_play(int nth)
{
	for (int slot = 0; slot < NR_SLOTS; slot++)
		if (!set[0].slots[slot].pins && !nth--)
			return slot;
	return NR_SLOTS - 1;
}

/* One that the condition is true for, or -1. */
static int pick(bool (*condition)(const struct state *m, int slot))
{
	int some[NR_SLOTS], nr = 0;

	for (int slot = 0; slot < NR_SLOTS; slot++)
		if (condition(&set[0], slot))
			some[nr++] = slot;
	return nr ? some[below(nr)] : -1;
}

static bool is_loaded(const struct state *m, int slot)
{
	return m->slots[slot].loaded;
}

static bool is_free(const struct state *m, int slot)
{
	return m->slots[slot].loaded && m->slots[slot].life == NONE;
}

static bool is_in_use(const struct state *m, int slot)
{
	return m->slots[slot].life == IN_USE;
}

static int nr_sleepers(void)
{
	int n = 0;

	for (int i = 0; i < NR_SLEEPERS; i++)
		n += set[0].sleepers[i] != 0;
	return n;
}

/* How many would stay for ever. */
static int would_pin(const struct state *m)
{
	int n = 0;

	for (int i = 0; i < m->nr_order; i++)
		n += !has(m, m->order[i], m->target);
	return n;
}

/* Has the patch in slot functions that would keep this target out? */
static bool keeps_out(int slot, int target)
{
	const struct desc *d = &descs[set[0].slots[slot].desc];

	for (int i = 0; i < d->nr; i++)
		if (d->funcs[i].bad && (int)d->funcs[i].object == target)
			return true;
	return false;
}

static void change_a_patch(void)
{
	const struct state *m = &set[0];
	int slot = percent(85) ? pick(is_in_use) : in_play(below(NR_IN_PLAY));

	if (slot < 0)
		return;
	switch (below(10)) {
	case 0 ... 4:
		write_enabled(slot, below(4) == 0);
		break;
	case 5:
		write_junk(slot);
		break;
	case 6:
		write_force(slot, 0);
		break;
	default:
		/* Pins are few, and count only where somebody leaves by it. */
		if (moves(m, slot) && would_pin(m)) {
			if (would_pin(m) > pins_left || !percent(40))
				return;
			pins_left -= would_pin(m);
		}
		write_force(slot, 1);
		break;
	}
}

static void change_a_target(void)
{
	int target = below(NR_TARGETS);

	if (set[0].here[target] && percent(80)) {
		if (target == T_RLP && nr_sleepers())
			return;
		unload_target(target);
	} else if (target == T_RLP && percent(20)) {
		load_target(target, ENOMEM);
	} else {
		load_target(target, 0);
	}
}

static void change_sleepers(void)
{
	int at = below(NR_SLEEPERS);

	if (!set[0].here[T_RLP]) {
		load_target(T_RLP, 0);
		return;
	}
	if (set[0].sleepers[at])
		kill_sleeper(at);
	else if (percent(70))
		put_sleeper(at);
	else
		wake_sleepers();
}

static void race(void)
{
	const struct state *m = &set[0];
	int slot = m->move != STILL ? m->mover : pick(is_in_use), target, desc, other;

	if (slot < 0)
		return;
	switch (below(m->move == STILL ? 6 : 2)) {
	case 0:
		burst(slot);
		break;
	case 1:
		target = percent(50) ? (int)below(NR_TARGETS) : -1;
		if (target == T_RLP && nr_sleepers())
			target = -1;
		if (target >= 0 && keeps_out(slot, target))
			target = -1;
		race_writers(slot, target);
		break;
	case 2:
		op("disable and unload %c", 'a' + slot);
		write_enabled_plainly(slot, 0);
		if (m->slots[slot].pins)
			break;
		until_not_early(slot, unload_patch, EAGAIN);
		break;
	case 3:
	case 4:
		op("disable %c and enable it again", 'a' + slot);
		write_enabled_plainly(slot, 0);
		until_not_early(slot, again, EEXIST);
		break;
	default:
		other = in_play(below(NR_IN_PLAY));
		if (m->slots[other].loaded)
			break;
		desc = describe(other);
		op("disable %c and load %c", 'a' + slot, 'a' + other);
		write_enabled_plainly(slot, 0);
		if (load(other, desc) == EBUSY) {
			settle();
			did(op_load, (long[]){ other, desc },
			    load_slot(other, descs[desc].params));
		}
		break;
	}
}

static void try_something(void)
{
	const struct state *m = &set[0];
	int slot;

	if (!m->loader && percent(60)) {
		use_loader(1);
		return;
	}
	switch (below(100)) {
	case 0 ... 21:
		slot = in_play(below(NR_IN_PLAY));
		if (m->slots[slot].loaded && percent(80))
			slot = in_play(below(NR_IN_PLAY));
		load(slot, describe(slot));
		break;
	case 22 ... 46:
		change_a_patch();
		break;
	case 47 ... 56:
		slot = percent(60) ? pick(is_free) : pick(is_loaded);
		if (slot < 0 || percent(10))
			slot = below(NR_IN_PLAY);
		op("unload %c", 'a' + slot);
		unload_patch(slot);
		break;
	case 57 ... 60:
		slot = percent(70) ? pick(is_free) : pick(is_loaded);
		if (slot < 0)
			slot = below(NR_IN_PLAY);
		op("enable %c again", 'a' + slot);
		again(slot);
		break;
	case 61 ... 69:
		change_a_target();
		break;
	case 70 ... 79:
		change_sleepers();
		break;
	case 80 ... 89:
		race();
		break;
	case 90 ... 92:
		read_as_newborn();
		break;
	case 93:
		if (m->loader)
			set_promote(!m->promote);
		break;
	case 94:
		use_loader(m->loader && nr_loaded(m) && percent(30));
		break;
	case 95 ... 96:
		set_noise(percent(50));
		break;
	default:
		if (m->move == STILL && m->loader)
			settle_hooks();
		break;
	}
}

static void one_step(void)
{
	unsigned long before = nr_ops;

	while (nr_ops == before)
		try_something();
}

/* ------------------------------------------------------------------ the end */

/* Whatever state it is in. */
static void clean_up(void)
{
	char name[] = PATCH;

	for (int i = 0; i < NR_SLEEPERS; i++)
		if (sleeper_pids[i])
			kill(sleeper_pids[i], SIGKILL);
	for (int i = 0; i < 2; i++)
		if (noise[i])
			kill(noise[i], SIGKILL);
	put("/sys/module/rlp_target/parameters/awake", "Y");
	for (int pass = 0; pass < 100; pass++) {
		bool left = false;

		for (int slot = 0; slot < NR_SLOTS; slot++) {
			put(slot_file(slot, "enabled"), "0");
			name[sizeof(name) - 2] = letter(slot);
			if (unload(name) == EAGAIN)
				left = true;
		}
		if (!left)
			break;
		usleep(100000);
	}
	for (int i = 0; i < NR_TARGETS; i++)
		unload(objects[i]);
}

/* All goes the way it came. */
static void finish(void)
{
	int counts[NR_FNS];

	set_noise(false);
	if (set[0].here[T_RLP])
		wake_sleepers();
	settle();
	for (int slot = NR_SLOTS - 1; slot >= 0; slot--)
		if (set[0].slots[slot].life == IN_USE)
			turn_off(slot);
	for (int slot = 0; slot < NR_SLOTS; slot++) {
		if (!set[0].slots[slot].loaded)
			continue;
		op("unload %c", 'a' + slot);
		unload_patch(slot);
	}
	for (int target = 0; target < NR_TARGETS; target++)
		if (set[0].here[target])
			unload_target(target);
	settle();
	if (set[0].loader) {
		set_promote(1);
		settle_hooks();
		use_loader(0);
	}
	settle();
	count_hooked(counts);
	if (memcmp(counts, first_hooked, sizeof(counts)))
		wrong("something stays hooked");
}

/* What is there already: whether the loader is, and cannot be unloaded. */
static bool look_round(void)
{
	char text[32];
	int free = 0;

	for (int i = 0; letters[i]; i++)
		if (!access(module_file(i, ""), F_OK))
			free = i + 1;
	first_letter = free;
	if (letters + first_letter + NR_SLOTS > strchr(letters, '\0')) {
		fprintf(stderr, "fuzz_ops: too many modules were forced out\n");
		exit(2);
	}
	if (unload("rust_livepatch") != EAGAIN)
		return false;
	foreign = atoi(get("/sys/module/rust_livepatch/refcnt", text, sizeof(text)));
	return true;
}

int main(int argc, char **argv)
{
	struct state m = {};
	long steps, seconds;
	double began = now();

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 5) {
		fprintf(stderr, "usage: fuzz_ops SEED STEPS SECONDS PINS [-v]\n");
		return 2;
	}
	seed = random_state = strtoull(argv[1], NULL, 0);
	steps = atol(argv[2]);
	seconds = atol(argv[3]);
	pins_left = atol(argv[4]) < 4 ? atol(argv[4]) : 4;
	verbose = argc > 5;
	set = calloc(MAX_STATES, sizeof(*set));
	patch_image = read_image(PATCH);
	loader_image = read_image("rust_livepatch");
	for (int i = 0; i < NR_TARGETS; i++)
		target_images[i] = read_image(objects[i]);
	get(fns[F_CMDLINE].file, fns[F_CMDLINE].original, sizeof(fns[0].original));
	get(fns[F_VERSION].file, fns[F_VERSION].original, sizeof(fns[0].original));
	count_hooked(first_hooked);
	first_taint = taint();

	m.loader = m.promote = look_round();
	add(&m);
	if (m.loader)
		set_promote(1);
	else
		use_loader(1);
	load_target(T_RLP, 0);
	settle();
	while ((!steps || (long)step < steps) && (!seconds || now() - began < seconds)) {
		step++;
		one_step();
		settle();
	}
	finish();
	printf("# RLP_SEED=%llu: %lu steps, %lu operations, %lu of them refused, %lu values read, at most %d states, digest %016llx, %.1f s\n",
	       (unsigned long long)seed, step, counted[0] + counted[1], counted[1], counted[2],
	       largest, (unsigned long long)digest, now() - began);
	return 0;
}
