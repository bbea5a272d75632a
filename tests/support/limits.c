/* SPDX-License-Identifier: GPL-2.0-or-later */
/* limits.c - what POSIX and Linux promise of a file system, at its limits.
 *
 *	limits run DIR [ENTRIES]	all cases, in DIR
 *	limits again DIR		what run left there is still so
 *	limits write FILE [all]		a file of more than 4 GiB
 *	limits read FILE [all]		has the content that write gave it
 *
 * (1) A case says its promise in one line, "ok - ", "not ok - " or "skip - ";
 *     what failed is said in a line before.
 * (2) Cases know nothing of tagfs: they also pass on ext4. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAME_LEN	255
#define LINKS		1000
#define XATTR_SIZE	65536
#define SKIP		2

#define PROVE(cond) do {						\
	if (!(cond)) {							\
		printf("# line %d: %s (%s)\n", __LINE__, #cond,		\
		       strerror(errno));				\
		return 1;						\
	}								\
} while (0)
#define FAILS(call, error) PROVE((call) == -1 && errno == (error))

static unsigned int entries = 100000;

/* ---- names and directories -------------------------------------------- */

static int long_names(void)
{
	char name[NAME_LEN + 2];

	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		memset(name, c, NAME_LEN);
		name[NAME_LEN] = '\0';
		PROVE(!mknod(name, S_IFREG | 0600, 0));
	}
	PROVE(!access(name, F_OK));
	name[NAME_LEN] = 'x';
	name[NAME_LEN + 1] = '\0';
	FAILS(mknod(name, S_IFREG | 0600, 0), ENAMETOOLONG);
	return 0;
}

static int long_names_again(void)
{
	char name[NAME_LEN + 1];

	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		memset(name, c, NAME_LEN);
		name[NAME_LEN] = '\0';
		PROVE(!unlink(name));
	}
	return 0;
}

/* Every entry once; how many there are. */
static int list_once(const char *name, unsigned int *count)
{
	uint8_t *seen = calloc(1, entries);
	DIR *d = opendir(name);
	struct dirent *de;

	PROVE(seen && d);
	*count = 0;
	while ((de = readdir(d))) {
		unsigned int n;

		if (sscanf(de->d_name, "entry-%u", &n) != 1)
			continue;
		PROVE(n < entries && !seen[n]);
		PROVE(de->d_type == DT_REG || de->d_type == DT_UNKNOWN);
		seen[n] = 1;
		++*count;
	}
	closedir(d);
	free(seen);
	return 0;
}

static int big_directory(void)
{
	unsigned int count;
	char name[64];

	PROVE(!mkdir("many", 0755));
	for (unsigned int i = 0; i < entries; i++) {
		snprintf(name, sizeof(name), "many/entry-%u", i);
		PROVE(!mknod(name, S_IFREG | 0600, 0));
	}
	if (list_once("many", &count))
		return 1;
	PROVE(count == entries);
	for (unsigned int i = 0; i < entries; i += 2) {
		snprintf(name, sizeof(name), "many/entry-%u", i);
		PROVE(!unlink(name));
	}
	if (list_once("many", &count))
		return 1;
	PROVE(count == entries / 2);
	FAILS(rmdir("many"), ENOTEMPTY);
	return 0;
}

static int big_directory_again(void)
{
	unsigned int count;
	struct stat st;
	char name[64];

	if (list_once("many", &count))
		return 1;
	PROVE(count == entries / 2);
	for (unsigned int i = 0; i < entries; i++) {
		snprintf(name, sizeof(name), "many/entry-%u", i);
		if (i % 2)
			PROVE(!unlink(name));
		else
			FAILS(stat(name, &st), ENOENT);
	}
	PROVE(!rmdir("many"));
	return 0;
}

