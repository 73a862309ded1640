/*
** file.c: output files that appear under their name whole or not at all.
** Knows the file system and nothing of what is written.
*/
#define _GNU_SOURCE /* renameat2 */

#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 65536     /* bytes gathered before they are written */
#define TEMP_TRIES 100  /* names tried for the temporary file */
#define FOLDER_MOST 4096 /* bytes of a path, of which the system takes no more */
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

/* 0 when the destination may be made; *mode: what an old one has, or 0 */
static int look_at (const char *path, bool overwrite, mode_t *mode) {
  struct stat st;
  *mode = 0;
  if (lstat(path, &st) != 0)
    return errno == ENOENT ? 0 : errno;
  if (S_ISDIR(st.st_mode))
    return EISDIR;
  if (!overwrite)
    return EEXIST;
  if (S_ISREG(st.st_mode))
    *mode = st.st_mode & 0777;
  else if (!S_ISLNK(st.st_mode))
    return EINVAL; /* a rename would put a file in the place of a device */
  return 0;
}

/* bytes of path up to and with its last slash */
static size_t folder_length (const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? 0 : (size_t)(slash - path) + 1;
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
   with umask(2) would disturb other threads. */
static int settle_mode (tc_file *f, mode_t old) {
  struct stat st;
  if (fstat(f->fd, &st) != 0 || fchmod(f->fd, 0600) != 0)
    return errno;
  f->mode = old != 0 ? old : st.st_mode & 0777;
  return 0;
}

static int begin (tc_file *f, const char *path) {
  size_t len = strlen(path);
  f->path = (char *)malloc(len + 1);
  f->temp = (char *)malloc(folder_length(path) + sizeof TEMP_NAME + 16);
  if (f->path == NULL || f->temp == NULL)
    return ENOMEM;
  memcpy(f->path, path, len + 1);
  memcpy(f->temp, path, folder_length(path));
  return open_temp(f);
}

int tc_file_open (tc_file *f, const char *path, bool overwrite) {
  mode_t old;
  int error = path[0] == '\0' ? ENOENT : look_at(path, overwrite, &old);
  tc_file_init(f);
  f->owner = getpid();
  f->overwrite = overwrite;
  if (error == 0)
    error = begin(f, path);
  if (error == 0)
    error = settle_mode(f, old);
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

static int move (const char *from, const char *to, bool overwrite) {
  if (!overwrite)
    return rename_new(from, to);
  return rename(from, to) == 0 ? 0 : errno;
}

int tc_file_place (const char *temp, const char *path, bool overwrite) {
  mode_t old;
  int error = look_at(path, overwrite, &old);
  if (error != 0)
    return error;
  if (old != 0 && chmod(temp, old) != 0)
    return errno;
  return move(temp, path, overwrite);
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
  if (fchmod(f->fd, f->mode) != 0 || fsync(f->fd) != 0)
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
