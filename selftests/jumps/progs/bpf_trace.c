// SPDX-License-Identifier: GPL-2.0
/*
 * bpf_trace fentry|fexit|multi FUNCTION: attach a bpf program that counts the calls of a function
 * of vmlinux. A program of type "multi" (BPF_TRACE_FENTRY_MULTI) can be attached to many functions
 * in one step. Here it is attached to one function. Print "attached", wait for the end of the
 * standard input, and print the count.
 *
 * The program makes its system calls and reads BTF without libbpf: a static libbpf needs a static
 * libelf, which in turn needs a library that Debian does not ship.
 *
 * Exit status: 0; 2 and the errno's text if the program could not be attached; 1 for other errors.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define INSN(op, dst, src, offset, value) \
	((struct bpf_insn){ .code = op, .dst_reg = dst, .src_reg = src, .off = offset, \
			    .imm = value })

/* Since Linux 7.3. The headers of the C library may be older. */
#define TRACE_FENTRY_MULTI 59

/* The arguments of BPF_LINK_CREATE for such a program. */
struct multi {
	__u32 prog_fd, target_fd, attach_type, flags;
	__aligned_u64 ids, cookies;
	__u32 cnt;
};

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static void *read_btf(void)
{
	const char *path = "/sys/kernel/btf/vmlinux";
	int fd = open(path, O_RDONLY);
	struct stat st;
	size_t len = 0;
	ssize_t got;
	char *data;

	if (fd < 0 || fstat(fd, &st) || !(data = malloc(st.st_size)))
		err(1, "%s", path);
	while ((got = read(fd, data + len, st.st_size - len)) > 0)
		len += got;
	close(fd);
	return data;
}

/* The size of the data after a type's fixed part; see Documentation/bpf/btf.rst. */
static size_t variable_size(const struct btf_type *type)
{
	size_t vlen = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return vlen * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return vlen * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return vlen * sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return vlen * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return vlen * sizeof(struct btf_var_secinfo);
	}
	return 0;
}

static int btf_id(const char *function)
{
	const struct btf_header *header = read_btf();
	const char *types = (const char *)header + header->hdr_len + header->type_off;
	const char *names = (const char *)header + header->hdr_len + header->str_off;
	const char *end = types + header->type_len;

	for (int id = 1; types < end; id++) {
		const struct btf_type *type = (const struct btf_type *)types;

		if (BTF_INFO_KIND(type->info) == BTF_KIND_FUNC &&
		    !strcmp(names + type->name_off, function))
			return id;
		types += sizeof(*type) + variable_size(type);
	}
	errx(1, "no BTF for %s", function);
}

static int make_counter(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 1,
	};

	return bpf(BPF_MAP_CREATE, &attr);
}

/* Loads a program that does "counter[0]++; return 0;", and returns its file descriptor. */
static int load(int counter, unsigned int type, __u32 function)
{
	struct bpf_insn program[] = {
		INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, counter),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_1, BPF_REG_2, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_TRACING,
		.expected_attach_type = type,
		.attach_btf_id = type == TRACE_FENTRY_MULTI ? 0 : function,
		.insns = (unsigned long)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (unsigned long)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int attach(int program, unsigned int type, const __u32 *function)
{
	struct multi multi = {
		.prog_fd = program,
		.attach_type = type,
		.ids = (unsigned long)function,
		.cnt = 1,
	};
	union bpf_attr attr = { .raw_tracepoint.prog_fd = program };

	if (type != TRACE_FENTRY_MULTI)
		return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	memcpy(&attr, &multi, sizeof(multi));
	return bpf(BPF_LINK_CREATE, &attr);
}

int main(int argc, char **argv)
{
	unsigned long long count = 0;
	unsigned int type = BPF_TRACE_FENTRY;
	union bpf_attr attr;
	int counter, program, key = 0;
	__u32 function;
	char c;

	if (argc != 3)
		errx(1, "usage: bpf_trace fentry|fexit|multi FUNCTION");
	if (!strcmp(argv[1], "fexit"))
		type = BPF_TRACE_FEXIT;
	if (!strcmp(argv[1], "multi"))
		type = TRACE_FENTRY_MULTI;
	function = btf_id(argv[2]);
	counter = make_counter();
	if (counter < 0)
		err(1, "map");
	program = load(counter, type, function);
	if (program < 0)
		err(1, "load");
	if (attach(program, type, &function) < 0)
		err(2, "attach");
	puts("attached");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	attr = (union bpf_attr){
		.map_fd = counter,
		.key = (unsigned long)&key,
		.value = (unsigned long)&count,
	};
	bpf(BPF_MAP_LOOKUP_ELEM, &attr);
	printf("%llu\n", count);
	return 0;
}