/* Where telldir() pointed stays there whatever comes and goes around it. */
static int directory_positions(void)
{
	char name[64], at[256];
	struct dirent *de;
	long pos = 0;
	DIR *d;

	PROVE(!mkdir("seek", 0755));
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "seek/%d", i);
		PROVE(!mknod(name, S_IFREG | 0600, 0));
	}
	d = opendir("seek");
	PROVE(d);
	for (int i = 0; i < 250; i++)
		PROVE((de = readdir(d)));
	pos = telldir(d);
	PROVE((de = readdir(d)));
	snprintf(at, sizeof(at), "%s", de->d_name);
	for (int i = 500; i < 1000; i++) {
		snprintf(name, sizeof(name), "seek/%d", i);
		PROVE(!mknod(name, S_IFREG | 0600, 0));
	}
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "seek/%d", i);
		if (strcmp(name + 5, at))
			PROVE(!unlink(name));
	}
	seekdir(d, pos);
	while ((de = readdir(d)) && strcmp(de->d_name, at))
		PROVE(atoi(de->d_name) >= 500);
	PROVE(de);
	closedir(d);
	return 0;
}

static int hard_links(void)
{
	struct stat st, other;
	char name[64];

	PROVE(!mkdir("links", 0755));
	PROVE(!mknod("links/0", S_IFREG | 0600, 0));
	for (int i = 1; i < LINKS; i++) {
		snprintf(name, sizeof(name), "links/%d", i);
		PROVE(!link("links/0", name));
	}
	PROVE(!stat("links/0", &st) && st.st_nlink == LINKS);
	PROVE(!stat(name, &other) && st.st_ino == other.st_ino);
	PROVE(!unlink("links/0"));
	PROVE(!stat(name, &st) && st.st_nlink == LINKS - 1);
	FAILS(link("links", "links2"), EPERM);
	return 0;
}

static int long_symlinks(void)
{
	char target[4097], got[8192];

	memset(target, 'a', sizeof(target));
	target[4095] = '\0';
	PROVE(!symlink(target, "symlink"));
	PROVE(readlink("symlink", got, sizeof(got)) == 4095);
	PROVE(!memcmp(target, got, 4095));
	target[4095] = 'a';
	target[4096] = '\0';
	FAILS(symlink(target, "symlink2"), ENAMETOOLONG);
	return 0;
}

static int put(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
	ssize_t len = (ssize_t)strlen(text);
	bool good = fd >= 0 && write(fd, text, (size_t)len) == len;

	if (fd >= 0)
		close(fd);
	return good ? 0 : -1;
}

static bool holds(const char *name, const char *text)
{
	size_t len = strlen(text);
	char buf[256];
	int fd = open(name, O_RDONLY);
	bool same = fd >= 0 &&
		read(fd, buf, sizeof(buf)) == (ssize_t)len &&
		!memcmp(buf, text, len);

	if (fd >= 0)
		close(fd);
	return same;
}

static int rename_flags(void)
{
	PROVE(!mkdir("ren", 0755) && !mkdir("ren/dir", 0755));
	PROVE(!put("ren/a", "a") && !put("ren/b", "b"));
	PROVE(!put("ren/dir/c", "c"));
	errno = 0;
	FAILS(renameat2(AT_FDCWD, "ren/a", AT_FDCWD, "ren/b",
			RENAME_NOREPLACE), EEXIST);
	PROVE(!renameat2(AT_FDCWD, "ren/a", AT_FDCWD, "ren/b",
			 RENAME_EXCHANGE));
	PROVE(holds("ren/a", "b") && holds("ren/b", "a"));
	PROVE(!renameat2(AT_FDCWD, "ren/a", AT_FDCWD, "ren/dir",
			 RENAME_EXCHANGE));
	PROVE(holds("ren/dir", "b") && holds("ren/a/c", "c"));
	FAILS(renameat2(AT_FDCWD, "ren/b", AT_FDCWD, "ren/none",
			RENAME_EXCHANGE), ENOENT);
	FAILS(rename("ren", "ren/a/in"), EINVAL);
	PROVE(!mkdir("ren/full", 0755) && !put("ren/full/x", "x"));
	FAILS(rename("ren/a", "ren/full"), ENOTEMPTY);
	FAILS(rename("ren/a", "ren/b"), ENOTDIR);
	FAILS(rename("ren/b", "ren/a"), EISDIR);
	PROVE(!rename("ren/b", "ren/dir") && holds("ren/dir", "a"));
	return 0;
}

