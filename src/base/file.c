/*
** file.c: output files that appear under their name whole or not at all.
** Knows the file system and nothing of what is written.
*/
#define _GNU_SOURCE /* renameat2 */

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#define BLOCK 65536     /* bytes gathered before they are written */
#define TEMP_TRIES 100  /* names tried for the temporary file */
#define FOLDER_MOST 4096 /* bytes of a path, of which the system takes no more */
#define LINKS_MOST 40   /* followed one after the other, as the system does */
#define PROC_MAGIC 0x9FA0 /* statfs of /proc */
#define TEMP_NAME ".taskclient-%016llx.part"

void tc_file_init (tc_file *f) {
  memset(f, 0, sizeof *f);
  f->fd = -1;
  tc_buffer_init(&f->pending, (size_t)-1);
}

static int keep_error (tc_file *f, int error) {
  if (f->error == 0)
    f->error = error;
  return f->error;
}

/* ---- opening ---- */

/* bytes of path up to and with its last slash */
static size_t folder_length (const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* Whether the link stands in /proc, as those do that /dev/stdout and /dev/fd
   lead to. They name what a process has open: a new file of that name would
   not be what the process writes to. */
static bool is_descriptor (const char *path) {
#ifdef __linux__
  char folder[FOLDER_MOST] = ".";
  struct statfs fs;
  size_t len = folder_length(path);
  if (len >= sizeof folder)
    return false;
  if (len > 0)
    memcpy(folder, path, len);
  return statfs(folder, &fs) == 0 && fs.f_type == PROC_MAGIC;
#else
  return strncmp(path, "/dev/fd/", 8) == 0;
#endif
}

/* Puts what the link at path names in its place: 0, or an errno. */
static int follow (char *path) {
  char link[FOLDER_MOST];
  ssize_t n;
  size_t folder;
  if (is_descriptor(path))
    return EINVAL;
  n = readlink(path, link, sizeof link);
  if (n < 0)
    return errno;
  folder = n > 0 && link[0] == '/' ? 0 : folder_length(path);
  if (folder + (size_t)n >= FOLDER_MOST)
    return ENAMETOOLONG;
  memcpy(path + folder, link, (size_t)n);
  path[folder + (size_t)n] = '\0';
  return 0;
}

/* Looks at a destination, which is never opened: a pipe would be waited for.
   0 when there is a regular file or none, or an errno; *st: its mode is 0
   where there is no file. */
static int look_at (const char *path, bool overwrite, struct stat *st) {
  memset(st, 0, sizeof *st);
  if (lstat(path, st) != 0)
    return errno == ENOENT ? 0 : errno;
  if (S_ISDIR(st->st_mode))
    return EISDIR;
  /* a rename would put a file in the place of a device */
  if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
    return EINVAL;
  return overwrite ? 0 : EEXIST;
}

int tc_file_target (const char *path, bool overwrite, char **target,
                    struct stat *st) {
  char at[FOLDER_MOST];
  size_t len = strlen(path);
  int links, error = 0;
  *target = NULL;
  if (len == 0)
    return ENOENT;
  if (len >= sizeof at)
    return ENAMETOOLONG;
  memcpy(at, path, len + 1);
  error = look_at(at, overwrite, st);
  for (links = 0; error == 0 && S_ISLNK(st->st_mode); links++) {
    error = links < LINKS_MOST ? follow(at) : ELOOP;
    if (error == 0)
      error = look_at(at, overwrite, st);
  }
  if (error == 0 && at[strlen(at) - 1] == '/')
    error = ENOENT; /* the name of a folder, and there is none */
  if (error == 0 && (*target = strdup(at)) == NULL)
    error = ENOMEM;
  return error;
}

const char *tc_file_why (int error) {
  return error == EINVAL ? "not a regular file: only one of those can be put "
                           "in place whole"
                         : strerror(error);
}

/* O_EXCL makes a guessed name harmless: it need not be secret, only new */
static unsigned long long temp_seed (const tc_file *f) {
  static unsigned counter;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return ((unsigned long long)now.tv_sec * 1000000007ULL +
          (unsigned long long)now.tv_nsec) ^
         (unsigned long long)getpid() << 44 ^
         (unsigned long long)(size_t)f ^
         (unsigned long long)__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED)
           << 32;
}

static int open_temp (tc_file *f) {
  size_t folder = folder_length(f->path);
  unsigned long long seed = temp_seed(f);
  int tries;
  for (tries = 0; tries < TEMP_TRIES; tries++) {
    snprintf(f->temp + folder, sizeof TEMP_NAME + 16, TEMP_NAME, seed++);
    f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                 0666);
    if (f->fd >= 0 || errno != EEXIST)
      break;
  }
  return f->fd >= 0 ? 0 : errno;
}

/* The umask is asked of the kernel by making the file with 0666: reading it
   with umask(2) would disturb other threads. An old file's owner and group are
   kept where this process may give files to them. */
static int settle_mode (int fd, const struct stat *old, mode_t *mode) {
  struct stat st;
  if (fstat(fd, &st) != 0 || fchmod(fd, 0600) != 0)
    return errno;
  *mode = (old->st_mode != 0 ? old : &st)->st_mode & 0777;
  if (old->st_mode != 0 &&
      (old->st_uid != st.st_uid || old->st_gid != st.st_gid) &&
      fchown(fd, old->st_uid, old->st_gid) != 0 &&
      fchown(fd, (uid_t)-1, old->st_gid) != 0)
    *mode &= 0707; /* the group is another one now */
  return 0;
}

