// SPDX-License-Identifier: GPL-2.0
/*
 * Single operations. Each is logged and done, and its result is checked against the model. Some
 * operations start or end other processes: sleepers, readers, and processes that make noise.
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
	const char *text = value ? yes[random_below(5)] : no[random_below(5)];

	log_op("%c/enabled < %d", 'a' + slot, value);
	check_result(op_enabled, (long[]){ slot, value },
		     write_file(slot_file(slot, "enabled"), text));
}

void write_enabled_unlogged(int slot, int value)
{
	check_result(op_enabled, (long[]){ slot, value },
		     write_file(slot_file(slot, "enabled"), value ? "1" : "0"));
}

void write_force(int slot, int value)
{
	log_op("%c/force < %d", 'a' + slot, value);
	check_result(op_force, (long[]){ slot, value },
		     write_file(slot_file(slot, "force"), value ? "1" : "0"));
}

void write_junk(int slot)
{
	static const char * const junk[] = { "junk", "2", "-1", " 1", "x", "ox", "\n", "\xff" };
	static char big[5000];
	int attr = random_below(NR_ATTRS), at = random_below(9);
	bool writable = attr == A_ENABLED || attr == A_FORCE;

	memset(big, 'x', sizeof(big));
	log_op("%c/%s < junk %d", 'a' + slot, attrs[attr], at);
	check_result(op_junk, (long[]){ slot, writable ? EINVAL : EACCES },
		     at < 8 ? write_file(slot_file(slot, attrs[attr]), junk[at]) :
		     write_bytes(slot_file(slot, attrs[attr]), big, sizeof(big)));
}

int load_patch(int slot, int desc)
{
	int ret;

	log_op("load %c %s", 'a' + slot, descs[desc].params);
	ret = load_slot(slot, descs[desc].params);
	check_result(op_load, (long[]){ slot, desc }, ret);
	return ret;
}

int enable_again(int slot)
{
	int ret = write_file(module_file(slot, "parameters/again"), "1");

	check_result(op_enable_again, (long[]){ slot }, ret);
	return ret;
}

int unload_patch(int slot)
{
	int ret = unload_slot(slot);

	check_result(op_unload, (long[]){ slot }, ret);
	return ret;
}

void load_target(int target, int init_ret)
{
	char params[32] = "", text[TEXT];
	int ret;

	if (init_ret)
		snprintf(params, sizeof(params), "init_ret=-%d", init_ret);
	log_op("load %s %s", objects[target], params);
	ret = load_object(target, params);
	check_result(op_load_target, (long[]){ target, init_ret }, ret);
	if (!ret && target == T_RLP)
		observe("at_init", expect_own_output, (long[]){ F_ONE },
			read_file("/sys/module/rlp_target/parameters/at_init", text, sizeof(text)));
}

void unload_target(int target)
{
	log_op("unload %s", objects[target]);
	check_result(op_unload_target, (long[]){ target }, unload(objects[target]));
}

static void set_awake(int awake)
{
	check_result(op_set, (long[]){ MEMBER(awake), awake },
		     write_file("/sys/module/rlp_target/parameters/awake", awake ? "Y" : "N"));
}

pid_t fork_child(const char *name)
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
 * Starts a process that reads "sleep". The loader is at rest, so only tasks that block the
 * transition are not switched yet. This process is in the target universe, and so is its child. If
 * a patch replaces sleep_show() in that universe, the child reads the patch's text and exits.
 * Otherwise it falls asleep in the original function.
 */
void start_sleeper(int at)
{
	const struct state *m = &set[0];
	enum universe u = m->transition == NO_TRANSITION ? OLD : m->target;
	bool patched = replacing_slot(m, F_SLEEP, u) >= 0;
	double deadline = now() + REST_TIMEOUT;
	char says[64], text[64];
	int before, status;

	log_op("a process reads sleep");
	strcpy(says, output(m, F_SLEEP, u));
	set_awake(0);
	before = atoi(read_file("/sys/module/rlp_target/parameters/sleepers", text, sizeof(text)));
	sleeper_pids[at] = fork_child("fuzz sleeper");
	if (!sleeper_pids[at]) {
		read_file(fns[F_SLEEP].file, text, sizeof(text));
		_exit(strcmp(text, says) ? 1 : 0);
	}
	if (patched) {
		waitpid(sleeper_pids[at], &status, 0);
		sleeper_pids[at] = 0;
		if (status)
			mismatch("a process that reads sleep does not get '%s'", says);
		return;
	}
	while (atoi(read_file("/sys/module/rlp_target/parameters/sleepers", text, sizeof(text))) ==
	       before) {
		if (now() > deadline || waitpid(sleeper_pids[at], &status, WNOHANG) > 0)
			mismatch("the process does not fall asleep");
		usleep(1000);
	}
	check_result(op_set, (long[]){ MEMBER(sleepers) + at, u + 1 }, 0);
}