static int tmpfile_links(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	struct stat st;

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		printf("# open: %s\n", strerror(errno));
		return SKIP;
	}
	PROVE(fd >= 0);
	PROVE(!fstat(fd, &st) && st.st_nlink == 0);
	PROVE(write(fd, "temporary", 9) == 9);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	PROVE(!linkat(AT_FDCWD, path, AT_FDCWD, "tmpfile",
		      AT_SYMLINK_FOLLOW));
	PROVE(!fstat(fd, &st) && st.st_nlink == 1);
	close(fd);
	PROVE(holds("tmpfile", "temporary"));
	return 0;
}

static int unlinked_files(void)
{
	char buf[8];
	int fd = open("gone", O_RDWR | O_CREAT, 0600);
	struct stat st;

	PROVE(fd >= 0 && !unlink("gone"));
	PROVE(pwrite(fd, "still", 5, 1 << 20) == 5);
	PROVE(!fsync(fd));
	PROVE(pread(fd, buf, 5, 1 << 20) == 5 && !memcmp(buf, "still", 5));
	PROVE(!fstat(fd, &st) && st.st_nlink == 0 &&
	      st.st_size == (1 << 20) + 5);
	FAILS(open("gone", O_RDONLY), ENOENT);
	close(fd);
	return 0;
}

/* ---- content ------------------------------------------------------------ */

static int sparse_files(void)
{
	const off_t at = 1 << 20, len = 65536, size = 10ll << 30;
	int fd = open("sparse", O_RDWR | O_CREAT, 0600);
	struct stat st;
	char *buf = calloc(1, (size_t)len);

	PROVE(fd >= 0 && buf);
	memset(buf, 'd', (size_t)len);
	PROVE(pwrite(fd, buf, (size_t)len, at) == len);
	PROVE(!ftruncate(fd, size) && !fsync(fd));
	PROVE(lseek(fd, 0, SEEK_HOLE) == 0);
	PROVE(lseek(fd, 0, SEEK_DATA) == at);
	PROVE(lseek(fd, at, SEEK_HOLE) == at + len);
	FAILS(lseek(fd, at + len, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, size, SEEK_HOLE), ENXIO);
	PROVE(!fstat(fd, &st) && st.st_size == size);
	PROVE(st.st_blocks >= 128 && st.st_blocks < 1000);
	PROVE(pread(fd, buf, 4096, size / 2) == 4096 && !buf[0] &&
	      !memcmp(buf, buf + 1, 4095));
	free(buf);
	close(fd);
	return 0;
}

static int far_offsets(void)
{
	int fd = open("far", O_RDWR | O_CREAT, 0600);
	const off_t far = (15ll << 40) + 123;
	char c = 'f';

	PROVE(fd >= 0);
	PROVE(pwrite(fd, &c, 1, far) == 1 && !fsync(fd));
	c = 0;
	PROVE(pread(fd, &c, 1, far) == 1 && c == 'f');
	PROVE(pread(fd, &c, 1, far + 1) == 0);
	PROVE(pread(fd, &c, 1, far - 1) == 1 && c == 0);
	FAILS(ftruncate(fd, 1ll << 62), EFBIG);
	/* With delayed writes it may take an fsync to know. */
	PROVE((pwrite(fd, &c, 1, 1ll << 62) < 0 || fsync(fd) < 0) &&
	      errno == EFBIG);
	close(fd);
	return 0;
}

