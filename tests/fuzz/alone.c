/* SPDX-License-Identifier: GPL-2.0-or-later */
/* alone.c - the targets of fuzz.c without a fuzzer: so many inputs for each,
 * which follow from a seed.
 *
 *	TAGFS_INPUTS=n		of each target
 *	TAGFS_CASE=fsck:17	this one alone; fsck:17:100: so many from it on
 *
 *  (1) Each target is a process of its own, since it may die; what it was at is
 *      in memory that it shares with us, and its files are in a folder of ours.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz/ctl.h"

#define EDIT	16u
#define INPUTS	160u
#define TICKS	60u		/* seconds for one input */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const targets[] = {
	"head", "page", "super", "slot", "node", "log", "image", "fsck",
	"rebuild", "restore", "ctlimage",
};

static volatile unsigned int *at;		/* (1): the seed */

static uint64_t rnd(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* One to four edits; small values are the ones that fields have. */
static void one(unsigned int seed)
{
	uint64_t state = seed * 0x9e3779b97f4a7c15ull + 1;
	size_t n = (1 + rnd(&state) % 4) * EDIT;
	uint8_t data[4 * EDIT];

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)rnd(&state);
	for (size_t i = 0; i < n; i += EDIT) {
		unsigned int few = (unsigned int)(rnd(&state) % 3);

		data[i + 4] = few ? 0 : data[i + 4];
		memset(data + i + 9, 0, few ? 7 : 0);
	}
	*at = seed;
	alarm(TICKS);
	LLVMFuzzerTestOneInput(data, n);
}

static void run(const char *target, unsigned int first, unsigned int n)
{
	setenv("TAGFS_FUZZ", target, 1);
	LLVMFuzzerInitialize(NULL, NULL);
	for (unsigned int i = first; i < first + n; i++)
		one(i);
	exit(0);
}

static bool try(const char *target, unsigned int first, unsigned int n)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		run(target, first, n);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		printf("not ok - %s: no process\n", target);
		return false;
	}
	if (status)
		printf("not ok - %s: TAGFS_CASE=%s:%u: %s %d\n", target, target,
		       *at, WIFSIGNALED(status) ? "signal" : "exit status",
		       WIFSIGNALED(status) ? WTERMSIG(status) :
		       WEXITSTATUS(status));
	else
		printf("ok - %s: %u inputs\n", target, n);
	return !status;
}

static bool all(unsigned int n)
{
	bool ok = true;

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		ok &= try(targets[i], 0, n);
	return ok;
}

int main(void)
{
	char folder[] = "/dev/shm/tagfs-alone.XXXXXX";
	const char *alone = getenv("TAGFS_CASE"), *inputs;
	unsigned int seed, n = 1;
	char target[16];
	bool ok;

	at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED |
		  MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return 99;
	if (mkdtemp(folder))		/* (1); else wherever it can */
		setenv("TMPDIR", folder, 1);
	inputs = getenv("TAGFS_INPUTS");
	if (alone && sscanf(alone, "%15[a-z]:%u:%u", target, &seed, &n) >= 2)
		ok = try(target, seed, n);
	else
		ok = all(inputs ? (unsigned int)atoi(inputs) :
			 BED_LESS(INPUTS));
	fuzz_remove(folder);
	return ok ? 0 : 1;
}