void kill_sleeper(int at)
{
	log_op("sleeper %d dies", at);
	kill(sleeper_pids[at], SIGKILL);
	waitpid(sleeper_pids[at], NULL, 0);
	sleeper_pids[at] = 0;
	check_result(op_set, (long[]){ MEMBER(sleepers) + at, 0 }, 0);
}

void wake_sleepers(void)
{
	log_op("wake all sleepers");
	set_awake(1);
	for (int i = 0; i < NR_SLEEPERS; i++) {
		int status = 0;

		if (!sleeper_pids[i])
			continue;
		waitpid(sleeper_pids[i], &status, 0);
		sleeper_pids[i] = 0;
		if (status)
			mismatch("a sleeper ended with status %x", status);
		check_result(op_set, (long[]){ MEMBER(sleepers) + i, 0 }, 0);
	}
}

void set_loader(int loaded)
{
	if (loader_is_built_in())
		return;
	log_op("%sload the loader", loaded ? "" : "un");
	check_result(op_loader, (long[]){ loaded },
		     loaded ? load_loader() : unload("rust_livepatch"));
}

void set_promote(int promote)
{
	log_op("promote=%d", promote);
	check_result(op_set, (long[]){ MEMBER(promote), promote },
		     write_file("/sys/module/rust_livepatch/parameters/promote",
				promote ? "Y" : "N"));
}

/* Starts a process, which must call the functions of the target universe only. */
void read_as_newborn(void)
{
	char texts[NR_FNS][TEXT];
	size_t got = 0;
	int fds[2];
	pid_t pid;

	log_op("a new process reads");
	if (pipe(fds)) {
		perror("pipe");
		exit(2);
	}
	pid = fork_child("fuzz newborn");
	if (!pid) {
		for (int fn = 0; fn < NR_FNS; fn++)
			if (fn != F_SLEEP)
				read_file(fns[fn].file, texts[fn], sizeof(texts[fn]));
		_exit(write(fds[1], texts, sizeof(texts)) != sizeof(texts));
	}
	close(fds[1]);
	while (got < sizeof(texts)) {
		ssize_t n = read(fds[0], (char *)texts + got, sizeof(texts) - got);

		if (n <= 0)
			mismatch("a new process exits without an answer");
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
			/* 0 does not force anything. */
			write_file(path, "0");
			continue;
		}
		read_file(path, text, sizeof(text));
		if (!strncmp(text, "E", 1) && strcmp(text, "ENOENT") && strcmp(text, "ENODEV"))
			_exit(3);
		if (!strcmp(entry->d_name, "enabled")) {
			int ret = write_file(path, "junk");

			if (ret != EINVAL && ret != ENOENT && ret != ENODEV)
				_exit(4);
		}
	}
	closedir(dir);
}

/* Reads all files and writes junk, until the process is killed. */
static void make_noise(void)
{
	char path[1000];

	for (;;) {
		strcpy(path, RLP);
		read_below(path, strlen(path), 0);
		for (int fn = 0; fn < NR_FNS; fn++) {
			char text[TEXT];

			if (fn != F_SLEEP)
				read_file(fns[fn].file, text, sizeof(text));
		}
		usleep(500);
	}
}

void set_noise(bool on)
{
	log_op("noise %s", on ? "on" : "off");
	for (int i = 0; i < NR_NOISE; i++) {
		if (on && !noise[i]) {
			noise[i] = fork_child("fuzz noise");
			if (!noise[i])
				make_noise();
		} else if (!on && noise[i]) {
			kill(noise[i], SIGKILL);
			waitpid(noise[i], NULL, 0);
			noise[i] = 0;
		}
	}
}