static int truncated_tails(void)
{
	int fd = open("tail", O_RDWR | O_CREAT, 0600);
	char buf[10000];

	memset(buf, 'x', sizeof(buf));
	PROVE(fd >= 0 && write(fd, buf, sizeof(buf)) == sizeof(buf));
	PROVE(!ftruncate(fd, 5000) && !ftruncate(fd, 10000));
	PROVE(pread(fd, buf, sizeof(buf), 0) == sizeof(buf));
	for (int i = 0; i < 10000; i++)
		PROVE(buf[i] == (i < 5000 ? 'x' : 0));
	PROVE(!ftruncate(fd, 100) && pwrite(fd, "y", 1, 200) == 1);
	PROVE(pread(fd, buf, sizeof(buf), 0) == 201);
	PROVE(buf[99] == 'x' && !buf[100] && !buf[199] && buf[200] == 'y');
	close(fd);
	return 0;
}

static int mapped_writes(void)
{
	const size_t len = 1 << 20;
	int fd = open("mapped", O_RDWR | O_CREAT, 0600);
	char *map, c;

	PROVE(fd >= 0 && !ftruncate(fd, (off_t)len));
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	PROVE(map != MAP_FAILED);
	for (size_t i = 0; i < len; i += 1000)
		map[i] = (char)(i / 1000);
	PROVE(pread(fd, &c, 1, 5000) == 1 && c == 5);
	PROVE(pwrite(fd, "w", 1, 5001) == 1 && map[5001] == 'w');
	PROVE(!msync(map, len, MS_SYNC));
	PROVE(!munmap(map, len));
	close(fd);
	return 0;
}

static int mapped_writes_again(void)
{
	const size_t len = 1 << 20;
	int fd = open("mapped", O_RDONLY);
	char *map;

	PROVE(fd >= 0);
	map = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	PROVE(map != MAP_FAILED);
	for (size_t i = 0; i < len; i++)
		PROVE(map[i] == (i == 5001 ? 'w' :
				 i % 1000 ? 0 : (char)(i / 1000)));
	PROVE(!munmap(map, len));
	close(fd);
	return 0;
}

static bool all(const char *buf, size_t from, size_t to, char c)
{
	for (; from < to; from++)
		if (buf[from] != c)
			return false;
	return true;
}

static int fallocate_modes(void)
{
	const size_t len = 1 << 20;
	int fd = open("alloc", O_RDWR | O_CREAT, 0600);
	char *buf = calloc(1, len);
	struct stat st;

	PROVE(fd >= 0 && buf);
	memset(buf, 'x', len);
	PROVE(pwrite(fd, buf, len, 0) == (ssize_t)len);
	PROVE(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * (off_t)len));
	PROVE(!fstat(fd, &st) && st.st_size == (off_t)len);
	PROVE(!fallocate(fd, 0, 0, 3 * (off_t)len));
	PROVE(!fstat(fd, &st) && st.st_size == 3 * (off_t)len &&
	      st.st_blocks >= 6144);
	PROVE(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 10000, 100000));
	PROVE(!fallocate(fd, FALLOC_FL_ZERO_RANGE, 300000, 50000));
	PROVE(pread(fd, buf, len, 0) == (ssize_t)len);
	PROVE(all(buf, 0, 10000, 'x') && all(buf, 10000, 110000, 0) &&
	      all(buf, 110000, 300000, 'x') && all(buf, 300000, 350000, 0) &&
	      all(buf, 350000, len, 'x'));
	PROVE(pread(fd, buf, len, (off_t)len) == (ssize_t)len &&
	      all(buf, 0, len, 0));
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	free(buf);
	close(fd);
	return 0;
}