static int begin (tc_file *f) {
  size_t folder = folder_length(f->path);
  f->temp = (char *)malloc(folder + sizeof TEMP_NAME + 16);
  if (f->temp == NULL)
    return ENOMEM;
  memcpy(f->temp, f->path, folder);
  return open_temp(f);
}

int tc_file_open (tc_file *f, const char *path, bool overwrite) {
  struct stat old;
  int error;
  tc_file_init(f);
  f->owner = getpid();
  f->overwrite = overwrite;
  f->durable = true;
  error = tc_file_target(path, overwrite, &f->path, &old);
  if (error == 0)
    error = begin(f);
  if (error == 0)
    error = settle_mode(f->fd, &old, &f->mode);
  if (error != 0) {
    tc_file_discard(f);
    f->error = error;
  }
  return error;
}

/* ---- writing ---- */

int tc_write_all (int fd, const char *p, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, p, len);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n == 0 ? EIO : errno;
    p += n;
    len -= (size_t)n;
  }
  return 0;
}

static int put (tc_file *f, const char *p, size_t len) {
  int error = tc_write_all(f->fd, p, len);
  return error != 0 ? keep_error(f, error) : 0;
}

static int flush (tc_file *f) {
  int error = put(f, f->pending.ptr, f->pending.len);
  tc_buffer_reset(&f->pending);
  return error;
}

int tc_file_write (tc_file *f, const void *bytes, size_t len) {
  if (f->error != 0)
    return f->error;
  if (f->fd < 0)
    return keep_error(f, EBADF);
  if (f->pending.len + len > BLOCK && flush(f) != 0)
    return f->error;
  f->written += len;
  if (len >= BLOCK)
    return put(f, (const char *)bytes, len);
  if (f->pending.cap == 0 && tc_buffer_reserve(&f->pending, BLOCK) != TC_OK)
    return keep_error(f, ENOMEM);
  tc_buffer_add(&f->pending, bytes, len); /* BLOCK bytes fit: cannot fail */
  return 0;
}

/* ---- the end ---- */

/* the destination must not exist; link(2) where the kernel has no such rename */
static int rename_new (const char *from, const char *to) {
#ifdef RENAME_NOREPLACE
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
    return 0;
  if (errno != ENOSYS && errno != EINVAL)
    return errno;
#endif
  if (link(from, to) != 0)
    return errno;
  unlink(from);
  return 0;
}

/* The destination is looked at once more: since the file was begun, a pipe or
   a folder may have come there. */
static int move (const char *from, const char *to, bool overwrite) {
  struct stat st;
  int error;
  if (!overwrite)
    return rename_new(from, to);
  error = look_at(to, true, &st);
  if (error == 0 && S_ISLNK(st.st_mode))
    error = EINVAL;
  return error != 0 ? error : rename(from, to) == 0 ? 0 : errno;
}

/* A folder that cannot be opened or synced on this file system is no failure
   of the file. */
int tc_sync_folder (const char *path) {
  char folder[FOLDER_MOST] = ".";
  size_t len = folder_length(path);
  int fd, error = 0;
  if (len >= sizeof folder)
    return 0;
  if (len > 0)
    memcpy(folder, path, len);
  fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
    error = errno;
  close(fd);
  return error;
}

static int settle_made (const char *temp, const struct stat *old,
                        bool durable) {
  mode_t mode;
  int fd = open(temp, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  int error;
  if (fd < 0)
    return errno;
  error = settle_mode(fd, old, &mode);
  if (error == 0 && (fchmod(fd, mode) != 0 || (durable && fsync(fd) != 0)))
    error = errno;
  close(fd);
  return error;
}

int tc_file_place (const char *temp, const char *path, bool overwrite,
                   bool durable) {
  struct stat old;
  char *target;
  int error = tc_file_target(path, overwrite, &target, &old);
  if (error == 0)
    error = settle_made(temp, &old, durable);
  if (error == 0)
    error = move(temp, target, overwrite);
  if (error == 0 && durable)
    error = tc_sync_folder(target);
  free(target);
  return error;
}

static int close_fd (tc_file *f) {
  int fd = f->fd;
  f->fd = -1;
  return fd < 0 || close(fd) == 0 || errno == EINTR ? 0 : errno;
}

static int finish (tc_file *f) {
  if (f->fd < 0)
    return EBADF;
  if (f->error != 0 || flush(f) != 0)
    return f->error;
  if (fchmod(f->fd, f->mode) != 0 ||
      (f->durable && fsync(f->fd) != 0))
    return errno;
  return close_fd(f);
}

static void release (tc_file *f) {
  free(f->path);
  free(f->temp);
  f->path = f->temp = NULL;
  tc_buffer_free(&f->pending);
}

int tc_file_commit (tc_file *f) {
  int error = finish(f);
  if (error == 0)
    error = move(f->temp, f->path, f->overwrite);
  if (error != 0) {
    keep_error(f, error);
    tc_file_discard(f);
    return error;
  }
  if (f->durable)
    error = tc_sync_folder(f->path);
  release(f);
  return error;
}

void tc_file_discard (tc_file *f) {
  int saved = errno;
  bool made = f->fd >= 0 || f->error != 0;
  close_fd(f);
  if (made && f->temp != NULL && f->owner == getpid())
    unlink(f->temp);
  release(f);
  errno = saved;
}
