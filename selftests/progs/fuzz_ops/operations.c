// SPDX-License-Identifier: GPL-2.0
/*
 * Single operations: each is said, done, and told to the model. Other processes are among
 * them: sleepers, readers, those that make noise.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "observe.h"
#include "operations.h"
#include "random.h"
#include "report.h"
#include "states.h"

pid_t sleeper_pids[NR_SLEEPERS], noise[NR_NOISE];

void write_enabled(int slot, int value)
{
	static const char * const no[] = { "0", "n", "N", "off", "0\n" };
	static const char * const yes[] = { "1", "y", "Y", "on", "1\n" };
	const char *text = value ? yes[below(5)] : no[below(5)];

	op("%c/enabled < %d", 'a' + slot, value);
	did(op_enabled, (long[]){ slot, value }, put(slot_file(slot, "enabled"), text));
}

void write_enabled_plainly(int slot, int value)
{
	did(op_enabled, (long[]){ slot, value },
	    put(slot_file(slot, "enabled"), value ? "1" : "0"));
}

void write_force(int slot, int value)
{
	op("%c/force < %d", 'a' + slot, value);
	did(op_force, (long[]){ slot, value },
	    put(slot_file(slot, "force"), value ? "1" : "0"));
}

void write_junk(int slot)
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

int load(int slot, int desc)
{
	int ret;

	op("load %c %s", 'a' + slot, descs[desc].params);
	ret = load_slot(slot, descs[desc].params);
	did(op_load, (long[]){ slot, desc }, ret);
	return ret;
}

int again(int slot)
{
	int ret = put(module_file(slot, "parameters/again"), "1");

	did(op_again, (long[]){ slot }, ret);
	return ret;
}

int unload_patch(int slot)
{
	int ret = unload_slot(slot);

	did(op_unload, (long[]){ slot }, ret);
	return ret;
}

void load_target(int target, int init_ret)
{
	char params[32] = "", text[TEXT];
	int ret;

	if (init_ret)
		snprintf(params, sizeof(params), "init_ret=-%d", init_ret);
	op("load %s %s", objects[target], params);
	ret = load_object(target, params);
	did(op_target, (long[]){ target, init_ret }, ret);
	if (!ret && target == T_RLP)
		observe("at_init", expect_own_output, (long[]){ F_ONE },
			get("/sys/module/rlp_target/parameters/at_init", text, sizeof(text)));
}

void unload_target(int target)
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
pid_t child(const char *name)
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
void put_sleeper(int at)
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

void kill_sleeper(int at)
{
	op("sleeper %d dies", at);
	kill(sleeper_pids[at], SIGKILL);
	waitpid(sleeper_pids[at], NULL, 0);
	sleeper_pids[at] = 0;
	did(op_set, (long[]){ MEMBER(sleepers) + at, 0 }, 0);
}

void wake_sleepers(void)
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

void use_loader(int in)
{
	op("%sload the loader", in ? "" : "un");
	did(op_loader, (long[]){ in },
	    in ? load_loader() : unload("rust_livepatch"));
}

void set_promote(int promote)
{
	op("promote=%d", promote);
	did(op_set, (long[]){ MEMBER(promote), promote },
	    put("/sys/module/rust_livepatch/parameters/promote", promote ? "Y" : "N"));
}

/* A process that is new sees the functions of the target universe alone. */
void read_as_newborn(void)
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

void set_noise(bool on)
{
	op("noise %s", on ? "on" : "off");
	for (int i = 0; i < NR_NOISE; i++) {
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