static int copies_by_the_kernel(void)
{
	int in = open("copy-in", O_RDWR | O_CREAT, 0600);
	int out = open("copy-out", O_RDWR | O_CREAT, 0600);
	loff_t from = 1000;
	char c;

	PROVE(in >= 0 && out >= 0);
	PROVE(pwrite(in, "k", 1, 50000) == 1 && !ftruncate(in, 100000));
	PROVE(copy_file_range(in, &from, out, NULL, 60000, 0) == 60000);
	PROVE(pread(out, &c, 1, 49000) == 1 && c == 'k');
	PROVE(ioctl(out, FICLONE, in) == 0 || errno == EOPNOTSUPP ||
	      errno == ENOTTY || errno == EINVAL);
	close(in);
	close(out);
	return 0;
}

static int direct_io(void)
{
	int fd = open("direct", O_RDWR | O_CREAT | O_DIRECT, 0600);
	char *buf = NULL;

	if (fd < 0 && errno == EINVAL)
		return SKIP;
	PROVE(fd >= 0 && !posix_memalign((void **)&buf, 4096, 65536));
	memset(buf, 'D', 65536);
	PROVE(pwrite(fd, buf, 65536, 4096) == 65536);
	memset(buf, 0, 65536);
	PROVE(pread(fd, buf, 65536, 8192) == 65536 - 4096);
	PROVE(all(buf, 0, 65536 - 4096, 'D'));
	PROVE(!unlink("direct"));
	free(buf);
	close(fd);
	return 0;
}

static int appends(void)
{
	char line[16];
	FILE *f;
	int n = 0;

	for (int p = 0; p < 4; p++) {
		if (fork())
			continue;
		int fd = open("append", O_WRONLY | O_CREAT | O_APPEND, 0600);

		for (int i = 0; i < 500; i++)
			if (write(fd, "0123456789\n", 11) != 11)
				_exit(1);
		_exit(0);
	}
	for (int p = 0, status; p < 4; p++)
		PROVE(wait(&status) > 0 && !status);
	f = fopen("append", "r");
	PROVE(f);
	while (fgets(line, sizeof(line), f)) {
		PROVE(!strcmp(line, "0123456789\n"));
		n++;
	}
	PROVE(n == 2000);
	fclose(f);
	return 0;
}

/* ---- attributes and the rest ---------------------------------------------- */

static void attr_name(char *name)
{
	memset(name, 'n', NAME_LEN);
	memcpy(name, "user.", 5);
	name[NAME_LEN] = '\0';
}

static int big_attributes(void)
{
	char name[NAME_LEN + 2], *value = malloc(XATTR_SIZE);

	PROVE(value && !put("attrs", ""));
	memset(value, 'v', XATTR_SIZE);
	attr_name(name);
	if (setxattr("attrs", name, value, XATTR_SIZE, XATTR_CREATE)) {
		/* ext4 has one block for all of them */
		PROVE(errno == ENOSPC || errno == EOPNOTSUPP);
		free(value);
		return SKIP;
	}
	FAILS(setxattr("attrs", name, "", 0, XATTR_CREATE), EEXIST);
	FAILS(setxattr("attrs", "user.none", "", 0, XATTR_REPLACE), ENODATA);
	FAILS(getxattr("attrs", name, value, 10), ERANGE);
	PROVE(!setxattr("attrs", "user.empty", "", 0, 0));
	PROVE(getxattr("attrs", "user.empty", value, 10) == 0);
	PROVE(!setxattr("attrs", "user.brief", "x", 1, 0));
	PROVE(!removexattr("attrs", "user.brief"));
	FAILS(removexattr("attrs", "user.brief"), ENODATA);
	name[NAME_LEN] = 'n';
	name[NAME_LEN + 1] = '\0';
	FAILS(setxattr("attrs", name, "", 0, 0), ERANGE);
	free(value);
	return 0;
}

static int big_attributes_again(void)
{
	char name[NAME_LEN + 1], *value = malloc(XATTR_SIZE), list[1024];

	attr_name(name);
	PROVE(value);
	if (getxattr("attrs", "user.empty", value, 10) < 0)
		return SKIP;
	PROVE(getxattr("attrs", name, value, XATTR_SIZE) == XATTR_SIZE);
	PROVE(all(value, 0, XATTR_SIZE, 'v'));
	PROVE(listxattr("attrs", list, sizeof(list)) ==
	      NAME_LEN + 1 + sizeof("user.empty"));
	free(value);
	return 0;
}

static int special_files(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX,
				    .sun_path = "socket" };
	int fd, s = socket(AF_UNIX, SOCK_STREAM, 0);
	char buf[4];
	struct stat st;

	PROVE(!mkfifo("fifo", 0600));
	fd = open("fifo", O_RDWR);
	PROVE(fd >= 0 && write(fd, "pipe", 4) == 4 && read(fd, buf, 4) == 4);
	close(fd);
	PROVE(!bind(s, (struct sockaddr *)&addr, sizeof(addr)));
	PROVE(!listen(s, 1));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	PROVE(!connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	close(fd);
	close(s);
	PROVE(!mknod("chr", S_IFCHR | 0600, makedev(4095, 1048575)));
	PROVE(!stat("chr", &st) && st.st_rdev == makedev(4095, 1048575));
	PROVE(!mknod("blk", S_IFBLK | 0600, makedev(7, 300)));
	PROVE(!stat("blk", &st) && S_ISBLK(st.st_mode) &&
	      st.st_rdev == makedev(7, 300));
	return 0;
}

static int times(void)
{
	struct timespec set[2] = { { 4102444800, 123456789 },
				   { -86400, 987654321 } };
	struct stat st;

	PROVE(!put("times", "") &&
	      !utimensat(AT_FDCWD, "times", set, 0) && !stat("times", &st));
	PROVE(st.st_atim.tv_sec == set[0].tv_sec &&
	      st.st_atim.tv_nsec == set[0].tv_nsec);
	PROVE(st.st_mtim.tv_sec == set[1].tv_sec &&
	      st.st_mtim.tv_nsec == set[1].tv_nsec);
	return 0;
}

static int locks(void)
{
	struct flock lk = { .l_type = F_WRLCK, .l_len = 10 };
	int fd = open("locks", O_RDWR | O_CREAT, 0600), status;

	PROVE(fd >= 0 && !fcntl(fd, F_SETLK, &lk) && !flock(fd, LOCK_EX));
	if (!fork()) {
		int mine = open("locks", O_RDWR);

		_exit(!(fcntl(mine, F_SETLK, &lk) && errno == EAGAIN &&
			flock(mine, LOCK_EX | LOCK_NB) &&
			errno == EWOULDBLOCK));
	}
	PROVE(wait(&status) > 0 && !status);
	close(fd);
	return 0;
}

static int free_space(void)
{
	struct statvfs before, after;
	int fd = open("space", O_RDWR | O_CREAT, 0600);
	char *buf = calloc(1, 16 << 20);

	PROVE(fd >= 0 && buf);
	memset(buf, 's', 16 << 20);
	PROVE(!statvfs(".", &before));
	PROVE(before.f_namemax == NAME_LEN && before.f_blocks &&
	      before.f_bavail <= before.f_bfree && before.f_files);
	PROVE(write(fd, buf, 16 << 20) == 16 << 20 && !fsync(fd));
	PROVE(!statvfs(".", &after));
	PROVE((before.f_bfree - after.f_bfree) * after.f_frsize >= 16 << 20);
	close(fd);
	PROVE(!unlink("space"));
	free(buf);
	return 0;
}

/* ---- a file over 4 GiB ------------------------------------------------------ */

#define BIG_CHUNK	(1ull << 20)
#define BIG_CHUNKS	4500ull

static void big_fill(uint64_t *buf, uint64_t chunk)
{
	uint64_t x = chunk * 0x9e3779b97f4a7c15ull + 1;

	for (size_t i = 0; i < BIG_CHUNK / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = x;
	}
}

static bool big_is_data(uint64_t chunk)
{
	return chunk < 32 || (chunk >= 4080 && chunk < 4112) ||
	       chunk >= BIG_CHUNKS - 32;
}

static int big_file(const char *name, bool writes, bool whole)
{
	uint64_t *want = malloc(BIG_CHUNK), *got = malloc(BIG_CHUNK);
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	struct stat st;

	PROVE(want && got && fd >= 0);
	for (uint64_t c = 0; c < BIG_CHUNKS; c++) {
		off_t at = (off_t)(c * BIG_CHUNK);

		if (!whole && !big_is_data(c))
			continue;
		big_fill(want, c);
		if (writes)
			PROVE(pwrite(fd, want, BIG_CHUNK, at) == BIG_CHUNK);
		else
			PROVE(pread(fd, got, BIG_CHUNK, at) == BIG_CHUNK &&
			      !memcmp(want, got, BIG_CHUNK));
	}
	PROVE(!writes || !fsync(fd));
	PROVE(!fstat(fd, &st) &&
	      st.st_size == (off_t)(BIG_CHUNKS * BIG_CHUNK));
	free(want);
	free(got);
	close(fd);
	return 0;
}

/* ---- */

static const struct test {
	const char	*promise;
	int		(*run)(void);
	int		(*again)(void);		/* after mounting again */
} tests[] = {
	{ "names of 255 bytes, any byte", long_names, long_names_again },
	{ "a huge directory", big_directory, big_directory_again },
	{ "telldir() and seekdir() among changes", directory_positions, NULL },
	{ "a thousand hard links", hard_links, NULL },
	{ "symbolic links of 4095 bytes", long_symlinks, NULL },
	{ "rename, its flags and its refusals", rename_flags, NULL },
	{ "O_TMPFILE, and linking it", tmpfile_links, NULL },
	{ "unlinked files while they are open", unlinked_files, NULL },
	{ "sparse files, SEEK_HOLE and SEEK_DATA", sparse_files, NULL },
	{ "offsets up to 15 TiB, EFBIG beyond", far_offsets, NULL },
	{ "zeros after a cut-off tail", truncated_tails, NULL },
	{ "writes through a mapping", mapped_writes, mapped_writes_again },
	{ "fallocate", fallocate_modes, NULL },
	{ "copy_file_range", copies_by_the_kernel, NULL },
	{ "O_DIRECT", direct_io, NULL },
	{ "appends of several processes", appends, NULL },
	{ "attributes: names of 255 bytes, values of 64 KiB", big_attributes,
	  big_attributes_again },
	{ "fifos, sockets and devices", special_files, NULL },
	{ "times, to the nanosecond", times, NULL },
	{ "locks", locks, NULL },
	{ "statvfs", free_space, NULL },
};

static int say(const char *promise, const char *when, int res)
{
	static const char *const words[] = { "ok", "not ok", "skip" };

	printf("%s - %s%s\n", words[res], promise, when);
	fflush(stdout);
	return res == 1;
}

static int run_all(bool again)
{
	int bad = 0;

	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		errno = 0;
		if (!again)
			bad |= say(tests[i].promise, "", tests[i].run());
		else if (tests[i].again)
			bad |= say(tests[i].promise, ", mounted again",
				   tests[i].again());
	}
	return bad;
}

int main(int argc, char **argv)
{
	bool all_of_it = argc > 3 && !strcmp(argv[3], "all");

	umask(022);
	if (argc < 3)
		return 99;
	if (!strcmp(argv[1], "write") || !strcmp(argv[1], "read"))
		return say("a file over 4 GiB: ", argv[1],
			   big_file(argv[2], argv[1][0] == 'w', all_of_it));
	if (argc > 3)
		entries = (unsigned int)atoi(argv[3]);
	if (chdir(argv[2])) {
		perror(argv[2]);
		return 99;
	}
	return run_all(!strcmp(argv[1], "again"));
}
